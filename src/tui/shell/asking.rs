//! The connection that asks for what the operator wants. It outlives the engine: one that the engine has left is made anew
//! before anything is asked, and what may be asked twice is asked once more when the engine goes away over it.

use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::export::export;
use super::feed::Request;
use super::{Event, To};
use crate::client::{Client, Error, Place};
use crate::clock::{boottime_ms, pause};
use crate::tui::message::{LiveKind, Message, Purpose, Refused};
use crate::tui::model::{LaneKey, Size};
use crate::wire::client::{Ask, Reply};

/// So long an engine that is away is waited for.
const PATIENCE_MS: i64 = 6_000;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Asks, one request after another.
pub(super) struct Asking {
    place: Place,
    to: To,
    client: Option<Client>,
}

impl Asking {
    pub(super) fn new(place: Place, to: To) -> Self {
        Self { place, to, client: None }
    }

    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            let event = match request {
                Request::Ask { why, ask } => {
                    let result = self.ask(&ask);
                    Event::Message(Message::Answered { why, result })
                }
                Request::Live { lane, kind, number, size, take_over } => {
                    let result = self.live(&lane, kind, size, take_over);
                    Event::Live { lane, kind, number, result }
                }
                Request::Export { run, names, file } => {
                    let told = self.once(|client| export(client, &run, &names, &file));
                    let result = told.map_err(|why| refused(&why)).and_then(|result| result);
                    Event::Message(Message::Answered { why: Purpose::Tell, result })
                }
                Request::Log { lane, attempt } => {
                    let ask = Ask::Log { run: lane.run.clone(), step: lane.name.clone(), attempt };
                    let place = self.ask(&ask).and_then(|reply| match reply {
                        Reply::Log(place) => Ok(place),
                        _ => Err(Refused { words: "the engine's answer is not understood".into(), hint: None }),
                    });
                    Event::LogPlace { lane, attempt, place }
                }
            };
            if self.to.send(event).is_err() {
                return;
            }
        }
    }

    /// Asks. Where the engine went away before it answered, what may be asked twice is asked once more.
    fn ask(&mut self, ask: &Ask) -> Result<Reply, Refused> {
        let mut again = false;
        let mut told = self.once(|client| client.ask(ask.clone()));
        if told.as_ref().is_err_and(Error::passing) && repeatable(ask) {
            again = true;
            told = self.once(|client| client.ask(ask.clone()));
        }
        match (told, ask) {
            // The first time was taken after all.
            (Err(Error::Refused(_)), Ask::Decide { id, choice, .. }) if again && self.is_ours(*id, choice) => {
                Ok(Reply::Done { words: String::new() })
            }
            (Err(why), Ask::Decide { .. }) if why.passing() => Err(Refused {
                words: why.to_string(),
                hint: Some("answer again: one that was taken already is not taken twice".into()),
            }),
            (told, _) => told.map_err(|why| refused(&why)),
        }
    }

    /// The question was answered so by whoever sits here.
    fn is_ours(&mut self, id: u64, choice: &str) -> bool {
        let me = self.place.who.principal.clone();
        let Ok(Reply::Escalation(asked)) = self.once(|client| client.ask(Ask::Escalation { id })) else {
            return false;
        };
        let held = asked.held.as_ref().map(|held| (held.choice.as_str(), held.by.as_str()));
        let answered = asked.answer.as_ref().map(|answer| (answer.choice.as_str(), answer.by.as_str()));
        held.or(answered) == Some((choice, &me))
    }

    fn twice<T>(&mut self, act: impl Fn(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        match self.once(&act) {
            Err(why) if why.passing() => self.once(&act),
            told => told,
        }
    }

    fn once<T>(&mut self, act: impl Fn(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        // What is asked there would be asked nobody.
        self.client.take_if(|client| client.is_over());
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(connected(&self.place)?),
        };
        let told = act(client);
        if told.as_ref().is_err_and(|why| !matches!(why, Error::Refused(_))) {
            self.client = None;
        }
        told
    }

    fn live(&mut self, lane: &LaneKey, kind: LiveKind, size: Size, take_over: bool) -> Result<OwnedFd, Refused> {
        let (run, step) = (lane.run.clone(), lane.name.clone());
        let (rows, cols) = (size.rows.max(2), size.columns.max(2));
        let ask = match kind {
            LiveKind::Shell => Ask::Shell { run, step, rows, cols },
            LiveKind::Attach => Ask::Attach { run, step, rows, cols, readonly: false, take_over },
            LiveKind::Look => Ask::Attach { run, step, rows, cols, readonly: true, take_over: false },
        };
        self.twice(|client| client.ask_pty(ask.clone())).map(|(terminal, _)| terminal).map_err(|why| refused(&why))
    }
}

/// An engine that is being started anew is waited for; one that was stopped on purpose is not.
fn connected(place: &Place) -> Result<Client, Error> {
    let until = boottime_ms() + PATIENCE_MS;
    loop {
        match place.connect() {
            Err(why) if why.passing() && boottime_ms() < until => {
                if place.state.stopped_marker().exists() {
                    return Err(Error::Stopped);
                }
            }
            told => return told,
        }
        pause(LOOK_AGAIN);
    }
}

/// Whether asking twice does no more than asking once: what only looks, and what the engine refuses the second time.
fn repeatable(ask: &Ask) -> bool {
    match ask {
        Ask::Engine
        | Ask::Runs { .. }
        | Ask::Status { .. }
        | Ask::StepNames { .. }
        | Ask::Events { .. }
        | Ask::Log { .. }
        | Ask::Inbox
        | Ask::Escalation { .. }
        | Ask::Why { .. }
        | Ask::Checkpoints { .. }
        | Ask::Resources { .. }
        | Ask::Metrics { .. }
        | Ask::Chart(_)
        | Ask::PinMetric { .. }
        | Ask::Source { .. }
        | Ask::Notices { .. }
        | Ask::Subscribe
        | Ask::Decide { .. }
        | Ask::Later { .. }
        | Ask::StopStep { .. }
        | Ask::StopRun { .. }
        | Ask::Pause { .. }
        | Ask::Unpause { .. } => true,
        Ask::StopEngine
        | Ask::StartRun(_)
        | Ask::Undo { .. }
        | Ask::Order { .. }
        | Ask::Clocks { .. }
        | Ask::Resume { .. }
        | Ask::GiveSecret { .. }
        | Ask::Send { .. }
        | Ask::Attach { .. }
        | Ask::Detach { .. }
        | Ask::Shell { .. }
        | Ask::Kept { .. }
        | Ask::OrderKept { .. }
        | Ask::OrderCheckpoints { .. }
        | Ask::Gc { .. }
        | Ask::Again { .. } => false,
    }
}

fn refused(why: &Error) -> Refused {
    match why {
        Error::Refused(refusal) => Refused { words: refusal.words.clone(), hint: refusal.hint.clone() },
        other => {
            let hint = other.passing().then(|| "look whether it was done before you ask again".to_owned());
            Refused { words: other.to_string(), hint }
        }
    }
}
