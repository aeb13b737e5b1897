//! Questions: `inbox`, `show`, `decide`, `approve`, `reject`, and asking the person who follows a run.

use super::{Ended, run_view};
use crate::cli::Face;
use crate::cli::args::{GateArgs, escalation};
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style, lists, question};
use crate::client::{Client, Error};
use crate::clock::wall_ms;
use crate::wire::client::{Ask, EscalationView, Reply, StepView, Strength};

/// `inbox`.
pub(super) fn inbox(face: &Face) -> Ended {
    let mut client = face.engine()?;
    let Reply::Inbox(questions) = client.ask(Ask::Inbox)? else {
        return Err(Failure::unexpected("inbox"));
    };
    if face.screen.json {
        for question in &questions {
            face.screen.json_line("escalation", question)?;
        }
        return Ok(Exit::Good);
    }
    if questions.is_empty() {
        face.screen.note("no questions: nothing waits for you");
        return Ok(Exit::Good);
    }
    let mut rows = lists::inbox(&questions, wall_ms(), &face.screen.look());
    rows.push(Row::new().add(Style::Dim, "next: ").text(&format!("dogwatch show e{}", questions[0].id)));
    face.screen.rows(&rows)?;
    Ok(Exit::Good)
}

/// `show`.
pub(super) fn show(face: &Face, id: u64) -> Ended {
    let mut client = face.engine()?;
    let asked = ask(&mut client, id)?;
    present(face, &asked)?;
    Ok(Exit::Good)
}

/// The whole question, as a result.
pub(super) fn present(face: &Face, asked: &EscalationView) -> Result<(), Failure> {
    if face.screen.json {
        return face.screen.json_line("escalation", asked);
    }
    face.screen.rows(&question::question(asked, wall_ms(), &face.screen.look()))
}

fn ask(client: &mut Client, id: u64) -> Result<EscalationView, Failure> {
    let Reply::Escalation(asked) = client.ask(Ask::Escalation { id })? else {
        return Err(Failure::unexpected("show"));
    };
    Ok(asked)
}

/// What goes with an answer.
pub(super) struct With {
    pub(super) note: Option<String>,
    /// It holds for the same failure in the rest of the run.
    pub(super) lasting: bool,
}

/// `decide`.
pub(super) fn decide(face: &Face, id: u64, choice: &str, with: With, confirm: Option<&str>) -> Ended {
    let mut client = face.engine()?;
    let asked = ask(&mut client, id)?;
    let word = chosen(&asked, choice)?;
    confirmed(face, &asked, &word, confirm)?;
    tell(face, &mut client, id, word, with)
}

/// `decide --as-rule`: the rule that would always answer so, for the workflow file. Decides nothing.
pub(super) fn as_rule(face: &Face, id: u64, choice: &str) -> Ended {
    let mut client = face.engine()?;
    let asked = ask(&mut client, id)?;
    let word = chosen(&asked, choice)?;
    let rule = asked.choices.iter().find(|known| known.word == word).and_then(|known| known.rule.as_ref());
    let Some(rule) = rule else {
        let with: Vec<&str> =
            asked.choices.iter().filter(|known| known.rule.is_some()).map(|known| known.word.as_str()).collect();
        let hint = if with.is_empty() { "this question has none".into() } else { format!("try: {}", with.join(", ")) };
        return Err(Failure::usage(format!("no rule can answer {word} to e{id}"), hint));
    };
    face.screen.write(rule)?;
    Ok(Exit::Good)
}

/// `decide --all-like-this`: each open question of the run with the same fingerprint, one after the other.
pub(super) fn decide_all(face: &Face, id: u64, choice: &str, with: &With) -> Ended {
    let mut client = face.engine()?;
    let asked = ask(&mut client, id)?;
    let word = chosen(&asked, choice)?;
    if asked.choices.iter().any(|known| known.word == word && known.strength == Strength::Typed) {
        let words = format!("{word} is never the answer to several questions at once");
        return Err(Failure::usage(words, format!("answer each by itself: dogwatch decide e{id} {word}")));
    }
    let view = run_view(&mut client, asked.run.clone())?;
    let same = |other: &&EscalationView| {
        other.id == id || !asked.fingerprint.is_empty() && other.fingerprint == asked.fingerprint
    };
    let mut worst = Exit::Good;
    for other in view.escalations.iter().filter(|other| other.is_open()).filter(same) {
        let told = client.ask(Ask::Decide {
            id: other.id,
            choice: word.clone(),
            note: with.note.clone(),
            hold_ms: 0,
            lasting: with.lasting,
        });
        match told {
            Ok(Reply::Done { words }) => face.screen.done(&format!("e{} {words}", other.id))?,
            Ok(_) => return Err(Failure::unexpected("decide")),
            Err(why @ Error::Refused(_)) => {
                // Somebody was faster, or this one has no such choice: the others are answered all the same.
                let failure = Failure::from(why);
                worst = failure.exit;
                face.screen.failure(&failure);
            }
            Err(why) => return Err(why.into()),
        }
    }
    Ok(worst)
}

