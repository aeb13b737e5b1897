//! Attempts that stand still: folding what was seen of them, and what follows from it. The attempt lives on until a rule or
//! a person says otherwise; what became of it when it was ended is judged as any failure is. Pure.

use std::borrow::Cow;

use crate::model::{
    Action, AskWhy, AttemptId, Choice, Class, ClockOrder, Command, End, Escalation, EscalationId, EscalationKind, Exit,
    Match, Principal, Retry, Sign, Stall, Step, Time, Verdict, What,
};

use super::Run;
use super::fingerprint::fingerprint;
use super::policy;
use super::recovery::ask;
use super::state::{LaneRun, LaneState, Phase, Question, Stalled};
use super::wish::{Wish, matches};

/// The question about a lane that nobody has answered yet: it has ended, or it stands still.
pub(super) fn asking(lane: &LaneRun) -> Option<EscalationId> {
    match &lane.state {
        LaneState::Asking { escalation } => Some(*escalation),
        LaneState::Active { .. } => {
            let stalled = lane.stall.as_ref().filter(|stalled| stalled.answer.is_none());
            stalled.and_then(|stalled| stalled.asked)
        }
        LaneState::Waiting
        | LaneState::Exited { .. }
        | LaneState::Lost { .. }
        | LaneState::Probing { .. }
        | LaneState::Probed { .. }
        | LaneState::Verifying { .. }
        | LaneState::Delayed { .. }
        | LaneState::ToAsk { .. }
        | LaneState::Done { .. } => None,
    }
}

impl LaneRun {
    /// It lives, and nothing else is going on with it that a stall would have to wait for.
    pub fn may_stall(&self) -> bool {
        let lives = matches!(self.state, LaneState::Active { claimed: Some(_), stop: None, .. });
        let counts = !self.clocks.never && self.clocks.held.is_none();
        lives && counts && !self.keeping && self.attached.is_none() && self.stall.is_none()
    }
}

impl Run {
    /// The question about a lane, of one that has ended or that stands still.
    pub fn asks(&self, lane: &LaneRun) -> Option<EscalationId> {
        asking(lane)
    }

    /// It stands still, and neither a rule nor a person has had it ended: a sign of life would be news.
    pub fn may_revive(&self, lane: &LaneRun) -> bool {
        let lives = matches!(lane.state, LaneState::Active { stop: None, .. });
        let held = asking(lane).and_then(|id| self.questions.get(&id)).is_some_and(|question| question.held.is_some());
        let stands = |stalled: &Stalled| stalled.answer.is_none() && !stalled.stall.is_alert();
        lives && !held && lane.stall.as_ref().is_some_and(stands)
    }

    pub(super) fn stalled(&mut self, attempt: &AttemptId, stall: &Stall, at: Time) {
        if let Some(place) = self.active_place(attempt)
            && self.lanes[place].may_stall()
            && !self.lanes[place].knows_alert(stall)
        {
            self.note_alert(place, stall, at);
            let stall = Box::new(stall.clone());
            self.lanes[place].stall = Some(Stalled { stall, at, asked: None, answer: None });
        }
    }

    pub(super) fn revived(&mut self, attempt: &AttemptId, at: Time) {
        if let Some(place) = self.active_place(attempt)
            && self.may_revive(&self.lanes[place])
        {
            self.settle_stall(place, "it goes on by itself", at);
            self.lanes[place].stall = None;
        }
    }

    /// A question about a lane that stands still needs no answer any more.
    pub(super) fn settle_stall(&mut self, place: usize, why: &str, at: Time) {
        let asked = self.lanes[place].stall.as_ref().and_then(|stalled| stalled.asked);
        if let Some(question) = asked.and_then(|id| self.questions.get_mut(&id))
            && question.answer.is_none()
        {
            question.held = None;
            question.answer = Some((Choice::KeepWaiting, Principal::Rule, at, Some(why.into())));
        }
    }

