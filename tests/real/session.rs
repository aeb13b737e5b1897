//! The engine's connection to a keeper, with keepers that behave badly.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here, with the place")]

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use dogwatch::session::{AskError, Error, Keeper};
use dogwatch::wire::keeper::{Ask, Asked, Event, FromKeeper, Greeting, Hello, Outcome, Reply, Welcome, proof};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

const SECRET: [u8; 32] = [5; 32];

/// The other end of one connection, in the hands of the test.
struct Peer {
    stream: BufReader<UnixStream>,
}

impl Peer {
    async fn say(&mut self, message: &impl Serialize) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        self.raw(line.as_bytes()).await;
    }

    async fn raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line
    }

    async fn asked(&mut self) -> Asked {
        serde_json::from_str(&self.line().await).unwrap()
    }

    async fn answer(&mut self, id: u64, reply: Reply) {
        self.say(&FromKeeper::Answer { id, result: Outcome::Reply(reply) }).await;
    }

    /// A line with a descriptor that travels with its first byte.
    async fn say_with(&mut self, message: &FromKeeper, fd: &OwnedFd) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        let stream = self.stream.get_ref();
        stream.writable().await.unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let sent =
            rustix::net::sendmsg(stream, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::empty()).unwrap();
        assert_eq!(sent, line.len());
    }
}

/// A folder with a listening socket in it.
struct Fake {
    dir: tempfile::TempDir,
    listener: UnixListener,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("keeper.sock")).unwrap();
        Self { dir, listener }
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer { stream: BufReader::new(stream) };
        peer.say(&Greeting { v: 2, oldest: Some(1), boot_id: "boot".into(), nonce: "0a".into(), pid: 1 }).await;
        peer
    }

    async fn connect(&self) -> Result<(Keeper, tokio::sync::mpsc::Receiver<Event>), Error> {
        Keeper::connect(self.dir.path(), &SECRET, 7).await
    }

    /// Both ends of a connection that is through the handshake.
    async fn shaken(&self) -> (Keeper, tokio::sync::mpsc::Receiver<Event>, Peer) {
        let serve = async {
            let mut peer = self.accept().await;
            let hello: Hello = serde_json::from_str(&peer.line().await).unwrap();
            assert_eq!((hello.proof, hello.epoch), (proof(&SECRET, "engine", "0a"), 7));
            peer.say(&Welcome { v: 2, proof: proof(&SECRET, "keeper", &hello.nonce) }).await;
            peer
        };
        let (connected, peer) = tokio::join!(self.connect(), serve);
        let (keeper, events) = connected.unwrap();
        (keeper, events, peer)
    }
}

fn look_up() -> Ask {
    Ask::LookUp { attempts: vec![] }
}

#[tokio::test]
async fn nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Keeper::connect(dir.path(), &SECRET, 1).await, Err(Error::Nobody { .. })));
}

