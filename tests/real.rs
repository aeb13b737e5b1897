//! Tests with real processes, files and terminals.

#[path = "support/keeper.rs"]
mod keeper;
#[path = "real/place.rs"]
mod place;
#[path = "real/porter.rs"]
mod porter;
#[path = "real/sandbox.rs"]
mod sandbox;
#[path = "real/shim.rs"]
mod shim;
