//! The operator's screen: model, message, update, pure view. A client of the engine's socket: whatever it shows came over
//! the wire or stands in a log on disk; it decides nothing, and leaving it stops nothing.
//!
//! * [`model`], [`message`], [`update`]: what is known, what happens, what that changes. Pure.
//! * [`view`], [`page`], [`panel`], [`draw`], [`theme`]: how it looks. Pure.
//! * [`shell`]: the real terminal, threads and connections.
//! * [`own`]: the operator's own file. [`keys`]: which key does what where; hints and help come from it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of some sixty actions, and of crossterm's keys, each place names those that mean something there"
)]

pub mod draw;
pub mod keys;
pub mod message;
pub mod model;
pub mod own;
pub mod page;
pub mod panel;
pub mod shell;
pub mod theme;
pub mod update;
pub mod view;
