//! What the screen knows and where its operator stands. Plain data, compared by tests; it holds a copy of what came over the
//! wire and never a fact of its own.

mod charts;
mod lists;
mod questions;
mod tree;

pub use charts::{AskedChart, Charts, SeriesRow, Smooth};
pub use questions::{Group, InboxRow};
pub use tree::{Fold, Kind, Row, RowKey, is_words, urgency};

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::wire::client::{
    CheckpointView, EngineView, EscalationView, EventView, KeptView, ResourcesView, RunLine, RunState, RunView,
    SourceView, StepState, StepView,
};

use super::draw::Picked;
use super::keys::{Keys, Place};
use super::message::{Link, LiveKind};
use super::panel::{Panel, Prompt};
use super::theme::Theme;

/// The size of the terminal, clamped to what can be drawn: at most 1000x500.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Size {
    /// From whatever a terminal says, 0x0 and 65535x65535 included.
    pub fn clamped(columns: u16, rows: u16) -> Self {
        Self { columns: columns.min(1000), rows: rows.min(500) }
    }
}

/// A lane of the run that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey {
    /// The run's id.
    pub run: String,
    /// `train[lr=0.1]`, as requests take it.
    pub name: String,
}

/// How far a lane is, by what it printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// 0 to 1.
    pub fraction: f64,
    /// Time left, where the program says or shows it.
    pub left_ms: Option<i64>,
}

/// What is looked at, without panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Overview,
    Panes,
    Metrics,
    Checkpoints,
    Runs,
    Journal,
    Inbox,
}

/// A line that says what just happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    pub words: String,
    pub bad: bool,
    /// Engine time when it goes away.
    pub until_ms: i64,
}

/// How far an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The step is being started: its terminal is asked for as soon as it runs.
    Starts,
    /// Its terminal was asked for.
    Asked,
    /// Its terminal is there.
    Open,
}

/// Typing into a step, or into a shell beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub lane: LaneKey,
    pub kind: LiveKind,
    /// Counts the attachments of this screen: an answer that comes after the key that lets go is not the next one's.
    pub number: u64,
    pub since_ms: i64,
    pub keys: u64,
    pub stage: Stage,
    /// Typed before the pane was there: it waits.
    pub ahead: Vec<u8>,
}

/// How far each pane is scrolled back from its end, in rows.
pub type Scroll = BTreeMap<LaneKey, usize>;

/// What the operator's own file and the command line say.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    pub keys: Keys,
    pub theme: Theme,
    pub zone: TimeZone,
    /// Nothing can be changed from here.
    pub readonly: bool,
    /// `ui.motion`: the throbber.
    pub motion: bool,
    /// The key that lets go, as people write it.
    pub let_go: String,
    /// As whom answers are recorded.
    pub operator: String,
    /// What lies in the folder that dogwatch was started in.
    pub found: Found,
}

/// What lies in the folder that dogwatch was started in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its workflow files, by name.
    pub workflows: Vec<String>,
    /// Its other files that a first workflow file could use, by name.
    pub files: Vec<String>,
}

/// What is known of the frozen file of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Sourced {
    Asked,
    Known(SourceView),
    /// In the words of the engine.
    Refused(String),
}

/// What lists are narrowed to. Empty: everything is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    pub runs: String,
    pub journal: String,
    pub metrics: String,
}

/// Answers from here that can still be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// Questions, answered together.
    pub ids: Vec<u64>,
    /// Engine time when they take effect.
    pub until_ms: i64,
}

/// An answer that the engine has not taken yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// As it was when it was sent.
    pub prompt: Option<Prompt>,
    /// The question was marked in the inbox.
    pub marked: bool,
}

/// What was written for a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// Goes with the answer.
    pub note: Option<String>,
    /// Was begun and left.
    pub draft: Option<String>,
}

/// The run that was looked at before a question of another one was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    pub run: String,
    pub selected: Option<RowKey>,
    pub chosen: bool,
    /// It was asked for again.
    pub over: bool,
}

