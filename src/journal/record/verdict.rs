//! Verdicts and proposals as they are stored.

use super::stored::{StoredPatch, StoredProposal, StoredSpend, StoredVerdict};
use crate::model::{AskWhy, Patch, Proposal, Resource, Spend, Time, Verdict};

pub(super) fn write(verdict: &Verdict) -> StoredVerdict {
    match verdict {
        Verdict::Succeeded => StoredVerdict::Succeeded,
        Verdict::Retry { at, rule, resume, spend, patch } => StoredVerdict::Retry {
            at_ms: at.as_ms(),
            rule: rule.clone(),
            resume: resume.clone(),
            spend: spend.as_ref().map(|spend| StoredSpend {
                budget: spend.budget.clone(),
                print: spend.print.clone(),
                of: spend.of,
                by_progress: spend.by_progress,
            }),
            patch: patch.as_ref().map(write_patch),
        },
        Verdict::Skip { rule } => StoredVerdict::Skip { rule: rule.clone() },
        Verdict::Allowed => StoredVerdict::Allowed,
        Verdict::Abort { rule } => StoredVerdict::Abort { rule: rule.clone() },
        Verdict::Stopped => StoredVerdict::Stopped,
        Verdict::Answered => StoredVerdict::Answered,
        Verdict::Ask { why: AskWhy::Failed { rule, attempts, of, because, proposal } } => StoredVerdict::AskFailed {
            rule: rule.clone(),
            attempts: *attempts,
            of: *of,
            because: because.clone(),
            proposal: proposal.as_deref().map(|proposal| Box::new(write_proposal(proposal))),
        },
        Verdict::Ask { why: AskWhy::Unknown(why) } => StoredVerdict::AskUnknown { why: why.into() },
    }
}

pub(super) fn read(verdict: StoredVerdict) -> Verdict {
    match verdict {
        StoredVerdict::Succeeded => Verdict::Succeeded,
        StoredVerdict::Retry { at_ms, rule, resume, spend, patch } => Verdict::Retry {
            at: Time::from_ms(at_ms),
            rule,
            resume,
            spend: spend.map(|spend| Spend {
                budget: spend.budget,
                print: spend.print,
                of: spend.of,
                by_progress: spend.by_progress,
            }),
            patch: patch.map(read_patch),
        },
        StoredVerdict::Skip { rule } => Verdict::Skip { rule },
        StoredVerdict::Allowed => Verdict::Allowed,
        StoredVerdict::Abort { rule } => Verdict::Abort { rule },
        StoredVerdict::Stopped => Verdict::Stopped,
        StoredVerdict::Answered => Verdict::Answered,
        StoredVerdict::AskFailed { rule, attempts, of, because, proposal } => {
            let proposal = proposal.map(|proposal| Box::new(read_proposal(*proposal)));
            Verdict::Ask { why: AskWhy::Failed { rule, attempts, of, because, proposal } }
        }
        StoredVerdict::AskUnknown { why } => Verdict::Ask { why: AskWhy::Unknown(why.into()) },
    }
}

pub(super) fn write_proposal(proposal: &Proposal) -> StoredProposal {
    StoredProposal {
        rule: proposal.rule.clone(),
        skip: proposal.skip,
        resume: proposal.resume.clone(),
        patch: proposal.patch.as_ref().map(write_patch),
    }
}

pub(super) fn read_proposal(proposal: StoredProposal) -> Proposal {
    Proposal {
        rule: proposal.rule,
        skip: proposal.skip,
        resume: proposal.resume,
        patch: proposal.patch.map(read_patch),
    }
}

fn write_patch(patch: &Patch) -> StoredPatch {
    let resources = patch.resources.iter().map(|(resource, limit)| (resource.as_str().to_owned(), *limit)).collect();
    StoredPatch { alternative: patch.alternative.clone(), env: patch.env.clone(), resources }
}

fn read_patch(patch: StoredPatch) -> Patch {
    // A limit that another version raised and this one does not know stays as the file says.
    let known = patch.resources.into_iter().filter_map(|(word, limit)| Some((Resource::of(&word)?, limit)));
    Patch { alternative: patch.alternative, env: patch.env, resources: known.collect() }
}
