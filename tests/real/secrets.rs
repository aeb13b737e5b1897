//! A step has the secret, and nothing else does: values that are looked for everywhere while it lives and after its end,
//! in the sandbox and in a container, and whoever is killed while they are handed over.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::containers::house as house_of;
use crate::engines::{Kind, shared};
use crate::house::{House, cmdline, descendants, find_files, is_alive, until, within, words};

/// What is looked for: each house's own, for houses stand side by side. Long enough for `base64` to break its lines.
fn canary(house: &House) -> String {
    let name = house.root().file_name().expect("a name").to_string_lossy().into_owned();
    format!("DWCANARY-{name}-7f3a91c2e5d84b60-the-quick-brown-fox-jumps-over-the-lazy-dog-0123456789")
}

/// A step that has it, says so by its digest, and prints it in every way.
const WORKFLOW: &str = r#"
[secrets]
TOKEN = { from = "env", name = "NVIDIA_CANARY" }
[steps.use]
secrets = ["TOKEN"]
retry = { max_attempts = 1 }
run = '''
echo "start $DOGWATCH_KEY" >> effects
printf %s "$TOKEN" | sha256sum | cut -c1-64 >> digests
echo "plain: $TOKEN."
rest=${TOKEN#????????????}
printf %s "${TOKEN%"$rest"}"; sleep 0.2; printf '%s\n' "$rest"
i=0; while [ $i -lt ${#TOKEN} ]; do i=$((i+1)); printf %s "$TOKEN" | cut -c$i | tr -d '\n'; done; echo
printf %s "$TOKEN" | base64
printf 'x%s' "$TOKEN" | base64
printf 'xy%s' "$TOKEN" | base64
printf '%s\n' "$TOKEN" | base64 | tr -d '\n'; echo
echo "Error: cannot log in with $TOKEN" >&2
echo end of words
touch printed
until test -e go; do sleep 0.05; done
exit 1
'''
[steps.checked]
secrets = ["TOKEN"]
run = 'echo quiet'
verify = 'printf %s "$TOKEN" | sha256sum | cut -c1-64 >> digests; echo "bad: $TOKEN"; printf %s "$TOKEN" | base64; exit 4'
"#;

/// Every form that must be nowhere: the value, and its base64 as it lies in a longer text.
fn forms(canary: &str) -> Vec<String> {
    let mut all = vec![canary.to_owned()];
    for before in ["", "x", "xy"] {
        let code = STANDARD.encode(format!("{before}{canary}"));
        // A piece that `base64` does not break, and that holds nothing of what stands before or after.
        all.push(code[8..56].to_owned());
    }
    all
}

fn holds(forms: &[String], bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    // As a reader sees it who joins lines that were broken.
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    forms.iter().find(|form| text.contains(form.as_str()) || joined.contains(form.as_str())).cloned()
}

/// How many things were searched; fails with the first that holds a form of the value.
#[derive(Debug, Default)]
struct Searched {
    forms: Vec<String>,
    files: usize,
    rows: usize,
    processes: usize,
    environments: usize,
    words: usize,
}

impl Searched {
    fn new(house: &House) -> Self {
        Self { forms: forms(&canary(house)), ..Self::default() }
    }

    #[track_caller]
    fn file(&mut self, path: &Path) {
        let Ok(bytes) = std::fs::read(path) else { return };
        self.files += 1;
        assert_eq!(holds(&self.forms, &bytes), None, "{} holds it", path.display());
    }

    #[track_caller]
    fn text(&mut self, what: &str, bytes: &[u8]) {
        self.words += 1;
        assert_eq!(holds(&self.forms, bytes), None, "{what} holds it:\n{}", String::from_utf8_lossy(bytes));
    }

