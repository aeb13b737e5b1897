//! Tests without processes, sockets and sleeps.

#[path = "pure/config.rs"]
mod config;
#[path = "pure/expr.rs"]
mod expr;
#[path = "pure/graph.rs"]
mod graph;
