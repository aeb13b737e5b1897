//! Engine <-> keeper, one JSON object a line, over the keeper's Unix socket. Versions 1 to 3: 3 has the secrets of a launch.
//!
//! ```text
//! keeper: {"v":2,"oldest":1,"boot_id":"…","nonce":"<32 hex>","pid":1}
//! engine: {"v":2,"nonce":"<32 hex>","proof":"<hex>","epoch":7}     proof  = MAC(secret, "engine" + keeper nonce)
//! keeper: {"v":2,"proof":"<hex>"}                                  answer = MAC(secret, "keeper" + engine nonce)
//! engine: {"id":1,"ask":{"look_up":{"attempts":[…]}}}
//! keeper: {"answer":{"id":1,"result":{"reply":{"found":[…]}}}}
//! keeper: {"event":{"claimed":{"key":"…"}}}                        to every connected engine, in between
//! ```
//! Both prove that they know the environment's secret before anything else is said: a step that shares the
//! environment can neither command the keeper nor play it. A reply may carry one file descriptor (`SCM_RIGHTS` with
//! its first byte): only [`Reply::Pty`] does.
//!
//! A keeper lives as long as its environment, so engine and keeper may be of different builds. The keeper says the newest
//! and the oldest version that it speaks, the engine answers in the newest that both do: see [`Spoken::with`]. Version 1
//! says no `oldest`; it is spoken as it is. Nothing is said in a version that does not have it. Where there is none that
//! both speak nothing is commanded and nothing given up: what runs goes on, and its engine says which dogwatch it waits for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::secrets::Secrets;
use super::spoken::Spoken;
use crate::faults;

/// What this build speaks. `oldest` rises only with a release note that says which dogwatch has to end its runs first.
const THIS_BUILD: Spoken = Spoken { newest: 3, oldest: 1 };
/// From this version on a keeper hands secrets on and its shims hide them.
pub const WITH_SECRETS: u32 = 3;

/// What this build speaks. A test may have it pass for another one.
pub fn spoken() -> Spoken {
    faults::protocol("DOGWATCH_PROTOCOL").map_or(THIS_BUILD, |(oldest, newest)| Spoken { newest, oldest })
}

/// What the porter says at the door of a container, together with the keeper's listening socket, the run's directory, the
/// bell and the secret to be read, as descriptors in this order. The first line of a conversation that has no second.
pub const DOOR: &[u8; 16] = b"dogwatch door 1\n";

/// First line, from the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The newest version that it speaks.
    pub v: u32,
    /// The oldest one; version 1 does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u32>,
    /// Boot id of the environment's host.
    pub boot_id: String,
    /// Hex; what the engine must prove its knowledge of the secret with.
    pub nonce: String,
    pub pid: u32,
}

impl Greeting {
    /// What the keeper that greets so speaks.
    pub fn spoken(&self) -> Spoken {
        Spoken::said(self.v, self.oldest)
    }
}

/// Second line, from the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub v: u32,
    pub nonce: String,
    pub proof: String,
    /// The engine's epoch. The keeper remembers the highest it saw and refuses lower ones.
    pub epoch: u64,
}

/// Third line, from the keeper; a refusal is a [`FromKeeper::Answer`] with `id` 0 and then the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub v: u32,
    pub proof: String,
}

