//! The written record of a run (being built).
use crate::engine::Run;
use crate::model::Event;

/// record.md
pub fn record(run: &Run, _events: &[(u64, Event)]) -> String {
    format!("# {} #{}\n", run.workflow.name, run.number)
}
