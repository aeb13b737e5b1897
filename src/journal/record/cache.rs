//! Results that may stand for later ones, as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Basis, CacheHit, CacheLook, Made, Number, OutputMade};

/// As text: JSON knows no `nan`.
pub(super) type StoredNumbers = BTreeMap<String, String>;

pub(super) fn write_numbers(numbers: &BTreeMap<String, Number>) -> StoredNumbers {
    numbers.iter().map(|(name, number)| (name.clone(), number.0.to_string())).collect()
}

pub(super) fn read_numbers(numbers: StoredNumbers) -> BTreeMap<String, Number> {
    numbers.into_iter().filter_map(|(name, text)| Some((name, Number(text.parse().ok()?)))).collect()
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredBasis {
    parts: BTreeMap<String, String>,
    stamps: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredOutput {
    path: String,
    stamp: String,
    digest: Option<String>,
}

/// A [`Made`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::journal) struct StoredMade {
    scope: String,
    basis: StoredBasis,
    outputs: BTreeMap<String, StoredOutput>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    numbers: StoredNumbers,
}

/// What an attempt made, or why that can stand for nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredOutcome {
    Made(Box<StoredMade>),
    Not(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredHit {
    from: String,
    made: StoredMade,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredLook {
    basis: Option<StoredBasis>,
    hit: Option<StoredHit>,
    why: String,
}

fn write_basis(basis: &Basis) -> StoredBasis {
    StoredBasis { parts: basis.parts.clone(), stamps: basis.stamps.clone() }
}

fn read_basis(basis: StoredBasis) -> Basis {
    Basis { parts: basis.parts, stamps: basis.stamps }
}

pub(in crate::journal) fn write(made: &Made) -> StoredMade {
    let output = |made: &OutputMade| {
        let OutputMade { path, stamp, digest } = made.clone();
        StoredOutput { path, stamp, digest }
    };
    let outputs = made.outputs.iter().map(|(name, made)| (name.clone(), output(made))).collect();
    StoredMade {
        scope: made.scope.clone(),
        basis: write_basis(&made.basis),
        outputs,
        numbers: write_numbers(&made.numbers),
    }
}

pub(in crate::journal) fn read(made: StoredMade) -> Made {
    let output = |StoredOutput { path, stamp, digest }| OutputMade { path, stamp, digest };
    let outputs = made.outputs.into_iter().map(|(name, made)| (name, output(made))).collect();
    Made { scope: made.scope, basis: read_basis(made.basis), outputs, numbers: read_numbers(made.numbers) }
}

pub(super) fn write_result(made: &Result<Box<Made>, String>) -> StoredOutcome {
    match made {
        Ok(made) => StoredOutcome::Made(Box::new(write(made))),
        Err(why) => StoredOutcome::Not(why.clone()),
    }
}

pub(super) fn read_result(made: StoredOutcome) -> Result<Box<Made>, String> {
    match made {
        StoredOutcome::Made(made) => Ok(Box::new(read(*made))),
        StoredOutcome::Not(why) => Err(why),
    }
}

pub(super) fn write_look(look: &CacheLook) -> Box<StoredLook> {
    let hit = look.hit.as_ref().map(|hit| StoredHit { from: hit.from.clone(), made: write(&hit.made) });
    Box::new(StoredLook { basis: look.basis.as_ref().map(write_basis), hit, why: look.why.clone() })
}

pub(super) fn read_look(look: StoredLook) -> CacheLook {
    let hit = look.hit.map(|hit| CacheHit { from: hit.from, made: read(hit.made) });
    CacheLook { basis: look.basis.map(read_basis), hit, why: look.why }
}
