//! The views: each file draws one room from the model. Pure; a view borrows and changes nothing.

pub mod charts;
pub mod checkpoints;
pub mod first;
pub mod graph;
pub mod inbox;
pub mod journal;
pub mod machine;
pub mod panes;
pub mod runs;
pub mod steps;
pub mod waits;
