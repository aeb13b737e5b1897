//! Metrics as series of points: stored small, drawn fast. Pure.
//!
//! ```text
//! let mut series = Series::default();
//! let sealed = series.push(point);            // Some(block) now and then: its bytes are what is stored
//! let series = Series::of(blocks);            // opened again: only the head of each block is read
//! series.columns(Axis::Step, from..=to, 200); // least, most and last of each column of a picture
//! Outline::of(heads);                         // the same without the points: it says which blocks have to be opened
//! ```
//!
//! Owns the format of a block. Invariants: what comes out is bit for bit what went in; bytes of any kind make nothing panic
//! and nothing large.

mod block;
mod bytes;
mod columns;

pub use block::{Bad, Block, HEAD, Head, LARGEST, Point};
pub use columns::{Axis, Column, Outline, Ruler, Series, Span};
