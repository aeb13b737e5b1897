//! What an attempt has left behind without a shim: processes that carry its key in their environment. They are found and
//! ended only when the engine asks for it, by a stop, as before a new attempt.

use rustix::process::{Pid, Signal, kill_process};

use super::jobs::Asker;
use crate::clock;
use crate::wire::keeper::{Outcome, Reply};

/// What KILL has not ended after this long is given up.
const KILL_MS: i64 = 5_000;
/// How often it is looked who is left.
const LOOK_MS: i64 = 20;

#[derive(Debug)]
struct Hunt {
    asker: Asker,
    /// As it stands in the environment.
    mark: Vec<u8>,
    kill_at: i64,
    look_at: i64,
}

/// All hunts that are on.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    hunts: Vec<Hunt>,
}

impl Orphans {
    /// Asks what is left of `key` to end, and sees to it; the answer comes from [`Orphans::turn`].
    pub(super) fn end(&mut self, asker: Asker, key: &str, grace_ms: u64) {
        let now = clock::boottime_ms();
        let mark = format!("DOGWATCH_KEY={key}").into_bytes();
        for pid in marked(&mark) {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::CONT);
        }
        let kill_at = now.saturating_add(i64::try_from(grace_ms).unwrap_or(i64::MAX));
        self.hunts.push(Hunt { asker, mark, kill_at, look_at: now });
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.hunts.iter().map(|hunt| hunt.look_at).min()
    }

    /// Looks who is left, kills whose grace is over, and tells which hunts have ended.
    pub(super) fn turn(&mut self, now: i64) -> Vec<(Asker, Outcome)> {
        let mut ended = Vec::new();
        self.hunts.retain_mut(|hunt| {
            if now < hunt.look_at {
                return true;
            }
            hunt.look_at = now + LOOK_MS;
            let left = marked(&hunt.mark);
            let outcome = if left.is_empty() {
                Outcome::Reply(Reply::Done)
            } else if now >= hunt.kill_at.saturating_add(KILL_MS) {
                let pids: Vec<String> = left.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
                Outcome::Refused(format!("these processes of the attempt do not end: {}", pids.join(", ")))
            } else {
                if now >= hunt.kill_at {
                    for pid in left {
                        let _ = kill_process(pid, Signal::KILL);
                    }
                }
                return true;
            };
            ended.push((hunt.asker, outcome));
            false
        });
        ended
    }
}

/// Processes with exactly this variable in the environment they were started with. A zombie has none.
fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|variable| variable == mark).then_some(pid)
        })
        .collect()
}
