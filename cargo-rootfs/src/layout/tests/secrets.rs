//! Files of a whole directory of the sysroot that are not taken with it, and their warnings.

use super::disk::{Ask, Disk, expect_shape, path};

fn template(body: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("template.toml"), body).unwrap();
    let name = folder.path().to_str().unwrap().to_owned();
    (folder, name)
}

/// /etc without secrets and files of one machine, whatever their names, and behind symlinks too.
#[test]
fn a_folder_comes_without_its_secrets() {
    let key = b"-----BEGIN PRIVATE KEY-----\n";
    let sysroot = Disk::empty()
        .bytes("etc/app.conf", b"x", 0o644)
        .bytes("etc/shadow", b"root:*:1::::::", 0o644)
        .bytes("etc/passwd", b"me:x:1000:", 0o644)
        .bytes("etc/app/site.pem", key, 0o644)
        .bytes("etc/app/site", key, 0o644)
        .bytes("etc/app/ca.pem", b"-----BEGIN CERTIFICATE-----\n", 0o644)
        .bytes("etc/app/closed", b"x", 0o640)
        .bytes("etc/ssl/private/a", b"x", 0o644)
        .bytes("home/me/app.conf", b"x", 0o644)
        .link("etc/mine.conf", "/home/me/app.conf");
    let (_folder, name) = template("[[entry]]\ntype = \"sysroot\"\npath = \"/etc\"\n");
    let assembly = Ask::nothing().template(&name).assemble(&sysroot).unwrap();
    expect_shape(
        &assembly.rootfs,
        "/ d0755
         /etc d0755
         /etc/app d0755
         /etc/app.conf f0644
         /etc/app/ca.pem f0644
         /etc/ssl d0755",
    );
    let [warning] = &assembly.warnings[..] else { panic!("{:?}", assembly.warnings) };
    assert_eq!(
        warning.message,
        "left out: `/etc/app/closed` (not readable by others), `/etc/app/site` (a private key), `/etc/app/site.pem` (a \
         private key), `/etc/mine.conf` (in a home), `/etc/passwd` (of this machine alone), `/etc/shadow` (passwords) \
         and 1 more"
    );
}

/// A file that is named by its own path is taken.
#[test]
fn a_secret_is_taken_by_its_own_name() {
    let sysroot = Disk::empty().bytes("etc/shadow", b"root:*:1::::::", 0o600);
    let (_folder, name) = template("[[entry]]\ntype = \"sysroot\"\npath = \"/etc/shadow\"\n");
    let assembly = Ask::nothing().template(&name).assemble(&sysroot).unwrap();
    assert!(assembly.rootfs.get(&path("/etc/shadow")).is_some());
    assert!(assembly.warnings.is_empty(), "{:?}", assembly.warnings);
}

/// A template adds rows, and a row without paths disables a built-in one.
#[test]
fn a_template_says_what_is_secret_too() {
    let sysroot = Disk::empty()
        .bytes("etc/hostname", b"box", 0o644)
        .bytes("etc/ours/a.token", b"x", 0o644)
        .bytes("etc/ours/public.token", b"x", 0o644)
        .bytes("etc/shadow", b"x", 0o644);
    let rows = "[[secret]]\nname = 'machine'\nis = 'machine'\npaths = []\n\
                [[secret]]\nname = 'ours'\nis = 'credentials'\npaths = ['/etc/ours']\nendings = ['token']\n\
                except = ['public.token']\n";
    let (_folder, name) = template(&format!("{rows}[[entry]]\ntype = \"sysroot\"\npath = \"/etc\"\n"));
    let assembly = Ask::nothing().template(&name).assemble(&sysroot).unwrap();
    let [warning] = &assembly.warnings[..] else { panic!("{:?}", assembly.warnings) };
    assert_eq!(warning.message, "left out: `/etc/ours/a.token` (credentials), `/etc/shadow` (passwords)");
    for taken in ["/etc/hostname", "/etc/ours/public.token"] {
        assert!(assembly.rootfs.get(&path(taken)).is_some(), "{taken}");
    }
}
