//! Requests to one registry: scheme, tokens, retries, and credentials for its own host only.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::config::ConfigBuilder;
use ureq::http::{Method, Request, Response, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, SendBody};

use super::answer::Refused;
use super::challenge::{self, Challenge};
use super::credentials::{self, Credentials, Found};
use super::reference::Reference;
use crate::error::{Error, Result};
use crate::host_files;

/// The maximum number of attempts of one request or one blob.
pub(super) const ATTEMPTS: u32 = 5;

/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The maximum pause by a registry's `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The maximum size of an answer: manifests have at most 4 MiB (distribution specification).
const ANSWER: u64 = 4 << 20;

/// The size of a connection's buffers in bytes. A push of an unchanged image sends a few hundred.
const BUFFER: usize = 32 << 10;

/// The maximum number of redirects of one download.
const REDIRECTS: usize = 5;

/// The settings of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Hosts that may use plain http, and whose certificates are not verified.
    pub(crate) insecure: Vec<String>,
    /// Credentials files, in the order of the search.
    pub(crate) credentials: Vec<PathBuf>,
}

impl Settings {
    /// The files of this user's environment.
    pub(crate) fn from_environment(insecure: Vec<String>) -> Self {
        Self { insecure, credentials: credentials::files() }
    }
}

/// The transport of one repository.
pub(super) struct Transport<'i> {
    plain: Agent,
    /// The agent for https, made on demand: loading the trusted certificates is slow.
    secure: OnceLock<Agent>,
    is_insecure: bool,
    pub(super) reference: Reference,
    /// `https://HOST`
    base: String,
    found: Found,
    /// Values of `Authorization`, by scope; basic authentication has the empty scope.
    tokens: Mutex<BTreeMap<String, String>>,
    /// The authentication schemes that the registry offers.
    challenges: Mutex<Vec<Challenge>>,
    interrupted: &'i AtomicBool,
}

/// A response with its status, headers and body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) response: Response<Body>,
}

impl Answer {
    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Reads the body of an answer that is no blob.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        let read = self.response.body_mut().with_config().limit(ANSWER).read_to_vec();
        read.map_err(|error| Error::failed("cannot read a registry's answer").with_source(error))
    }

    pub(super) fn refused(mut self) -> Refused {
        let body = self.bytes().unwrap_or_default();
        Refused::new(self.status, &String::from_utf8_lossy(&body))
    }
}

/// The body of a request, opened again for each attempt.
pub(super) enum Content<'c> {
    Nothing,
    Bytes(&'c [u8]),
    /// The length in bytes, and a reader of exactly that length.
    Stream(u64, Box<dyn Read + 'c>),
}

/// A request before credentials.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) scope: &'a str,
}

impl<'i> Transport<'i> {
    /// Connects: finds the scheme, and the registry's authentication (`GET /v2/`).
    pub(super) fn connect(reference: &Reference, settings: &Settings, interrupted: &'i AtomicBool) -> Result<Self> {
        let host = reference.api_host();
        let is_insecure = settings.insecure.iter().any(|insecure| insecure == host);
        let found = credentials::find(reference, &settings.credentials);
        let mut transport = Transport {
            plain: configured().build().new_agent(),
            secure: OnceLock::new(),
            is_insecure,
            reference: reference.clone(),
            base: format!("https://{host}"),
            found,
            tokens: Mutex::default(),
            challenges: Mutex::default(),
            interrupted,
        };
        let mut plain = None;
        if is_insecure || is_loopback(host) {
            // An https server answers plain http with 400 at once; in the other direction, some servers wait without
            // end.
            transport.base = format!("http://{host}");
            plain = Some(transport.ping()).filter(|ping| matches!(ping, Ok(answer) if answer.status != 400));
            if plain.is_none() {
                transport.base = format!("https://{host}");
            }
        }
        let mut answer =
            plain.unwrap_or_else(|| transport.ping()).map_err(|error| unreachable_registry(host, error))?;
        match answer.status {
            200..=299 => {}
            401 => transport.learn(&answer),
            _ => return Err(transport.error("use", &answer.refused())),
        }
        // A connection is reused only after its answer was read.
        let _ = answer.bytes();
        Ok(transport)
    }

    fn ping(&self) -> Result<Answer> {
        let url = format!("{}/v2/", self.base);
        self.attempts(|| self.once(&Method::GET, &url, &[], None, Content::Nothing))
    }

