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
