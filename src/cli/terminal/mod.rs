//! A person's own terminal on a step: raw mode with a guard, the key that lets go, bytes both ways, and a terminal that is
//! left as it was found. Owns the terminal's modes; never knows what is typed.

mod pump;
mod raw;

pub(in crate::cli) use pump::{Left, Visit, size, visit};
