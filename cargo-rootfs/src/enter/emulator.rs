//! Programs for another machine: run by the kernel's binfmt_misc, or by a qemu-user found on the host.
//!
//! Registers an emulator for the entered rootfs only, and installs nothing.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::message::Emulator;
use crate::elf::{Object, ReadError};
use crate::error::{Error, Result};
use crate::path::DEFAULT_PATH;
use crate::programs;
use crate::target::Machine;

/// The directory of the kernel's registrations (Documentation/admin-guide/binfmt-misc.rst).
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// The emulator's path inside if the kernel cannot register it: in /dev, which is not part of the rootfs.
pub(super) const INSIDE: &str = "/dev/qemu";

/// Finds the emulator that this host needs for programs of `machine`.
pub(super) fn needed(machine: Machine) -> Result<Emulator> {
    let host = Machine::host();
    if machine == host {
        return Ok(Emulator::Kernel);
    }
    let registered = fs::read_dir(REGISTERED).into_iter().flatten().flatten();
    let registered = registered.filter_map(|entry| Registration::parse(&fs::read_to_string(entry.path()).ok()?));
    let header = header(machine);
    let registration = registered.into_iter().find(|registration| registration.matches(&header));
    match registration {
        // With flag F the kernel opened the emulator when it was registered.
        Some(Registration { fixed: true, .. }) => return Ok(Emulator::Kernel),
        Some(Registration { program, .. }) if is_static(&program) => {
            let real = program.canonicalize().map_err(|error| Error::io("find", &program, error))?;
            return Ok(Emulator::Bound(real, program));
        }
        _ => {}
    }
    if let Some(program) = find(machine) {
        return Ok(Emulator::Registered { program, magic: header, mask: mask(machine) });
    }
    // x86_64 kernels run i386 programs, and most aarch64 kernels run arm programs; otherwise execve(2) reports it.
    if host.also_runs(machine) {
        return Ok(Emulator::Kernel);
    }
    Err(absent(machine))
}

/// The error for a host without an emulator for `machine`.
pub(super) fn absent(machine: Machine) -> Error {
    let host = Machine::host();
    let error = Error::failed(format!("the rootfs is for {machine}, and this machine, {host}, cannot run it"));
    let Some(qemu) = machine.qemu() else { return error };
    error
        .detail(format!("no emulator is registered in {REGISTERED}"))
        .detail(format!("no static `qemu-{qemu}-static` or `qemu-{qemu}` is in PATH"))
        .help("install it: `sudo apt install qemu-user-static`, or `sudo dnf install qemu-user-static` on Fedora")
}

/// Finds a statically linked qemu-user.
fn find(machine: Machine) -> Option<PathBuf> {
    let qemu = machine.qemu()?;
    let path = programs::path();
    let folders: Vec<PathBuf> =
        [path.as_os_str(), DEFAULT_PATH.as_ref()].iter().flat_map(std::env::split_paths).collect();
    let names = [format!("qemu-{qemu}-static"), format!("qemu-{qemu}")];
    let files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.filter(|file| file.is_absolute()).find(|file| is_static(file)).and_then(|file| file.canonicalize().ok())
}

/// Returns whether `program` is an executable without a loader: the rootfs has neither its loader nor its libraries.
fn is_static(program: &Path) -> bool {
    let Ok(file) = fs::File::open(program) else { return false };
    let read: std::result::Result<Object, ReadError> = Object::read(&file);
    read.is_ok_and(|object| object.interpreter.is_none())
}

/// The first twenty bytes of an executable (elf(5)): identification, type, machine.
fn header(machine: Machine) -> Vec<u8> {
    let (class, data) = (if machine.is_64 { 2 } else { 1 }, if machine.is_little_endian { 1 } else { 2 });
    let half = |value: u16| if machine.is_little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
    let mut bytes = vec![0x7f, b'E', b'L', b'F', class, data, 1];
    bytes.resize(16, 0);
    bytes.extend(half(2));
    bytes.extend(half(machine.e_machine));
    bytes
}

/// Accepts any OS ABI, and ignores the last bit of the type, so that ET_DYN (3, position-independent) matches too.
fn mask(machine: Machine) -> Vec<u8> {
    let mut mask = vec![0xff; 20];
    mask[7] = 0;
    mask[if machine.is_little_endian { 16 } else { 17 }] = 0xfe;
    mask
}

