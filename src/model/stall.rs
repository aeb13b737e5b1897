//! An attempt that lives and shows no sign of getting on: what was seen of that, and what a workflow says about it. Plain
//! data; when it is one, `patience` says.

use std::time::Duration;

use super::{Action, Advice, Alerted, Class, Diagnosis, Hit, StopReason, Time, span_words};

/// Which sign of life stays away.
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// It prints nothing.
    Output,
    /// It prints, and gets no further.
    Progress,
    /// None does: a number that it printed is trouble.
    Alert(Alerted),
}

/// A live attempt is in trouble. It stands still: a sign of life has stayed away for longer than it ever does, and nothing of
/// it computes; or what it computes is trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct Stall {
    pub sign: Sign,
    /// When the last one came.
    pub since: Time,
    /// How long it may stay away.
    pub limit: Duration,
    /// How long it had stayed away before, at most; `None`: it had never come twice.
    pub longest: Option<Duration>,
    /// What all of its processes computed meanwhile, in thousandths of one processor.
    pub cpu_permille: Option<u32>,
    /// Rules of the step whose `output` pattern matched so far.
    pub hits: Vec<Hit>,
    /// The last lines of the log, plain text.
    pub tail: Vec<String>,
}

impl Stall {
    /// A number is the trouble: it did not stand still.
    pub fn is_alert(&self) -> bool {
        matches!(self.sign, Sign::Alert(_))
    }

    /// Why it is ended, if it is.
    pub fn reason(&self) -> StopReason {
        if self.is_alert() { StopReason::Alert } else { StopReason::Stall }
    }

    /// `no output for 15m00s`.
    pub fn words(&self, now: Time) -> String {
        let what = match &self.sign {
            Sign::Output => "no output",
            Sign::Progress => "no progress",
            Sign::Alert(alerted) => return alerted.words(),
        };
        format!("{what} for {}", span_words(now.since(self.since)))
    }

    /// What is said about an attempt that stood still at this time.
    pub fn diagnosis(&self, now: Time) -> Diagnosis {
        let said = |class, advice, confidence, explanation| Diagnosis {
            class,
            advice,
            confidence,
            rule: None,
            role: None,
            evidence: None,
            cascades: Vec::new(),
            retry_after_s: None,
            explanation,
        };
        if let Sign::Alert(alerted) = &self.sign {
            let words = format!("{} (by `{}`).", alerted.words(), alerted.when);
            return said(Class::Divergence, Advice::Alternative, 0.9, words);
        }
        let longest = self.longest.map(|span| format!(", after pauses of {} at most", span_words(span)));
        let idle = self.cpu_permille.map(|used| {
            let percent = f64::from(used) / 10.0;
            format!("; its processes use {percent:.1} % of a processor")
        });
        let explanation =
            format!("It stands still: {}{}{}.", self.words(now), longest.unwrap_or_default(), idle.unwrap_or_default());
        said(Class::CollectiveHang, Advice::Resume, 0.6, explanation)
    }
}

/// `[steps.x.wait]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitSpec {
    pub stall_after: StallAfter,
    /// What a stall leads to; without it a rule that names the class or what it printed, else a person.
    pub on_stall: Option<Action>,
    /// Patterns of lines that announce a pause.
    pub quiet: Vec<String>,
    /// Whoever asks when it is worth to look again is told no less than the first, and no more than the second.
    pub poll: Option<(Duration, Duration)>,
}

/// `stall_after`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StallAfter {
    /// By the run's own rhythm.
    #[default]
    Learned,
    /// So much silence is one.
    After(Duration),
    /// Nothing is one.
    Never,
}
