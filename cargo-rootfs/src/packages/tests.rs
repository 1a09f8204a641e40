//! Databases of each format, as their package managers write them, and queries.

use std::fs;

use super::*;

/// A sysroot of these files; a body that begins with `-> ` is a symlink.
fn sysroot(files: &[(&str, &str)]) -> (tempfile::TempDir, Sysroot) {
    let folder = tempfile::tempdir().unwrap();
    for (at, body) in files {
        let host = folder.path().join(at);
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        match body.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, host).unwrap(),
            None => fs::write(host, body).unwrap(),
        }
    }
    let view = Sysroot::open(folder.path()).unwrap();
    (folder, view)
}

fn path(text: &str) -> RootfsPath {
    RootfsPath::parse(text).unwrap()
}

fn machine() -> Machine {
    crate::target::Target::parse("x86_64-unknown-linux-gnu").unwrap().machine()
}

fn names(database: &Database, ids: &[(PackageId, usize)]) -> String {
    ids.iter().map(|(id, _)| &*database.package(*id).name).collect::<Vec<_>>().join(" ")
}

fn shown(paths: &[RootfsPath]) -> String {
    paths.iter().map(RootfsPath::to_string).collect::<Vec<_>>().join(" ")
}

const STATUS: &str = "\
Package: curl
Status: install ok installed
Architecture: amd64
Version: 7.88.1-10
Depends: libc6 (>= 2.34), libcurl4 (= 7.88.1-10), zlib1g (>= 1:1.1.4) | zlib-ng,
 awk, gone (>= 1) | never
Recommends: docs
Description: transfers data
 Depends: trap

Package: libc6
Status: install ok installed
Multi-Arch: same
Architecture: amd64
Source: glibc (2.36-1)
Version: 2.36-9

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9

Package: libcurl4
Source: curl-libraries (1)
Status: install ok unpacked
Architecture: amd64
Pre-Depends: libc6
Depends: curl:any

Package: zlib-ng
Status: install ok installed
Architecture: amd64

Package: mawk
Status: install ok installed
Architecture: amd64
Provides: awk (= 1), nawk

Package: left
Status: deinstall ok config-files
Architecture: amd64

Package: curl-tools
Source: curl-libraries
Status: install ok installed
Architecture: amd64
Depends: libcurl4, libc6

Package: docs
Status: install ok installed
Architecture: all
";

fn debian() -> (tempfile::TempDir, Sysroot) {
    sysroot(&[
        ("var/lib/dpkg/status", STATUS),
        ("var/lib/dpkg/info/curl.list", "/.\n/usr\n/usr/bin\n/usr/bin/curl\n/usr/share/man/sh.1\n"),
        ("var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/libc.so.6\n/usr/share/man/sh.1\n"),
        ("var/lib/dpkg/info/libc6:i386.list", "/.\n/lib/i386-linux-gnu/libc.so.6\n"),
        ("var/lib/dpkg/info/mawk.list", "/.\n/usr/bin/mawk"),
        ("var/lib/dpkg/diversions", "/usr/share/man/sh.1\n/usr/share/man/sh.distrib.1\ncurl\n"),
        ("var/lib/dpkg/alternatives/awk", "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/awk.1\n\n/usr/bin/mawk\n5\n\n"),
        ("usr/lib/libc.so.6", ""),
        ("lib", "-> usr/lib"),
    ])
}

#[test]
fn what_dpkg_knows() {
    let (_folder, mut view) = debian();
    let database = Database::open(&mut view, machine()).unwrap();
    let all: Vec<_> = database.packages().map(|(_, package)| &*package.name).collect();
    assert_eq!(all, ["curl", "curl-tools", "docs", "libc6", "libc6", "libcurl4", "mawk", "zlib-ng"]);
    let libc = database.package(database.find("libc6").unwrap());
    assert_eq!((&*libc.architecture, &*libc.version, libc.source.as_deref()), ("amd64", "2.36-9", Some("glibc")));
    assert_eq!(&*database.package(database.find("libc6:i386").unwrap()).architecture, "i386");
    assert_eq!(&*database.package(database.find("nawk").unwrap()).name, "mawk");
    assert_eq!(database.find("left"), None);
    assert_eq!(database.near("crul"), Some("curl"));
    assert_eq!(database.near("curl4"), Some("curl"));

    let curl = database.find("curl").unwrap();
    let found = database.dependencies(&[curl]);
    assert_eq!(names(&database, &found.packages), "curl libc6 libcurl4 zlib-ng mawk");
    assert_eq!(found.missing, [(curl, "gone | never".to_owned())]);

    assert_eq!(database.parts(curl), [curl], "of other sources");
    let tools = database.find("curl-tools").unwrap();
    assert_eq!(database.parts(tools), [tools, database.find("libcurl4").unwrap()]);
    assert_eq!(shown(&database.files(&view, curl)), "/usr /usr/bin /usr/bin/curl /usr/share/man/sh.1");
    let libc = database.find("libc6").unwrap();
    // The path after curl's diversion.
    assert_eq!(shown(&database.files(&view, libc)), "/lib /lib/libc.so.6 /usr/share/man/sh.distrib.1");
    assert_eq!(shown(&database.alternatives(&mut view)), "/usr/bin/awk /usr/share/man/awk.1");
}

