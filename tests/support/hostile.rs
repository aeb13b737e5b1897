//! The hostile corpus: one file for each attack that `tests/pure/data/hostile/` knows, written so that it can be read. Each
//! line is a sequence: `\e`, `\n`, `\r`, `\xNN` (a byte) and `\u{N}` (a character) stand for themselves, `1000 x ` at the
//! beginning repeats it, `#` begins a comment. A line that is not a repetition ends with a line feed.

use std::path::Path;

/// Each attack by its name: what a step would print.
pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pure/data/hostile");
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it can be read").path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("an attack is written as text");
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, bytes(&text))
        })
        .collect();
    found.sort();
    assert!(found.len() >= 27, "only {} attacks were found", found.len());
    found
}

fn bytes(text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let counted = line.split_once(" x ").and_then(|(count, rest)| Some((count.parse::<usize>().ok()?, rest)));
        if let Some((count, rest)) = counted {
            all.extend(sequence(rest).repeat(count));
        } else {
            all.extend(sequence(line));
            all.push(b'\n');
        }
    }
    // What has no end is followed by nothing, so that whoever reads it has to end it.
    all.pop_if(|last| *last == b'\n');
    all
}

fn sequence(text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        all.extend_from_slice(&rest.as_bytes()[..at]);
        let (kind, after) = (rest.as_bytes()[at + 1], &rest[at + 2..]);
        rest = match kind {
            b'x' => {
                all.push(u8::from_str_radix(&after[..2], 16).expect("two digits"));
                &after[2..]
            }
            b'u' => {
                let (number, after) = after[1..].split_once('}').expect("a number in braces");
                let number = u32::from_str_radix(number, 16).expect("a number");
                all.extend(char::from_u32(number).expect("a character").encode_utf8(&mut [0; 4]).bytes());
                after
            }
            other => {
                let named = [(b'e', 0x1b), (b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'\\', b'\\')];
                all.push(named.iter().find(|(name, _)| *name == other).expect("a known escape").1);
                after
            }
        };
    }
    all.extend_from_slice(rest.as_bytes());
    all
}
