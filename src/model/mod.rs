//! The nouns.
mod time;
pub use time::Time;
