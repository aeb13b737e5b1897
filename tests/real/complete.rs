//! Completions in real shells on real terminals: bash, zsh and fish ask a real engine. What they put on the line is looked at
//! by running it: it is one word, the name itself, whatever is in it.

use crate::desk::{Desk, Terminal};
use crate::keeper::skip;

/// Lanes whose names a shell would love to run.
const HOSTILE: &str = "[steps.train]\nrun = \"true\"\n\
    matrix = { x = [\"a b\", \"$(touch pwned)\", \"`touch pwned`;touch pwned\", \"it's\\\"!\\\"\"] }\n\
    [steps.prepare]\nrun = \"true\"\n";

/// A desk with one finished run of that, named with a space, and one that asks.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("hostile", HOSTILE);
    desk.run(&["run", "--name", "two words"]).ends(0);
    desk.write("asks", "[steps.gate]\napproval = { prompt = \"ok?\" }\n");
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "asks"]).ends(3);
    desk
}

/// Types a line into the shell, pressing Tab until each of these has come; what dogwatch would have been told.
#[track_caller]
fn typed(desk: &Desk, shell: &mut Terminal, parts: &[(&str, &str)]) -> String {
    let said = desk.project().join("said");
    let _ = std::fs::remove_file(&said);
    for (keys, comes) in parts {
        shell.press(keys);
        shell.until(&format!("{keys:?} becomes {comes:?}"), |picture| {
            picture.lines().rev().find(|line| line.contains("dogwatch ")).is_some_and(|line| line.contains(comes))
        });
    }
    shell.press("\r");
    desk.wait_file("said");
    // Written in one piece; there may be a moment between making it and that.
    crate::keeper::until("it is written", || !desk.read("said").is_empty());
    shell.press("clear\r");
    // What is typed before the shell reads would be shown twice.
    shell.until("a prompt alone", |picture| picture.trim() == "$");
    assert!(!desk.project().join("pwned").exists(), "a name was run");
    desk.read("said")
}

/// A shell that has read the script, and in which `dogwatch` only writes down what it is told.
fn shell(desk: &Desk, program: &[&str], prepare: &str) -> Option<Terminal> {
    if std::process::Command::new(program[0]).arg("-c").arg("exit 0").status().is_err() {
        skip(&format!("there is no {}", program[0]));
        return None;
    }
    let mut shell = desk.program_on_terminal(program);
    shell.press(prepare);
    shell.press("echo re''ady\r");
    shell.shows("ready");
    shell.press("clear\r");
    shell.until("a prompt alone", |picture| picture.trim() == "$");
    Some(shell)
}

const SAYS: &str = "dogwatch() { printf '<%s>' \"$@\" > said; }\r";

#[test]
fn bash_completes_names_of_runs_and_steps_and_runs_none_of_them() {
    let desk = desk();
    let prepare = format!("PS1='$ '\rsource <(dogwatch completions bash)\r{SAYS}");
    let Some(mut bash) = shell(&desk, &["bash", "--norc", "--noprofile", "-i"], &prepare) else { return };
    let mut says = |parts: &[(&str, &str)]| typed(&desk, &mut bash, parts);
    assert_eq!(says(&[("dogwatch sta\t", "status "), ("two\t", r"two\ words#1 ")]), "<status><two words#1>");
    assert_eq!(says(&[("dogwatch status @\t", "@last ")]), "<status><@last>");
    assert_eq!(
        says(&[("dogwatch logs two\\ words#1 pr\t", "prepare ")]),
        "<logs><two words#1><prepare>",
        "a step of the run that stands before it"
    );
    let lanes = [("dogwatch logs two\\ words#1 tr\t", r"train\[x="), ("\\$\t", r"pwned\)\] ")];
    assert_eq!(says(&lanes), "<logs><two words#1><train[x=$(touch pwned)]>");
    let lanes = [("dogwatch logs 'two words#1' tr\t", r"train\[x="), ("\\`\t", r"pwned\] ")];
    assert_eq!(says(&lanes), "<logs><two words#1><train[x=`touch pwned`;touch pwned]>");
    assert_eq!(
        says(&[("dogwatch logs 'two words#1' 'train[x=$\t", "pwned)]' ")]),
        "<logs><two words#1><train[x=$(touch pwned)]>"
    );
    assert_eq!(
        says(&[("dogwatch logs 'two words#1' \"train[x=\\$\t", "pwned)]\" ")]),
        "<logs><two words#1><train[x=$(touch pwned)]>"
    );
    assert_eq!(
        says(&[("dogwatch logs 'two words#1' train\\[x=it\t", r"\]")]),
        "<logs><two words#1><train[x=it's\"!\"]>"
    );
    assert_eq!(says(&[("dogwatch approve e\t", "e1 ")]), "<approve><e1>");
    assert_eq!(says(&[("dogwatch decide e1 rej\t", "reject ")]), "<decide><e1><reject>");
    assert_eq!(says(&[("dogwatch runs --state=su\t", "--state=succeeded ")]), "<runs><--state=succeeded>");
    assert_eq!(says(&[("dogwatch validate dog\t", "dogwatch.toml ")]), "<validate><dogwatch.toml>", "files are bash's");
}

