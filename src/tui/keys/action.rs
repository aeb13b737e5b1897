//! What keys can do, and the places where they do it. Names only.

use serde::Deserialize;

/// Everything that a key, the palette or the mouse can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    // Views.
    Overview,
    Panes,
    Metrics,
    Checkpoints,
    Runs,
    Journal,
    Inbox,
    // Everywhere.
    NextQuestion,
    PreviousQuestion,
    Palette,
    Help,
    FocusNext,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Back,
    Leave,
    Redraw,
    Suspend,
    NotSo,
    // On the run.
    Pause,
    StopRun,
    ResumeRun,
    /// The run that began last is looked at.
    OpenBegun,
    Undo,
    // On a step.
    Open,
    Zoom,
    Shell,
    Attach,
    Retry,
    Skip,
    Done,
    Stop,
    Log,
    Describe,
    Waits,
    Follow,
    Copy,
    Mark,
    // In a list or a text.
    Find,
    FindNext,
    FindPrevious,
    OlderAttempt,
    NewerAttempt,
    // In a prompt.
    Choose,
    Accept,
    Comment,
    SameForAll,
    SameForRun,
    ShowRule,
    Snooze,
    MarkGroup,
    // In the list of runs.
    Compare,
    Again,
    // In the list of checkpoints.
    Verify,
    Pin,
    Prune,
    // Among the metrics.
    ZoomIn,
    ZoomOut,
    LogAxis,
    Smooth,
    StepOrTime,
    Overlay,
    Export,
    // Attached.
    LetGo,
    // On the first screen.
    Demo,
    Starter,
    OpenFile,
    WrapCommand,
}

impl Action {
    /// As the table calls it.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }

    /// By its name in the table.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(one, _)| *one == name).map(|(_, action)| *action)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(_, action)| *action)
    }
}

/// Names as in the table; a test compares it with what serde reads.
const ALL: &[(&str, Action)] = &[
    ("overview", Action::Overview),
    ("panes", Action::Panes),
    ("metrics", Action::Metrics),
    ("checkpoints", Action::Checkpoints),
    ("runs", Action::Runs),
    ("journal", Action::Journal),
    ("inbox", Action::Inbox),
    ("next-question", Action::NextQuestion),
    ("previous-question", Action::PreviousQuestion),
    ("palette", Action::Palette),
    ("help", Action::Help),
    ("focus-next", Action::FocusNext),
    ("up", Action::Up),
    ("down", Action::Down),
    ("left", Action::Left),
    ("right", Action::Right),
    ("page-up", Action::PageUp),
    ("page-down", Action::PageDown),
    ("top", Action::Top),
    ("bottom", Action::Bottom),
    ("back", Action::Back),
    ("leave", Action::Leave),
    ("redraw", Action::Redraw),
    ("suspend", Action::Suspend),
    ("not-so", Action::NotSo),
    ("pause", Action::Pause),
    ("stop-run", Action::StopRun),
    ("resume-run", Action::ResumeRun),
    ("open-begun", Action::OpenBegun),
    ("undo", Action::Undo),
    ("open", Action::Open),
    ("zoom", Action::Zoom),
    ("shell", Action::Shell),
    ("attach", Action::Attach),
    ("retry", Action::Retry),
    ("skip", Action::Skip),
    ("done", Action::Done),
    ("stop", Action::Stop),
    ("log", Action::Log),
    ("describe", Action::Describe),
    ("waits", Action::Waits),
    ("follow", Action::Follow),
    ("copy", Action::Copy),
    ("mark", Action::Mark),
    ("find", Action::Find),
    ("find-next", Action::FindNext),
    ("find-previous", Action::FindPrevious),
    ("older-attempt", Action::OlderAttempt),
    ("newer-attempt", Action::NewerAttempt),
    ("choose", Action::Choose),
    ("accept", Action::Accept),
    ("comment", Action::Comment),
    ("same-for-all", Action::SameForAll),
    ("same-for-run", Action::SameForRun),
    ("show-rule", Action::ShowRule),
    ("snooze", Action::Snooze),
    ("mark-group", Action::MarkGroup),
    ("compare", Action::Compare),
    ("again", Action::Again),
    ("verify", Action::Verify),
    ("pin", Action::Pin),
    ("prune", Action::Prune),
    ("zoom-in", Action::ZoomIn),
    ("zoom-out", Action::ZoomOut),
    ("log-axis", Action::LogAxis),
    ("smooth", Action::Smooth),
    ("step-or-time", Action::StepOrTime),
    ("overlay", Action::Overlay),
    ("export", Action::Export),
    ("let-go", Action::LetGo),
    ("demo", Action::Demo),
    ("starter", Action::Starter),
    ("open-file", Action::OpenFile),
    ("wrap-command", Action::WrapCommand),
];

/// Where a key acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Everywhere but in a text field, a prompt, or attached.
    Any,
    /// A step is selected: overview, panes, zoom.
    Step,
    /// The whole log of an attempt.
    Log,
    Describe,
    Metrics,
    Checkpoints,
    Runs,
    Journal,
    Inbox,
    Help,
    First,
    /// A question with numbered choices.
    Prompt,
    /// A small menu or a yes-or-no.
    Menu,
    /// A text is being typed.
    Text,
    /// Everything goes to the step.
    Attached,
    /// Typing ended without its operator; only these keys do something.
    Released,
}

impl Place {
    /// This place and those round it, the nearest first.
    pub fn outward(self) -> impl Iterator<Item = Place> {
        let round = match self {
            Self::Any | Self::Prompt | Self::Menu | Self::Text | Self::Attached | Self::Released => None,
            Self::Step
            | Self::Log
            | Self::Describe
            | Self::Metrics
            | Self::Checkpoints
            | Self::Runs
            | Self::Journal
            | Self::Inbox
            | Self::Help
            | Self::First => Some(Self::Any),
        };
        std::iter::once(self).chain(round)
    }
}
