//! Answers: what a choice sends, what is asked once more, the receipt, taking back, and what the engine did not take.
//! Decides nothing: the engine takes an answer or refuses it.

use super::batch;
use crate::faces::words::span;
use crate::tui::draw::{clean, middle};
use crate::tui::keys::{Action, Place};
use crate::tui::message::{Effect, Purpose};
use crate::tui::model::{Model, Sent, Undo};
use crate::tui::panel::menu::Item;
use crate::tui::panel::prompt::Offer;
use crate::tui::panel::{Confirm, Field, Guard, Menu, Panel, Prompt, prompt};
use crate::wire::client::{Ask, ChoiceView, EscalationView, Strength};

/// So long an answer can be taken back before it takes effect.
pub const HOLD_MS: u64 = 5_000;

/// Takes the choice with this number on the screen.
pub(super) fn choose(model: &mut Model, prompt: &Prompt, place: usize) -> Vec<Effect> {
    let Some(asked) = model.question(prompt.id).filter(|asked| asked.answer.is_none() && asked.held.is_none()).cloned()
    else {
        let over = model.question(prompt.id).and_then(over_words);
        model.panels.pop();
        model.complain(over.unwrap_or_else(|| "this question was answered meanwhile".into()));
        return Vec::new();
    };
    let several = prompt.all || prompt.lasting;
    let targets: Vec<EscalationView> =
        if several { model.same_in_run(&asked).into_iter().cloned().collect() } else { vec![asked.clone()] };
    let choice = match prompt::offers(&asked).into_iter().nth(place) {
        None => return Vec::new(),
        Some(Offer::Later) => {
            model.panels.pop();
            return later(model, &targets);
        }
        Some(Offer::Back(_)) if several => {
            model.complain("send back is not for several at once: answer them one by one");
            return Vec::new();
        }
        Some(Offer::Back(steps)) => {
            model.panels.push(Panel::Menu(send_back(&asked, &steps, prompt.note.as_ref(), model.now_ms)));
            return Vec::new();
        }
        Some(Offer::One(choice)) => choice,
    };
    let answer = Answer { choice: choice.word.clone(), note: prompt.note.clone(), lasting: prompt.lasting };
    if several && targets.len() > 1 {
        return batch::summary(model, &targets, choice, &answer);
    }
    let effect = answer.to(asked.id);
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

/// An answer, whatever the question.
pub(super) struct Answer {
    pub(super) choice: String,
    pub(super) note: Option<String>,
    /// It holds for the same failure in the rest of the run.
    pub(super) lasting: bool,
}

impl Answer {
    /// The request that gives it to a question.
    pub(super) fn to(&self, id: u64) -> Effect {
        let (choice, note) = (self.choice.clone(), self.note.clone());
        let ask = Ask::Decide { id, choice, note, hold_ms: HOLD_MS, lasting: self.lasting };
        Effect::Ask { why: Purpose::Decide { id }, ask: Box::new(ask) }
    }
}

fn summary(asked: &EscalationView, choice: &ChoiceView, effect: Effect, now_ms: i64) -> Menu {
    let items = vec![Item::nothing("no", "nothing is decided"), Item::new(&choice.word, &choice.effect, effect)];
    Menu::new(format!("{}: {}?", asked.step, choice.word), vec![asked.title.clone()], items, now_ms)
}

/// Which step to send back to.
fn send_back(asked: &EscalationView, steps: &[&ChoiceView], note: Option<&String>, now_ms: i64) -> Menu {
    let mut items = vec![Item::nothing("no", "nothing is decided")];
    items.extend(steps.iter().map(|choice| {
        let effect = Answer { choice: choice.word.clone(), note: note.cloned(), lasting: false }.to(asked.id);
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
    for id in &ids {
        let prompt = model.panels.iter().find_map(|panel| match panel {
            Panel::Prompt(prompt) if prompt.id == *id => Some(prompt.clone()),
            _ => None,
        });
        model.sent.insert(*id, Sent { prompt, marked: model.marked_questions.contains(id) });
    }
    model.panels.retain(|panel| !matches!(panel, Panel::Prompt(prompt) if ids.contains(&prompt.id)));
    model.marked_questions.retain(|id| !ids.contains(id));
    let until_ms = model.now_ms + i64::try_from(HOLD_MS).unwrap_or(i64::MAX);
    model.undo = Some(Undo { ids, until_ms });
    model.say_until(receipt, until_ms);
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

/// The engine took an answer: what was written for it is done with.
pub(super) fn taken(model: &mut Model, id: u64) {
    model.sent.remove(&id);
    model.notes.remove(&id);
}

/// The engine did not take an answer: there is nothing to take back of it, and where the question is still open its prompt
/// is there again with what was written. It never opens over something else.
pub(super) fn refused(model: &mut Model, id: u64) {
    if let Some(undo) = &mut model.undo {
        undo.ids.retain(|one| *one != id);
    }
    model.undo.take_if(|undo| undo.ids.is_empty());
    let Some(sent) = model.sent.remove(&id) else {
        return;
    };
    let open = model.question(id).is_some_and(|asked| asked.answer.is_none() && asked.held.is_none());
    if open && sent.marked {
        model.marked_questions.insert(id);
    }
    if let Some(prompt) = sent.prompt.filter(|_| open && model.panels.is_empty() && model.attached.is_none()) {
        model.panels.push(Panel::Prompt(Prompt { guard: Guard::new(model.now_ms), ..prompt }));
    }
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
