//! A state directory that is full, read-only, or refuses writes: a small file system of its own. Needs root, as CI has;
//! without it these tests fail and say so, for a skipped test of a full disk is no test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags};

use crate::house::{House, until, within, words};
use crate::keeper::skip;

/// A file system of its own; gone when this is dropped.
struct Small {
    path: PathBuf,
}

impl Small {
    fn mount(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let small = Self { path: path.to_owned() };
        small.mount_with("size=96m,mode=700", &["-t", "tmpfs", "tmpfs"]);
        small
    }

    /// An ext4 in a file; `None` where there is no loop device or no `mkfs.ext4`.
    fn ext4(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a folder");
        let image = path.with_extension("img");
        std::fs::File::create(&image).and_then(|file| file.set_len(256 << 20)).expect("a file");
        let small = Self { path: path.to_owned() };
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).output().ok()?.status.success();
        let mounted = made && small.try_mount("loop,errors=remount-ro", &[&image.to_string_lossy()]).status.success();
        let private = || std::os::unix::fs::PermissionsExt::from_mode(0o700);
        (mounted && std::fs::set_permissions(path, private()).is_ok()).then_some(small)
    }

    fn try_mount(&self, options: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("mount");
        command.args(["-o", options]).args(arguments).arg(&self.path);
        command.output().expect("mount starts")
    }

    fn mount_with(&self, options: &str, arguments: &[&str]) {
        let output = self.try_mount(options, arguments);
        assert!(output.status.success(), "this test needs root, to mount a small file system: {}", words(&output));
    }

    /// As long as anybody has a file open for writing, the kernel refuses to make the file system read-only.
    fn cannot_be_made_read_only(&self) {
        for options in ["remount,ro", "remount,bind,ro"] {
            let refused = self.try_mount(options, &[]);
            assert!(words(&refused).contains("busy"), "{options}: {}", words(&refused));
        }
    }

    /// A read-only view of itself over it: who opens by path is refused, who has it open already is not.
    fn cover_read_only(&self) {
        let bound = Command::new("mount").arg("--bind").args([&self.path, &self.path]).output().expect("mount starts");
        assert!(bound.status.success(), "{}", words(&bound));
        self.mount_with("remount,bind,ro", &[]);
        let refused = std::fs::write(self.path.join("probe"), b"").expect_err("it is read-only");
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }

    fn uncover(&self) {
        // Whoever looked at a file there just now has it open for a moment.
        until("nobody has a file open there", || {
            let output = Command::new("umount").arg(&self.path).output().expect("umount starts");
            assert!(output.status.success() || words(&output).contains("busy"), "{}", words(&output));
            output.status.success()
        });
    }

    /// Every file and folder refuses every change from now on, also by who has it open: `chattr -R +i`. Counts them.
    fn freeze(&self, frozen: bool) -> usize {
        let mut folders = vec![self.path.clone()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in entries.filter(|path| !path.is_symlink()).chain([folder.clone()]) {
                if path.is_dir() && path != folder {
                    folders.push(path);
                } else if path.is_dir() || path.is_file() {
                    set_immutable(&path, frozen);
                    count += 1;
                }
            }
        }
        count
    }

    /// Not one page is left.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.path.join("fill")).expect("a file");
        let block = vec![b'x'; 64 * 1024];
        for size in [block.len(), 4096, 1] {
            while file.write_all(&block[..size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path.join("fill")).expect("the file that fills it");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: something may just be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

fn set_immutable(path: &Path, immutable: bool) {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("it opens");
    let mut flags = ioctl_getflags(&file).expect("its flags");
    flags.set(IFlags::IMMUTABLE, immutable);
    ioctl_setflags(&file, flags).expect("ext4 has this flag");
}

/// `first` ends while the disk is full, `second` goes on all the time, `third` may start only when there is room again.
const WORKFLOW: &str = r#"
[workflow]
name = "full"
[steps.first]
allow_failure = true
run = '''
echo "start $DOGWATCH_KEY" >> effects
until [ -e go-first ]; do sleep 0.05; done
echo "end $DOGWATCH_KEY" >> effects
exit 7
'''
[steps.second]
run = '''
echo "start $DOGWATCH_KEY" >> effects
until [ -e go-second ]; do echo tick >> ticks; echo tick; sleep 0.05; done
echo "end $DOGWATCH_KEY" >> effects
exit 0
'''
[steps.third]
needs = ["first"]
run = 'echo "start $DOGWATCH_KEY" >> effects; echo "end $DOGWATCH_KEY" >> effects'
"#;

fn touch(house: &House, name: &str) {
    std::fs::write(house.work().join(name), b"").expect("the workspace has room");
}

#[test]
fn a_full_state_directory_stops_new_steps_only_and_the_run_goes_on_by_itself() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();
    until("both run", || house.effects().len() == 2 && house.text("ticks").lines().count() > 2);
    small.fill();
    touch(house, "go-first");
    until("the first has ended", || house.effects().len() == 3);
    until("its exit record is on the full disk", || house.attempts()["first/0/a1"].join("exit.json").exists());
    until("the trouble is told", || {
        house.json(&["engine", "status"]).is_some_and(|engine| engine["trouble"].is_string())
    });
    let told = house.said(&["engine", "status"]);
    assert!(told.contains("full"), "{told}");
    let status = house.status();
    assert!(status["trouble"].as_str().is_some_and(|words| words.contains("nothing new starts")), "{status}");
    // Running ones go on, and nothing starts.
    let ticks = house.text("ticks").lines().count();
    until("the second goes on", || house.text("ticks").lines().count() > ticks + 20);
    assert!(house.effects().keys().all(|line| !line.contains("third")), "{:?}", house.effects());
    // By then it was looked for once more, and found once more: what could not be written is not known by the journal yet.
    assert!(!within(LOOKED_FOR_AGAIN_MS, || house.status()["trouble"].is_null()));
    small.make_room();
    until("the third has run", || house.effects().keys().any(|line| line.contains("end") && line.contains("third")));
    touch(house, "go-second");
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("first")["exit"], "code 7");
    assert!(house.effects().values().all(|count| *count == 1) && house.effects().len() == 6, "{:?}", house.effects());
    assert!(house.status()["trouble"].is_null());
    assert_eq!(ends_in_journal(house), [1, 1, 1], "each attempt's end is recorded once");
    end(house_root, small);
}

