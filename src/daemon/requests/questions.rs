//! Requests about questions: show, answer, take back, later. Every change is an event that the mind allows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answer, Reaction, Refusable, internal, not_kept, refusal, refuse, reply, usage};
use crate::daemon::core::Core;
use crate::daemon::views;
use crate::engine::{self, Phase, Run};
use crate::journal::Before;
use crate::model::{Choice, EscalationId, Principal, Time, What, span_words};
use crate::wire::client::{self as wire, RefusalKind, Reply};
use crate::wire::secrets::Secrets;

/// Nobody needs longer to see that he pressed the wrong key.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// What goes with an answer.
pub(super) struct Manner {
    pub(super) by: Principal,
    pub(super) note: Option<String>,
    /// It takes effect only after this.
    pub(super) hold: Duration,
    /// It holds for the same failure in this run.
    pub(super) lasting: bool,
}

impl Core {
    /// The answer to a question.
    pub(super) fn decide(&mut self, id: u64, choice: &str, manner: Manner) -> Refusable<Reaction> {
        let Manner { by, note, hold, lasting } = manner;
        if hold > LONGEST_HOLD {
            let words = format!("an answer can be held back for {} s at most", LONGEST_HOLD.as_secs());
            return Err(Box::new(usage(words, None)));
        }
        let run = self.run_asked(id)?;
        let choice = choice_of(&run, EscalationId(id), choice)?;
        let until = self.parts.clock.now().plus(hold);
        self.about(id, &run, |run, id| {
            let before = lasting.then(|| run.last(id, choice, by.clone())).transpose()?;
            let (answer, mut words) = if hold.is_zero() {
                (run.decide(id, choice, by, note)?, run.word(choice).into_owned())
            } else {
                let words = format!("{}, takes effect in {}", run.word(choice), span_words(hold));
                (run.decide_later(id, choice, by, note, until)?, words)
            };
            if lasting {
                words.push_str("; the same for the rest of this run");
            }
            Ok((before.into_iter().chain([answer]).collect(), words))
        })
    }

    /// Values of secrets that a run has lost, or is to have anew.
    pub(super) fn give_secret(&mut self, run: &str, secrets: &Secrets, by: &Principal) -> Refusable<Reaction> {
        let run = self.find(run)?;
        if matches!(run.phase, Phase::Ended { .. }) {
            let words = format!("{} has ended: it keeps no secrets", views::run_name(&run));
            return Err(Box::new(refusal(
                RefusalKind::Refused,
                words,
                Some("`dogwatch resume` first, if it is to go on"),
            )));
        }
        let names: Vec<String> = secrets.0.keys().cloned().collect();
        let known: Vec<&str> = run.workflow.secrets_in_use().map(|(name, _)| name.as_str()).collect();
        if let Some(odd) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let hint = match &known[..] {
                [] => "its steps get none".to_owned(),
                known => format!("its steps get {}", known.join(", ")),
            };
            let words = format!("{} has no secret {odd:?}", views::run_name(&run));
            return Err(Box::new(refusal(RefusalKind::NotFound, words, Some(&hint))));
        }
        self.parts.vault.keep(&run.id, secrets).map_err(|error| Box::new(not_kept(&error)))?;
        let all = run.secrets_given(&names, by);
        let going = all.len() - 1;
        let then = match going {
            0 => "for the steps that start from now on".to_owned(),
            n => format!("{n} waiting step(s) go on"),
        };
        self.changes(&run, all, format!("{} has {}: {then}", views::run_name(&run), names.join(", ")))
    }

    /// Takes back an answer that has not taken effect.
    pub(super) fn undo(&mut self, id: u64, by: Principal) -> Refusable<Reaction> {
        let run = self.run_asked(id)?;
        self.about(id, &run, |run, id| Ok((vec![run.undo(id, by)?], format!("{id} is open again"))))
    }

    /// A deadline that the question has begins anew.
    pub(super) fn later(&mut self, id: u64, by: Principal) -> Refusable<Reaction> {
        let run = self.run_asked(id)?;
        let now = self.parts.clock.now();
        self.about(id, &run, |run, id| Ok((vec![run.later(id, by, now)?], format!("{id} waits; its time begins anew"))))
    }

    fn about(
        &mut self,
        id: u64,
        run: &Run,
        make: impl FnOnce(&Run, EscalationId) -> Result<(Vec<What>, String), engine::Refused>,
    ) -> Refusable<Reaction> {
        let id = EscalationId(id);
        let (all, words) = make(run, id).map_err(refuse)?;
        let lane = run.questions.get(&id).map(|q| run.lane_name(&q.escalation.lane)).unwrap_or_default();
        self.changes(run, all, format!("{lane}: {words}"))
    }

    /// A question, whole.
    pub(super) fn question(&self, id: u64) -> Refusable<Answer> {
        let run = self.run_asked(id)?;
        match run.questions.get(&EscalationId(id)) {
            Some(question) => {
                let mut view = views::escalation(&run, question);
                self.remember(&mut view);
                Ok(reply(Reply::Escalation(view)))
            }
            None => Err(Box::new(refusal(RefusalKind::NotFound, format!("there is no question e{id}"), None))),
        }
    }

    fn run_asked(&self, id: u64) -> Refusable<Run> {
        let missing = || {
            Box::new(refusal(
                RefusalKind::NotFound,
                format!("there is no question e{id}"),
                Some("dogwatch inbox lists them"),
            ))
        };
        if let Some(run) = self.engine.run_of_escalation(EscalationId(id)) {
            return Ok(run.clone());
        }
        let found = self.journal.read().run_of_escalation(id).map_err(|error| Box::new(internal(&error)))?;
        let run = found.map(|run| self.run_or_fold(&run)).transpose().map_err(|error| Box::new(internal(&error)))?;
        run.flatten().ok_or_else(missing)
    }

    pub(super) fn inbox(&self) -> Vec<wire::EscalationView> {
        let open = self.engine.runs().filter(|run| !matches!(run.phase, Phase::Ended { .. })).flat_map(|run| {
            run.questions.values().filter(|question| question.is_open()).map(|q| views::escalation(run, q))
        });
        let mut all: Vec<_> = open.collect();
        all.sort_by_key(|view| view.id);
        for view in &mut all {
            self.remember(view);
        }
        all
    }

    /// Tells how the same question was answered before, and how that ended.
    pub(super) fn remember(&self, view: &mut wire::EscalationView) {
        if view.answer.is_some() || view.fingerprint.is_empty() || view.kind == "gate" {
            return;
        }
        match self.journal.read().answers_like(&view.fingerprint, view.id, MOST_BEFORE) {
            Ok(before) if before.is_empty() => {}
            Ok(before) => {
                let now = self.parts.clock.now();
                view.facts.insert(0, wire::FactView { label: "before".into(), text: told_before(&before, now) });
            }
            Err(error) => tracing::warn!("how e{} was answered before cannot be read: {error}", view.id),
        }
    }
}

