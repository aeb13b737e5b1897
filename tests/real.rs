//! Tests with real processes, files and terminals.

#[path = "real/best.rs"]
mod best;
#[path = "real/booking.rs"]
mod booking;
#[path = "real/builds.rs"]
mod builds;
#[path = "real/cached.rs"]
mod cached;
#[path = "real/cli.rs"]
mod cli;
#[path = "real/complete.rs"]
mod complete;
#[path = "real/containers.rs"]
mod containers;
#[path = "support/hostile.rs"]
mod corpus;
#[path = "real/damage.rs"]
mod damage;
#[path = "support/desk.rs"]
mod desk;
#[path = "real/drawn.rs"]
mod drawn;
#[path = "support/engines.rs"]
mod engines;
#[path = "real/environments.rs"]
mod environments;
#[path = "real/examples.rs"]
mod examples;
#[path = "real/fitted.rs"]
mod fitted;
#[path = "real/flood.rs"]
mod flood;
#[path = "real/fuzz.rs"]
mod fuzz;
#[path = "real/harm.rs"]
mod harm;
#[path = "real/headline.rs"]
mod headline;
#[path = "real/hostile.rs"]
mod hostile;
#[path = "support/house.rs"]
mod house;
#[path = "real/intruders.rs"]
mod intruders;
#[path = "real/keep.rs"]
mod keep;
#[path = "support/keeper.rs"]
mod keeper;
#[path = "real/kept.rs"]
mod kept;
#[path = "real/kills.rs"]
mod kills;
#[path = "real/log.rs"]
mod log;
#[path = "real/looks.rs"]
mod looks;
#[path = "real/metrics.rs"]
mod metrics;
#[path = "real/nested.rs"]
mod nested;
#[path = "real/notices.rs"]
mod notices;
#[path = "support/outer.rs"]
mod outer;
#[path = "real/own.rs"]
mod own;
#[path = "real/people.rs"]
mod people;
#[path = "real/pictures.rs"]
mod pictures;
#[path = "real/place.rs"]
mod place;
#[path = "real/porter.rs"]
mod porter;
#[path = "real/probes.rs"]
mod probes;
#[path = "real/races.rs"]
mod races;
#[path = "real/recovery.rs"]
mod recovery;
#[path = "support/registry.rs"]
mod registry;
#[path = "real/sandbox.rs"]
mod sandbox;
#[path = "real/saved.rs"]
mod saved;
#[path = "real/screen.rs"]
mod screen;
#[path = "real/screens.rs"]
mod screens;
#[path = "real/secrets.rs"]
mod secrets;
#[path = "real/services.rs"]
mod services;
#[path = "real/session.rs"]
mod session;
#[path = "real/shim.rs"]
mod shim;
#[path = "real/space.rs"]
mod space;
#[path = "real/stalls.rs"]
mod stalls;
#[path = "real/starting.rs"]
mod starting;
#[path = "real/sweep.rs"]
mod sweep;
#[path = "real/verify.rs"]
mod verify;
#[path = "real/why.rs"]
mod why;
