//! Tests with real processes, files and terminals.

#[path = "support/keeper.rs"]
mod keeper;
#[path = "real/keep.rs"]
mod keep;
#[path = "real/log.rs"]
mod log;
#[path = "real/shim.rs"]
mod shim;
#[path = "real/speed.rs"]
mod speed;
