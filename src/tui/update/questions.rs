//! Questions and answers: which prompt opens, what a choice sends, taking back, several at once, and what happens when
//! somebody else was faster. Decides nothing: the engine takes an answer or refuses it, and says who was first.

use crossterm::event::KeyEvent;

use super::batch;
use crate::faces::words::span;
use crate::tui::draw::{clean, middle};
use crate::tui::keys::{Action, Place};
use crate::tui::message::{Effect, LiveKind, Purpose};
use crate::tui::model::{LaneKey, Model, Undo};
use crate::tui::panel::menu::Item;
use crate::tui::panel::prompt::Offer;
use crate::tui::panel::sheet::About;
use crate::tui::panel::{Confirm, Field, Menu, Panel, Prompt, Sheet, log, prompt};
use crate::wire::client::{Ask, ChoiceView, EscalationView, Strength};

/// So long an answer can be taken back before it takes effect.
pub const HOLD_MS: u64 = 5_000;
/// So long `n` passes over a question that was snoozed.
pub const SNOOZE_MS: i64 = 30 * 60_000;

/// Opens the prompt of a question; one that is open gives way. A question of another run brings that run to the screen.
pub(super) fn open(model: &mut Model, id: u64) -> Vec<Effect> {
    let Some(run) = model.question(id).map(|asked| asked.run.clone()) else {
        model.say("this question was answered meanwhile");
        return Vec::new();
    };
    model.panels.retain(|panel| !matches!(panel, Panel::Prompt(_)));
    model.panels.push(Panel::Prompt(Prompt::new(id, model.now_ms)));
    if model.run.as_ref().is_some_and(|view| view.line.id == run) {
        return Vec::new();
    }
    vec![Effect::Watch { run }]
}

