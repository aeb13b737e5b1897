//! What happens to the screen, and what it causes. Plain data: can be compared, logged and replayed.

use crossterm::event::{KeyEvent, MouseEvent};

use crate::wire::client::{
    Ask, CheckpointView, EngineView, EscalationView, EventView, KeptView, Reply, ResourcesView, RunLine, RunView,
};

use super::draw::Picked;
use super::model::{LaneKey, Size};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a message is moved once and never kept")]
pub enum Message {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Pasted(String),
    /// While attached: bytes for the step, and how many keys they are; the key that lets go is already taken out.
    Typed {
        bytes: Vec<u8>,
        keys: u64,
    },
    /// While attached: the key that lets go.
    LetGo,
    Resized(Size),
    /// Time went on, nothing else.
    Tick,
    /// From the engine, over its socket.
    News(Box<News>),
    /// The answer to an [`Effect::Ask`].
    Answered {
        why: Purpose,
        result: Result<Reply, Refused>,
    },
    /// A live pane is there, or could not be had.
    Live {
        /// Which attachment it was asked for; see [`Attached::number`](super::model::Attached::number).
        number: u64,
        result: Result<(), Refused>,
    },
    /// The program in a live pane has ended, or the pane was taken away.
    LiveEnded {
        lane: LaneKey,
        kind: LiveKind,
    },
    /// The outcome of a search in the log that is open.
    Found(Search),
    /// Of the log that is open.
    Log(LogNews),
}

/// What is known of a log after an [`Effect::OpenLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogNews {
    /// It is there; which attempt it is of.
    Open { lane: LaneKey, attempt: u32 },
    /// So many lines are known of; `all`: to its end as it is now. Said again whenever it grew.
    Lines { count: u64, all: bool },
    /// It could not be had.
    Refused(Refused),
}

/// What the engine says anew.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    Link(Link),
    Engine(EngineView),
    Runs(Vec<RunLine>),
    /// The run that is looked at.
    Run(Box<RunView>),
    /// What was recorded of it after what was known; `fresh`: from the start.
    Events {
        run: String,
        events: Vec<EventView>,
        fresh: bool,
    },
    Inbox(Vec<EscalationView>),
    Checkpoints(Vec<CheckpointView>),
    /// What was kept of the environments of the run, oldest first.
    Kept(Vec<KeptView>),
    Resources(ResourcesView),
}

/// How the connection to the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Link {
    #[default]
    Connecting,
    Up,
    /// Steps go on without it.
    Lost {
        why: String,
    },
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub words: String,
    pub hint: Option<String>,
}

/// What an answer is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// Its words are shown; nothing follows.
    Tell,
    /// Nothing is shown, also no refusal.
    Quiet,
    /// A question was answered.
    Decide { id: u64 },
    /// An answer was taken back.
    Undo { id: u64 },
    /// Who has answered a question that is not open any more.
    Over { id: u64 },
    /// A run was started: look at it.
    Open,
    /// The frozen file of a run, to compare it or to run it again.
    Source { run: String },
    /// A workflow file was written.
    Starter,
    /// A picture of metrics; `live`: the same as before, with what has come.
    Chart { live: bool },
}

/// What a live pane is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LiveKind {
    /// The step itself, looked at.
    Look,
    /// The step itself, typed into.
    Attach,
    /// A shell beside it.
    Shell,
}

/// What a search in a log on disk came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// Still looking; so many lines were read.
    Going(u64),
    /// In this line, from 0.
    At(u64),
    Nowhere,
    /// The pattern is none.
    Wrong(String),
}

/// What is to be done outside of the model.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Ask {
        why: Purpose,
        ask: Box<Ask>,
    },
    /// From now on this run is looked at.
    Watch {
        run: String,
    },
    /// For what [`Model::attached`](super::model::Model::attached) has become.
    OpenLive {
        lane: LaneKey,
        kind: LiveKind,
        take_over: bool,
    },
    /// Ends a live pane; how many keys were typed is recorded.
    CloseLive {
        lane: LaneKey,
        kind: LiveKind,
        keys: u64,
    },
    /// To the live pane that is typed into.
    Write {
        lane: LaneKey,
        kind: LiveKind,
        bytes: Vec<u8>,
    },
    Copy(String),
    /// Copies text that stands on the screen.
    CopyPicked(Picked),
    /// Opens the whole log of an attempt; without `attempt`: of the newest. Answered by [`Message::Log`]; from then on its
    /// lines come from the pictures. One log is open at a time.
    OpenLog {
        lane: LaneKey,
        attempt: Option<u32>,
    },
    /// The log that is open is not looked at any more.
    CloseLog,
    /// Looks for a regular expression in the log that is open, from this line on, itself included. Answered by
    /// [`Message::Found`].
    Search {
        pattern: String,
        from: u64,
        back: bool,
    },
    /// Copies a line of the log that is open, from 0.
    CopyLine {
        line: u64,
    },
    /// Writes all points of these series of a run as comma-separated values into the folder that dogwatch was started in, into
    /// a new file of this name.
    ExportMetrics {
        run: String,
        names: Vec<String>,
        file: String,
    },
    /// Starts a workflow file; answered with [`Purpose::Open`].
    StartFile {
        path: String,
    },
    /// Runs one command, as `sh` reads it; answered with [`Purpose::Open`].
    Exec {
        command: String,
    },
    /// Runs the demo; answered with [`Purpose::Open`].
    Demo,
    /// Writes a first workflow file for the folder that dogwatch was started in, unless there is one; answered with
    /// [`Purpose::Starter`].
    Starter,
    /// Draw everything anew.
    Redraw,
    Suspend,
    Bell,
    /// To the terminal's own title line.
    Title(String),
    /// Says this on the terminal after leaving.
    Leave {
        words: String,
    },
}

impl Effect {
    /// A request whose answer is only told.
    pub fn tell(ask: Ask) -> Self {
        Self::Ask { why: Purpose::Tell, ask: Box::new(ask) }
    }
}
