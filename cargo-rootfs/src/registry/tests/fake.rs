//! A registry of the distribution specification on loopback, with a log of requests and faults that occur once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::registry::client::digest;

/// The accepted credentials of a registry with authentication.
pub(crate) const USER: &str = "me:secret";
const BASIC: &str = "Basic bWU6c2VjcmV0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    None,
    Basic,
    Token,
}

/// A fault of the first request whose line contains `to`.
pub(crate) struct Fault {
    pub(crate) to: &'static str,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// A status, headers (each with its line end), and a body.
    Answer(u16, &'static str, &'static str),
    /// The connection ends after this number of bytes of the request's body.
    Break(usize),
    /// The connection ends after this number of bytes of the response's body.
    Cut(usize),
    /// All issued tokens become invalid.
    Expire,
}

#[derive(Default)]
pub(crate) struct State {
    /// Method, path and query of each request, with ` +auth` if it had credentials.
    pub(crate) log: Vec<String>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifests: BTreeMap<String, Vec<u8>>,
    pub(crate) faults: Vec<Fault>,
    /// An action before the request of this number.
    pub(crate) hook: Option<(usize, Box<dyn FnOnce() + Send>)>,
    /// True for a registry with the referrers API.
    pub(crate) referrers: bool,
    tokens: usize,
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) host: String,
    auth: Auth,
    /// Another host for uploads.
    uploads: Option<String>,
    pub(crate) state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    target: String,
    authorization: Option<String>,
    length: usize,
}

impl Fake {
    pub(crate) fn start(auth: Auth) -> Fake {
        Fake::start_with(auth, None)
    }

