//! What of a sysroot is taken by its own name alone, never with the folder or the package that it is in: secrets, and
//! what belongs to a user or to this one machine.
//!
//! It decides by path, owner and mode, and for keys by what is in the file. A file that ELF files need, or that was
//! asked for by its path, is not asked about.

use std::fmt;

use crate::path::RootfsPath;
use crate::sysroot::{End, Sysroot};

/// Why a file stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secret {
    /// shadow(5) and its like.
    Passwords,
    /// A private key, of a host or of anything else.
    Key,
    /// Tokens, and passwords for other machines.
    Credentials,
    /// A home, or what may be known to hold a user's own files.
    Home,
    /// A user's own, by its owner.
    User(u32),
    /// What makes the machine this one, or changes while it runs.
    Machine,
    /// Closed to others by its mode, for whatever reason.
    Closed,
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

use Secret::{Credentials, Home, Key, Machine, Passwords};

/// These, and all that is below them.
#[rustfmt::skip]
const PATHS: &[(&str, Secret)] = &[
    ("/root", Home), ("/home", Home), ("/var/home", Home), ("/var/roothome", Home), ("/usr/home", Home),
    ("/export/home", Home), ("/var/lib/AccountsService", Home), ("/var/mail", Home),

    ("/etc/shadow", Passwords), ("/etc/gshadow", Passwords), ("/etc/tcb", Passwords),
    ("/etc/master.passwd", Passwords), ("/etc/security/opasswd", Passwords),

    ("/etc/ssl/private", Key), ("/etc/pki/tls/private", Key), ("/etc/pki/entitlement", Key), ("/etc/pki/consumer", Key),
    ("/etc/pki/nssdb/key3.db", Key), ("/etc/pki/nssdb/key4.db", Key), ("/etc/letsencrypt/accounts", Key),
    ("/etc/letsencrypt/archive", Key), ("/etc/letsencrypt/keys", Key), ("/etc/letsencrypt/live", Key),
    ("/etc/wireguard", Key),
    ("/etc/docker/key.json", Key), ("/etc/ipsec.secrets", Key), ("/etc/ipsec.d/private", Key), ("/etc/keys", Key),
    ("/etc/swanctl/private", Key), ("/etc/swanctl/rsa", Key), ("/etc/swanctl/ecdsa", Key), ("/etc/swanctl/pkcs8", Key),
    ("/etc/swanctl/pkcs12", Key), ("/etc/bind/rndc.key", Key), ("/etc/rndc.key", Key), ("/etc/krb5kdc", Key),
    ("/etc/dovecot/private", Key), ("/etc/salt/pki", Key), ("/etc/secureboot", Key), ("/usr/share/secureboot/keys", Key),
    ("/etc/kubernetes", Key), ("/etc/rancher", Key), ("/etc/nix/signing-key.sec", Key), ("/etc/pacman.d/gnupg", Key),
    ("/var/kerberos", Key), ("/var/lib/krb5kdc", Key), ("/var/lib/samba/private", Key), ("/var/lib/tor", Key),
    ("/var/lib/shim-signed/mok", Key), ("/var/lib/sbctl", Key), ("/var/lib/tpm", Key), ("/var/lib/tpm2", Key),
    ("/var/lib/puppet/ssl", Key), ("/etc/puppetlabs/puppet/ssl", Key), ("/var/lib/acme", Key), ("/var/lib/caddy", Key),

    ("/etc/NetworkManager/system-connections", Credentials),
    ("/etc/wpa_supplicant.conf", Credentials), ("/etc/netplan", Credentials), ("/etc/iwd", Credentials),
    ("/var/lib/iwd", Credentials), ("/var/lib/NetworkManager", Credentials), ("/var/lib/bluetooth", Credentials),
    ("/etc/ppp/chap-secrets", Credentials), ("/etc/ppp/pap-secrets", Credentials), ("/etc/credstore", Credentials),
    ("/etc/credstore.encrypted", Credentials), ("/usr/lib/credstore", Credentials),
    ("/var/lib/systemd/credential.secret", Credentials), ("/etc/sssd", Credentials), ("/var/lib/sss", Credentials),
    ("/etc/nslcd.conf", Credentials), ("/etc/pam_ldap.secret", Credentials), ("/etc/ldap.secret", Credentials),
    ("/etc/libnss-ldap.secret", Credentials), ("/etc/cifs-credentials", Credentials),
    ("/etc/mysql/debian.cnf", Credentials), ("/etc/apt/auth.conf", Credentials), ("/etc/apt/auth.conf.d", Credentials),
    ("/etc/zypp/credentials.d", Credentials), ("/etc/msmtprc", Credentials), ("/etc/fetchmailrc", Credentials),
    ("/etc/exim4/passwd.client", Credentials), ("/etc/postfix/sasl_passwd", Credentials),
    ("/etc/postfix/sasl_passwd.db", Credentials), ("/etc/rhsm/rhsm.conf", Credentials), ("/etc/boto.cfg", Credentials),
    ("/etc/cargo/credentials", Credentials), ("/etc/cargo/credentials.toml", Credentials),
    ("/var/lib/postgresql", Credentials), ("/var/lib/pgsql", Credentials), ("/var/lib/mysql", Credentials),
    ("/var/lib/redis", Credentials), ("/var/lib/docker", Credentials), ("/var/lib/containers", Credentials),
    ("/var/lib/containerd", Credentials), ("/var/lib/kubelet", Credentials), ("/var/lib/etcd", Credentials),
    ("/var/lib/rancher", Credentials), ("/var/lib/cloud", Credentials), ("/var/lib/waagent", Credentials),
    ("/var/lib/private", Credentials), ("/var/lib/jenkins", Credentials), ("/var/lib/snmp/snmpd.conf", Credentials),

    ("/etc/passwd", Machine), ("/etc/group", Machine), ("/etc/subuid", Machine), ("/etc/subgid", Machine),
    ("/etc/machine-id", Machine), ("/etc/machine-info", Machine), ("/etc/hostid", Machine), ("/etc/hostname", Machine),
    ("/etc/hosts", Machine), ("/etc/mailname", Machine), ("/etc/resolv.conf", Machine), ("/etc/fstab", Machine),
    ("/etc/crypttab", Machine), ("/etc/mtab", Machine), ("/etc/exports", Machine), ("/etc/localtime", Machine),
    ("/etc/timezone", Machine), ("/etc/adjtime", Machine), ("/etc/.pwd.lock", Machine), ("/etc/.updated", Machine),
    ("/etc/network/interfaces", Machine), ("/etc/network/interfaces.d", Machine), ("/etc/iscsi/initiatorname.iscsi", Machine), ("/etc/nvme/hostid", Machine),
    ("/etc/nvme/hostnqn", Machine), ("/etc/lvm/archive", Machine), ("/etc/lvm/backup", Machine),
    ("/var/lib/dbus/machine-id", Machine), ("/var/lib/systemd/random-seed", Machine), ("/var/lib/urandom", Machine),
    ("/var/lib/seedrng", Machine), ("/var/lib/misc/random-seed", Machine), ("/var/lib/dhcp", Machine),
    ("/var/lib/dhclient", Machine), ("/var/log", Machine), ("/var/spool", Machine), ("/var/backups", Machine),
    ("/var/crash", Machine), ("/var/tmp", Machine), ("/var/run", Machine), ("/var/lock", Machine),
    ("/run", Machine), ("/tmp", Machine), ("/proc", Machine), ("/sys", Machine), ("/dev", Machine),
    ("/lost+found", Machine), ("/swapfile", Machine),
];

