//! `config edit`: the operator's file in his editor. What is edited is a draft beside it; it takes the file's place only when
//! it can be read. Whatever goes wrong, the file is as it was and the draft is still there.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::Row;
use crate::cli::verbs::{EDITORS, Ended, editor};
use crate::tui::own;

/// Opens it, and reads what was written; asks again until that is right.
pub(super) fn edit(face: &Face, path: &Path) -> Ended {
    // A link stays one: what it leads to is replaced.
    let file = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let draft = file.with_extension("draft.toml");
    let before = read(&file)?;
    if draft.exists() {
        face.screen.note(&format!("this goes on with what was left in {}", draft.display()));
    } else {
        begin(&file, &draft, before.is_some())?;
    }
    let editor = editor().ok_or_else(|| {
        Failure::usage(
            format!("neither VISUAL nor EDITOR is set, and none of {} is on PATH", EDITORS.join(", ")),
            "export EDITOR=…, or edit the file that dogwatch config path names",
        )
    })?;
    loop {
        open(&editor, &draft, before.as_deref())?;
        let Err(problems) = own::load(Some(&draft)) else {
            break;
        };
        face.screen.failure(&Failure::whole(Exit::Usage, problems.to_string()));
        if !again(face)? {
            let words = format!("{} is as it was", path.display());
            return Err(Failure::usage(
                words,
                format!("what you wrote is in {}; dogwatch config edit goes on with it", draft.display()),
            ));
        }
    }
    put(face, path, &file, &draft, before.as_deref())
}

/// The draft takes the file's place.
fn put(face: &Face, path: &Path, file: &Path, draft: &Path, before: Option<&[u8]>) -> Ended {
    if read(file)?.as_deref() != before {
        let words = format!("{} was changed by somebody else meanwhile, and is left as it is", path.display());
        let hint = format!("what you wrote is in {}", draft.display());
        return Err(Failure::new(Exit::Refused, words).hint(hint));
    }
    if before.is_some() && read(draft)?.as_deref() == before {
        std::fs::remove_file(draft).map_err(|why| cannot(draft, "removed", &why))?;
        face.screen.done("nothing was changed (an editor with a window has to wait for it: EDITOR='code --wait')")?;
        return Ok(Exit::Good);
    }
    std::fs::File::open(draft).and_then(|text| text.sync_all()).map_err(|why| cannot(draft, "saved", &why))?;
    std::fs::rename(draft, file).map_err(|why| cannot(file, "replaced", &why))?;
    face.screen
        .done(&format!("{} is right; a screen that is open shows it when it is opened again", path.display()))?;
    Ok(Exit::Good)
}

fn begin(file: &Path, draft: &Path, exists: bool) -> Result<(), Failure> {
    if exists {
        // With its permissions: it may be a person's secret how he is called.
        return std::fs::copy(file, draft).map(drop).map_err(|why| cannot(draft, "written", &why));
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|why| cannot(folder, "made", &why))?;
    }
    std::fs::write(draft, own::beginning()).map_err(|why| cannot(draft, "written", &why))
}

/// `None`: it is not there.
fn read(file: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(cannot(file, "read", &why)),
    }
}

fn cannot(path: &Path, what: &str, why: &std::io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("{} cannot be {what}: {why}", path.display()))
        .hint("name another file: dogwatch --config FILE config edit")
}

/// By a shell, as git does it: the variable may hold arguments. The path is an argument, never a part of the text.
fn open((name, editor): &(&'static str, OsString), draft: &Path, before: Option<&[u8]>) -> Result<(), Failure> {
    let mut text = editor.clone();
    text.push(" \"$@\"");
    let ended = Command::new("/bin/sh").arg("-c").arg(text).arg("sh").arg(draft).status();
    let why = match ended {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("ended with {status}"),
        Err(why) => format!("cannot be started: {why}"),
    };
    let mut hint = format!("export {name}=… names another editor");
    let written = read(draft)?;
    if written.as_deref() == before || written.as_deref() == Some(own::beginning().as_bytes()) {
        // Nothing of a person's is in it.
        std::fs::remove_file(draft).map_err(|why| cannot(draft, "removed", &why))?;
    } else {
        hint = format!("{hint}\nwhat you wrote is in {}", draft.display());
    }
    Err(Failure::new(Exit::Failed, format!("the editor ({}) {why}; nothing was changed", editor.to_string_lossy()))
        .hint(hint))
}

/// Where nobody can be asked: no.
fn again(face: &Face) -> Result<bool, Failure> {
    if !face.screen.can_ask() {
        return Ok(false);
    }
    face.screen.say(&Row::new().text("edit it again? [Y/n]"));
    let mut line = String::new();
    let count = std::io::stdin().read_line(&mut line)?;
    Ok(count > 0 && matches!(line.trim(), "" | "y" | "Y" | "yes"))
}
