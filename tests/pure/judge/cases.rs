//! Cases that mislead, roles, facts, and what is said without an exit code.

use dogwatch::cli::text::{Look, diagnosis, page};
use dogwatch::judge::Facts;
use dogwatch::model::{Advice, Class, Diagnosis, Role};

use super::judged;

fn failed(text: &str) -> Diagnosis {
    judged(text, &Facts::of_code(1))
}

/// One invented output with its label.
struct Unseen {
    id: String,
    exit_code: Option<i32>,
    class: Class,
    advice: Advice,
    text: String,
}

fn unseen() -> Vec<Unseen> {
    let mut all: Vec<Unseen> = Vec::new();
    for line in include_str!("unseen.txt").lines() {
        if let Some(head) = line.strip_prefix("=== ") {
            let [id, code, class, advice] = head.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
            all.push(Unseen {
                id: id.into(),
                exit_code: code.parse().ok(),
                class: Class::of(class).expect(line),
                advice: Advice::of(advice).expect(line),
                text: String::new(),
            });
        } else if let Some(last) = all.last_mut() {
            last.text.push_str(line);
            last.text.push('\n');
        }
    }
    all
}

#[test]
fn invented_outputs_are_judged_as_they_are_labelled() {
    let all = unseen();
    assert!(all.len() >= 150, "{}", all.len());
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|one| {
            let said = judged(&one.text, &Facts { exit_code: one.exit_code, ..Facts::default() });
            let same = (said.class, said.advice) == (one.class, one.advice);
            (!same).then(|| format!("{}: {}/{} by {:?}, not {}", one.id, said.class, said.advice, said.rule, one.class))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_last_line_has_other_reasons() {
    let last = "ERROR: No matching distribution found for acme\n";
    for (before, class) in [
        ("", Class::Environment),
        ("WARNING: 401 Error, Credentials not correct for https://pkgs.example.com/simple/acme/\n", Class::Auth),
        ("WARNING: Retrying after connection broken by 'ReadTimeoutError(\"Read timed out.\")'\n", Class::Network),
        (
            "WARNING: Retrying after connection broken by 'ResponseError('too many 503 error responses')'\n",
            Class::Network,
        ),
        ("WARNING: Retrying after 'ResponseError('too many 429 error responses')'\n", Class::RateLimit),
    ] {
        assert_eq!(failed(&format!("{before}{last}")).class, class, "{before}");
    }
    let hub = "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub \
               and we cannot find the requested files in the local cache.\n";
    let gateway =
        "requests.exceptions.HTTPError: 504 Server Error: Gateway Time-out for url: https://hub.example.com/x\n";
    assert_eq!(failed(&format!("{gateway}\n{hub}")).class, Class::Network);
    let refused = "The connection to the server localhost:8080 was refused - did you specify the right host or port?";
    assert_eq!(failed(refused).class, Class::CodeConfig, "no kubeconfig");
    let down = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?";
    assert_eq!(failed(down).class, Class::Network, "the cluster is down");
    assert_eq!(failed("fatal error: all goroutines are asleep - deadlock!").class, Class::CodeConfig);
    assert_eq!(failed("ERROR:  deadlock detected").class, Class::LockContention);
}

#[test]
fn a_root_beats_what_follows_from_it_wherever_it_stands() {
    let root = "[rank1]: KeyError: 'attention_mask'\n";
    let after = "[rank0]: torch.distributed.DistBackendError: NCCL error in: x.cpp:94, remote process exited\n\
                 torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n";
    for text in [format!("{root}{after}"), format!("{after}{root}"), format!("{root}{}", after.repeat(200))] {
        let said = failed(&text);
        assert_eq!((said.class, said.rule.as_deref()), (Class::CodeConfig, Some("python-exception")));
        assert_eq!(said.role, Some(Role::Root));
        assert!(!said.cascades.is_empty());
    }
    let alone = failed(after);
    assert_eq!((alone.class, alone.role), (Class::CollectiveHang, Some(Role::Cascade)));
    assert!(alone.confidence <= 0.5, "{}", alone.confidence);
}

#[test]
fn the_evidence_is_the_line_with_its_number() {
    let said = failed("one\ntwo\n\u{1b}[31mOSError: [Errno 28] No space left on device\u{1b}[0m\nfour\n");
    let line = said.evidence.expect("a rule matched");
    assert_eq!((line.number, line.line.as_str()), (3, "OSError: [Errno 28] No space left on device"));
    assert!(!said.explanation.is_empty());
}

#[test]
fn what_was_overcome_is_not_what_ended_it() {
    let early = "WARNING: CUDA out of memory, halving the batch\n";
    let work = "step 1 | loss 2.0\nstep 2 | loss 1.9\nstep 3 | loss 1.8\nstep 4 | loss 1.7\n";
    let late = "KeyError: 'labels'\n";
    assert_eq!(failed(&format!("{early}{work}{late}")).class, Class::CodeConfig);
    let refused = "connect: Connection refused\n";
    assert_eq!(failed(&format!("{refused}{work}OSError: [Errno 24] Too many open files\n")).class, Class::HostResource);
    assert_eq!(failed("db: connection refused (attempt 10/10)\nException: giving up\n").class, Class::Network);
}

#[test]
fn source_code_in_a_traceback_is_no_evidence() {
    let text = "Traceback (most recent call last):\n  File \"t.py\", line 9, in f\n    raise RuntimeError('CUDA out of memory')\n\
                ZeroDivisionError: division by zero\n";
    assert_eq!(failed(text).class, Class::CodeConfig);
}

#[test]
fn facts_come_before_text() {
    let text = "urllib3.exceptions.MaxRetryError: Max retries exceeded with url: /x\n";
    let with = |facts: Facts| judged(text, &facts).class;
    assert_eq!(with(Facts::of_code(1)), Class::Network);
    assert_eq!(with(Facts { oom: true, ..Facts::of_code(137) }), Class::HostResource);
    assert_eq!(with(Facts { timed_out: true, ..Facts::of_code(143) }), Class::Interrupted);
    assert_eq!(with(Facts { disk_full: true, ..Facts::of_code(1) }), Class::DiskFull);
    assert_eq!(with(Facts { device_error: true, ..Facts::of_code(1) }), Class::Hardware);
    // What proves itself is not overruled by what only happened at the same time.
    let facts = Facts { disk_full: true, ..Facts::of_code(1) };
    assert_eq!(judged("torch.OutOfMemoryError: CUDA out of memory.\n", &facts).class, Class::DeviceOom);
    for (facts, class) in [
        (Facts::of_code(143), Class::Interrupted),
        (Facts::of_code(-15), Class::Interrupted),
        (Facts { signal: Some(2), ..Facts::default() }, Class::Interrupted),
        (Facts::of_code(124), Class::Interrupted),
        (Facts::of_code(127), Class::Environment),
        (Facts::of_code(139), Class::CodeConfig),
        (Facts { signal: Some(11), ..Facts::default() }, Class::CodeConfig),
        (Facts::of_code(3), Class::Unknown),
    ] {
        assert_eq!(judged("working on item 7\n", &facts).class, class, "{facts:?}");
    }
}

#[test]
fn success_is_told_by_the_exit_code_and_where_there_is_none_by_the_end() {
    let text = "ERROR: column \"x\" does not exist\nKeyError: 'x'\nCUDA out of memory\n";
    assert_eq!(judged(text, &Facts::of_code(0)).class, Class::None);
    let limit = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-02T03:04:05 DUE TO TIME LIMIT ***\n";
    assert_eq!(judged(limit, &Facts::of_code(0)).class, Class::Interrupted, "Slurm's TIMEOUT is 0:0");
    let blind = |text: &str| judged(text, &Facts::default()).class;
    assert_eq!(blind("KeyError: 'x'\nrecovered: 10 rows written\n"), Class::None);
    assert_eq!(blind("10 rows written\nKeyError: 'x'\n"), Class::CodeConfig);
    assert_eq!(blind("step 1\nstep 2\n"), Class::None);
    assert_eq!(blind("step 1\nthe export failed\n"), Class::Unknown);
}

#[test]
fn a_bare_killed_is_not_sure() {
    let said = judged("step 7\nKilled\n", &Facts::of_code(137));
    assert_eq!(said.class, Class::HostResource);
    assert!(said.confidence < 0.7, "{}", said.confidence);
}

#[test]
fn what_no_rule_knows_goes_to_a_person_with_its_last_line() {
    let said = judged("starting\nno seats left for the solver\n\n", &Facts::of_code(9));
    assert_eq!((said.class, said.advice, said.rule), (Class::Unknown, Advice::Escalate, None));
    assert_eq!(said.evidence.map(|line| line.number), Some(2));
}

#[test]
fn people_read_it_in_eighty_columns_and_nothing_reaches_the_terminal_raw() {
    let hostile = format!("{} \u{202e}\u{9b}2J\u{1b}[2J {}\n", "No space left on device", "x".repeat(900));
    let text = format!("{hostile}{}", "make: *** [a] Error 1\nnpm ERR! code ELIFECYCLE\n".repeat(9));
    let said = failed(&text);
    let look = Look { width: 80, color: false, zone: jiff::tz::TimeZone::UTC };
    let shown = page(&diagnosis::rows(&said, false, look.width), &look);
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(!shown.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{shown:?}");
    assert!(
        shown.starts_with("× disk_full") && shown.contains("line 1") && shown.contains("no-space (root)"),
        "{shown}"
    );
    assert!(shown.lines().count() < 24, "{shown}");
    let object = diagnosis::object(&said).to_string();
    assert!(!object.contains('\u{202e}') && !object.contains('\u{9b}'), "{object}");
}

#[test]
fn machines_read_the_fields_that_are_documented() {
    let object = diagnosis::object(&failed("KeyError: 'x'\nmake: *** [all] Error 1\n"));
    let fields: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted = ["class", "action", "confidence", "rule", "role", "line", "line_number", "explanation", "cascades"];
    assert_eq!(fields, wanted);
    assert_eq!(object["class"], "code_config");
    assert_eq!(object["line_number"], 1);
    assert_eq!(object["cascades"][0]["line_number"], 2);
}
