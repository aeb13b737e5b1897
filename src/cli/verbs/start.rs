//! `run` and `exec`: a workflow's text goes to the engine, which starts it; then it is followed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::secret::{self, At};
use super::{Ended, file, follow};
use crate::cli::Face;
use crate::cli::args::{Exec, Run};
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style};
use crate::client::Client;
use crate::faces::words;
use crate::wire::client::{Ask, Reply, RunView, StartRun, inherited};
use crate::wire::secrets::Secrets;

/// `run`.
pub(super) fn run(face: &Face, args: Run) -> Ended {
    if let Some(run) = args.again {
        return again(face, run, &args.param, (args.detach, args.follow));
    }
    let path = file::named_or_only(args.file.as_deref())?;
    let loaded = file::load(face, &path, &args.param)?;
    let selection = file::selection(&loaded, &args.only, args.from.as_deref())?;
    if args.dry_run {
        return file::plan(face, &loaded, &selection);
    }
    let base = folder(&path)?;
    let secrets = secret::values(&loaded.workflow, Path::new(&base), At::Terminal)?;
    let withheld = secret::variables(&loaded.workflow);
    let start = StartRun {
        source: loaded.source,
        file: path.display().to_string(),
        base,
        params: args.param,
        name: args.name,
        only: args.only,
        from: args.from,
        no_cache: args.no_cache,
        env: environment(),
        secrets,
    };
    begin(face, start, &withheld, (args.detach, args.follow))
}

/// `run --again`: the parameters of that run, but for those given now.
fn again(face: &Face, run: String, changed: &[(String, String)], (detach, follow): (bool, bool)) -> Ended {
    let mut client = face.engine()?;
    let Reply::Source(source) = client.ask(Ask::Source { run: run.clone() })? else {
        return Err(Failure::unexpected("run --again"));
    };
    let kept = source.params.into_iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    let params: Vec<_> = kept.chain(changed.iter().cloned()).collect();
    let secrets = secret::values_of_text((&source.text, &source.file, &source.base), &params)?;
    let Reply::Run(view) = client.ask(Ask::Again { run, params, secrets })? else {
        return Err(Failure::unexpected("run --again"));
    };
    begun(face, client, &view, detach, follow)
}

/// `exec`.
pub(super) fn exec(face: &Face, args: &Exec) -> Ended {
    let start = of_command(&args.command, args.name.as_deref())?;
    begin(face, start, &[], (args.detach, args.follow))
}

/// A whole workflow file, with its own parameters.
pub(super) fn from_file(path: &Path) -> Result<StartRun, Failure> {
    let loaded = crate::config::load(path, &[]).map_err(|problems| file::wrong(&problems))?;
    let base = folder(path)?;
    Ok(StartRun {
        secrets: secret::values(&loaded.workflow, Path::new(&base), At::Screen)?,
        source: loaded.source,
        file: path.display().to_string(),
        base,
        params: Vec::new(),
        name: None,
        only: Vec::new(),
        from: None,
        no_cache: false,
        env: environment(),
    })
}

/// The demo: it needs nothing but `sh`, and asks one question.
pub(super) fn demo() -> Result<StartRun, Failure> {
    Ok(StartRun {
        source: include_str!("../../../workflows/demo.toml").into(),
        file: "demo.toml".into(),
        base: here()?.display().to_string(),
        secrets: Secrets::default(),
        params: Vec::new(),
        name: None,
        only: Vec::new(),
        from: None,
        no_cache: false,
        env: environment(),
    })
}

/// One command as a workflow.
pub(super) fn of_command(command: &[String], name: Option<&str>) -> Result<StartRun, Failure> {
    Ok(StartRun {
        source: file::for_command(command, name)?,
        file: "exec".into(),
        base: here()?.display().to_string(),
        secrets: Secrets::default(),
        params: Vec::new(),
        name: name.map(str::to_owned),
        only: Vec::new(),
        from: None,
        no_cache: false,
        env: environment(),
    })
}

fn begin(face: &Face, start: StartRun, withheld: &[String], (detach, follow): (bool, bool)) -> Ended {
    let mut client = face.engine_without(withheld)?;
    let Reply::Run(view) = client.ask(Ask::StartRun(Box::new(start)))? else {
        return Err(Failure::unexpected("run"));
    };
    begun(face, client, &view, detach, follow)
}

fn begun(face: &Face, client: Client, view: &RunView, detach: bool, follow: bool) -> Ended {
    if face.screen.can_open() && !detach && !follow {
        drop(client);
        return super::ui::of_run(face, &view.line.id);
    }
    started(face, view)?;
    if detach {
        return Ok(Exit::Good);
    }
    go_on(face, client, view)
}

fn go_on(face: &Face, client: Client, view: &RunView) -> Ended {
    let manner = follow::Manner { live: face.screen.motion(), leave_to_person: face.flags.no_input, since: 0 };
    follow::follow(face, client, &view.line.id, manner)
}

/// Says what was started, and how to follow it.
pub(super) fn started(face: &Face, view: &RunView) -> Result<(), Failure> {
    if face.screen.json {
        return face.screen.json_line("run.started", &view.line);
    }
    if face.screen.quiet {
        return face.screen.rows(&[Row::new().text(&words::run_arg(&view.line))]);
    }
    face.screen.rows(&[Row::new()
        .add(Style::Bold, &words::run_name(&view.line))
        .text(" started")
        .add(Style::Dim, &format!("   dogwatch watch {}", words::run_arg(&view.line)))])
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|why| {
        Failure::new(Exit::Usage, format!("the folder you are in cannot be read: {why}"))
            .hint("cd to a folder that exists")
    })
}

/// The folder that the file's paths are relative to.
fn folder(path: &Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path)?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    folder.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(
            format!("the folder {} has a name that is no UTF-8", folder.display()),
            "rename it, or run the workflow from another place",
        )
    })
}

/// What steps inherit of this environment. Values that are no UTF-8 are left out: the protocol cannot carry them.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| inherited(name))
        .collect()
}