/// Where lists stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cursors {
    /// Among those that the filter leaves.
    pub runs: usize,
    pub checkpoints: usize,
    /// Rows back from the newest; 0 follows.
    pub journal: usize,
    pub inbox: usize,
}

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub manner: Manner,
    pub size: Size,
    /// Engine time now, milliseconds.
    pub now_ms: i64,
    pub link: Link,
    /// When the engine came back last, in engine time.
    pub back_ms: Option<i64>,
    pub engine: Option<EngineView>,
    pub runs: Vec<RunLine>,
    /// The runs have been heard of at least once.
    pub heard: bool,
    pub run: Option<RunView>,
    /// The run that was asked for by name when the screen was opened.
    pub wanted: Option<String>,
    /// The run that began last while another one was looked at; until it is looked at or seen in the list.
    pub begun: Option<String>,
    pub events: Vec<EventView>,
    pub inbox: Vec<EscalationView>,
    /// Step by step, newest first; of those that are gone only a few: see [`Model::gone`].
    pub checkpoints: Vec<CheckpointView>,
    /// What was kept of its environments, newest first.
    pub kept: Vec<KeptView>,
    /// How many more there were of a step that are gone.
    pub gone: BTreeMap<String, usize>,
    pub resources: Option<ResourcesView>,
    /// What the output of running lanes says of how far they are.
    pub progress: BTreeMap<LaneKey, Progress>,
    pub view: View,
    /// What lies over the view, the innermost last.
    pub panels: Vec<Panel>,
    /// The row of the tree.
    pub selected: Option<RowKey>,
    /// The operator chose it; until then the selection goes to what needs somebody most.
    pub chosen: bool,
    pub folds: BTreeMap<String, Fold>,
    pub marked: BTreeSet<LaneKey>,
    pub marked_runs: BTreeSet<String>,
    pub zoomed: bool,
    pub scroll: Scroll,
    pub cursors: Cursors,
    pub filters: Filters,
    pub charts: Charts,
    /// The frozen files of runs, by the run's id; a run's file never changes.
    pub sources: BTreeMap<String, Sourced>,
    /// Text in a pane that the mouse picked.
    pub picked: Option<Picked>,
    pub flash: Option<Flash>,
    pub undo: Option<Undo>,
    /// Answers on their way, by their question.
    pub sent: BTreeMap<u64, Sent>,
    /// What was written for questions that are not answered.
    pub notes: BTreeMap<u64, Note>,
    pub aside: Option<Aside>,
    /// What took the keys was closed by somebody else: until then (engine time) keys mean nothing.
    pub deaf_until_ms: i64,
    /// Questions that are to be answered together.
    pub marked_questions: BTreeSet<u64>,
    /// Questions that `n` passes over, until then (engine time).
    pub snoozed: BTreeMap<u64, i64>,
    pub attached: Option<Attached>,
    /// Attachments so far.
    pub attachments: u64,
    /// The step that was typed into last, and when it was let go of, in engine time.
    pub let_go: Option<(LaneKey, i64)>,
}

impl Model {
    /// Before anything was heard of the engine.
    pub fn new(manner: Manner, size: Size, now_ms: i64) -> Self {
        Self {
            manner,
            size,
            now_ms,
            link: Link::Connecting,
            back_ms: None,
            engine: None,
            runs: Vec::new(),
            heard: false,
            run: None,
            wanted: None,
            begun: None,
            events: Vec::new(),
            inbox: Vec::new(),
            checkpoints: Vec::new(),
            kept: Vec::new(),
            gone: BTreeMap::new(),
            resources: None,
            progress: BTreeMap::new(),
            view: View::Overview,
            panels: Vec::new(),
            selected: None,
            chosen: false,
            folds: BTreeMap::new(),
            marked: BTreeSet::new(),
            marked_runs: BTreeSet::new(),
            zoomed: false,
            scroll: Scroll::new(),
            cursors: Cursors::default(),
            filters: Filters::default(),
            charts: Charts::default(),
            sources: BTreeMap::new(),
            picked: None,
            flash: None,
            undo: None,
            sent: BTreeMap::new(),
            notes: BTreeMap::new(),
            aside: None,
            deaf_until_ms: 0,
            marked_questions: BTreeSet::new(),
            snoozed: BTreeMap::new(),
            attached: None,
            attachments: 0,
            let_go: None,
        }
    }

    /// Where keys act now.
    pub fn place(&self) -> Place {
        self.place_under(&self.panels)
    }

    /// Where keys act if these panels are open.
    pub fn place_under(&self, panels: &[Panel]) -> Place {
        if self.attached.is_some() {
            return Place::Attached;
        }
        if let Some(panel) = panels.last() {
            return panel.place();
        }
        match self.view {
            View::Overview | View::Panes => {
                if self.run.is_none() {
                    Place::First
                } else {
                    Place::Step
                }
            }
            View::Metrics if self.run.is_none() => Place::First,
            View::Metrics => Place::Metrics,
            View::Checkpoints => Place::Checkpoints,
            View::Runs => Place::Runs,
            View::Journal => Place::Journal,
            View::Inbox => Place::Inbox,
        }
    }

