//! Those who connect to the control socket: greeted, asked what they want, admitted as a view or as a keeper.

use rustix::event::PollFlags;

use super::views::View;
use super::watch::{Watch, hear};
use crate::clock;
use crate::wire::keeper::proof;
use crate::wire::lines::{Lines, Lost};
use crate::wire::shim::{FromShim, Greeting, Opening, Want, spoken};
use crate::wire::spoken::Spoken;

/// A peer that has not said what it wants by then is dropped.
const OPENING_MS: i64 = 5_000;
/// Connections that have not said what they want, and views, at most.
const PEERS: usize = 32;
/// Somebody who has not said what he wants.
pub(super) struct Newcomer {
    pub(super) lines: Lines,
    nonce: String,
    pub(super) until: i64,
}

impl Watch {
    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        let Ok(socket) = rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC) else {
            return;
        };
        let same_user =
            rustix::net::sockopt::socket_peercred(&socket).is_ok_and(|peer| peer.uid == rustix::process::geteuid());
        if !same_user || self.newcomers.len() + self.views.len() + self.keepers.len() >= PEERS {
            return;
        }
        let Ok(mut lines) = Lines::new(socket) else {
            return;
        };
        let nonce = blake3::Hash::from_bytes(clock::random_bytes::<32>()).to_hex().to_string();
        let (rows, cols) = self.size;
        let place = self.owned.order.launch.place.clone();
        let Spoken { newest, oldest } = spoken();
        // As version 1 said it, by a build that has no other.
        let oldest = (newest > 1).then_some(oldest);
        let greeting = Greeting { v: newest, oldest, key: place.key, dir: place.dir, nonce: nonce.clone(), rows, cols };
        if lines.say(&greeting).is_ok() {
            self.newcomers.push(Newcomer { lines, nonce, until: clock::boottime_ms() + OPENING_MS });
        }
    }

    pub(super) fn serve_newcomers(&mut self, found: &[PollFlags]) {
        let now = clock::boottime_ms();
        let mut found = found.iter();
        for mut newcomer in std::mem::take(&mut self.newcomers) {
            let found = found.next().copied().unwrap_or(PollFlags::empty());
            let heard = if found.is_empty() { Ok(None) } else { opening(&mut newcomer.lines) };
            match heard {
                Ok(None) if now < newcomer.until => self.newcomers.push(newcomer),
                Ok(Some(opening)) if spoken().has(opening.v) => self.admit(newcomer, &opening.want),
                // Silent for too long, another version, or gone.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// What came along with the opening has been read already: poll would not tell of it.
    fn admit(&mut self, newcomer: Newcomer, want: &Want) {
        match want {
            Want::View => {
                let (socket, inbox) = newcomer.lines.into_parts();
                let mut view = View::new(socket, inbox, &self.recent);
                if let (Ok(()), Ok(wishes)) = (view.flush(&self.recent), view.receive()) {
                    self.views.push(view);
                    self.grant(wishes);
                }
            }
            Want::Command { proof: given } => {
                let key = blake3::Hash::from_hex(&self.owned.order.control_key).map(|key| *key.as_bytes());
                let right = key.is_ok_and(|key| same(&proof(&key, "keeper", &newcomer.nonce), given));
                let mut lines = newcomer.lines;
                let mut orders = Vec::new();
                if right && lines.say(&FromShim::Claimed).is_ok() && hear(&mut lines, &mut orders).is_ok() {
                    self.keepers.push(lines);
                    for order in orders {
                        self.obey(order);
                    }
                }
            }
        }
    }
}

/// Compares two hex codes in constant time; what is not one is not equal.
fn same(one: &str, other: &str) -> bool {
    matches!((blake3::Hash::from_hex(one), blake3::Hash::from_hex(other)), (Ok(one), Ok(other)) if one == other)
}

fn opening(lines: &mut Lines) -> Result<Option<Opening>, Lost> {
    lines.flush()?;
    let received = lines.receive();
    match lines.take()? {
        Some(opening) => Ok(Some(opening)),
        None => received.map(|()| None),
    }
}
