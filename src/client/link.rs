//! A connection that survives the engine. When it breaks, the engine is looked for again, and started by us when nobody
//! else has done so within two seconds. Only questions may be asked through it: a request that changes something is
//! never repeated by itself.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{Client, Error, Place, Wake, start_engine};
use crate::clock::{boottime_ms, pause};
use crate::wire::client::{Ask, Reply};

/// After the engine has gone: how long somebody else may take to start it.
const OTHERS_MS: i64 = 2_000;
/// How long it is looked for.
const GIVE_UP_MS: i64 = 60_000;

/// A subscribed connection that comes back.
pub struct Link {
    place: Place,
    client: Client,
    /// Told in one line when the engine went and when it came back.
    say: Box<dyn FnMut(&str)>,
}

impl Link {
    /// Subscribes on this connection; `say` is told when the engine went and came back.
    pub fn new(place: Place, client: Client, say: impl FnMut(&str) + 'static) -> Result<Self, Error> {
        let mut link = Self { place, client, say: Box::new(say) };
        match link.client.subscribe() {
            Err(why) if why.passing() => link.come_back()?,
            other => other?,
        }
        Ok(link)
    }

    /// Asks; after a crash of the engine, again.
    pub fn ask(&mut self, ask: &Ask) -> Result<Reply, Error> {
        loop {
            match self.client.ask(ask.clone()) {
                Err(why) if why.passing() => self.come_back()?,
                other => return other,
            }
        }
    }

    /// Asks for something that must not happen twice: a crash of the engine is told, never answered by asking again.
    pub fn order(&mut self, ask: Ask) -> Result<Reply, Error> {
        self.client.ask(ask)
    }

    /// As [`Client::wait`]. That the engine came back counts as a change.
    pub fn wait(&mut self, others: &[BorrowedFd<'_>], until: i64) -> Result<Wake, Error> {
        match self.client.wait(others, until) {
            Err(why) if why.passing() => {
                self.come_back()?;
                Ok(Wake::Changed(0))
            }
            other => other,
        }
    }

    fn come_back(&mut self) -> Result<(), Error> {
        (self.say)("the engine went away; steps go on without it");
        let lost = boottime_ms();
        let mut delay = Duration::from_millis(20);
        loop {
            match self.again(boottime_ms() - lost) {
                Ok(client) => {
                    self.client = client;
                    break;
                }
                Err(why) if why.passing() && boottime_ms() - lost < GIVE_UP_MS => {}
                Err(why) => return Err(why),
            }
            pause(delay);
            delay = (delay * 2).min(Duration::from_millis(500));
        }
        let pid = self.client.engine().pid;
        (self.say)(&format!("the engine is back (pid {pid})"));
        Ok(())
    }

    fn again(&self, gone_for: i64) -> Result<Client, Error> {
        let connected = self.place.connect();
        let mut client = match connected {
            Err(why) if why.passing() && self.place.state.stopped_marker().exists() => {
                return Err(Error::Stopped);
            }
            Err(why) if why.passing() && gone_for >= OTHERS_MS && self.place.other_socket.is_none() => {
                start_engine(&self.place.state, &self.place.who, &[])?
            }
            other => other?,
        };
        client.subscribe()?;
        Ok(client)
    }
}