/// The proof of knowing `secret`, bound to the role and to the other side's nonce.
pub fn proof(secret: &[u8; 32], role: &str, nonce: &str) -> String {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(role.as_bytes());
    hasher.update(b"\0");
    hasher.update(nonce.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// A request with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub id: u64,
    pub ask: Ask,
}

/// What the engine may ask of a keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Start a shim for this attempt, or say that it is there already. The same key twice is never a second run.
    Launch(Box<Launch>),
    /// What is there of these attempts?
    LookUp { attempts: Vec<Place> },
    /// TERM to the step's group, `grace_ms`, then KILL to all that descends from the shim. With `save` that signal first, to
    /// each of its processes that handles it, and `grace_ms` more; who does not know of that leaves it out.
    Stop {
        key: String,
        grace_ms: u64,
        reason: StopReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        save: Option<i32>,
    },
    /// Types `bytes` (base64) into the step's terminal.
    Input { key: String, bytes: String },
    /// Run a command beside the steps and give back its end; for probes. Killed after `timeout_ms`.
    Run { argv: Vec<String>, env: BTreeMap<String, String>, cwd: String, timeout_ms: u64 },
    /// A new PTY with this command in it (a shell); answered by [`Reply::Pty`]. Hung up when its last holder closes it.
    OpenPty { argv: Vec<String>, env: BTreeMap<String, String>, cwd: String, rows: u16, cols: u16 },
    /// A new PTY with a tmux client on the session of this attempt; answered by [`Reply::Pty`].
    OpenSession { key: String, rows: u16, cols: u16, readonly: bool },
    /// Closes the terminals of people who may type into the session of this attempt, or into any. A new one that may type
    /// closes those before it by itself.
    LetGo { key: Option<String> },
    /// End the tmux server and the keeper: the environment ends. Unless `force`: refused while a shim lives, and
    /// [`Reply::Busy`] while somebody works in a shell of [`Ask::OpenPty`].
    Shutdown { force: bool },
}

/// Where an attempt lives: its key and its directory, relative to the run's directory (`train/0/a1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub key: String,
    pub dir: String,
}

/// Everything a shim needs to run one attempt once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub place: Place,
    /// The step's command, e.g. `["/bin/sh","-e","-c","…"]`; never interpreted by anybody on the way.
    pub argv: Vec<String>,
    /// The whole environment of the step; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub cwd: String,
    pub rows: u16,
    pub cols: u16,
    /// Hex key of 32 bytes that authenticates this attempt's exit record.
    pub mac_key: String,
    pub epoch: u64,
    /// Bytes kept of the start and of the end of the log, each.
    pub log_half: u64,
    /// Variables of the step whose values are hidden in its output. Only for a keeper of [`WITH_SECRETS`].
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
}

/// Why a step is being stopped; recorded in its exit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The attempt's own time limit.
    Timeout,
    /// A person, or the end of its run.
    Stop,
}

/// What a keeper says after the handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromKeeper {
    /// To request `id`; `id` 0 is a refusal of the connection itself.
    Answer {
        id: u64,
        result: Outcome,
    },
    Event(Event),
}

/// Either what was asked for, or why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Reply(Reply),
    /// In words fit for the operator.
    Refused(String),
}

/// What a keeper answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A shim process was started; [`Event::Claimed`] follows when it owns the attempt.
    Launched,
    /// A shim of this key lives, or a claim of it exists: nothing was started.
    AlreadyThere,
    Found(Vec<Found>),
    Done,
    /// The end of an [`Ask::Run`]: exit code (128 + signal when killed by one), output cut at 64 KiB.
    Ran {
        code: i32,
        output: String,
        timed_out: bool,
    },
    /// Comes with a file descriptor.
    Pty,
    /// Nothing was ended: this many shells are open.
    Busy {
        shells: usize,
    },
}

/// What is there of one attempt. The look-up table of the architecture reads exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub key: String,
    /// The boot id in the claim, if there is a claim.
    pub claim_boot: Option<String>,
    /// An exit record that is authentic is there.
    pub exited: bool,
    /// Somebody holds the claim's lock: the shim lives.
    pub held: bool,
}

/// What a keeper says by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The shim owns the attempt and is about to start the step.
    Claimed { key: String },
    /// The exit record is on disk.
    Exited { key: String },
    /// The step has ended, and the disk refuses its exit record: the shim holds it and tries again. Repeated until then.
    Unrecorded { key: String, end: super::shim::End, why: String },
    /// The shim ended without an exit record of its own (killed, or it lost the race for the claim).
    ShimGone { key: String, status: String },
    /// The tmux server was gone and has been started again.
    TmuxRestarted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_of_version_1_is_understood_and_said_as_it_was() {
        let said = r#"{"v":1,"boot_id":"b","nonce":"n","pid":1}"#;
        let greeting: Greeting = serde_json::from_str(said).expect("it is understood");
        assert_eq!(greeting.spoken(), Spoken { newest: 1, oldest: 1 });
        assert_eq!(serde_json::to_string(&greeting).expect("it is plain data"), said);
    }
}
