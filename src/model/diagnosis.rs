//! What is said about an attempt that ended: the class of its failure, what to do about it, and on what evidence.

use std::fmt;

/// Why an attempt failed. The words are those of the workflow file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It did not fail.
    None,
    /// An accelerator's memory was too small.
    DeviceOom,
    /// Memory, processes, files or shared memory of the host were too few.
    HostResource,
    /// No space, no inodes, a quota, or a file system that cannot be written.
    DiskFull,
    /// A device or a node broke.
    Hardware,
    /// Workers waited for each other until one gave up.
    CollectiveHang,
    /// The numbers of a training left the range that means anything.
    Divergence,
    /// Somebody or something ended it from outside.
    Interrupted,
    /// Another machine could not be reached, or did not answer as it should.
    Network,
    /// Another machine asked for fewer requests.
    RateLimit,
    /// Somebody else holds what it needs, for a while.
    LockContention,
    /// There is no room for it now.
    Capacity,
    /// It may not do what it tried.
    Auth,
    /// A program, library, module or driver is missing or of the wrong version.
    Environment,
    /// What it reads is missing, broken or of another shape.
    InputData,
    /// The program or its configuration is wrong.
    CodeConfig,
    /// Tests ran, and some failed.
    TestFailure,
    /// Nothing is known.
    Unknown,
}

impl Class {
    /// Every class, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 18] = [
        ("none", Self::None),
        ("device_oom", Self::DeviceOom),
        ("host_resource", Self::HostResource),
        ("disk_full", Self::DiskFull),
        ("hardware", Self::Hardware),
        ("collective_hang", Self::CollectiveHang),
        ("divergence", Self::Divergence),
        ("interrupted", Self::Interrupted),
        ("network", Self::Network),
        ("rate_limit", Self::RateLimit),
        ("lock_contention", Self::LockContention),
        ("capacity", Self::Capacity),
        ("auth", Self::Auth),
        ("environment", Self::Environment),
        ("input_data", Self::InputData),
        ("code_config", Self::CodeConfig),
        ("test_failure", Self::TestFailure),
        ("unknown", Self::Unknown),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, class)| *class == self).map_or("unknown", |(word, _)| word)
    }

    /// The class that a word stands for.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, class)| *class)
    }

    /// What is to be done when neither a rule nor the workflow says otherwise.
    pub fn default_advice(self) -> Advice {
        match self {
            Self::None => Advice::None,
            Self::DeviceOom | Self::HostResource => Advice::RetryModified,
            Self::Hardware | Self::CollectiveHang | Self::Interrupted => Advice::Resume,
            Self::Divergence | Self::Capacity => Advice::Alternative,
            Self::Network | Self::RateLimit | Self::LockContention => Advice::Retry,
            Self::DiskFull
            | Self::Auth
            | Self::Environment
            | Self::InputData
            | Self::CodeConfig
            | Self::TestFailure
            | Self::Unknown => Advice::Escalate,
        }
    }

    /// One sentence for a person who has never seen the word.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "It did not fail.",
            Self::DeviceOom => "The accelerator's memory was too small for it.",
            Self::HostResource => "The machine's memory, processes, files or shared memory were too few for it.",
            Self::DiskFull => "What it writes to has no room, or cannot be written.",
            Self::Hardware => "A device or a node broke.",
            Self::CollectiveHang => "Its workers waited for each other until one gave up.",
            Self::Divergence => "The numbers of the training are no longer finite.",
            Self::Interrupted => "It was ended from outside.",
            Self::Network => "Another machine could not be reached, or did not answer as it should.",
            Self::RateLimit => "Another machine asked for fewer requests.",
            Self::LockContention => "Somebody else holds what it needs.",
            Self::Capacity => "There is no room for it at present.",
            Self::Auth => "It is not allowed to do what it tried.",
            Self::Environment => "A program, library, module or driver is missing or of the wrong version.",
            Self::InputData => "What it reads is missing, broken or of another shape.",
            Self::CodeConfig => "The program or its configuration is wrong.",
            Self::TestFailure => "Tests ran, and some of them failed.",
            Self::Unknown => "No rule knows this failure.",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a diagnosis proposes. What is done is decided elsewhere: by the workflow's rules, the budget and the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Advice {
    /// Nothing: it did not fail.
    None,
    Retry,
    /// With more resources, or with less to do at once.
    RetryModified,
    /// From the newest good checkpoint.
    Resume,
    /// Another way to the same goal.
    Alternative,
    /// A person is to look.
    Escalate,
}

impl Advice {
    /// Every advice, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("retry", Self::Retry),
        ("retry_modified", Self::RetryModified),
        ("resume", Self::Resume),
        ("alternative", Self::Alternative),
        ("escalate", Self::Escalate),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, advice)| *advice == self).map_or("escalate", |(word, _)| word)
    }

    /// The advice that a word stands for.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, advice)| *advice)
    }

    /// What it means, for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "Nothing is to be done.",
            Self::Retry => "Try again, a while later.",
            Self::RetryModified => "Try again with more resources, or with less to do at once.",
            Self::Resume => "Go on from the newest good checkpoint.",
            Self::Alternative => "Take another way: trying the same again will not help.",
            Self::Escalate => "A person has to look: trying again will not help.",
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a rule's line is to the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the reason.
    Root,
    /// It follows from another failure and never beats a root.
    Cascade,
    /// It makes the same class more likely and decides nothing.
    Confirmation,
}

impl Role {
    /// Every role, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 3] =
        [("root", Self::Root), ("cascade", Self::Cascade), ("confirmation", Self::Confirmation)];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Cascade => "cascade",
            Self::Confirmation => "confirmation",
        }
    }
}

/// A line of the output that speaks for a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The rule that found it.
    pub rule: String,
    /// Its text without control sequences; a long one is cut.
    pub line: String,
    /// Counted from 1.
    pub number: u64,
}

/// Why an attempt failed, and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    pub class: Class,
    pub advice: Advice,
    /// 0 to 1: how much the evidence says, not how often it is right.
    pub confidence: f64,
    /// The rule that decided; `None`: no rule did.
    pub rule: Option<String>,
    /// The role of that rule.
    pub role: Option<Role>,
    /// The line that decided; `None`: a fact did, or nothing.
    pub evidence: Option<Evidence>,
    /// What followed from it, and other reasons that were set aside; the first ones.
    pub cascades: Vec<Evidence>,
    /// How long the other side asked to be left alone, in seconds.
    pub retry_after_s: Option<u64>,
    /// One or two sentences for a person.
    pub explanation: String,
}
