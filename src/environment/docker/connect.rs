//! Which container engine there is, and speaking to it. Docker Engine and Podman's service speak the same language.
//! Owns the search for its socket and the words for not finding it; may never speak to an engine on another host.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::SystemInfo;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::environment::{Container, Error};
use crate::{clock, faults};

/// How long a question that needs no work may take.
pub(super) const QUICK: Duration = Duration::from_secs(10);
/// How long the question for its version may take, once it has answered that it is there: Podman starts programs for that
/// (half a second of a processor, twice; on a busy machine it took more than [`QUICK`], each time anew).
const PATIENT: Duration = Duration::from_secs(90);
/// How long anything else may take: a large image is unpacked by `create`, a slow disk by `start` and `remove`.
const LONGEST_S: u64 = 300;

/// Containers of one engine that are made or started at the same time. It does not become quicker by more; and one that has
/// twenty to make at once does not answer in time (Podman 4.3 on two processors, measured).
const AT_ONCE: usize = 4;

/// A container engine that has answered.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) api: Docker,
    /// Where it listens.
    pub(super) socket: PathBuf,
    /// `Docker 20.10.24`, `Podman 4.3.1`.
    pub(super) name: String,
    pub(super) podman: bool,
    /// The user that it runs as, where that is known.
    owner: u32,
}

impl Engine {
    /// Somebody else's, without root, has no right to this user's files: its containers would wait for ever at a door that
    /// they cannot reach.
    pub(super) fn serves_us(&self) -> Result<(), Error> {
        let own = rustix::process::geteuid().as_raw();
        if self.owner == 0 || self.owner == own {
            return Ok(());
        }
        Err(Error::Refused(format!(
            "{} at {} belongs to user {} and has no root: it cannot give user {own}'s files to a container; start dogwatch \
             as that user, or use an engine of your own (DOCKER_HOST)",
            self.name,
            self.socket.display(),
            self.owner
        )))
    }

    /// It has no root: the root of its containers is the user whose engine it is. Podman 4.3 says so only in its own
    /// language, and takes as long for any facts as for its version: its process tells.
    pub(super) async fn is_rootless(&self) -> Result<bool, Error> {
        if self.podman || self.owner != 0 {
            return Ok(self.owner != 0);
        }
        let info = self.info().await?;
        Ok(info.security_options.iter().flatten().any(|option| option.contains("rootless")))
    }

    async fn info(&self) -> Result<SystemInfo, Error> {
        let silent = || Error::EngineSilent { socket: self.socket.clone(), after_s: QUICK.as_secs() };
        let info = tokio::time::timeout(QUICK, self.api.info()).await.map_err(|_| silent())?;
        info.map_err(|error| Error::EngineGone { tried: words(&error) })
    }

    /// Waits until few enough others have something made there; held until it is made.
    pub(super) async fn turn(&self) -> Turn {
        static TURNS: LazyLock<Mutex<HashMap<PathBuf, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);
        let turns = {
            let mut all = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
            let most = if faults::mutant("all_at_once") { Semaphore::MAX_PERMITS } else { AT_ONCE };
            let of_this = all.entry(self.socket.clone()).or_insert_with(|| Arc::new(Semaphore::new(most)));
            Arc::clone(of_this)
        };
        // It is never closed.
        let permit = turns.acquire_owned().await.ok();
        faults::crash_point("docker.turn");
        Turn { _permit: permit }
    }
}

/// The right to have something made by an engine, until this is dropped.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        faults::crash_point("docker.turn-over");
    }
}

/// Where an engine may listen, in the order of trying; with `$DOCKER_HOST`, only there.
pub(super) fn candidates(container: &Container) -> Result<Vec<PathBuf>, Error> {
    if let Some(host) = container.host.as_deref().filter(|host| !host.is_empty()) {
        return match host.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(vec![path.into()]),
            Some(_) | None => Err(Error::Refused(format!(
                "DOCKER_HOST is {host}, and only container engines on this host can be used: unix:///path/to/docker.sock"
            ))),
        };
    }
    let runtime = container.runtime_dir.as_deref().filter(|path| path.is_absolute());
    let near = ["docker.sock", "podman/podman.sock"].iter().filter_map(|name| Some(runtime?.join(name)));
    let mut found = vec![PathBuf::from("/var/run/docker.sock")];
    found.extend(near);
    found.push("/run/podman/podman.sock".into());
    Ok(found)
}

