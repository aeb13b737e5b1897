//! The command line: its grammar, its exit codes, what people and programs read.

use std::collections::BTreeMap;

use clap::Parser;
use dogwatch::cli::args::{Condition, Control, EngineVerb, Line, RetryFrom, Verb, duration, escalation};
use dogwatch::cli::exit::Exit;
use dogwatch::cli::man;
use dogwatch::cli::text::{Look, Row, Style, cut, events, json, lists, live, page, question, run, width, wrap};
use dogwatch::cli::verbs::doctor::{Finding, Mark};
use dogwatch::cli::verbs::engine::enable;
use dogwatch::cli::verbs::wait::met;
use dogwatch::cli::verbs::{doctor, file};
use dogwatch::faces::words;
use dogwatch::wire::client::{
    AnswerView, EscalationView, EventView, IsolationView, RefusalKind, RunLine, RunState, RunView, StepState, StepView,
};

use crate::support::shown::{NOW, choice, question as opened, step};

fn parsed(line: &str) -> Result<Line, String> {
    let words = std::iter::once("dogwatch").chain(line.split(' ').filter(|word| !word.is_empty()));
    Line::try_parse_from(words).map_err(|error| error.to_string())
}

fn verb(line: &str) -> Verb {
    parsed(line).expect(line).verb.expect("a verb")
}

/// All verbs below this one that people are told of, with their way: `engine start`.
fn told(of: &clap::Command, way: &str) -> Vec<(String, clap::Command)> {
    let below = of.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
    below
        .flat_map(|verb| {
            let way = format!("{way} {}", verb.get_name());
            let inner = told(verb, &way);
            std::iter::once((way, verb.clone())).chain(inner)
        })
        .collect()
}

#[test]
fn the_manual_has_every_verb_flag_and_exit_code() {
    let page = man::page().replace("\\-", "-");
    let verbs = told(&<Line as clap::CommandFactory>::command(), "dogwatch");
    assert!(verbs.len() > 50, "{}", verbs.len());
    for (way, verb) in &verbs {
        let heading = format!(".SS \"{way}\"\n");
        let (_, part) = page.split_once(&heading).unwrap_or_else(|| panic!("there is no {heading:?}"));
        let part = part.split("\n.SS ").next().unwrap_or(part).split("\n.SH ").next().unwrap_or(part);
        for flag in verb.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(clap::Arg::get_long) {
            assert!(part.contains(&format!("--{flag}\\fR")), "{way}: no --{flag} in\n{part}");
        }
    }
    for exit in Exit::ALL {
        assert!(page.contains(&format!("\\fB{}\\fR\n{}", exit as u8, exit.means())), "{exit:?}");
    }
    for (name, _) in man::READ.iter().chain(man::GIVEN) {
        assert!(page.contains(name), "{name}");
    }
    for section in ["NAME", "SYNOPSIS", "OPTIONS", "VERBS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "EXAMPLES"] {
        assert_eq!(page.matches(&format!("\n.SH {section}\n")).count(), 1, "{section}");
    }
    for hidden in ["shim", "keep", "complete", "engine run"] {
        assert!(!page.contains(&format!(".SS \"dogwatch {hidden}\"")), "{hidden}");
    }
}

