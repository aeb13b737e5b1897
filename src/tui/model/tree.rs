//! The steps of a run as rows: a step, a matrix with its lanes under it or folded. Pure.

use std::collections::BTreeMap;

use crate::wire::client::{RunView, StepState, StepView};

/// More lanes than that are folded until somebody unfolds them.
const UNFOLDED: usize = 12;

/// Whether somebody folded or unfolded a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Folded,
    Unfolded,
}

/// What stands in a row, by name: survives that the run changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// A step without a matrix, or one lane: by its lane's name.
    Lane(String),
    /// A matrix: by its step's name.
    Matrix(String),
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: RowKey,
    pub kind: Kind,
}

/// What kind of row it is; places are those in the run's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Step { place: usize },
    Matrix { places: Vec<usize>, folded: bool },
    Lane { place: usize },
}

/// All rows.
pub(super) fn rows(run: &RunView, folds: &BTreeMap<String, Fold>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut place = 0;
    while place < run.steps.len() {
        let step = &run.steps[place];
        if step.label.is_empty() {
            rows.push(Row { key: RowKey::Lane(step.name()), kind: Kind::Step { place } });
            place += 1;
            continue;
        }
        let places: Vec<usize> =
            (place..run.steps.len()).take_while(|next| run.steps[*next].step == step.step).collect();
        place += places.len();
        let folded = match folds.get(&step.step) {
            Some(fold) => *fold == Fold::Folded,
            None => places.len() > UNFOLDED,
        };
        let lanes = places.clone();
        rows.push(Row { key: RowKey::Matrix(step.step.clone()), kind: Kind::Matrix { places, folded } });
        if !folded {
            rows.extend(
                lanes
                    .into_iter()
                    .map(|place| Row { key: RowKey::Lane(run.steps[place].name()), kind: Kind::Lane { place } }),
            );
        }
    }
    rows
}

/// The lane that a row stands for.
pub(super) fn lane_of<'a>(run: &'a RunView, key: &RowKey) -> Option<&'a StepView> {
    match key {
        RowKey::Lane(name) => run.steps.iter().find(|step| step.is_named(name)),
        RowKey::Matrix(name) => {
            run.steps.iter().filter(|step| step.step == *name).min_by_key(|step| (urgency(step.state), step.lane))
        }
    }
}

/// Which state is shown first where only one can be: 0 is the most urgent.
pub fn urgency(state: StepState) -> u8 {
    match state {
        StepState::Unknown => 0,
        StepState::Asking => 1,
        StepState::Gate => 2,
        StepState::Unreachable => 3,
        StepState::Running | StepState::Ready => 4,
        StepState::Starting | StepState::Probing | StepState::Verifying | StepState::Stopping => 5,
        StepState::Retrying => 6,
        StepState::Failed => 7,
        StepState::Stopped => 8,
        StepState::Waiting => 9,
        StepState::Succeeded => 10,
        StepState::Skipped => 11,
    }
}

/// Its state as the end of a sentence: `is running`, `needs you`.
pub fn is_words(state: StepState) -> String {
    if state == StepState::Asking {
        state.word().into()
    } else if state == StepState::Gate {
        format!("is an {}", state.word())
    } else {
        format!("is {}", state.word())
    }
}
