//! Real failures, judged: the engine says why, by which line, and `why` and the question show it.

use serde_json::Value;

use crate::desk::Desk;

/// Each a step: what it runs, the class of its failure, what its line holds; empty where a fact says it.
const FAILURES: &[(&str, &str, &str, &str)] = &[
    ("module", "python3 -c 'import no_such_module'", "environment", "No module named 'no_such_module'"),
    ("refused", "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 1))'", "network", "refused"),
    ("name", "python3 -c 'import socket; socket.getaddrinfo(\"nowhere.invalid\", 80)'", "network", "Name or service"),
    ("file", "cat no-such-input.csv", "input_data", "No such file or directory"),
    ("tool", "no-such-tool --train", "environment", "not found"),
    ("json", "python3 -c 'import json; json.loads(\"{\")'", "input_data", "JSONDecodeError"),
    ("tests", "python3 -m unittest checks.py", "test_failure", "FAILED (failures=1)"),
    ("nan", "echo 'step 3 loss nan'; echo 'RuntimeError: loss is nan, stopping training'; exit 1", "divergence", "nan"),
    ("crash", "sh -c 'kill -SEGV $$'", "code_config", ""),
    ("late", "sleep 60", "interrupted", ""),
    ("mute", "exit 3", "unknown", ""),
    ("seat", "echo 'MemoryError'; echo 'no seats left'; exit 1", "capacity", "no seats left"),
];

/// A rule of the workflow's own.
const SEAT: &str = "[[rules]]\nid = \"no-seat\"\nclass = \"capacity\"\npattern = 'no seats left'\n\
                    example = \"no seats left\"\nmeans = \"Every seat of the license is taken.\"\n";

#[test]
fn a_real_failure_is_told_with_its_class_and_its_line() {
    let desk = Desk::new();
    let check =
        "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(1, 2)\n";
    std::fs::write(desk.project().join("checks.py"), check).expect("a file");
    let steps = FAILURES.iter().map(|(name, run, ..)| {
        let limit = if *name == "late" { "timeout = \"1s\"\n" } else { "" };
        format!("[steps.{name}]\n{limit}retry = {{ max_attempts = 1 }}\nrun = '''{run}'''\n")
    });
    desk.write("fails", &(steps.collect::<Vec<String>>().concat() + SEAT));
    desk.run(&["run", "--detach"]).ends(0);
    let asked = || {
        let said = desk.run(&["status", "fails", "--json"]);
        serde_json::from_str::<Value>(said.out.trim()).is_ok_and(|view| view["line"]["asking"] == FAILURES.len())
    };
    assert!(crate::house::within(60_000, asked), "{}", desk.run(&["status", "fails"]).out);
    let mut judged = 0;
    for (name, _, class, line) in FAILURES {
        let said = desk.run(&["why", "fails", name, "--json"]).ends(0);
        let view: Value = serde_json::from_str(said.out.trim()).expect("it is JSON");
        let told = &view["diagnosis"];
        assert_eq!(told["class"], *class, "{name}: {}", said.out);
        let shown = told["line"]["line"].as_str().unwrap_or_default();
        assert!(shown.contains(line), "{name}: {}", said.out);
        judged += 1;
    }
    assert_eq!(judged, FAILURES.len());
    // The question says it, points at the line, and hostile bytes of a log stay where they are.
    let inbox = desk.run(&["inbox"]).ends(0);
    assert!(inbox.out.contains("module"), "{}", inbox.out);
    let why = desk.run(&["why", "fails", "module"]).ends(0);
    for words in ["module attempt 1: code 1 after", "environment", "python-module-missing", "escalate:"] {
        assert!(why.out.contains(words), "{words}: {}", why.out);
    }
    let status = desk.run(&["status", "fails", "--json"]).ends(0);
    let view: Value = serde_json::from_str(status.out.trim()).expect("it is JSON");
    let asked = view["escalations"].as_array().expect("questions").iter().find(|asked| asked["step"] == "module");
    let asked = asked.expect("it asks");
    let matched = asked["matched"].as_u64().expect("a line is pointed at");
    let line = &asked["evidence"][usize::try_from(matched).expect("a place")];
    assert!(line.as_str().is_some_and(|line| line.ends_with("No module named 'no_such_module'")), "{asked}");
    let told = asked["evidence"].as_array().expect("lines").iter().filter_map(Value::as_str);
    assert!(told.clone().any(|line| line.starts_with("environment: A Python module is missing")), "{asked}");
    // A rule of the workflow is named as such, also where the log is judged by itself.
    let own = desk.run(&["why", "fails", "seat"]).ends(0);
    for words in ["capacity", "no-seat (root, of the workflow)", "Every seat of the license is taken."] {
        assert!(own.out.contains(words), "{words}: {}", own.out);
    }
    std::fs::write(desk.project().join("seat.log"), "no seats left\n").expect("a file");
    let log = desk.run(&["diagnose", "--exit-code", "1", "--workflow", "dogwatch.toml", "seat.log"]).ends(0);
    assert!(log.out.contains("no-seat (root, of the workflow)"), "{}", log.out);
    // What ended well, or is not there, has no reason.
    desk.run(&["why", "fails", "module", "--attempt", "2"]).ends(6);
    desk.run(&["why", "fails", "nobody"]).ends(5);
}
