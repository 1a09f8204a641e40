//! A mirror of a few packages on the loopback interface, which breaks when it is told to.
//! It is signed with a key of its own, and apt is told of it by APT_CONFIG.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::lab::Lab;
use crate::process::command;
use crate::stage::need;

/// The suite that it has.
const SUITE: &str = "bookworm";

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Packages end in their middle.
    HalfOfPackages,
    /// So many times, the index is not the one that the signature is for.
    OtherIndex(u32),
    /// Nothing is signed.
    Unsigned,
}

/// A server of the folder `mirror` of a lab. It ends with the process.
pub(super) struct Mirror {
    root: Utf8PathBuf,
    keys: Utf8PathBuf,
    conf: Utf8PathBuf,
    fault: Arc<Mutex<Fault>>,
}

impl Mirror {
    /// Serves the .deb files in `debs`, of arm64 or of all architectures.
    pub(super) fn new(lab: &Lab, debs: &[Utf8PathBuf]) -> Result<Mirror> {
        need("gpg")?;
        let root = lab.folder("mirror")?;
        for below in ["pool", "dists/bookworm/main/binary-arm64"] {
            lab.folder(&format!("mirror/{below}"))?;
        }
        for deb in debs {
            let to = root.join("pool").join(deb.file_name().context("no name")?);
            fs::copy(deb, &to).with_context(|| format!("copy {deb} to {to}"))?;
        }
        let keys = lab.folder("keys")?;
        command(["chmod", "700", keys.as_str()]).run()?;
        let words = ["--quick-generate-key", "mirror@example.org", "ed25519", "sign", "never"];
        gpg(&keys, &words)?;
        let ring = lab.path("mirror.gpg");
        gpg(&keys, &["--output", ring.as_str(), "--export"])?;
        command(["chmod", "644", ring.as_str()]).run()?;

        let listener = TcpListener::bind("127.0.0.1:0").context("listen on the loopback interface")?;
        let port = listener.local_addr().context("the port")?.port();
        let fault = Arc::new(Mutex::new(Fault::None));
        let (shared, served) = (Arc::clone(&fault), root.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no failure of the mirror.
                let _ = answer(stream, &served, &shared);
            }
        });
        let line = format!("deb [signed-by={ring}] http://127.0.0.1:{port}/ {SUITE} main\n");
        let list = lab.file("sources.list", &line)?;
        let parts = lab.folder("sources.list.d")?;
        let conf = format!(
            "Dir::Etc::sourcelist \"{list}\";\nDir::Etc::sourceparts \"{parts}\";\nAcquire::http::Proxy::127.0.0.1 \"DIRECT\";\n\
             Acquire::Retries::Delay \"false\";\n"
        );
        let conf = lab.file("apt.conf", &conf)?;
        let mirror = Mirror { root, keys, conf, fault };
        mirror.publish()?;
        Ok(mirror)
    }

    /// What APT_CONFIG must be.
    pub(super) fn conf(&self) -> &str {
        self.conf.as_str()
    }

    pub(super) fn set(&self, fault: Fault) {
        *self.fault.lock().expect("nobody panics with it") = fault;
    }

    /// Makes the index of what is there now, and signs it.
    pub(super) fn publish(&self) -> Result<()> {
        // Of a shell, so that it is one line in what is told of the run.
        let script = "for deb in pool/*.deb; do dpkg-deb --field $deb; echo Filename: $deb; \
                      echo Size: $(stat -c %s $deb); echo SHA256: $(sha256sum <$deb | cut -c 1-64); echo; done";
        let packages = command(["sh", "-c", script]).dir(self.root.as_path()).env("LC_ALL", "C").run()?.stdout;
        let dist = self.root.join("dists").join(SUITE);
        let index = dist.join("main/binary-arm64/Packages");
        fs::write(&index, &packages).with_context(|| format!("write {index}"))?;
        let release = format!(
            "Origin: test\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: arm64\nComponents: main\n\
             Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {} {} main/binary-arm64/Packages\n",
            sha256(&index)?,
            packages.len()
        );
        let (plain, signed) = (dist.join("Release"), dist.join("InRelease"));
        fs::write(&plain, release).with_context(|| format!("write {plain}"))?;
        gpg(&self.keys, &["--clear-sign", "--output", signed.as_str(), plain.as_str()])
    }

    /// Puts a newer version of the package in the place of the one that is there.
    pub(super) fn renew(&self, lab: &Lab, package: &str) -> Result<()> {
        let deb = self.deb(package)?;
        let work = lab.folder("renewed")?;
        command(["dpkg-deb", "--raw-extract", deb.as_str(), work.as_str()]).run()?;
        let control = work.join("DEBIAN/control");
        let text = fs::read_to_string(&control).with_context(|| format!("read {control}"))?;
        let newer =
            |line: &str| if line.starts_with("Version: ") { format!("{line}+newer\n") } else { format!("{line}\n") };
        fs::write(&control, text.lines().map(newer).collect::<String>()).with_context(|| format!("write {control}"))?;
        fs::remove_file(&deb).with_context(|| format!("remove {deb}"))?;
        command(["dpkg-deb", "--build", "--root-owner-group", work.as_str(), deb.as_str()]).run()?;
        self.publish()
    }

    fn deb(&self, package: &str) -> Result<Utf8PathBuf> {
        for deb in self.root.join("pool").read_dir_utf8()? {
            let deb = deb?.into_path();
            if command(["dpkg-deb", "--field", deb.as_str(), "Package"]).run()?.stdout.trim() == package {
                return Ok(deb);
            }
        }
        anyhow::bail!("the mirror has no {package}")
    }
}

/// One request, and its answer.
fn answer(mut stream: TcpStream, root: &Utf8Path, fault: &Mutex<Fault>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').replace("%2b", "+");
    let mut bytes = fs::read(root.join(&path)).ok();
    let mut sent = usize::MAX;
    let mut fault = fault.lock().expect("nobody panics with it");
    match *fault {
        Fault::HalfOfPackages if path.ends_with(".deb") => sent = bytes.as_ref().map_or(0, |bytes| bytes.len() / 2),
        Fault::OtherIndex(times) if path.ends_with("/Packages") && times > 0 => {
            *fault = Fault::OtherIndex(times - 1);
            // As long as the right one, and another.
            if let Some(first) = bytes.as_mut().and_then(|bytes| bytes.first_mut()) {
                *first = b'p';
            }
        }
        Fault::Unsigned if path.ends_with("/InRelease") || path.ends_with(".gpg") => bytes = None,
        _ => {}
    }
    drop(fault);
    match bytes {
        Some(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
            stream.write_all(&bytes[..bytes.len().min(sent)])
        }
        None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    }
}

fn gpg(home: &Utf8Path, words: &[&str]) -> Result<()> {
    let quiet = ["gpg", "--homedir", home.as_str(), "--batch", "--yes", "--quiet", "--passphrase", ""];
    command(quiet.into_iter().chain(words.iter().copied())).run().map(drop)
}

fn sha256(file: &Utf8Path) -> Result<String> {
    let said = command(["sha256sum", file.as_str()]).run()?.stdout;
    let digest = said.split(' ').next().unwrap_or_default();
    ensure!(digest.len() == 64, "sha256sum said {said}");
    Ok(digest.to_owned())
}
