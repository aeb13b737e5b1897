//! Tests with real processes, files and terminals.

#[path = "support/keeper.rs"]
mod keeper;
#[path = "real/place.rs"]
mod place;
#[path = "real/sandbox.rs"]
mod sandbox;
#[path = "real/shim.rs"]
mod shim;
