//! Why an attempt failed: its output, line by line as it comes, and the facts of its end, to a [`Diagnosis`]. Pure.
//!
//! ```text
//! let mut judge = Judge::new(&rules);
//! judge.bytes(chunk);                        // as often as something comes, cut anywhere
//! let diagnosis = judge.end(&facts);         // once
//! ```
//!
//! Facts come before text, a root before a cascade wherever it stands, and what went on afterwards before what ended it.
//! Owns how lines are weighed; the knowledge is in the rules, which are data (`config/rules.toml`, read by `config`).
//!
//! Invariants: no bytes make it panic; it keeps a bounded amount whatever the output is; how the output is cut into chunks
//! changes nothing. It never decides what is done: a diagnosis proposes.
//!
//! [`Diagnosis`]: crate::model::Diagnosis

mod clean;
mod decide;
mod facts;
mod lines;
mod literal;
mod prefix;
mod reading;
mod rule;
mod rules;
mod sieve;
mod sighting;
mod stream;
mod tone;
mod wait;

pub use facts::Facts;
pub use rule::BadRule;
pub use rules::Rules;
pub use stream::Judge;
