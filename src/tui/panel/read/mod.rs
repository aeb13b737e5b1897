//! What is read: sheets, the help, logs. They leave keys to the table; nothing on them changes anything. Pure.

pub mod compare;
mod describe;
pub mod help;
pub mod log;
pub mod sheet;
