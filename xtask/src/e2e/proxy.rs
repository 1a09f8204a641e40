//! A proxy on loopback that supports CONNECT (RFC 9110, 9.3.6), and records the requested targets.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result};

/// It serves until the process ends.
pub(super) struct Proxy {
    pub(super) host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(super) fn start() -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let host = listener.local_addr().context("a port")?.to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let asked = Arc::clone(&known);
                // A broken connection is reported by its client.
                thread::spawn(move || drop(serve(client, &asked)));
            }
        });
        Ok(Proxy { host, asked })
    }

    /// The targets since the last call.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().map(|mut asked| std::mem::take(&mut *asked)).unwrap_or_default()
    }
}

fn serve(client: TcpStream, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    from_client.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
    if let Ok(mut asked) = asked.lock() {
        asked.push(target.clone());
    }
    let mut header = String::new();
    while from_client.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut to_client = client;
    if method != "CONNECT" {
        return to_client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
    }
    let mut to_server = TcpStream::connect(&target)?;
    let mut from_server = to_server.try_clone()?;
    to_client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Write);
    });
    io::copy(&mut from_client, &mut to_server)?;
    to_server.shutdown(std::net::Shutdown::Write)
}
