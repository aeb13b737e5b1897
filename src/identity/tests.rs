use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

struct Desk {
    root: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { root: tempfile::tempdir().expect("a folder") };
        for folder in ["space", "old/work/a", "new/work/a"] {
            std::fs::create_dir_all(desk.path(folder)).expect("made");
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn recipe(&self, run: &str, script: &str) -> Recipe {
        let own = self.path(&format!("{run}/work"));
        let text = |path: PathBuf| path.to_str().expect("plain").to_owned();
        let code = text(self.path("space/code.py"));
        Recipe {
            scope: "space\na".into(),
            texts: BTreeMap::from([("run".into(), script.into()), ("env.LR".into(), "0.1".into())]),
            inputs: BTreeMap::from([
                ("inputs.code".into(), ("code.py".into(), code)),
                ("inputs.word".into(), ("hello".into(), text(self.path("space/hello")))),
            ]),
            outputs: BTreeMap::from([("data".into(), text(own.join("a/data")))]),
            numbers: std::collections::BTreeSet::new(),
            own: text(own),
        }
    }

    fn candidate(recipe: &Recipe) -> Candidate {
        let basis = basis(recipe, &[]).expect("a basis");
        Candidate { from: "etl #1".into(), own: recipe.own.clone(), made: made(recipe, basis).expect("made") }
    }
}

#[test]
fn what_has_changed_is_named_and_what_has_not_stands() {
    let desk = Desk::new();
    desk.write("space/code.py", "print(1)");
    desk.write("old/work/a/data/deep/x", "one");
    let old = Desk::candidate(&desk.recipe("old", "prepare"));
    let wanted = desk.recipe("new", "prepare");
    let now = basis(&wanted, &[&old.made.basis]).expect("a basis");
    let hit = find(&wanted, &now, std::slice::from_ref(&old)).expect("a hit");
    assert_eq!(hit.from, "etl #1");
    assert_eq!(std::fs::read_to_string(desk.path("new/work/a/data/deep/x")).expect("copied"), "one");
    // Again, as after a kill between the copy and its being told.
    assert_eq!(find(&wanted, &now, std::slice::from_ref(&old)).expect("again"), hit);
    // Another script; another input; both; a value that is no path.
    let other = desk.recipe("new", "prepare --more");
    let now = basis(&other, &[]).expect("a basis");
    let why = find(&other, &now, std::slice::from_ref(&old)).expect_err("another script");
    assert_eq!(why, "run has changed since etl #1");
    desk.write("space/code.py", "print(2)");
    let now = basis(&other, &[&old.made.basis]).expect("a basis");
    let why = find(&other, &now, std::slice::from_ref(&old)).expect_err("another input");
    assert_eq!(why, "inputs.code and run have changed since etl #1");
    // What is written anew with the same content is the same.
    desk.write("space/code.py", "print(1)");
    let now = basis(&wanted, &[&old.made.basis]).expect("a basis");
    assert_ne!(now.stamps, old.made.basis.stamps, "it was written anew");
    assert_eq!(now.parts, old.made.basis.parts);
    assert!(find(&wanted, &now, &[]).expect_err("nothing").contains("has not succeeded here"));
}

#[test]
fn an_output_that_is_another_now_stands_for_nothing() {
    let desk = Desk::new();
    desk.write("space/code.py", "x");
    let file = desk.write("old/work/a/data/x", "one");
    let old = Desk::candidate(&desk.recipe("old", "prepare"));
    let wanted = desk.recipe("new", "prepare");
    let now = basis(&wanted, &[]).expect("a basis");
    let why = |found: Result<CacheHit, String>| found.expect_err("no hit");
    std::fs::write(&file, "two").expect("written");
    assert_eq!(why(find(&wanted, &now, std::slice::from_ref(&old))), "output data of etl #1 has changed since");
    assert!(!desk.path("new/work/a/data").exists(), "nothing is left of what was not taken");
    std::fs::write(&file, "one").expect("written");
    std::fs::remove_dir_all(desk.path("old/work/a/data")).expect("removed");
    assert!(why(find(&wanted, &now, &[old])).contains("No such file"));
}

#[test]
fn neither_links_nor_what_is_there_already_lead_a_copy_astray() {
    let desk = Desk::new();
    desk.write("space/code.py", "x");
    desk.write("old/work/a/data/x", "one");
    symlink("/etc/passwd", desk.path("old/work/a/data/link")).expect("linked");
    let old = Desk::candidate(&desk.recipe("old", "prepare"));
    let wanted = desk.recipe("new", "prepare");
    let now = basis(&wanted, &[]).expect("a basis");
    // The step's folder is a link to somewhere else.
    let outside = desk.path("outside");
    std::fs::create_dir(&outside).expect("made");
    std::fs::remove_dir(desk.path("new/work/a")).expect("removed");
    symlink(&outside, desk.path("new/work/a")).expect("linked");
    assert!(find(&wanted, &now, std::slice::from_ref(&old)).is_err());
    assert_eq!(std::fs::read_dir(&outside).expect("read").count(), 0, "nothing is written through a link");
    std::fs::remove_file(desk.path("new/work/a")).expect("removed");
    // Something else lies there.
    desk.write("new/work/a/data/x", "mine");
    let why = find(&wanted, &now, std::slice::from_ref(&old)).expect_err("not written over");
    assert!(why.contains("something else lies at its place"), "{why}");
    assert_eq!(names(&desk.path("new/work/a")), ["data"], "and nothing is left beside it");
    std::fs::remove_dir_all(desk.path("new/work/a")).expect("removed");
    // Links inside are copied as links.
    find(&wanted, &now, std::slice::from_ref(&old)).expect("a hit");
    let link = desk.path("new/work/a/data/link");
    assert_eq!(std::fs::read_link(link).expect("a link"), Path::new("/etc/passwd"));
    // An output that is a link out of its run is not followed.
    std::fs::remove_dir_all(desk.path("old/work/a/data")).expect("removed");
    symlink("/etc", desk.path("old/work/a/data")).expect("linked");
    let recipe = desk.recipe("old", "prepare");
    let hostile = Candidate { made: made(&recipe, now.clone()).expect("looked at"), ..old };
    let other = desk.recipe("third", "prepare");
    std::fs::create_dir_all(desk.path("third/work")).expect("made");
    let why = find(&other, &now, &[hostile]).expect_err("not followed");
    assert!(why.contains("leads out of its run"), "{why}");
}

#[test]
fn pipes_and_too_deep_folders_are_no_hang_and_no_overflow() {
    let desk = Desk::new();
    let folder = desk.path("space/odd");
    std::fs::create_dir(&folder).expect("made");
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .expect("a pipe");
    stamp(&folder).expect("a stamp");
    digest(&folder).expect("a digest");
    assert!(digest(&folder.join("pipe")).is_err(), "a pipe holds nothing that could be digested");
    let mut deep = folder.clone();
    for _ in 0..200 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).expect("made");
    assert!(matches!(stamp(&folder), Err(Refused::TooDeep)));
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("read");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
