//! (being built)
pub mod graph;
pub mod notice;
pub mod record;
