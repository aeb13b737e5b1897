//! The look-up table: what is known of an attempt after any crash, and what follows. Pure; asks nobody.
//!
//! | keeper | intent | claim | exit record | shim's lock | then |
//! |---|---|---|---|---|---|
//! | any | any | any | there | any | journal the exit |
//! | any | any | of another boot | - | any | unknown: host restarted |
//! | answers | any | of this boot | - | held | adopt |
//! | silent | any | of this boot | - | held | unreachable |
//! | any | any | of this boot | - | free | unknown: shim died |
//! | any | of another boot | - | - | - | unknown: host restarted |
//! | any | this boot, seen claimed | - | - | - | unknown: claim lost |
//! | answers | this boot, never seen claimed | - | - | - | launch |
//! | silent | this boot, never seen claimed | - | - | - | unreachable |

use crate::wire::keeper::Found;

/// The journal's word that an attempt was to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent<'a> {
    /// The boot id under which the intent was committed.
    pub boot_id: &'a str,
}

/// What follows from a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was certainly never started: start it, with the same key.
    Launch,
    /// Its shim lives: go on watching it.
    Adopt,
    /// It has ended, and how is on disk.
    JournalExit,
    /// Nobody can know whether it ran to its end.
    Unknown(Why),
    /// Nobody answers for it now: not failed; ask again later.
    Unreachable,
}

/// Why it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The claim is there, nobody holds its lock, and there is no exit record.
    ShimDied,
    /// It was claimed, or may have been, before the host started anew.
    HostRestarted,
    /// It had been claimed, and now there is no claim: somebody removed it.
    ClaimLost,
}

/// Reads the table. `found` is the keeper's answer, or what the engine read by itself where `keeper_alive` is false.
pub fn verdict(intent: Intent<'_>, seen_claimed: bool, found: &Found, this_boot: &str, keeper_alive: bool) -> Verdict {
    if found.exited {
        return Verdict::JournalExit;
    }
    match found.claim_boot.as_deref() {
        Some(boot) if boot != this_boot => Verdict::Unknown(Why::HostRestarted),
        Some(_) if found.held && keeper_alive => Verdict::Adopt,
        Some(_) if found.held => Verdict::Unreachable,
        Some(_) => Verdict::Unknown(Why::ShimDied),
        // A claim is not flushed to the disk: after a power cut it may be missing although the step ran.
        None if intent.boot_id != this_boot => Verdict::Unknown(Why::HostRestarted),
        None if seen_claimed => Verdict::Unknown(Why::ClaimLost),
        None if keeper_alive => Verdict::Launch,
        None => Verdict::Unreachable,
    }
}
