//! dogwatch: a terminal supervisor for long-running engineering workflows.
//!
//! This page is the map of the house. A module may name only modules of lower layers (`tests/pure/layers.rs`).
//!
//! ```text
//! L5 faces      cli         verbs, exit codes, plain output, --json
//!               tui         the operator's screen: model, update, view; draws a copy, never decides
//! L4 daemon     daemon      the loop: events -> journal -> fold -> owed -> hands; adoption; sockets
//! L3 client     client      connect, handshake, request, subscribe, receive a pane
//!               faces       what all faces share: words for times and names, the key that lets go
//! L2 hands      journal environment session keep shim config
//!               identity    what files and folders are, and whether an earlier result still stands
//!               screen      a step's bytes as cells and lines that can be shown
//!               peek        one look from inside an environment: an address, a port, a file
//!               usage       what the machine and the steps on it use now
//! L2 base       clock       the only reader of time, randomness and the boot id
//!               wire        messages of both sockets, framing, versions
//!               attempt     the attempt directory: claim, log, exit record
//!               host        what this machine has to give to steps: GPUs, processors, memory
//!               state_dir   the folder of everything: which, whether it can be trusted, its sockets' paths
//!               spawn       terminals, and starting programs in a clean state
//!               faults      crash points and mutants of the fault tests
//! L1 mind       engine gauge report
//!               judge       why an attempt failed: output and facts to a class, an advice and the evidence
//!               patience    when to look next, how much time is left, when silence means trouble
//!               series      metrics as series: stored small, drawn fast
//!               secrets     values kept out of whatever is shown or stored
//! L0 nouns      model
//! ```
//!
//! Invariants:
//! * The mind (`engine`, `gauge`, `judge`, `patience`, `report`, `secrets`, `series`) never reads a clock, a file or a socket.
//! * An intent is committed to the journal before its effect; an exit record is on disk before anything is decided about it.
//! * Faces never name the engine: whatever they show came over the wire.

pub mod attempt;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod environment;
pub mod faces;
pub mod faults;
pub mod gauge;
pub mod host;
pub mod identity;
pub mod journal;
pub mod judge;
pub mod keep;
pub mod metrics;
pub mod model;
pub mod patience;
pub mod peek;
pub mod report;
pub mod screen;
pub mod secrets;
pub mod series;
pub mod session;
pub mod shim;
pub mod spawn;
pub mod state_dir;
pub mod tui;
pub mod usage;
pub mod wire;
