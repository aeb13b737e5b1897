//! `config`: the operator's own file in a real editor (a script). What is wrong never holds, and nothing that was written is
//! lost.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::desk::{Desk, Said};

/// A desk with a file of its own, and what edits it: a script that gets the path as `$1`.
struct Own {
    desk: Desk,
    file: PathBuf,
}

impl Own {
    fn new() -> Self {
        let desk = Desk::new();
        let file = desk.root.path().join("home/.config/dogwatch/config.toml");
        Self { desk, file }
    }

    fn with(text: &str) -> Self {
        let own = Self::new();
        std::fs::create_dir_all(own.file.parent().expect("a folder")).expect("made");
        std::fs::write(&own.file, text).expect("written");
        own
    }

    /// The script, and the value of `$EDITOR` that starts it with an argument of its own.
    fn editor(&self, script: &str) -> String {
        let path = self.desk.project().join("my editor");
        std::fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = --wait ] || exit 9\nshift\n{script}\n")).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("made executable");
        format!("'{}' --wait", path.display())
    }

    fn edit(&self, script: &str) -> Said {
        let mut command = self.desk.command(&["config", "edit"]);
        command.env("EDITOR", self.editor(script)).env_remove("VISUAL");
        Said::from(command.output().expect("dogwatch runs"))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap_or_default()
    }

    fn draft(&self) -> PathBuf {
        self.file.with_extension("draft.toml")
    }
}

#[test]
fn one_that_is_not_there_begins_with_what_is_built_in() {
    let own = Own::new();
    let said = own.edit("grep -q '^# mouse = true' \"$1\" && sed -i 's/^# mouse = true/mouse = false/' \"$1\"").ends(0);
    assert!(said.out.contains("is right"), "{}", said.out);
    assert!(own.text().contains("\nmouse = false\n"), "{}", own.text());
    assert!(!own.draft().exists());
    let shown = own.desk.run(&["config", "show"]).ends(0).out;
    assert!(shown.contains("mouse = false") && shown.contains("config.toml:7"), "{shown}");
    assert!(shown.contains("theme = \"default\"") && shown.contains("# default"), "{shown}");
    assert!(shown.contains("(DOGWATCH_STATE_DIR)"), "{shown}");
    let mut command = own.desk.command(&["config", "show", "--json", "--as", "ann@desk"]);
    command.env("DOGWATCH_DETACH_KEY", "ctrl-x").env("NO_COLOR", "1");
    let said = Said::from(command.output().expect("dogwatch runs")).ends(0);
    let value: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        (value["detach"].as_str(), value["from"]["detach"].as_str()),
        (Some("ctrl-x"), Some("DOGWATCH_DETACH_KEY"))
    );
    assert_eq!((value["operator"].as_str(), value["from"]["operator"].as_str()), (Some("ann@desk"), Some("--as")));
    assert_eq!((value["motion"].as_bool(), value["from"]["motion"].as_str()), (Some(false), Some("NO_COLOR")));
    assert_eq!(value["mouse"].as_bool(), Some(false));
}

#[test]
fn what_is_wrong_does_not_hold_and_is_kept_until_it_is_right() {
    let own = Own::with("[ui]\nmouse = false\n");
    let said = own.edit("printf '[ui]\\nmous = true\\n' > \"$1\"").ends(2);
    for words in ["config.draft.toml:2:1", "did you mean `mouse`?", "is as it was", "goes on with it"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    assert_eq!(own.text(), "[ui]\nmouse = false\n", "what holds is as it was");
    own.desk.run(&["config", "show"]).ends(0);
    // An editor that fails loses nothing of it either.
    own.edit("exit 1").ends(1);
    let said = own.edit("sed -i s/mous/mouse/ \"$1\"").ends(0);
    assert!(said.err.contains("goes on with what was left"), "{}", said.err);
    assert_eq!(own.text(), "[ui]\nmouse = true\n");
    assert!(!own.draft().exists());
    // One that was broken by hand is mended the same way.
    std::fs::write(&own.file, "nonsense").expect("written");
    own.edit("echo '[ui]' > \"$1\"").ends(0);
    assert_eq!(own.text(), "[ui]\n");
}

#[test]
fn on_a_terminal_it_is_asked_whether_to_go_on() {
    let own = Own::with("[ui]\n");
    // Wrong the first time, right the second.
    let script = "if [ -e once ]; then echo '[keys]' > \"$1\"; else touch once; echo '[kesy]' > \"$1\"; fi";
    let editor = own.editor(script);
    let mut terminal = own.desk.on_terminal_with(&["config", "edit"], &[("VISUAL", &editor), ("EDITOR", "false")]);
    terminal.see("edit it again? [Y/n]");
    assert!(terminal.shown.contains("config.draft.toml:1:2"), "{}", terminal.shown);
    terminal.press("\r");
    terminal.ends(0);
    assert_eq!(own.text(), "[keys]\n");
}

#[test]
fn nothing_is_lost_whatever_the_editor_does() {
    let own = Own::with("[ui]\n");
    let said = own.edit("true").ends(0);
    assert!(said.out.contains("nothing was changed"), "{}", said.out);
    let said = own.edit("exit 3").ends(1);
    assert!(said.err.contains("exit status: 3") && !own.draft().exists(), "{}", said.err);
    // It was changed meanwhile: neither text is lost.
    let file = own.file.display().to_string();
    let said = own.edit(&format!("echo '[ui] # mine' > \"$1\"; echo '[ui] # theirs' > '{file}'")).ends(6);
    assert!(said.err.contains("changed by somebody else"), "{}", said.err);
    assert_eq!(own.text(), "[ui] # theirs\n");
    assert_eq!(std::fs::read_to_string(own.draft()).expect("kept"), "[ui] # mine\n");
    std::fs::remove_file(own.draft()).expect("removed");
    // A link stays one, and the file that it leads to keeps its permissions.
    let behind = own.desk.root.path().join("dotfiles.toml");
    std::fs::rename(&own.file, &behind).expect("moved");
    std::fs::set_permissions(&behind, PermissionsExt::from_mode(0o600)).expect("set");
    symlink(&behind, &own.file).expect("linked");
    own.edit("echo '[keys]' > \"$1\"").ends(0);
    assert!(own.file.is_symlink());
    assert_eq!(std::fs::read_to_string(&behind).expect("it is there"), "[keys]\n");
    assert_eq!(std::fs::metadata(&behind).expect("it is there").permissions().mode() & 0o777, 0o600);
}

/// What doctor says, by the name of the finding.
fn doctor(desk: &Desk, env: &[(&str, &str)], code: i32) -> std::collections::BTreeMap<String, serde_json::Value> {
    let mut command = desk.command(&["doctor", "--json"]);
    command.env_remove("VISUAL").envs(env.iter().copied());
    let said = Said::from(command.output().expect("dogwatch runs")).ends(code);
    let finding = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect(line) };
    said.out.lines().map(finding).map(|value| (value["what"].as_str().expect("a name").to_owned(), value)).collect()
}

