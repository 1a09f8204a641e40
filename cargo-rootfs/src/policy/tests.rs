//! Each embedded row is read; verdicts on noise.

use super::*;

#[test]
fn what_every_program_asks_for_is_noise() {
    for (path, is) in [
        ("/", true),
        ("/proc/self/maps", true),
        ("/process", false),
        ("/etc/ld.so.cache", true),
        ("/etc/ssl/openssl.cnf", false),
        ("/usr/share/locale/de/LC_MESSAGES/git.mo", true),
        ("/usr/lib/locale/C.utf8/LC_CTYPE", true),
        ("/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache", true),
        ("/usr/lib/x86_64-linux-gnu/gconv/gconv-modules", false),
        ("/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1", true),
        ("/usr/lib/python3/dist-packages/__pycache__/x.pyc", true),
        ("/usr/share/terminfo/x/xterm", false),
    ] {
        assert_eq!(Policy::built_in().is_noise(&RootfsPath::parse(path).unwrap()), is, "{path}");
    }
}

/// Each embedded row is well-formed, each of its patterns compiles, and no two of a kind have one name.
#[test]
fn every_embedded_row_is_read() {
    for (kind, text) in [
        (Kind::Secret, include_str!("../../templates/policy/secrets.toml")),
        (Kind::Documentation, include_str!("../../templates/policy/documentation.toml")),
        (Kind::Noise, include_str!("../../templates/policy/noise.toml")),
    ] {
        let fields = embedded(text);
        let (_, rows) = fields.iter().find(|(key, _)| key == kind.word()).unwrap();
        assert!(row::read(kind, rows).unwrap_or_else(|problems| panic!("{problems:#?}")).len() > 4);
        let others = fields.iter().map(|(key, _)| key.as_str()).filter(|key| *key != kind.word());
        let known: &[&str] = if kind == Kind::Secret { &["key-texts", "programs"] } else { &[] };
        assert_eq!(others.collect::<Vec<_>>(), known, "{kind:?}");
    }
    assert!(is_rarely_opened_by(b"libncursesw.so.6", b"libgpm.so.2"));
    assert!(!is_rarely_opened_by(b"libncursesw.so.6", b"libz.so.1"));
}
