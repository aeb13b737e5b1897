//! Turns output into something that can be shown and judged. Pure: bytes in, text and findings out.

pub mod plain;
pub mod progress;
