//! The keys of `[environment]` that need an `image`: how the container is made. Reads texts only; asks no engine.

use crate::config::read::{Item, Reader, Section};
use crate::config::units;
use crate::model::{ContainerSpec, Gpus, Keep, Pull, Ulimit, User};

const PULL: [(&str, Pull); 3] = [("missing", Pull::Missing), ("always", Pull::Always), ("never", Pull::Never)];

const KEEP: [(&str, Keep); 3] = [("never", Keep::Never), ("failed", Keep::Failed), ("always", Keep::Always)];

/// Keys that mean nothing without an image.
const NEED_IMAGE: [&str; 11] =
    ["pull", "cpus", "memory", "shm", "gpus", "network", "user", "caps", "ulimits", "read_only", "keep"];

/// What Linux calls them, without `CAP_`.
const CAPS: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// The limits that container engines know.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The container of `[environment]`; `None` where it names no image.
pub(super) fn read<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<ContainerSpec> {
    let Some(item) = section.get("image") else {
        for key in NEED_IMAGE {
            if let Some(item) = section.get(key) {
                reader
                    .found
                    .error(&item.key_at, format!("`{key}` needs an `image`: the built-in sandbox does not have it"))
                    .hint("add image = \"…\" to run the steps in a container, or remove it");
            }
        }
        return None;
    };
    if let Some(isolation) = section.get("isolation") {
        reader
            .found
            .error(&isolation.key_at, "`isolation` is about the built-in sandbox, and `image` asks for a container")
            .hint("remove one of the two");
    }
    let image = image(reader, &item)?;
    let mut spec = ContainerSpec::of(image);
    if let Some(pull) = section.get("pull").and_then(|item| reader.choice(&item, &PULL)) {
        spec.pull = pull;
    }
    spec.milli_cpus = section.get("cpus").and_then(|item| cpus(reader, &item));
    spec.memory = section.get("memory").and_then(|item| size(reader, &item));
    spec.shm = section.get("shm").and_then(|item| size(reader, &item));
    spec.gpus = section.get("gpus").and_then(|item| gpus(reader, &item)).unwrap_or(Gpus::None);
    spec.network = section.get("network").and_then(|item| reader.boolean(&item)).unwrap_or(true);
    spec.user = section.get("user").and_then(|item| user(reader, &item));
    spec.caps = section.get("caps").map(|item| caps(reader, &item)).unwrap_or_default();
    spec.ulimits = section.get("ulimits").map(|item| ulimits(reader, &item, &section.title)).unwrap_or_default();
    spec.keep = section.get("keep").and_then(|item| reader.choice(&item, &KEEP)).unwrap_or(Keep::Never);
    spec.read_only = section.get("read_only").and_then(|item| reader.boolean(&item)).unwrap_or(false);
    Some(spec)
}

