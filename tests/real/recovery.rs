//! Real failures and what becomes of them: which class, how often the step is started, and that the run ends well without
//! a person wherever a rule allows it. Nothing is told by text alone: sockets refuse, memory ends, signals come.

use serde_json::Value;

use crate::desk::Desk;

/// One step and what is to become of it.
struct Case {
    name: &'static str,
    /// The first lines note each start in `starts-NAME` and set `$N`, the number of it.
    script: &'static str,
    /// Keys of the step and tables below it.
    keys: &'static str,
    /// The class of the first attempt.
    class: &'static str,
    starts: usize,
    /// A person is asked in the end.
    asks: bool,
}

const QUICK: &str = "delay = '50ms', jitter = false";

fn cases() -> Vec<Case> {
    let again = |name, class, script| Case { name, script, keys: "", class, starts: 2, asks: false };
    let asks = |name, class, script| Case { name, script, keys: "", class, starts: 1, asks: true };
    vec![
        Case {
            keys: "on_failure = [{ match = { class = 'network' }, action = 'retry', retry = { max_attempts = 5, QUICK } }]",
            ..again(
                "refused",
                "network",
                "[ $N -ge 2 ] || python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 1))'",
            )
        },
        Case {
            keys: "on_failure = [{ match = { class = 'network' }, action = 'retry', retry = { max_attempts = 3, QUICK } }]",
            starts: 3,
            asks: true,
            ..again("dns", "network", "python3 -c 'import socket; socket.getaddrinfo(\"nowhere.invalid\", 80)'")
        },
        // A server that takes the connection and never says a word.
        Case {
            keys: "on_failure = [{ match = { class = 'network' }, action = 'retry', retry = { max_attempts = 5, QUICK } }]",
            ..again(
                "stalled",
                "network",
                "cat > stalled.py <<'E'\nimport socket, urllib.request\ns = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen()\n\
                 urllib.request.urlopen(\"http://127.0.0.1:%d/\" % s.getsockname()[1], timeout=0.3)\nE\n[ $N -ge 2 ] || python3 stalled.py",
            )
        },
        Case {
            keys: "on_failure = [{ match = { class = 'rate_limit' }, action = 'retry', retry = { max_attempts = 6, QUICK } }]",
            ..again("limited", "rate_limit", "cat > limited.py <<'E'\nLIMITED\nE\nN=$N python3 limited.py")
        },
        // Memory really ends: the address space is limited.
        Case {
            keys: "env = { ITEMS = '800000000' }\non_failure = [{ match = { class = 'host_resource' }, action = 'retry_modified', \
                   change = { ITEMS = '/ 10' }, retry = { max_attempts = 4, QUICK } }]",
            ..again(
                "memory",
                "host_resource",
                "ulimit -v 400000; python3 -c 'import os; b = bytearray(int(os.environ[\"ITEMS\"])); print(len(b))'",
            )
        },
        Case {
            keys: "on_failure = [{ match = { class = 'divergence' }, action = 'alternative', use = 'slower', retry = { max_attempts = 2, QUICK } }]\n\
                   [steps.nan.alternatives.slower]\nenv = { LR = '0.1' }",
            ..again(
                "nan",
                "divergence",
                "cat > nan.py <<'E'\nimport math, os\nx, lr = 1e300, float(os.environ.get(\"LR\", \"1e9\"))\nfor step in range(5):\n    \
                 x = x - lr * x if lr < 1 else x * lr * lr\n    loss = x - x if math.isinf(x) else 0.5\n    print(\"step\", step, \"loss\", loss, flush=True)\n    \
                 if math.isnan(loss): raise FloatingPointError(\"loss is nan at step %d\" % step)\nE\npython3 nan.py",
            )
        },
        // Somebody outside ends it; it goes on from its checkpoint.
        Case {
            keys: "on_failure = [{ match = { class = 'interrupted' }, action = 'resume', retry = { max_attempts = 3, QUICK } }]\n\
                   checkpoint = { pattern = 'saved (?P<path>\\S+) at step (?P<step>\\d+)', resume_env = 'RESUME' }",
            ..again(
                "preempted",
                "interrupted",
                "if [ -n \"$RESUME\" ]; then test -s \"$RESUME\"; exit 0; fi\necho 7 > ckpt.pt; echo \"saved preempted/ckpt.pt at step 7\"; kill -TERM $$; sleep 20",
            )
        },
        // Workers follow the one that failed first: its reason counts, not the launcher's last words.
        Case {
            keys: "on_failure = [{ match = { class = 'lock_contention' }, action = 'retry', retry = { max_attempts = 5, QUICK } }]",
            ..again(
                "cascade",
                "lock_contention",
                "cat > launch.py <<'E'\nCASCADE\nE\n[ $N -ge 2 ] || python3 launch.py",
            )
        },
        Case {
            keys: "on_failure = [{ match = { class = 'code_config' }, action = 'skip' }]",
            starts: 1,
            ..again("optional", "code_config", "python3 -c 'raise KeyError(\"lr\")'")
        },
        asks("full", "disk_full", "python3 -c 'open(\"/dev/full\", \"w\").write(\"x\" * 100000)'"),
        asks("segv", "code_config", "sh -c 'kill -SEGV $$'"),
        asks("module", "environment", "python3 -c 'import no_such_module'"),
        asks(
            "tests",
            "test_failure",
            "printf 'import unittest\\nclass T(unittest.TestCase):\\n    def test_a(self): self.assertEqual(1, 2)\\n' > t.py; python3 -m unittest t.py",
        ),
        asks(
            "damaged",
            "input_data",
            "head -c 20 /dev/urandom > damaged.pkl; printf '\\x80\\x04\\x95' > damaged.pkl; python3 -c 'import pickle; pickle.load(open(\"damaged.pkl\", \"rb\"))'",
        ),
        // Its own limit ends a hang; from the start it would reach the same limit.
        Case { keys: "timeout = '1s'\ngrace = '1s'", ..asks("hang", "interrupted", "sleep 60") },
        asks("auth", "auth", "cat > auth.py <<'E'\nAUTH\nE\npython3 auth.py"),
    ]
}

