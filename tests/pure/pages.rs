//! The pages of the operator's screen without a terminal: keys go in, effects and pictures come out.

#[path = "pages/charts.rs"]
mod charts;
#[path = "pages/graph.rs"]
mod graph;
#[path = "pages/keys.rs"]
mod keys;
#[path = "pages/log.rs"]
mod log;
#[path = "pages/pictures.rs"]
mod pictures;
#[path = "pages/stories.rs"]
mod stories;