    pub(super) fn opened_stall(&mut self, place: usize, escalation: &Escalation, at: Time) {
        let lives = matches!(self.lanes[place].state, LaneState::Active { stop: None, .. });
        let Some(stalled) = self.lanes[place].stall.as_mut().filter(|_| lives) else {
            return;
        };
        if stalled.asked.is_none() && !self.questions.contains_key(&escalation.id) {
            stalled.asked = Some(escalation.id);
            let question = Question { escalation: escalation.clone(), opened: at, answer: None, held: None };
            self.questions.insert(escalation.id, question);
        }
    }

    /// What was answered about a lane that stands still: it goes on, or is ended first.
    pub(super) fn answered_stall(&mut self, place: usize, choice: Choice, by: &Principal, at: Time) {
        let lane = &mut self.lanes[place];
        if choice == Choice::KeepWaiting {
            (lane.stall, lane.spared) = (None, Some(at));
        } else if choice == Choice::StopRun {
            lane.stall = None;
            self.stop(super::people::why_stopped(by), by);
        } else if let Some(stalled) = &mut lane.stall {
            stalled.answer = Some((choice, by.clone()));
        }
    }

    /// The answer that was waiting for the end of this attempt takes effect.
    pub(super) fn ended_as_answered(&mut self, place: usize, at: Time) {
        let asked = self.lanes[place].stall.take().and_then(|stalled| Some((stalled.asked?, stalled.answer?)));
        if let Some((id, (choice, by))) = asked {
            self.act(place, id, (choice, &by), at);
        }
    }

    /// Decisions about what stands still.
    pub(super) fn stalls(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            let (Some(stalled), LaneState::Active { stop: None, .. }) = (&lane.stall, &lane.state) else {
                continue;
            };
            let Some(attempt) = self.attempt(lane) else {
                continue;
            };
            let end = |by: &Principal| {
                let (attempt, reason, save) = (attempt.clone(), stalled.stall.reason(), self.save_signal(lane));
                let what = What::StopAsked { attempt, reason, by: by.clone(), save };
                self.record(now, what)
            };
            // Nobody's step is ended under his hands, unless he says so himself.
            match (&stalled.answer, stalled.asked) {
                (Some((_, by)), _) => out.push(end(by)),
                (None, None) if lane.attached.is_none() => match self.stall_verdict(lane, stalled, &attempt, now) {
                    Verdict::Ask { why } => {
                        let escalation = Box::new(self.stall_question(lane, stalled, *next, &why, now));
                        next.0 += 1;
                        out.push(self.record(now, What::Opened { escalation }));
                    }
                    Verdict::Succeeded
                    | Verdict::Retry { .. }
                    | Verdict::Skip { .. }
                    | Verdict::Allowed
                    | Verdict::Abort { .. }
                    | Verdict::Stopped
                    | Verdict::Answered => out.push(end(&Principal::Rule)),
                },
                (None, _) => {}
            }
        }
    }

    /// What would become of it if it were ended now.
    fn stall_verdict(&self, lane: &LaneRun, stalled: &Stalled, attempt: &AttemptId, now: Time) -> Verdict {
        let exit = Exit {
            stop: Some(stalled.stall.reason()),
            hits: stalled.stall.hits.clone(),
            tail: stalled.stall.tail.clone(),
            checkpoint: lane.checkpoint.clone(),
            diagnosis: Some(Box::new(stalled.stall.diagnosis(stalled.at))),
            ..Exit::new(End::Signal(15), lane.started.unwrap_or(stalled.at), now)
        };
        self.judge_stall(lane, &attempt.key(), &exit, now)
    }

    /// Decides about an attempt that stood still, and was ended for that.
    pub(super) fn judge_stall(&self, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
        if lane.stall.as_ref().is_some_and(|stalled| stalled.answer.is_some()) {
            return Verdict::Answered;
        }
        if matches!(self.phase, Phase::Stopping { .. }) {
            return Verdict::Stopped;
        }
        let step = self.step_of(lane);
        let alert = lane.stall.as_ref().filter(|stalled| stalled.stall.is_alert());
        let action = match alert.map(|stalled| &stalled.stall.sign) {
            Some(Sign::Alert(alerted)) => alerted.action,
            Some(Sign::Output | Sign::Progress) | None => step.wait.on_stall,
        };
        let (name, class) =
            if alert.is_some() { ("alert", Class::Divergence) } else { ("on_stall", Class::CollectiveHang) };
        match stall_wish(step, exit, (name, action, class)) {
            Some(wish) => self.granted(&wish, lane, key, exit, now),
            None => ask(None, lane.tries, step.retry.max_attempts, String::new(), None),
        }
    }

    fn stall_question(
        &self,
        lane: &LaneRun,
        stalled: &Stalled,
        id: EscalationId,
        why: &AskWhy,
        now: Time,
    ) -> Escalation {
        let stall = &stalled.stall;
        let (rule, because, proposal) = match why {
            AskWhy::Failed { rule, because, proposal, .. } => (rule.as_deref(), because.as_str(), proposal.as_deref()),
            AskWhy::Unknown(_) => (None, "", None),
        };
        let rule = rule.map(|rule| format!(", rule \"{rule}\"")).unwrap_or_default();
        let because = if because.is_empty() { String::new() } else { format!("; not ended by itself: {because}") };
        let mut evidence = vec![
            format!("attempt {} lives and goes on until you choose{rule}{because}", lane.n),
            stall.diagnosis(stalled.at).explanation,
        ];
        if !stall.is_alert() {
            evidence.push(format!("asked after {}", crate::model::span_words(stall.limit)));
        }
        evidence.extend(super::escalation::checkpoint_line(lane));
        evidence.extend(stall.tail.iter().map(|line| format!("| {line}")));
        let stands = if stall.is_alert() { "" } else { " stands still" };
        let title = format!("{}{stands}: {}", self.lane_name(&lane.id), stall.words(now));
        let mut asked = self.escalation(lane, id, EscalationKind::Stalled, title, evidence);
        asked.choices.insert(0, Choice::KeepWaiting);
        let fingerprint = match &stall.sign {
            Sign::Alert(alerted) => fingerprint(EscalationKind::Stalled, &lane.id.step, Some("alert"), &alerted.when),
            Sign::Output | Sign::Progress => fingerprint(EscalationKind::Stalled, &lane.id.step, None, "stands still"),
        };
        let asked = super::escalation::offering(Escalation { fingerprint, ..asked }, proposal);
        self.timed(lane, asked, now)
    }
}

