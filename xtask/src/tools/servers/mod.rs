//! The peers of the table's clients, started in the tools' sysroot, on loopback. `serve.py` has their answers; they end
//! with this value.

use std::io::{BufRead, BufReader, ErrorKind, Write as _};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use fs_err as fs;

use super::room;

const SERVE: &str = include_str!("serve.py");

/// The certificate of the authority that signs for them, in the sysroot.
pub(crate) const AUTHORITY: &str = "usr/local/share/ca-certificates/tests.crt";

/// Debian's bundle of trusted authorities.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Running peers, and the rows' names for their ports; empty by default.
#[derive(Debug, Default)]
pub(super) struct Servers {
    authority: Vec<u8>,
    handle: Option<duct::ReaderHandle>,
    names: Vec<(String, String)>,
}

impl Servers {
    /// Starts all of them from the sysroot `root`, and waits until they listen.
    pub(super) fn start(root: &Utf8Path) -> Result<Servers> {
        room::prepare(root)?;
        let argv = ["/usr/bin/python3", "-c", SERVE].map(str::to_owned);
        let words = room::words(root, [], &argv);
        let handle = duct::cmd(&words[0], &words[1..]).stdin_null().unchecked().reader().context("start the peers")?;
        let mut line = String::new();
        BufReader::new(&handle).read_line(&mut line).context("listen to the peers")?;
        let Ok(serde_json::Value::Object(ready)) = serde_json::from_str(&line) else {
            bail!("the peers did not start: they said `{line}`");
        };
        let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names = ready.iter().map(|(name, value)| (format!("{{{name}}}"), plain(value))).collect();
        let authority = root.join(AUTHORITY);
        let authority = fs::read(&authority)?;
        Ok(Servers { authority, handle: Some(handle), names })
    }

    /// Adds their authority to the trusted ones of `root`, as its owner would. A root without any stays so.
    pub(super) fn trust(&self, root: &Utf8Path) -> Result<()> {
        let bundle = root.join(BUNDLE);
        match fs::OpenOptions::new().append(true).open(&bundle) {
            Ok(mut file) => file.write_all(&self.authority).with_context(|| format!("write {bundle}")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("open {bundle}")),
        }
    }

    /// `text` with the ports in place of their names, such as `{https}`.
    pub(super) fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Their PID namespace ends with its first process, so an error does not matter.
        let _ = self.handle.as_ref().map(duct::ReaderHandle::kill);
    }
}
