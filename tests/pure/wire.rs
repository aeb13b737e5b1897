//! What comes over the sockets is nobody's word: messages that are broken in every way are refused, never a panic, and what is
//! understood says the same when it is said again. The same numbers always break the same way.

use dogwatch::wire::shim::{Frame, MAX_FRAME};
use dogwatch::wire::{client, keeper, shim};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Lines as they are said, one of each kind that holds something.
const CORPUS: [&str; 25] = [
    r#"{"v":1,"engine":{"version":"0.1.0","pid":4711,"epoch":7}}"#,
    r#"{"v":1,"principal":"ops@gpu-box","client":"cli"}"#,
    r#"{"id":1,"ask":{"status":{"run":"@last"}}}"#,
    r#"{"id":2,"ask":"inbox"}"#,
    r#"{"id":2,"ask":{"step_names":{"run":"@last"}}}"#,
    r#"{"id":3,"ask":{"decide":{"id":7,"choice":"retry","note":"why","hold_ms":5000,"lasting":true}}}"#,
    r#"{"id":4,"ask":{"attach":{"run":"1","step":"a","rows":40,"cols":120,"readonly":false}}}"#,
    r#"{"id":5,"ask":{"order_checkpoints":{"run":"1","order":{"verify":{"step":"a","which":null}}}}}"#,
    r#"{"id":6,"ask":{"give_secret":{"run":"1","secrets":{"TOKEN":"value"}}}}"#,
    r#"{"id":7,"ask":{"start_run":{"source":"version = 1","file":"w","base":"/","params":[["a","b"]],"name":null,"only":[],"from":null,"env":{"A":"b"},"secrets":{"T":"v"}}}}"#,
    r#"{"id":8,"ask":{"clocks":{"run":"1","step":"a","order":{"more":{"ms":1000}}}}}"#,
    r#"{"answer":{"id":1,"result":{"refused":{"kind":"not_found","words":"no","hint":null}}}}"#,
    r#"{"answer":{"id":1,"result":{"reply":{"done":{"words":"done"}}}}}"#,
    r#"{"changed":{"seq":815}}"#,
    r#"{"v":3,"oldest":1,"boot_id":"b","nonce":"00ff","pid":1}"#,
    r#"{"v":3,"nonce":"00","proof":"ff","epoch":7}"#,
    r#"{"id":1,"ask":{"launch":{"place":{"key":"dw-abc123-a-0-a1","dir":"a/0/a1"},"argv":["/bin/sh"],"env":{},"cwd":"/","rows":40,"cols":120,"mac_key":"00","epoch":7,"log_half":1,"secrets":{"T":"v"}}}}"#,
    r#"{"id":2,"ask":{"stop":{"key":"dw-abc123-a-0-a1","grace_ms":5,"reason":"timeout","save":10}}}"#,
    r#"{"id":3,"ask":{"run":{"argv":["true"],"env":{"A":"b"},"cwd":"/","timeout_ms":1}}}"#,
    r#"{"answer":{"id":1,"result":{"reply":{"found":[{"key":"k","claim_boot":"b","exited":true,"held":false}]}}}}"#,
    r#"{"event":{"unrecorded":{"key":"k","end":{"signal":9},"why":"full"}}}"#,
    r#"{"v":2,"oldest":1,"key":"dw-abc123-a-0-a1","dir":"a/0/a1","nonce":"00","rows":40,"cols":120}"#,
    r#"{"v":2,"want":{"command":{"proof":"ff"}}}"#,
    r#"{"stop":{"grace_ms":1,"reason":"stop","epoch":3}}"#,
    r#"{"unrecorded":{"end":{"code":1},"why":"full"}}"#,
];

const PIECES: [&str; 18] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "-1",
    "1e999",
    "99999999999999999999",
    "\\u0000",
    "\\ud800",
    "\u{1b}",
    "é",
    "{\"v\":",
    "[[[[[[[[",
    "true",
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % n.max(1)
    }
}