#[test]
fn doctor_finds_what_is_broken_and_says_what_to_do() {
    let own = Own::with("[ui]\n");
    let desk = &own.desk;
    desk.write("tells", "[steps.a]\nrun = \"true\"\n[[notify]]\non = [\"escalation\"]\ncommand = [\"no-such-horn\"]\n");
    desk.run(&["run"]).ends(0);
    let mark = |found: &std::collections::BTreeMap<String, serde_json::Value>, what: &str| {
        let value = found.get(what).unwrap_or_else(|| panic!("{what} is not looked at: {found:?}"));
        assert!(value["mark"] == "ok" || value["todo"].as_str().is_some_and(|todo| !todo.is_empty()), "{value}");
        (value["mark"].as_str().expect("a mark").to_owned(), value["says"].as_str().expect("words").to_owned())
    };
    let found = doctor(desk, &[("EDITOR", "no-such-editor -w")], 0);
    for what in ["tmux", "sandbox", "disk", "journal", "engine", "clock", "secrets", "open files", "gpu use", "cgroups"]
    {
        mark(&found, what);
    }
    assert_eq!(mark(&found, "your file").0, "ok");
    let (state, says) = mark(&found, "editor");
    assert!(state == "warn" && says.contains("there is no no-such-editor"), "{says}");
    let (state, says) = mark(&found, "notify");
    assert!(state == "warn" && says.contains("no-such-horn"), "{says}");
    assert_eq!(mark(&found, "journal").0, "ok");
    // A file of one's own that is wrong, and rules: each stops something, so the exit code says so.
    std::fs::write(&own.file, "[ui]\nmous = 1\n").expect("written");
    let found = doctor(desk, &[("EDITOR", "true")], 1);
    let (state, says) = mark(&found, "your file");
    assert!(state == "bad" && says.contains("config.toml:2:1"), "{says}");
    assert_eq!(mark(&found, "editor").0, "ok");
    std::fs::remove_file(&own.file).expect("removed");
    std::fs::write(own.file.with_file_name("rules.toml"), "[[rules]]\nnonsense = 1\n").expect("written");
    let (state, says) = mark(&doctor(desk, &[], 1), "your rules");
    assert!(state == "bad" && says.contains("rules.toml:1:1"), "{says}");
    std::fs::remove_file(own.file.with_file_name("rules.toml")).expect("removed");
    // The journal is looked at where no engine has it open; looking changes nothing.
    desk.run(&["engine", "stop"]).ends(0);
    assert_eq!(mark(&doctor(desk, &[], 0), "journal").1, "sound");
    let journal = desk.state.join("journal.db");
    let mut bytes = std::fs::read(&journal).expect("a journal");
    let sound = bytes.clone();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 2048].fill(0x55);
    std::fs::write(&journal, &bytes).expect("written");
    let found = doctor(desk, &[], 1);
    let (state, says) = mark(&found, "journal");
    assert!(state == "bad" && says.contains("journal.db"), "{says}");
    assert!(found["journal"]["todo"].as_str().expect("what to do").contains("dogwatch recover"));
    assert_eq!(std::fs::read(&journal).expect("a journal"), bytes, "looking changes nothing");
    std::fs::write(&journal, &sound).expect("written");
    assert_eq!(mark(&doctor(desk, &[], 0), "journal").1, "sound");
}
