//! What can be proven without a process, a socket or a sleep. Each file of `tests/pure/` is named here: `layers` refuses a
//! forgotten one.

mod support;

#[path = "pure/alerts.rs"]
mod alerts;
#[path = "pure/booking.rs"]
mod booking;
#[path = "pure/cached.rs"]
mod cached;
#[path = "pure/cli.rs"]
mod cli;
#[path = "pure/config.rs"]
mod config;
#[path = "pure/effects.rs"]
mod effects;
#[path = "pure/expr.rs"]
mod expr;
#[path = "pure/files.rs"]
mod files;
#[path = "pure/graph.rs"]
mod graph;
#[path = "pure/hands.rs"]
mod hands;
#[path = "pure/judge.rs"]
mod judge;
#[path = "pure/lasting.rs"]
mod lasting;
#[path = "pure/layers.rs"]
mod layers;
#[path = "pure/many.rs"]
mod many;
#[path = "pure/meter.rs"]
mod meter;
#[path = "pure/metrics.rs"]
mod metrics;
#[path = "pure/notices.rs"]
mod notices;
#[path = "pure/orders.rs"]
mod orders;
#[path = "pure/pages.rs"]
mod pages;
#[path = "pure/patience.rs"]
mod patience;
#[path = "pure/plain.rs"]
mod plain;
#[path = "pure/progress.rs"]
mod progress;
#[path = "pure/record.rs"]
mod record;
#[path = "pure/recovery.rs"]
mod recovery;
#[path = "pure/scenarios.rs"]
mod scenarios;
#[path = "pure/screen.rs"]
mod screen;
#[path = "pure/services.rs"]
mod services;
#[path = "pure/stalls.rs"]
mod stalls;
#[path = "pure/table.rs"]
mod table;
#[path = "pure/tui.rs"]
mod tui;
#[path = "pure/unanswered.rs"]
mod unanswered;
#[path = "pure/user.rs"]
mod user;
#[path = "pure/verify.rs"]
mod verify;
#[path = "pure/waiting.rs"]
mod waiting;
#[path = "pure/wire.rs"]
mod wire;
#[path = "pure/worlds.rs"]
mod worlds;