/// What useradd(8) and its like leave of these beside them.
const BACKED_UP: [&str; 6] = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];
const BACKUPS: [&str; 9] = ["-", "+", "~", ".bak", ".old", ".orig", ".rpmsave", ".dpkg-old", ".edit"];

/// Files and folders of these names, wherever they are.
#[rustfmt::skip]
const NAMES: &[(&str, Secret)] = &[
    (".ssh", Key), (".gnupg", Key), (".pki", Key),
    ("id_rsa", Key), ("id_dsa", Key), ("id_ecdsa", Key), ("id_ecdsa_sk", Key), ("id_ed25519", Key), ("id_ed25519_sk", Key),
    (".netrc", Credentials), ("_netrc", Credentials), (".git-credentials", Credentials), (".pgpass", Credentials),
    (".my.cnf", Credentials), (".mylogin.cnf", Credentials), (".npmrc", Credentials), (".yarnrc.yml", Credentials),
    (".pypirc", Credentials), (".htpasswd", Credentials), (".dockercfg", Credentials), (".docker", Credentials),
    (".aws", Credentials), (".azure", Credentials), (".gcloud", Credentials), (".kube", Credentials),
    (".vault-token", Credentials), (".s3cfg", Credentials), (".boto", Credentials), ("rclone.conf", Credentials),
    (".env", Credentials), (".password-store", Credentials), (".smbcredentials", Credentials),
    ("credentials.toml", Credentials), (".terraformrc", Credentials), ("terraform.tfstate", Credentials),
    (".Xauthority", Credentials), (".ICEauthority", Credentials), (".esmtprc", Credentials), (".msmtprc", Credentials),
    (".bash_history", Home), (".zsh_history", Home), (".ash_history", Home), (".python_history", Home),
    (".psql_history", Home), (".mysql_history", Home), (".lesshst", Home), (".viminfo", Home), (".wget-hsts", Home),
];

