//! What the two sides of the door say to each other, and how it is written.
//!
//! Both ends are the same program, so the format has no versions.

use std::io;
use std::path::PathBuf;

use super::channel::{Message, Reader, Writer};
use super::{Access, Bind, Command, Ended, Network, Way};
/// What went wrong inside, and at what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// As in "cannot <what>".
    pub(super) what: String,
    pub(super) errno: i32,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        Self { what: what.into(), errno: error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()) }
    }

    /// The host is no longer there to talk to.
    pub(super) fn lost(error: io::Error) -> Self {
        Self::new("talk to cargo rootfs", error)
    }

    /// It said what cannot be said now.
    pub(super) fn nonsense() -> Self {
        Self::lost(io::ErrorKind::InvalidData.into())
    }
}

/// From inside to the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromInside {
    /// The namespaces are there, and want to be told who is who in them.
    Unshared,
    /// This process is the first one in them.
    Passed(i32),
    /// The folder that comes with it waits to be filled; whether large files may be referred to.
    Empty { refers: bool },
    /// The overlay cannot be had with these files referred to.
    NoOverlay,
    /// Everything is in its place.
    Furnished { notes: Vec<String> },
    /// The command runs.
    Started,
    /// The command has stopped, and the processes of its own group with it.
    Stopped,
    /// The command has ended.
    Ended(Ended),
    /// Nothing more will come.
    Failed(Failure),
    /// The command could not be executed.
    NotStarted(i32),
}

/// From the host to inside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToInside {
    /// The users are mapped.
    Mapped,
    /// What to make, but for the files.
    Orders(Orders),
    /// The files are there.
    Filled(Place),
    /// Run this, with the file that comes with it as its standard input.
    Start(Command),
    /// Pass a signal on; whether everybody in the terminal's foreground group has got it as well.
    Signal { number: i32, by_terminal: bool },
}

/// What the inside is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) way: Way,
    pub(super) network: Network,
    pub(super) binds: Vec<Bind>,
    /// For `/etc/resolv.conf`, where the rootfs has none.
    pub(super) resolv_conf: Option<Vec<u8>>,
    /// The device of the terminal.
    pub(super) terminal: Option<PathBuf>,
    pub(super) emulator: Emulator,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the folder `lower`; the large ones in these folders of the host.
    Overlay(Vec<PathBuf>),
    /// In this folder beside it, all of them.
    Memory(String),
    /// In a folder of the host.
    Folder(PathBuf),
    /// In a folder of the host, which what is written inside does not change.
    Below(PathBuf),
}

/// What lets programs for another machine run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Emulator {
    /// The kernel runs them, or opens its emulator itself.
    Kernel,
    /// The kernel looks for its emulator, the first path, at the second one inside.
    Bound(PathBuf, PathBuf),
    /// The kernel is to be told: with this emulator, for files that begin with the bytes of `magic` where `mask` has
    /// ones.
    Registered { program: PathBuf, magic: Vec<u8>, mask: Vec<u8> },
}

impl Message for FromInside {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Unshared => to.number(0),
            Self::Passed(pid) => to.numbers(&[1, i64::from(*pid)]),
            Self::Empty { refers } => to.numbers(&[2, i64::from(*refers)]),
            Self::NoOverlay => to.number(3),
            Self::Furnished { notes } => {
                to.number(4);
                to.list(notes, |to, note| to.text(note));
            }
            Self::Started => to.number(5),
            Self::Stopped => to.number(6),
            Self::Ended(Ended::Exited(code)) => to.numbers(&[7, i64::from(*code)]),
            Self::Ended(Ended::Killed(signal)) => to.numbers(&[8, i64::from(*signal)]),
            Self::Failed(Failure { what, errno }) => {
                to.number(9);
                to.text(what);
                to.number((*errno).into());
            }
            Self::NotStarted(errno) => to.numbers(&[10, i64::from(*errno)]),
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.number()? {
            0 => Self::Unshared,
            1 => Self::Passed(from.id()?),
            2 => Self::Empty { refers: from.number()? != 0 },
            3 => Self::NoOverlay,
            4 => Self::Furnished { notes: from.list(Reader::string)? },
            5 => Self::Started,
            6 => Self::Stopped,
            7 => Self::Ended(Ended::Exited(from.id()?)),
            8 => Self::Ended(Ended::Killed(from.id()?)),
            9 => Self::Failed(Failure { what: from.string()?, errno: from.id()? }),
            10 => Self::NotStarted(from.id()?),
            _ => return None,
        })
    }
}