/// What is to be done about a stall: `on_stall`, else the first rule that says what it is for. Nothing that is said of all
/// failures holds: what lives may be well.
fn stall_wish<'w>(
    step: &'w Step,
    exit: &Exit,
    (name, action, class): (&str, Option<Action>, Class),
) -> Option<Wish<'w>> {
    if let Some(action) = action {
        let default = policy::of_class(Class::CollectiveHang);
        let own = if step.retry_said { None } else { default };
        let (by_progress, once) = own.as_ref().map_or((false, false), |policy| (policy.by_progress, policy.once));
        return Some(Wish {
            name: name.into(),
            action,
            retry: own.map_or(Cow::Borrowed(&step.retry), |policy| Cow::Owned(policy.retry)),
            budget: name.into(),
            rule: None,
            by_progress,
            once,
            by_print: false,
        });
    }
    let said = |rule: &Match| !rule.class.is_empty() || rule.output.is_some();
    let rules = step.on_failure.iter().enumerate().filter(|(_, rule)| said(&rule.matcher));
    let (_, rule) = rules.into_iter().find(|(place, rule)| matches(*place, rule, exit, class))?;
    let retry: Cow<'w, Retry> = Cow::Borrowed(rule.retry.as_ref().unwrap_or(&step.retry));
    Some(Wish {
        name: rule.name.clone(),
        action: rule.action,
        retry,
        budget: format!("rule {}", rule.name),
        rule: Some(rule),
        by_progress: false,
        once: false,
        by_print: false,
    })
}

/// What was said about clocks, in words.
pub fn clock_words(order: ClockOrder) -> String {
    match order {
        ClockOrder::More(span) => format!("{} more", crate::model::span_words(span)),
        ClockOrder::Hold => "its clocks are held".into(),
        ClockOrder::GoOn => "its clocks go on".into(),
        ClockOrder::NeverStall => "no silence of it is a stall".into(),
    }
}
