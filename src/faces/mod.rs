//! What all faces share: how times and names are said to people, and the key that lets go of a step. Pure; shows nothing
//! and asks nothing.

pub mod csv;
pub mod detach;
pub mod words;
