//! A registry of the tests' own, on this host: it gives any image that is asked for, made for that name, and stops in the
//! middle of it until it is told to go on. Just what an engine needs to pull.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::house::within;

/// Bytes of an image that is not executed by anybody: enough to be half there.
const FILLING: usize = 3 * 1024 * 1024;

/// See the module's description.
pub(crate) struct Registry {
    port: u16,
    shelf: Arc<Shelf>,
}

#[derive(Default)]
struct Shelf {
    /// Blobs and manifests by digest; manifests by name, too.
    things: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Layers end only after this.
    go: AtomicBool,
    manifests: AtomicUsize,
}

impl Registry {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let shelf = Arc::new(Shelf::default());
        let kept = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for guest in listener.incoming().flatten() {
                let shelf = Arc::clone(&kept);
                std::thread::spawn(move || shelf.serve(&guest));
            }
        });
        Self { port, shelf }
    }

    /// As engines call it.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on layers are sent to their end, or not.
    pub(crate) fn go_on(&self, go: bool) {
        self.shelf.go.store(go, Ordering::SeqCst);
    }

    /// How often a manifest was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.shelf.manifests.load(Ordering::SeqCst)
    }
}

impl Shelf {
    fn serve(&self, guest: &TcpStream) {
        let mut reader = BufReader::new(guest.try_clone().expect("a socket"));
        // Engines try TLS first, and wait long for somebody who does not understand it.
        if reader.fill_buf().is_ok_and(|begin| begin.first() == Some(&0x16)) {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let mut header = String::new();
            while reader.read_line(&mut header).unwrap_or(0) > 2 {
                header.clear();
            }
            let mut words = line.split_ascii_whitespace();
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if self.answer(guest, method == "HEAD", path).is_err() {
                return;
            }
        }
    }

    fn answer(&self, mut guest: &TcpStream, head: bool, path: &str) -> std::io::Result<()> {
        let parts: Vec<&str> = path.trim_start_matches("/v2/").split('/').collect();
        let (kind, body) = match parts.as_slice() {
            [""] => ("application/json", Some(b"{}".to_vec())),
            [.., "manifests", reference] if reference.starts_with("sha256:") => (MANIFEST, self.thing(reference)),
            [name @ .., "manifests", _] => {
                self.manifests.fetch_add(1, Ordering::SeqCst);
                (MANIFEST, Some(self.manifest(&name.join("/"))))
            }
            [.., "blobs", digest] => ("application/octet-stream", self.thing(digest)),
            _ => ("", None),
        };
        let Some(body) = body else { return guest.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") };
        let digest = format!("Docker-Content-Digest: {}\r\n", digest(&body));
        let version = "Docker-Distribution-Api-Version: registry/2.0\r\n";
        let about = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n{digest}{version}\r\n", body.len());
        guest.write_all(format!("HTTP/1.1 200 OK\r\n{about}").as_bytes())?;
        if head {
            return Ok(());
        }
        let half = if body.len() > FILLING { body.len() / 2 } else { 0 };
        guest.write_all(&body[..half])?;
        if half > 0 {
            within(60_000, || self.go.load(Ordering::SeqCst));
        }
        guest.write_all(&body[half..])
    }

    fn thing(&self, digest: &str) -> Option<Vec<u8>> {
        self.things.lock().expect("nobody died with it").get(digest).cloned()
    }

    /// Of an image that is made when it is first asked for.
    fn manifest(&self, name: &str) -> Vec<u8> {
        if let Some(known) = self.thing(name) {
            return known;
        }
        let layer = layer(name);
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["COLOUR=red"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let about = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": kind, "size": bytes.len(), "digest": digest(bytes)});
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": about("application/vnd.docker.container.image.v1+json", &config),
            "layers": [about("application/vnd.docker.image.rootfs.diff.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut things = self.things.lock().expect("nobody died with it");
        for thing in [&layer, &config, &manifest] {
            things.insert(digest(thing), thing.clone());
        }
        things.insert(name.to_owned(), manifest.clone());
        manifest
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A shell, and something large that is like no other image's.
fn layer(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).exists());
    std::fs::copy(busybox.expect("busybox-static is installed"), bin.join("sh")).expect("a program");
    let filling: Vec<u8> = name.bytes().cycle().take(FILLING).collect();
    std::fs::write(folder.path().join("filling"), filling).expect("a file");
    Command::new("tar").arg("-C").arg(folder.path()).args(["-c", "."]).output().expect("tar").stdout
}

fn digest(bytes: &[u8]) -> String {
    let sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut sum = sum.expect("sha256sum");
    sum.stdin.take().expect("a pipe").write_all(bytes).expect("it reads");
    let said = sum.wait_with_output().expect("it ends").stdout;
    format!("sha256:{}", String::from_utf8_lossy(&said).split(' ').next().unwrap_or_default())
}
