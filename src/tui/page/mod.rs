//! The views: each file draws one room from the model. Pure; a view borrows and changes nothing.

pub mod inbox;
pub mod panes;
pub mod steps;
pub mod waits;
