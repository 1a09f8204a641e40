//! Planned rootfs with images that cannot start.

use super::*;
use crate::rootfs::{Body, Origin};
use crate::target::Target;

/// The accounts of the base template with a program, a program without execute permission, and a file.
fn rootfs() -> Rootfs {
    let mut rootfs = Rootfs::default();
    let mut put = |path: &str, kind, mode| {
        let entry = Entry::new(kind, mode, Origin::Template("base".to_owned()));
        rootfs.insert(RootfsPath::parse(path).unwrap(), entry);
    };
    for directory in ["/", "/etc", "/usr", "/usr/bin", "/opt"] {
        put(directory, Kind::Dir, 0o755);
    }
    put("/shut", Kind::Dir, 0o700);
    let file = |text: &str| Kind::File(Body::Bytes(text.as_bytes().into()));
    put("/etc/passwd", file("root:x:0:0::/:/bin/sh\napp:x:7:8::/:/bin/sh\n"), 0o644);
    put("/etc/group", file("root:x:0:\napp:x:8:\nstaff:x:50:app\n"), 0o644);
    put("/usr/bin/tool", file(""), 0o755);
    put("/shut/tool", file(""), 0o755);
    put("/opt/own", file(""), 0o750);
    put("/opt/plain", file(""), 0o644);
    rootfs
}

