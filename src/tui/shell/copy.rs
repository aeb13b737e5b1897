//! Copying from inside of tmux: it has the clipboard's other end. Runs the operator's own tmux, on the server that he is in;
//! never one that a step can reach.

use std::io::Write;
use std::process::{Command, Stdio};

/// What came of it.
pub(super) enum Tmux {
    Copied,
    /// We are not inside of one.
    None,
    Failed(String),
}

/// Hands the text to the tmux that we run in, which hands it on to its terminal (`load-buffer -w`).
pub(super) fn through_tmux(text: &str) -> Tmux {
    if std::env::var_os("TMUX").is_none() {
        return Tmux::None;
    }
    let started = Command::new("tmux")
        .args(["load-buffer", "-w", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(why) => return Tmux::Failed(why.to_string()),
    };
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
    match child.wait_with_output() {
        Ok(output) if output.status.success() && written.is_ok() => Tmux::Copied,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Tmux::Failed(crate::gauge::plain::line(said.trim().as_bytes()))
        }
        Err(why) => Tmux::Failed(why.to_string()),
    }
}
