//! Tests with real processes: bubblewrap, tmux, kill -9.

#[path = "real/place.rs"]
mod place;
#[path = "real/sandbox.rs"]
mod sandbox;
#[path = "support/keeper.rs"]
mod keeper;
#[path = "real/keep.rs"]
mod keep;
#[path = "real/shim.rs"]
mod shim;