/// Files whose names end so, in folders of configuration and state.
const ENDINGS: &[(&str, Secret)] = &[
    (".keytab", Key),
    (".key", Key),
    (".p12", Key),
    (".pfx", Key),
    (".jks", Key),
    (".keystore", Key),
    (".keyring", Credentials),
    (".kdbx", Credentials),
    (".secret", Credentials),
    (".secrets", Credentials),
];

/// What every resolver of names must know, and so public: the keys of DNSSEC's root.
const PUBLIC_KEYS: [&[u8]; 3] = [b"root.key", b"trusted-key.key", b"trusted.key"];

/// Where programs are installed: who owns what there is the installer, and says nothing.
const PROGRAMS: [&str; 9] = ["/usr", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// Where installed files of distributions are not.
const LOCAL: [&str; 2] = ["/usr/local", "/opt"];

/// Longer files are no keys.
const LONGEST_KEY: u64 = 64 << 10;

/// What begins a private key (RFC 7468, sec. 10 and 11; RFC 4880, sec. 6.2; RFC 4716; OpenSSH's PROTOCOL.key; PuTTY; age; openvpn(8)).
#[rustfmt::skip]
const PRIVATE: [&[u8]; 6] = [
    b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----", b"PRIVATE KEY ----", b"PuTTY-User-Key-File-", b"AGE-SECRET-KEY-1",
    b"BEGIN OpenVPN Static key",
];

/// Why the file or folder at `path` of the sysroot, or what it leads to, is not taken along; `None` where it may be.
pub(crate) fn of(view: &mut Sysroot, path: &RootfsPath) -> Option<Secret> {
    if let Some(secret) = of_path(path) {
        return Some(secret);
    }
    let walk = view.walk(path);
    if let Some(secret) = of_path(&walk.path).filter(|_| walk.path != *path) {
        return Some(secret);
    }
    let End::File(file) = walk.end else { return None };
    // The project's own files are not the sysroot's.
    if view.is_outside(&walk.path) {
        return None;
    }
    let root = view.owner();
    let info = view.info(file);
    let by_owner = of_owner(&walk.path, info.uid, root).or_else(|| of_mode(&walk.path, info.mode));
    by_owner.or_else(|| {
        let may_be = may_be_key(&walk.path) && info.host.size <= LONGEST_KEY;
        (may_be && is_key(&view.head(file, LONGEST_KEY))).then_some(Key)
    })
}

fn of_path(path: &RootfsPath) -> Option<Secret> {
    let text = path.as_bytes();
    let below = |folder: &str| is_below(text, folder);
    if let Some((_, secret)) = PATHS.iter().find(|(at, _)| below(at)) {
        return Some(*secret);
    }
    let backup = BACKED_UP.iter().find_map(|file| text.strip_prefix(file.as_bytes()));
    if backup.is_some_and(|rest| BACKUPS.iter().any(|end| rest == end.as_bytes())) {
        return Some(if text.windows(6).any(|part| part == b"shadow") { Passwords } else { Machine });
    }
    let named = |part: &[u8]| NAMES.iter().find(|(name, _)| part == name.as_bytes());
    if let Some((_, secret)) = path.components().find_map(named) {
        return Some(*secret);
    }
    let name = path.file_name();
    if name.starts_with(b"ssh_host_") && name.ends_with(b"_key") {
        return Some(Key);
    }
    // Who may log in to a database (and, by RADIUS or LDAP, with which secret); the keys of wireless networks, beside
    // scripts of the package.
    let is_access = below("/etc/postgresql") && (name == b"pg_hba.conf" || name == b"pg_ident.conf");
    if is_access || (below("/etc/wpa_supplicant") && name.ends_with(b".conf")) {
        return Some(Credentials);
    }
    let is_state = ["/etc", "/var", "/srv"].iter().chain(&LOCAL).any(|folder| below(folder));
    if !is_state || PUBLIC_KEYS.contains(&name) {
        return None;
    }
    ENDINGS.iter().find(|(end, _)| name.len() > end.len() && name.ends_with(end.as_bytes())).map(|(_, secret)| *secret)
}

/// A user's own: what belongs to one who may log in, where that is not who the whole sysroot belongs to.
fn of_owner(path: &RootfsPath, uid: u32, root: u32) -> Option<Secret> {
    // 65534 is what nobody is, and what the kernel shows where it cannot say (user_namespaces(7)).
    let is_user = (1000..65534).contains(&uid) && uid != root;
    (is_user && !is_program(path)).then_some(Secret::User(uid))
}

fn of_mode(path: &RootfsPath, mode: u32) -> Option<Secret> {
    // A program for some users alone, as dbus-daemon-launch-helper (4754) and sudo (4711), holds no secret.
    let is_open = mode & 0o004 != 0 || (mode & 0o111 != 0 && is_program(path));
    (!is_open).then_some(Secret::Closed)
}

fn is_program(path: &RootfsPath) -> bool {
    PROGRAMS.iter().any(|folder| is_below(path.as_bytes(), folder))
}

/// Whether a file is worth being read: it is called as keys are, or lies where anything may be put under any name.
fn may_be_key(path: &RootfsPath) -> bool {
    let name = path.file_name();
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0) else {
        let is_installed = is_below(path.as_bytes(), "/usr") && !is_below(path.as_bytes(), "/usr/local");
        return !is_installed;
    };
    let ending = name[dot + 1..].to_ascii_lowercase();
    [&b"pem"[..], b"key", b"crt", b"cert", b"p8", b"pk8", b"ppk", b"asc", b"sec", b"age", b"ovpn"]
        .contains(&&ending[..])
}