    /// Every file of the state directory, every row of the journal, every process, and what the verbs say.
    #[track_caller]
    fn all(&mut self, house: &House) {
        let mut files = Vec::new();
        walk(&house.state(), &mut files);
        for path in &files {
            self.file(path);
        }
        self.journal(house);
        self.processes(house);
        for verb in [&["status"][..], &["inbox"], &["runs"], &["logs", "@last", "use"], &["watch", "@last", "--plain"]]
        {
            let mut command = house.command(&[verb, &["--no-input"]].concat());
            command.env_remove("NVIDIA_CANARY");
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dogwatch starts");
            // `watch` would go on as long as the run.
            if verb[0] == "watch" {
                dogwatch::clock::pause(std::time::Duration::from_millis(300));
                drop(child.kill());
            }
            let output = child.wait_with_output().expect("its words");
            self.text(verb[0], &[output.stdout, output.stderr].concat());
        }
        for verb in [&["why", "@last", "use"][..], &["show", "e1"], &["status", "--json"], &["notices"]] {
            let output = house.dogwatch(verb);
            self.text(verb[0], &[output.stdout, output.stderr].concat());
        }
    }

    #[track_caller]
    fn journal(&mut self, house: &House) {
        let journal = house.journal();
        let mut tables = journal.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("tables");
        let names: Vec<String> =
            tables.query_map([], |row| row.get(0)).expect("tables").map(|name| name.expect("a name")).collect();
        for name in names {
            let mut query = journal.prepare(&format!("SELECT * FROM \"{name}\"")).expect("a table");
            let columns = query.column_count();
            let mut rows = query.query([]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                self.rows += 1;
                let text: Vec<String> =
                    (0..columns).map(|column| format!("{:?}", row.get_ref(column).expect("a value"))).collect();
                let blobs =
                    (0..columns).filter_map(|column| row.get_ref(column).ok()?.as_bytes().ok().map(<[u8]>::to_vec));
                for bytes in blobs.chain([text.join(" ").into_bytes()]) {
                    assert_eq!(holds(&self.forms, &bytes), None, "a row of {name} holds it: {}", text.join(" "));
                }
            }
        }
    }

    /// `ps`: the arguments of every process of this machine; and the variables of every one but the steps themselves.
    #[track_caller]
    fn processes(&mut self, house: &House) {
        let steps = descendants(&house.shims());
        let me = i32::try_from(std::process::id()).expect("a number");
        let entries = std::fs::read_dir("/proc").expect("it is there").flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
            let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            if pid == me {
                continue;
            }
            self.processes += 1;
            let arguments = read("cmdline");
            assert_eq!(
                holds(&self.forms, &arguments),
                None,
                "the arguments of {pid} hold it: {}",
                String::from_utf8_lossy(&arguments)
            );
            if !steps.contains(&pid) {
                let variables = read("environ");
                self.environments += usize::from(!variables.is_empty());
                let found = holds(&self.forms, &variables);
                // A step may have started it meanwhile, and what a step's loop starts may be gone already.
                let new = found.is_some() && (descendants(&house.shims()).contains(&pid) || !is_alive(pid));
                assert!(found.is_none() || new, "the variables of {pid} hold it, {found:?}: {:?}", cmdline(pid));
            }
        }
    }

    /// tmux's own environment, of the server and of the session.
    #[track_caller]
    fn tmux(&mut self, house: &House) {
        let server = *house.tmux_servers().first().expect("a tmux server");
        let words = cmdline(server);
        let place = words.iter().position(|word| word == "-S").map(|at| words[at + 1].clone());
        let socket = format!("/proc/{server}/root{}", place.unwrap_or_else(|| panic!("no socket in {words:?}")));
        for scope in [&["-g"][..], &["-t", "="]] {
            let output =
                Command::new("tmux").args(["-S", &socket, "show-environment"]).args(scope).output().expect("tmux");
            self.text("tmux show-environment", &[output.stdout, output.stderr].concat());
        }
        let output =
            Command::new("tmux").args(["-S", &socket, "list-panes", "-a", "-F", "#{pane_id}"]).output().expect("tmux");
        let panes = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut shown = false;
        for pane in panes.lines() {
            let picture = ["-S", &socket, "capture-pane", "-p", "-J", "-S", "-2000", "-t", pane];
            let output = Command::new("tmux").args(picture).output().expect("tmux");
            shown |= String::from_utf8_lossy(&output.stdout).contains("plain: ***.");
            self.text("a pane", &output.stdout);
        }
        assert!(shown, "no pane shows the step: {panes}");
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            walk(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

fn digest(house: &House) -> String {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), canary(house).as_bytes()).expect("it reads");
    String::from_utf8_lossy(&child.wait_with_output().expect("its words").stdout)[..64].to_owned()
}

