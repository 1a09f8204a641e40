//! A socket between two processes of this program: carries messages as bytes, and open files with them.
//!
//! `message` defines the contents.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One end of the socket. It closes when its process ends.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

/// The maximum number of files in one message.
const FILES: usize = 1;

impl Channel {
    /// Makes a socket: this process's end, and the end for the process that is started next.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self(here), there.into()))
    }

    /// The end that this process got as its standard input, the only descriptor with a known number.
    pub(super) fn of_standard_input() -> io::Result<Self> {
        Ok(Self(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?)))
    }

    /// Closes the connection; the other end reads an end of file.
    pub(super) fn close(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Sends one message, with an optional file.
    pub(super) fn send(&self, message: &impl Serialize, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let body = written(message)?;
        let length = (body.len() as u64).to_ne_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = file.into_iter().collect();
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&files));
        }
        // The file travels with the first byte. A socket that is being read always has room for eight bytes.
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL)?;
        (&self.0).write_all(&body)
    }

    /// Receives one message and its file. The error has the kind `UnexpectedEof` if the other end is closed.
    pub(super) fn receive<M: DeserializeOwned>(&self) -> io::Result<(M, Option<OwnedFd>)> {
        let mut length = [0; 8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut into = [IoSliceMut::new(&mut length)];
            match rustix::net::recvmsg(&self.0, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?.bytes,
            }
        };
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (&self.0).read_exact(&mut length[received..])?;
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        let mut body = vec![0; usize::try_from(u64::from_ne_bytes(length)).map_err(|_| malformed())?];
        (&self.0).read_exact(&mut body)?;
        Ok((read(&body)?, file))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message between two parts of cargo rootfs makes no sense")
}

/// Encodes a message.
pub(super) fn written(message: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(message)?)
}

/// Decodes a message from [`written`].
pub(super) fn read<M: DeserializeOwned>(bytes: &[u8]) -> io::Result<M> {
    serde_json::from_slice(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::Seek;
    use std::os::unix::ffi::OsStringExt;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Text(OsString);

    fn pair() -> (Channel, Channel) {
        let (here, there) = Channel::pair().unwrap();
        (here, Channel(UnixStream::from(there)))
    }

    #[test]
    fn messages_arrive_one_by_one() {
        let (here, there) = pair();
        // More than a socket buffer holds (net.core.wmem_default), so the message arrives in pieces.
        let long = Text(OsString::from_vec(vec![b'x'; 1 << 20]));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for message in [&Text("short".into()), &long, &Text(OsString::new())] {
                    here.send(message, None).unwrap();
                }
            });
            for length in [5, 1 << 20, 0] {
                let (Text(text), file) = there.receive().unwrap();
                assert_eq!((text.len(), file.is_none()), (length, true));
            }
        });
    }

    #[test]
    fn a_file_arrives_with_its_message() {
        let (here, there) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"bytes").unwrap();
        here.send(&Text("with".into()), Some(file.as_fd())).unwrap();
        here.send(&Text("without".into()), None).unwrap();
        let mut received = File::from(there.receive::<Text>().unwrap().1.unwrap());
        let mut bytes = String::new();
        received.rewind().unwrap();
        received.read_to_string(&mut bytes).unwrap();
        assert_eq!(bytes, "bytes");
        assert!(there.receive::<Text>().unwrap().1.is_none());
    }

    #[test]
    fn who_is_gone_is_heard() {
        let (here, there) = pair();
        drop(there);
        assert_eq!(here.receive::<Text>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (here, there) = pair();
        here.close();
        assert_eq!(there.receive::<Text>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
