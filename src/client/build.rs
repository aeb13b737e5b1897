//! Whether the engine that answers is the same program as this one. Looks at two files; asks nobody.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is said beside a refusal that may only be the other build's.
const OTHER: &str = "the engine is another build of dogwatch than this one: if it should know this, end it with \
                     `dogwatch engine stop` (steps go on) and try again";

/// The words for it when the engine (process `pid`) certainly runs another binary than this process.
/// `None` where both are the same, and where it cannot be seen.
pub(super) fn other_build(pid: u32) -> Option<&'static str> {
    differ(Path::new(&format!("/proc/{pid}/exe")), Path::new("/proc/self/exe")).ok()?.then_some(OTHER)
}

/// Whether two files hold different bytes. Files of different length are not read.
fn differ(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    let (first, second) = (one.metadata()?, other.metadata()?);
    if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
        return Ok(false);
    }
    if first.len() != second.len() {
        return Ok(true);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&mut one).take(1 << 20).read_to_end(&mut left)?;
        (&mut other).take(1 << 20).read_to_end(&mut right)?;
        if left != right {
            return Ok(true);
        }
        if left.is_empty() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_build_and_one_changed_byte_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path
        };
        let mut bytes = vec![7u8; (1 << 20) + 5];
        let (one, copy) = (write("one", &bytes), write("copy", &bytes));
        *bytes.last_mut().expect("not empty") = 8;
        let changed = write("changed", &bytes);
        let longer = write("longer", &[7; 9]);
        assert!(!differ(&one, &copy).expect("read") && !differ(&one, &one).expect("read"));
        assert!(differ(&one, &changed).expect("read") && differ(&one, &longer).expect("read"));
        assert!(differ(&one, &folder.path().join("none")).is_err(), "what cannot be seen is not called another");
        assert_eq!(other_build(std::process::id()), None);
    }
}
