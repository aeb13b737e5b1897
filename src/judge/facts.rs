//! What is known about the end of an attempt without reading its output.

/// The facts of an end. What is not known is left at its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// Its exit code, as the kernel or a shell tells it (`128 + signal` is understood).
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The memory cgroup counted an OOM kill while it ran.
    pub oom: bool,
    /// Its own time limit ended it.
    pub timed_out: bool,
    /// What it writes to had no space or no inodes left when it ended.
    pub disk_full: bool,
    /// A device reported an error while it ran.
    pub device_error: bool,
}

impl Facts {
    /// The facts of an exit code alone.
    pub fn of_code(code: i32) -> Self {
        Self { exit_code: Some(code), ..Self::default() }
    }

    /// Whether anything is known about how it ended.
    pub(super) fn has_end(&self) -> bool {
        self.exit_code.is_some() || self.signal.is_some() || self.oom || self.timed_out
    }

    /// Whether it says itself that all is well.
    pub(super) fn is_success(&self) -> bool {
        self.exit_code == Some(0) && self.signal.is_none() && !self.timed_out
    }

    /// The signal that ended it, also where only a shell's code or a negative one tells it.
    pub(super) fn ended_by(&self) -> Option<i32> {
        self.signal.or_else(|| match self.exit_code? {
            code @ 129..=192 => Some(code - 128),
            code @ -64..=-1 => Some(-code),
            _ => None,
        })
    }
}