impl Message for ToInside {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Mapped => to.number(0),
            Self::Orders(orders) => {
                to.number(1);
                orders.write(to);
            }
            Self::Filled(place) => {
                to.number(2);
                match place {
                    Place::Overlay(folders) => {
                        to.number(0);
                        to.list(folders, |to, folder| to.text(folder));
                    }
                    Place::Memory(name) => {
                        to.number(1);
                        to.text(name);
                    }
                    Place::Folder(folder) => {
                        to.number(2);
                        to.text(folder);
                    }
                    Place::Below(folder) => {
                        to.number(3);
                        to.text(folder);
                    }
                }
            }
            Self::Start(command) => {
                to.number(3);
                command.write(to);
            }
            Self::Signal { number, by_terminal } => {
                to.numbers(&[4, i64::from(*number), i64::from(*by_terminal)]);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.number()? {
            0 => Self::Mapped,
            1 => Self::Orders(Orders::read(from)?),
            2 => Self::Filled(match from.number()? {
                0 => Place::Overlay(from.list(|from| from.text().map(PathBuf::from))?),
                1 => Place::Memory(from.string()?),
                2 => Place::Folder(from.text()?.into()),
                3 => Place::Below(from.text()?.into()),
                _ => return None,
            }),
            3 => Self::Start(Command::read(from)?),
            4 => Self::Signal { number: from.id()?, by_terminal: from.number()? != 0 },
            _ => return None,
        })
    }
}

impl Message for Orders {
    fn write(&self, to: &mut Writer) {
        to.number(self.way as i64);
        to.number(self.network as i64);
        to.list(&self.binds, |to, bind| {
            to.text(&bind.source);
            to.bytes(bind.destination.as_bytes());
            to.number(bind.access as i64);
        });
        to.option(&self.resolv_conf, |to, bytes| to.bytes(bytes));
        to.option(&self.terminal, |to, path| to.text(path));
        match &self.emulator {
            Emulator::Kernel => to.number(0),
            Emulator::Bound(program, path) => {
                to.number(1);
                to.text(program);
                to.text(path);
            }
            Emulator::Registered { program, magic, mask } => {
                to.number(2);
                to.text(program);
                to.bytes(magic);
                to.bytes(mask);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            way: Way::ALL.into_iter().nth(from.id()?)?,
            network: [Network::Host, Network::None].into_iter().nth(from.id()?)?,
            binds: from.list(|from| {
                Some(Bind {
                    source: from.text()?.into(),
                    destination: from.rootfs_path()?,
                    access: [Access::ReadWrite, Access::ReadOnly].into_iter().nth(from.id()?)?,
                })
            })?,
            resolv_conf: from.option(|from| from.bytes().map(<[u8]>::to_vec))?,
            terminal: from.option(|from| from.text().map(PathBuf::from))?,
            emulator: match from.number()? {
                0 => Emulator::Kernel,
                1 => Emulator::Bound(from.text()?.into(), from.text()?.into()),
                2 => Emulator::Registered {
                    program: from.text()?.into(),
                    magic: from.bytes()?.to_vec(),
                    mask: from.bytes()?.to_vec(),
                },
                _ => return None,
            },
        })
    }
}

impl Message for Command {
    fn write(&self, to: &mut Writer) {
        to.list(&self.words, |to, word| to.text(word));
        to.list(&self.env, |to, (name, value)| {
            to.text(name);
            to.text(value);
        });
        to.bytes(self.workdir.as_bytes());
        to.option(&self.user, |to, (user, group)| {
            to.number((*user).into());
            to.number((*group).into());
        });
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            words: from.list(Reader::text)?,
            env: from.list(|from| Some((from.text()?, from.text()?)))?,
            workdir: from.rootfs_path()?,
            user: from.option(|from| Some((from.id()?, from.id()?)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fmt::Debug;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::path::RootfsPath;

    fn arrives<M: Message + PartialEq + Debug>(messages: &[M]) {
        for message in messages {
            let mut written = Writer::default();
            message.write(&mut written);
            assert_eq!(M::read(&mut Reader::new(written.as_bytes())).as_ref(), Some(message));
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
        for body in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\x7f", &[7, 0, 0, 0, 0, 0, 0, 0, 1]] {
            assert!(FromInside::read(&mut Reader::new(body)).is_none(), "{body:?}");
            assert!(ToInside::read(&mut Reader::new(body)).is_none(), "{body:?}");
        }
        // A list that claims to be longer than there are bytes is not made.
        let lies = [&4_i64.to_ne_bytes()[..], &i64::MAX.to_ne_bytes()].concat();
        assert!(FromInside::read(&mut Reader::new(&lies)).is_none());
    }
}