#[test]
fn every_verb_of_the_documentation_is_understood() {
    for line in [
        "",
        "run",
        "run wf.toml -p a=1 -p b=x=y --detach",
        "run --dry-run --only a --only b",
        "run --from train --name mine --no-input",
        "exec --name n --detach -- make -j4 test",
        "exec -- ls --json",
        "diagnose train.log",
        "why digits 'train[lr=0.1]' --attempt 2",
        "diagnose --exit-code 137 --signal SIGKILL --oom --json -",
        "diagnose --exit-code -9 train.log",
        "ps",
        "runs --state failed --limit 3",
        "status",
        "status 42",
        "watch tiny-lm --plain",
        "wait @last",
        "wait 42 train --for done,escalation,checkpoint --timeout 50m",
        "logs 42 train -f --tail 100 --since 10m --grep loss --attempt 2",
        "logs 42 train[lr=0.1] --raw",
        "attach 42 train --readonly --detach-key ctrl-x",
        "shell 42 train",
        "send 42 train yes",
        "send 42 train yes --no-enter",
        "inbox",
        "notices",
        "notices 42 --limit 3",
        "notify --test dogwatch.toml",
        "show e7",
        "decide e7 retry -m because",
        "decide 7 2",
        "decide 7 stop-run --confirm=tiny-lm",
        "approve e7",
        "approve 42 review -m fine",
        "reject 7 --message no",
        "done 42 train -m fixed",
        "retry 42 train --from start",
        "skip 42 train",
        "stop 42",
        "stop 42 train",
        "pause 42",
        "unpause 42",
        "resume 42 --from train",
        "validate",
        "validate a.toml b.toml",
        "graph a.toml --format mermaid",
        "schema",
        "completions bash",
        "man",
        "config edit",
        "doctor",
        "engine start",
        "engine stop",
        "engine status --json",
        "engine logs -f",
        "engine enable",
        "--json -v ps",
        "ps -q --color never --no-input --yes --socket /x --state-dir /y",
    ] {
        let result = parsed(line);
        assert!(result.is_ok(), "dogwatch {line}: {}", result.err().unwrap_or_default());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "run --only a --from b",
        "exec",
        "exec ls",
        "wait",
        "wait 42 --for weather",
        "wait 42 --timeout 50",
        "logs 42",
        "logs 42 train --raw --grep x",
        "attach 42 train --detach-key ctrl-c",
        "show seven",
        "done 42 train",
        "decide e7",
        "run -p novalue",
        "graph --format dot",
        "runs --state happy",
        "flie",
    ] {
        assert!(parsed(line).is_err(), "dogwatch {line}");
    }
}

#[test]
fn words_reach_their_places() {
    let Verb::Run(run) = verb("run wf.toml -p lr=0.1 -p expr=a=b") else { panic!("run") };
    assert_eq!(run.param, [("lr".into(), "0.1".into()), ("expr".into(), "a=b".into())]);
    let Verb::Exec(exec) = verb("exec --name n -- sh -c --json") else { panic!("exec") };
    assert_eq!(exec.command, ["sh", "-c", "--json"], "flags of the command are its own");
    let Verb::Wait(wait) = verb("wait 42") else { panic!("wait") };
    assert_eq!(wait.conditions, [Condition::Done, Condition::Escalation]);
    let Verb::Control(Control::Retry { from, .. }) = verb("retry 42 train --from checkpoint") else { panic!("retry") };
    assert_eq!(from, Some(RetryFrom::Checkpoint));
    let Verb::Control(Control::Send { no_enter, .. }) = verb("send 42 t x --enter") else { panic!("send") };
    assert!(!no_enter);
    let Verb::Engine { verb: EngineVerb::Logs { tail, .. } } = verb("engine logs") else { panic!("engine") };
    assert_eq!(tail, 50);
    assert_eq!((escalation("e7"), escalation("7")), (Ok(7), Ok(7)));
    assert!(parsed("ps --json").expect("ps").flags.json, "flags are understood behind the verb");
}

