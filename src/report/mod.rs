//! (being built)
pub mod graph;
