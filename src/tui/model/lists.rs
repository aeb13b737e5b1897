//! What lists show after their filters, and what stands under their cursors. Pure.

use super::Model;
use crate::wire::client::{CheckpointView, EventView, RunLine, RunState};

impl Model {
    /// The runs that the filter leaves, newest first.
    pub fn shown_runs(&self) -> Vec<&RunLine> {
        let wanted = words(&self.filters.runs);
        let has = |line: &&RunLine| {
            let text = format!("{} #{} {}", line.name, line.number, line.shown().word()).to_lowercase();
            wanted.iter().all(|word| text.contains(word))
        };
        self.runs.iter().filter(has).collect()
    }

    /// The run under the cursor of the list of runs.
    pub fn run_here(&self) -> Option<&RunLine> {
        let shown = self.shown_runs();
        shown.get(self.cursors.runs.min(shown.len().saturating_sub(1))).copied()
    }

    /// The run that began last while another one was looked at, as long as nobody has seen it.
    pub fn newcomer(&self) -> Option<&RunLine> {
        let begun = self.begun.as_ref()?;
        self.runs.iter().find(|run| run.id == *begun)
    }

    /// The run of the same name that was started before this one.
    pub fn run_before(&self, line: &RunLine) -> Option<&RunLine> {
        let older = self.runs.iter().filter(|other| other.name == line.name && other.number < line.number);
        older.max_by_key(|other| other.number)
    }

    /// The newest run of the same name before this one that was good.
    pub fn good_before(&self, line: &RunLine) -> Option<&RunLine> {
        let older = self.runs.iter().filter(|other| other.name == line.name && other.number < line.number);
        older.filter(|other| other.state == RunState::Succeeded).max_by_key(|other| other.number)
    }

    /// How long good runs of that name usually take, and how many say so: the median of those that are listed.
    pub fn usual_ms(&self, name: &str) -> Option<(i64, usize)> {
        let mut took: Vec<i64> = self
            .runs
            .iter()
            .filter(|run| run.name == name && run.state == RunState::Succeeded)
            .filter_map(|run| run.ended_ms.map(|ended| ended - run.created_ms))
            .collect();
        took.sort_unstable();
        let middle = took.len() / 2;
        let median = match took.len() {
            0 => return None,
            n if n % 2 == 1 => took[middle],
            _ => took[middle - 1].midpoint(took[middle]),
        };
        Some((median, took.len()))
    }

    /// The records that the filter leaves, oldest first.
    pub fn shown_events(&self) -> Vec<&EventView> {
        let wanted = words(&self.filters.journal);
        let has = |event: &&EventView| {
            let text = format!("{} {} {}", event.step, event.kind, event.text).to_lowercase();
            wanted.iter().all(|word| text.contains(word))
        };
        // Without a filter nothing is made of thousands of records.
        if wanted.is_empty() { self.events.iter().collect() } else { self.events.iter().filter(has).collect() }
    }

    /// The record under the cursor of the journal.
    pub fn event_here(&self) -> Option<&EventView> {
        let shown = self.shown_events();
        let place = shown.len().checked_sub(1)?.saturating_sub(self.cursors.journal);
        shown.get(place).copied()
    }

    /// The checkpoint under the cursor.
    pub fn checkpoint_here(&self) -> Option<&CheckpointView> {
        self.checkpoints.get(self.cursors.checkpoints.min(self.checkpoints.len().saturating_sub(1)))
    }
}

fn words(filter: &str) -> Vec<String> {
    filter.to_lowercase().split_whitespace().map(str::to_owned).collect()
}
