//! Output as plain text: a corpus of hostile sequences, and of honest progress lines.

use dogwatch::gauge::plain::{line, lines};

/// What a terminal would do something about. Nothing of it may be left.
fn harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
    })
}

#[test]
fn hostile_sequences_leave_only_their_text() {
    let table: &[(&[u8], &str)] = &[
        // Colours, and text hidden by them: shown.
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b[8mhidden\x1b[28m", "hidden"),
        (b"\x1b[38;2;0;0;0;48;2;0;0;0mblack\x1b[m", "black"),
        (b"\x1b[4:3mcurly\x1b[24m", "curly"),
        // Clipboard, titles, palettes, links, notifications, working folder.
        (b"\x1b]52;c;cm0gLXJmIC8=\x07ok", "ok"),
        (b"\x1b]0;title\x1b\\ok", "ok"),
        (b"\x1b]2;title\x9c\x1b\\ok", r"\x9cok"),
        (b"\x1b]4;1;?\x07\x1b]11;?\x07ok", "ok"),
        (b"\x1b]8;;file:///etc/passwd\x1b\\click\x1b]8;;\x1b\\", "click"),
        (b"\x1b]9;hello\x07\x1b]777;notify;a;b\x07ok", "ok"),
        (b"\x1b]1337;File=inline=1:AAAA\x07ok", "ok"),
        (b"\x1b]50;?\x07ok", "ok"),
        // Reports that would come back as input.
        (b"\x1b[21t\x1b[6n\x1b[c\x1b[>c\x1b[=c\x1b[5nok", "ok"),
        (b"\x1b[?1;2c\x1b[0x\x1b[>q\x1bZok", "ok"),
        (b"\x1bP$qm\x1b\\ok", "ok"),
        (b"\x1bP+q544e\x1b\\ok", "ok"),
        // tmux and iTerm2 pass-through, sixel, private strings.
        (b"\x1bPtmux;\x1b\x1b]52;c;AAAA\x07\x1b\\ok", "ok"),
        (b"\x1bP1000pevil\x1b\\ok", "ok"),
        (b"\x1bPq#0;2;0;0;0~-\x1b\\ok", "ok"),
        (b"\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\ok", "ok"),
        // Windows, modes, screens, cursor, scrolling.
        (b"\x1b[3;0;0t\x1b[8;1;1t\x1b[?1003h\x1b[?2004hok", "ok"),
        (b"\x1b[?1049h\x1b[2J\x1b[H\x1b[1;1r\x1b7\x1b8\x1bcok", "ok"),
        (b"up\x1b[Adown\x1b[B", "updown"),
        (b"\x1b[65535@\x1b[65535b\x1b[65535Lok", "ok"),
        (b"\x1b#8\x1b(0\x1b)B\x1b*0\x1b%Gok", "ok"),
        (b"\x1bGQok", "Qok"),
        (b"\x1b[200~pasted\x1b[201~", "pasted"),
        // C1, as characters and as bytes.
        ("\u{9b}31mred".as_bytes(), "red"),
        ("\u{9d}52;c;AAAA\u{9c}ok".as_bytes(), "ok"),
        ("\u{90}q\u{9c}\u{85}\u{84}ok".as_bytes(), "ok"),
        (b"\x9b31mred", r"\x9b31mred"),
        (b"\xff\xfe\xc3", r"\xff\xfe\xc3"),
        // Other control characters.
        (b"\x07\x07b\x00e\x0el\x0fl\x0b\x0c\x7f", "bell"),
        (b"a\tb", "a\tb"),
        // Direction of writing and what cannot be seen: shown.
        ("a\u{202e}txt.exe".as_bytes(), r"a\u{202e}txt.exe"),
        ("\u{2066}x\u{2069}\u{200e}\u{200f}\u{61c}".as_bytes(), r"\u{2066}x\u{2069}\u{200e}\u{200f}\u{61c}"),
        ("pass\u{ad}word\u{200b}\u{2060}\u{feff}".as_bytes(), r"pass\u{ad}word\u{200b}\u{2060}\u{feff}"),
        ("tag\u{e0041}\u{e007f}".as_bytes(), r"tag\u{e0041}\u{e007f}"),
        ("one\u{2028}two\u{2029}".as_bytes(), r"one\u{2028}two\u{2029}"),
        ("\u{3164}\u{115f}\u{ffa0}".as_bytes(), r"\u{3164}\u{115f}\u{ffa0}"),
        // Joiners where they belong, and where they hide.
        ("👩\u{200d}💻 ❤\u{fe0f} 1\u{fe0f}\u{20e3}".as_bytes(), "👩\u{200d}💻 ❤\u{fe0f} 1\u{fe0f}\u{20e3}"),
        ("a\u{200d}b".as_bytes(), r"a\u{200d}b"),
        // Honest text of the world.
        ("größe 東京 ⠹ ✓".as_bytes(), "größe 東京 ⠹ ✓"),
    ];
    for (bytes, expected) in table {
        let shown = line(bytes);
        assert_eq!(&shown, expected, "{}", bytes.escape_ascii());
        assert!(harmless(&shown), "{}", bytes.escape_ascii());
    }
}

#[test]
fn of_a_line_that_was_written_over_the_final_state_is_left() {
    let table: &[(&[u8], &str)] = &[
        (b"1/3\r2/3\r3/3\r", "3/3"),
        (b"text\r\r", "text"),
        // As a terminal shows it: what is not written over stays.
        (b"downloading\rdone", "doneloading"),
        (b"downloading\r\x1b[Kdone", "done"),
        (b"downloading\x1b[2K\rdone", "done"),
        (b"\x1b[2K\x1b[1Gnpm done", "npm done"),
        (b"abc\x1b[1K", ""),
        (b"|\x08/\x08-\x08done", "done"),
        (b"abc\x1b[2DX", "aXc"),
        (b"abc\r\x1b[2CX", "abX"),
        (b"abc\x1b[999Cd", "abcd"),
        // A forged line is what a terminal would have shown, and no more.
        (b"loss 9.9 FAILED\rall good       ", "all good"),
    ];
    for (bytes, expected) in table {
        assert_eq!(&line(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_string_that_never_ends_hides_nothing() {
    assert_eq!(line(b"\x1b]0;this would be gone: error 7"), "0;this would be gone: error 7");
    assert_eq!(line(b"\x1bPall of it"), "all of it");
    // Ended by an escape sequence that is not its end: gone, as in a terminal, and the rest is there.
    assert_eq!(line(b"\x1b]0;title\x1b[1mshown"), "shown");
}

#[test]
fn lines_end_at_line_feeds_only() {
    let all: Vec<String> = lines(b"a\r\nb\n\nc").collect();
    assert_eq!(all, ["a", "b", "", "c"]);
    assert_eq!(lines(b"").count(), 0);
    assert_eq!(lines(b"\n").collect::<Vec<_>>(), [""]);
    // An unfinished sequence of one line does not reach into the next.
    assert_eq!(lines(b"\x1b]0;x\nvisible\n").last().as_deref(), Some("visible"));
}

#[test]
fn whatever_comes_nothing_that_controls_a_terminal_is_left() {
    // Every pair of bytes that can begin something, followed by every byte, and a million of random ones.
    for first in 0..=255u8 {
        for second in 0..=255u8 {
            let shown = line(&[0x1b, first, second, b'x', first, b'[', second, b'y']);
            assert!(harmless(&shown), "{first:#x} {second:#x}: {shown:?}");
        }
    }
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::new();
    for _ in 0..1_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let byte = state.to_be_bytes()[1];
        // Escapes are as frequent as they are in hostile text.
        bytes.push(if byte < 40 { 0x1b } else { byte });
    }
    for shown in lines(&bytes) {
        assert!(harmless(&shown), "{shown:?}");
    }
}

#[test]
fn a_hostile_megabyte_costs_no_more_than_a_few_of_its_size() {
    let erasing = b"x\x1b[999C\x1b[2K\r".repeat(100_000);
    let shown = line(&erasing);
    assert!(shown.len() < erasing.len());
    let raw = vec![0xff; 100_000];
    assert_eq!(line(&raw).len(), 4 * raw.len());
    let invisible = "\u{e0041}".repeat(100_000);
    assert!(line(invisible.as_bytes()).len() <= 3 * invisible.len());
}