/// The line that registers `program`. With flag F the kernel opens the emulator now, so every root can use it.
pub(super) fn line(program: &[u8], magic: &[u8], mask: &[u8]) -> Vec<u8> {
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let mut line = format!(":cargo-rootfs:M::{}:{}:", escaped(magic), escaped(mask)).into_bytes();
    line.extend_from_slice(program);
    line.extend_from_slice(b":F");
    line
}

/// The consequence for a rootfs if the kernel cannot register `program`.
pub(super) fn unregistered(program: &Path) -> String {
    format!("programs that the command starts will not run: the kernel does not know of `{}`", program.display())
}

/// The command line that runs `word` in the emulator. The emulator does not search for programs, so `path` is searched
/// here.
pub(super) fn command(emulator: &Path, word: &OsStr, path: &OsStr) -> std::process::Command {
    let program = if word.as_encoded_bytes().contains(&b'/') { None } else { programs::find(word, path) };
    let mut command = std::process::Command::new(emulator);
    // -0 sets the program's argv[0] (`qemu-aarch64 --help`).
    command.arg("-0").arg(word).arg(program.unwrap_or_else(|| word.into()));
    command
}

/// One registration of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Registration {
    program: PathBuf,
    /// Flag F.
    fixed: bool,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Registration {
    /// Parses the kernel's text of one registration; `None` if it is disabled or matches by file extension.
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let bytes = |digits: &str| -> Option<Vec<u8>> {
            let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
            pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
        };
        if text.lines().next() != Some("enabled") || value("offset") != Some("0") {
            return None;
        }
        let magic = bytes(value("magic")?)?;
        let mask = value("mask").and_then(bytes).unwrap_or_else(|| vec![0xff; magic.len()]);
        let fixed = value("flags:").is_some_and(|flags| flags.contains('F'));
        Some(Self { program: value("interpreter")?.into(), fixed, magic, mask })
    }

    fn matches(&self, header: &[u8]) -> bool {
        self.magic.len() <= header.len()
            && self.magic.iter().zip(&self.mask).zip(header).all(|((magic, mask), byte)| (magic ^ byte) & mask == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn machine(arch: &str) -> Machine {
        Target::parse(&format!("{arch}-unknown-linux-gnu")).unwrap().machine()
    }

    /// Debian 12's registration, read from the kernel.
    const AARCH64: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn a_registration_is_for_its_machine_alone() {
        let registration = Registration::parse(AARCH64).unwrap();
        assert!(registration.fixed);
        assert_eq!(registration.program, Path::new("/usr/libexec/qemu-binfmt/aarch64-binfmt-P"));
        assert!(registration.matches(&header(machine("aarch64"))));
        for other in ["x86_64", "riscv64gc", "armv7", "powerpc64", "s390x"] {
            assert!(!registration.matches(&header(machine(other))), "{other}");
        }
    }

    #[test]
    fn what_is_switched_off_or_goes_by_names_is_none() {
        assert_eq!(Registration::parse(&AARCH64.replace("enabled", "disabled")), None);
        assert_eq!(Registration::parse("enabled\ninterpreter /usr/bin/python3\nflags: \nextension .py\n"), None);
        assert!(!Registration::parse(&AARCH64.replace("POCF", "OC")).unwrap().fixed);
    }

    /// Authorities: Documentation/admin-guide/binfmt-misc.rst, and qemu's scripts/qemu-binfmt-conf.sh for the bytes.
    #[test]
    fn our_own_registration_has_the_bytes_of_qemu() {
        let line = |arch| String::from_utf8(line(b"/qemu", &header(machine(arch)), &mask(machine(arch)))).unwrap();
        let bytes = |text: &str| {
            text.as_bytes()
                .chunks(2)
                .map(|pair| format!("\\x{}{}", pair[0] as char, pair[1] as char))
                .collect::<String>()
        };
        let expected = |magic, mask| format!(":cargo-rootfs:M::{}:{}:/qemu:F", bytes(magic), bytes(mask));
        assert_eq!(
            line("aarch64"),
            expected("7f454c460201010000000000000000000200b700", "ffffffffffffff00fffffffffffffffffeffffff")
        );
        assert_eq!(
            line("s390x"),
            expected("7f454c4602020100000000000000000000020016", "ffffffffffffff00fffffffffffffffffffeffff")
        );
    }
}