/// A line with one to four things broken; no text any more, perhaps.
fn mutate(random: &mut Random) -> Vec<u8> {
    let mut line = CORPUS[random.below(CORPUS.len())].as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(line.len() + 1);
        match random.below(5) {
            0 => line.truncate(at),
            1 => drop(line.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            2 => {
                let end = line.len().min(at + random.below(12));
                drop(line.drain(at..end));
            }
            3 if at < line.len() => line[at] ^= 1 << random.below(8),
            _ => {
                let other = CORPUS[random.below(CORPUS.len())].as_bytes();
                line.splice(at.., other[random.below(other.len())..].iter().copied());
            }
        }
    }
    line
}

/// What is understood says the same once more.
fn understood<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(line: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<T>(line) else { return false };
    let again = serde_json::to_vec(&message).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&again).expect("it is read back"), message);
    assert!(!format!("{message:?}").contains("\"v\"}"), "a secret is shown: {message:?}");
    true
}

fn by_anybody(line: &[u8]) -> usize {
    let all = [
        understood::<client::Greeting>(line),
        understood::<client::Hello>(line),
        understood::<client::Asked>(line),
        understood::<client::FromEngine>(line),
        understood::<keeper::Greeting>(line),
        understood::<keeper::Hello>(line),
        understood::<keeper::Asked>(line),
        understood::<keeper::FromKeeper>(line),
        understood::<shim::Greeting>(line),
        understood::<shim::Opening>(line),
        understood::<shim::ToShim>(line),
        understood::<shim::FromShim>(line),
    ];
    all.iter().filter(|good| **good).count()
}

#[test]
fn broken_messages_are_refused_and_break_nothing() {
    for line in CORPUS {
        assert!(by_anybody(line.as_bytes()) > 0, "nobody understands {line}");
    }
    let mut random = Random(0x5eed_0b5e);
    let (mut good, mut bad) = (0, 0);
    for round in 0..40_000 {
        let line = mutate(&mut random);
        let told = std::panic::catch_unwind(|| by_anybody(&line));
        match told.unwrap_or_else(|_| panic!("round {round}: {}", String::from_utf8_lossy(&line))) {
            0 => bad += 1,
            _ => good += 1,
        }
    }
    assert!(good > 500 && bad > 10_000, "{good} understood, {bad} not: the mutations are too weak or too strong");
    let deep = [b"{\"id\":1,\"ask\":".to_vec(), b"[".repeat(1_000_000)].concat();
    assert_eq!(by_anybody(&deep), 0, "depth is no danger");
}

