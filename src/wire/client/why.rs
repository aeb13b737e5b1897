//! Why a step ended as it did, or did not run: what the engine answers to `why`. Plain data.

use serde::{Deserialize, Serialize};

use crate::model::{Advice, Class, Diagnosis, Evidence, Role};

/// Whether an earlier result stood for a step whose attempts, if there were any, ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedView {
    pub step_name: String,
    /// `name #number` of the run that made it; `None`: it had to run.
    pub from: Option<String>,
    /// `inputs.code has changed since etl #3`.
    pub why: String,
}

/// Why an attempt ended badly, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyView {
    pub step_name: String,
    pub attempt: u32,
    /// `code 1`, `signal 9 (SIGKILL)`.
    pub end: String,
    /// How long it ran, in milliseconds.
    pub ran_ms: i64,
    /// What was decided, in words; empty where nothing is yet.
    pub decided: String,
    /// `None`: it was ended on somebody's word, or by an engine that judged nothing.
    pub diagnosis: Option<DiagnosisView>,
    /// The rule that judged is one of the workflow's own `[[rules]]`.
    #[serde(default)]
    pub of_workflow: bool,
}

/// A diagnosis, by the words of the rules' file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiagnosisView {
    pub class: String,
    pub action: String,
    pub confidence: f64,
    pub rule: Option<String>,
    pub role: Option<String>,
    pub line: Option<EvidenceView>,
    /// How long the other side asked to be left alone, in seconds.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
    pub explanation: String,
    /// What followed from it, and other reasons that were set aside.
    pub cascades: Vec<EvidenceView>,
}

/// A line of a log that speaks for a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    pub rule: String,
    pub line: String,
    pub line_number: u64,
}

impl From<&Evidence> for EvidenceView {
    fn from(line: &Evidence) -> Self {
        Self { rule: line.rule.clone(), line: line.line.clone(), line_number: line.number }
    }
}

impl From<EvidenceView> for Evidence {
    fn from(line: EvidenceView) -> Self {
        Self { rule: line.rule, line: line.line, number: line.line_number }
    }
}

impl From<&Diagnosis> for DiagnosisView {
    fn from(said: &Diagnosis) -> Self {
        Self {
            class: said.class.as_str().into(),
            action: said.advice.as_str().into(),
            confidence: said.confidence,
            rule: said.rule.clone(),
            role: said.role.map(|role| role.as_str().into()),
            line: said.evidence.as_ref().map(Into::into),
            retry_after_s: said.retry_after_s,
            explanation: said.explanation.clone(),
            cascades: said.cascades.iter().map(Into::into).collect(),
        }
    }
}

/// Words that this version does not know are told as unknown, never as something else.
impl From<DiagnosisView> for Diagnosis {
    fn from(said: DiagnosisView) -> Self {
        let role = |word: String| Role::ALL.iter().find(|(known, _)| *known == word).map(|(_, role)| *role);
        Self {
            class: Class::of(&said.class).unwrap_or(Class::Unknown),
            advice: Advice::of(&said.action).unwrap_or(Advice::Escalate),
            confidence: said.confidence,
            rule: said.rule,
            role: said.role.and_then(role),
            evidence: said.line.map(Into::into),
            cascades: said.cascades.into_iter().map(Into::into).collect(),
            retry_after_s: said.retry_after_s,
            explanation: said.explanation,
        }
    }
}