/// The next question after the one that is open, or the most urgent.
pub(super) fn next(model: &mut Model, back: bool) -> Vec<Effect> {
    let ids: Vec<u64> = model.awake().iter().map(|asked| asked.id).collect();
    let here = opened(model).and_then(|open| ids.iter().position(|id| *id == open));
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
        Action::Choose | Action::Accept | Action::Comment | Action::SameForAll if model.manner.readonly => {
            some(false, "this screen is read-only: answer from another one")
        }
        Action::SameForAll => some(
            prompt.all || asked.is_some_and(|asked| model.same_in_run(asked).len() > 1),
            "no other open question of this run is like this one",
        ),
        Action::Shell | Action::Log => some(
            asked.is_some_and(|asked| asked.kind != "gate" && (action == Action::Shell || asked.attempt.is_some())),
            "nothing has run: there is no log, and an approval has no place of its own",
        ),
        Action::Compare => some(
            compared(model, prompt.id).is_some(),
            "no earlier run of this name was good: there is nothing to compare",
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
        Action::Up | Action::Down | Action::Top | Action::Bottom | Action::Comment | Action::SameForAll => {
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
        Action::Comment => prompt.writing = Some(Field::new(prompt.note.as_deref().unwrap_or(""))),
        Action::SameForAll => prompt.all = !prompt.all,
        _ => {}
    }
}

/// A key for the note.
fn writing(model: &Model, prompt: &mut Prompt, key: KeyEvent) {
    match model.manner.keys.action(Place::Text, key) {
        Some(Action::Accept) => {
            let text = prompt.writing.take().map(|field| field.text().trim().to_owned());
            prompt.note = text.filter(|text| !text.is_empty());
        }
        Some(Action::Back) => prompt.writing = None,
        Some(_) | None => {
            if let Some(line) = &mut prompt.writing {
                line.key(key);
            }
        }
    }
}

/// Takes the choice with this number on the screen.
fn choose(model: &mut Model, prompt: &Prompt, place: usize) -> Vec<Effect> {
    let Some(asked) = model.question(prompt.id).filter(|asked| asked.answer.is_none() && asked.held.is_none()).cloned()
    else {
        let over = model.question(prompt.id).and_then(over_words);
        model.panels.pop();
        model.complain(over.unwrap_or_else(|| "this question was answered meanwhile".into()));
        return Vec::new();
    };
    let targets: Vec<EscalationView> =
        if prompt.all { model.same_in_run(&asked).into_iter().cloned().collect() } else { vec![asked.clone()] };
    let choice = match prompt::offers(&asked).into_iter().nth(place) {
        None => return Vec::new(),
        Some(Offer::Later) => {
            model.panels.pop();
            return later(model, &targets);
        }
        Some(Offer::Back(_)) if prompt.all => {
            model.complain("send back is not for several at once: answer them one by one");
            return Vec::new();
        }
        Some(Offer::Back(steps)) => {
            model.panels.push(Panel::Menu(send_back(&asked, &steps, prompt.note.as_ref(), model.now_ms)));
            return Vec::new();
        }
        Some(Offer::One(choice)) => choice,
    };
    if prompt.all {
        return batch::summary(model, &targets, choice, prompt.note.as_ref());
    }
    let effect = decide(asked.id, &choice.word, prompt.note.clone());
    match choice.strength {
        Strength::Key => {
            let effects = vec![effect];
            sent(model, &effects);
            effects
        }
        Strength::Summary => {
            model.panels.push(Panel::Menu(summary(&asked, choice, effect, model.now_ms)));
            Vec::new()
        }
        Strength::Typed => {
            model.panels.push(Panel::Confirm(confirm(&asked, choice, effect)));
            Vec::new()
        }
    }
}

/// The request that answers a question.
pub(super) fn decide(id: u64, choice: &str, note: Option<String>) -> Effect {
    let ask = Ask::Decide { id, choice: choice.to_owned(), note, hold_ms: HOLD_MS };
    Effect::Ask { why: Purpose::Decide { id }, ask: Box::new(ask) }
}

fn summary(asked: &EscalationView, choice: &ChoiceView, effect: Effect, now_ms: i64) -> Menu {
    let items = vec![Item::nothing("no", "nothing is decided"), Item::new(&choice.word, &choice.effect, effect)];
    Menu::new(format!("{}: {}?", asked.step, choice.word), vec![asked.title.clone()], items, now_ms)
}

/// Which step to send back to.
fn send_back(asked: &EscalationView, steps: &[&ChoiceView], note: Option<&String>, now_ms: i64) -> Menu {
    let mut items = vec![Item::nothing("no", "nothing is decided")];
    items.extend(steps.iter().map(|choice| {
        let effect = decide(asked.id, &choice.word, note.cloned());
        Item::new(choice.back_to().unwrap_or_default(), &choice.effect, effect)
    }));
    let mut words = vec![asked.title.clone()];
    words.extend(note.map(|note| format!("note: {note}")));
    Menu::new(format!("{}: send back to", asked.step), words, items, now_ms)
}

fn confirm(asked: &EscalationView, choice: &ChoiceView, effect: Effect) -> Confirm {
    Confirm {
        title: format!("{} · {}", choice.word, asked.run_name),
        words: vec![choice.effect.clone(), asked.title.clone()],
        name: prompt::run_word(asked).to_owned(),
        typed: Field::default(),
        does: effect,
    }
}

/// Everything stays as it is; deadlines that exist begin anew.
pub(super) fn later(model: &mut Model, targets: &[EscalationView]) -> Vec<Effect> {
    let timed: Vec<u64> = targets.iter().filter(|asked| asked.deadline_ms.is_some()).map(|asked| asked.id).collect();
    if timed.is_empty() {
        let key = model.manner.keys.words_of(Place::Any, Action::NextQuestion);
        model.say(format!("nothing is changed; {key} asks again"));
    }
    timed.into_iter().map(|id| Effect::tell(Ask::Later { id })).collect()
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
    super::step::begin(model, lane.clone(), LiveKind::Shell);
    vec![Effect::OpenLive { lane, kind: LiveKind::Shell, take_over: false }]
}

/// The last good run before the one that is asked about, and that one.
fn compared(model: &Model, id: u64) -> Option<(String, String)> {
    let asked = model.question(id)?;
    let here = model.runs.iter().find(|line| line.id == asked.run)?;
    Some((model.good_before(here)?.id.clone(), here.id.clone()))
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

/// Answers were sent: their prompts close, and for a while they can be taken back.
pub(super) fn sent(model: &mut Model, effects: &[Effect]) {
    let mut ids = Vec::new();
    let mut word = None;
    for effect in effects {
        if let Effect::Ask { why: Purpose::Decide { id }, ask } = effect
            && let Ask::Decide { choice, .. } = &**ask
        {
            ids.push(*id);
            word = word.or(Some(choice.clone()));
        }
    }
    let Some(word) = word else {
        return;
    };
    let receipt = receipt(model, &ids, &word);
    model.panels.retain(|panel| !matches!(panel, Panel::Prompt(prompt) if ids.contains(&prompt.id)));
    model.marked_questions.retain(|id| !ids.contains(id));
    let hold = i64::try_from(HOLD_MS).unwrap_or(i64::MAX);
    model.undo = Some(Undo { ids, until_ms: model.now_ms + hold });
    model.say(receipt);
}

/// What was sent, in a line that fits: what, when, how to take it back.
fn receipt(model: &Model, ids: &[u64], word: &str) -> String {
    let keys = &model.manner.keys;
    let key = keys.words_of(Place::Any, Action::Undo);
    let paused = |run: &str| {
        let looked_at = model.run.iter().map(|run| &run.line);
        model.runs.iter().chain(looked_at).filter(|line| line.id == run).any(|line| line.paused)
    };
    let starts = if ids.iter().filter_map(|id| model.question(*id)).any(|asked| paused(&asked.run)) {
        format!("the run is paused: {} lets it go on; {key} undoes", keys.words_of(Place::Any, Action::Pause))
    } else {
        format!("starts in {}; {key} undoes", span(i64::try_from(HOLD_MS).unwrap_or(0)))
    };
    let [id] = ids else {
        return format!("{word} for {} questions, {starts}", ids.len());
    };
    let asked = model.question(*id);
    let effect = asked.and_then(|asked| asked.choices.iter().find(|choice| choice.word == word));
    let first = effect.and_then(|choice| choice.effect.split(';').next()).unwrap_or("");
    let room = usize::from(model.size.columns).saturating_sub(word.len() + starts.len() + 6).max(12);
    format!("{word}: {}, {starts}", middle(&clean(first), room))
}

/// Takes back what was answered from here last.
pub(super) fn undo(model: &mut Model) -> Vec<Effect> {
    let ids = model.undo.take().map(|undo| undo.ids).unwrap_or_default();
    let ask = |id| Effect::Ask { why: Purpose::Undo { id }, ask: Box::new(Ask::Undo { id }) };
    ids.into_iter().map(ask).collect()
}

/// The engine did not take an answer: there is nothing to take back of it.
pub(super) fn refused(model: &mut Model, id: u64) {
    if let Some(undo) = &mut model.undo {
        undo.ids.retain(|one| *one != id);
    }
    model.undo.take_if(|undo| undo.ids.is_empty());
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
    match model.panels.last() {
        Some(Panel::Menu(_)) => {
            let place = model.panels.iter().position(|panel| matches!(panel, Panel::Prompt(_)));
            model.panels.truncate(place.unwrap_or(0));
        }
        Some(top) if top.place() == Place::Text => {}
        Some(_) | None => model.panels.retain(|panel| !matches!(panel, Panel::Prompt(_))),
    }
    if words.is_empty() {
        model.complain(format!("e{id} was answered meanwhile"));
        return vec![Effect::Ask { why: Purpose::Over { id }, ask: Box::new(Ask::Escalation { id }) }];
    }
    model.complain(words);
    Vec::new()
}

/// `train: answered retry by ops@host`; `None` while it is open.
pub(super) fn over_words(asked: &EscalationView) -> Option<String> {
    let (choice, by) = match (&asked.answer, &asked.held) {
        (Some(answer), _) => (&answer.choice, &answer.by),
        (None, Some(held)) => (&held.choice, &held.by),
        (None, None) => return None,
    };
    Some(format!("{}: answered {choice} by {by}", asked.step))
}