/// What `dogwatch doctor` tells of the engine that containers would run on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct EngineFacts {
    /// `Docker 20.10.24`.
    pub name: String,
    pub socket: PathBuf,
    pub podman: bool,
    pub rootless: bool,
    /// Its containers can have a network: without root a program of its own makes it, and that is here.
    pub networks: bool,
    /// A restart of the daemon leaves containers alone; Podman has no daemon.
    pub live_restore: bool,
    /// `1` or `2`.
    pub cgroup: String,
    /// `None` where the version is not understood.
    pub new_enough: Option<bool>,
    /// Who starts the containers' processes: `runc`, `crun`.
    pub runtime: String,
    /// Its version, where the engine tells it.
    pub runtime_version: Option<String>,
    /// A file of this host describes its GPUs for containers.
    pub cdi: Option<PathBuf>,
}

/// The engine that a run started with these variables would use.
pub(in crate::environment) async fn facts(container: &Container) -> Result<EngineFacts, Error> {
    let engine = connect(&candidates(container)?).await?;
    let info = engine.info().await?;
    let version = engine.name.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    let least = if engine.podman { (4, 3) } else { (20, 10) };
    let rootless = engine.is_rootless().await?;
    let runtime = info.default_runtime.unwrap_or_else(|| "runc".into());
    // By a path, where somebody configured one.
    let runtime = runtime.rsplit('/').next().unwrap_or("runc").to_owned();
    Ok(EngineFacts {
        runtime_version: runtime_version(&engine, &runtime).await,
        runtime,
        cdi: super::make::cdi_file(),
        rootless,
        networks: !rootless || !engine.podman || ["slirp4netns", "pasta"].iter().any(|program| is_program(program)),
        live_restore: engine.podman || info.live_restore_enabled == Some(true),
        cgroup: info.cgroup_version.map_or_else(|| "?".into(), |version| version.to_string()),
        new_enough: version.map(|version| version >= least),
        name: engine.name,
        socket: engine.socket,
        podman: engine.podman,
    })
}

/// Is there such a program where distributions put them?
fn is_program(name: &str) -> bool {
    ["/usr/bin", "/usr/local/bin", "/usr/libexec/podman", "/usr/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(name).exists())
}

/// The version of the program that starts containers, as the engine tells it: Docker by a part of its own, Podman in
/// words about one.
async fn runtime_version(engine: &Engine, runtime: &str) -> Option<String> {
    let version = tokio::time::timeout(QUICK, engine.api.version()).await.ok()?.ok()?;
    let part = version
        .components
        .iter()
        .flatten()
        .find(|part| part.name == runtime || part.name.contains("OCI Runtime") && part.name.contains(runtime))?;
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let told = part.version.split_ascii_whitespace().find(|word| number(word));
    let details = part.details.iter().flat_map(|details| details.values());
    let told = told.or_else(|| details.flat_map(|text| text.split_ascii_whitespace()).find(|word| number(word)));
    told.map(str::to_owned)
}

/// The first engine that answers at one of these places.
pub(super) async fn connect(places: &[PathBuf]) -> Result<Engine, Error> {
    let mut tried = Vec::new();
    for place in places {
        match try_one(place).await {
            Ok(engine) => return Ok(engine),
            // It is there: another one would not have this run's container.
            Err(No::Silent(waited)) => {
                return Err(Error::EngineSilent { socket: place.clone(), after_s: waited.as_secs() });
            }
            Err(No::Refused(why)) => tried.push(format!("{}: {why}", place.display())),
        }
    }
    Err(Error::NoEngine { tried: tried.join("; ") })
}

enum No {
    /// For so long.
    Silent(Duration),
    Refused(String),
}

async fn try_one(place: &Path) -> Result<Engine, No> {
    let refused = |why: String| No::Refused(why);
    let path = place.to_str().ok_or_else(|| refused("its path is no UTF-8".into()))?;
    // bollard would say the same of everything that is wrong with the socket.
    let peer = match tokio::time::timeout(QUICK, tokio::net::UnixStream::connect(place)).await {
        Ok(Ok(stream)) => stream.peer_cred().ok(),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Err(refused("not there".into())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(refused("you may not use it (for Docker: be in the group `docker`)".into()));
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return Err(refused("nobody listens".into()));
        }
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(No::Silent(QUICK)),
    };
    let owner = peer.map_or(0, |peer| peer.uid());
    let daemon = (place.to_owned(), peer.and_then(|peer| peer.pid()));
    let begun = clock::boottime_ms();
    let asking = Known::asking(place);
    let mut silent_at = asking.lock().await;
    if *silent_at > begun {
        // Who asked meanwhile had no answer. Twenty who ask one after the other would wait for minutes, and twenty who ask at
        // once keep a slow engine from ever answering one (Podman on a busy machine, measured).
        return Err(No::Silent(QUICK));
    }
    let known = Known::of(&daemon);
    let version = known.as_ref().map_or(API_DEFAULT_VERSION, |known| &known.speaks);
    let api = Docker::connect_with_unix(path, LONGEST_S, version).map_err(|e| refused(e.to_string()))?;
    let mut silent = |waited: Duration| {
        *silent_at = clock::boottime_ms();
        No::Silent(waited)
    };
    // That it is there says nothing of whether it speaks.
    let speaks = tokio::time::timeout(QUICK, api.ping()).await.map_err(|_| silent(QUICK))?;
    let (api, Known { name, podman, .. }) = match known {
        Some(known) => {
            speaks.map_err(|error| refused(words(&error)))?;
            (api, known)
        }
        // It may have refused a language that it does not know yet. To be asked anew before it has answered would keep it from
        // ever answering.
        None => match tokio::time::timeout(PATIENT, Known::ask(api, &daemon)).await {
            Ok(asked) => asked.map_err(|error| refused(words(&error)))?,
            Err(_) => return Err(silent(PATIENT)),
        },
    };
    Ok(Engine { api, socket: place.to_owned(), name, podman, owner })
}

/// Who listens there: the place, and the process, where it is known.
type Daemon = (PathBuf, Option<i32>);

/// What was asked of an engine once and does not change while it lives. Podman has its packages looked for by the
/// distribution's tools each time that it is asked for its version: half a second of a processor (4.3 on Debian, measured).
#[derive(Debug, Clone)]
struct Known {
    name: String,
    podman: bool,
    /// The version of the engines' language that both speak.
    speaks: ClientVersion,
    /// Where another process listens for it, it may be replaced by a newer one without a sign.
    until_ms: i64,
}

/// How long it is believed.
const BELIEVED_MS: i64 = 600_000;
/// By place, when it was last silent; locked while somebody asks.
static ASKING: LazyLock<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<i64>>>>> = LazyLock::new(Mutex::default);
static KNOWN: LazyLock<Mutex<HashMap<Daemon, Known>>> = LazyLock::new(Mutex::default);

impl Known {
    fn asking(place: &Path) -> Arc<tokio::sync::Mutex<i64>> {
        let mut all = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(place.to_owned()).or_default())
    }

    fn of(daemon: &Daemon) -> Option<Self> {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(daemon).cloned();
        known.filter(|known| clock::boottime_ms() < known.until_ms && daemon.1.is_some())
    }

    async fn ask(api: Docker, daemon: &Daemon) -> Result<(Docker, Self), bollard::errors::Error> {
        let api = api.negotiate_version().await?;
        let version = api.version().await?;
        let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
        let kind = if podman { "Podman" } else { "Docker" };
        let known = Self {
            name: format!("{kind} {}", version.version.as_deref().unwrap_or("of an unknown version")),
            podman,
            speaks: api.client_version(),
            until_ms: clock::boottime_ms() + BELIEVED_MS,
        };
        let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(place, _), _| *place != daemon.0);
        all.insert(daemon.clone(), known.clone());
        Ok((api, known))
    }
}

