//! Debian's docker-registry on loopback for one scenario: with a password, or with tokens and TLS made for it.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use fs_err as fs;

use super::lab::Lab;
use crate::process::{command, until};
use crate::stage::need;

/// The line of htpasswd(1) for `me` and `secret`, with bcrypt.
const PASSWORDS: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
/// The same, as `docker login` encodes them.
const AUTH: &str = "bWU6c2VjcmV0";

/// A server of tokens.
const TOKENS: &str = include_str!("token_server.py");

/// A registry that ends with the scenario.
pub(crate) struct Registry {
    processes: Vec<duct::Handle>,
    pub(crate) host: String,
    log: Utf8PathBuf,
    /// The directory of certificates, and of the token server's log.
    pub(crate) certificates: Utf8PathBuf,
}

impl Drop for Registry {
    fn drop(&mut self) {
        for process in &self.processes {
            let _ = process.kill();
        }
    }
}

impl Registry {
    /// Starts it on a free port of loopback, for `me` with the password `secret`, by plain http.
    pub(crate) fn start(lab: &Lab) -> Result<Registry> {
        let passwords = lab.file("passwords", PASSWORDS)?;
        Registry::serve(lab, "", &format!("htpasswd: {{ realm: 'here, and there', path: {passwords} }}"))
    }

    /// Starts it without credentials.
    pub(crate) fn open(lab: &Lab) -> Result<Registry> {
        Registry::serve(lab, "", "")
    }

    /// Starts it with tokens of another server, both by https with certificates of the authority `ca.pem` in
    /// `certificates`.
    pub(crate) fn with_tokens(lab: &Lab) -> Result<Registry> {
        need("openssl")?;
        need("python3")?;
        let certificates = certificates(lab)?;
        let port = free()?;
        let server = lab.file("token_server.py", TOKENS)?;
        let (_, number) = port.rsplit_once(':').context("a port")?;
        let argv = ["python3", server.as_str(), certificates.as_str(), number];
        let process = duct::cmd(argv[0], &argv[1..]).unchecked().start().context("start the token server")?;
        let tls = format!(", tls: {{ certificate: {certificates}/server.pem, key: {certificates}/server.key }}");
        let auth = format!(
            "token: {{ realm: 'https://{port}/token', service: here, issuer: tokens, rootcertbundle: {certificates}/token.pem }}"
        );
        let mut registry = Registry::serve(lab, &tls, &auth)?;
        registry.processes.push(process);
        listening(&port)?;
        Ok(registry)
    }

    fn serve(lab: &Lab, tls: &str, auth: &str) -> Result<Registry> {
        need("docker-registry")?;
        let (host, data) = (free()?, lab.folder("registry")?);
        let config = lab.file(
            "registry.yml",
            &format!(
                "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {data} }} }}\n\
                 http: {{ addr: '{host}'{tls} }}\nauth: {{ {auth} }}\n"
            ),
        )?;
        let log = lab.path("registry.log");
        let serve = duct::cmd!("docker-registry", "serve", config.as_str()).stderr_to_stdout();
        let process = serve.stdout_path(&log).unchecked().start().context("start docker-registry")?;
        let registry = Registry { processes: vec![process], host, log, certificates: lab.path("certificates") };
        listening(&registry.host).with_context(|| fs::read_to_string(&registry.log).unwrap_or_default())?;
        Ok(registry)
    }

    /// Writes credentials as `docker login` does, and returns their directory.
    pub(crate) fn login(&self, lab: &Lab) -> Result<Utf8PathBuf> {
        let text = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{AUTH}\"}}}}}}", self.host);
        lab.file("docker/config.json", &text).map(|file| file.with_file_name(""))
    }

    /// Method and path of each request since the last call.
    pub(crate) fn requests(&self) -> Result<Vec<String>> {
        let text = fs::read(&self.log)?;
        fs::OpenOptions::new().write(true).open(&self.log).and_then(|file| file.set_len(0)).context("empty the log")?;
        let text = String::from_utf8_lossy(&text).replace('\0', "");
        let lines = text.lines().filter(|line| line.contains(" HTTP/1.1\" "));
        Ok(lines.filter_map(|line| Some(line.split('"').nth(1)?.trim_end_matches(" HTTP/1.1").to_owned())).collect())
    }

    /// Requests to the token server since the last call.
    pub(crate) fn token_requests(&self) -> Result<usize> {
        let log = self.certificates.join("token.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        Ok(text.lines().count())
    }
}

/// A free address on loopback.
fn free() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).context("find a port")?.to_string())
}

fn listening(host: &str) -> Result<()> {
    until(&format!("a server listens on {host}"), || Ok(TcpStream::connect(host).is_ok()))
}

/// Makes an authority `ca.pem`, its certificate for 127.0.0.1, and one that signs tokens.
fn certificates(lab: &Lab) -> Result<Utf8PathBuf> {
    let directory = lab.folder("certificates")?;
    lab.file("certificates/ext", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")?;
    let openssl = |words: &str| {
        let words = words.split(' ').map(|word| word.replace("DIR", directory.as_str()));
        command(["openssl"]).args(words).run().map(drop)
    };
    let key = "-newkey rsa:2048 -nodes";
    openssl(&format!("req -x509 {key} -keyout DIR/ca.key -out DIR/ca.pem -days 2 -subj /CN=here"))?;
    openssl(&format!("req -x509 {key} -keyout DIR/token.key -out DIR/token.pem -days 2 -subj /CN=tokens"))?;
    openssl(&format!("req {key} -keyout DIR/server.key -out DIR/server.csr -subj /CN=127.0.0.1"))?;
    openssl(
        "x509 -req -in DIR/server.csr -CA DIR/ca.pem -CAkey DIR/ca.key -CAcreateserial -out DIR/server.pem -days 2 \
         -extfile DIR/ext",
    )?;
    Ok(directory)
}