/// By the listed path, by the real one in a merged directory, and by the diverted one; never by a part of a path.
#[test]
fn owners_of_paths() {
    let (_folder, mut view) = debian();
    let database = Database::open(&mut view, machine()).unwrap();
    for (at, owner) in [
        ("/usr/bin/curl", Some("curl")),
        ("/usr/bin/mawk", Some("mawk")),
        ("/usr/lib/libc.so.6", Some("libc6")),
        ("/usr/share/man/sh.1", Some("curl")),
        ("/usr/share/man/sh.distrib.1", Some("libc6")),
        ("/usr/bin/cur", None),
        ("/bin/curl", None),
        ("/curl", None),
        ("/libc.so.6", None),
    ] {
        let found = database.owners(&view, &[path(at)])[0].map(|id| &*database.package(id).name);
        assert_eq!(found, owner, "{at}");
    }
    let two = database.owners(&view, &[path("/usr/bin/mawk"), path("/none"), path("/usr/bin/curl")]);
    let two: Vec<_> = two.into_iter().map(|id| id.map(|id| &*database.package(id).name)).collect();
    assert_eq!(two, [Some("mawk"), None, Some("curl")]);
}

/// Only lists that contain the text of a path without an owner are split into lines; diverted names are found as well.
#[test]
fn owners_beyond_the_likely_packages() {
    let record = |name: &str| format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n\n");
    let status: String = (0..300).map(|number| record(&format!("p{number:03}"))).collect();
    let lists = [
        ("var/lib/dpkg/info/p290.list", "/.\n/opt\n/opt/tool\n/opt/tool/share\n/opt/tool/share/data\n"),
        ("var/lib/dpkg/info/p291.list", "/usr/bin/diverted\n"),
        ("var/lib/dpkg/info/p292.list", "/lib/merged\n"),
        ("var/lib/dpkg/diversions", "/usr/bin/diverted\n/usr/bin/diverted.real\np000\n"),
        ("var/lib/dpkg/status", &status),
        ("usr/lib/merged", ""),
        ("lib", "-> usr/lib"),
    ];
    let (_folder, mut view) = sysroot(&lists);
    let database = Database::open(&mut view, machine()).unwrap();
    let known = ["/opt/tool/share/data", "/usr/bin/diverted.real", "/usr/lib/merged"];
    let unknown: Vec<String> = (0..40).map(|number| format!("/opt/tool/share/{number}/x")).collect();
    let paths: Vec<RootfsPath> = known.iter().copied().chain(unknown.iter().map(String::as_str)).map(path).collect();
    for paths in [&paths[..known.len()], &paths[..]] {
        let owners = database.owners(&view, paths);
        let owners: Vec<_> = owners.iter().flatten().map(|id| &*database.package(*id).name).collect();
        assert_eq!(owners, ["p290", "p291", "p292"]);
    }
    assert!(database.lists.get().is_none(), "no index was built");
}

/// A package of another architecture owns a path that no other package lists. The owner is the first holder, with and
/// without the index of all lists.
#[test]
fn the_owner_is_the_first_holder() {
    let record =
        |name: &str, of: &str| format!("Package: {name}\nStatus: install ok installed\nArchitecture: {of}\n\n");
    let status = [record("a", "i386"), record("b", "i386"), record("c", "amd64"), record("data", "all")].concat();
    let (_folder, mut view) = sysroot(&[
        ("var/lib/dpkg/status", &status),
        ("var/lib/dpkg/info/a.list", "/usr/share/data\n/usr/share/foreign\n"),
        ("var/lib/dpkg/info/b.list", "/usr/share/data\n/usr/share/data/both\n"),
        ("var/lib/dpkg/info/c.list", "/usr/share/data\n/usr/share/data/both\n"),
        ("var/lib/dpkg/info/data.list", "/usr/share/data\n"),
    ]);
    let database = Database::open(&mut view, machine()).unwrap();
    let paths = ["/usr/share/foreign", "/usr/share/data/both", "/usr/share/data", "/usr/share/none"].map(path);
    let before = database.owners(&view, &paths);
    let holders = database.holders(&view, &paths);
    let shown: Vec<Vec<&str>> =
        holders.iter().map(|ids| ids.iter().map(|id| &*database.package(*id).name).collect()).collect();
    // The package with the directory's name is likelier than the first by name.
    assert_eq!(shown, [vec!["a"], vec!["c"], vec!["data", "c"], vec![]]);
    let first: Vec<_> = holders.iter().map(|ids| ids.first().copied()).collect();
    assert_eq!(before, first);
    assert_eq!(database.owners(&view, &paths), first);
}