/// Where the engine keeps values: this house's alone.
fn vault(house: &House) -> PathBuf {
    let key = std::fs::read(house.state().join("secret")).expect("the engine's key");
    let id = blake3::Hash::from_bytes(blake3::derive_key("dogwatch vault 1", &key)).to_hex()[..16].to_owned();
    Path::new("/dev/shm").join(format!("dogwatch-{id}"))
}

fn values(house: &House) -> usize {
    if !house.state().join("secret").exists() {
        return 0;
    }
    find_files(&vault(house), "TOKEN", 3).len() + find_files(&vault(house), ".TOKEN", 3).len()
}

/// With the value for whoever starts the run.
fn start(house: &mut House) -> std::process::Output {
    house.set("NVIDIA_CANARY", &canary(house));
    let output = house.dogwatch(&["run", "w.toml", "--detach"]);
    house.unset("NVIDIA_CANARY");
    output
}

fn searched_everywhere(house: &mut House, more: impl Fn(&mut Searched)) {
    house.set("DOGWATCH_LOG", "trace");
    house.workflow(&format!("{}{WORKFLOW}", house.text("head.toml")));
    let output = start(house);
    assert!(output.status.success(), "{}", words(&output));
    until("the step has printed", || {
        house.work().join("printed").exists() && house.log("use/0/a1").contains("end of words")
    });
    until("the other one is verified", || house.lane("checked")["state"] == "asking");
    assert_eq!(values(house), 1, "the value is kept until the run ends");
    let mut searched = Searched::new(house);
    searched.all(house);
    searched.tmux(house);
    more(&mut searched);
    std::fs::write(house.work().join("go"), "").expect("it can be written");
    until("it asks", || house.lane("use")["state"] == "asking");
    searched.all(house);
    more(&mut searched);
    let log = house.log("use/0/a1");
    assert!(log.matches("***").count() >= 8 && log.contains("plain: ***."), "{log}");
    // It had the value all the same: the step, and what verifies the other one.
    let digests = house.text("digests");
    assert_eq!(digests.lines().collect::<Vec<_>>(), [digest(house), digest(house)], "{digests}");
    let shown = house.said(&["inbox", "--json"]);
    assert!(shown.contains("***"), "the evidence shows that something is hidden: {shown}");
    house.said(&["stop", "@last"]);
    until("the run has ended", || house.status()["line"]["state"] == "stopped");
    until("its value is gone", || values(house) == 0);
    searched.all(house);
    let few = searched.files > 30 && searched.rows > 20 && searched.processes > 20 && searched.words > 20;
    assert!(few && searched.environments > 5, "too little was searched: {searched:?}");
    eprintln!("searched: {searched:?}");
}

#[test]
fn a_secret_of_a_step_in_the_sandbox_is_nowhere_else() {
    searched_everywhere(&mut House::new(), |_| {});
}

fn in_a_container(kind: Kind) {
    let engine = shared(kind);
    let mut house = house_of(engine);
    let head = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";
    std::fs::write(house.work().join("head.toml"), head).expect("it can be written");
    let state = house.state();
    searched_everywhere(&mut house, |searched| {
        for container in engine.containers(&state) {
            for verb in [&["inspect", &container][..], &["logs", &container], &["top", &container]] {
                let output = engine.cli(verb);
                searched.text(verb[0], &[output.stdout, output.stderr].concat());
            }
        }
    });
}

#[test]
fn a_secret_of_a_step_in_a_container_of_docker_is_nowhere_else() {
    in_a_container(Kind::Docker);
}

#[test]
fn a_secret_of_a_step_in_a_container_of_podman_is_nowhere_else() {
    in_a_container(Kind::Podman);
}

