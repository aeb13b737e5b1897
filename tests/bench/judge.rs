//! How well failures are judged: `cargo bench --bench judge -- FILE [--rules FILE] [--wrong] [--no-speed]`.
//!
//! `FILE` holds one JSON object a line: `id`, `source`, `exit_code`, `tail`, `label`, `recommended`. Counted are classes and
//! actions, the two kinds of error apart, successes called failures, and how often each rule matched and decided.
//!
//! "Left out": hand-written rules cannot be trained without a source, so this is an estimate from below: for each source
//! all rules that no other source's text ever makes decide are taken away, and that source is judged by what is left.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dogwatch::clock::boottime_ms;
use dogwatch::config::rules;
use dogwatch::judge::{Facts, Judge, Rules};
use dogwatch::model::{Advice, Class, Diagnosis, RuleSpec};

/// One labelled text.
struct Row {
    id: String,
    source: String,
    exit_code: Option<i32>,
    tail: String,
    class: Class,
    advice: Advice,
}

#[derive(Default)]
struct Wishes {
    file: Option<PathBuf>,
    rules: Option<PathBuf>,
    wrong: bool,
    no_speed: bool,
}

fn main() {
    let wishes = wishes();
    let specs = match &wishes.rules {
        Some(path) => {
            let text = std::fs::read_to_string(path).expect("the file of rules can be read");
            rules::parse(&text, &path.to_string_lossy()).unwrap_or_else(|problems| panic!("{problems}"))
        }
        None => rules::built_in_specs(),
    };
    let all = Rules::new(vec![], specs.clone()).expect("the rules can be used");
    let rows = wishes.file.as_ref().map(rows).unwrap_or_default();
    if rows.is_empty() {
        println!("no FILE of labelled texts: only the speed is measured\n");
    } else {
        accuracy(&rows, &all, wishes.wrong);
        left_out(&rows, &specs);
    }
    if !wishes.no_speed {
        speed(&all, &rows);
    }
}

fn wishes() -> Wishes {
    let mut wishes = Wishes::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--rules" => wishes.rules = args.next().map(PathBuf::from),
            "--wrong" => wishes.wrong = true,
            "--no-speed" => wishes.no_speed = true,
            file => wishes.file = Some(file.into()),
        }
    }
    wishes
}

