//! What is said on dogwatch's sockets: messages, framing, versions. Owns no socket and no decision.
//!
//! * [`client`]: command line, screen and agents <-> engine.
//! * [`keeper`]: engine <-> the keeper inside an environment, and keeper <-> shim.
//!
//! Every message is one line of JSON. Unknown fields are ignored, so that an older peer understands a newer one;
//! a field is never given a second meaning.

pub mod client;
pub mod keeper;