    pub(crate) fn start_with(auth: Auth, uploads: Option<String>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let fake = Fake { host, auth, uploads, state: Arc::default() };
        let served = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = served.clone();
                thread::spawn(move || fake.serve(stream));
            }
        });
        fake
    }

    pub(crate) fn fault(&self, to: &'static str, what: What) {
        self.state.lock().unwrap().faults.push(Fault { to, what });
    }

    /// The requests since the last call, without those of the authentication.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state.lock().unwrap().log);
        log.into_iter().filter(|line| !line.starts_with("GET /v2/ ") && !line.starts_with("GET /token")).collect()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(request) = head(&mut reader) else { return };
        let line = format!("{} {}", request.method, request.target);
        let hook = {
            let mut state = self.state.lock().unwrap();
            match state.hook.take() {
                Some((0, hook)) => Some(hook),
                Some((before, hook)) => {
                    state.hook = Some((before - 1, hook));
                    None
                }
                None => None,
            }
        };
        hook.into_iter().for_each(|hook| hook());
        let fault = {
            let mut state = self.state.lock().unwrap();
            let has = if request.authorization.is_some() { " +auth" } else { "" };
            state.log.push(format!("{line}{has} "));
            // A body that is too short to break in the middle is another fault's: its sender waits for the answer.
            let is_long = |what: &What| !matches!(what, What::Break(after) if *after > request.length);
            let at = state.faults.iter().position(|fault| line.contains(fault.to) && is_long(&fault.what));
            at.map(|at| state.faults.remove(at).what)
        };
        let (mut body, mut cut) = (Vec::new(), usize::MAX);
        match fault {
            Some(What::Cut(after)) => cut = after,
            Some(What::Break(after)) => {
                let _ = reader.take(after as u64).read_to_end(&mut body);
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            Some(What::Expire) => self.state.lock().unwrap().tokens += 1,
            Some(What::Answer(status, headers, text)) => {
                let _ = reader.take(request.length as u64).read_to_end(&mut body);
                return answer(stream, &request.method, status, headers, text.as_bytes(), cut);
            }
            None => {}
        }
        let _ = reader.take(request.length as u64).read_to_end(&mut body);
        let (status, headers, bytes) = self.answer(&request, body);
        answer(stream, &request.method, status, &headers, &bytes, cut);
    }

    fn answer(&self, request: &Request, body: Vec<u8>) -> (u16, String, Vec<u8>) {
        let mut state = self.state.lock().unwrap();
        let current = format!("Bearer token-{}", state.tokens);
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let given = request.authorization.as_deref();
        if path == "/token" {
            let text = format!("{{\"access_token\":\"token-{}\"}}", state.tokens);
            return if given == Some(BASIC) {
                (200, String::new(), text.into())
            } else {
                (401, String::new(), Vec::new())
            };
        }
        let (may, challenge) = match self.auth {
            Auth::None => (true, String::new()),
            Auth::Basic => (given == Some(BASIC), "Www-Authenticate: Basic realm=\"here\"\r\n".to_owned()),
            Auth::Token => (
                given == Some(&current),
                format!(
                    "Www-Authenticate: Negotiate, Bearer realm=\"http://{}/token\",service=\"it\",scope=\"a:b:pull,push\"\r\n",
                    self.host
                ),
            ),
        };
        if !may {
            return (
                401,
                challenge,
                br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#.into(),
            );
        }
        let parameter = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            pair.map(|value| value.replace("%3A", ":").replace("%2F", "/"))
        };
        let last = path.rsplit('/').next().unwrap_or_default().to_owned();
        let stored = |digest: &str| format!("Docker-Content-Digest: {digest}\r\n");
        match (request.method.as_str(), path) {
            ("GET", "/v2/") => (200, String::new(), Vec::new()),
            ("POST", _) if parameter("mount").is_some_and(|digest| state.blobs.contains_key(&digest)) => {
                (201, String::new(), Vec::new())
            }
            ("POST", _) => {
                let place = self.uploads.as_ref().map(|host| format!("http://{host}")).unwrap_or_default();
                (202, format!("Location: {place}{path}session?state=a%20b\r\n"), Vec::new())
            }
            ("PUT", _) if path.contains("/blobs/uploads/") => {
                let digest = parameter("digest").unwrap_or_default();
                if crate::registry::client::digest(&body) != digest {
                    return (400, String::new(), br#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#.into());
                }
                state.blobs.insert(digest, body);
                (201, String::new(), Vec::new())
            }
            ("PUT", _) => {
                let digest = digest(&body);
                let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let subject = parsed["subject"]["digest"].as_str().filter(|_| state.referrers);
                let subject = subject.map(|digest| format!("OCI-Subject: {digest}\r\n")).unwrap_or_default();
                state.manifests.insert(last, body.clone());
                state.manifests.insert(digest.clone(), body);
                (201, stored(&digest) + &subject, Vec::new())
            }
            (_, _) if path.contains("/referrers/") => match state.referrers {
                true => (200, String::new(), br#"{"manifests":[]}"#.into()),
                false => (404, String::new(), Vec::new()),
            },
            (_, _) if path.contains("/blobs/") => match state.blobs.get(&last) {
                Some(bytes) => (200, String::new(), bytes.clone()),
                None => (404, String::new(), Vec::new()),
            },
            _ => match state.manifests.get(&last) {
                Some(bytes) => (200, stored(&digest(bytes)), bytes.clone()),
                None => (404, String::new(), Vec::new()),
            },
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request { method: words.next()?, target: words.next()?, authorization: None, length: 0 };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Some(request) };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "content-length" => request.length = value.parse().ok()?,
            // Google's registry refuses chunked bodies.
            "transfer-encoding" => panic!("a chunked body"),
            _ => {}
        }
    }
}

fn answer(mut stream: TcpStream, method: &str, status: u16, headers: &str, body: &[u8], cut: usize) {
    let _ =
        write!(stream, "HTTP/1.1 {status} It\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    if method != "HEAD" {
        let _ = stream.write_all(&body[..body.len().min(cut)]);
    }
    let _ = stream.flush();
}