/// So many answers of before are counted.
const MOST_BEFORE: usize = 20;

/// `resume by ann@host, 3d ago in digits #4: it succeeded; 4 more: retry 3x, resume 1x`.
fn told_before(before: &[Before], now: Time) -> String {
    let one = |told: &Before| {
        let ended = told.ended.as_ref().map(|ended| format!(": {ended}")).unwrap_or_default();
        format!("{} by {}, {} ago in {}{ended}", told.choice, told.by, span_words(now.since(told.at)), told.run)
    };
    let (newest, rest) = (&before[..before.len().min(1)], &before[before.len().min(1)..]);
    let mut words: Vec<String> = newest.iter().map(one).collect();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for told in rest {
        *counts.entry((told.choice.as_str(), told.ended.as_deref().unwrap_or(""))).or_default() += 1;
    }
    words.extend(counts.into_iter().map(|((choice, ended), n)| {
        let ended = if ended.is_empty() { String::new() } else { format!(" ({ended})") };
        format!("{n}x {choice}{ended}")
    }));
    words.join("; ")
}

/// A choice by its word, its beginning or its number.
fn choice_of(run: &Run, id: EscalationId, text: &str) -> Refusable<Choice> {
    let choices = run.questions.get(&id).map(|question| question.escalation.choices.clone()).unwrap_or_default();
    let by_number = text.parse::<usize>().ok().and_then(|n| choices.get(n.checked_sub(1)?).copied());
    let all = [
        Choice::Accept,
        Choice::KeepWaiting,
        Choice::Retry,
        Choice::Resume,
        Choice::Probe,
        Choice::Done,
        Choice::Skip,
        Choice::Fail,
        Choice::StopRun,
        Choice::Approve,
        Choice::Reject,
    ];
    let by_word = || choices.iter().copied().chain(all).find(|choice| run.word(*choice) == text);
    by_number.or_else(by_word).ok_or_else(|| {
        let words: Vec<String> =
            choices.iter().enumerate().map(|(n, choice)| format!("{} {}", n + 1, run.word(*choice))).collect();
        Box::new(usage(format!("{text:?} is no answer to {id}; it takes: {}", words.join(", ")), None))
    })
}