fn rows(file: &PathBuf) -> Vec<Row> {
    let text = std::fs::read_to_string(file).expect("the file of labelled texts can be read");
    text.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

fn row(line: &str) -> Row {
    let json: serde_json::Value = serde_json::from_str(line).expect("each line is a JSON object");
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let source = if json["group"].is_string() { text("group") } else { text("source") };
    Row {
        id: text("id"),
        source,
        exit_code: json["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok()),
        tail: text("tail"),
        class: Class::of(&text("label")).expect("the label is a class"),
        advice: Advice::of(&text("recommended")).expect("what is recommended is an action"),
    }
}

fn judge(rules: &Rules, row: &Row, exit_code: Option<i32>) -> Diagnosis {
    let mut judge = Judge::new(rules);
    judge.bytes(row.tail.as_bytes());
    judge.end(&Facts { exit_code, ..Facts::default() })
}

fn repeats(advice: Advice) -> bool {
    match advice {
        Advice::Retry | Advice::RetryModified | Advice::Resume => true,
        Advice::None | Advice::Alternative | Advice::Escalate => false,
    }
}

fn share(part: usize, whole: usize) -> String {
    let percent = 100.0 * f64::from(u32::try_from(part).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(whole.max(1)).unwrap_or(u32::MAX));
    format!("{part} of {whole} ({percent:.1} %)")
}

fn accuracy(rows: &[Row], rules: &Rules, wrong: bool) {
    let said: Vec<Diagnosis> = rows.iter().map(|row| judge(rules, row, row.exit_code)).collect();
    let pairs = || rows.iter().zip(&said);
    let count = |fits: &dyn Fn(&Row, &Diagnosis) -> bool| pairs().filter(|(row, said)| fits(row, said)).count();
    let good = rows.iter().filter(|row| row.class == Class::None).count();
    println!("texts                                  {}", rows.len());
    println!("class right                            {}", share(count(&|r, s| r.class == s.class), rows.len()));
    println!("action right                           {}", share(count(&|r, s| r.advice == s.advice), rows.len()));
    println!(
        "repeated where a person was needed     {}",
        count(&|r, s| r.advice == Advice::Escalate && repeats(s.advice))
    );
    println!(
        "escalated where nobody was needed      {}",
        count(&|r, s| repeats(r.advice) && s.advice == Advice::Escalate)
    );
    println!(
        "successes called failures, exit known  {} of {good}",
        count(&|r, s| r.class == Class::None && s.class != Class::None)
    );
    let blind: Vec<Diagnosis> = rows.iter().map(|row| judge(rules, row, None)).collect();
    let called = rows.iter().zip(&blind).filter(|(r, s)| r.class == Class::None && s.class != Class::None).count();
    let missed = rows.iter().zip(&blind).filter(|(r, s)| r.class != Class::None && s.class == Class::None).count();
    let right = rows.iter().zip(&blind).filter(|(r, s)| r.class == s.class).count();
    println!("successes called failures, not known   {called} of {good}");
    println!("failures called successes, not known   {missed} of {}", rows.len() - good);
    println!("class right, exit not known            {}\n", share(right, rows.len()));
    confusion(rows, &said);
    decided(&said);
    if wrong {
        tell_wrong(rows, &said, &blind);
    }
}

fn confusion(rows: &[Row], said: &[Diagnosis]) {
    let mut table: BTreeMap<(Class, Class), usize> = BTreeMap::new();
    for (row, said) in rows.iter().zip(said) {
        *table.entry((row.class, said.class)).or_default() += 1;
    }
    println!("is               is judged        times");
    for ((is, judged), times) in table {
        let mark = if is == judged { "" } else { "   <- wrong" };
        println!("{is:<16} {judged:<16} {times}{mark}");
    }
    println!();
}

fn decided(said: &[Diagnosis]) {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for said in said {
        *rules.entry(said.rule.as_deref().unwrap_or("(no rule)")).or_default() += 1;
    }
    let mut rules: Vec<_> = rules.into_iter().collect();
    rules.sort_by_key(|(rule, times)| (std::cmp::Reverse(*times), *rule));
    println!("rule                           decided");
    for (rule, times) in rules {
        println!("{rule:<30} {times}");
    }
    println!();
}

fn tell_wrong(rows: &[Row], said: &[Diagnosis], blind: &[Diagnosis]) {
    for (row, said) in rows.iter().zip(said) {
        if row.class != said.class || row.advice != said.advice {
            println!(
                "WRONG {} {} exit {:?}: is {}/{}, judged {}/{} by {:?} at {:?}",
                row.id,
                row.source,
                row.exit_code,
                row.class,
                row.advice,
                said.class,
                said.advice,
                said.rule,
                said.evidence.as_ref().map(|line| (line.number, &line.line)),
            );
        }
    }
    for (row, said) in rows.iter().zip(blind) {
        if (row.class == Class::None) != (said.class == Class::None) {
            println!(
                "WITHOUT CODE {} {}: is {}, judged {} by {:?}",
                row.id, row.source, row.class, said.class, said.rule
            );
        }
    }
    println!();
}

fn left_out(rows: &[Row], specs: &[RuleSpec]) {
    let all = Rules::new(vec![], specs.to_vec()).expect("they were used before");
    let mut of_source: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let rule = judge(&all, row, row.exit_code).rule;
        of_source.entry(&row.source).or_default().extend(rule);
    }
    let (mut class, mut advice) = (0, 0);
    for (source, own) in &of_source {
        let others: BTreeSet<&String> =
            of_source.iter().filter(|(other, _)| *other != source).flat_map(|(_, rules)| rules).collect();
        let kept: Vec<RuleSpec> =
            specs.iter().filter(|spec| !own.contains(&spec.id) || others.contains(&spec.id)).cloned().collect();
        let kept = Rules::new(vec![], kept).expect("fewer rules can be used too");
        for row in rows.iter().filter(|row| row.source == *source) {
            let said = judge(&kept, row, row.exit_code);
            class += usize::from(said.class == row.class);
            advice += usize::from(said.advice == row.advice);
        }
    }
    println!("each source without the rules that only it makes decide ({} sources)", of_source.len());
    println!("class right                            {}", share(class, rows.len()));
    println!("action right                           {}\n", share(advice, rows.len()));
}

/// A log as a training writes it, with a few lines of trouble in it.
fn log(bytes: usize) -> Vec<u8> {
    let mut log = Vec::with_capacity(bytes + 200);
    let mut n = 0u32;
    while log.len() < bytes {
        let line = match n % 97 {
            13 => format!("WARNING: step {n}: connection timed out, retrying (1/5)\n"),
            29 => format!("\u{1b}[32mINFO\u{1b}[0m saved checkpoint out/step_{n}.pt in 1.2 s\n"),
            43 => format!("  File \"train.py\", line {n}, in forward\n    return self.error_head(x)\n"),
            _ => format!("[2026-01-02 03:04:05] step {n:>8} | loss 2.3620 | lr 1.00e-01 | tok/s 18018 | gpu 71 %\n"),
        };
        log.extend_from_slice(line.as_bytes());
        n += 1;
    }
    log
}

fn speed(rules: &Rules, rows: &[Row]) {
    const SIZE: usize = 100 * 1024 * 1024;
    println!("100 MiB of                      lines       ms   µs a line   judged");
    timed("a training", &log(SIZE), rules);
    timed("one line", &vec![b'x'; SIZE], rules);
    if !rows.is_empty() {
        // Nothing but trouble: what no log is made of.
        let texts: Vec<u8> = rows.iter().flat_map(|row| [row.tail.as_bytes(), b"\n"].concat()).collect();
        timed("these texts", &texts.repeat(SIZE / texts.len() + 1)[..SIZE], rules);
        // What is read before is not read again: here no line comes twice.
        let text = String::from_utf8_lossy(&texts);
        let mut different = Vec::with_capacity(SIZE + 1024);
        for (n, line) in text.lines().cycle().enumerate().take_while(|(n, _)| *n < 400_000) {
            different.extend_from_slice(format!("{line} {n}\n").as_bytes());
        }
        timed("400,000 different ones", &different, rules);
    }
    println!("rules tried on every line: {:?}", rules.slow().collect::<Vec<_>>());
}

fn timed(name: &str, output: &[u8], rules: &Rules) {
    let lines = output.split(|byte| *byte == b'\n').count();
    let begun = boottime_ms();
    let mut judge = Judge::new(rules);
    for chunk in output.chunks(64 * 1024) {
        judge.bytes(chunk);
    }
    let said = judge.end(&Facts::of_code(1));
    let took = boottime_ms() - begun;
    println!("{name:<28} {lines:>8} {took:>8} {:>11.2}   {}", per(took, lines), said.class);
}

fn per(ms: i64, lines: usize) -> f64 {
    f64::from(i32::try_from(ms).unwrap_or(i32::MAX)) * 1e3 / f64::from(u32::try_from(lines.max(1)).unwrap_or(u32::MAX))
}
