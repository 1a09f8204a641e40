//! A socket between two processes of this program: messages as bytes, and open files beside them.
//!
//! What the messages say is not known here.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use crate::path::RootfsPath;

/// One end of the socket. The other end is gone when its process is.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

/// Files that go with one message, at most.
const FILES: usize = 1;

impl Channel {
    /// This process's end, and the one to start another process with.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self(here), there.into()))
    }

    /// The end that this process was started with, as its standard input: the one file whose number is known.
    pub(super) fn of_standard_input() -> io::Result<Self> {
        Ok(Self(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?)))
    }

    /// Nothing more is said: the other end hears that this one is gone.
    pub(super) fn close(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Sends one message, and a file with it.
    pub(super) fn send(&self, message: &impl Message, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut body = Writer::default();
        message.write(&mut body);
        let length = (body.as_bytes().len() as u64).to_ne_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = file.into_iter().collect();
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&files));
        }
        // Files travel with the first byte; eight bytes always fit into a socket that is being read.
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL)?;
        (&self.0).write_all(body.as_bytes())
    }

    /// The next message, and the file that came with it; an error of kind `UnexpectedEof` where the other end is gone.
    pub(super) fn receive<M: Message>(&self) -> io::Result<(M, Option<OwnedFd>)> {
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
        Ok((M::read(&mut Reader::new(&body)).ok_or_else(malformed)?, file))
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

/// What can be sent.
pub(super) trait Message: Sized {
    fn write(&self, to: &mut Writer);
    /// `None` for what was not written by [`write`](Message::write).
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Bytes that grow.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_ne_bytes());
    }

    pub(super) fn numbers(&mut self, numbers: &[i64]) {
        numbers.iter().for_each(|number| self.number(*number));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as i64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: impl AsRef<OsStr>) {
        self.bytes(text.as_ref().as_bytes());
    }

    pub(super) fn list<T>(&mut self, list: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(list.len() as i64);
        list.iter().for_each(|item| each(self, item));
    }

    pub(super) fn option<T>(&mut self, option: &Option<T>, each: impl FnMut(&mut Self, &T)) {
        self.list(option.as_slice(), each);
    }
}

/// Bytes that were written.
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn number(&mut self) -> Option<i64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_ne_bytes(*number))
    }

    pub(super) fn id<T: TryFrom<i64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.id()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<OsString> {
        Some(OsString::from_vec(self.bytes()?.to_vec()))
    }

    pub(super) fn string(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    pub(super) fn rootfs_path(&mut self) -> Option<RootfsPath> {
        RootfsPath::from_bytes(self.bytes()?)
    }

    pub(super) fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length: usize = self.id()?;
        (0..length).map(|_| each(self)).collect()
    }

    pub(super) fn option<T>(&mut self, each: impl FnMut(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(self.list(each)?.pop())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Seek;

    use super::*;

    /// Any text.
    #[derive(Debug, PartialEq, Eq)]
    struct Text(OsString);

    impl Message for Text {
        fn write(&self, to: &mut Writer) {
            to.text(&self.0);
        }

        fn read(from: &mut Reader<'_>) -> Option<Self> {
            from.text().map(Self)
        }
    }

    fn pair() -> (Channel, Channel) {
        let (here, there) = Channel::pair().unwrap();
        (here, Channel(UnixStream::from(there)))
    }

    #[test]
    fn messages_arrive_one_by_one() {
        let (here, there) = pair();
        // More than a socket holds (net.core.wmem_default), so that it arrives in pieces.
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
