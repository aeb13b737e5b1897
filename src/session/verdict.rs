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

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a combination: boot of the intent, seen claimed, boot of the claim, exit record, lock held, keeper
    /// alive; then what must follow.
    #[test]
    fn the_table_is_read_as_it_is_written() {
        let mut seen = std::collections::BTreeMap::new();
        for mask in 0..96u32 {
            let bit = |n: u32| mask >> n & 1 == 1;
            let (old_intent, seen_claimed, exited, held, alive) = (bit(0), bit(1), bit(2), bit(3), bit(4));
            let claim_boot = [None, Some("now"), Some("then")][(mask / 32) as usize];
            let found = Found { key: "k".into(), claim_boot: claim_boot.map(Into::into), exited, held };
            let intent = Intent { boot_id: if old_intent { "then" } else { "now" } };
            let read = verdict(intent, seen_claimed, &found, "now", alive);
            let wanted = match (exited, claim_boot, old_intent, seen_claimed, held, alive) {
                (true, ..) => Verdict::JournalExit,
                (_, Some("then"), ..) | (_, None, true, ..) => Verdict::Unknown(Why::HostRestarted),
                (_, None, _, true, ..) => Verdict::Unknown(Why::ClaimLost),
                (_, None, false, false, _, true) => Verdict::Launch,
                (_, Some(_), _, _, true, true) => Verdict::Adopt,
                (_, Some(_), _, _, false, _) => Verdict::Unknown(Why::ShimDied),
                (_, None, false, false, _, false) | (_, Some(_), _, _, true, false) => Verdict::Unreachable,
            };
            assert_eq!(read, wanted, "{intent:?} seen_claimed={seen_claimed} {found:?} alive={alive}");
            *seen.entry(format!("{read:?}")).or_insert(0) += 1;
        }
        let counts: Vec<(&str, i32)> = seen.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let wanted = [
            ("Adopt", 4),
            ("JournalExit", 48),
            ("Launch", 2),
            ("Unknown(ClaimLost)", 4),
            ("Unknown(HostRestarted)", 24),
            ("Unknown(ShimDied)", 8),
            ("Unreachable", 6),
        ];
        assert_eq!(counts, wanted);
    }

    /// What must never be: a launch of anything that may have run.
    #[test]
    fn nothing_is_launched_that_anybody_has_seen() {
        for (intent, seen_claimed, claim) in
            [("then", false, None), ("now", true, None), ("now", false, Some("now")), ("now", false, Some("then"))]
        {
            for flags in 0..8u32 {
                let found = Found {
                    key: "k".into(),
                    claim_boot: claim.map(Into::into),
                    exited: flags & 1 == 1,
                    held: flags & 2 == 2,
                };
                let read = verdict(Intent { boot_id: intent }, seen_claimed, &found, "now", flags & 4 == 4);
                assert_ne!(read, Verdict::Launch);
            }
        }
    }
}
