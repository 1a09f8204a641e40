//! Every embedded row parses; verdicts on noise.

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

/// Each embedded row is well-formed, each of its patterns compiles, and names are unique within a kind.
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

/// Each list of the evidence parses, and each of its patterns compiles.
#[test]
fn the_evidence_is_read() {
    let fields = embedded(include_str!("../../templates/policy/evidence.toml"));
    let lib = ["/usr/lib".to_owned()];
    let bindings = crate::glob::Bindings { triplet: "x86_64-linux-gnu", lib: &lib, ..Default::default() };
    for (key, datum) in &fields {
        for text in crate::rows::Reader::of("evidence").texts(key, datum) {
            for text in crate::glob::bind(&text, &bindings) {
                crate::glob::Glob::parse(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
            }
        }
    }
    let keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys.len(), 12, "{keys:?}");
    let judge = Judge::new(&bindings);
    let path = |text| RootfsPath::parse(text).unwrap();
    for (name, is) in
        [("libc.so.6", true), ("libcrypto.so.3", false), ("ls", true), ("libxkbcommon.so.0", false), ("lsd", false)]
    {
        assert_eq!(judge.is_self_contained(name.as_bytes()), is, "{name}");
    }
    assert!(judge.is_started(&path("/bin/sh")) && !judge.is_started(&path("/bin/true")));
    assert!(judge.starters().iter().any(|it| **it == *b"posix_spawn"));
    assert!(judge.modules().contains(&path("/usr/lib/perl5")), "{:?}", judge.modules());
    assert!(judge.is_common(b"libcrypto.so.3") && !judge.is_common(b"libxkbcommon.so.0"));
    assert!(judge.is_common(b"libicuuc.so.72.1") && !judge.is_common(b"libical.so.3"));
    for (text, is) in [
        ("/usr/share", true),
        ("/usr/include/c++/12/x", true),
        ("/usr/share/X11/xkb", false),
        ("/usr/lib", true),
        ("/etc", true),
    ] {
        assert_eq!(judge.is_general(&path(text)), is, "{text}");
    }
}

fn own(kind: Kind, text: &str) -> Vec<Row> {
    let document = toml::de::DeTable::parse(text).unwrap();
    from_toml(kind, document.get_ref().get(kind.word()).unwrap()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn rows_of_users_are_beside_the_built_in_ones_or_in_their_place() {
    let path = |text| RootfsPath::parse(text).unwrap();
    let noise = "[[noise]]\nname = 'cache'\npaths = ['/srv/cache']\nexcept = ['kept']\n\
                 [[noise]]\nname = 'personal'\npaths = ['/mnt']\n";
    let documentation = "[[documentation]]\nname = 'manual'\npaths = ['{share}/ours/manual']\nexcept-packages = ['ours*']\n\
                         [[documentation]]\nname = 'notes'\nendings = ['nfo']\nexcept-own = true\n";
    let policy = Policy::new([own(Kind::Noise, noise), own(Kind::Documentation, documentation)].concat());
    for (text, is) in
        [("/srv/cache/x", true), ("/srv/cache/kept/x", false), ("/mnt/x", true), ("/home/x", false), ("/proc/x", true)]
    {
        assert_eq!(policy.is_noise(&path(text)), is, "{text}");
    }
    for (package, text, is) in [
        ("x", "/opt/y/share/ours/manual/a", true),
        ("ours-data", "/usr/share/ours/manual/a", false),
        ("x", "/usr/lib/x.nfo", true),
        ("x", "/usr/share/x/x.nfo", false),
        ("x", "/usr/share/doc/x", true),
    ] {
        assert_eq!(policy.is_documentation(package, &path(text)), is, "{package} {text}");
    }
}

#[test]
fn what_is_wrong_with_a_row_is_said() {
    for (kind, text, said) in [
        (Kind::Secret, "name = 'a'\npaths = ['/x']", "secret `a` has no `is`"),
        (Kind::Secret, "name = 'a'\nis = 'kye'\npaths = []", "secret `a` has an unknown `is`"),
        (Kind::Noise, "paths = ['/x']", "a noise has no `name`"),
        (Kind::Noise, "name = 'a'", "noise `a` has neither `paths` nor `endings`"),
        (Kind::Noise, "name = 'a'\npath = ['/x']", "unknown key `path` of noise `a`"),
        (Kind::Noise, "name = 'a'\npaths = '/x'", "`paths` of noise `a` must be a list of strings"),
        (
            Kind::Noise,
            "name = 'a'\npaths = ['x/y']",
            "`x/y` in `paths` of noise `a`: it must begin with a slash, or be a name without one",
        ),
        (
            Kind::Noise,
            "name = 'a'\npaths = ['{share}/x']",
            "`{share}/x` in `paths` of noise `a`: there is no variable `{share}`",
        ),
        (
            Kind::Documentation,
            "name = 'a'\npaths = ['/x{']",
            "`/x{` in `paths` of documentation `a`: a `{` is not closed",
        ),
    ] {
        let document = format!("[[{}]]\n{text}\n", kind.word());
        let document = toml::de::DeTable::parse(&document).unwrap();
        let problems = from_toml(kind, document.get_ref().get(kind.word()).unwrap()).unwrap_err();
        assert_eq!(problems[0].message, said);
    }
}
