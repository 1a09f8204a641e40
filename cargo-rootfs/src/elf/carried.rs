//! Executables with an embedded program, whose needs are not in the headers.

use std::fmt;

/// The kind of an executable that unpacks another one when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// Compressed by UPX, and unpacked in memory.
    Upx,
    /// An AppImage, which mounts a file system contained in the file.
    AppImage,
    /// A Python program with its interpreter, made by PyInstaller.
    PyInstaller,
    /// A program with its libraries, made by staticx.
    Staticx,
}

/// The number of bytes at the beginning and at the end of a file that [`Carrier::of`] needs.
pub const ENDS: usize = 4096;

/// The end of a PyInstaller archive (`PYI_ARCHIVE_COOKIE`, bootloader/src/pyi_archive.h).
const COOKIE: &[u8] = b"MEI\x0c\x0b\x0a\x0b\x0e";

impl Carrier {
    /// Identifies the kind by the first and the last [`ENDS`] bytes.
    pub fn of(head: &[u8], tail: &[u8]) -> Option<Self> {
        let has = |bytes: &[u8], what: &[u8]| memchr::memmem::find(bytes, what).is_some();
        if !head.starts_with(b"\x7fELF") {
            return None;
        }
        // The padding of e_ident (AppImage specification, "Type 1" and "Type 2 image format").
        if matches!(head.get(8..11), Some(b"AI\x01" | b"AI\x02")) {
            return Some(Self::AppImage);
        }
        // `l_info` after the program headers, and `PackHeader` at the end (UPX, src/stub/src/include/linux.h).
        if has(&head[..head.len().min(512)], b"UPX!") || has(&tail[tail.len().saturating_sub(64)..], b"UPX!") {
            return Some(Self::Upx);
        }
        if has(tail, COOKIE) {
            return Some(Self::PyInstaller);
        }
        has(tail, b".staticx.archive").then_some(Self::Staticx)
    }

    /// The way to get a file with visible needs.
    pub fn help(self, name: &str) -> String {
        match self {
            Self::Upx => format!("package it uncompressed (upx -d {name}), or name what it needs: --with-lib LIST"),
            Self::AppImage => format!(
                "unpack it (./{name} --appimage-extract), and include that: --include squashfs-root:/opt/{name}"
            ),
            Self::PyInstaller => {
                "build it as a directory (pyinstaller --onedir), and include that: --include dist/NAME:/opt/NAME"
                    .to_owned()
            }
            Self::Staticx => "package the program that it was made of".to_owned(),
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upx => "is compressed by UPX",
            Self::AppImage => "is an AppImage",
            Self::PyInstaller => "carries a program in Python (PyInstaller)",
            Self::Staticx => "carries another program (staticx)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_are_recognised_by_their_ends() {
        let elf = |at: usize, what: &[u8]| {
            let mut head = b"\x7fELF\x02\x01\x01".to_vec();
            head.resize(at, 0);
            head.extend(what);
            head.resize(600, 0);
            head
        };
        let plain = elf(16, b"");
        for (head, tail, expected) in [
            (plain.clone(), b"".to_vec(), None),
            (elf(8, b"AI\x02"), b"".to_vec(), Some(Carrier::AppImage)),
            (elf(236, b"UPX!"), b"".to_vec(), Some(Carrier::Upx)),
            (plain.clone(), [&[0; 100][..], b"UPX!", &[0; 28]].concat(), Some(Carrier::Upx)),
            (plain.clone(), [&[0; 100][..], COOKIE, &[0; 80]].concat(), Some(Carrier::PyInstaller)),
            (plain.clone(), b"\0.staticx.archive\0".to_vec(), Some(Carrier::Staticx)),
            // The program UPX itself contains the name.
            (elf(560, b"UPX!"), [&b"UPX!"[..], &[0; 100]].concat(), None),
            (b"UPX!".to_vec(), b"UPX!".to_vec(), None),
        ] {
            assert_eq!(Carrier::of(&head, &tail), expected);
        }
    }
}
