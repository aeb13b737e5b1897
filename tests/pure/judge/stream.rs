//! Output as it comes: any bytes, cut anywhere, without end.

use dogwatch::config::rules;
use dogwatch::judge::{Facts, Judge, Rules};
use dogwatch::model::Diagnosis;

use crate::support::dice::Dice;

fn cut(bytes: &[u8], dice: &mut Dice, largest: u64) -> Diagnosis {
    let mut judge = Judge::new(&rules::built_in());
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = usize::try_from(dice.between(1, largest)).expect("small").min(rest.len());
        judge.bytes(&rest[..size]);
        rest = &rest[size..];
    }
    judge.end(&Facts::of_code(1))
}

/// Pieces of which hostile and ordinary outputs are made.
const PIECES: [&[u8]; 16] = [
    b"step 1 | loss 2.1\n",
    b"Traceback (most recent call last):\n  File \"a.py\", line 3\n    x = y[0]\n",
    b"KeyError: 'x'\n",
    b"\x1b[31mERROR\x1b[0m connection refused\r\n",
    b" 10%|#   | 1/10\r 20%|##  | 2/10\r",
    b"CUDA out of memory\n",
    b"\xff\xfe\xc3\x28\n",
    b"\x1b]0;never ending title ",
    b"\n\n\r\r\n",
    b"No space left on device",
    b"\xe2\x80\xae gnp.exe\n",
    b"make: *** [Makefile:2: all] Error 1\n",
    b"[rank1]: ",
    b"\x00\x01\x02\x9b31m\n",
    b"retrying (attempt 3/3)\n",
    b"done\n",
];

fn made(dice: &mut Dice, pieces: u64) -> Vec<u8> {
    (0..pieces).flat_map(|_| dice.pick(&PIECES).copied().unwrap_or_default().to_vec()).collect()
}

#[test]
fn how_it_is_cut_changes_nothing() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut bytes = made(&mut dice, 40);
        if seed % 3 == 0 {
            // A line that is longer than what is judged at once.
            let long = [b"x".repeat(7000), b" No module named zarr ".to_vec(), b"y".repeat(20_000)].concat();
            bytes.splice(0..0, long);
        }
        let mut whole = Judge::new(&rules::built_in());
        whole.bytes(&bytes);
        let whole = whole.end(&Facts::of_code(1));
        for largest in [1, 7, 100, 9000] {
            assert_eq!(whole, cut(&bytes, &mut dice, largest), "seed {seed}, pieces of at most {largest}");
        }
    }
}

#[test]
fn no_bytes_are_a_danger() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let bytes: Vec<u8> = (0..4000).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect();
        for facts in
            [Facts::default(), Facts::of_code(0), Facts::of_code(i32::MIN), Facts { oom: true, ..Facts::default() }]
        {
            let mut judge = Judge::new(&rules::built_in());
            judge.bytes(&bytes);
            let said = judge.end(&facts);
            assert!((0.0..=1.0).contains(&said.confidence));
        }
    }
}

#[test]
fn evidence_holds_no_control_characters_and_is_short() {
    let mut hostile = b"\x1b]0;x\x07\x9b2J KeyError: \xe2\x80\xae\x08\x07\x1b[2J".to_vec();
    hostile.extend(b"z".repeat(1_000_000));
    let mut judge = Judge::new(&rules::built_in());
    judge.bytes(&hostile);
    let said = judge.end(&Facts::of_code(1));
    let line = said.evidence.expect("the beginning of the line matches").line;
    assert!(line.chars().count() <= 401 && !line.chars().any(char::is_control), "{line:?}");
}

#[test]
fn what_stands_deep_in_a_long_line_is_seen() {
    let mut line = b"{".repeat(3_000_000);
    line.splice(2_000_000..2_000_000, *b" No space left on device ");
    let mut judge = Judge::new(&rules::built_in());
    judge.bytes(&line);
    assert_eq!(judge.end(&Facts::of_code(1)).rule.as_deref(), Some("no-space"));
}

#[test]
fn what_is_kept_does_not_grow_with_the_output() {
    let mut dice = Dice::new(1);
    let size = |pieces| {
        let mut judge = Judge::new(&rules::built_in());
        let mut dice = dice.clone();
        for _ in 0..pieces {
            judge.bytes(&made(&mut dice, 20));
        }
        format!("{judge:?}").len()
    };
    let (some, many) = (size(20), size(400));
    // The rules themselves are printed too; what matters is that twenty times the output adds next to nothing.
    assert!(many < some + some / 10 + 100_000, "{some} {many}");
    assert_ne!(dice.roll(), 0);
}

/// A line that has been read is not read again, however much came between: what it says is the same each time.
#[test]
fn what_is_remembered_of_a_line_is_what_it_says() {
    let text: String = include_str!("unseen.txt")
        .lines()
        .filter(|line| !line.starts_with("=== "))
        .fold(String::new(), |all, line| all + line + "\n");
    // More different lines of trouble than are remembered.
    let other: String = (0..5000).fold(String::new(), |all, n| all + &format!("error: number {n} failed\n"));
    let counts = |texts: &[&str]| -> Vec<(String, u64)> {
        let mut judge = Judge::new(&rules::built_in());
        for text in texts {
            judge.bytes(text.as_bytes());
        }
        judge.matches().map(|(id, count)| (id.to_owned(), count)).collect()
    };
    let (once, between) = (counts(&[&text]), counts(&[&other]));
    assert!(once.iter().filter(|(_, count)| *count > 0).count() > 100);
    for ((id, twice), ((_, once), (_, between))) in
        counts(&[&text, &text, &other, &text]).into_iter().zip(once.into_iter().zip(between))
    {
        assert_eq!(twice, 3 * once + between, "{id}");
    }
}

/// A line is tried against a pattern only where words are in it without which the pattern does not match.
#[test]
fn no_line_is_passed_over_that_a_pattern_matches() {
    let own = |line: &&str| line.starts_with(|c: char| c.is_ascii_alphabetic()) && !line.contains(['|', '\t']);
    let lines: Vec<&str> = include_str!("unseen.txt").lines().filter(own).filter(|line| line.is_ascii()).collect();
    let examples = rules::built_in_specs().into_iter().map(|spec| spec.example).collect::<Vec<_>>();
    let examples = examples.iter().flat_map(|example| example.lines()).filter(own);
    let lines: Vec<&str> = lines.into_iter().chain(examples).collect();
    assert!(lines.len() > 500, "{}", lines.len());
    for spec in rules::built_in_specs() {
        let Some(pattern) = spec.pattern.clone() else { continue };
        let regex = regex::Regex::new(&pattern).expect("it is tested");
        let matching = lines.iter().filter(|line| regex.is_match(line)).count();
        let rules = Rules::new(vec![spec.clone()], vec![]).expect("it is tested");
        let mut judge = Judge::new(&rules);
        for line in &lines {
            judge.line(line);
        }
        let seen: u64 = judge.matches().map(|(_, count)| count).sum();
        assert_eq!(usize::try_from(seen), Ok(matching), "{}", spec.id);
    }
}
