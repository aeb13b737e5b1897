//! People are told, by real servers and real commands: once, whatever dies meanwhile, and nothing waits for them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::house::{House, until};

/// One request as it came.
#[derive(Debug, Clone)]
struct Post {
    path: String,
    key: String,
    body: Value,
    /// Whoever sent it has gone without an answer.
    left: bool,
}

/// A server that answers by path: `/flaky` is 500 twice, `/hang` never answers, `/away` redirects to another host, all else
/// is 200.
struct Server {
    port: u16,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
        let seen = Arc::clone(&posts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(&stream, port, &seen));
            }
        });
        Self { port, posts }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn got(&self, path: &str) -> Vec<Post> {
        self.posts.lock().expect("nobody panics").iter().filter(|post| post.path == path).cloned().collect()
    }
}

fn serve(mut stream: &TcpStream, port: u16, seen: &Mutex<Vec<Post>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.clone_into(&mut key),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).ok()?;
    let place = {
        let mut seen = seen.lock().ok()?;
        seen.push(Post { path: path.clone(), key, body, left: false });
        seen.len() - 1
    };
    let earlier = seen.lock().ok()?.iter().filter(|post| post.path == path).count();
    let answer = match path.as_str() {
        "/hang" => {
            // Nothing more comes but the end.
            let _ = reader.read(&mut [0]);
            seen.lock().ok()?[place].left = true;
            return None;
        }
        "/flaky" if earlier <= 2 => "HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nno\x1b[1m".to_owned(),
        "/away" => {
            format!("HTTP/1.1 307 There\r\nLocation: http://localhost:{port}/stolen\r\nContent-Length: 0\r\n\r\n")
        }
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).ok()
}