    /// The lane that is typed into, or was until it ended without its operator: it stays before him until he has seen that.
    pub fn typed_into(&self) -> Option<&LaneKey> {
        match (&self.attached, self.panels.last()) {
            (Some(attached), _) => Some(&attached.lane),
            (None, Some(Panel::Released(released))) if !released.fleeting() => Some(&released.lane),
            (None, _) => None,
        }
    }

    /// The step that is typed into has ended; its terminal shows what it said last, and takes no key any more.
    pub fn typed_into_over(&self) -> Option<&LaneKey> {
        let attached = self.attached.as_ref().filter(|attached| attached.kind == LiveKind::Attach)?;
        let step = self.lane_at(&attached.lane).filter(|_| attached.stage == Stage::Open)?;
        let lives = step.state.runs() || matches!(step.state, StepState::Stopping | StepState::Unreachable);
        (!lives).then_some(&attached.lane)
    }

    /// No run was ever started here.
    pub fn first(&self) -> bool {
        self.heard && self.runs.is_empty() && self.run.is_none()
    }

    /// The source of a run's frozen file, once it is known.
    pub fn source(&self, run: &str) -> Option<&SourceView> {
        match self.sources.get(run) {
            Some(Sourced::Known(source)) => Some(source),
            Some(Sourced::Asked | Sourced::Refused(_)) | None => None,
        }
    }

    /// The key of a lane of the run that is looked at.
    pub fn lane_key(&self, step: &StepView) -> LaneKey {
        LaneKey { run: self.run.as_ref().map_or_else(String::new, |run| run.line.id.clone()), name: step.name() }
    }

    /// The selected lane: of a folded matrix, the one that needs somebody most; among checkpoints, the one whose it is.
    pub fn lane(&self) -> Option<&StepView> {
        let run = self.run.as_ref()?;
        if self.view == View::Checkpoints
            && let Some(here) = self.checkpoint_here()
        {
            return run.steps.iter().find(|step| step.is_named(&here.step_name));
        }
        tree::lane_of(run, self.selected.as_ref()?)
    }

    /// The lane by its key.
    pub fn lane_at(&self, key: &LaneKey) -> Option<&StepView> {
        let run = self.run.as_ref().filter(|run| run.line.id == key.run)?;
        run.steps.iter().find(|step| step.is_named(&key.name))
    }

    /// The tree as it is unfolded now.
    pub fn rows(&self) -> Vec<Row> {
        self.run.as_ref().map(|run| tree::rows(run, &self.folds)).unwrap_or_default()
    }

    /// The open question of a lane.
    pub fn question_of(&self, step: &StepView) -> Option<&EscalationView> {
        let id = step.escalation?;
        self.inbox.iter().find(|asked| asked.id == id).or_else(|| {
            let run = self.run.as_ref()?;
            run.escalations.iter().find(|asked| asked.id == id)
        })
    }

    /// Something on the screen shows how time goes by.
    pub fn ticks(&self) -> bool {
        let going = self
            .run
            .as_ref()
            .is_some_and(|run| !run.line.state.ended() || run.steps.iter().any(|step| !step.waits.is_empty()));
        let listed = self.view == View::Runs && self.runs.iter().any(|run| run.state == RunState::Running);
        going || listed || self.flash.is_some() || self.undo.is_some() || self.attached.is_some()
    }

    /// Says something for some seconds.
    pub fn say(&mut self, words: impl Into<String>) {
        self.flash = Some(Flash { words: words.into(), bad: false, until_ms: self.now_ms + 6_000 });
    }

    /// Says something for as long as it is so.
    pub fn say_until(&mut self, words: impl Into<String>, until_ms: i64) {
        self.flash = Some(Flash { words: words.into(), bad: false, until_ms });
    }

    /// When something on the screen is over by itself, in engine time.
    pub fn expires_ms(&self) -> Option<i64> {
        let flash = self.flash.as_ref().map(|flash| flash.until_ms);
        let undo = self.undo.as_ref().map(|undo| undo.until_ms);
        flash.into_iter().chain(undo).min()
    }

    /// Says that something was refused or went wrong.
    pub fn complain(&mut self, words: impl Into<String>) {
        self.flash = Some(Flash { words: words.into(), bad: true, until_ms: self.now_ms + 10_000 });
    }
}