fn said(change: impl FnOnce(&mut ImageConfig)) -> String {
    let mut image = ImageConfig::new(&Target::parse("x86_64-unknown-linux-gnu").unwrap()).unwrap();
    change(&mut image);
    let said: Vec<_> = prove(&image, &rootfs(), &[]).iter().map(|error| error.message().to_owned()).collect();
    said.join("; ")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_program_is_there_and_can_be_executed() {
    for (entrypoint, cmd, expected) in [
        (&[][..], &[][..], ""),
        (&["/usr/bin/tool", "/no/such"], &["/no/such"], ""),
        (&["tool"], &[], ""),
        (&[], &["tool", "x"], ""),
        (&["usr/bin/tool"], &[], ""),
        (&["/usr/bin/gone"], &[], "the image's entrypoint `/usr/bin/gone` is not in the rootfs"),
        (&["plain"], &[], "the image's entrypoint `plain` is not in the rootfs"),
        (&["/opt/plain"], &[], "the image's entrypoint `/opt/plain` cannot be executed"),
        (&["/opt"], &[], "the image's entrypoint `/opt` cannot be executed"),
        (&[], &["gone"], "the image's command `gone` is not in the rootfs"),
    ] {
        let text = said(|image| (image.entrypoint, image.cmd) = (words(entrypoint), words(cmd)));
        assert_eq!(text, expected, "{entrypoint:?} {cmd:?}");
    }
}

#[test]
fn the_help_adds_a_program_that_is_missing() {
    for (program, expected) in [
        ("gone", "add it: --with gone"),
        ("gone -c 'x'", "give each word by itself: --entrypoint gone --entrypoint -c --entrypoint ''\\''x'\\'''"),
        (
            "/opt/gone",
            "add it from the sysroot: --with /opt/gone, or a file of the project: --include FILE:/opt/gone:0755",
        ),
        ("/usr/local/bin/tool", "`/shut/tool` is: --entrypoint /shut/tool"),
    ] {
        let mut image = ImageConfig::new(&Target::parse("x86_64-unknown-linux-gnu").unwrap()).unwrap();
        image.entrypoint = words(&[program]);
        let errors = prove(&image, &rootfs(), &[]);
        assert_eq!(errors.iter().map(Error::help_line).collect::<Vec<_>>(), [Some(expected)]);
    }
}

#[test]
fn a_name_of_an_account_is_known_and_a_number_need_not_be() {
    for (user, expected) in [
        ("app", ""),
        ("app:staff", ""),
        ("7", ""),
        ("4711", ""),
        ("4711:4711", ""),
        ("app:4711", ""),
        ("web", "the image's user `web` is not in its /etc/passwd"),
        ("web:staff", "the image's user `web` is not in its /etc/passwd"),
        ("app:wheel", "the image's group `wheel` is not in its /etc/group"),
        ("4711:wheel", "the image's group `wheel` is not in its /etc/group"),
    ] {
        assert_eq!(said(|image| image.user = Some(user.to_owned())), expected, "{user}");
    }
}

/// Engines take numbers of 31 bits.
#[test]
fn a_number_of_an_account_has_a_limit() {
    for (user, number) in [
        ("2147483647:2147483647", None),
        ("2147483648", Some("2147483648")),
        ("99999999999", Some("99999999999")),
        ("app:4294967296", Some("4294967296")),
    ] {
        let mut image = ImageConfig::new(&Target::parse("x86_64-unknown-linux-gnu").unwrap()).unwrap();
        image.user = Some(user.to_owned());
        let errors = prove(&image, &rootfs(), &[]);
        let said: Vec<_> = errors.iter().map(|error| (error.message(), &*error.details()[0])).collect();
        let message = format!("the image's user `{user}` has a number that is too large");
        let detail = |number| format!("`{number}` is more than 2147483647, the largest one that engines take");
        let expected = number.map(|number| (message.clone(), detail(number)));
        assert_eq!(said, expected.iter().map(|(message, detail)| (&**message, &**detail)).collect::<Vec<_>>());
    }
}

#[test]
fn the_user_may_execute_the_program() {
    for (user, program, expected) in [
        ("root", "/shut/tool", ""),
        ("app", "/usr/bin/tool", ""),
        ("app", "/shut/tool", "the image's user `app` may not execute its entrypoint `/shut/tool`"),
        ("4711:4711", "/opt/own", "the image's user `4711:4711` may not execute its entrypoint `/opt/own`"),
        // A user without an entry in passwd(5) has the group root.
        ("4711", "/opt/own", ""),
        ("4711:0", "/opt/own", ""),
    ] {
        let text = said(|image| {
            (image.user, image.entrypoint) = (Some(user.to_owned()), words(&[program]));
        });
        assert_eq!(text, expected, "{user} {program}");
    }
}

#[test]
fn the_working_directory_is_no_file() {
    for (workdir, expected) in [
        ("/opt", ""),
        ("/made/by/the/engine", ""),
        ("/etc/passwd", "the image's working directory `/etc/passwd` cannot be a directory"),
        ("/etc/passwd/x", "the image's working directory `/etc/passwd/x` cannot be a directory"),
    ] {
        assert_eq!(said(|image| image.workdir = Some(workdir.to_owned())), expected, "{workdir}");
    }
}

#[test]
fn time_zones_of_the_environment() {
    let doubted = |zone: &str| {
        let mut image = ImageConfig::new(&Target::parse("x86_64-unknown-linux-gnu").unwrap()).unwrap();
        image.env.insert("TZ".to_owned(), zone.to_owned());
        let mut rootfs = rootfs();
        let file = Entry::new(Kind::File(Body::Bytes(b"TZif2"[..].into())), 0o644, Origin::Template("base".to_owned()));
        for directory in ["/usr/share", "/usr/share/zoneinfo", "/usr/share/zoneinfo/Europe"] {
            let entry = Entry::new(Kind::Dir, 0o755, Origin::Template("base".to_owned()));
            rootfs.insert(RootfsPath::parse(directory).unwrap(), entry);
        }
        rootfs.insert(RootfsPath::parse("/usr/share/zoneinfo/Europe/Berlin").unwrap(), file);
        !doubts(&image, &rootfs, &[]).is_empty()
    };
    for zone in ["Europe/Berlin", ":Europe/Berlin", "UTC", "CET-1CEST,M3.5.0/2,M10.5.0/3", ""] {
        assert!(!doubted(zone), "{zone}");
    }
    for zone in ["Europe/Paris", ":Mars/Olympus"] {
        assert!(doubted(zone), "{zone}");
    }
}

#[test]
fn locales_have_several_spellings() {
    let mut rootfs = rootfs();
    for directory in ["/usr/lib", "/usr/lib/locale", "/usr/lib/locale/de_DE.utf8"] {
        let entry = Entry::new(Kind::Dir, 0o755, Origin::Template("base".to_owned()));
        rootfs.insert(RootfsPath::parse(directory).unwrap(), entry);
    }
    for (name, is) in
        [("de_DE.UTF-8", true), ("C.UTF-8", true), ("POSIX", true), ("de_DE", false), ("en_US.UTF-8", false)]
    {
        assert_eq!(environment::has_locale(&rootfs, name), is, "{name}");
    }
}
