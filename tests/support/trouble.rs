//! What can go wrong in a simulated world, how often it did, and the broken variants that must be found.

/// What can go wrong, in events per mille. All zero is the calm world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    /// Per turn of the daemon.
    pub(crate) engine_kills: u64,
    /// Per attempt.
    pub(crate) shim_kills: u64,
    /// Per attempt.
    pub(crate) tmux_kills: u64,
    /// Per attempt.
    pub(crate) reboots: u64,
    /// Steps that fail, hang or miss an output, per attempt.
    pub(crate) failures: u64,
    /// Environments that cannot be had at first, per history.
    pub(crate) no_environment: u64,
    /// Attempts that stand still for a while or for good, per attempt.
    pub(crate) stalls: u64,
}

/// A broken variant, which the histories must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Effects are handed out before the commit.
    StartBeforeIntent,
    /// The claim stops nobody.
    NoClaim,
    /// The look-up asks only whether a session of that name exists.
    AdoptBySessionName,
    /// The decision is committed one transaction before its fact.
    DecisionBeforeFact,
    /// Every retry is told to be a first attempt.
    RetryUncounted,
    /// The exit of an older attempt is taken for the newest one's.
    LateExitAccepted,
    /// The lock is taken some time after the claim can be seen.
    LockAfterClaim,
    /// What a look-up means is decided with what is known when its answer arrives, not when it was asked.
    StaleLook,
    /// After a crash everything that was intended is launched anew, under the next number.
    BlindRestart,
}

/// How often each thing went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    pub(crate) killed_before_commit: u64,
    pub(crate) killed_after_commit: u64,
    pub(crate) killed_during_effects: u64,
    pub(crate) shim_kills: u64,
    pub(crate) tmux_kills: u64,
    pub(crate) reboots: u64,
    pub(crate) no_environment: u64,
    pub(crate) cached: u64,
    pub(crate) starts: u64,
    pub(crate) turns: u64,
    pub(crate) orders: u64,
    pub(crate) unknown: u64,
    pub(crate) held: u64,
    pub(crate) undone: u64,
    pub(crate) sent_back: u64,
    pub(crate) attached: u64,
    pub(crate) verified: u64,
    pub(crate) verify_failed: u64,
    pub(crate) damaged: u64,
    pub(crate) stalls: u64,
    pub(crate) revived: u64,
    pub(crate) ended_stalls: u64,
    /// Attempts that have something of the host for themselves, and those of them that began beside another run's.
    pub(crate) booked: u64,
    pub(crate) contended: u64,
    pub(crate) secrets_lost: u64,
    pub(crate) secrets_given: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.lost, other.lost),
            (&mut self.late, other.late),
            (&mut self.repeated, other.repeated),
            (&mut self.reordered, other.reordered),
            (&mut self.killed_before_commit, other.killed_before_commit),
            (&mut self.killed_after_commit, other.killed_after_commit),
            (&mut self.killed_during_effects, other.killed_during_effects),
            (&mut self.shim_kills, other.shim_kills),
            (&mut self.tmux_kills, other.tmux_kills),
            (&mut self.reboots, other.reboots),
            (&mut self.no_environment, other.no_environment),
            (&mut self.cached, other.cached),
            (&mut self.starts, other.starts),
            (&mut self.turns, other.turns),
            (&mut self.orders, other.orders),
            (&mut self.unknown, other.unknown),
            (&mut self.held, other.held),
            (&mut self.undone, other.undone),
            (&mut self.sent_back, other.sent_back),
            (&mut self.attached, other.attached),
            (&mut self.verified, other.verified),
            (&mut self.verify_failed, other.verify_failed),
            (&mut self.damaged, other.damaged),
            (&mut self.stalls, other.stalls),
            (&mut self.revived, other.revived),
            (&mut self.ended_stalls, other.ended_stalls),
            (&mut self.booked, other.booked),
            (&mut self.contended, other.contended),
            (&mut self.secrets_lost, other.secrets_lost),
            (&mut self.secrets_given, other.secrets_given),
        ];
        for (mine, theirs) in pairs {
            *mine += theirs;
        }
    }
}