    /// The URL of `rest` in this repository, such as `manifests/latest`.
    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base, self.reference.repository)
    }

    /// The absolute form of a URL from the registry, which may be relative (RFC 9110, section 10.2.2).
    pub(super) fn absolute(&self, location: &str) -> String {
        if location.starts_with("http://") || location.starts_with("https://") {
            location.to_owned()
        } else {
            format!("{}/{}", self.base, location.trim_start_matches('/'))
        }
    }

    pub(super) fn error(&self, verb: &str, refused: &Refused) -> Error {
        refused.error(verb, &self.reference, &self.found)
    }

    /// Sends a request with a small body or none, with retries.
    pub(super) fn send(&self, ask: &Ask<'_>, body: Option<&[u8]>) -> Result<Answer> {
        self.attempts(|| self.authorized(ask, || body.map_or(Content::Nothing, Content::Bytes)))
    }

    /// Sends a request once, and again if the registry requires another token.
    pub(super) fn authorized<'c>(&self, ask: &Ask<'_>, content: impl Fn() -> Content<'c>) -> Result<Answer> {
        let is_own = self.is_own(&ask.url);
        let authorization = if is_own { self.authorization(ask.scope)? } else { None };
        let answer = self.once(&ask.method, &ask.url, &ask.headers, authorization.as_deref(), content())?;
        if answer.status != 401 || !is_own {
            return Ok(answer);
        }
        self.learn(&answer);
        if let Ok(mut tokens) = self.tokens.lock() {
            tokens.remove(ask.scope);
        }
        match self.authorization(ask.scope)? {
            Some(fresh) => self.once(&ask.method, &ask.url, &ask.headers, Some(&fresh), content()),
            None => Ok(answer),
        }
    }

    /// Follows the redirects of a download; other hosts get no credentials.
    pub(super) fn download(&self, ask: Ask<'_>) -> Result<Answer> {
        let mut ask = ask;
        for _ in 0..REDIRECTS {
            let answer = self.send(&ask, None)?;
            match (answer.status, answer.header(header::LOCATION)) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => ask.url = self.absolute(location),
                _ => return Ok(answer),
            }
        }
        Err(Error::failed(format!("cannot fetch from {}: it redirects without end", self.reference.host)))
    }

    /// Retries `work` after temporary failures, with pauses: 408, 429, 5xx, and broken connections.
    pub(super) fn attempts(&self, mut work: impl FnMut() -> Result<Answer>) -> Result<Answer> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let answer = work();
            self.stop()?;
            let wait = match &answer {
                _ if attempt == ATTEMPTS => return answer,
                Ok(answer) if matches!(answer.status, 408 | 429 | 500..=599) => {
                    let told = answer.header(header::RETRY_AFTER).and_then(|after| after.trim().parse().ok());
                    told.map_or(pause, Duration::from_secs).min(LONGEST_PAUSE)
                }
                Err(error) if is_passing(error) => pause,
                _ => return answer,
            };
            self.pause(wait)?;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        let step = Duration::from_millis(50);
        let mut left = time;
        while left > Duration::ZERO {
            self.stop()?;
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
        Ok(())
    }

    pub(super) fn stop(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
    }

    fn once(
        &self,
        method: &Method,
        url: &str,
        headers: &[(header::HeaderName, String)],
        authorization: Option<&str>,
        content: Content<'_>,
    ) -> Result<Answer> {
        self.stop()?;
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let malformed =
            |error| Error::failed(format!("cannot send a request to `{}`", without_query(url))).with_source(error);
        let agent = self.agent(url)?;
        let sent = match content {
            Content::Nothing if matches!(*method, Method::POST | Method::PUT) => {
                let request = request.header(header::CONTENT_LENGTH, "0").body(SendBody::none()).map_err(malformed)?;
                agent.run(request)
            }
            Content::Nothing => agent.run(request.body(()).map_err(malformed)?),
            Content::Bytes(bytes) => agent.run(request.body(bytes).map_err(malformed)?),
            Content::Stream(length, mut reader) => {
                let request = request.header(header::CONTENT_LENGTH, length);
                agent.run(request.body(SendBody::from_reader(&mut reader)).map_err(malformed)?)
            }
        };
        let response = sent
            .map_err(|error| Error::failed(format!("cannot {method} `{}`", without_query(url))).with_source(error))?;
        Ok(Answer { status: response.status().as_u16(), response })
    }

    fn agent(&self, url: &str) -> Result<&Agent> {
        if !url.starts_with("https://") {
            return Ok(&self.plain);
        }
        if let Some(known) = self.secure.get() {
            return Ok(known);
        }
        let agent = secure_agent(self.is_insecure)?;
        Ok(self.secure.get_or_init(|| agent))
    }

    /// Returns whether `url` belongs to the registry itself, the only host that gets credentials.
    fn is_own(&self, url: &str) -> bool {
        url.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'))
    }

    fn learn(&self, answer: &Answer) {
        let headers = answer.response.headers().get_all(header::WWW_AUTHENTICATE);
        let known = challenge::parse(headers.iter().filter_map(|value| value.to_str().ok()));
        if let (Ok(mut challenges), false) = (self.challenges.lock(), known.is_empty()) {
            *challenges = known;
        }
    }

    /// The value of `Authorization` for `scope`, if the registry requires one.
    fn authorization(&self, scope: &str) -> Result<Option<String>> {
        // The lock is held while a token is fetched: four parallel uploads need only one token.
        let poisoned = |_| Error::failed("another thread failed while it fetched a token");
        let mut tokens = self.tokens.lock().map_err(poisoned)?;
        let challenges = self.challenges.lock().map(|challenges| challenges.clone()).unwrap_or_default();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        match (bearer, challenges.first()) {
            (Some(Challenge::Bearer { realm, service, scope: wanted }), _) => {
                if let Some(token) = tokens.get(scope) {
                    return Ok(Some(token.clone()));
                }
                // The registry's challenge may name the scope if the client has none.
                let asked = if scope.is_empty() { wanted.as_deref().unwrap_or_default() } else { scope };
                let token = format!("Bearer {}", self.token(realm, service.as_deref(), asked)?);
                tokens.insert(scope.to_owned(), token.clone());
                Ok(Some(token))
            }
            (_, Some(Challenge::Basic)) => Ok(self.basic()),
            _ => Ok(None),
        }
    }

    fn basic(&self) -> Option<String> {
        match &self.found.credentials {
            Some(Credentials::Password { user, password }) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            _ => None,
        }
    }

    /// Fetches a token (distribution's token authentication; OAuth2 for identity tokens).
    fn token(&self, realm: &str, service: Option<&str>, scope: &str) -> Result<String> {
        let refused = |why: String| Error::failed(format!("cannot get a token for `{}`: {why}", self.reference));
        let is_safe = realm.starts_with("https://") || self.base.starts_with("http://");
        let uri: Uri = realm.parse().map_err(|_| refused(format!("`{realm}` is not an address")))?;
        if !is_safe {
            return Err(refused(format!("its server {} is not reached by https", uri.host().unwrap_or(realm))));
        }
        let pairs = |more: &[(&str, &str)]| {
            let scopes = scope.split(' ').filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope));
            let all = service.map(|service| ("service", service)).into_iter().chain(scopes).chain(more.iter().copied());
            all.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
        };
        let mut answer = match &self.found.credentials {
            Some(Credentials::Identity(identity)) => {
                let form = pairs(&[
                    ("grant_type", "refresh_token"),
                    ("refresh_token", identity),
                    ("client_id", "cargo-rootfs"),
                ]);
                let kind = [(header::CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned())];
                self.attempts(|| self.once(&Method::POST, realm, &kind, None, Content::Bytes(form.as_bytes())))?
            }
            _ => {
                let query = pairs(&[]);
                let join = if realm.contains('?') { '&' } else { '?' };
                let url = if query.is_empty() { realm.to_owned() } else { format!("{realm}{join}{query}") };
                self.attempts(|| self.once(&Method::GET, &url, &[], self.basic().as_deref(), Content::Nothing))?
            }
        };
        if answer.status != 200 {
            return Err(self.error("get a token for", &answer.refused()));
        }
        let body: Value = serde_json::from_slice(&answer.bytes()?).unwrap_or(Value::Null);
        let token = ["token", "access_token"].iter().find_map(|name| body[*name].as_str().filter(|it| !it.is_empty()));
        token.map(str::to_owned).ok_or_else(|| refused("its server answered without a token".to_owned()))
    }
}

