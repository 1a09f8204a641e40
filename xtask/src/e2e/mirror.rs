//! A mirror of a few packages on the loopback interface, which breaks on request. It has a signing key of its own, and
//! APT_CONFIG makes apt use it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::lab::Lab;
use crate::process::{command, until};
use crate::stage::need;

/// One suite of one archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dist {
    /// The path of its URI below the mirror.
    pub(super) archive: &'static str,
    pub(super) suite: &'static str,
    pub(super) components: &'static [&'static str],
    pub(super) architecture: &'static str,
    /// True if one index beside the suite lists all files of an architecture, as Ubuntu has it.
    pub(super) has_contents: bool,
}

/// Debian, for one machine.
const DEBIAN: Dist =
    Dist { archive: "debian", suite: "bookworm", components: &["main"], architecture: "arm64", has_contents: false };

impl Dist {
    /// The directory of a component's packages.
    pub(super) fn pool(&self, component: &str) -> String {
        format!("{}/pool/{}/{component}", self.archive, self.suite)
    }
}

/// Makes the index of one suite, in the archive's directory: `SUITE HAS_CONTENTS COMPONENTS ARCHITECTURE`.
const INDEX: &str = r#"set -e
fields() { # of the packages of component $1, each as an index has it
    for deb in pool/$suite/$1/*.deb; do
        case $(test ! -f $deb || dpkg-deb --field $deb Architecture) in $architecture|all) ;; *) continue ;; esac
        dpkg-deb --field $deb
        printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' $deb $(stat -c %s $deb) $(sha256sum <$deb | cut -c 1-64)
    done
}
files() { # of the same
    for deb in $(fields $1 | sed -n 's/^Filename: //p'); do
        section=utils/$(dpkg-deb --field $deb Package)
        test $1 = main || section=$1/$section
        dpkg-deb --fsys-tarfile $deb | tar --list | sed -n "s,^\./\(.*[^/]\)\$,\1\t$section,p"
    done
}
suite=$1 has_contents=$2 components=$3 architecture=$4
rm -rf dists/$suite && mkdir -p dists/$suite
for component in $components; do
    mkdir -p dists/$suite/$component/binary-$architecture pool/$suite/$component
    fields $component >dists/$suite/$component/binary-$architecture/Packages
    test $has_contents = false || files $component
done >files
test $has_contents = false || sort files >dists/$suite/Contents-$architecture
cd dists/$suite
# Named in the release without an ending as well, and only there compressed.
test $has_contents = false || gzip -nk Contents-$architecture
indexes=$(find * -type f | sort)
{
    printf 'Origin: test\nSuite: %s\nCodename: %s\nArchitectures: %s\n' $suite ${suite%%-*} $architecture
    printf 'Components: %s\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n' "$components"
    for file in $indexes; do echo " $(sha256sum <$file | cut -c 1-64) $(stat -c %s $file) $file"; done
} >Release
rm -f Contents-$architecture"#;

/// A fault of the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Packages are truncated.
    HalfOfPackages,
    /// For this many requests, the index does not match the signature.
    OtherIndex(u32),
    /// The index has no signature.
    Unsigned,
    /// Of files with this ending half is sent, and nothing more while the fault lasts.
    Stall(&'static str),
}

/// State that the server and the scenario share.
struct Shared {
    fault: Fault,
    /// The number of answers that stall.
    stalled: usize,
    asked: Vec<String>,
}

/// A server of the directory `mirror` of a lab. It ends with the process.
pub(super) struct Mirror {
    root: Utf8PathBuf,
    keys: Utf8PathBuf,
    keyring: Utf8PathBuf,
    port: u16,
    conf: Utf8PathBuf,
    shared: Arc<Mutex<Shared>>,
}

impl Mirror {
    /// Serves the .deb files in `debs`, of arm64 or of all architectures, as a mirror of Debian.
    pub(super) fn new(lab: &Lab, debs: &[Utf8PathBuf]) -> Result<Mirror> {
        let mirror = Mirror::empty(lab)?;
        let pool = lab.folder(&format!("mirror/{}", DEBIAN.pool("main")))?;
        for deb in debs {
            let to = pool.join(deb.file_name().context("no name")?);
            fs::copy(deb, &to)?;
        }
        mirror.publish(&DEBIAN)?;
        let uri = format!("http://127.0.0.1:{}/{}", mirror.port, DEBIAN.archive);
        let line = format!("deb [signed-by={}] {uri} {} main\n", mirror.keyring, DEBIAN.suite);
        mirror.configure(lab, &line, &[])?;
        Ok(mirror)
    }

    /// A server without packages.
    pub(super) fn empty(lab: &Lab) -> Result<Mirror> {
        need("gpg")?;
        let root = lab.folder("mirror")?;
        let keys = lab.folder("keys")?;
        command(["chmod", "700", keys.as_str()]).run()?;
        let words = ["--quick-generate-key", "mirror@example.org", "ed25519", "sign", "never"];
        gpg(&keys, &words)?;
        let keyring = lab.path("mirror.gpg");
        gpg(&keys, &["--output", keyring.as_str(), "--export"])?;
        command(["chmod", "644", keyring.as_str()]).run()?;

        let listener = TcpListener::bind("127.0.0.1:0").context("listen on the loopback interface")?;
        let port = listener.local_addr().context("the port")?.port();
        let shared = Arc::new(Mutex::new(Shared { fault: Fault::None, stalled: 0, asked: Vec::new() }));
        let (known, served) = (Arc::clone(&shared), root.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, served) = (Arc::clone(&known), served.clone());
                // A client that disconnects is no failure of the mirror.
                std::thread::spawn(move || answer(stream, &served, &known));
            }
        });
        Ok(Mirror { root, keys, keyring, port, conf: lab.path("apt.conf"), shared })
    }

    /// Makes an apt configuration in which `sources` are the host's, and requests to `hosts` go to this mirror.
    pub(super) fn configure(&self, lab: &Lab, sources: &str, hosts: &[&str]) -> Result<()> {
        let list = lab.file("sources.list", sources)?;
        let parts = lab.folder("sources.list.d")?;
        let proxy = |host: &&str| format!("Acquire::http::Proxy::{host} \"http://127.0.0.1:{}/\";\n", self.port);
        let proxies: String = hosts.iter().map(proxy).collect();
        let conf = format!(
            "Dir::Etc::sourcelist \"{list}\";\nDir::Etc::sourceparts \"{parts}\";\n\
             Acquire::http::Proxy::127.0.0.1 \"DIRECT\";\n{proxies}Acquire::Retries::Delay \"false\";\n"
        );
        lab.file("apt.conf", &conf).map(drop)
    }

    /// The value for APT_CONFIG.
    pub(super) fn conf(&self) -> &str {
        self.conf.as_str()
    }

    /// The file of its signing key.
    pub(super) fn keyring(&self) -> &Utf8Path {
        &self.keyring
    }

    pub(super) fn set(&self, fault: Fault) {
        let mut shared = self.shared();
        shared.fault = fault;
        shared.stalled = 0;
    }

    /// Waits until an answer stalls.
    pub(super) fn wait_for_stall(&self) -> Result<()> {
        until("the mirror is asked for what it does not answer", || Ok(self.shared().stalled > 0))
    }

    /// The requests since the last call, as paths below the mirror.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared().asked)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("nobody panics with it")
    }

    /// Makes and signs the index of the current packages.
    pub(super) fn publish(&self, dist: &Dist) -> Result<()> {
        let archive = self.root.join(dist.archive);
        fs::create_dir_all(&archive)?;
        let components = dist.components.join(" ");
        let contents = dist.has_contents.to_string();
        let words = ["sh", "-s", "--", dist.suite, &contents, &components, dist.architecture];
        command(words).stdin(INDEX).dir(archive.as_path()).env("LC_ALL", "C").run()?;
        let folder = archive.join("dists").join(dist.suite);
        let (plain, signed) = (folder.join("Release"), folder.join("InRelease"));
        gpg(&self.keys, &["--clear-sign", "--output", signed.as_str(), plain.as_str()])
    }

    /// Replaces the package by a newer version.
    pub(super) fn renew(&self, lab: &Lab, package: &str) -> Result<()> {
        let deb = self.deb(package)?;
        let work = lab.folder("renewed")?;
        command(["dpkg-deb", "--raw-extract", deb.as_str(), work.as_str()]).run()?;
        let control = work.join("DEBIAN/control");
        let text = fs::read_to_string(&control)?;
        let newer =
            |line: &str| if line.starts_with("Version: ") { format!("{line}+newer\n") } else { format!("{line}\n") };
        fs::write(&control, text.lines().map(newer).collect::<String>())?;
        fs::remove_file(&deb)?;
        command(["dpkg-deb", "--build", "--root-owner-group", work.as_str(), deb.as_str()]).run()?;
        self.publish(&DEBIAN)
    }

    fn deb(&self, package: &str) -> Result<Utf8PathBuf> {
        for deb in self.root.join(DEBIAN.pool("main")).read_dir_utf8()? {
            let deb = deb?.into_path();
            if command(["dpkg-deb", "--field", deb.as_str(), "Package"]).run()?.stdout.trim() == package {
                return Ok(deb);
            }
        }
        anyhow::bail!("the mirror has no {package}")
    }
}

/// Answers one request.
fn answer(mut stream: TcpStream, root: &Utf8Path, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let uri = request.split(' ').nth(1).unwrap_or_default().replace("%2b", "+");
    // A client that uses it as a proxy names a host: the host's directory is below ours.
    let path = uri.trim_start_matches("http://").trim_start_matches('/').to_owned();
    let mut bytes = fs::read(root.join(&path)).ok();
    let mut sent = usize::MAX;
    let shared = || shared.lock().expect("nobody panics with it");
    let mut known = shared();
    match known.fault {
        Fault::HalfOfPackages if path.ends_with(".deb") => sent = bytes.as_ref().map_or(0, |bytes| bytes.len() / 2),
        Fault::OtherIndex(times) if path.ends_with("/Packages") && times > 0 => {
            known.fault = Fault::OtherIndex(times - 1);
            // Of the right length, but with another content.
            if let Some(first) = bytes.as_mut().and_then(|bytes| bytes.first_mut()) {
                *first = b'p';
            }
        }
        Fault::Unsigned if path.ends_with("/InRelease") || path.ends_with(".gpg") => bytes = None,
        Fault::Stall(end) if path.ends_with(end) => sent = bytes.as_ref().map_or(0, |bytes| bytes.len() / 2),
        _ => {}
    }
    let fault = known.fault;
    known.asked.push(path);
    drop(known);
    match bytes {
        Some(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
            stream.write_all(&bytes[..bytes.len().min(sent)])?;
            if matches!(fault, Fault::Stall(_)) && sent < bytes.len() {
                shared().stalled += 1;
                while shared().fault == fault {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            Ok(())
        }
        None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    }
}

fn gpg(home: &Utf8Path, words: &[&str]) -> Result<()> {
    let quiet = ["gpg", "--homedir", home.as_str(), "--batch", "--yes", "--quiet", "--passphrase", ""];
    command(quiet.into_iter().chain(words.iter().copied())).run().map(drop)
}