/// A server that asks for patience, and its client.
const LIMITED: &str = r#"import http.server, os, threading, urllib.request
class Limit(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(429 if os.environ["N"] == "1" else 200)
        self.send_header("Retry-After", "2")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Limit)
threading.Thread(target=server.serve_forever, daemon=True).start()
try:
    urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_port)
except urllib.error.HTTPError as e:
    print(e.headers)
    raise"#;

const AUTH: &str = r#"import http.server, threading, urllib.request
class No(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401); self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), No)
threading.Thread(target=server.serve_forever, daemon=True).start()
urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_port)"#;

/// One worker meets a locked database; the other is told to leave; the launcher tells of its children only.
const CASCADE: &str = r#"import sqlite3, subprocess, sys, time
if len(sys.argv) > 1:
    if sys.argv[1] == "0":
        sqlite3.connect("jobs.db", timeout=0.1).execute("insert into jobs values (1)")
    time.sleep(30); sys.exit()
holder = sqlite3.connect("jobs.db", isolation_level=None)
holder.execute("create table if not exists jobs (n)"); holder.execute("begin exclusive")
workers = [subprocess.Popen([sys.executable, sys.argv[0], str(n)]) for n in range(2)]
workers[0].wait(); workers[1].terminate(); workers[1].wait()
print("W1123 torch/distributed/elastic/multiprocessing/api.py:897] Sending process %d closing signal SIGTERM" % workers[1].pid)
print("Traceback (most recent call last):\n  File \"launch.py\", line 9, in <module>", file=sys.stderr)
print("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: launch.py FAILED", file=sys.stderr)
sys.exit(1)"#;

