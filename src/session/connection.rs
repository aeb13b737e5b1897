//! One task per connection: numbers the asks, matches the answers, passes the events on.
//! Owns the socket after the handshake. When it ends, everybody who waits learns it: the oneshots are dropped.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use tokio::sync::{mpsc, oneshot};

use super::AskError;
use super::socket::Socket;
use crate::wire::keeper::{Ask, Asked, Event, FromKeeper, Outcome, Reply};

/// What an ask comes back with.
pub(super) type Answer = Result<(Outcome, Option<OwnedFd>), AskError>;

/// An ask and where its answer goes.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) ask: Ask,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Those who wait, by the number of their ask.
type Waiting = HashMap<u64, oneshot::Sender<Answer>>;

/// Runs until the keeper closes the connection, breaks the protocol, or nobody holds a [`super::Keeper`] any more.
pub(super) async fn run(mut socket: Socket, mut orders: mpsc::Receiver<Order>, events: mpsc::Sender<Event>) {
    let mut waiting = Waiting::new();
    let mut last = 0;
    loop {
        // The handshake may have read more than its own lines.
        while let Some(line) = socket.line() {
            if let Err(what) = take(&line, &mut socket, &mut waiting, &events).await {
                tracing::warn!(what, "the connection to a keeper is closed: it broke the protocol");
                return;
            }
        }
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                last += 1;
                ask(last, order, &mut socket, &mut waiting);
            }
            turned = socket.turn() => match turned {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "the connection to a keeper has ended");
                    return;
                }
            },
        }
    }
}

fn ask(id: u64, order: Order, socket: &mut Socket, waiting: &mut Waiting) {
    if waiting.len() >= 1024 {
        // Asks whose deadline has passed and whose answers never came.
        waiting.retain(|_, answer| !answer.is_closed());
    }
    let line = serde_json::to_vec(&Asked { id, ask: order.ask }).map_err(std::io::Error::other);
    match line.and_then(|line| socket.send(&line)) {
        Ok(()) => drop(waiting.insert(id, order.answer)),
        // The asker may have gone; then nobody needs to know.
        Err(error) => drop(order.answer.send(Err(AskError::Refused(format!("it cannot be sent: {error}"))))),
    }
}

async fn take(
    line: &[u8],
    socket: &mut Socket,
    waiting: &mut Waiting,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    match serde_json::from_slice(line).map_err(|error| error.to_string())? {
        FromKeeper::Event(event) => {
            // Without a receiver the connection still serves its asks.
            let _ = events.send(event).await;
        }
        FromKeeper::Answer { id: 0, result: Outcome::Refused(why) } => {
            return Err(format!("it refused the connection: {why}"));
        }
        FromKeeper::Answer { id, result } => {
            // Taken even when nobody waits any more: the next terminal must not get this one's descriptor.
            let fd = if result == Outcome::Reply(Reply::Pty) { socket.fd() } else { None };
            if let Some(answer) = waiting.remove(&id) {
                let _ = answer.send(Ok((result, fd)));
            }
        }
    }
    Ok(())
}
