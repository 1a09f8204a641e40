//! Debian's docker-registry, with a password. It listens on loopback and ends with its scenario.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use super::lab::Lab;
use crate::stage::need;

/// The line of htpasswd(1) for `me` and `secret`, with bcrypt.
const PASSWORDS: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
/// The same, as `docker login` encodes them.
const AUTH: &str = "bWU6c2VjcmV0";

/// A registry of this scenario.
pub(super) struct Registry {
    process: duct::Handle,
    pub(super) host: String,
    log: Utf8PathBuf,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

impl Registry {
    /// Starts it on a free port of loopback, for `me` with the password `secret`.
    pub(super) fn start(lab: &Lab) -> Result<Registry> {
        need("docker-registry")?;
        let host =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).context("find a port")?.to_string();
        let (data, passwords) = (lab.folder("registry")?, lab.file("passwords", PASSWORDS)?);
        let config = lab.file(
            "registry.yml",
            &format!(
                "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {data} }} }}\nhttp: {{ addr: '{host}' }}\n\
                 auth: {{ htpasswd: {{ realm: 'here, and there', path: {passwords} }} }}\n"
            ),
        )?;
        let log = lab.path("registry.log");
        let serve = duct::cmd!("docker-registry", "serve", config.as_str()).stderr_to_stdout();
        let process = serve.stdout_path(&log).unchecked().start().context("start docker-registry")?;
        let registry = Registry { process, host, log };
        for _ in 0..600 {
            if TcpStream::connect(&registry.host).is_ok() {
                return Ok(registry);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("docker-registry did not listen within a minute: {}", fs::read_to_string(&registry.log)?)
    }

    /// Credentials as `docker login` leaves them, in the directory that is returned.
    pub(super) fn login(&self, lab: &Lab) -> Result<Utf8PathBuf> {
        let text = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{AUTH}\"}}}}}}", self.host);
        lab.file("docker/config.json", &text).map(|file| file.with_file_name(""))
    }

    /// Method and path of each request since the last call.
    pub(super) fn requests(&self) -> Result<Vec<String>> {
        let text = fs::read(&self.log).with_context(|| format!("read {}", self.log))?;
        fs::OpenOptions::new().write(true).open(&self.log).and_then(|file| file.set_len(0)).context("empty the log")?;
        let text = String::from_utf8_lossy(&text).replace('\0', "");
        let lines = text.lines().filter(|line| line.contains(" HTTP/1.1\" "));
        Ok(lines.filter_map(|line| Some(line.split('"').nth(1)?.trim_end_matches(" HTTP/1.1").to_owned())).collect())
    }
}
