//! The manual: one page with every verb and flag of the grammar, and what the grammar does not know: exit codes, variables,
//! files. Pure.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::args::Line;
use super::exit::Exit;

/// What dogwatch reads of its environment.
pub const READ: &[(&str, &str)] = &[
    ("DOGWATCH_STATE_DIR", "The folder for state, an absolute path on a local disk. As --state-dir."),
    ("DOGWATCH_DETACH_KEY", "The key that lets go of a step, such as ctrl-]. As --detach-key."),
    ("DOGWATCH_GPUS", "How many GPUs there are to book; read by the engine when it starts."),
    ("DOGWATCH_LOG", "What the engine logs, as RUST_LOG: info (the default), dogwatch=debug."),
    ("XDG_STATE_HOME, XDG_CONFIG_HOME", "Where state and your own file are, as the XDG base directories."),
    ("VISUAL, EDITOR", "What config edit opens."),
    ("NO_COLOR, TERM", "Set, or dumb: no colours."),
    ("LC_ALL, LC_CTYPE, LANG", "One that names UTF-8 is needed for tmux and the screen."),
    ("DOCKER_HOST, XDG_RUNTIME_DIR", "Where Docker or Podman is looked for."),
];

/// What steps find in theirs.
pub const GIVEN: &[(&str, &str)] = &[
    ("DOGWATCH_DIR", "The step's own folder, kept from attempt to attempt."),
    ("DOGWATCH_KEY", "The same for the same attempt: for what is done outside once only."),
    ("DOGWATCH_RUN, DOGWATCH_STEP, DOGWATCH_LANE, DOGWATCH_ATTEMPT", "Which attempt it is."),
    ("DOGWATCH_RUN_DIR, DOGWATCH_WORKSPACE", "The folder of the run, and the one that its paths are relative to."),
    ("DOGWATCH_BIN", "dogwatch itself, for dogwatch report, wherever the step runs."),
    ("CUDA_VISIBLE_DEVICES", "The GPUs that are booked for the step."),
];

const FILES: &[(&str, &str)] = &[
    ("dogwatch.toml, NAME.dogwatch.toml", "A workflow. dogwatch schema prints what may stand in it."),
    ("$XDG_CONFIG_HOME/dogwatch/config.toml", "Your own file: theme, name, keys. See dogwatch config."),
    ("$XDG_CONFIG_HOME/dogwatch/rules.toml", "Your own rules for failures. See dogwatch diagnose."),
    ("$XDG_STATE_HOME/dogwatch/journal.db", "What has happened (SQLite)."),
    ("$XDG_STATE_HOME/dogwatch/metrics.db", "The numbers that steps printed."),
    (
        "$XDG_STATE_HOME/dogwatch/runs/RUN/",
        "The frozen workflow, record.md, and of each attempt its log and its exit record.",
    ),
    ("$XDG_STATE_HOME/dogwatch/log/", "The engine's own log."),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("dogwatch exec -- python train.py", "Supervise one command, without a file."),
    ("dogwatch run workflow.toml -p epochs=5", "Start a workflow, and open the screen on a terminal."),
    ("dogwatch inbox; dogwatch decide e7 retry -m 'disk was full'", "Answer what is asked."),
    ("dogwatch wait @last --for done,escalation --timeout 50m", "Block in a script until something has happened."),
    ("dogwatch man > ~/.local/share/man/man1/dogwatch.1", "Keep this page."),
];

/// The page, in roff.
pub fn page() -> String {
    let mut whole = Line::command();
    whole.build();
    let man = Man::new(Line::command()).manual("dogwatch").title("DOGWATCH");
    let mut verbs = Roff::new();
    verbs.control("SH", ["VERBS"]);
    let mut text = part(|out| man.render_title(out), false);
    text.push_str(&part(|out| man.render_name_section(out), false));
    text.push_str(&part(|out| man.render_synopsis_section(out), false));
    text.push_str(&description());
    text.push_str(&part(|out| man.render_options_section(out), false));
    text.push_str(&shown(&verbs));
    for verb in whole.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        text.push_str(&verb_part(verb, "dogwatch"));
    }
    text.push_str(&rest());
    text
}

