//! Tools below prefixes of their own: virtual environments of Python, and products in /opt.

use super::disk::{Ask, Disk, library, path, tool};
use crate::rootfs::Rootfs;

fn has(rootfs: &Rootfs, at: &str) -> bool {
    rootfs.get(&path(at)).is_some()
}

fn expect(rootfs: &Rootfs, there: &[&str], absent: &[&str]) {
    for (at, is_there) in there.iter().map(|at| (at, true)).chain(absent.iter().map(|at| (at, false))) {
        assert_eq!(has(rootfs, at), is_there, "{at}\n{}", rootfs.dump());
    }
}

/// A Python below a home, an environment of it, and the Python of the distribution, which has the same version.
fn pythons(configuration: &[u8]) -> Disk {
    let python = tool().needs("libpython3.11.so.1.0").runpath("$ORIGIN/../lib");
    Disk::merged()
        .elf("home/me/py/bin/python3.11", python)
        .elf("home/me/py/lib/libpython3.11.so.1.0", library("libpython3.11.so.1.0"))
        .bytes("home/me/py/lib/python3.11/os.py", b"", 0o644)
        .bytes("home/me/py/lib/python3.11/site-packages/other/x.py", b"", 0o644)
        .bytes("usr/lib/python3.11/os.py", b"", 0o644)
        .link("srv/env/bin/python", "/home/me/py/bin/python3.11")
        .bytes("srv/env/bin/http", b"#!/srv/env/bin/python\n", 0o755)
        .bytes("srv/env/pyvenv.cfg", configuration, 0o644)
        .bytes("srv/env/lib/python3.11/site-packages/httpie/x.py", b"", 0o644)
        .bytes("srv/env/lib/python3.11/site-packages/httpie/tests/x.py", b"", 0o644)
}

#[test]
fn an_environment_brings_the_python_that_it_was_made_with() {
    let disk = pythons(b"include-system-site-packages = false\nHome=/home/me/py/bin\r\n");
    expect(
        &Ask::tools(&["/srv/env/bin/http"]).rootfs(&disk),
        &["/home/me/py/lib/python3.11/os.py", "/srv/env/lib/python3.11/site-packages/httpie/x.py"],
        &[
            "/usr/lib/python3.11",
            "/home/me/py/lib/python3.11/site-packages",
            "/srv/env/lib/python3.11/site-packages/httpie/tests",
        ],
    );
}

/// Files of a home are left out with a warning, and those of another Python do not replace them.
#[test]
fn the_modules_of_another_python_are_no_substitute() {
    for home in [&b"home = /usr/bin\n"[..], b"home\n", b""] {
        let rootfs = Ask::tools(&["/srv/env/bin/http"]).rootfs(&pythons(home));
        expect(&rootfs, &[], &["/usr/lib/python3.11", "/home/me/py/lib/python3.11"]);
    }
    let of_distribution = Disk::merged()
        .elf("usr/bin/app", tool().needs("libpython3.11.so.1.0"))
        .elf("usr/lib/libpython3.11.so.1.0", library("libpython3.11.so.1.0"))
        .bytes("usr/lib/python3.11/os.py", b"", 0o644);
    expect(&Ask::tools(&["app"]).rootfs(&of_distribution), &["/usr/lib/python3.11/os.py"], &[]);
}

/// `venv --copies`, of a Python that is not linked with libpython: the copy has another name and lies elsewhere.
#[test]
fn a_copied_python_has_the_modules_of_the_one_that_it_was_made_with() {
    for (home, library) in [("usr", "usr/lib"), ("srv/py", "srv/py/lib")] {
        let disk = Disk::merged()
            .elf(&format!("{home}/bin/python3.11"), tool())
            .link(&format!("{home}/bin/python3"), "python3.11")
            .bytes(&format!("{library}/python3.11/os.py"), b"", 0o644)
            .elf("srv/env/bin/python3", tool())
            .bytes("srv/env/bin/http", b"#!/srv/env/bin/python3\n", 0o755)
            .bytes("srv/env/pyvenv.cfg", format!("home = /{home}/bin\n").as_bytes(), 0o644)
            .bytes("srv/env/lib/python3.11/site-packages/x.py", b"", 0o644);
        for name in ["/srv/env/bin/python3", "/srv/env/bin/http"] {
            let there =
                [format!("/{library}/python3.11/os.py"), "/srv/env/lib/python3.11/site-packages/x.py".to_owned()];
            let absent = format!("/{home}/bin/python3.11");
            expect(&Ask::tools(&[name]).rootfs(&disk), &there.each_ref().map(String::as_str), &[&absent]);
        }
    }
}

/// Whatever their names, the files of a product in /opt belong to its tools.
#[test]
fn a_product_in_opt_is_whole() {
    let disk = Disk::merged()
        .elf("opt/acme/server/bin/acmed", tool())
        .bytes("opt/acme/share/data/table", b"x", 0o644)
        .bytes("opt/acme/id_rsa", b"x", 0o600)
        .link("usr/local/bin/acmed", "/opt/acme/server/bin/acmed")
        .elf("opt/bin/loose", tool())
        .bytes("opt/bin/other", b"x", 0o644)
        .bytes("opt/other/data", b"x", 0o644);
    for name in ["/opt/acme/server/bin/acmed", "acmed"] {
        let absent = ["/opt/bin", "/opt/other", "/opt/acme/id_rsa"];
        expect(&Ask::tools(&[name]).rootfs(&disk), &["/opt/acme/share/data/table"], &absent);
    }
    expect(&Ask::tools(&["/opt/bin/loose"]).rootfs(&disk), &[], &["/opt/bin/other", "/opt/other", "/opt/acme"]);
}

/// A script in a language with modules too, whose directory the script computes: with a database of packages and without one.
#[test]
fn a_script_with_modules_and_without_a_package_has_its_files() {
    let script = b"#!/usr/bin/perl\nuse FindBin; use lib \"$FindBin::Bin/../lib/quux\";\n";
    let disk = || {
        Disk::merged()
            .elf("usr/bin/perl", tool())
            .bytes("usr/local/bin/quux", script, 0o755)
            .bytes("usr/local/lib/quux/Quux.pm", b"1;\n", 0o644)
            .bytes("usr/local/lib/quuxes/Other.pm", b"1;\n", 0o644)
    };
    let status = b"Package: base\nStatus: install ok installed\nArchitecture: all\n";
    for disk in [disk(), disk().bytes("var/lib/dpkg/status", status, 0o644)] {
        let rootfs = Ask::tools(&["quux"]).rootfs(&disk);
        expect(&rootfs, &["/usr/local/lib/quux/Quux.pm"], &["/usr/local/lib/quuxes"]);
    }
}
