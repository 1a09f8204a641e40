//! The messages between the host's side and the inside, and their encoding.
//!
//! Both ends are the same program, so the format has no versions.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Bind, Command, Ended, Network, Way};

/// A failure inside: the error, and the object that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The rest of a sentence after "cannot".
    pub(super) what: String,
    pub(super) errno: i32,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        Self { what: what.into(), errno: error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()) }
    }

    /// The connection to the host's side is lost.
    pub(super) fn lost(error: io::Error) -> Self {
        Self::new("talk to cargo rootfs", error)
    }

    /// The other side sent a message that is invalid in this state.
    pub(super) fn nonsense() -> Self {
        Self::lost(io::ErrorKind::InvalidData.into())
    }
}

/// Messages from inside to the host.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FromInside {
    /// The namespaces exist and need their user and group maps.
    Unshared,
    /// Init has this process id.
    Passed(i32),
    /// The directory sent with it is ready to be filled; `refers` is true if large files may be referenced.
    Empty { refers: bool },
    /// The overlay cannot be mounted with these references.
    NoOverlay,
    /// The rootfs is ready.
    Furnished { notes: Vec<String> },
    /// The command is running.
    Started,
    /// The command has stopped, with all processes of its own group.
    Stopped,
    /// The command has ended.
    Ended(Ended),
    /// The last message: something failed.
    Failed(Failure),
    /// The command cannot be executed (errno).
    NotStarted(i32),
}

/// Messages from the host to inside.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToInside {
    /// The user and group maps are written.
    Mapped,
    /// The tree to make, without its files.
    Orders(Orders),
    /// The files are written.
    Filled(Place),
    /// Run this; the file sent with it is the command's standard input.
    Start(Command),
    /// Pass a signal on; `by_terminal` is true if the whole foreground group has received it.
    Signal { number: i32, by_terminal: bool },
}

/// The requested properties of the rootfs and its mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) way: Way,
    pub(super) network: Network,
    pub(super) binds: Vec<Bind>,
    /// The contents of `/etc/resolv.conf`, if the rootfs has none.
    pub(super) resolv_conf: Option<Vec<u8>>,
    /// The device of the controlling terminal.
    pub(super) terminal: Option<OsString>,
    pub(super) emulator: Emulator,
}

/// The location of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// In the directory `lower`; the large files are in these host directories.
    Overlay(Vec<OsString>),
    /// All in this directory of the tmpfs.
    Memory(String),
    /// In a directory of the host.
    Folder(#[serde(with = "path")] PathBuf),
    /// In a directory of the host, under an overlay that takes the writes.
    Below(#[serde(with = "path")] PathBuf),
}

/// The emulator for programs of another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Emulator {
    /// The kernel runs the programs, or opens its emulator itself.
    Kernel,
    /// The kernel looks for its emulator inside: the first path is the host's, the second one is inside.
    Bound(#[serde(with = "path")] PathBuf, #[serde(with = "path")] PathBuf),
    /// Register `program` for files that begin with `magic`, compared where `mask` has ones.
    Registered {
        #[serde(with = "path")]
        program: PathBuf,
        magic: Vec<u8>,
        mask: Vec<u8>,
    },
}

/// Serializes a host path as bytes; serde's own form is text.
pub(super) mod path {
    use std::ffi::{OsStr, OsString};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::enter) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        let bytes: &OsStr = path.as_ref();
        bytes.serialize(to)
    }

    pub(in crate::enter) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

/// Serializes a rootfs path as bytes.
pub(super) mod rootfs_path {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::path::RootfsPath;

    pub(in crate::enter) fn serialize<S: Serializer>(path: &RootfsPath, to: S) -> Result<S::Ok, S::Error> {
        path.as_bytes().serialize(to)
    }

    pub(in crate::enter) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RootfsPath, D::Error> {
        let bytes = Vec::deserialize(from)?;
        RootfsPath::from_bytes(&bytes).ok_or_else(|| D::Error::custom("a path is not absolute"))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fmt::Debug;
    use std::os::unix::ffi::OsStrExt;

    use serde::de::DeserializeOwned;

    use super::super::Access;
    use super::super::channel::{read, written};
    use super::*;
    use crate::path::RootfsPath;

    fn arrives<M: Serialize + DeserializeOwned + PartialEq + Debug>(messages: &[M]) {
        for message in messages {
            assert_eq!(&read::<M>(&written(message).unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        arrives(&[
            FromInside::Unshared,
            FromInside::Passed(1 << 22),
            FromInside::Empty { refers: true },
            FromInside::NoOverlay,
            FromInside::Furnished { notes: vec!["a".to_owned(), String::new()] },
            FromInside::Started,
            FromInside::Stopped,
            FromInside::Ended(Ended::Exited(255)),
            FromInside::Ended(Ended::Killed(9)),
            FromInside::Failed(Failure { what: "do it".to_owned(), errno: 13 }),
            FromInside::NotStarted(2),
        ]);
        let orders = |emulator| Orders {
            way: Way::Chroot,
            network: Network::None,
            binds: vec![Bind {
                source: "/a b".into(),
                destination: RootfsPath::parse("/c").unwrap(),
                access: Access::ReadOnly,
            }],
            resolv_conf: Some(b"nameserver\n".to_vec()),
            terminal: None,
            emulator,
        };
        let command = Command {
            words: vec!["sh".into(), OsStr::from_bytes(b"\xff").into()],
            env: vec![("A".into(), "b=c".into())],
            workdir: RootfsPath::root(),
            user: Some((u32::MAX - 1, 0)),
        };
        arrives(&[
            ToInside::Mapped,
            ToInside::Orders(orders(Emulator::Kernel)),
            ToInside::Orders(orders(Emulator::Bound("/q".into(), "/r".into()))),
            ToInside::Orders(orders(Emulator::Registered { program: "/q".into(), magic: vec![0, 1], mask: vec![2] })),
            ToInside::Filled(Place::Overlay(vec!["/usr".into(), "/opt".into()])),
            ToInside::Filled(Place::Memory("copy".to_owned())),
            ToInside::Filled(Place::Folder("/x".into())),
            ToInside::Filled(Place::Below("/x".into())),
            ToInside::Start(command),
            ToInside::Signal { number: 15, by_terminal: true },
        ]);
    }

    #[test]
    fn what_nobody_sends_is_an_error() {
        for body in [&b""[..], b"{\"Started\":", b"\"Mapped\" \"Mapped\"", b"{\"Overlay\":[]}"] {
            assert!(read::<FromInside>(body).is_err(), "{body:?}");
            assert!(read::<ToInside>(body).is_err(), "{body:?}");
        }
    }
}