/// No package has a file of the project, whatever its path.
#[test]
fn files_of_the_project_have_no_holders() {
    let (folder, mut view) = debian();
    let database = Database::open(&mut view, machine()).unwrap();
    let curl = [path("/usr/bin/curl")];
    assert_eq!(database.owners(&view, &curl), [database.find("curl")]);
    view.plant(&curl[0], &folder.path().join("usr/lib/libc.so.6")).unwrap();
    assert_eq!(database.owners(&view, &curl), [None]);
    assert_eq!(database.holders(&view, &curl), [vec![]]);
    assert!(database.lists.get().is_none(), "no list was read");
}

/// Distroless images have a record and sums for each package.
#[test]
fn what_a_distroless_image_knows() {
    let sum = "d41d8cd98f00b204e9800998ecf8427e";
    let (_folder, mut view) = sysroot(&[
        ("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nArchitecture: all\nVersion: 2025b\nDepends: base\n"),
        ("var/lib/dpkg/status.d/tzdata.md5sums", &format!("{sum}  usr/share/zoneinfo/UTC\n{sum}  ../etc/passwd\n")),
    ]);
    let database = Database::open(&mut view, machine()).unwrap();
    let id = database.find("tzdata").unwrap();
    assert_eq!(shown(&database.files(&view, id)), "/usr/share/zoneinfo/UTC");
    assert_eq!(database.owners(&view, &[path("/usr/share/zoneinfo/UTC")]), [Some(id)]);
    assert_eq!(database.dependencies(&[id]).missing, [(id, "base".to_owned())]);
}

#[test]
fn what_apk_knows() {
    let (_folder, mut view) = sysroot(&[(
        "lib/apk/db/installed",
        "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\
         \nP:zsh\nV:5.9\no:zsh-src\nD:so:libc.musl-x86_64.so.1 cmd:less !bash gone>=1\nF:\nF:bin\nR:zsh\nF:../etc\nR:x\nR:../y\n\
         \nP:less\nV:1\np:cmd:less=1\nF:usr/bin\nR:less\n",
    )]);
    let database = Database::open(&mut view, machine()).unwrap();
    let zsh = database.find("zsh").unwrap();
    let found = database.dependencies(&[zsh]);
    assert_eq!(names(&database, &found.packages), "zsh musl less");
    assert_eq!(found.missing, [(zsh, "gone".to_owned())]);
    assert_eq!(database.package(database.find("musl").unwrap()).licence.as_deref(), Some("MIT"));
    // A path out of the sysroot is skipped.
    assert_eq!(shown(&database.files(&view, zsh)), "/bin /bin/zsh");
    assert_eq!(database.owners(&view, &[path("/usr/bin/less")]), [database.find("less")]);
}

#[test]
fn what_pacman_knows() {
    let (_folder, mut view) = sysroot(&[
        ("var/lib/pacman/local/ALPM_DB_VERSION", "9\n"),
        (
            "var/lib/pacman/local/bash-5.3-1/desc",
            "%NAME%\nbash\n\n%VERSION%\n5.3-1\n\n%BASE%\nbash\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL\n\n%DEPENDS%\nreadline\nlibreadline.so=8-64\nglibc>=2.4\n\n%PROVIDES%\nsh\n",
        ),
        (
            "var/lib/pacman/local/bash-5.3-1/files",
            "%FILES%\nusr/\nusr/bin/\nusr/bin/bash\n../x\n\n%BACKUP%\netc/bash.bashrc\tabc\n",
        ),
        (
            "var/lib/pacman/local/readline-8-1/desc",
            "%NAME%\nreadline\n\n%VERSION%\n8-1\n\n%PROVIDES%\nlibreadline.so=8-64\n",
        ),
    ]);
    let database = Database::open(&mut view, machine()).unwrap();
    let bash = database.find("sh").unwrap();
    let found = database.dependencies(&[bash]);
    assert_eq!(names(&database, &found.packages), "bash readline");
    assert_eq!(found.missing, [(bash, "glibc".to_owned())]);
    assert_eq!(shown(&database.files(&view, bash)), "/usr /usr/bin /usr/bin/bash");
    assert_eq!(database.owners(&view, &[path("/usr/bin/bash")]), [Some(bash)]);
}