#[tokio::test]
async fn a_keeper_without_the_secret_is_an_impostor() {
    let fake = Fake::new();
    let serve = async {
        let mut peer = fake.accept().await;
        let hello: Hello = serde_json::from_str(&peer.line().await).unwrap();
        // What it could know: the engine's own proof, sent back.
        peer.say(&Welcome { v: 2, proof: hello.proof }).await;
        peer
    };
    let (connected, _peer) = tokio::join!(fake.connect(), serve);
    assert!(matches!(connected, Err(Error::Impostor { .. })), "{connected:?}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_keepers_words() {
    let fake = Fake::new();
    let serve = async {
        let mut peer = fake.accept().await;
        peer.line().await;
        peer.say(&FromKeeper::Answer { id: 0, result: Outcome::Refused("epoch 7 is older than 9".into()) }).await;
        peer
    };
    let (connected, _peer) = tokio::join!(fake.connect(), serve);
    let Err(Error::Refused(why)) = connected else { panic!("{connected:?}") };
    assert_eq!(why, "epoch 7 is older than 9");
}

#[tokio::test]
async fn another_version_or_nonsense_is_not_taken_for_a_keeper() {
    let newer = "{\"v\":99,\"oldest\":98,\"boot_id\":\"b\",\"nonce\":\"00\",\"pid\":1}\n";
    let error = greeted_with(newer).await;
    assert!(matches!(error, Error::OtherBuild { age: "a newer", .. }), "{error:?}");
    let error = greeted_with("hello\n").await;
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

/// What an engine says of whoever greets it with this line.
async fn greeted_with(line: &str) -> Error {
    let fake = Fake::new();
    let serve = async {
        let (mut stream, _) = fake.listener.accept().await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        stream
    };
    let (connected, _stream) = tokio::join!(fake.connect(), serve);
    connected.expect_err("this is no keeper of ours")
}

#[tokio::test]
async fn a_keeper_that_says_nothing_is_unreachable_not_gone() {
    let fake = Fake::new();
    let before = dogwatch::clock::boottime_ms();
    assert!(matches!(fake.connect().await, Err(Error::Unreachable { .. })));
    assert!((4_900..15_000).contains(&(dogwatch::clock::boottime_ms() - before)));
}

#[tokio::test]
async fn answers_find_their_asks_in_any_order() {
    let fake = Fake::new();
    let (keeper, _events, mut peer) = fake.shaken().await;
    let count = 200;
    let asks: Vec<_> = (0..count)
        .map(|n| {
            let keeper = keeper.clone();
            let ask = Ask::Run { argv: vec![n.to_string()], env: [].into(), cwd: "/".into(), timeout_ms: 1000 };
            tokio::spawn(async move { (n, keeper.ask(ask).await) })
        })
        .collect();
    let mut asked = Vec::new();
    for _ in 0..count {
        let one = peer.asked().await;
        let Ask::Run { argv, .. } = one.ask else { panic!() };
        asked.push((one.id, argv[0].clone()));
    }
    for (id, argv) in asked.into_iter().rev() {
        peer.answer(id, Reply::Ran { code: argv.parse().unwrap(), output: argv, timed_out: false }).await;
    }
    for ask in asks {
        let (n, reply) = ask.await.unwrap();
        assert_eq!(reply, Ok(Reply::Ran { code: n, output: n.to_string(), timed_out: false }));
    }
}

#[tokio::test]
async fn events_between_answers_arrive_in_order() {
    let fake = Fake::new();
    let (keeper, mut events, mut peer) = fake.shaken().await;
    let serve = async {
        for n in 0..50 {
            peer.say(&FromKeeper::Event(Event::Exited { key: n.to_string() })).await;
        }
        let id = peer.asked().await.id;
        peer.answer(id, Reply::Done).await;
    };
    let (reply, ()) = tokio::join!(keeper.ask(look_up()), serve);
    assert_eq!(reply, Ok(Reply::Done));
    for n in 0..50 {
        assert_eq!(events.recv().await, Some(Event::Exited { key: n.to_string() }));
    }
}

#[tokio::test]
async fn when_the_keeper_goes_everybody_learns_it() {
    let fake = Fake::new();
    let (keeper, mut events, mut peer) = fake.shaken().await;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let keeper = keeper.clone();
                async move { keeper.ask(look_up()).await }
            })
        })
        .collect();
    for _ in 0..5 {
        peer.asked().await;
    }
    drop(peer);
    for ask in waiting {
        assert_eq!(ask.await.unwrap(), Err(AskError::Gone));
    }
    assert_eq!(events.recv().await, None);
    assert_eq!(keeper.ask(look_up()).await, Err(AskError::Gone));
}

#[tokio::test]
async fn a_late_answer_is_unreachable_and_harms_nothing() {
    let fake = Fake::new();
    let (keeper, _events, mut peer) = fake.shaken().await;
    let started = dogwatch::clock::boottime_ms();
    let (late, first) = tokio::join!(keeper.ask(look_up()), peer.asked());
    assert!(matches!(late, Err(AskError::Unreachable(5000))), "{late:?}");
    assert!(dogwatch::clock::boottime_ms() - started >= 4_900);
    let (reply, ()) = tokio::join!(keeper.ask(look_up()), async {
        let second = peer.asked().await;
        peer.answer(first.id, Reply::AlreadyThere).await;
        peer.answer(second.id, Reply::Launched).await;
    });
    assert_eq!(reply, Ok(Reply::Launched));
}