/// Whoever is killed while a value is kept, handed over or forgotten: it is in no file, the step runs once, and nothing is
/// left of it.
#[test]
fn whoever_is_killed_while_a_secret_is_handed_over_leaves_it_nowhere() {
    let points = [
        "vault.before-write",
        "vault.after-write",
        "hands.before-secrets",
        "hands.after-secrets",
        "keep.before-launch",
        "keep.after-launch",
        "shim.start",
        "shim.before-spawn",
        "shim.after-spawn",
        "vault.before-forget",
        "vault.after-forget",
    ];
    let (mut killed, mut files, mut rows) = (0, 0, 0);
    for point in points {
        let mut house = House::new();
        house.workflow(
            "[secrets]\nTOKEN = { from = \"env\", name = \"NVIDIA_CANARY\" }\n[steps.use]\nsecrets = [\"TOKEN\"]\n\
             on_unknown = \"rerun\"\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; echo \"$TOKEN\"; printf %s \"$TOKEN\" | base64; \
             printf %s \"$TOKEN\" | sha256sum | cut -c1-64 >> digests'\n",
        );
        let once = house.work().join("once");
        house.set("DOGWATCH_CRASH", point);
        house.set("DOGWATCH_CRASH_ONCE", &once.to_string_lossy());
        let begun = start(&mut house).status.success();
        // The next engine, if that was the engine; without what kills.
        let over = |house: &House| matches!(house.status()["line"]["state"].as_str(), Some("succeeded" | "failed"));
        let none = |house: &House| !begun && words(&house.dogwatch(&["status"])).contains("there are no runs");
        assert!(within(60_000, || over(&house) || none(&house)), "{point}: {}", words(&house.dogwatch(&["status"])));
        assert!(once.exists(), "{point} was never passed");
        killed += 1;
        let effects = house.effects();
        assert!(effects.values().all(|count| *count == 1), "{point}: {effects:?}");
        if over(&house) {
            assert_eq!(house.status()["line"]["state"], "succeeded", "{point}: {}", house.said(&["status"]));
            assert!(house.text("digests").lines().all(|line| line == digest(&house)), "{point}");
            assert!(house.text("digests").lines().count() >= 1, "{point}: the step had no value");
        }
        // A new engine forgets what an older one could not.
        if values(&house) > 0 && house.engine().is_some() {
            house.kill_engine();
            house.said(&["runs"]);
        }
        until("nothing is left of it", || values(&house) == 0);
        let mut searched = Searched::new(&house);
        searched.all(&house);
        files += searched.files;
        rows += searched.rows;
    }
    assert_eq!(killed, points.len());
    assert!(files > 5 * points.len() && rows > 5 * points.len(), "{files} files, {rows} rows");
    eprintln!("killed {killed} times, searched {files} files, {rows} rows");
}

