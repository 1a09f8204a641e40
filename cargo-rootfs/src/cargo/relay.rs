//! Relays cargo's standard error to the terminal, and looks for missing programs and libraries in it.
//!
//! Every byte is passed on at once. The clues are used only if the build fails.

use std::io::{Read, Write};

use memchr::memmem;

/// A clue in the output of a failed build. Each is a line of another program, whose wording may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clue {
    /// rustc: ``linker `x` not found``.
    NoLinker(String),
    /// rustc: ``can't find crate for `std` ``.
    NoStandardLibrary,
    /// ld: the objects are for another machine.
    WrongLinker,
    /// The crate pkg-config: cross compilation is not configured.
    PkgConfigForeign,
    /// The crate pkg-config: the program pkg-config is missing.
    PkgConfigAbsent,
    /// The crate pkg-config: this library is unknown.
    LibraryUnknown(String),
    /// ld: `cannot find -lx`.
    LibraryAbsent(String),
    /// The crate cc: the compiler of this name is missing.
    NoCompiler(String),
    /// cargo-zigbuild: zig is missing.
    NoZig,
}

/// The limit of an inspected line; the rest of a longer one is passed on without inspection.
const LONGEST: usize = 1 << 16;

/// Passes `from` on to `to` until it ends, and returns the clues without duplicates.
pub(super) fn relay(mut from: impl Read, mut to: impl Write) -> Vec<Clue> {
    let mut clues = Vec::new();
    let mut line: Vec<u8> = Vec::new();
    let mut buffer = [0; 1 << 13];
    // A read error has no effect: cargo's exit status reports its failure.
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        let bytes = &buffer[..read];
        let _ = to.write_all(bytes).and_then(|()| to.flush());
        let mut rest = bytes;
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            line.extend(&rest[..end.min(LONGEST)]);
            clues.extend(clue(&line).filter(|clue| !clues.contains(clue)));
            line.clear();
            rest = &rest[end + 1..];
        }
        if line.len() < LONGEST {
            line.extend(rest);
        }
    }
    clues.extend(clue(&line).filter(|clue| !clues.contains(clue)));
    clues
}

/// The clue in one line.
fn clue(line: &[u8]) -> Option<Clue> {
    let has = |words: &str| memmem::find(line, words.as_bytes()).is_some();
    let after = |words: &str, end: &[char]| {
        let start = memmem::find(line, words.as_bytes())? + words.len();
        let rest = String::from_utf8_lossy(&line[start..]);
        let name = rest.split(end).next()?.trim();
        (!name.is_empty()).then(|| name.to_owned())
    };
    if has("linker `") && has("` not found") {
        return after("linker `", &['`']).map(Clue::NoLinker);
    }
    if has("can't find crate for `std`") || has("can't find crate for `core`") {
        return Some(Clue::NoStandardLibrary);
    }
    if has("pkg-config has not been configured to support cross-compilation") {
        return Some(Clue::PkgConfigForeign);
    }
    if has("The pkg-config command could not be found") {
        return Some(Clue::PkgConfigAbsent);
    }
    if has("The system library `") && has("was not found") {
        return after("The system library `", &['`']).map(Clue::LibraryUnknown);
    }
    // Older versions of the crate pass on pkg-config's own message.
    if has("No package '") && has("' found") {
        return after("No package '", &['\'']).map(Clue::LibraryUnknown);
    }
    if has("failed to find tool") {
        return after("failed to find tool \"", &['"']).map(Clue::NoCompiler);
    }
    if has("unable to find library -l") {
        return after("unable to find library -l", &[' ', ':', '\u{1b}']).map(Clue::LibraryAbsent);
    }
    if has("cannot find -l") {
        return after("cannot find -l", &[' ', ':', '\u{1b}']).map(Clue::LibraryAbsent);
    }
    if has("file in wrong format") || has("Relocations in generic ELF") || has("is incompatible with elf") {
        return Some(Clue::WrongLinker);
    }
    (has("Failed to find zig") || has("No module named ziglang")).then_some(Clue::NoZig)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.len().min(3).min(buffer.len());
            let (head, tail) = self.0.split_at(length);
            buffer[..length].copy_from_slice(head);
            self.0 = tail;
            Ok(length)
        }
    }

    #[test]
    fn bytes_go_on_as_they_come_and_what_is_missing_is_heard_once() {
        let said = "\u{1b}[1merror\u{1b}[0m: linker `aarch64-linux-gnu-gcc` not found\n  Building [=>] 1/2\rok\r\n\
                    error[E0463]: can't find crate for `core`\nerror[E0463]: can't find crate for `std`\n\u{0}\u{1}";
        for chunked in [relay(Slow(said.as_bytes()), std::io::sink()), relay(said.as_bytes(), std::io::sink())] {
            assert_eq!(chunked, [Clue::NoLinker("aarch64-linux-gnu-gcc".to_owned()), Clue::NoStandardLibrary]);
        }
        let mut passed = Vec::new();
        relay(Slow(said.as_bytes()), &mut passed);
        assert_eq!(passed, said.as_bytes());
    }

    #[test]
    fn each_program_says_it_in_its_way() {
        let name = |text: &str| text.to_owned();
        for (line, clue) in [
            ("  pkg-config has not been configured to support cross-compilation.", Clue::PkgConfigForeign),
            ("  The pkg-config command could not be found.", Clue::PkgConfigAbsent),
            (
                "  The system library `openssl` required by crate `openssl-sys` was not found.",
                Clue::LibraryUnknown(name("openssl")),
            ),
            ("  No package 'libpq' found", Clue::LibraryUnknown(name("libpq"))),
            (
                "  error occurred in cc-rs: failed to find tool \"aarch64-linux-gnu-gcc\": No such file or directory",
                Clue::NoCompiler(name("aarch64-linux-gnu-gcc")),
            ),
            ("  = note: /usr/bin/ld: cannot find -lpq: No such file or directory", Clue::LibraryAbsent(name("pq"))),
            ("          rust-lld: error: unable to find library -lssl", Clue::LibraryAbsent(name("ssl"))),
            ("/usr/bin/ld: main.o: Relocations in generic ELF (EM: 183)", Clue::WrongLinker),
            ("  /usr/bin/python3: No module named ziglang", Clue::NoZig),
        ] {
            assert_eq!(relay(line.as_bytes(), std::io::sink()), [clue], "{line}");
        }
        assert_eq!(relay("linker flavor not found\nFinished\n".as_bytes(), std::io::sink()), []);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let endless = std::io::repeat(b'x').take(10 << 20);
        assert_eq!(relay(endless, std::io::sink()), []);
    }
}
