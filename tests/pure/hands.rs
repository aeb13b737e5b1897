//! The key that lets go, and a terminal that is left as it was found.

use dogwatch::faces::detach::{Key, Typed, Watch};
use dogwatch::gauge::modes::Modes;

fn watch(key: &str) -> Watch {
    Watch::new(Key::parse(key).expect("a key"))
}

#[test]
fn the_key_lets_go_however_the_terminal_spells_it() {
    let spellings: &[&[u8]] = &[
        b"\x1d",
        b"\x1b[93;5u",
        b"\x1b[93;5:1u",
        // With Caps Lock, with Num Lock.
        b"\x1b[93;69u",
        b"\x1b[93;133u",
        b"\x1b[27;5;93~",
    ];
    for spelling in spellings {
        let mut typed = b"ab".to_vec();
        typed.extend_from_slice(spelling);
        typed.extend_from_slice(b"later");
        let expected = Typed { pass: b"ab".to_vec(), let_go: true };
        assert_eq!(watch("ctrl-]").feed(&typed), expected, "{}", spelling.escape_ascii());
        // The same, byte by byte: nothing of the key reaches the step.
        let mut slow = watch("ctrl-]");
        let mut passed = Vec::new();
        let gone = spelling.iter().any(|byte| {
            let typed = slow.feed(&[*byte]);
            passed.extend(typed.pass);
            typed.let_go
        });
        assert!(gone && passed.is_empty(), "{}", spelling.escape_ascii());
    }
}

#[test]
fn other_keys_pass_unchanged() {
    for typed in [
        &b"hello\r"[..],
        b"\x1b[A\x1b[B\x1bOP\x1b[15~",
        b"\x1b[93;1u\x1b[93;3u\x1b[93;5:3u",
        b"\x1b[27;5;92~",
        b"\x03\x04\x1a\x1c\x1e",
        "größe 東京".as_bytes(),
        b"\x1b[200~pasted\x1b[201~",
    ] {
        let mut keys = watch("ctrl-]");
        let mut passed = keys.feed(typed).pass;
        passed.extend(keys.flush());
        assert_eq!(passed, typed, "{}", typed.escape_ascii());
    }
}

#[test]
fn an_escape_key_is_held_back_only_until_nothing_more_comes() {
    let mut keys = watch("ctrl-]");
    assert_eq!(keys.feed(b"\x1b"), Typed { pass: Vec::new(), let_go: false });
    assert!(keys.holds());
    assert_eq!(keys.flush(), b"\x1b");
    assert!(!keys.holds());
    assert_eq!(keys.keys(), 1);
    // Begun like the key, and then something else.
    assert_eq!(keys.feed(b"\x1b[9").pass, b"");
    assert_eq!(keys.feed(b"1~").pass, b"\x1b[91~");
}

#[test]
fn keys_are_counted_and_answers_of_the_terminal_are_not() {
    let table: &[(&[u8], u64)] = &[
        (b"hello", 5),
        (b"\x1b[A\x1b[B\x1bOP\x1b[3~", 4),
        ("ö東".as_bytes(), 2),
        (b"\x1bx", 1),
        (b"\x1b[?62;4c\x1b[24;80R\x1b[?1u", 1),
        (b"\x1bP>|xterm(370)\x1b\\\x1b]11;rgb:0/0/0\x07", 0),
        (b"\x1b[<0;10;10M\x1b[<0;10;10m", 0),
    ];
    for (typed, expected) in table {
        let mut keys = watch("ctrl-]");
        keys.feed(typed);
        keys.flush();
        assert_eq!(keys.keys(), *expected, "{}", typed.escape_ascii());
    }
}

#[test]
fn another_key_can_be_chosen_but_none_that_programs_need() {
    let mut keys = watch("ctrl-x");
    assert!(!keys.feed(b"\x1d").let_go);
    assert!(keys.feed(b"\x18").let_go);
    assert!(watch("^\\").feed(b"\x1c").let_go);
    assert!(watch("C-a").feed(b"\x1b[97;5u").let_go);
    assert_eq!(Key::parse("ctrl-]").expect("a key").to_string(), "Ctrl-]");
    for wrong in ["ctrl-c", "ctrl-m", "ctrl-i", "ctrl-j", "ctrl-[", "x", "", "ctrl-", "ctrl-ab", "alt-x"] {
        assert!(Key::parse(wrong).is_err(), "{wrong}");
    }
}

fn taken_back(shown: &[u8]) -> String {
    let mut modes = Modes::default();
    modes.feed(shown);
    modes.take_back().escape_ascii().to_string()
}

#[test]
fn exactly_the_modes_that_were_left_on_are_taken_back() {
    let common = r"\x18\x1b\\\x1b[0m\x1b(B\x0f\x1b7\x1b[r\x1b8\x1b[0 q";
    let table: &[(&[u8], &str)] = &[
        (b"just text", ""),
        (b"\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h\x1b[?25l", r"\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b[?2004l\x1b[?1049l"),
        // What the program took back itself is left alone: leaving the alternate screen twice would move the cursor.
        (b"\x1b[?1049h text \x1b[?1049l", ""),
        (b"\x1b[?1h\x1b=", r"\x1b[?1l\x1b>"),
        (b"\x1b[>4;2m", r"\x1b[>4m"),
        (b"\x1b[?7l", r"\x1b[?7h"),
        // A reset of its own.
        (b"\x1b[?1003h\x1bc", ""),
        // Not a private mode, not ours.
        (b"\x1b[4h\x1b[?12h", ""),
    ];
    for (shown, expected) in table {
        let order = |text: &str| {
            let mut parts: Vec<String> = text.split(r"\x1b").map(str::to_owned).collect();
            parts.sort();
            parts
        };
        let said = taken_back(shown);
        let rest = said.strip_prefix(common).expect("begins with what nobody can look up");
        assert_eq!(order(rest), order(expected), "{}", shown.escape_ascii());
    }
    assert!(taken_back(b"\x1b[?1049h\x1b[?1000h").ends_with(r"\x1b[?1049l"), "the screen is left last");
    assert_eq!(taken_back(b""), "", "nothing was shown: nothing is to be put in order");
}

#[test]
fn a_terminal_that_begins_in_the_middle_is_given_the_modes_of_the_program() {
    let table: &[(&[u8], &str, bool)] = &[
        (b"just text", "", false),
        (b"\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h\x1b[?25l", r"\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h", true),
        (b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?1049l\x1b[?1l", r"\x1b=", false),
        (b"\x1b[?47h\x1b[?1003h\x1bc", "", false),
    ];
    for (shown, expected, alternate) in table {
        let mut modes = Modes::default();
        // Wherever it is cut.
        for piece in shown.chunks(3) {
            modes.feed(piece);
        }
        assert_eq!(modes.put_on().escape_ascii().to_string(), *expected, "{}", shown.escape_ascii());
        assert_eq!(modes.alternate(), *alternate, "{}", shown.escape_ascii());
    }
}

#[test]
fn modes_are_seen_when_they_come_in_pieces() {
    let mut modes = Modes::default();
    for byte in b"\x1b[?1000;2004h" {
        modes.feed(&[*byte]);
    }
    let said = modes.take_back().escape_ascii().to_string();
    assert!(said.contains(r"\x1b[?1000l") && said.contains(r"\x1b[?2004l"), "{said}");
}
