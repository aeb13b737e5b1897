//! (being built)
pub mod graph;
pub mod record;