#[tokio::test]
async fn each_terminal_gets_its_own_descriptor() {
    let fake = Fake::new();
    let (keeper, _events, mut peer) = fake.shaken().await;
    let open = |n: u16| Ask::OpenPty { argv: vec![], env: [].into(), cwd: "/".into(), rows: n, cols: 80 };
    let asks: Vec<_> = (2..12)
        .map(|n| {
            tokio::spawn({
                let keeper = keeper.clone();
                let ask = open(n);
                async move { (n, keeper.ask_pty(ask).await) }
            })
        })
        .collect();
    let mut pipes = Vec::new();
    for _ in 0..10 {
        let asked = peer.asked().await;
        let Ask::OpenPty { rows, .. } = asked.ask else { panic!() };
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        // Something before and after, so that descriptors come in the middle of what is read at once.
        peer.say(&FromKeeper::Event(Event::TmuxRestarted)).await;
        peer.say_with(&FromKeeper::Answer { id: asked.id, result: Outcome::Reply(Reply::Pty) }, &write).await;
        peer.say(&FromKeeper::Event(Event::TmuxRestarted)).await;
        pipes.push((rows, read));
    }
    for ask in asks {
        let (n, fd) = ask.await.unwrap();
        let fd = fd.unwrap();
        assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        rustix::io::write(&fd, &[u8::try_from(n).unwrap()]).unwrap();
    }
    for (rows, read) in pipes {
        let mut byte = [0u8; 8];
        assert_eq!(rustix::io::read(&read, &mut byte).unwrap(), 1);
        assert_eq!(u16::from(byte[0]), rows, "a terminal went to another ask");
    }
}

#[tokio::test]
async fn a_terminal_without_a_descriptor_is_no_terminal() {
    let fake = Fake::new();
    let (keeper, _events, mut peer) = fake.shaken().await;
    let ask = Ask::OpenSession { key: "k".into(), rows: 2, cols: 2, readonly: true };
    let (reply, ()) = tokio::join!(keeper.ask_pty(ask), async {
        let id = peer.asked().await.id;
        peer.answer(id, Reply::Pty).await;
    });
    assert!(matches!(reply, Err(AskError::Unfit(_))), "{reply:?}");
}

#[tokio::test]
async fn a_line_without_end_ends_the_connection_not_the_memory() {
    let fake = Fake::new();
    let (_keeper, mut events, mut peer) = fake.shaken().await;
    let block = vec![b'x'; 1024 * 1024];
    let mut sent = 0;
    // Writing fails as soon as the engine has closed its side.
    while sent < 64 && peer.stream.get_mut().write_all(&block).await.is_ok() {
        sent += 1;
    }
    assert!((4..16).contains(&sent), "{sent} MiB were taken");
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_line_of_nearly_four_mebibytes_passes_both_ways() {
    let fake = Fake::new();
    let (keeper, _events, mut peer) = fake.shaken().await;
    let big = "y".repeat(4 * 1024 * 1024 - 1000);
    let ask = Ask::Input { key: "k".into(), bytes: big.clone() };
    let (reply, ()) = tokio::join!(keeper.ask(ask), async {
        let asked = peer.asked().await;
        assert_eq!(asked.ask, Ask::Input { key: "k".into(), bytes: big.clone() });
        peer.answer(asked.id, Reply::Ran { code: 0, output: big.clone(), timed_out: false }).await;
    });
    assert_eq!(reply, Ok(Reply::Ran { code: 0, output: big, timed_out: false }));
    let too_big = Ask::Input { key: "k".into(), bytes: "y".repeat(4 * 1024 * 1024) };
    assert!(matches!(keeper.ask(too_big).await, Err(AskError::Refused(_))));
}

#[tokio::test]
async fn a_keeper_that_does_not_read_blocks_no_asker_for_ever() {
    let fake = Fake::new();
    let (keeper, _events, peer) = fake.shaken().await;
    let ask = Ask::Input { key: "k".into(), bytes: "y".repeat(1024 * 1024) };
    let mut refused = 0;
    let asks: Vec<_> = (0..24)
        .map(|_| {
            tokio::spawn({
                let keeper = keeper.clone();
                let ask = ask.clone();
                async move { keeper.ask(ask).await }
            })
        })
        .collect();
    for ask in asks {
        match tokio::time::timeout(Duration::from_secs(15), ask).await.expect("an ask hangs").unwrap() {
            Err(AskError::Refused(_)) => refused += 1,
            Err(AskError::Unreachable(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0, "nothing limits what waits to be sent");
    drop(peer);
}
