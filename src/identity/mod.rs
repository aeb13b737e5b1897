//! What files and folders are: their stamp (cheap, from what the file system says) and their digest (from what they hold); and,
//! from these, what a step's result depends on and whether an earlier one still holds. Steps may have put anything there: below
//! the named path no link is followed, and only regular files are opened. Decides nothing about runs.
//!
//! * [`basis`]: what a result depends on.
//! * [`find`]: an earlier result that stands for it.
//! * [`made`]: what lies at the outputs now.

mod bring;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{Basis, CacheHit, Made, OutputMade, Recipe};

pub use walk::{Refused, digest, stamp};

/// Outputs that are larger are known by their stamps alone.
const READ_AT_MOST: u64 = 256 * 1024 * 1024;

/// A result of an earlier run, for [`find`].
#[derive(Debug, Clone)]
pub struct Candidate {
    /// `name #number` of its run.
    pub from: String,
    /// Where the steps of that run may write; what lies there is copied.
    pub own: String,
    pub made: Made,
}

/// What the result depends on now. What has the stamp that one of `known` saw is not read again. Blocks on the disk.
pub fn basis(recipe: &Recipe, known: &[&Basis]) -> Result<Basis, String> {
    let mut found = Basis::default();
    for (name, text) in &recipe.texts {
        found.parts.insert(name.clone(), of_text(text));
    }
    for (name, (text, path)) in &recipe.inputs {
        let path = Path::new(path);
        if text.is_empty() || !path.exists() {
            found.parts.insert(name.clone(), of_text(text));
            continue;
        }
        let about = stamp(path).map_err(|refused| format!("{name}: {refused}"))?;
        let seen = known.iter().find(|basis| basis.stamps.get(name) == Some(&about.stamp));
        let part = match seen.and_then(|basis| basis.parts.get(name)) {
            Some(part) => part.clone(),
            None => digest(path).map_err(|refused| format!("{name}: {refused}"))?,
        };
        found.parts.insert(name.clone(), part);
        found.stamps.insert(name.clone(), about.stamp);
    }
    Ok(found)
}

/// What lies at the outputs now, with what it was made of. Blocks on the disk.
pub fn made(recipe: &Recipe, basis: Basis) -> Result<Made, String> {
    let mut outputs = BTreeMap::new();
    for (name, path) in &recipe.outputs {
        outputs.insert(name.clone(), output(name, path)?);
    }
    Ok(Made { scope: recipe.scope.clone(), basis, outputs, numbers: BTreeMap::new() })
}

fn output(name: &str, path: &str) -> Result<OutputMade, String> {
    let place = Path::new(path);
    let refused = |refused| format!("outputs.{name}: {refused}");
    let about = stamp(place).map_err(refused)?;
    let digest = if about.bytes > READ_AT_MOST { None } else { Some(digest(place).map_err(refused)?) };
    Ok(OutputMade { path: path.to_owned(), stamp: about.stamp, digest })
}

/// The newest candidate that has this basis and whose outputs are still what they were; outputs that lie in its run's own
/// folders are copied to where this run wants them. Else why there is none. `candidates`: the newest first. Blocks on the disk.
pub fn find(recipe: &Recipe, basis: &Basis, candidates: &[Candidate]) -> Result<CacheHit, String> {
    let mut why = None;
    for candidate in candidates.iter().filter(|candidate| candidate.made.basis.parts == basis.parts) {
        match stands(recipe, basis, candidate) {
            Ok(made) => return Ok(CacheHit { from: candidate.from.clone(), made }),
            Err(flaw) => drop(why.get_or_insert(flaw)),
        }
    }
    Err(why.unwrap_or_else(|| match candidates.first() {
        Some(newest) => difference(&newest.made.basis, basis, &newest.from),
        None => "it has not succeeded here before".into(),
    }))
}

fn stands(recipe: &Recipe, basis: &Basis, candidate: &Candidate) -> Result<Made, String> {
    let numbers = &candidate.made.numbers;
    if let Some(name) = recipe.numbers.iter().find(|name| !numbers.contains_key(*name)) {
        return Err(format!("it is not known which `{name}` {} told", candidate.from));
    }
    let mut outputs = BTreeMap::new();
    for (name, wanted) in &recipe.outputs {
        let from = &candidate.from;
        let Some(old) = candidate.made.outputs.get(name) else {
            return Err(format!("{from} had no output {name}"));
        };
        let path = Path::new(&old.path);
        let now = stamp(path).map_err(|refused| format!("output {name} of {from}: {refused}"))?;
        let same = now.stamp == old.stamp
            || old.digest.is_some() && digest(path).ok().is_some_and(|now| old.digest.as_ref() == Some(&now));
        if !same {
            return Err(format!("output {name} of {from} has changed since"));
        }
        let here = if old.path == *wanted {
            OutputMade { stamp: now.stamp, ..old.clone() }
        } else {
            bring::copy(path, Path::new(&candidate.own), Path::new(&recipe.own), Path::new(wanted))
                .map_err(|why| format!("output {name} of {from} cannot be taken: {why}"))?;
            OutputMade { digest: old.digest.clone(), ..output(name, wanted)? }
        };
        outputs.insert(name.clone(), here);
    }
    Ok(Made { scope: recipe.scope.clone(), basis: basis.clone(), outputs, numbers: numbers.clone() })
}

/// `inputs.code and env.LR have changed since etl #3`.
pub fn difference(old: &Basis, new: &Basis, from: &str) -> String {
    let changed = new.parts.iter().filter(|(name, part)| old.parts.get(*name) != Some(part)).map(|(name, _)| name);
    let gone = old.parts.keys().filter(|name| !new.parts.contains_key(*name));
    let names: Vec<&str> = changed.chain(gone).map(String::as_str).collect();
    let (shown, more) = names.split_at(names.len().min(3));
    match (shown, more.len()) {
        ([], _) => format!("nothing has changed since {from}"),
        ([one], _) => format!("{one} has changed since {from}"),
        ([first, rest @ ..], 0) => format!("{first} and {} have changed since {from}", rest.join(" and ")),
        (many, more) => format!("{} and {more} more have changed since {from}", many.join(", ")),
    }
}

fn of_text(text: &str) -> String {
    format!("text:{}", blake3::hash(text.as_bytes()).to_hex())
}

#[cfg(test)]
mod tests;