#[test]
fn rpm_is_known_by_its_files_alone() {
    let (_folder, mut view) = sysroot(&[("usr/lib/sysimage/rpm/rpmdb.sqlite", "x")]);
    assert!(Database::open(&mut view, machine()).is_none());
    assert_eq!(Database::rpm(&mut view), Some(path("/usr/lib/sysimage/rpm/rpmdb.sqlite")));
}

/// A database behind symlinks that lead out of the sysroot is resolved inside it.
#[test]
fn a_database_behind_links_stays_inside() {
    let (_folder, mut view) = sysroot(&[("var/lib/dpkg", "-> ../../../../../../../../../../../../var/lib/dpkg")]);
    assert!(Database::open(&mut view, machine()).is_none());
}

/// The host's own database, if it has one: each package owns its files, and the queries are fast.
#[test]
fn this_machine() {
    let mut view = Sysroot::open("/".as_ref()).unwrap();
    let database = Database::open(&mut view, Machine::host()).filter(|database| database.format() == Format::Dpkg);
    let Some(database) = database else {
        assert!(std::env::var_os("CI").is_none(), "CI is a Debian");
        #[allow(clippy::print_stderr)]
        return eprintln!("skipped: dpkg's own database, for this machine is no Debian");
    };
    let libc = database.find("libc6").expect("a Debian without libc6");
    let found = database.dependencies(&[libc]);
    assert!(found.packages.len() > 1, "libc6 depends on libgcc-s1");
    let realpath = view.walk(&path("/bin/sh")).path;
    assert!(database.owners(&view, &[realpath])[0].is_some());
}

/// Modules belong to packages that have some, along their dependencies; files of other packages do not count.
#[test]
fn modules_of_a_package_and_of_what_it_depends_on() {
    let record = |name: &str, depends: &str| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nDepends: {depends}\n\n")
    };
    let status = [
        record("program", "one, data, interpreter, program-data"),
        record("one", "two (>= 1) | other, program"),
        record("two", ""),
        record("other", ""),
        record("data", "behind-more"),
        record("behind-more", ""),
        "Package: program-data\nSource: program\nStatus: install ok installed\nArchitecture: all\n\n".to_owned(),
        record("behind-data", ""),
        record("interpreter", "behind-interpreter, behind-data, interpreter-data"),
        record("behind-interpreter", ""),
        "Package: interpreter-data\nSource: interpreter\nStatus: install ok installed\nArchitecture: all\n\n"
            .to_owned(),
    ];
    let (_folder, mut view) = sysroot(&[
        ("var/lib/dpkg/status", &status.concat()),
        ("var/lib/dpkg/info/program.list", "/.\n/usr\n/usr/share/program/main\n"),
        ("var/lib/dpkg/info/program-data.list", "/usr/share/program/data\n"),
        ("var/lib/dpkg/info/one.list", "/modules/one\n"),
        ("var/lib/dpkg/info/two.list", "/usr/bin/two\n/modules/two\n"),
        ("var/lib/dpkg/info/other.list", "/modules/other\n"),
        ("var/lib/dpkg/info/data.list", "/usr/share/data\n"),
        ("var/lib/dpkg/info/behind-data.list", "/usr/share/data\n"),
        ("var/lib/dpkg/info/behind-more.list", "/modules/behind-data\n"),
        ("var/lib/dpkg/info/interpreter.list", "/usr/bin/interpreter\n"),
        ("var/lib/dpkg/info/interpreter-data.list", "/usr/share/interpreter\n"),
        ("var/lib/dpkg/info/behind-interpreter.list", "/modules/more\n"),
    ]);
    let database = Database::open(&mut view, machine()).unwrap();
    let program = database.find("program").unwrap();
    let found = database.modules(&view, program, |file| file.is_within(&path("/modules")));
    let found: Vec<_> =
        found.iter().map(|(id, files)| format!("{}: {}", database.package(*id).name, shown(files))).collect();
    assert_eq!(
        found,
        [
            "program: /usr /usr/share/program/main",
            "one: /modules/one",
            "program-data: /usr/share/program/data",
            "two: /usr/bin/two /modules/two",
            "behind-interpreter: /modules/more",
        ]
    );
}