/// The engine looks for every live attempt each 30 s, whatever it was told.
const LOOKED_FOR_AGAIN_MS: i64 = 33_000;

/// How often the end of each attempt is recorded.
fn ends_in_journal(house: &House) -> Vec<u32> {
    let sql = "SELECT count(*) FROM events WHERE kind = 'exited' GROUP BY json_extract(body, '$.exited.at')";
    let journal = house.journal();
    let mut rows = journal.prepare(sql).expect("the query");
    let counts = rows.query_map([], |row| row.get(0)).expect("rows");
    counts.collect::<Result<_, _>>().expect("counts")
}

#[test]
fn an_engine_killed_on_a_full_disk_finds_everything_when_there_is_room() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();
    until("both run", || house.effects().len() == 2);
    small.fill();
    house.kill_engine();
    touch(house, "go-first");
    until("the first has ended", || house.attempts()["first/0/a1"].join("exit.json").exists());
    let refused = house.dogwatch(&["engine", "start"]);
    assert!(!within(500, || house.effects().keys().any(|line| line.contains("third"))), "{}", words(&refused));
    small.make_room();
    touch(house, "go-second");
    house.said(&["engine", "start"]);
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("first")["exit"], "code 7");
    assert!(house.effects().values().all(|count| *count == 1) && house.effects().len() == 6, "{:?}", house.effects());
    end(house_root, small);
}

/// What holds while the state directory takes nothing: running ones go on, and nothing starts.
fn only_goes_on(house: &House) {
    let ticks = house.text("ticks").lines().count();
    until("the second goes on", || house.text("ticks").lines().count() > ticks + 20);
    assert!(house.effects().keys().all(|line| !line.contains("third")), "{:?}", house.effects());
    let refused = house.dogwatch(&["run", "w.toml", "--detach"]);
    assert!(!refused.status.success(), "{}", words(&refused));
}

/// What holds when it takes everything again, without a restart of anything.
fn ends_well(house: &House) {
    until("the third has run", || house.effects().keys().any(|line| line.contains("end") && line.contains("third")));
    assert!(house.status()["trouble"].is_null(), "{}", house.status());
    touch(house, "go-second");
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("first")["exit"], "code 7");
    assert!(house.effects().values().all(|count| *count == 1) && house.effects().len() == 6, "{:?}", house.effects());
}

