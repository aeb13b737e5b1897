//! Workflow files that dogwatch writes itself: for one command, and a first one for a folder. Pure text; what is written is
//! read back by the same rules as any other file.

mod command;
mod starter;

pub use command::{NotToml, for_command};
pub use starter::{known_files, starter};