fn file(cases: &[Case]) -> String {
    let step = |case: &Case| {
        let script = case.script.replace("LIMITED", LIMITED).replace("AUTH", AUTH).replace("CASCADE", CASCADE);
        let (name, keys) = (case.name, case.keys.replace("QUICK", QUICK));
        let (own, tables) =
            keys.split_once("\n[").map_or((keys.as_str(), String::new()), |(own, rest)| (own, format!("[{rest}")));
        format!(
            "[steps.{name}]\n{own}\nrun = '''\nmkdir -p {name} && cd {name}\ndate +%s.%N >> starts\nN=$(wc -l < starts)\n{script}\n'''\n{tables}\n"
        )
    };
    cases.iter().map(step).collect()
}

#[test]
fn real_failures_end_well_without_a_person_wherever_a_rule_allows_it() {
    let desk = Desk::new();
    let cases = cases();
    // Triple quotes hold what the scripts are; theirs are written as single ones.
    desk.write("broken", &file(&cases));
    desk.run(&["run", "--detach"]).ends(0);
    let state = |view: &Value, name: &str| {
        let steps = view["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["step"] == name).expect("the step is there");
        step["state"].as_str().expect("a state").to_owned()
    };
    let status =
        || serde_json::from_str::<Value>(desk.run(&["status", "broken", "--json"]).out.trim()).expect("it is JSON");
    let done = |view: &Value| {
        cases.iter().all(|case| {
            if case.asks {
                state(view, case.name) == "asking"
            } else {
                ["succeeded", "skipped", "left_out"].contains(&state(view, case.name).as_str())
            }
        })
    };
    assert!(crate::house::within(120_000, || done(&status())), "{}", desk.run(&["status", "broken"]).out);
    for case in &cases {
        let said = desk.run(&["why", "broken", case.name, "--attempt", "1", "--json"]).ends(0);
        let view: Value = serde_json::from_str(said.out.trim()).expect("it is JSON");
        assert_eq!(view["diagnosis"]["class"], case.class, "{}: {}", case.name, said.out);
        let starts = std::fs::read_to_string(desk.project().join(case.name).join("starts")).expect("it was started");
        assert_eq!(starts.lines().count(), case.starts, "{} was started so often", case.name);
    }
    // Who is asked to wait waits.
    let starts = std::fs::read_to_string(desk.project().join("limited/starts")).expect("it was started");
    let starts: Vec<f64> = starts.lines().map(|line| line.parse().expect("seconds")).collect();
    assert!(starts[1] - starts[0] >= 2.0, "{starts:?}");
}

#[test]
fn how_the_same_failure_was_answered_before_is_told_and_how_that_ended() {
    let desk = Desk::new();
    let step = "version = 1\n[steps.train]\nretry = { max_attempts = 1 }\nrun = 'test -e fixed || { echo no such file; exit 4; }'\n";
    std::fs::write(desk.project().join("again.toml"), step).expect("a file");
    let asks = |desk: &Desk| {
        desk.run(&["run", "again.toml", "--detach"]).ends(0);
        let asked = || desk.run(&["inbox", "--json"]).out.contains("\"escalation\"");
        assert!(crate::house::within(30_000, asked), "{}", desk.run(&["status"]).out);
        let said = desk.run(&["inbox", "--json"]).ends(0);
        let view: Value = serde_json::from_str(said.out.lines().next().expect("a question")).expect("it is JSON");
        (format!("e{}", view["id"]), desk.run(&["show", &format!("e{}", view["id"])]).ends(0).out)
    };
    let (first, shown) = asks(&desk);
    assert!(!shown.contains("before"), "{shown}");
    std::fs::write(desk.project().join("fixed"), "").expect("a file");
    let rule = desk.run(&["decide", &first, "retry", "--as-rule"]).ends(0);
    assert!(rule.out.contains("[[steps.train.on_failure]]") && rule.out.contains("action = \"retry\""), "{}", rule.out);
    desk.run(&["decide", &first, "retry"]).ends(0);
    desk.run(&["wait", "again"]).ends(0);
    std::fs::remove_file(desk.project().join("fixed")).expect("it was there");
    // Also by an engine that was started since.
    desk.run(&["engine", "stop"]).ends(0);
    let (_, shown) = asks(&desk);
    assert!(shown.contains("retry by") && shown.contains("in again #1: it succeeded"), "{shown}");
}