/// The choice's word, from its word or its number; wrong ones are told with what there is.
fn chosen(asked: &EscalationView, choice: &str) -> Result<String, Failure> {
    let by_number =
        choice.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|place| asked.choices.get(place));
    asked.choices.iter().find(|known| known.word == choice).or(by_number).map(|known| known.word.clone()).ok_or_else(
        || {
            let words: Vec<&str> = asked.choices.iter().map(|c| c.word.as_str()).collect();
            Failure::usage(
                format!("e{} has no choice {choice:?}", asked.id),
                format!("choose one of: {}", words.join(", ")),
            )
        },
    )
}

/// A choice that ends the whole run, or that the gate wants to be sure of, needs its name, typed or by `--confirm`.
fn confirmed(face: &Face, asked: &EscalationView, word: &str, confirm: Option<&str>) -> Result<(), Failure> {
    let choice = asked.choices.iter().find(|known| known.word == word);
    if choice.is_none_or(|known| known.strength != Strength::Typed) {
        return Ok(());
    }
    let does = if word == question::ENDS_RUN { "ends the whole run" } else { "is not taken lightly here" };
    let name = run_word(asked);
    let given = match confirm {
        Some(given) => given.to_owned(),
        None if face.screen.can_ask() => {
            face.screen.say(
                &Row::new()
                    .text(&format!("{word}: {}. Type ", choice.map_or("", |known| known.effect.as_str())))
                    .add(Style::Bold, name)
                    .text(" to go on:"),
            );
            read_line()?
        }
        None => {
            return Err(Failure::usage(
                format!("{word} {does}: it needs the name of the run as confirmation"),
                format!("add: --confirm={name}"),
            ));
        }
    };
    if given.trim() == name {
        Ok(())
    } else {
        Err(Failure::new(Exit::Refused, format!("{:?} is not {name:?}: nothing was decided", given.trim())))
    }
}

/// The run's name without its number.
fn run_word(asked: &EscalationView) -> &str {
    asked.run_name.rsplit_once(" #").map_or(asked.run_name.as_str(), |(name, _)| name)
}

fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line)
}

fn tell(face: &Face, client: &mut Client, id: u64, choice: String, with: With) -> Ended {
    let With { note, lasting } = with;
    let Reply::Done { words } = client.ask(Ask::Decide { id, choice, note, hold_ms: 0, lasting })? else {
        return Err(Failure::unexpected("decide"));
    };
    face.screen.done(&words)?;
    Ok(Exit::Good)
}

/// `undo`.
pub(super) fn undo(face: &Face, id: u64) -> Ended {
    let Reply::Done { words } = face.engine()?.ask(Ask::Undo { id })? else {
        return Err(Failure::unexpected("undo"));
    };
    face.screen.done(&words)?;
    Ok(Exit::Good)
}

/// `approve` and `reject`: a question's number, or the run and step whose gate is open.
pub(super) fn gate(face: &Face, args: GateArgs, choice: &str) -> Ended {
    let mut client = face.engine()?;
    let asked = match (&args.step, escalation(&args.what)) {
        (None, Ok(id)) => ask(&mut client, id)?,
        (None, Err(_)) => {
            return Err(Failure::usage(
                format!("{:?} is no question's number, and no step was named", args.what),
                format!("dogwatch {choice} e7, or: dogwatch {choice} RUN STEP"),
            ));
        }
        (Some(step), _) => open_gate(&mut client, &args.what, step)?,
    };
    if asked.kind != "gate" {
        return Err(Failure::new(Exit::Refused, format!("e{} is no approval gate: {}", asked.id, asked.title))
            .hint(format!("dogwatch show e{}", asked.id)));
    }
    confirmed(face, &asked, choice, args.confirm.as_deref())?;
    tell(face, &mut client, asked.id, choice.into(), With { note: args.message, lasting: false })
}

fn open_gate(client: &mut Client, run: &str, step: &str) -> Result<EscalationView, Failure> {
    let view = run_view(client, run.into())?;
    let meant = |candidate: &&StepView| candidate.is_named(step) || candidate.step == step;
    let lanes: Vec<&StepView> = view.steps.iter().filter(meant).collect();
    if lanes.is_empty() {
        let names: Vec<String> = view.steps.iter().map(StepView::name).collect();
        return Err(Failure::new(Exit::Nothing, format!("{} has no step {step:?}", view.line.name))
            .hint(format!("it has: {}", names.join(", "))));
    }
    let open = lanes
        .iter()
        .find_map(|lane| view.escalations.iter().find(|asked| Some(asked.id) == lane.escalation && asked.is_open()));
    open.cloned().ok_or_else(|| {
        Failure::new(Exit::Refused, format!("{step} has no open gate: it is {}", lanes[0].state.word()))
            .hint("dogwatch inbox lists the open questions")
    })
}

/// Asks the person at this terminal, who may leave the question for later. `None`: left, or answered wrongly.
pub(super) fn ask_here(face: &Face, asked: &EscalationView, typed: &str) -> Result<Option<String>, Failure> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(None);
    }
    let word = match chosen(asked, typed) {
        Ok(word) => word,
        Err(failure) => {
            face.screen.failure(&failure);
            return Ok(None);
        }
    };
    match confirmed(face, asked, &word, None) {
        Ok(()) => Ok(Some(word)),
        Err(failure) if failure.exit == Exit::Refused => {
            face.screen.failure(&failure);
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