fn notices(house: &House) -> Vec<Value> {
    let output = house.dogwatch(&["notices", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn notice(house: &House, to: &str, event: &str) -> Value {
    let is_it = |one: &Value| one["to"].as_str().is_some_and(|host| host.starts_with(to)) && one["event"] == event;
    notices(house).into_iter().find(is_it).unwrap_or(Value::Null)
}

#[test]
fn a_question_is_told_and_a_server_that_hangs_slows_nothing() {
    let (server, hanging) = (Server::start(), Server::start());
    let house = House::new();
    house.workflow(&format!(
        r#"
[workflow]
name = "told"
[[notify]]
on = ["escalation", "run.succeeded"]
url = "{}"
[[notify]]
on = ["escalation"]
url = "{}"
[[notify]]
on = ["escalation"]
command = ["sh", "-c", 'printf "%s|%s|%s\n" "$DOGWATCH_EVENT" "$DOGWATCH_STEP" "$1" >> told; sleep 300 & exit 0', "sh", "$DOGWATCH_SUMMARY"]
[steps.bad]
retry = {{ max_attempts = 1 }}
run = "printf 'boom \\033[31m\\n'; exit 3"
[steps.next]
needs = ["bad"]
run = "true"
"#,
        server.url("/ok"),
        hanging.url("/hang")
    ));
    house.start();
    until("the question is told", || !server.got("/ok").is_empty() && !hanging.got("/hang").is_empty());
    until("the command was run", || house.text("told").lines().count() == 1);
    house.said(&["decide", "e1", "done", "-m", "fixed"]);
    until("the end is told", || server.got("/ok").len() == 2);
    // The run has gone on and has ended, and that was told, while the first one still waits for its answer.
    let hung = hanging.got("/hang");
    assert!(hung.len() == 1 && !hung[0].left, "something waited for a server that hangs: {hung:?}");
    let told = server.got("/ok");
    let words = told[0].body["summary"].as_str().expect("a summary");
    assert!(words.starts_with("told #1 needs you: bad failed with exit code 3"), "{words}");
    assert!(!told[0].body.to_string().contains("u001b"), "{:?}", told[0].body);
    assert_eq!(told[1].body["event"], "run.succeeded");
    assert_ne!(told[0].key, told[1].key);
    let line = house.text("told");
    assert!(line.starts_with("escalation|bad|told #1 needs you: bad failed"), "{line}");
    until("it is recorded", || notice(&house, "sh", "escalation")["state"] == "sent");
    let left: Vec<String> = house.left().into_iter().filter(|process| process.contains("sleep 300")).collect();
    assert!(left.is_empty(), "the command's group has not ended: {left:?}");
    // Its answer never comes, and by now nobody needs to be told.
    until("it is given up", || {
        let all = notices(&house);
        all.iter().any(|one| one["state"] == "needless" && one["result"].as_str().is_some_and(|why| !why.is_empty()))
    });
    assert!(hanging.got("/hang")[0].left);
}

#[test]
fn an_error_is_tried_again_and_another_host_is_never_told() {
    let server = Server::start();
    let house = House::new();
    house.workflow(&format!(
        "[workflow]\nname = 'again'\n[[notify]]\non = ['run.succeeded']\nurl = '{}'\n[[notify]]\non = ['run.succeeded']\n\
         url = '{}'\n[[notify]]\non = ['run.succeeded']\ncommand = ['sh', '-c', 'echo nobody home >&2; exit 7']\n\
         [steps.a]\nrun = 'true'\n",
        server.url("/flaky"),
        server.url("/away")
    ));
    house.start();
    until("it is told in the end", || notices(&house).iter().any(|one| one["state"] == "sent"));
    let tries = server.got("/flaky");
    assert_eq!(tries.len(), 3, "{tries:?}");
    assert!(tries.iter().all(|post| post.key == tries[0].key), "{tries:?}");
    let all = notices(&house);
    assert_eq!((&all[0]["tries"], &all[0]["state"]), (&3.into(), &"sent".into()), "{all:?}");
    let why = |place: usize| all[place]["result"].as_str().unwrap_or_default().to_owned();
    assert!(why(1).contains("redirects to http://localhost") && why(1).contains("not followed"), "{}", why(1));
    assert!(server.got("/stolen").is_empty());
    assert_eq!(why(2), "exit code 7: nobody home");
    assert_eq!(all[2]["state"], "due");
    // Also without an engine, and it says whom it could not reach.
    let tested = house.dogwatch(&["notify", "--test", "w.toml"]);
    let words = String::from_utf8_lossy(&tested.stdout).into_owned();
    assert_eq!(tested.status.code(), Some(1), "{words}");
    assert!(words.contains("✓ rule 1") && words.contains("× rule 2") && words.contains("exit code 7"), "{words}");
}

/// The engine dies at each of these, and is started again; then the webhook has come so often, always as the same one.
#[test]
fn an_engine_that_dies_loses_no_notice_and_tells_none_twice_as_two() {
    let mut injected = 0;
    for (point, posts) in [
        ("notice.before-post", 1),
        ("notice.after-post", 2),
        ("notice.before-record", 2),
        ("notice.after-record", 1),
        ("notice.before-owed", 1),
        ("notice.after-owed", 1),
    ] {
        let server = Server::start();
        let mut house = House::new();
        let once = house.root().join("died");
        house.set("DOGWATCH_CRASH", point);
        house.set("DOGWATCH_CRASH_ONCE", &once.to_string_lossy());
        house.workflow(&format!(
            "[workflow]\nname = 'dies'\n[[notify]]\non = ['run.succeeded']\nurl = '{}'\n[steps.a]\nrun = 'true'\n",
            server.url("/ok")
        ));
        house.start();
        until(&format!("{point}: the engine has died"), || once.exists());
        injected += 1;
        // Any command starts the next engine.
        until(&format!("{point}: it is told"), || {
            let all = notices(&house);
            all.len() == 1 && all[0]["state"] == "sent"
        });
        let came = server.got("/ok");
        assert_eq!(came.len(), posts, "{point}: {came:?}");
        assert!(came.iter().all(|post| post.key == came[0].key), "{point}: {came:?}");
        let rows: i64 = house.journal().query_row("SELECT count(*) FROM notices", [], |row| row.get(0)).expect("rows");
        assert_eq!(rows, 1, "{point}");
    }
    assert_eq!(injected, 6);
}

#[test]
fn a_command_is_run_again_as_the_same_one_when_the_engine_died_meanwhile() {
    let mut injected = 0;
    for (point, runs) in [("notice.before-command", 1), ("notice.after-start", 2), ("notice.after-command", 2)] {
        let mut house = House::new();
        let once = house.root().join("died");
        house.set("DOGWATCH_CRASH", point);
        house.set("DOGWATCH_CRASH_ONCE", &once.to_string_lossy());
        house.workflow(
            "[workflow]\nname = 'dies'\n[[notify]]\non = ['run.succeeded']\ncommand = ['sh', '-c', 'echo $DOGWATCH_NOTICE >> told']\n\
             [steps.a]\nrun = 'true'\n",
        );
        house.start();
        until(&format!("{point}: the engine has died"), || once.exists());
        injected += 1;
        until(&format!("{point}: it is told"), || notice(&house, "sh", "run.succeeded")["state"] == "sent");
        until(&format!("{point}: {runs} times"), || house.text("told").lines().count() == runs);
        let told = house.text("told");
        assert!(told.lines().all(|key| Some(key) == told.lines().next()), "{point}: {told}");
    }
    assert_eq!(injected, 3);
}
