//! The system calls with a path, by number: the position of the path, and the purpose of the call.
//!
//! Calls that make, change or remove names, and sockets, are left out: no such path could be packed.

use super::Access;

/// The numbering of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "a machine has one or two of them")]
pub(super) enum Abi {
    /// arch/x86/entry/syscalls/syscall_64.tbl
    X86_64,
    /// arch/x86/entry/syscalls/syscall_32.tbl
    X86,
    /// scripts/syscall.tbl: aarch64, riscv64 and all newer ones
    Generic,
}

/// The action of a call on its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// open(2), with the argument of its flags.
    Open(Flags),
    Look,
    /// readlink(2)
    Follow,
    Execute,
    /// Makes the path the root.
    Root,
}

/// The position of the flags of open(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flags {
    /// In this argument.
    In(usize),
    /// Eight bytes at the address in this argument (openat2(2), `struct open_how`).
    At(usize),
}

/// A call, by the positions of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) verb: Verb,
    /// The directory of a relative path; `None` means the current one.
    pub(super) folder: Option<usize>,
    pub(super) path: usize,
}

const fn plain(verb: Verb) -> Call {
    Call { verb, folder: None, path: 0 }
}

/// A call whose name ends in `at`.
const fn at(verb: Verb) -> Call {
    Call { verb, folder: Some(0), path: 1 }
}

/// The number of a call that does not exist.
const NONE: u64 = u64::MAX;

/// By [`Abi`]; names are for readers.
const CALLS: &[(&str, [u64; 3], Call)] = &[
    ("open", [2, 5, NONE], plain(Verb::Open(Flags::In(1)))),
    ("openat", [257, 295, 56], at(Verb::Open(Flags::In(2)))),
    ("openat2", [437, 437, 437], at(Verb::Open(Flags::At(2)))),
    ("execve", [59, 11, 221], plain(Verb::Execute)),
    ("execveat", [322, 358, 281], at(Verb::Execute)),
    ("stat", [4, 106, NONE], plain(Verb::Look)),
    ("stat64", [NONE, 195, NONE], plain(Verb::Look)),
    ("lstat", [6, 107, NONE], plain(Verb::Look)),
    ("lstat64", [NONE, 196, NONE], plain(Verb::Look)),
    ("newfstatat", [262, 300, 79], at(Verb::Look)),
    ("statx", [332, 383, 291], at(Verb::Look)),
    ("access", [21, 33, NONE], plain(Verb::Look)),
    ("faccessat", [269, 307, 48], at(Verb::Look)),
    ("faccessat2", [439, 439, 439], at(Verb::Look)),
    ("readlink", [89, 85, NONE], plain(Verb::Follow)),
    ("readlinkat", [267, 305, 78], at(Verb::Follow)),
    ("chdir", [80, 12, 49], plain(Verb::Look)),
    ("chroot", [161, 61, 51], plain(Verb::Root)),
];

/// The call with this number, if it has a path.
pub(super) fn find(abi: Abi, number: u64) -> Option<Call> {
    let found = CALLS.iter().find(|(_, numbers, _)| numbers[abi as usize] == number && number != NONE);
    found.map(|(_, _, call)| *call)
}

/// Constants of open(2), the same for all [`Abi`]s.
const ACCESS_MODE: u64 = 0o3;
const READ_ONLY: u64 = 0o0;
const CREATE: u64 = 0o100;

/// The access that flags of open(2) request.
pub(super) fn opened_for(flags: u64) -> Access {
    let creates = flags & CREATE != 0;
    if flags & ACCESS_MODE == READ_ONLY && !creates { Access::Open } else { Access::Write }
}

#[cfg(test)]
mod tests {
    use rustix::fs::OFlags;

    use super::*;

    /// The host's numbers must equal those of its C library.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn numbers_are_those_of_the_c_library() {
        use nix::libc;
        let abi = if cfg!(target_arch = "x86_64") { Abi::X86_64 } else { Abi::Generic };
        for (name, number) in [
            ("openat", libc::SYS_openat),
            ("openat2", libc::SYS_openat2),
            ("execve", libc::SYS_execve),
            ("execveat", libc::SYS_execveat),
            ("newfstatat", libc::SYS_newfstatat),
            ("statx", libc::SYS_statx),
            ("faccessat", libc::SYS_faccessat),
            ("faccessat2", libc::SYS_faccessat2),
            ("readlinkat", libc::SYS_readlinkat),
            ("chdir", libc::SYS_chdir),
            ("chroot", libc::SYS_chroot),
            #[cfg(target_arch = "x86_64")]
            ("open", libc::SYS_open),
            #[cfg(target_arch = "x86_64")]
            ("stat", libc::SYS_stat),
            #[cfg(target_arch = "x86_64")]
            ("lstat", libc::SYS_lstat),
            #[cfg(target_arch = "x86_64")]
            ("access", libc::SYS_access),
            #[cfg(target_arch = "x86_64")]
            ("readlink", libc::SYS_readlink),
        ] {
            let row = CALLS.iter().find(|(known, ..)| *known == name).unwrap();
            assert_eq!(row.1[abi as usize], number as u64, "{name}");
            assert_eq!(find(abi, number as u64), Some(row.2), "{name}");
        }
        assert_eq!(find(abi, libc::SYS_write as u64), None);
        assert_eq!(find(abi, NONE), None, "what no call is");
    }

    #[test]
    fn what_is_made_is_no_input() {
        let bits = |flags: OFlags| u64::from(flags.bits());
        assert_eq!(opened_for(bits(OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY)), Access::Open);
        for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::RDONLY | OFlags::CREATE] {
            assert_eq!(opened_for(bits(flags)), Access::Write, "{flags:?}");
        }
    }
}