fn secure_agent(is_insecure: bool) -> Result<Agent> {
    let mut tls = TlsConfig::builder().disable_verification(is_insecure);
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        let pem = host_files::bytes(&file).or_cannot("read")?;
        let certificates = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates.collect::<Vec<_>>()));
    }
    Ok(configured().tls_config(tls.build()).build().new_agent())
}

fn configured() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("cargo-rootfs/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
}

/// Returns whether a retry may help: every error but a permanent refusal.
fn is_passing(error: &Error) -> bool {
    use ureq::Error as E;
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<E>());
    match cause {
        Some(E::Io(error)) => !is_untrusted(error),
        cause => matches!(cause, Some(E::Timeout(_) | E::ConnectionFailed | E::Protocol(_))),
    }
}

/// True for a server whose certificate has no trusted issuer: rustls reports that as a read error.
fn is_untrusted(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData && error.to_string().contains("certificate")
}

fn unreachable_registry(host: &str, error: Error) -> Error {
    use std::error::Error as _;
    let untrusted = match error.source().and_then(|source| source.downcast_ref::<ureq::Error>()) {
        Some(ureq::Error::Io(error)) => is_untrusted(error),
        Some(ureq::Error::Rustls(_)) => true,
        _ => false,
    };
    let failed = Error::failed(format!("cannot reach the registry {host}")).with_source(error);
    match untrusted {
        true => failed.help(format!(
            "name the registry's authority, `export SSL_CERT_FILE=FILE`, or skip the verification: --insecure-registry {host}"
        )),
        false => failed,
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// A URL for error messages: a query may contain a signature.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

/// Encodes a value of a query or a form (RFC 3986; unreserved characters stay).
pub(super) fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
