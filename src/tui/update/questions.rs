//! Questions: which prompt opens, what its keys do but to answer, and what happens when somebody else was faster. Decides
//! nothing: the engine says who was first.

use crossterm::event::KeyEvent;

use super::answers::{choose, over_words};
use crate::faces::words::span;
use crate::tui::keys::{Action, Place};
use crate::tui::message::{Effect, LiveKind, Purpose};
use crate::tui::model::{Aside, LaneKey, Model, Note};
use crate::tui::panel::sheet::About;
use crate::tui::panel::{Field, Panel, Prompt, Sheet, log, prompt};
use crate::wire::client::{Ask, EscalationView};

/// So long after somebody else was faster keys mean nothing.
const CLOSED_MS: i64 = 700;
/// So long `n` passes over a question that was snoozed.
pub const SNOOZE_MS: i64 = 30 * 60_000;

/// Opens the prompt of a question; one that is open gives way. A question of another run brings that run to the screen, and
/// the one that was looked at is back when no question is open any more.
pub(super) fn open(model: &mut Model, id: u64) -> Vec<Effect> {
    let Some(run) = model.question(id).map(|asked| asked.run.clone()) else {
        model.say("this question was answered meanwhile");
        return Vec::new();
    };
    model.panels.retain(|panel| !matches!(panel, Panel::Prompt(_)));
    let Note { note, draft } = model.notes.get(&id).cloned().unwrap_or_default();
    model.panels.push(Panel::Prompt(Prompt { note, draft, ..Prompt::new(id, model.now_ms) }));
    let here = model.run.as_ref().map(|view| view.line.id.clone());
    if model.aside.is_none() && here.as_ref() == Some(&run) {
        return Vec::new();
    }
    if model.aside.is_none() {
        model.aside =
            here.map(|run| Aside { run, selected: model.selected.clone(), chosen: model.chosen, over: false });
    }
    vec![Effect::Watch { run }]
}

/// No question is open any more: the run from before is looked at again, unless another was chosen meanwhile.
pub(super) fn look_back(model: &mut Model, effects: &mut Vec<Effect>) {
    let still = model.attached.is_some() || model.panels.iter().any(|panel| matches!(panel, Panel::Prompt(_)));
    let Some(aside) = model.aside.as_mut().filter(|aside| !still && !aside.over) else {
        return;
    };
    if effects.iter().any(|effect| matches!(effect, Effect::Watch { .. })) {
        model.aside = None;
        return;
    }
    aside.over = true;
    effects.push(Effect::Watch { run: aside.run.clone() });
}

/// The next question after the one that is open, or the most urgent. One that was snoozed is passed over.
pub(super) fn next(model: &mut Model, back: bool) -> Vec<Effect> {
    let here = opened(model);
    let awake = |id: u64| Some(id) == here || model.snoozed_until(id).is_none();
    let ids: Vec<u64> = model.questions().iter().map(|asked| asked.id).filter(|id| awake(*id)).collect();
    let here = here.and_then(|open| ids.iter().position(|id| *id == open));
    let there = match (here, back) {
        (Some(here), false) => (here + 1) % ids.len(),
        (Some(here), true) => (here + ids.len() - 1) % ids.len(),
        (None, false) => 0,
        (None, true) => ids.len().saturating_sub(1),
    };
    match ids.get(there) {
        Some(id) => open(model, *id),
        None => Vec::new(),
    }
}

/// The question whose prompt is open.
fn opened(model: &Model) -> Option<u64> {
    model.panels.iter().rev().find_map(|panel| if let Panel::Prompt(prompt) = panel { Some(prompt.id) } else { None })
}

/// Why `n` goes nowhere.
pub(super) fn next_allowed(model: &Model) -> Result<(), String> {
    let open = opened(model);
    if model.awake().iter().any(|asked| Some(asked.id) != open) {
        return Ok(());
    }
    let snoozed = model.questions().iter().filter(|asked| model.snoozed_until(asked.id).is_some()).count();
    Err(match (open, snoozed) {
        (Some(_), _) => "no other question needs you".into(),
        (None, 0) => "nothing needs you".into(),
        (None, n) => {
            let key = model.manner.keys.words_of(Place::Any, Action::Inbox);
            format!("nothing needs you now; {n} snoozed: {key} lists what is open")
        }
    })
}

