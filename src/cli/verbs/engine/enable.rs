//! `engine enable`: the engine as a systemd user service that lives without a login; where there is no systemd, exactly
//! what to do instead.

use std::path::PathBuf;
use std::process::Command;

use super::Ended;
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::Row;
use crate::state_dir::{StateDir, VARIABLE};

const UNIT: &str = "dogwatch.service";

/// What `engine run` ends with when another engine has the lock.
const OWNED: u8 = Exit::Refused as u8;

/// The unit's text. Only the engine is ended with the unit: steps go on, as they do when it is killed. Where a command or
/// an ending step was faster to start an engine again, that one stays, and systemd does not try again and again.
pub fn unit(binary: &str, state: &str) -> String {
    format!(
        "[Unit]\n\
         Description=dogwatch: supervises long-running engineering workflows\n\n\
         [Service]\n\
         Type=exec\n\
         Environment={}\n\
         ExecStart={} engine run\n\
         KillMode=process\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         SuccessExitStatus={OWNED}\n\n\
         [Install]\n\
         WantedBy=default.target\n",
        quoted(&format!("{VARIABLE}={state}")),
        quoted(binary),
    )
}

/// As systemd reads words: specifiers and variables are not for it to fill in.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{text}\"")
}

/// Installs and enables the unit, or says what to do.
pub(super) fn enable(face: &Face) -> Ended {
    let state = face.place()?.state;
    let binary = std::env::current_exe()?;
    let (Some(binary), Some(folder)) = (binary.to_str(), state.path().to_str()) else {
        return Err(Failure::usage(
            "the program's or the state directory's path is no UTF-8, which systemd cannot hold",
            "move it to another place",
        ));
    };
    if !speaks_systemd() {
        return by_hand(face, binary, folder);
    }
    if face.screen.can_ask() && !face.screen.yes() && !agreed(face)? {
        return Err(Failure::new(Exit::Refused, "nothing was changed"));
    }
    let path = write(&unit(binary, folder))?;
    face.screen.note(&format!("wrote {}", path.display()));
    hand_over(&state)?;
    command(&["systemctl", "--user", "daemon-reload"])?;
    command(&["systemctl", "--user", "enable", "--now", UNIT])?;
    let linger = if lingers() { Ok(()) } else { command(&["loginctl", "enable-linger"]) };
    face.screen.done("the engine is a user service now: systemctl --user status dogwatch")?;
    if let Err(failure) = linger {
        return Err(Failure::new(
            Exit::Refused,
            format!("but it ends when you log out, because lingering could not be switched on: {}", failure.words),
        )
        .hint("ask an administrator for: loginctl enable-linger $USER"));
    }
    Ok(Exit::Good)
}

fn agreed(face: &Face) -> Result<bool, Failure> {
    face.screen.say(
        &Row::new().text("this installs dogwatch as a service of yours and lets it live without a login; go on? [y/N]"),
    );
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// A user manager that answers.
fn speaks_systemd() -> bool {
    Command::new("systemctl")
        .args(["--user", "show", "--property=Version"])
        .output()
        .is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

/// Whether processes of this user outlive the last logout.
pub(in crate::cli) fn lingers() -> bool {
    let user = rustix::process::getuid().as_raw().to_string();
    Command::new("loginctl")
        .args(["show-user", &user, "--property=Linger", "--value"])
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"yes")
}

/// Whether the unit is there and starts with the user's manager.
pub(in crate::cli) fn is_enabled() -> bool {
    Command::new("systemctl").args(["--user", "is-enabled", UNIT]).output().is_ok_and(|output| output.status.success())
}

/// The engine of this moment ends, so that the service's own can take the lock.
fn hand_over(state: &StateDir) -> Result<(), Failure> {
    let who = crate::client::Who::new(None, "cli");
    let place = crate::client::Place { state: state.clone(), other_socket: None, who, withheld: Vec::new() };
    match crate::client::stop_engine(&place) {
        Ok(()) | Err(crate::client::Error::NoEngine { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    match std::fs::remove_file(state.stopped_marker()) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(why.into()),
        _ => Ok(()),
    }
}

fn write(text: &str) -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
        .ok_or_else(|| Failure::usage("HOME is not set", "set it to your home folder"))?;
    let folder = base.join("systemd/user");
    let path = folder.join(UNIT);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|why| Failure::new(Exit::Failed, format!("{} cannot be written: {why}", path.display())))?;
    Ok(path)
}

fn command(words: &[&str]) -> Result<(), Failure> {
    let shown = words.join(" ");
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .map_err(|why| Failure::new(Exit::Failed, format!("{shown}: {why}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(Exit::Failed, format!("{shown}: {}", said.trim())))
}

fn by_hand(face: &Face, binary: &str, state: &str) -> Ended {
    face.screen.rows(&[
        Row::new().text("There is no systemd user manager here, so nothing was installed."),
        Row::new()
            .text("The engine starts by itself with the first command, and with every step that ends. To have it"),
        Row::new().text("after a reboot, add this line with: crontab -e"),
    ])?;
    face.screen.write(&format!(
        "@reboot {}={} {} engine start\n",
        VARIABLE,
        crate::faces::words::quote(state),
        crate::faces::words::quote(binary)
    ))?;
    Ok(Exit::Refused)
}