#[test]
fn zsh_completes_them_too() {
    let desk = desk();
    let prepare =
        format!("PS1='$ '\rautoload -Uz compinit && compinit -D -u\rsource <(dogwatch completions zsh)\r{SAYS}");
    let Some(mut zsh) = shell(&desk, &["zsh", "-f", "-i"], &prepare) else { return };
    let mut says = |parts: &[(&str, &str)]| typed(&desk, &mut zsh, parts);
    assert_eq!(says(&[("dogwatch sta\t", "status "), ("two\t", r"two\ words\#1 ")]), "<status><two words#1>");
    let lanes = [("dogwatch logs two\\ words#1 tr\t", r"train\[x="), ("\\$\t", r"pwned\)\] ")];
    assert_eq!(says(&lanes), "<logs><two words#1><train[x=$(touch pwned)]>");
    assert_eq!(says(&[("dogwatch logs 'two words#1' pr\t", "prepare ")]), "<logs><two words#1><prepare>");
    assert_eq!(says(&[("dogwatch approve e\t", "e1 ")]), "<approve><e1>");
    assert_eq!(says(&[("dogwatch validate dog\t", "dogwatch.toml ")]), "<validate><dogwatch.toml>", "files are zsh's");
}

#[test]
fn fish_completes_them_too() {
    let desk = desk();
    let prepare = "function fish_prompt; echo -n '$ '; end\rdogwatch completions fish | source\r\
                   function dogwatch; printf '<%s>' $argv > said; end\r";
    let Some(mut fish) = shell(&desk, &["fish", "--no-config", "-i"], prepare) else { return };
    let mut says = |parts: &[(&str, &str)]| typed(&desk, &mut fish, parts);
    assert_eq!(says(&[("dogwatch stat\t", "status "), ("two\t", "words")]), "<status><two words#1>");
    assert_eq!(
        says(&[("dogwatch logs two\\ words#1 train\\[x=\\$\t", "pwned")]),
        "<logs><two words#1><train[x=$(touch pwned)]>"
    );
    assert_eq!(says(&[("dogwatch logs 'two words#1' pr\t", "prepare ")]), "<logs><two words#1><prepare>");
    assert_eq!(says(&[("dogwatch validate dog\t", "dogwatch.toml ")]), "<validate><dogwatch.toml>", "files are fish's");
}

#[test]
fn without_an_engine_a_key_starts_none_and_makes_nothing() {
    let desk = Desk::new();
    let line = |words: &[&str]| desk.run(&[&["complete", "zsh", "--"], words].concat());
    for words in [&["status", ""][..], &["logs", "x", ""], &["decide", ""], &["--state-dir", "/nowhere", "status", ""]]
    {
        let said = line(words).ends(0);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "{words:?}");
    }
    assert!(line(&["sta"]).ends(0).out.contains("status\tOne run on one screen\n"));
    assert!(!desk.state.exists(), "looking makes no state directory");
    // A file of one's own that is broken is nothing that a prompt tells.
    let config = desk.root.path().join("home/.config/dogwatch");
    std::fs::create_dir_all(&config).expect("a folder");
    std::fs::write(config.join("config.toml"), "nonsense").expect("written");
    assert_eq!(line(&["status", ""]).ends(0).err, "");
    line(&["validate", ""]).ends(1);
}
