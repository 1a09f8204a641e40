//! A connection to a registry that breaks during an upload.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// A proxy before a registry. It ends with the process.
pub(super) struct Proxy {
    pub(super) host: String,
    /// The bytes that clients may still send.
    left: Arc<AtomicU64>,
}

/// More bytes than any scenario sends.
const ENOUGH: u64 = u64::MAX / 2;

impl Proxy {
    /// A proxy before the address `registry`, through which clients can send `bytes`.
    pub(super) fn new(registry: &str, bytes: u64) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").context("find a port")?;
        let host = listener.local_addr().context("find a port")?.to_string();
        let left = Arc::new(AtomicU64::new(bytes));
        let (registry, shared) = (registry.to_owned(), Arc::clone(&left));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Closed at once, as by a registry that is down.
                if shared.load(Ordering::SeqCst) == 0 {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&registry) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                let left = Arc::clone(&shared);
                std::thread::spawn(move || forward(from, to, Some(&left)));
                std::thread::spawn(move || forward(server, client, None));
            }
        });
        Ok(Proxy { host, left })
    }

    /// Lets everything through from now on.
    pub(super) fn mend(&self) {
        self.left.store(ENOUGH, Ordering::SeqCst);
    }
}

/// Copies until the end, or until `left` is used up.
fn forward(mut from: TcpStream, mut to: TcpStream, left: Option<&AtomicU64>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(left) = left {
            let took = |left: u64| Some(left.saturating_sub(count as u64));
            let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, took).unwrap_or_default();
            if before <= count as u64 {
                break;
            }
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