/// The words of `status` about what is wrong, once they are there.
#[track_caller]
fn trouble(house: &House) -> String {
    until("the trouble is told", || house.status()["trouble"].is_string());
    house.status()["trouble"].as_str().unwrap_or_default().to_owned()
}

/// A plain remount is refused by the kernel while the engine or a step is there, so this is one that is not open yet.
#[test]
fn a_read_only_state_directory_is_refused_with_the_reason() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.said(&["engine", "start"]);
    house.said(&["engine", "stop"]);
    until("it has gone", || house.engine().is_none());
    small.mount_with("remount,ro", &[]);
    let refused = house.dogwatch(&["run", "w.toml", "--detach"]);
    assert!(!refused.status.success());
    assert!(words(&refused).to_lowercase().contains("read-only"), "{}", words(&refused));
    small.mount_with("remount,rw", &[]);
    touch(house, "go-first");
    touch(house, "go-second");
    house.start();
    assert_eq!(house.wait(), Some(0));
    end(house_root, small);
}

#[test]
fn a_state_directory_that_becomes_read_only_stops_new_steps_only_and_the_run_goes_on_by_itself() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();
    until("both run", || house.effects().len() == 2 && house.text("ticks").lines().count() > 2);
    small.cannot_be_made_read_only();
    small.cover_read_only();
    touch(house, "go-first");
    until("its end is known", || house.lane("first")["exit"] == "code 7");
    let told = trouble(house);
    assert!(told.contains("is read-only; nothing new starts"), "{told}");
    only_goes_on(house);
    small.uncover();
    ends_well(house);
    end(house_root, small);
}

/// Also a file that was opened for writing before takes nothing: the exit record has no place but the shim's memory.
#[test]
fn an_end_that_no_file_takes_is_held_and_told_and_recorded_as_it_was() {
    let house_root = House::new();
    let Some(small) = Small::ext4(&house_root.root().join("s")) else {
        return skip("no ext4 in a file can be made and mounted here");
    };
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();

    until("both run", || house.effects().len() == 2 && house.text("ticks").lines().count() > 2);
    let frozen = small.freeze(true);
    assert!(frozen > 20, "only {frozen} files and folders refuse");
    touch(house, "go-first");
    let told = trouble(house);
    assert!(told.contains("first has ended (code 7), but that cannot be recorded"), "{told}");
    assert_eq!(house.lane("first")["detail"], "ended, code 7; not recorded yet");
    assert_eq!(house.lane("first")["state"], "running", "no decision follows from what is not recorded");
    let ended_before = dogwatch::clock::wall_ms();
    only_goes_on(house);
    // It is the shim's alone: an engine that is killed, and cannot start again here, takes nothing of it along.
    house.kill_engine();
    assert!(!house.attempts()["first/0/a1"].join("exit.json").exists());
    assert_eq!(small.freeze(false), frozen);
    house.said(&["engine", "start"]);
    ends_well(house);
    let ended = house.lane("first")["ended_ms"].as_i64().unwrap_or(i64::MAX);
    assert!(ended <= ended_before, "it ended {} ms before the disk took it", ended_before - ended);
    end(house_root, small);
}

/// After an error of the disk: ext4 refuses every write for good, and its mount flags still say `rw`.
#[test]
fn a_disk_that_failed_is_told_and_what_runs_goes_on() {
    let house_root = House::new();
    let Some(small) = Small::ext4(&house_root.root().join("s")) else {
        return skip("no ext4 in a file can be made and mounted here");
    };
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();
    until("both run", || house.effects().len() == 2 && house.text("ticks").lines().count() > 2);
    small.mount_with("remount,abort", &[]);
    let refused = std::fs::write(small.path.join("probe"), b"").expect_err("the file system is aborted");
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    touch(house, "go-first");
    let told = trouble(house);
    assert!(told.contains("first has ended (code 7)") && told.contains("Read-only"), "{told}");
    only_goes_on(house);
    touch(house, "go-second");
    until("the second is known to have ended", || house.lane("second")["detail"] == "ended, code 0; not recorded yet");
    end(house_root, small);
}

/// The house ends before its ground is taken away.
fn end(house: House, small: Small) {
    house.end_all();
    drop(small);
    drop(house);
}