/// What a restart of the host takes away is asked for, and its value answers the question.
#[test]
fn a_lost_secret_is_waited_for_and_given_by_hand() {
    let mut house = House::new();
    house.workflow(
        "[secrets]\nTOKEN = { from = \"env\", name = \"NVIDIA_CANARY\" }\n\
         [steps.first]\nrun = 'until test -e go; do sleep 0.05; done'\n\
         [steps.use]\nneeds = [\"first\"]\nsecrets = [\"TOKEN\"]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; printf %s \"$TOKEN\" | sha256sum | cut -c1-64 > digests'\n",
    );
    assert!(start(&mut house).status.success());
    until("it runs", || house.lane("first")["state"] == "running");
    std::fs::remove_dir_all(vault(&house)).expect("the values were there");
    house.kill_engine();
    std::fs::write(house.work().join("go"), "").expect("it can be written");
    until("it asks", || house.lane("use")["state"] == "asking");
    let status = house.said(&["status"]);
    assert!(status.contains("waits for the secret TOKEN: dogwatch secret w#1 TOKEN"), "{status}");
    assert!(house.said(&["inbox"]).contains("use waits for the secret TOKEN"));
    let give = |house: &House, name: &str, value: &str| {
        let mut command = house.command(&["secret", "w#1", name]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("dogwatch starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), value.as_bytes()).expect("it reads");
        child.wait_with_output().expect("its words")
    };
    let short = give(&house, "TOKEN", "ab\n");
    assert_eq!(short.status.code(), Some(2), "{}", words(&short));
    let other = give(&house, "OTHER", &canary(&house));
    assert_eq!(other.status.code(), Some(5), "{}", words(&other));
    assert!(words(&other).contains("its steps get TOKEN"), "{}", words(&other));
    let given = give(&house, "TOKEN", &format!("{}\n", canary(&house)));
    assert!(words(&given).contains("1 waiting step(s) go on"), "{}", words(&given));
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    assert_eq!(house.text("digests").trim(), digest(&house));
    assert_eq!(house.effects().len(), 1);
    let id = house.status()["line"]["id"].as_str().expect("an id").to_owned();
    let record = house.state().join("runs").join(id).join("record.md");
    // It is written a moment after what it tells of.
    until("the record tells of it", || {
        std::fs::read_to_string(&record).is_ok_and(|text| text.contains("TOKEN given by"))
    });
    let late = give(&house, "TOKEN", &canary(&house));
    assert_eq!(late.status.code(), Some(6), "{}", words(&late));
    let mut searched = Searched::new(&house);
    searched.all(&house);
    assert_eq!(values(&house), 0);
}

/// Nothing is started without a value, and what is missing is said with the place where it belongs.
#[test]
fn a_missing_secret_is_refused_with_its_place() {
    let mut house = House::new();
    let of = |from: &str| {
        format!(
            "[secrets]\nTOKEN = {{ {from} }}\n[steps.use]\nsecrets = [\"TOKEN\"]\nrun = 'printf %s \"$TOKEN\" | sha256sum | cut -c1-64 > digests'\n"
        )
    };
    let refused = |house: &House, from: &str, says: &[&str]| {
        house.workflow(&of(from));
        let output = house.dogwatch(&["run", "w.toml", "--detach"]);
        assert_eq!(output.status.code(), Some(2), "{from}: {}", words(&output));
        for word in says {
            assert!(words(&output).contains(word), "{from}: {word:?} is not in\n{}", words(&output));
        }
    };
    refused(&house, "from = 'env'", &["the variable TOKEN is not set", "export TOKEN=…"]);
    refused(&house, "from = 'file', path = 'no/such'", &["/no/such", "cannot be read", "put the value into no/such"]);
    refused(&house, "from = 'file', path = '.'", &["is no file"]);
    refused(
        &house,
        "from = 'command', run = 'echo half; exit 3'",
        &["exit status: 3", "see what this prints: echo half"],
    );
    refused(&house, "from = 'command', run = 'true'", &["it is empty"]);
    refused(&house, "from = 'command', run = 'echo ab'", &["fewer than 4 characters"]);
    refused(&house, "from = 'command', run = 'head -c 100000 /dev/zero | tr \"\\\\0\" x'", &["longer than 64 KiB"]);
    assert!(!words(&house.dogwatch(&["run", "w.toml"])).contains("xxxx"), "no value is shown");
    house.set("TOKEN", "ab");
    refused(&house, "from = 'env'", &["fewer than 4 characters"]);
    house.unset("TOKEN");
    assert!(house.engine().is_none(), "nothing was asked of an engine");
    std::fs::write(house.work().join("token"), format!("{}\n", canary(&house))).expect("it can be written");
    for from in
        ["from = 'file', path = 'token'", "from = 'file', path = '~/work/token'", "from = 'command', run = 'cat token'"]
    {
        house.workflow(&of(from));
        house.start();
        assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
        assert_eq!(house.text("digests").trim(), digest(&house), "{from}");
        std::fs::remove_file(house.work().join("digests")).expect("it was written");
    }
    let again = house.dogwatch(&["run", "--again", "@last", "--detach"]);
    assert!(again.status.success(), "{}", words(&again));
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.text("digests").trim(), digest(&house));
}