#[test]
fn durations_have_units() {
    let table = [("90s", 90_000), ("50m", 3_000_000), ("2h30m", 9_000_000), ("1d", 86_400_000), ("250ms", 250)];
    for (text, ms) in table {
        assert_eq!(duration(text).expect(text).as_millis(), ms, "{text}");
    }
    for wrong in ["", "5", "m", "5 m", "-5m", "5x", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let all = [
        (Exit::Good, 0),
        (Exit::Failed, 1),
        (Exit::Usage, 2),
        (Exit::Person, 3),
        (Exit::Stopped, 4),
        (Exit::Nothing, 5),
        (Exit::Refused, 6),
        (Exit::TimedOut, 124),
        (Exit::Interrupted, 130),
    ];
    for (exit, code) in all {
        assert_eq!(exit as u8, code);
    }
    let runs = [
        (RunState::Running, None),
        (RunState::Waiting, None),
        (RunState::Paused, None),
        (RunState::Stopping, None),
        (RunState::Succeeded, Some(Exit::Good)),
        (RunState::Failed, Some(Exit::Failed)),
        (RunState::Stopped, Some(Exit::Stopped)),
        (RunState::Rejected, Some(Exit::Stopped)),
    ];
    for (state, exit) in runs {
        assert_eq!(Exit::of_run(state), exit, "{state:?}");
    }
    assert_eq!(Exit::of_refusal(RefusalKind::Usage), Exit::Usage);
    assert_eq!(Exit::of_refusal(RefusalKind::NotFound), Exit::Nothing);
    assert_eq!(Exit::of_refusal(RefusalKind::Refused), Exit::Refused);
    assert_eq!(Exit::of_refusal(RefusalKind::Internal), Exit::Failed);
}

fn look(width: usize) -> Look {
    Look { width, color: false, zone: jiff::tz::TimeZone::UTC }
}

fn asked() -> EscalationView {
    EscalationView {
        attempt: Some(3),
        kind: "failed".into(),
        title: "train[lr=0.1] failed with exit code 1 after 9s".into(),
        evidence: vec![
            "attempt 3 (try 3 of 3), no rule matched".into(),
            "| \u{1b}]52;c;AAAA\u{7}Traceback (most recent call last): a very long line that has to be broken somewhere".into(),
        ],
        choices: vec![
            choice("resume", "attempt 4, from the checkpoint at step 40"),
            choice("retry", "attempt 4, from the start; 2m14s of work is done again"),
            choice("stop-run", "the run ends; it can be resumed"),
        ],
        opened_ms: NOW - 130_000,
        deadline_ms: Some(NOW + 3_600_000),
        if_unanswered: "reject".into(),
        ..opened(7, "tqcuq3", "digits #3", "train[lr=0.1]")
    }
}

fn view(state: RunState) -> RunView {
    let done = StepView { ended_ms: Some(NOW - 59_000), attempt: 1, ..step("prepare", "", StepState::Succeeded) };
    let running = StepView {
        attempt: 2,
        detail: "by rule network".into(),
        checkpoint_step: Some(40),
        ..step("train", "lr=0.02", StepState::Running)
    };
    let asking = StepView {
        attempt: 3,
        ended_ms: Some(NOW - 53_000),
        exit: Some("code 1".into()),
        detail: "no attempt is left".into(),
        escalation: Some(7),
        ..step("train", "lr=0.1", StepState::Asking)
    };
    let retrying = StepView { until_ms: Some(NOW + 12_000), attempt: 1, ..step("lint", "", StepState::Retrying) };
    let waiting = StepView {
        attempt: 0,
        started_ms: None,
        detail: "waits for train".into(),
        ..step("evaluate", "", StepState::Waiting)
    };
    RunView {
        line: RunLine {
            id: "tqcuq3".into(),
            name: "digits".into(),
            number: 3,
            state,
            created_ms: NOW - 252_000,
            ended_ms: None,
            steps: 5,
            steps_done: 1,
            paused: false,
            asking: 1,
        },
        by: "ops@box".into(),
        dir: "/state/runs/tqcuq3".into(),
        workspace: "/srv/ops/digits".into(),
        file: "digits.toml".into(),
        params: Vec::new(),
        isolation: Some(IsolationView { sandboxed: true, why: None }),
        now_ms: NOW,
        steps: vec![done, running, asking, retrying, waiting],
        escalations: vec![asked()],
        trouble: None,
        seq: 99,
        check_again_in_s: None,
        left: None,
    }
}

fn shown(rows: &[Row], width: usize) -> String {
    let text = page(rows, &look(width));
    // Commands are never cut.
    let command = |line: &&str| ["answer: ", "record: ", "next: "].iter().any(|start| line.starts_with(start));
    for line in text.lines().filter(|line| !command(line)) {
        assert!(super::cli::width(line) <= width, "wider than {width}: {line}");
    }
    text
}

#[test]
fn status_fits_80_and_40_columns() {
    let view = view(RunState::Running);
    insta::assert_snapshot!("status-80", shown(&run::status(&view, &look(80)), 80));
    insta::assert_snapshot!("status-40", shown(&run::status(&view, &look(40)), 40));
}

#[test]
fn a_run_without_a_sandbox_says_so_first() {
    let mut view = view(RunState::Running);
    view.isolation = Some(IsolationView { sandboxed: false, why: Some("bubblewrap is not installed".into()) });
    view.trouble = Some("the disk is full: nothing new starts".into());
    let text = shown(&run::status(&view, &look(80)), 80);
    let second = text.lines().nth(1).expect("a second line");
    assert!(second.starts_with("  NOT SANDBOXED: bubblewrap is not installed"), "{second}");
    assert!(text.contains("the disk is full: nothing new starts"), "{text}");
}

#[test]
fn the_live_summary_fits_and_shows_the_last_line() {
    let view = view(RunState::Running);
    let outputs = BTreeMap::from([("train[lr=0.02]".to_owned(), "epoch 41/60 loss \u{1b}[31m0.31".to_owned())]);
    insta::assert_snapshot!("live-80", shown(&live::frame(&view, &outputs, &look(80), 24), 80));
    insta::assert_snapshot!("live-40", shown(&live::frame(&view, &outputs, &look(40), 24), 40));
}

#[test]
fn a_long_path_does_not_hide_what_stands_behind_it() {
    let short = words::short_paths;
    let saved =
        "Saved checkpoint /srv/ops/.local/state/dogwatch/runs/h0j2k1/work/train/1/ckpt/epoch-030.json at step 30";
    assert_eq!(short(saved), "Saved checkpoint …/epoch-030.json at step 30");
    assert_eq!(short("out=/srv/a/very/long/way/to/model.bin, done"), "out=…/model.bin, done");
    for as_it_is in
        ["/tmp/model.bin", "3/4 done", "https://example.org/a/long/way/to/it", "/a/folder/with/a/long/name/", ""]
    {
        assert_eq!(short(as_it_is), as_it_is);
    }
}

#[test]
fn of_many_lanes_the_active_and_failed_ones_are_shown() {
    let mut view = view(RunState::Running);
    view.steps = (0..200)
        .map(|n| {
            let state = match n {
                0..50 => StepState::Succeeded,
                50..53 => StepState::Running,
                53 => StepState::Failed,
                _ => StepState::Waiting,
            };
            step(&format!("s{n}"), "", state)
        })
        .collect();
    let rows = live::frame(&view, &BTreeMap::new(), &look(80), 24);
    assert!(rows.len() < 24);
    insta::assert_snapshot!("live-many", shown(&rows, 80));
    for height in 1..30 {
        let rows = live::frame(&view, &BTreeMap::new(), &look(80), height);
        assert!(rows.len() <= height.max(2), "{height}: {}", rows.len());
    }
}

#[test]
fn drawing_anew_goes_up_by_what_stood_there() {
    let rows = [Row::new().text("one"), Row::new().text("two")];
    assert_eq!(live::redraw(&rows, 0, &look(80)), "\rone\u{1b}[K\ntwo\u{1b}[K\n");
    assert_eq!(live::redraw(&rows[..1], 2, &look(80)), "\u{1b}[2A\rone\u{1b}[K\n\u{1b}[J");
    assert_eq!(live::erase(2), "\u{1b}[2A\r\u{1b}[J");
    assert_eq!(live::erase(0), "");
}

#[test]
fn a_question_has_evidence_choices_and_the_command() {
    insta::assert_snapshot!("question-80", shown(&question::question(&asked(), NOW, &look(80)), 80));
    insta::assert_snapshot!("question-40", shown(&question::question(&asked(), NOW, &look(40)), 40));
    let answer = AnswerView { choice: "retry".into(), by: "ops@box".into(), at_ms: NOW, note: Some("why not".into()) };
    let answered = EscalationView { answer: Some(answer), ..asked() };
    let text = shown(&question::question(&answered, NOW, &look(80)), 80);
    assert!(text.contains("answered retry by ops@box at 22:00:00: why not"), "{text}");
    assert!(!text.contains("dogwatch decide"), "{text}");
}

#[test]
fn lists_fit_80_and_40_columns() {
    let running = view(RunState::Running);
    let failed = RunLine {
        state: RunState::Failed,
        number: 2,
        created_ms: NOW - 90_000_000,
        ended_ms: Some(NOW - 86_400_000),
        asking: 0,
        ..running.line.clone()
    };
    let lines = [running.line.clone(), failed];
    insta::assert_snapshot!("runs-80", shown(&lists::runs(&lines, NOW, &look(80)), 80));
    insta::assert_snapshot!("runs-40", shown(&lists::runs(&lines, NOW, &look(40)), 40));
    insta::assert_snapshot!("ps-80", shown(&lists::ps(&[running], &look(80)), 80));
    insta::assert_snapshot!("inbox-80", shown(&lists::inbox(&[asked()], NOW, &look(80)), 80));
}

#[test]
fn the_end_of_a_run_says_what_comes_next() {
    let mut view = view(RunState::Failed);
    view.escalations.clear();
    view.line.ended_ms = Some(NOW);
    view.steps[2].state = StepState::Failed;
    insta::assert_snapshot!("summary-80", shown(&run::summary(&view, &look(80)), 80));
    view.line.state = RunState::Stopped;
    assert!(shown(&run::summary(&view, &look(80)), 80).contains("next: dogwatch resume digits#3"));
    (view.line.state, view.steps[2].state) = (RunState::Failed, StepState::Stopped);
    assert!(shown(&run::summary(&view, &look(80)), 80).contains("next: dogwatch resume digits#3"));
}

#[test]
fn nothing_that_a_step_said_controls_the_terminal() {
    let mut view = view(RunState::Waiting);
    let evil = "\u{1b}]0;x\u{7}\u{1b}[2Jevil\n\u{202e}\u{9b}31m\u{7}";
    view.steps[0].detail = evil.into();
    view.escalations[0].title = evil.into();
    view.escalations[0].evidence = vec![evil.into()];
    view.trouble = Some(evil.into());
    view.workspace = evil.into();
    let event = EventView {
        seq: 1,
        at_ms: NOW,
        kind: "step.failed".into(),
        step: "train".into(),
        attempt: Some(1),
        text: evil.into(),
    };
    let look = look(80);
    let mut rows = run::status(&view, &look);
    rows.extend(question::question(&view.escalations[0], NOW, &look));
    rows.extend(lists::inbox(&view.escalations, NOW, &look));
    rows.extend(run::summary(&view, &look));
    rows.push(events::event(&event, NOW, &look));
    let text = page(&rows, &look);
    assert!(text.matches("evil").count() >= 6, "{text}");
    assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
}

#[test]
fn colour_is_only_where_it_is_wanted_and_never_counts_as_width() {
    let row = Row::new().add(Style::Bad, "failed").space(1).text("text");
    let look = Look { color: true, ..look(8) };
    assert_eq!(row.show(&look), "\u{1b}[31mfailed\u{1b}[0m …");
    assert_eq!(row.show(&self::look(80)), "failed text");
    assert_eq!(row.show(&self::look(Look::ENDLESS)), "failed text");
}

#[test]
fn text_is_cut_and_broken_by_columns() {
    assert_eq!(cut("東京都庁", 5), "東京…");
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("abcd", 3), "ab…");
    assert_eq!(cut("abc", 0), "");
    assert_eq!(width("é東✓"), 4);
    assert_eq!(wrap("aaa bbb cccccccccccc ddd", 10), ["aaa bbb", "cccccccccc", "cc ddd"]);
    assert_eq!(wrap("", 10), [""]);
    assert_eq!(Row::new().field(Style::Plain, "abcdef", 4).text("|").plain(), "abc…|");
}

