//! What is said on dogwatch's sockets: messages, framing, versions. Owns no socket and no decision.
//!
//! * [`client`]: command line, screen and agents <-> engine.
//! * [`keeper`]: engine <-> the keeper inside an environment.
//! * [`lines`]: one peer's socket that is never waited for, for the synchronous rooms.
//! * [`secrets`]: values that nothing may print.
//! * [`shim`]: keeper and view <-> the shim of one attempt.
//! * [`spoken`]: which version of a protocol two builds speak with each other.
//!
//! Every message is one line of JSON. Unknown fields are ignored, so that an older peer understands a newer one;
//! a field is never given a second meaning.

pub mod client;
pub mod keeper;
pub mod lines;
pub mod secrets;
pub mod shim;
pub mod spoken;
