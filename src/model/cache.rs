//! What the result of a step depends on, what it came to, and whether an earlier result still holds. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use super::Number;

/// What the result of a lane depends on. Two that are equal promise the same result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// Each part by its name as the file has it (`run`, `env.LR`, `inputs.code`, `image`): the digest of its text or of what
    /// lies at its path.
    pub parts: BTreeMap<String, String>,
    /// Of the parts that are files and folders: size, times and place of each file, digested. While that is the same, what
    /// they hold is not read again.
    pub stamps: BTreeMap<String, String>,
}

/// What lies at the path of a declared output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputMade {
    /// Absolute.
    pub path: String,
    /// As in [`Basis::stamps`].
    pub stamp: String,
    /// What it holds; `None` where it is too large to be read for that.
    pub digest: Option<String>,
}

/// A result that can stand for a later one with the same basis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// [`Recipe::scope`].
    pub scope: String,
    pub basis: Basis,
    /// By the outputs' names; none is left out.
    pub outputs: BTreeMap<String, OutputMade>,
    /// The last values of the series that were asked for.
    pub numbers: BTreeMap<String, Number>,
}

/// Whether a lane has to run, as found before its first attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLook {
    /// `None` where it could not be found.
    pub basis: Option<Basis>,
    /// The result that stands for it: then the lane does not run.
    pub hit: Option<CacheHit>,
    /// Why it runs, or what stands for it, for people: `inputs.code has changed since etl #3`.
    pub why: String,
}

/// An earlier result that still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheHit {
    /// `name #number` of the run that made it.
    pub from: String,
    /// With the outputs as they lie there for this run.
    pub made: Made,
}

/// All that is known of a lane's result before it is looked up: the same for the same file, parameters and patches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Results of one scope are compared: the workspace, the step and the values of its lane.
    pub scope: String,
    /// Parts that are texts.
    pub texts: BTreeMap<String, String>,
    /// Parts that may be paths: the text, and the absolute path that it would be.
    pub inputs: BTreeMap<String, (String, String)>,
    /// The series whose last values are asked for: a result of which one is not known does not stand for this.
    pub numbers: BTreeSet<String>,
    /// Where the outputs are to be, absolute.
    pub outputs: BTreeMap<String, String>,
    /// What all steps of the run may write: what lies below it belongs to one run and is copied for another.
    pub own: String,
}