#[test]
fn broken_frames_are_refused_and_break_nothing() {
    let mut random = Random(0x5eed_f4a3);
    let (mut taken, mut refused, mut waiting) = (0, 0, 0);
    for _ in 0..20_000 {
        let bytes = vec![u8::try_from(random.below(256)).expect("a byte"); random.below(2000)];
        let frames = [Frame::Output, Frame::End, Frame::Input, Frame::Size];
        let mut buffer = frames[random.below(4)].of(&bytes);
        for _ in 0..random.below(3) {
            let at = random.below(buffer.len().min(8));
            buffer[at] ^= 1 << random.below(8);
        }
        buffer.truncate(random.below(buffer.len() + 1));
        let before = buffer.len();
        match Frame::take(&mut buffer) {
            Ok(Some((_, bytes))) => {
                assert!(bytes.len() <= MAX_FRAME && buffer.len() + bytes.len() + 5 == before);
                taken += 1;
            }
            Ok(None) => waiting += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 100 && refused > 1000 && waiting > 1000, "{taken} {refused} {waiting}");
}

/// As builds before the newest versions said it, and say it still: each line is read, and said again letter by letter.
#[test]
fn what_older_versions_say_is_understood_and_said_as_it_was() {
    fn same<T: DeserializeOwned + Serialize>(line: &str) {
        let message: T = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(serde_json::to_string(&message).expect("what was read can be written"), line);
    }
    // The keeper's protocol: version 1, and what version 2 added.
    same::<keeper::Greeting>(r#"{"v":1,"boot_id":"b","nonce":"00ff","pid":1}"#);
    same::<keeper::Greeting>(r#"{"v":2,"oldest":1,"boot_id":"b","nonce":"00ff","pid":1}"#);
    same::<keeper::Hello>(r#"{"v":1,"nonce":"00","proof":"ff","epoch":7}"#);
    same::<keeper::Welcome>(r#"{"v":1,"proof":"ff"}"#);
    for ask in [
        r#"{"id":1,"ask":{"launch":{"place":{"key":"dw-abc123-a-0-a1","dir":"a/0/a1"},"argv":["/bin/sh"],"env":{"A":"b"},"cwd":"/","rows":40,"cols":120,"mac_key":"00","epoch":7,"log_half":1}}}"#,
        r#"{"id":2,"ask":{"look_up":{"attempts":[{"key":"dw-abc123-a-0-a1","dir":"a/0/a1"}]}}}"#,
        r#"{"id":3,"ask":{"stop":{"key":"dw-abc123-a-0-a1","grace_ms":5,"reason":"timeout"}}}"#,
        r#"{"id":4,"ask":{"input":{"key":"dw-abc123-a-0-a1","bytes":"aGkK"}}}"#,
        r#"{"id":5,"ask":{"run":{"argv":["true"],"env":{},"cwd":"/","timeout_ms":1}}}"#,
        r#"{"id":6,"ask":{"open_pty":{"argv":["sh"],"env":{},"cwd":"/","rows":40,"cols":120}}}"#,
        r#"{"id":7,"ask":{"open_session":{"key":"dw-abc123-a-0-a1","rows":40,"cols":120,"readonly":true}}}"#,
        r#"{"id":8,"ask":{"shutdown":{"force":false}}}"#,
    ] {
        same::<keeper::Asked>(ask);
    }
    for said in [
        r#"{"answer":{"id":1,"result":{"reply":"launched"}}}"#,
        r#"{"answer":{"id":1,"result":{"reply":"already_there"}}}"#,
        r#"{"answer":{"id":2,"result":{"reply":{"found":[{"key":"k","claim_boot":null,"exited":false,"held":false}]}}}}"#,
        r#"{"answer":{"id":5,"result":{"reply":{"ran":{"code":0,"output":"","timed_out":false}}}}}"#,
        r#"{"answer":{"id":6,"result":{"reply":"pty"}}}"#,
        r#"{"answer":{"id":8,"result":{"refused":"1 attempts are still running in this environment"}}}"#,
        r#"{"event":{"claimed":{"key":"k"}}}"#,
        r#"{"event":{"exited":{"key":"k"}}}"#,
        r#"{"event":{"shim_gone":{"key":"k","status":"killed by SIGKILL"}}}"#,
        r#"{"event":"tmux_restarted"}"#,
    ] {
        same::<keeper::FromKeeper>(said);
    }
    // The shim's protocol, version 1.
    same::<shim::Greeting>(r#"{"v":1,"key":"dw-abc123-a-0-a1","dir":"a/0/a1","nonce":"00","rows":40,"cols":120}"#);
    same::<shim::Opening>(r#"{"v":1,"want":"view"}"#);
    same::<shim::Opening>(r#"{"v":1,"want":{"command":{"proof":"ff"}}}"#);
    same::<shim::ToShim>(r#"{"stop":{"grace_ms":1,"reason":"stop","epoch":3}}"#);
    same::<shim::ToShim>(r#"{"input":{"bytes":"aGkK","epoch":3}}"#);
    for said in [
        r#""claimed""#,
        r#"{"refused":{"why":"no"}}"#,
        r#"{"sized":{"rows":40,"cols":120}}"#,
        r#"{"exited":{"end":{"code":0}}}"#,
        r#"{"unrecorded":{"end":{"signal":9},"why":"full"}}"#,
        r#"{"declined":{"why":"no"}}"#,
    ] {
        same::<shim::FromShim>(said);
    }
}
