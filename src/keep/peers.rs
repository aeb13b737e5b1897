//! The connections of the keeper: who may command, what they ask, what they are told.
//!
//! Both sides prove that they know the secret before anything else is said, and nobody is waited for: a peer that stays
//! silent at first, or does not read later, is dropped.

use std::os::fd::OwnedFd;

use super::asks::Answer;
use super::jobs::Asker;
use super::keeper::Keeper;
use crate::clock;
use crate::wire::keeper::{Ask, Asked, Event, FromKeeper, Greeting, Hello, Outcome, Reply, Welcome, proof, spoken};
use crate::wire::lines::{Lines, Lost};
use crate::wire::spoken::Spoken;

/// A peer that has not proven itself by then is dropped.
const HANDSHAKE_MS: i64 = 5_000;
/// Connections at the same time.
const PEERS: usize = 32;
/// Somebody who is connected.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) lines: Lines,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    Greeted { nonce: String, until: i64 },
    Engine { epoch: u64 },
}

impl Keeper {
    pub(super) fn accept(&mut self) {
        let Ok(socket) = rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) else {
            return;
        };
        if self.peers.len() >= PEERS {
            return;
        }
        let Ok(mut lines) = Lines::new(socket) else {
            return;
        };
        let nonce = blake3::Hash::from_bytes(clock::random_bytes::<32>()).to_hex()[..32].to_owned();
        let Spoken { newest, oldest } = spoken();
        let greeting = Greeting {
            v: newest,
            oldest: (newest > 1).then_some(oldest),
            boot_id: clock::boot_id(),
            nonce: nonce.clone(),
            pid: std::process::id(),
        };
        if lines.say(&greeting).is_ok() {
            let stage = Stage::Greeted { nonce, until: clock::boottime_ms() + HANDSHAKE_MS };
            self.peers.insert(self.next_peer, Peer { lines, stage });
            self.next_peer += 1;
        }
    }

    pub(super) fn drop_silent(&mut self, now: i64) {
        self.peers.retain(|_, peer| match peer.stage {
            Stage::Greeted { until, .. } => now < until,
            Stage::Engine { .. } => true,
        });
    }

    pub(super) fn serve(&mut self, number: u64) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        let received = peer.lines.flush().and_then(|()| peer.lines.receive());
        if self.serve_lines(number).and(received).is_err() {
            self.peers.remove(&number);
        }
    }

    fn serve_lines(&mut self, number: u64) -> Result<(), Lost> {
        loop {
            let Some(peer) = self.peers.get_mut(&number) else {
                return Ok(());
            };
            match &peer.stage {
                Stage::Greeted { nonce, .. } => {
                    let nonce = nonce.clone();
                    let Some(hello) = peer.lines.take::<Hello>()? else {
                        return Ok(());
                    };
                    self.welcome(number, &nonce, &hello)?;
                }
                Stage::Engine { epoch } => {
                    let epoch = *epoch;
                    let Some(asked) = peer.lines.take::<Asked>()? else {
                        return Ok(());
                    };
                    self.attend(Asker { peer: number, id: asked.id }, asked.ask, epoch);
                }
            }
        }
    }

    /// Checks what a newcomer knows, and proves the keeper to it.
    fn welcome(&mut self, number: u64, nonce: &str, hello: &Hello) -> Result<(), Lost> {
        let ours = spoken();
        let refusal = if !ours.has(hello.v) {
            Some(format!("this keeper speaks {ours} of the protocol, not {}", hello.v))
        } else if !is_proof(&proof(&self.secret, "engine", nonce), &hello.proof) {
            Some("the peer does not know the secret of this environment".to_owned())
        } else if hello.epoch < self.epoch {
            Some(format!(
                "a newer engine (epoch {}) commands this environment; this one has epoch {}",
                self.epoch, hello.epoch
            ))
        } else {
            None
        };
        let Some(peer) = self.peers.get_mut(&number) else {
            return Ok(());
        };
        if let Some(why) = refusal {
            peer.lines.say(&FromKeeper::Answer { id: 0, result: Outcome::Refused(why) })?;
            return Err(Lost::Closed);
        }
        self.epoch = hello.epoch;
        peer.stage = Stage::Engine { epoch: hello.epoch };
        peer.lines.say(&Welcome { v: hello.v, proof: proof(&self.secret, "keeper", &hello.nonce) })
    }

    fn attend(&mut self, asker: Asker, ask: Ask, epoch: u64) {
        let answer = if epoch < self.epoch {
            let why =
                format!("a newer engine (epoch {}) commands this environment; this one has epoch {epoch}", self.epoch);
            Answer::Now(Outcome::Refused(why))
        } else {
            self.answer(asker, ask, epoch)
        };
        match answer {
            Answer::Now(outcome) => self.reply(asker, outcome, None),
            Answer::Terminal(terminal) => self.reply(asker, Outcome::Reply(Reply::Pty), Some(terminal)),
            Answer::Later => {}
        }
    }

    pub(super) fn reply(&mut self, asker: Asker, result: Outcome, terminal: Option<OwnedFd>) {
        if let Some(peer) = self.peers.get_mut(&asker.peer)
            && peer.lines.say_with(&FromKeeper::Answer { id: asker.id, result }, terminal).is_err()
        {
            self.peers.remove(&asker.peer);
        }
    }

    /// Tells every engine, and whoever starts engines.
    pub(super) fn tell(&mut self, events: Vec<Event>) {
        for event in events {
            if let (Event::Exited { .. } | Event::ShimGone { .. }, Some(notify)) = (&event, &self.notify) {
                // Full or closed: then somebody has been told already, or nobody wants to know.
                let _ = rustix::io::write(notify, b"e");
            }
            if let Event::Exited { key } | Event::ShimGone { key, .. } = &event {
                self.sessions.ended(key);
            }
            let message = FromKeeper::Event(event);
            self.peers.retain(|_, peer| match peer.stage {
                Stage::Engine { .. } => peer.lines.say(&message).is_ok(),
                Stage::Greeted { .. } => true,
            });
        }
    }
}

/// Compares two proofs in constant time.
fn is_proof(right: &str, given: &str) -> bool {
    matches!((blake3::Hash::from_hex(right), blake3::Hash::from_hex(given)), (Ok(right), Ok(given)) if right == given)
}
