//! A diagnosis as it is stored, by the words of the rules' file. What another version wrote and this one does not know is
//! told as unknown, never as something else.

use super::stored::{StoredDiagnosis, StoredEvidence};
use crate::model::{Advice, Class, Diagnosis, Evidence, Role};

pub(super) fn write(said: &Diagnosis) -> StoredDiagnosis {
    StoredDiagnosis {
        class: said.class.as_str().into(),
        advice: said.advice.as_str().into(),
        confidence: said.confidence,
        rule: said.rule.clone(),
        role: said.role.map(|role| role.as_str().into()),
        evidence: said.evidence.as_ref().map(write_line),
        cascades: said.cascades.iter().map(write_line).collect(),
        retry_after_s: said.retry_after_s,
        explanation: said.explanation.clone(),
    }
}

pub(super) fn read(said: StoredDiagnosis) -> Diagnosis {
    let role = |word: String| Role::ALL.iter().find(|(known, _)| *known == word).map(|(_, role)| *role);
    Diagnosis {
        class: Class::of(&said.class).unwrap_or(Class::Unknown),
        advice: Advice::of(&said.advice).unwrap_or(Advice::Escalate),
        confidence: said.confidence,
        rule: said.rule,
        role: said.role.and_then(role),
        evidence: said.evidence.map(read_line),
        cascades: said.cascades.into_iter().map(read_line).collect(),
        retry_after_s: said.retry_after_s,
        explanation: said.explanation,
    }
}

fn write_line(line: &Evidence) -> StoredEvidence {
    StoredEvidence { rule: line.rule.clone(), line: line.line.clone(), number: line.number }
}

fn read_line(line: StoredEvidence) -> Evidence {
    Evidence { rule: line.rule, line: line.line, number: line.number }
}
