//! (being built)

#[path = "pure/config.rs"]
mod config;
