//! Turns output into something that can be shown and judged. Pure: bytes in, text and findings out.

pub mod alert;
pub mod metrics;
pub mod modes;
pub mod plain;
pub mod progress;
pub mod updates;
