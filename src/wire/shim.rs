//! Keeper and view <-> shim. Versions 1 and 2: 2 says `oldest`.
//!
//! The keeper starts a shim with three descriptors (see [`Order`]) and keeps one end of a socket to it, on which both
//! say one JSON object a line ([`ToShim`], [`FromShim`]). Whoever comes later reaches the shim at its control socket
//! `<runtime dir>/s/<key>`; there the shim speaks first:
//!
//! ```text
//! shim:   {"v":2,"oldest":1,"key":"dw-…","dir":"train/0/a1","nonce":"<hex>","rows":40,"cols":120}
//! keeper: {"v":2,"want":{"command":{"proof":"<hex>"}}}     then lines as on the keeper's own socket
//! view:   {"v":2,"want":"view"}                            then frames in both directions, see [`Frame`]
//! ```
//! A view needs no proof: whoever can reach the socket shares a user with the step and could type to it anyway.
//!
//! A shim lives as long as its step, so keeper and view may be of another build than it is: they answer in the newest version
//! that both speak, as an engine does with a keeper. Where there is none nothing is said, the step goes on, its end is known
//! by its record, and whoever wants something of it is told why not: [`OtherBuild`].

use serde::{Deserialize, Serialize};

use super::keeper::{Launch, StopReason};
use super::spoken::Spoken;
use crate::faults;

/// What this build speaks. `oldest` rises only with a release note that says which dogwatch has to end its runs first.
const THIS_BUILD: Spoken = Spoken { newest: 2, oldest: 1 };

/// What this build speaks. A test may have it pass for another one.
pub fn spoken() -> Spoken {
    faults::protocol("DOGWATCH_SHIM_PROTOCOL").map_or(THIS_BUILD, |(oldest, newest)| Spoken { newest, oldest })
}

/// There is no version of this protocol that a shim and this build speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its supervisor process was started by {age} dogwatch (it speaks {theirs} of its protocol, this one {ours}): the step goes \
     on and its end will be known, but only that dogwatch can stop it, type to it or show its screen; `dogwatch logs` shows \
     what it prints"
)]
pub struct OtherBuild {
    age: &'static str,
    theirs: Spoken,
    ours: Spoken,
}

/// What a shim is told at birth: standard input is the attempt's directory, standard output a file with this as JSON,
/// standard error the socket to the keeper. These three because they survive an exec without any unsafe code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub v: u32,
    pub launch: Launch,
    /// Hex; what a later keeper proves its right to command with.
    pub control_key: String,
    /// Where the shim listens.
    pub socket: String,
}

/// First line on a control socket, from the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The newest version that it speaks.
    pub v: u32,
    /// The oldest one; version 1 does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u32>,
    pub key: String,
    /// The attempt's directory, relative to the run's.
    pub dir: String,
    pub nonce: String,
    pub rows: u16,
    pub cols: u16,
}

impl Greeting {
    /// The version to answer in.
    pub fn agree(&self) -> Result<u32, OtherBuild> {
        let (theirs, ours) = (Spoken::said(self.v, self.oldest), spoken());
        ours.with(theirs).ok_or(OtherBuild { age: theirs.age(ours), theirs, ours })
    }
}

/// Second line on a control socket, from whoever connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub v: u32,
    pub want: Want,
}

/// What the connection is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    View,
    /// `proof` is [`super::keeper::proof`] with the control key, role `keeper`, and the shim's nonce.
    Command {
        proof: String,
    },
}

/// From the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToShim {
    Stop {
        grace_ms: u64,
        reason: StopReason,
        epoch: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        save: Option<i32>,
    },
    /// Base64.
    Input { bytes: String, epoch: u64 },
}

/// To the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromShim {
    /// The attempt is this shim's; the step is about to start.
    Claimed,
    /// Somebody else has the claim, or it could not be made: nothing was started.
    Refused { why: String },
    /// The step's terminal has this size now.
    Sized { rows: u16, cols: u16 },
    /// The exit record is on disk.
    Exited { end: End },
    /// The step has ended, and the disk refuses its exit record. Repeated as often as that is tried again.
    Unrecorded { end: End, why: String },
    /// An order of the keeper was not followed.
    Declined { why: String },
}

/// How a step's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Code(i32),
    Signal(i32),
}

/// One piece of the talk between a shim and a view: a kind, the length as four bytes little-endian, the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// To the view: bytes for its terminal.
    Output,
    /// To the view: the last one, a line for people about the step's end.
    End,
    /// From the view: bytes typed.
    Input,
    /// From the view: rows and columns, two bytes each, little-endian.
    Size,
}

/// Longest frame that either side sends or accepts.
pub const MAX_FRAME: usize = 64 * 1024;

impl Frame {
    const fn tag(self) -> u8 {
        match self {
            Self::Output => b'o',
            Self::End => b'e',
            Self::Input => b'i',
            Self::Size => b's',
        }
    }

    /// The frame with `bytes`, which are at most [`MAX_FRAME`], in it.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        debug_assert!(bytes.len() <= MAX_FRAME);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(bytes.len() + 5);
        frame.push(self.tag());
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(bytes);
        frame
    }

    /// Takes the first whole frame off `buffer`: `None` when more bytes are needed.
    pub fn take(buffer: &mut Vec<u8>) -> Result<Option<(Self, Vec<u8>)>, BadFrame> {
        let Some((head, rest)) = buffer.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let frame = match head[0] {
            b'o' => Self::Output,
            b'e' => Self::End,
            b'i' => Self::Input,
            b's' => Self::Size,
            _ => return Err(BadFrame),
        };
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MAX_FRAME {
            return Err(BadFrame);
        }
        let Some(bytes) = rest.get(..length) else {
            return Ok(None);
        };
        let bytes = bytes.to_vec();
        buffer.drain(..5 + length);
        Ok(Some((frame, bytes)))
    }
}

/// The peer does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side sent something that is not a frame")]
pub struct BadFrame;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_of_version_1_is_understood_and_said_as_it_was() {
        let said = r#"{"v":1,"key":"dw-abc123-a-0-a1","dir":"a/0/a1","nonce":"00","rows":40,"cols":120}"#;
        let greeting: Greeting = serde_json::from_str(said).expect("it is understood");
        assert_eq!(greeting.agree(), Ok(1));
        assert_eq!(serde_json::to_string(&greeting).expect("it is plain data"), said);
        let newer = Greeting { v: 8, oldest: Some(7), ..greeting };
        let why = newer.agree().expect_err("nothing in common").to_string();
        assert!(why.contains("by a newer dogwatch (it speaks versions 7 to 8 of its protocol"), "{why}");
    }
}
