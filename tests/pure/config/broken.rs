//! Files that nobody would write: too deep, too long, cut off, mixed up.

use std::fmt::Write as _;

use super::{COMPLETE, CORE, STEP, parse, shown};
use dogwatch::config::Place;

#[test]
fn neither_depth_nor_length_is_a_danger() {
    let deep = 1_000_000;
    for source in [
        format!("{STEP}needs = {}", "[".repeat(deep)),
        format!("{STEP}needs = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{STEP}env = {}", "{a=".repeat(deep)),
        format!("{STEP}{}b = 1", "b.".repeat(deep)),
        format!("{STEP}[{}b]", "b.".repeat(deep)),
        format!("{STEP}description = {}", "\"".repeat(deep)),
        format!("{STEP}if = '{}true{}'", "(".repeat(400), ")".repeat(400)),
        format!("{STEP}if = '{}true'", "not ".repeat(240)),
        format!("{STEP}if = '1{} > 1000'", "+1".repeat(480)),
        format!("{STEP}if = '1{}'", " if 1 else 1".repeat(80)),
        format!("{STEP}if = 'true{}'", "[0]".repeat(300)),
        format!("{STEP}if = '{}1{}'", "[".repeat(450), "]".repeat(450)),
        format!("{STEP}if = '{}'", "-".repeat(900)),
        format!("{STEP}if = '{}'", "a|".repeat(400)),
        format!("{STEP}if = '{}'", "x".repeat(2000)),
        format!("{STEP}on_failure = [{{ action = 'abort', match = {{ output = '{}' }} }}]", "(".repeat(50_000)),
        format!("{STEP}on_failure = [{{ action = 'abort', match = {{ output = '{}' }} }}]", "a{1000}".repeat(1000)),
    ] {
        match parse(&source) {
            // A thousand additions are fine, as long as nothing breaks.
            Ok(_) => assert!(source.len() < 2000),
            Err(problems) => assert!(problems.to_string().starts_with("error: "), "{problems}"),
        }
    }
}

#[test]
fn a_chain_of_ten_thousand_steps_needs_no_deep_stack() {
    let mut chain = String::from("version = 1\n");
    for n in 0..10_000 {
        let _ = write!(chain, "[steps.s{n}]\nrun = 'true'\noutputs = {{ o = {{ path = 'o{n}' }} }}\n");
        if n > 0 {
            let _ = write!(chain, "needs = ['s{}']\nenv = {{ A = '${{{{ steps.s0.outputs.o }}}}' }}\n", n - 1);
        }
    }
    let ring = chain.replacen("[steps.s0]\n", "[steps.s0]\nneeds = ['s9999']\n", 1);
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        let loaded = parse(&chain).unwrap();
        let picture = dogwatch::report::graph::render(&loaded.workflow, dogwatch::report::graph::Format::Ascii);
        (loaded.workflow.steps.len(), picture.lines().count(), shown(&ring))
    });
    let (steps, lines, ring) = thread.unwrap().join().unwrap();
    assert_eq!((steps, lines), (10_000, 20_001));
    assert!(ring.contains("in a circle: s0 -> s9999 -> "), "{ring}");
}

#[test]
fn a_thousand_steps_that_one_needs_are_read_and_named() {
    let mut wide = String::from("version = 1\n");
    for n in 0..1000 {
        let _ = write!(wide, "[steps.s{n}]\nrun = 'true'\n");
    }
    let names: Vec<String> = (0..1000).map(|n| format!("'s{n}'")).collect();
    let _ = write!(wide, "[steps.last]\nrun = 'true'\nneeds = [{}]\n", names.join(", "));
    let loaded = parse(&wide).unwrap_or_else(|problems| panic!("{problems}"));
    let (_, last) = loaded.workflow.steps.last().expect("it is there");
    assert_eq!(last.needs.len(), 1000);
    let wrong = shown(&wide.replace("'s999']", "'s1000']"));
    assert!(wrong.contains("s1000") && wrong.lines().count() < 20, "{wrong}");
}

/// A small generator of numbers: the same seed always breaks the same way.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % n.max(1)
    }

    fn boundary(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const PIECES: [&str; 28] = [
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "'''",
    "\"\"\"",
    "=",
    ".",
    ",",
    "\n",
    "#",
    "${{",
    "}}",
    " and ",
    "\u{1b}",
    "\u{202e}",
    "\u{0}",
    "é",
    "\u{1f600}",
    "\\",
    "-1",
    "1e999",
    "steps.train",
    "nan",
    "99999999999999999999",
    "\r\n",
];

const VALUES: [&str; 10] =
    ["true", "3", "'x'", "[]", "{}", "[1, 'a']", "1.5", "2026-11-22", "'${{ steps.train }}'", "[{ action = 'retry' }]"];

/// The source with one to four things broken.
fn mutate(source: &str, random: &mut Random) -> String {
    let mut text = source.to_owned();
    for _ in 0..=random.below(4) {
        let at = random.boundary(&text);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.push(String::new());
        let (n, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(7) {
            0 => text.truncate(at),
            1 => text.insert_str(at, random.of(&PIECES)),
            2 => {
                let end = random.boundary(&text).clamp(at, text.len().min(at + 20));
                if text.is_char_boundary(end) {
                    text.replace_range(at..end, "");
                }
            }
            3 => {
                lines.swap(n, other);
                text = lines.join("\n");
            }
            4 => {
                lines.remove(n);
                text = lines.join("\n");
            }
            5 => {
                let words: Vec<&str> = source.split_whitespace().collect();
                text.insert_str(at, random.of(&words));
            }
            _ => {
                if let Some((key, _)) = lines[n].split_once(" = ") {
                    lines[n] = format!("{key} = {}", random.of(&VALUES));
                }
                text = lines.join("\n");
            }
        }
    }
    text
}

#[test]
fn no_file_makes_the_reader_panic_and_every_error_has_a_place_in_it() {
    let mut random = Random(0x5eed_d09a);
    let (mut good, mut bad) = (0, 0);
    for round in 0..4000 {
        let source = mutate(if round % 3 == 0 { COMPLETE } else { CORE }, &mut random);
        let stripped = source.strip_prefix('\u{feff}').unwrap_or(&source);
        let read = std::panic::catch_unwind(|| parse(&source)).unwrap_or_else(|_| panic!("round {round}:\n{source}"));
        let problems = match read {
            Ok(loaded) => {
                good += 1;
                loaded.warnings
            }
            Err(problems) => {
                bad += 1;
                assert!(!problems.is_empty(), "round {round}: refused without a word\n{source}");
                problems
            }
        };
        for problem in &problems.list {
            let Place::Source { line, column, bytes } = &problem.place else { panic!("round {round}: {problem:?}") };
            assert!(bytes.start <= bytes.end && bytes.end <= stripped.len(), "round {round}: {problem:?}");
            let start = stripped.split('\n').take(line - 1).map(|line| line.len() + 1).sum::<usize>();
            assert_eq!(stripped[start..bytes.start].chars().count() + 1, *column, "round {round}: {problem:?}");
        }
        let shown = problems.to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "round {round}: {shown:?}");
    }
    assert!(good > 100 && bad > 1000, "{good} good, {bad} bad: the mutations are too weak or too strong");
}
