//! Secrets: files that only their own name requests, and files of a user or of one machine.

use std::fmt;

use super::row::{Kind, Row};
use super::table::Table;
use crate::path::RootfsPath;
use crate::rows::{Reader, embedded};

/// The reason why a file is not packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secret {
    /// shadow(5) and similar files.
    Passwords,
    /// A private key, of a host or of anything else.
    Key,
    /// Tokens, and passwords for other machines.
    Credentials,
    /// A home directory, or another directory of a user's files.
    Home,
    /// A file owned by this user.
    User(u32),
    /// The identity of the machine, or its changing state.
    Machine,
    /// A file that others cannot read.
    Closed,
}

impl Secret {
    /// The values of `is` in a row.
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("passwords", Self::Passwords),
        ("key", Self::Key),
        ("credentials", Self::Credentials),
        ("home", Self::Home),
        ("machine", Self::Machine),
    ];
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passwords => f.write_str("passwords"),
            Self::Key => f.write_str("a private key"),
            Self::Credentials => f.write_str("credentials"),
            Self::Home => f.write_str("in a home"),
            Self::User(uid) => write!(f, "of user {uid}"),
            Self::Machine => f.write_str("of this machine alone"),
            Self::Closed => f.write_str("not readable by others"),
        }
    }
}

/// The maximum size of a key.
pub(crate) const LONGEST_KEY: u64 = 64 << 10;

/// The rows of secrets, and the lists beside them.
#[derive(Debug)]
pub(crate) struct Secrets {
    table: Table,
    /// Directories with installed programs: there the owner of a file is only the installer.
    programs: Vec<RootfsPath>,
    /// Texts that begin a private key.
    key_texts: Vec<String>,
}

impl Secrets {
    pub(super) fn new(own: &[Row]) -> Self {
        let fields = embedded(include_str!("../../templates/policy/secrets.toml"));
        let list = |key: &str| {
            let mut reader = Reader::of("secrets.toml");
            let lists = fields.iter().filter(|(known, _)| known == key);
            lists.flat_map(|(key, datum)| reader.texts(key, datum)).collect::<Vec<_>>()
        };
        let programs = list("programs").iter().filter_map(|path| RootfsPath::from_bytes(path.as_bytes())).collect();
        Self { table: Table::new(Kind::Secret, &fields, own), programs, key_texts: list("key-texts") }
    }

    /// Judges a file or directory by its path.
    pub(crate) fn of_path(&self, path: &RootfsPath) -> Option<Secret> {
        self.table.first(path, |row| !row.holds_key).map(|row| row.secret)
    }

    /// Judges a file or directory of a project by its path: passwords, keys and credentials, at any destination.
    pub(crate) fn is_private(&self, path: &RootfsPath) -> Option<Secret> {
        let is_meant = |secret| matches!(secret, Secret::Passwords | Secret::Key | Secret::Credentials);
        self.table.first(path, |row| !row.holds_key && is_meant(row.secret)).map(|row| row.secret)
    }

    /// Judges a file below the prefix of a tool that was named by its path: there, a home or machine directory is no
    /// reason.
    pub(crate) fn of_path_below_named(&self, path: &RootfsPath) -> Option<Secret> {
        let is_meant = |row: &Row| !row.holds_key && !matches!(row.secret, Secret::Home | Secret::Machine);
        self.table.first(path, is_meant).map(|row| row.secret)
    }

    /// Judges a file by its owner: a user's own file belongs to a login account other than the owner of the sysroot.
    pub(crate) fn of_owner(&self, path: &RootfsPath, uid: u32, root: u32) -> Option<Secret> {
        // 65534 is nobody(65534), which the kernel also shows for unmapped users (user_namespaces(7)).
        let is_user = (1000..65534).contains(&uid) && uid != root;
        (is_user && !self.is_program(path)).then_some(Secret::User(uid))
    }

    /// Judges a file by its mode.
    pub(crate) fn of_mode(&self, path: &RootfsPath, mode: u32) -> Option<Secret> {
        // A program that only some users may run, such as dbus-daemon-launch-helper (4754) and sudo (4711), contains no
        // secret.
        let is_open = mode & 0o004 != 0 || (mode & 0o111 != 0 && self.is_program(path));
        (!is_open).then_some(Secret::Closed)
    }

    fn is_program(&self, path: &RootfsPath) -> bool {
        self.programs.iter().any(|directory| path.is_within(directory))
    }

    /// Returns whether a file is worth reading: its name is usual for keys, or its directory has keys of any name.
    pub(crate) fn may_hold_key(&self, path: &RootfsPath) -> bool {
        self.table.first(path, |row| row.holds_key).is_some()
    }

