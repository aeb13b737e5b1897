//! What is written for people to keep: a run's record, the graph, a rule made of an answer. Text from the mind's state;
//! owns no file, and decides nothing.
pub mod graph;
pub mod record;
pub mod rule;