/// Why an action makes no sense in this prompt; `None`: it is none of the prompt's own.
#[expect(clippy::wildcard_enum_match_arm, reason = "a prompt names only the actions that are its own")]
pub(super) fn allowed(model: &Model, prompt: &Prompt, action: Action) -> Option<Result<(), String>> {
    let asked = model.question(prompt.id);
    let some = |yes: bool, why: &str| Some(if yes { Ok(()) } else { Err(why.to_owned()) });
    match action {
        Action::Choose | Action::Accept | Action::Comment | Action::SameForAll | Action::SameForRun
            if model.manner.readonly =>
        {
            some(false, "this screen is read-only: answer from another one")
        }
        Action::SameForAll => some(
            prompt.all || asked.is_some_and(|asked| model.same_in_run(asked).len() > 1),
            "no other open question of this run is like this one",
        ),
        Action::SameForRun => some(
            asked.is_some_and(|asked| asked.kind == "failed" && !asked.fingerprint.is_empty()),
            "this is asked each time: only what is done about a failure can be the same for the run",
        ),
        Action::Shell | Action::Log => some(
            asked.is_some_and(|asked| asked.kind != "gate" && (action == Action::Shell || asked.attempt.is_some())),
            "nothing has run: there is no log, and an approval has no place of its own",
        ),
        Action::Compare => some(
            compared(model, prompt.id).is_some(),
            "no earlier run of this name was good: there is nothing to compare",
        ),
        Action::ShowRule => some(
            rule_of(model, prompt).is_some(),
            "no rule can answer so: mark a choice like retry, resume or skip first",
        ),
        Action::Choose | Action::Accept | Action::Comment | Action::Snooze => some(true, ""),
        _ => None,
    }
}

/// A key while a prompt is the innermost panel.
#[expect(clippy::wildcard_enum_match_arm, reason = "a prompt names only the actions that are its own")]
pub(in crate::tui) fn key(model: &mut Model, mut prompt: Prompt, key: KeyEvent) -> Vec<Effect> {
    if prompt.guard.deaf(model.now_ms) {
        model.panels.push(Panel::Prompt(prompt));
        return Vec::new();
    }
    if prompt.writing.is_some() {
        writing(model, &mut prompt, key);
        keep(model, &prompt);
        model.panels.push(Panel::Prompt(prompt));
        return Vec::new();
    }
    let Some((action, nth)) = model.manner.keys.pressed(Place::Prompt, key) else {
        model.panels.push(Panel::Prompt(prompt));
        return Vec::new();
    };
    model.panels.push(Panel::Prompt(prompt.clone()));
    if let Err(why) = super::step::allowed(model, &model.panels, action) {
        model.complain(why);
        return Vec::new();
    }
    match action {
        Action::Choose => choose(model, &prompt, nth),
        Action::Accept => choose(model, &prompt, prompt.cursor),
        Action::Back | Action::Leave => {
            model.panels.pop();
            Vec::new()
        }
        Action::Snooze => snooze(model, prompt.id),
        Action::Shell => shell(model, prompt.id),
        Action::Log => log_of(model, prompt.id),
        Action::Compare => compare(model, prompt.id),
        Action::ShowRule => show_rule(model, &prompt),
        Action::Up
        | Action::Down
        | Action::Top
        | Action::Bottom
        | Action::Comment
        | Action::SameForAll
        | Action::SameForRun => {
            model.panels.pop();
            stay(model, &mut prompt, action);
            model.panels.push(Panel::Prompt(prompt));
            Vec::new()
        }
        other => super::act(model, other),
    }
}

/// What changes only the prompt itself.
#[expect(clippy::wildcard_enum_match_arm, reason = "only the actions that change nothing but the prompt")]
fn stay(model: &Model, prompt: &mut Prompt, action: Action) {
    let last = model.question(prompt.id).map_or(0, |asked| prompt::offers(asked).len() - 1);
    match action {
        Action::Up => prompt.cursor = prompt.cursor.saturating_sub(1),
        Action::Down => prompt.cursor = (prompt.cursor + 1).min(last),
        Action::Top => prompt.cursor = 0,
        Action::Bottom => prompt.cursor = last,
        Action::Comment => {
            let text = prompt.draft.as_ref().or(prompt.note.as_ref());
            prompt.writing = Some(Field::new(text.map_or("", String::as_str)));
        }
        Action::SameForAll => prompt.all = !prompt.all,
        Action::SameForRun => prompt.lasting = !prompt.lasting,
        _ => {}
    }
}

/// A key for the note. One that is left unfinished is not sent, and goes on where it was.
fn writing(model: &Model, prompt: &mut Prompt, key: KeyEvent) {
    let text = prompt.writing.as_ref().map(|field| field.text().trim().to_owned()).filter(|text| !text.is_empty());
    match model.manner.keys.action(Place::Text, key) {
        Some(Action::Accept) => (prompt.note, prompt.draft, prompt.writing) = (text, None, None),
        Some(Action::Back) => {
            prompt.draft = text.filter(|text| Some(text) != prompt.note.as_ref());
            prompt.writing = None;
        }
        Some(_) | None => {
            if let Some(line) = &mut prompt.writing {
                line.key(key);
            }
        }
    }
}

