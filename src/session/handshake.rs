//! The first three lines: both sides prove that they know the environment's secret.
//! Says nothing else before that, and gives out no connection without it.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::Error;
use super::socket::Socket;
use crate::clock;
use crate::wire::keeper::{FromKeeper, Greeting, Hello, Outcome, Welcome, proof, spoken};

/// A connection whose other end is known.
#[derive(Debug)]
pub(super) struct Shaken {
    pub(super) socket: Socket,
    pub(super) greeting: Greeting,
    /// The version that both speak now.
    pub(super) version: u32,
}

/// Connects and shakes hands; the caller has the deadline.
pub(super) async fn shake(dir: &Path, secret: &[u8; 32], epoch: u64) -> Result<Shaken, Error> {
    let ended = |source| Error::Nobody { dir: dir.to_owned(), source };
    let strange = |what: String| Error::Protocol { dir: dir.to_owned(), what };
    let mut socket = Socket::connect(dir).await.map_err(ended)?;
    let greeting: Greeting = parse(&next(&mut socket).await.map_err(ended)?).map_err(strange)?;
    let (ours, theirs) = (spoken(), greeting.spoken());
    let Some(version) = ours.with(theirs) else {
        return Err(Error::OtherBuild { age: theirs.age(ours), theirs, ours });
    };
    let nonce = clock::random_bytes::<16>().iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    });
    let hello = Hello { v: version, nonce: nonce.clone(), proof: proof(secret, "engine", &greeting.nonce), epoch };
    let line = serde_json::to_vec(&hello).map_err(|error| strange(error.to_string()))?;
    socket.send(&line).map_err(ended)?;
    let answer = next(&mut socket).await.map_err(ended)?;
    if let Ok(FromKeeper::Answer { result: Outcome::Refused(why), .. }) = serde_json::from_slice(&answer) {
        return Err(Error::Refused(why));
    }
    let welcome: Welcome = parse(&answer).map_err(strange)?;
    // Compared as hashes: the time that this takes tells nothing about how much of a guess was right.
    if blake3::hash(welcome.proof.as_bytes()) != blake3::hash(proof(secret, "keeper", &nonce).as_bytes()) {
        return Err(Error::Impostor { dir: dir.to_owned() });
    }
    Ok(Shaken { socket, greeting, version })
}

async fn next(socket: &mut Socket) -> std::io::Result<Vec<u8>> {
    loop {
        if let Some(line) = socket.line() {
            return Ok(line);
        }
        if !socket.turn().await? {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line)
        .map_err(|error| format!("{error} in {:?}", String::from_utf8_lossy(&line[..line.len().min(200)])))
}
