//! What a `verify` said, and lines that rules matched, as they are stored.

use super::diagnosis;
use super::stored::{StoredCheck, StoredHit};
use crate::model::{Check, Checked, Hit};

pub(super) fn write(check: &Check) -> StoredCheck {
    StoredCheck {
        code: match check.how {
            Checked::Code(code) => Some(code),
            Checked::NoAnswer => None,
        },
        output: check.output.clone(),
        hits: check.hits.iter().map(write_hit).collect(),
        diagnosis: check.diagnosis.as_deref().map(diagnosis::write).map(Box::new),
    }
}

pub(super) fn read(check: StoredCheck) -> Check {
    Check {
        how: check.code.map_or(Checked::NoAnswer, Checked::Code),
        output: check.output,
        hits: check.hits.into_iter().map(read_hit).collect(),
        diagnosis: check.diagnosis.map(|said| Box::new(diagnosis::read(*said))),
    }
}

pub(super) fn write_hit(hit: &Hit) -> StoredHit {
    StoredHit {
        rule: hit.rule,
        line_number: hit.line_number,
        line: hit.line.clone(),
        before: hit.before.clone(),
        after: hit.after.clone(),
    }
}

pub(super) fn read_hit(hit: StoredHit) -> Hit {
    Hit { rule: hit.rule, line_number: hit.line_number, line: hit.line, before: hit.before, after: hit.after }
}