#[test]
fn spans_and_names_are_said_as_people_say_them() {
    let table = [
        (-5, "0.0s"),
        (400, "0.4s"),
        (41_000, "41s"),
        (134_000, "2m14s"),
        (4_140_000, "1h09m"),
        (183_600_000, "2d03h"),
    ];
    for (ms, text) in table {
        assert_eq!(words::span(ms), text);
    }
    for (mib, text) in [(0, "0"), (810, "0.7"), (1024, "1.0"), (10_239, "9.9"), (10_240, "10"), (65_536, "64")] {
        assert_eq!(words::gib(mib << 20), text);
    }
    assert_eq!(words::clock(NOW, NOW, &jiff::tz::TimeZone::UTC), "22:00:00");
    assert_eq!(words::clock(NOW - 86_400_000, NOW, &jiff::tz::TimeZone::UTC), "2026-11-21 22:00");
    assert_eq!(words::quote("digits#3"), "digits#3");
    assert_eq!(words::quote("train[lr=0.1]"), "'train[lr=0.1]'");
    assert_eq!(words::quote("it's"), r"'it'\''s'");
    assert_eq!(words::quote("#3"), "'#3'");
    assert_eq!(words::quote(""), "''");
}

#[test]
fn json_says_its_version_and_kind_first() {
    assert!(json::line("run", &view(RunState::Running).line).starts_with(r#"{"v":1,"kind":"run","id":"tqcuq3","#));
    let asked = json::line("escalation", &asked());
    let value: serde_json::Value = serde_json::from_str(&asked).expect("JSON");
    assert_eq!((&value["kind"], &value["escalation_kind"]), (&"escalation".into(), &"failed".into()));
    assert!(!asked.contains('\n') && !asked.contains('\u{1b}'));
    assert_eq!(json::line("n", &5), r#"{"v":1,"kind":"n","value":5}"#);
}

fn wait_for(view: &RunView, step: Option<&str>, conditions: &[Condition]) -> Option<(&'static str, Exit)> {
    met(view, step, conditions, None).expect("a step that is there").map(|met| (met.condition, met.exit))
}

#[test]
fn a_wait_ends_when_its_condition_is_met_or_cannot_be_any_more() {
    use Condition::{Checkpoint, Done, Escalation};
    let running = view(RunState::Running);
    assert_eq!(wait_for(&running, None, &[Done]), None, "others still run");
    assert_eq!(wait_for(&running, None, &[Done, Escalation]), Some(("escalation", Exit::Person)));
    assert_eq!(wait_for(&running, Some("prepare"), &[Done]), Some(("done", Exit::Good)));
    assert_eq!(wait_for(&running, Some("train[lr=0.02]"), &[Done, Escalation]), None, "the question is another lane's");
    assert_eq!(wait_for(&running, Some("train[lr=0.1]"), &[Escalation]), Some(("escalation", Exit::Person)));
    assert_eq!(wait_for(&running, Some("evaluate"), &[Done]), None);
    let waiting = view(RunState::Waiting);
    assert_eq!(wait_for(&waiting, None, &[Done]), Some(("escalation", Exit::Person)), "nobody else can go on");
    let ends = [
        (RunState::Succeeded, Exit::Good),
        (RunState::Failed, Exit::Failed),
        (RunState::Stopped, Exit::Stopped),
        (RunState::Rejected, Exit::Stopped),
    ];
    for (state, exit) in ends {
        assert_eq!(wait_for(&view(state), None, &[Done]), Some(("done", exit)), "{state:?}");
    }
    let good = view(RunState::Succeeded);
    assert_eq!(wait_for(&good, None, &[Checkpoint]), Some(("done", Exit::Failed)), "no checkpoint can come any more");
    assert_eq!(wait_for(&good, Some("evaluate"), &[Done]), Some(("done", Exit::Good)));
    assert_eq!(met(&running, Some("trian"), &[Done], None).expect_err("no such step").exit, Exit::Nothing);
    let saved = EventView {
        seq: 3,
        at_ms: NOW,
        kind: "checkpoint".into(),
        step: "train[lr=0.02]".into(),
        attempt: Some(2),
        text: "checkpoint at step 40".into(),
    };
    let met = met(&running, None, &[Checkpoint], Some(&saved)).expect("a run").expect("met");
    assert_eq!((met.condition, met.exit), ("checkpoint", Exit::Good));
}

#[test]
fn the_folders_own_file_is_found_or_the_choice_is_told() {
    let choose = |names: &[&str]| file::choose(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(choose(&["a.toml", "train.dogwatch.toml", "x"]).expect("one"), "train.dogwatch.toml");
    let none = choose(&["a.toml", ".dogwatch.toml"]).expect_err("none");
    assert_eq!(none.exit, Exit::Usage);
    let several = choose(&["b.dogwatch.toml", "a.dogwatch.toml"]).expect_err("several");
    assert!(several.words.contains("a.dogwatch.toml, b.dogwatch.toml"), "{}", several.words);
    assert_eq!(file::nearest("trian", &["prepare", "train"]), "did you mean train?");
    assert_eq!(file::nearest("zzz", &["prepare", "train"]), "it has: prepare, train");
}

#[test]
fn a_finding_says_what_to_do() {
    let finding = Finding {
        mark: Mark::Bad,
        what: "tmux",
        says: "it is not on PATH".into(),
        todo: Some("sudo apt-get install tmux".into()),
    };
    let text = shown(&doctor::rows(&finding, &look(80)), 80);
    assert_eq!(text, "bad   tmux             it is not on PATH\n                       → sudo apt-get install tmux\n");
}

#[test]
fn the_service_unit_holds_paths_as_they_are() {
    let unit = enable::unit("/opt/my tools/dogwatch", "/home/o/100%/$x\"y");
    assert!(unit.contains("ExecStart=\"/opt/my tools/dogwatch\" engine run\n"), "{unit}");
    assert!(unit.contains("Environment=\"DOGWATCH_STATE_DIR=/home/o/100%%/$$x\\\"y\"\n"), "{unit}");
    assert!(unit.contains("SuccessExitStatus=6\n"), "a second engine is no failure: {unit}");
    assert!(unit.contains("KillMode=process\n"), "steps outlive the engine's end: {unit}");
}

/// What each engine means, with its risk.
#[test]
fn each_risk_of_a_container_engine_is_told() {
    use dogwatch::cli::verbs::doctor::engines::{cgroups, engine, gpus, runtime};
    use dogwatch::environment::EngineFacts;
    let docker = EngineFacts {
        name: "Docker 20.10.24".into(),
        socket: "/var/run/docker.sock".into(),
        podman: false,
        rootless: false,
        networks: true,
        live_restore: false,
        cgroup: "2".into(),
        new_enough: Some(true),
        runtime: "runc".into(),
        runtime_version: Some("1.1.11".into()),
        cdi: None,
    };
    let podman = EngineFacts {
        name: "Podman 4.3.1".into(),
        podman: true,
        rootless: true,
        live_restore: true,
        cgroup: "1".into(),
        runtime: "crun".into(),
        ..docker.clone()
    };
    let debian = EngineFacts { runtime_version: Some("1.1.5+ds1".into()), live_restore: true, ..docker.clone() };
    let new = EngineFacts { runtime_version: Some("1.2.0".into()), new_enough: Some(false), ..docker.clone() };
    let alone = EngineFacts { networks: false, cgroup: "2".into(), runtime: "runc".into(), ..podman.clone() };
    let mut told = Vec::new();
    for facts in [&docker, &podman, &debian, &new, &alone] {
        for finding in [engine(facts), cgroups(facts), runtime(facts), gpus(facts, facts.rootless)] {
            let todo = finding.todo.map(|todo| format!("\n    -> {todo}")).unwrap_or_default();
            told.push(format!("{:?} {}: {}{todo}", finding.mark, finding.what, finding.says));
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    Warn containers: Docker 20.10.24 at /var/run/docker.sock, as root, without live-restore
        -> a restart of Docker ends the steps in its containers; "live-restore": true in /etc/docker/daemon.json keeps them
    Ok cgroups: version 2
    Warn runtime: runc 1.1.11
        -> an image can take over this host (CVE-2024-21626): use runc 1.1.12 or newer, and until then only images you trust
    Ok gpus: no NVIDIA device here
    Ok containers: Podman 4.3.1 at /var/run/docker.sock, without root; a restart of its service leaves steps alone
    Warn cgroups: version 1, and the engine has no root
        -> cpus, memory and the limit of processes do not hold: one step can take the whole machine, and whether the kernel killed for memory is not known; boot with cgroup v2
    Warn runtime: crun 1.1.11 on cgroup v1
        -> it does not start containers on hybrid cgroups: install runc, and say runtime = "runc" in containers.conf
    Warn gpus: there is an NVIDIA device, and no CDI file describes it: containers ask for the nvidia driver instead
        -> with NVIDIA's toolkit up to 1.16.1 an image can reach this host that way (CVE-2024-0132): nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml
    Ok containers: Docker 20.10.24 at /var/run/docker.sock, as root, with live-restore: its restart leaves steps alone
    Ok cgroups: version 2
    Ok runtime: runc 1.1.5+ds1: a distribution's own; whether it has the fix of CVE-2024-21626, its packages tell
    Ok gpus: no NVIDIA device here
    Bad containers: Docker 20.10.24 at /var/run/docker.sock, as root
        -> Docker 20.10 or newer is needed for steps with an `image`
    Ok cgroups: version 2
    Ok runtime: runc 1.2.0
    Ok gpus: no NVIDIA device here
    Warn containers: Podman 4.3.1 at /var/run/docker.sock, without root
        -> neither slirp4netns nor pasta (passt) is here: only containers with `network = false` start; install one of them
    Ok cgroups: version 2; without root limits hold as far as systemd delegates them
    Warn runtime: runc 1.1.11
        -> an image can take over this host (CVE-2024-21626): use runc 1.1.12 or newer, and until then only images you trust
    Warn gpus: there is an NVIDIA device, and no CDI file describes it: containers ask for the nvidia driver instead
        -> with NVIDIA's toolkit up to 1.16.1 an image can reach this host that way (CVE-2024-0132): nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml
    "#);
}

#[test]
fn what_is_left_of_a_run_is_said_only_where_it_is_known() {
    use dogwatch::faces::words::run_left;
    use dogwatch::wire::client::{RunLeft, TimeLeft};
    let range = |low, high| Some(TimeLeft { p10_ms: low, p50_ms: low, p90_ms: high });
    let left = |range, people, unknown: &[&str]| {
        let unknown = unknown.iter().map(|step| (*step).to_owned()).collect();
        run_left(&RunLeft { range, people, unknown, by: Vec::new() })
    };
    assert_eq!(left(range(4_140_000, 6_000_000), false, &[]).as_deref(), Some("1h09m-1h40m left"));
    assert_eq!(left(range(720_000, 910_000), true, &[]).as_deref(), Some("12m00s-15m10s left, gates aside"));
    assert_eq!(left(range(0, 0), true, &[]), None, "only a person is waited for");
    assert_eq!(left(None, true, &["export"]).as_deref(), Some("time left unknown"));
    assert_eq!(left(None, false, &[]), None);
}

/// What each fact of a machine and its user means.
#[test]
fn each_risk_of_a_machine_is_told() {
    use dogwatch::cli::verbs::doctor::machine::{
        cgroups_of, clocks_of, editors_of, gpus_of, inodes, notices_of, open_files_of,
    };
    use dogwatch::model::{NotifyRule, Occasion, Target};
    const UNIFIED: i64 = 0x6367_7270;
    let tells = |to| NotifyRule { on: vec![Occasion::Escalation], to, remind: None };
    let rules = [
        tells(Target::Command(vec!["notify-send".into(), "x".into()])),
        tells(Target::Command(vec!["no-such-horn".into()])),
        tells(Target::Url("https://example.com".into())),
    ];
    let mut all = vec![
        cgroups_of(Some(UNIFIED), None),
        cgroups_of(Some(1), Some(UNIFIED)),
        cgroups_of(None, None),
        gpus_of(true, false, Some("/usr/bin/nvidia-smi".into())),
        gpus_of(true, false, None),
        gpus_of(false, true, None),
        gpus_of(false, false, None),
        clocks_of(1_000_000_000_000, 0),
        clocks_of(1_800_000_000_000, 7_200_000),
        clocks_of(1_800_000_000_000, 3),
        open_files_of(Some(256)),
        open_files_of(None),
        editors_of(Some(("VISUAL", "code --wait".into())), |name| name == "code"),
        editors_of(Some(("EDITOR", "emacs -nw".into())), |_| false),
        editors_of(Some(("EDITOR", "'my editor' -x".into())), |_| false),
        editors_of(None, |_| true),
    ];
    let flags = rustix::fs::StatVfsMountFlags::empty();
    all.extend(inodes(flags, 1_000_000, 12));
    all.extend(inodes(rustix::fs::StatVfsMountFlags::RDONLY, 1_000_000, 900_000));
    assert_eq!(inodes(flags, 0, 0), None);
    assert_eq!(inodes(flags, 1_000_000, 900_000), None);
    all.extend(notices_of("w.toml", &rules, |name| name == "notify-send"));
    let told: Vec<String> = all
        .into_iter()
        .map(|finding| {
            let todo = finding.todo.map(|todo| format!(" -> {todo}")).unwrap_or_default();
            format!("{:?} {}: {}{todo}", finding.mark, finding.what, finding.says)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}