fn is_key(bytes: &[u8]) -> bool {
    // Programs and scripts that read keys name what begins one.
    let is_program = bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!");
    !is_program && PRIVATE.iter().any(|begin| memchr::memmem::find(bytes, begin).is_some())
}

fn is_below(path: &[u8], folder: &str) -> bool {
    path.strip_prefix(folder.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(of_path(&RootfsPath::parse(text).unwrap()), secret, "{text}");
        }
    }

    #[test]
    fn secrets_by_owner_and_mode() {
        let path = |text| RootfsPath::parse(text).unwrap();
        for (text, uid, root, secret) in [
            ("/srv/notes", 1000, 0, Some(Secret::User(1000))),
            ("/srv/notes", 33, 0, None),
            ("/srv/notes", 65534, 0, None),
            // Unpacked by a user, all of the sysroot is that user's.
            ("/etc/profile", 1000, 1000, None),
            // Node's own archive has the uid of who packed it.
            ("/usr/local/lib/node_modules/npm/index.js", 1001, 0, None),
        ] {
            assert_eq!(of_owner(&path(text), uid, root), secret, "{text} {uid} {root}");
        }
        for (text, mode, secret) in [
            ("/etc/sudoers", 0o440, Some(Secret::Closed)),
            ("/etc/profile", 0o644, None),
            ("/usr/lib/dbus-1.0/dbus-daemon-launch-helper", 0o4754, None),
            ("/usr/bin/sudo", 0o4711, None),
            ("/usr/share/x", 0o600, Some(Secret::Closed)),
            ("/etc/cron.daily/x", 0o700, Some(Secret::Closed)),
        ] {
            assert_eq!(of_mode(&path(text), mode), secret, "{text} {mode:o}");
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
            assert_eq!(may_be_key(&path(text)), expected, "{text}");
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
            assert_eq!(is_key(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }
}