    /// Judges a file by its bytes.
    pub(crate) fn is_key(&self, bytes: &[u8]) -> bool {
        // Programs and scripts that read keys contain these texts too.
        let is_program = bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!");
        !is_program && self.key_texts.iter().any(|text| memchr::memmem::find(bytes, text.as_bytes()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::Secret::{Credentials, Home, Key, Machine, Passwords};
    use super::*;
    use crate::policy::Policy;

    fn secrets() -> &'static Secrets {
        Policy::built_in().secrets()
    }

    #[test]
    fn secrets_by_their_paths() {
        for (text, secret) in [
            ("/etc/shadow", Some(Passwords)),
            ("/etc/shadow-", Some(Passwords)),
            ("/etc/gshadow.bak", Some(Passwords)),
            ("/etc/security/opasswd", Some(Passwords)),
            ("/etc/passwd", Some(Machine)),
            ("/etc/passwd-", Some(Machine)),
            ("/etc/group", Some(Machine)),
            ("/etc/passwd.d/x", None),
            ("/usr/share/base-passwd/passwd.master", None),
            ("/usr/bin/passwd", None),
            ("/etc/ssl/private/ssl-cert-snakeoil.key", Some(Key)),
            ("/etc/ssl/certs/ca-certificates.crt", None),
            ("/etc/ssl/openssl.cnf", None),
            ("/etc/ssh/ssh_host_ed25519_key", Some(Key)),
            ("/etc/ssh/ssh_host_ed25519_key.pub", None),
            ("/etc/ssh/ssh_config", None),
            ("/etc/dropbear/id_rsa", Some(Key)),
            ("/etc/skel/.bashrc", None),
            ("/etc/skel/.ssh/authorized_keys", Some(Key)),
            ("/root/.bashrc", Some(Home)),
            ("/root", Some(Home)),
            ("/home/me/x", Some(Home)),
            ("/homes", None),
            ("/srv/me/.ssh/config", Some(Key)),
            ("/srv/me/.aws/credentials", Some(Credentials)),
            ("/opt/app/.env", Some(Credentials)),
            ("/opt/app/tls.key", Some(Key)),
            ("/usr/local/etc/x.p12", Some(Key)),
            ("/etc/krb5.keytab", Some(Key)),
            ("/etc/krb5.conf", None),
            ("/etc/unbound/root.key", None),
            ("/usr/share/dns/root.key", None),
            ("/usr/lib/python3/dist-packages/x/test.key", None),
            ("/usr/share/keyrings/debian-archive-keyring.gpg", None),
            ("/etc/apt/keyrings/docker.asc", None),
            ("/srv/x/.local/share/keyrings/login.keyring", Some(Credentials)),
            ("/usr/lib/python3/dist-packages/keyrings/alt.py", None),
            ("/etc/NetworkManager/system-connections/home.nmconnection", Some(Credentials)),
            ("/etc/wpa_supplicant/wpa_supplicant.conf", Some(Credentials)),
            ("/etc/wpa_supplicant/action_wpa.sh", None),
            ("/etc/postgresql/15/main/pg_hba.conf", Some(Credentials)),
            ("/etc/postgresql/15/main/postgresql.conf", None),
            ("/usr/share/postgresql/15/pg_hba.conf.sample", None),
            ("/var/lib/systemd/credential.secret", Some(Credentials)),
            ("/var/lib/systemd/random-seed", Some(Machine)),
            ("/etc/machine-id", Some(Machine)),
            ("/var/lib/dbus/machine-id", Some(Machine)),
            ("/etc/resolv.conf", Some(Machine)),
            ("/etc/localtime", Some(Machine)),
            ("/usr/share/zoneinfo/Europe/Berlin", None),
            ("/var/log/nginx/access.log", Some(Machine)),
            ("/var/lib/dpkg/status", None),
            ("/etc/nsswitch.conf", None),
            ("/etc/pam.d/login", None),
            ("/", None),
        ] {
            assert_eq!(secrets().of_path(&RootfsPath::parse(text).unwrap()), secret, "{text}");
        }
    }

    #[test]
    fn secrets_by_owner_and_mode() {
        let path = |text| RootfsPath::parse(text).unwrap();
        for (text, uid, root, secret) in [
            ("/srv/notes", 1000, 0, Some(Secret::User(1000))),
            ("/srv/notes", 33, 0, None),
            ("/srv/notes", 65534, 0, None),
            // In a sysroot unpacked by a user, all files belong to that user.
            ("/etc/profile", 1000, 1000, None),
            // Files of Node's own archive have the uid of its packager.
            ("/usr/local/lib/node_modules/npm/index.js", 1001, 0, None),
        ] {
            assert_eq!(secrets().of_owner(&path(text), uid, root), secret, "{text} {uid} {root}");
        }
        for (text, mode, secret) in [
            ("/etc/sudoers", 0o440, Some(Secret::Closed)),
            ("/etc/profile", 0o644, None),
            ("/usr/lib/dbus-1.0/dbus-daemon-launch-helper", 0o4754, None),
            ("/usr/bin/sudo", 0o4711, None),
            ("/usr/share/x", 0o600, Some(Secret::Closed)),
            ("/etc/cron.daily/x", 0o700, Some(Secret::Closed)),
        ] {
            assert_eq!(secrets().of_mode(&path(text), mode), secret, "{text} {mode:o}");
        }
    }

    #[test]
    fn keys_by_what_is_in_them() {
        let path = |text| RootfsPath::parse(text).unwrap();
        for (text, expected) in [
            ("/etc/nginx/site.pem", true),
            ("/etc/nginx/SITE.PEM", true),
            ("/etc/nginx/site", true),
            ("/etc/nginx/nginx.conf", false),
            ("/usr/share/x/README", false),
            ("/usr/share/x/test.pem", true),
            ("/usr/local/share/x/key", true),
        ] {
            assert_eq!(secrets().may_hold_key(&path(text)), expected, "{text}");
        }
        for (text, expected) in [
            (&b"-----BEGIN PRIVATE KEY-----\nMII"[..], true),
            (b"-----BEGIN CERTIFICATE-----\nMII\n-----BEGIN EC PRIVATE KEY-----\n", true),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", true),
            (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", true),
            (b"PuTTY-User-Key-File-3: ssh-ed25519\n", true),
            (b"\x7fELF-----BEGIN PRIVATE KEY-----", false),
            (b"-----BEGIN CERTIFICATE-----\n", false),
            (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", false),
            (b"", false),
        ] {
            assert_eq!(secrets().is_key(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }
}
