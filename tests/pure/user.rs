//! The operator's own file, and the files that dogwatch writes itself.

use std::path::Path;

use dogwatch::config::user::{lines, place};
use dogwatch::config::{known_files, parse, starter};
use dogwatch::tui::keys::{Action, Place};
use dogwatch::tui::own::{beginning, keys, read};

fn refused(text: &str) -> String {
    read(text, "config.toml").expect_err("it is wrong").to_string()
}

#[test]
fn an_empty_file_changes_nothing() {
    let own = read("", "config.toml").expect("nothing is said");
    assert_eq!(own, dogwatch::config::user::Own::default());
    assert_eq!(keys(&own), dogwatch::tui::keys::Keys::built_in());
}

/// What `config edit` begins with: as it is, and with every line of it taken as said.
#[test]
fn the_file_that_is_offered_says_what_is_built_in() {
    let text = beginning();
    assert_eq!(read(&text, "config.toml").expect("it is right"), dogwatch::config::user::Own::default());
    let said: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line).to_owned() + "\n")
        .collect();
    let own = read(&said, "config.toml").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((own.motion, own.mouse, own.theme.as_deref()), (Some(true), Some(true), Some("default")));
    assert_eq!((own.detach.as_deref(), own.operator.as_deref()), (Some("ctrl-]"), Some("ann@desk")));
    assert_eq!(keys(&own).of(Place::Step, Action::Log).expect("bound").all_keys(), "l");
    let lines = lines("\u{feff}# ö\n[ui]\n\nmouse = true\ntheme = 'x'\n[keys]\nlog = []");
    assert_eq!((lines["ui.mouse"], lines["ui.theme"], lines["keys.log"], lines.len()), (4, 5, 7, 3));
}

#[test]
fn all_of_it_is_read() {
    let text = "[ui]\ntheme = \"okabe-ito\"\nmotion = false\noperator = \"ops@night\"\nmouse = false\ndetach = \"ctrl-x\"\n\
                [keys]\nlog = [\"v\", \"f3\"]\nzoom = \"Z\"\n";
    let own = read(text, "config.toml").expect("it is right");
    assert_eq!(own.theme.as_deref(), Some("okabe-ito"));
    assert_eq!((own.motion, own.mouse), (Some(false), Some(false)));
    assert_eq!(own.operator.as_deref(), Some("ops@night"));
    assert_eq!(own.detach.as_deref(), Some("ctrl-x"));
    let keys = keys(&own);
    let log = keys.of(Place::Step, Action::Log).expect("it is bound");
    assert!(log.own && log.all_keys().starts_with('v'), "{}", log.all_keys());
    let zoom = keys.of(Place::Step, Action::Zoom).expect("it is bound");
    assert_eq!(zoom.all_keys(), "Z");
}

#[test]
fn a_mistake_is_told_with_its_place_and_the_nearest_name() {
    let told = [
        ("[ui]\nteme = \"default\"", "config.toml:2:1", "did you mean `theme`?"),
        ("[iu]\n", "config.toml:1:2", "did you mean `ui`?"),
        ("[zzzz]\n", "config.toml:1:2", "it has: ui, keys"),
        ("[ui]\ntheme = \"okabe\"", "config.toml:2:9", "did you mean \"okabe-ito\"?"),
        ("[ui]\ntheme = \"zzz\"", "config.toml:2:9", "one of: default, okabe-ito, high-contrast"),
        ("[ui]\nmotion = \"no\"", "config.toml:2:10", "motion = false"),
        ("[ui]\ndetach = \"ctrl-c\"", "config.toml:2:10", "is no key that can let go"),
        ("[ui]\noperator = \"\"", "config.toml:2:12", "must be a name"),
        ("[keys]\nzoon = [\"v\"]", "config.toml:2:1", "did you mean `zoom`?"),
        ("[keys]\nlog = 5", "config.toml:2:7", "a list of keys"),
        ("[keys]\nlog = [\"v\", 5]", "config.toml:2:13", "in quotes"),
        ("[keys]\nzoom = [\"v\"]\nlog = [\"nokey\"]", "config.toml:3:8", "\"nokey\" is no key"),
        ("[keys]\nlog = [\"s\"]", "config.toml:2:1", "does two things in the same place"),
        ("[keys]\nstop = [\"ctrl-d\"]", "config.toml:2:1", "too easily pressed by accident"),
        ("[ui\n", "config.toml:1:", "error"),
    ];
    for (text, place, words) in told {
        let shown = refused(text);
        assert!(shown.contains(place), "{text:?}: not at {place}:\n{shown}");
        assert!(shown.contains(words), "{text:?}: {words:?} is not in:\n{shown}");
    }
    assert!(refused("[ui]\na = 1\nb = 2").matches("error:").count() == 2, "all mistakes at once");
}

#[test]
fn the_file_lies_where_the_standard_says() {
    let with = |config: Option<&str>, home: Option<&str>| {
        place(|name| match name {
            "XDG_CONFIG_HOME" => config.map(Into::into),
            "HOME" => home.map(Into::into),
            _ => None,
        })
    };
    let at = |path: &str| Some(Path::new(path).to_owned());
    assert_eq!(with(Some("/c"), Some("/h")), at("/c/dogwatch/config.toml"));
    assert_eq!(with(None, Some("/h")), at("/h/.config/dogwatch/config.toml"));
    assert_eq!(with(Some("relative"), Some("/h")), at("/h/.config/dogwatch/config.toml"));
    assert_eq!(with(Some(""), None), None);
}

#[test]
fn a_starter_can_be_run_whatever_lies_in_the_folder() {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let folders = [
        names(&[]),
        names(&["train.py", "requirements.txt", "evaluate.py", "notes.md"]),
        names(&["Cargo.toml", "export.py", "preprocess.py", "run.sh"]),
        names(&["package.json", "Makefile", "main.py"]),
        known_files(&names(&["requirements.txt", "train.py", "'; rm -rf /"])),
    ];
    for (folder, names) in ["tiny lm", "\u{202e}x\"\n", "", "a", "ünï"].into_iter().zip(folders) {
        let text = starter(folder, &names);
        let loaded = parse(&text, "dogwatch.toml", Path::new("/data"), &[]);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(loaded.warnings.is_empty(), "{}\n{text}", loaded.warnings);
        assert!(!loaded.workflow.steps.is_empty());
    }
    let text = starter("tiny-lm", &names(&["train.py", "requirements.txt", "evaluate.py"]));
    insta::assert_snapshot!(text);
}