/// What was written for a question is there again when its prompt is.
fn keep(model: &mut Model, prompt: &Prompt) {
    let (note, draft) = (prompt.note.clone(), prompt.draft.clone());
    if note.is_none() && draft.is_none() {
        model.notes.remove(&prompt.id);
    } else {
        model.notes.insert(prompt.id, Note { note, draft });
    }
}

fn snooze(model: &mut Model, id: u64) -> Vec<Effect> {
    model.panels.pop();
    let now = model.now_ms;
    model.snoozed.retain(|_, until| *until > now);
    model.snoozed.insert(id, now + SNOOZE_MS);
    let next = model.manner.keys.words_of(Place::Any, Action::NextQuestion);
    let deadline = model.question(id).and_then(|asked| asked.deadline_ms);
    let runs_on = deadline.map(|at| format!("; its own time runs on: {}", span(at - now))).unwrap_or_default();
    model.say(format!("snoozed: {next} passes over it for {}{runs_on}", span(SNOOZE_MS)));
    Vec::new()
}

/// A shell beside the step that is asked about; letting go of it comes back to the prompt.
fn shell(model: &mut Model, id: u64) -> Vec<Effect> {
    let Some(lane) = model.question(id).map(|asked| LaneKey { run: asked.run.clone(), name: asked.step.clone() })
    else {
        return Vec::new();
    };
    super::attach::begin(model, lane, LiveKind::Shell, false)
}

/// The last good run before the one that is asked about, and that one.
fn compared(model: &Model, id: u64) -> Option<(String, String)> {
    let asked = model.question(id)?;
    let here = model.runs.iter().find(|line| line.id == asked.run)?;
    Some((model.good_before(here)?.id.clone(), here.id.clone()))
}

/// The rule that would always give the marked answer, with the word of the answer.
fn rule_of(model: &Model, prompt: &Prompt) -> Option<(String, String)> {
    match prompt::offers(model.question(prompt.id)?).get(prompt.cursor)? {
        prompt::Offer::One(choice) => Some((choice.word.clone(), choice.rule.clone()?)),
        prompt::Offer::Later | prompt::Offer::Back(_) => None,
    }
}

/// Shows the rule and copies it; Esc comes back to the prompt.
fn show_rule(model: &mut Model, prompt: &Prompt) -> Vec<Effect> {
    let Some((word, rule)) = rule_of(model, prompt) else {
        return Vec::new();
    };
    let title = format!("The rule that always answers {word}");
    let about = About::Words { title, text: rule.clone() };
    model.panels.push(Panel::Sheet(Sheet { about, top: 0 }));
    vec![Effect::Copy(rule)]
}

/// What has changed since the last run that was good; Esc comes back to the prompt.
fn compare(model: &mut Model, id: u64) -> Vec<Effect> {
    if let Some((older, newer)) = compared(model, id) {
        model.panels.push(Panel::Sheet(Sheet { about: About::Runs(older, newer), top: 0 }));
    }
    Vec::new()
}

/// The whole log of the attempt that is asked about, at the line that the rule matched; Esc comes back to the prompt.
fn log_of(model: &mut Model, id: u64) -> Vec<Effect> {
    let Some(asked) = model.question(id) else {
        return Vec::new();
    };
    let lane = LaneKey { run: asked.run.clone(), name: asked.step.clone() };
    let pattern = prompt::matched_text(asked).map(|text| regex::escape(&text)).unwrap_or_default();
    log::open(model, lane, asked.attempt, &pattern)
}

/// What the engine says of questions now. A prompt whose question is answered closes, and says who was faster; a text
/// that is being typed stays, so that its letters do not become keys: the engine refuses the answer then.
pub(super) fn over(model: &mut Model, fresh: &[EscalationView], complete: bool) -> Vec<Effect> {
    let Some(id) = opened(model) else {
        return Vec::new();
    };
    let words = match fresh.iter().find(|asked| asked.id == id) {
        Some(asked) => match over_words(asked) {
            Some(words) => words,
            None => return Vec::new(),
        },
        None if !complete => return Vec::new(),
        None => model.question(id).and_then(over_words).unwrap_or_default(),
    };
    let listened = model.panels.len();
    match model.panels.last() {
        Some(Panel::Menu(_)) => {
            let place = model.panels.iter().position(|panel| matches!(panel, Panel::Prompt(_)));
            model.panels.truncate(place.unwrap_or(0));
        }
        Some(top) if top.place() == Place::Text => {}
        Some(_) | None => model.panels.retain(|panel| !matches!(panel, Panel::Prompt(_))),
    }
    if model.panels.len() < listened {
        // A digit that was meant for it is no view.
        model.deaf_until_ms = model.now_ms + CLOSED_MS;
    }
    if words.is_empty() {
        model.complain(format!("e{id} was answered meanwhile"));
        return vec![Effect::Ask { why: Purpose::Over { id }, ask: Box::new(Ask::Escalation { id }) }];
    }
    model.complain(words);
    Vec::new()
}
