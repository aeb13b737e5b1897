//! `diagnose`: judges a saved log. Needs no engine and no state directory; reads a log of any size in pieces. `why`: what
//! the engine found about an attempt.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Ended;
use crate::cli::Face;
use crate::cli::args::Diagnose;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, diagnosis};
use crate::config::{self, rules};
use crate::judge::{Facts, Judge};
use crate::tui::own;
use crate::wire::client::{Ask, CachedView, Reply};

/// What is read at once.
const PIECE: usize = 64 * 1024;

/// Packed files begin so; each with the program that unpacks it to standard output.
const PACKED: [(&[u8], &str, &str); 4] = [
    (&[0x1f, 0x8b], "gzip", "zcat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstdcat"),
    (b"BZh", "bzip2", "bzcat"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz", "xzcat"),
];

/// `diagnose`.
pub(super) fn diagnose(face: &Face, args: &Diagnose) -> Ended {
    let own = own::path(face.flags.config.as_deref()).map(|file| file.with_file_name("rules.toml"));
    let of_workflow =
        args.workflow.as_deref().map(|path| config::inspect(path, &[]).map(|loaded| loaded.workflow.rules));
    let of_workflow = of_workflow.transpose().map_err(|problems| super::file::wrong(&problems))?.unwrap_or_default();
    let rules = rules::load(own.as_deref(), &of_workflow).map_err(|problems| super::file::wrong(&problems))?;
    let mut judge = Judge::new(&rules);
    let named = args.file.display().to_string();
    let read = if named == "-" {
        feed(&mut judge, &mut io::stdin().lock(), "standard input")?
    } else {
        feed(&mut judge, &mut open(&args.file)?, &named)?
    };
    let facts = Facts { exit_code: args.exit_code, signal: args.signal, oom: args.oom, ..Facts::default() };
    if read == 0 && facts == Facts::default() {
        let words = format!("{named} is empty, and nothing is known about how it ended");
        return Err(Failure::usage(words, "say how it ended: --exit-code N, --signal NAME or --oom"));
    }
    let said = judge.end(&facts);
    if face.screen.json {
        face.screen.json_line("diagnosis", &diagnosis::object(&said))?;
        return Ok(Exit::Good);
    }
    let of_workflow = of_workflow.iter().any(|rule| Some(&rule.id) == said.rule.as_ref());
    face.screen.rows(&diagnosis::rows(&said, of_workflow, face.screen.look().width))?;
    if facts == Facts::default() {
        face.screen.note("how it ended is not known: --exit-code N, --signal NAME or --oom makes it surer");
    }
    Ok(Exit::Good)
}

/// `why`.
pub(super) fn why(face: &Face, run: String, step: String, attempt: Option<u32>) -> Ended {
    let reply = face.engine()?.ask(Ask::Why { run, step, attempt })?;
    if let Reply::Cached(view) = reply {
        if face.screen.json {
            face.screen.json_line("cached", &view)?;
        } else {
            let CachedView { step_name, from, why } = view;
            let how = if from.is_some() { "was not run" } else { "had to run" };
            face.screen.rows(&[Row::new().text(&format!("{step_name} {how}: {why}")).uncut()])?;
        }
        return Ok(Exit::Good);
    }
    let Reply::Why(view) = reply else {
        return Err(Failure::unexpected("why"));
    };
    if face.screen.json {
        face.screen.json_line("why", &view)?;
        return Ok(Exit::Good);
    }
    face.screen.rows(&diagnosis::of_attempt(*view, face.screen.look().width))?;
    Ok(Exit::Good)
}

fn open(path: &Path) -> Result<File, Failure> {
    let shown = path.display();
    let file = File::open(path).map_err(|why| {
        Failure::usage(format!("{shown} cannot be read: {why}"), "name a log, or `-` for standard input")
    })?;
    let is_folder = file.metadata().is_ok_and(|about| about.is_dir());
    if is_folder {
        return Err(Failure::usage(format!("{shown} is a folder"), "name the log in it"));
    }
    Ok(file)
}

/// Feeds all there is; answers how many bytes that was.
fn feed(judge: &mut Judge, from: &mut impl Read, named: &str) -> Result<u64, Failure> {
    let mut piece = vec![0; PIECE];
    let mut read = 0;
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return Ok(read),
            Ok(count) => count,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => {
                let words = format!("{named} cannot be read: {why} (after {read} bytes)");
                return Err(Failure::usage(words, "copy it to a place where it can be read, and name that"));
            }
        };
        if read == 0 {
            refuse_packed(&piece[..count], named)?;
        }
        judge.bytes(&piece[..count]);
        read += count as u64;
    }
}

/// What is packed would be judged as noise.
fn refuse_packed(begin: &[u8], named: &str) -> Result<(), Failure> {
    match PACKED.iter().find(|(magic, ..)| begin.starts_with(magic)) {
        Some((_, kind, program)) => {
            let file = if named == "standard input" { "FILE" } else { named };
            let hint = format!("{program} {file} | dogwatch diagnose -");
            Err(Failure::usage(format!("{named} is packed with {kind}"), hint))
        }
        None => Ok(()),
    }
}