/// What an engine said was wrong, without the library's words around it.
pub(super) fn words(error: &bollard::errors::Error) -> String {
    if let bollard::errors::Error::DockerResponseServerError { message, .. } = error {
        return message.trim().to_owned();
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

/// What an engine refuses with, and what to do about it where its own words do not say.
pub(super) fn with_remedy(why: &str) -> String {
    let network = "without which Podman makes no network without root, or say `network = false`";
    let not_found = "not found";
    let todo = [
        ("slirp4netns", not_found, format!("install slirp4netns, {network}")),
        ("pasta", not_found, format!("install passt, {network}")),
        ("newuidmap", not_found, "install uidmap, and give the user numbers in /etc/subuid and /etc/subgid".to_owned()),
        ("crun", "hybrid mode", "install runc, and say runtime = \"runc\" in containers.conf".to_owned()),
    ];
    let found = todo.iter().find(|(program, trouble, _)| why.contains(program) && why.contains(trouble));
    found.map_or_else(|| why.to_owned(), |(_, _, todo)| format!("{why}; {todo}"))
}

/// The number of the engine's answer, when it answered at all.
pub(super) fn status(error: &bollard::errors::Error) -> Option<u16> {
    if let bollard::errors::Error::DockerResponseServerError { status_code, .. } = error {
        Some(*status_code)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::with_remedy;

    #[test]
    fn what_an_engine_lacks_is_told_with_its_remedy() {
        let said = "exec: \"slirp4netns\": executable file not found in $PATH";
        assert!(with_remedy(said).ends_with("or say `network = false`"), "{}", with_remedy(said));
        let said = "/usr/bin/crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2: OCI runtime error";
        assert!(with_remedy(said).contains("install runc"), "{}", with_remedy(said));
        assert_eq!(with_remedy("it is full"), "it is full");
    }
}
