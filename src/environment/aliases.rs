//! Other names under which the same folder can be reached on this host: bind mounts, subvolumes mounted twice,
//! `/sysroot` of image-based systems. Reads the table of mounts; hiding one name would leave the others.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    device: String,
    /// The folder within the file system that is mounted.
    root: PathBuf,
    at: PathBuf,
}

/// The table of mounts, read once.
pub(super) struct Mounts(Vec<Mounted>);

impl Mounts {
    pub(super) fn of_this_host() -> Self {
        Self(parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default()))
    }

    /// Every other path of what this path (without symbolic links) names.
    pub(super) fn aliases(&self, path: &Path) -> Vec<PathBuf> {
        // The last of the longest: a later mount on the same place covers the earlier one.
        let Some(mine) =
            self.0.iter().filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.as_os_str().len())
        else {
            return Vec::new();
        };
        let inner = join(&mine.root, path.strip_prefix(&mine.at).unwrap_or(Path::new("")));
        let same = |mount: &&Mounted| mount.device == mine.device && inner.starts_with(&mount.root);
        let others = self
            .0
            .iter()
            .filter(same)
            .map(|mount| join(&mount.at, inner.strip_prefix(&mount.root).unwrap_or(Path::new(""))));
        // What lies there now may be another file system, mounted over it.
        let key = |path: &Path| std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        let this = key(path);
        others.filter(|other| other != path && this.is_some() && key(other) == this).collect()
    }
}

fn join(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { base.to_owned() } else { base.join(rest) }
}

fn parse(table: &[u8]) -> Vec<Mounted> {
    let lines = table.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let mut words = line.split(|byte| *byte == b' ').skip(2);
            let device = String::from_utf8_lossy(words.next()?).into_owned();
            Some(Mounted { device, root: unescape(words.next()?), at: unescape(words.next()?) })
        })
        .collect()
}

/// Space, tab, newline and backslash are written as `\040` and the like.
fn unescape(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        let digits = word
            .get(at + 1..at + 4)
            .filter(|digits| word[at] == b'\\' && digits.iter().all(|byte| (b'0'..=b'7').contains(byte)));
        if let Some(digits) = digits {
            bytes.push(digits.iter().fold(0u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')));
            at += 4;
        } else {
            bytes.push(word[at]);
            at += 1;
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_space_is_read_as_it_is() {
        let table = b"27 1 254:0 /home/a\\040b /mnt/c\\134d rw,relatime - ext4 /dev/vda rw\n";
        let wanted = Mounted { device: "254:0".into(), root: "/home/a b".into(), at: "/mnt/c\\d".into() };
        assert_eq!(parse(table), [wanted]);
    }
}