/// An image's name goes into the path of a request to the container engine, so nothing but a name may pass.
pub(super) fn image<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<String> {
    let text = reader.literal(item)?;
    if is_image(text) {
        return Some(text.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    reader
        .found
        .error(&item.at, format!("\"{shown}\" is not the name of an image"))
        .hint("write it like \"python:3.12-slim\", \"ghcr.io/acme/train:2026.11\" or \"name@sha256:…\"");
    None
}

fn is_image(text: &str) -> bool {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let (path, tag) = match rest.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        Some(_) | None => (rest, None),
    };
    let word = |text: &str, more: &str| {
        !text.is_empty()
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && !text.contains("..")
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let digest_is_good = digest.is_none_or(|digest| digest.strip_prefix("sha256:").is_some_and(hex));
    text.len() <= 255
        && digest_is_good
        && tag.is_none_or(|tag| {
            tag.len() <= 128
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !tag.starts_with(['.', '-'])
                && !tag.is_empty()
        })
        && path.split('/').enumerate().all(|(place, part)| word(part, if place == 0 { "._-:" } else { "._-" }))
}

pub(super) fn cpus<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<u64> {
    let number = reader.number(item, 0.01)?;
    if number > 100_000.0 {
        reader.found.error(&item.at, format!("{} is more than any machine has", item.title));
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 10 and 100,000,000")]
    let milli = (number * 1000.0).round() as u64;
    Some(milli)
}

pub(super) fn size<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<u64> {
    let Some(text) = item.value.as_str() else {
        reader.wrong_type(item, "a size like \"16GiB\"", None);
        return None;
    };
    match units::size(text) {
        // Less than this no container starts with.
        Some(bytes) if bytes >= 8 * 1024 * 1024 => Some(bytes),
        Some(_) => {
            reader.found.error(&item.at, format!("{} is too small: at least 8MiB", item.title));
            None
        }
        None => {
            let shown: String = text.chars().take(40).collect();
            reader
                .found
                .error(&item.at, format!("\"{shown}\" is not a size: {}", item.title))
                .hint("write it like \"512MiB\" or \"16GiB\"");
            None
        }
    }
}

fn gpus<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Gpus> {
    if item.value.as_str() == Some("all") {
        return Some(Gpus::All);
    }
    if item.value.as_str().is_some() {
        reader.wrong_type(item, "a number, a list of devices, or \"all\"", None);
        return None;
    }
    if item.value.is_array() {
        let items = reader.list(item)?;
        let ids: Vec<String> = items.iter().filter_map(|item| reader.literal(item).map(str::to_owned)).collect();
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:.".contains(&b));
        if !ids.iter().all(plain) {
            reader
                .found
                .error(&item.at, format!("{} holds something that is no device", item.title))
                .hint("write [\"0\", \"1\"] or the devices' ids");
            return None;
        }
        return Some(if ids.is_empty() { Gpus::None } else { Gpus::Ids(ids) });
    }
    let n = reader.integer(item, 0..=1024)?;
    u32::try_from(n).ok().map(|n| if n == 0 { Gpus::None } else { Gpus::Count(n) })
}

fn user<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<User> {
    let text = reader.literal(item)?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n < u32::MAX);
    let user = match text.split_once(':') {
        None if text == "root" => Some(User { uid: 0, gid: 0 }),
        None => number(text).map(|uid| User { uid, gid: uid }),
        Some((uid, gid)) => number(uid).zip(number(gid)).map(|(uid, gid)| User { uid, gid }),
    };
    if user.is_none() {
        reader
            .found
            .error(&item.at, format!("{} must be \"root\" or numbers like \"1000:1000\"", item.title))
            .hint("names of an image's own users are not known outside of it; `id` in the image tells the number");
    }
    user
}

fn caps<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Vec<String> {
    let mut caps = Vec::new();
    for item in reader.list(item).unwrap_or_default() {
        let Some(text) = reader.literal(&item) else { continue };
        let upper = text.to_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPS.contains(&name) {
            caps.push(name.to_owned());
        } else {
            reader
                .found
                .error(&item.at, format!("\"{text}\" is not a capability"))
                .hint("write it like \"SYS_PTRACE\"; `man 7 capabilities` lists them");
        }
    }
    caps
}

/// `{ nofile = 65536, memlock = -1 }`.
fn ulimits<'a>(reader: &mut Reader<'a>, item: &Item<'a>, title: &str) -> Vec<Ulimit> {
    let mut ulimits = Vec::new();
    for (name, item) in reader.names(item, format!("`ulimits` in {title}")) {
        if !ULIMITS.contains(&name) {
            let near = crate::config::keys::nearest(name, ULIMITS.into_iter());
            reader
                .found
                .error(&item.key_at, format!("\"{name}\" is not a limit"))
                .hint_if(near.map(|near| format!("did you mean `{near}`?")));
            continue;
        }
        if let Some(value) = reader.integer(&item, -1..=i64::MAX) {
            ulimits.push(Ulimit { name: name.to_owned(), value });
        }
    }
    ulimits
}

#[cfg(test)]
mod tests {
    use super::is_image;

    #[test]
    fn names_of_images_pass_and_nothing_else_does() {
        let digest = format!("train@sha256:{}", "0f".repeat(32));
        for good in ["bb", "bb:1", "ghcr.io/acme/train:2026.11", "localhost:5000/a/b_c:v1-x", "a.b/c", digest.as_str()]
        {
            assert!(is_image(good), "{good}");
        }
        let long = "a".repeat(256);
        let bad = [
            "",
            " ",
            "-v",
            "/etc",
            "a/",
            "a//b",
            "a/../../containers/json",
            "..",
            "a:",
            "a:-x",
            "a b",
            "a?b=c",
            "a#b",
            "a%2f..",
            "a\nb",
            "A@sha256:0",
            "a@md5:00",
            "a/b:c/d:e/../f",
            "é",
            long.as_str(),
        ];
        for bad in bad {
            assert!(!is_image(bad), "{bad:?}");
        }
    }
}
