//! All points of some series, into a file of the folder that dogwatch was started in. Never over a file that is there.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::client::{Client, Error};
use crate::faces::csv;
use crate::faces::words::count;
use crate::tui::message::Refused;
use crate::wire::client::{Ask, Reply};

/// Names that are tried.
const NAMES: u32 = 1000;

/// Writes; gives what is told about it.
pub(super) fn export(
    client: &mut Client,
    run: &str,
    names: &[String],
    file: &str,
) -> Result<Result<Reply, Refused>, Error> {
    let (path, made) = match create(file) {
        Ok(made) => made,
        Err(why) => return Ok(Err(Refused { words: format!("{file}.csv cannot be written here: {why}"), hint: None })),
    };
    let mut out = BufWriter::new(made);
    let mut points = 0;
    let mut written = out.write_all(csv::HEAD.as_bytes());
    for name in names {
        let mut from = 0;
        loop {
            let ask = Ask::Metrics { run: run.to_owned(), step: None, name: Some(name.clone()), from, newest: false };
            let Reply::Metrics { series, more } = client.ask(ask)? else { break };
            for part in &series {
                from += part.points.len();
                written = written.and_then(|()| out.write_all(csv::lines(part).as_bytes()));
            }
            if !more {
                break;
            }
        }
        points += from;
    }
    if let Err(why) = written.and_then(|()| out.flush()) {
        return Ok(Err(Refused { words: format!("{} cannot be written: {why}", path.display()), hint: None }));
    }
    let what = count(names.len(), "series", "series");
    Ok(Ok(Reply::Done { words: format!("{what}, {points} points: {}", path.display()) }))
}

/// A file of that name that was not there, with a number where it has to be.
fn create(file: &str) -> std::io::Result<(PathBuf, File)> {
    let folder = std::env::current_dir()?;
    for n in 1..=NAMES {
        let name = if n == 1 { format!("{file}.csv") } else { format!("{file}-{n}.csv") };
        let path = folder.join(name);
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|made| (path, made)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}