fn description() -> String {
    let mut page = Roff::new();
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "dogwatch runs the steps of a workflow in sessions of their own, retries what it can, asks when it cannot, and keeps \
         running when you, your terminal or it dies. Without a verb it opens its screen on a terminal, and says what runs off \
         one.",
    )]);
    page.control("PP", []);
    page.text([
        bold("RUN"),
        roman(" is a number (42), a name (tiny-lm), both (tiny-lm#42), a run's id or @last. "),
        bold("STEP"),
        roman(" is train, or a lane of it: 'train[lr=0.1]'. "),
        bold("ID"),
        roman(" is the number of a question: e7 or 7."),
    ]);
    shown(&page)
}

/// A verb with its own flags, and the verbs below it. The flags of all verbs stand once, above.
fn verb_part(verb: &Command, above: &str) -> String {
    let name = format!("{above} {}", verb.get_name());
    let mut page = Roff::new();
    page.control("SS", [name.as_str()]);
    if let Some(about) = verb.get_about() {
        page.text([roman(about.to_string())]);
    }
    let mut text = shown(&page);
    let below: Vec<&Command> = verb.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
    if below.is_empty() {
        // Its name is its whole way. What every verb takes is not shown here, but others may exclude it.
        let shown = |arg: &clap::Arg| !arg.is_global_set() && !arg.is_hide_set();
        let of_clap = |arg: &clap::Arg| matches!(arg.get_id().as_str(), "help" | "version");
        let own = verb.get_arguments().filter(|arg| !of_clap(arg)).map(|arg| arg.clone().hide(!shown(arg)));
        let own: Vec<clap::Arg> = own.collect();
        let has_own = own.iter().any(|arg| !arg.is_hide_set());
        let alone = Command::new("dogwatch").bin_name(&name).disable_help_flag(true).args(own);
        let man = Man::new(alone);
        text.push_str(".PP\n");
        text.push_str(&part(|out| man.render_synopsis_section(out), true));
        if has_own {
            text.push_str(&part(|out| man.render_options_section(out), true));
        }
    }
    for sub in below.into_iter().filter(|sub| !sub.is_hide_set()) {
        text.push_str(&verb_part(sub, &name));
    }
    text
}

fn rest() -> String {
    let mut page = Roff::new();
    page.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        item(&mut page, [bold((exit as u8).to_string())], exit.means());
    }
    page.control("SH", ["ENVIRONMENT"]);
    list(&mut page, READ);
    page.control("PP", []);
    page.text([roman("Steps find in theirs:")]);
    list(&mut page, GIVEN);
    page.control("SH", ["FILES"]);
    list(&mut page, FILES);
    page.control("PP", []);
    page.text([roman("Without XDG_STATE_HOME it is ~/.local/state, without XDG_CONFIG_HOME ~/.config.")]);
    page.control("SH", ["EXAMPLES"]);
    list(&mut page, EXAMPLES);
    shown(&page)
}

fn list(page: &mut Roff, all: &[(&str, &str)]) {
    for (name, words) in all {
        item(page, [bold(*name)], words);
    }
}

fn item(page: &mut Roff, name: [Inline; 1], words: &str) {
    page.control("TP", []);
    page.text(name);
    page.text([roman(words)]);
}

fn shown(page: &Roff) -> String {
    kept(&page.render(), false)
}

/// A section as it is made, with or without its own heading.
fn part(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>, bare: bool) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).expect("memory takes what is written to it");
    kept(&String::from_utf8_lossy(&bytes), bare)
}

fn kept(text: &str, bare: bool) -> String {
    // Each section sets how an apostrophe is written; once is enough, and the first one does.
    let apostrophe = |line: &str| line.starts_with(".ie \\n(.g") || line.starts_with(".el .ds Aq");
    let heading = |line: &str| bare && line.starts_with(".SH ");
    let kept = text.lines().filter(|line| !heading(line) && (!apostrophe(line) || text.contains("\n.TH ")));
    kept.flat_map(|line| [line, "\n"]).collect()
}
