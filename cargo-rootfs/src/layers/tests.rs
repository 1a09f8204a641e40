use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::rootfs::{Body, Origin, OwningPackage};

/// A rootfs made entry by entry, with missing parent directories.
#[derive(Default)]
struct Tree(Rootfs);

impl Tree {
    fn add(mut self, path: &str, kind: Kind, origin: Origin, package: Option<(&str, &str)>) -> Self {
        let path = at(path);
        let mut above = path.parent();
        while let Some(directory) = above {
            above = directory.parent();
            if self.0.get(&directory).is_none() {
                self.0.insert(directory, Entry::new(Kind::Dir, 0o755, Origin::Leads(path.clone())));
            }
        }
        let mut entry = Entry::new(kind, 0o755, origin);
        entry.package = package.map(|(name, source)| {
            let source = (source != name).then(|| source.into());
            Arc::new(OwningPackage { name: name.into(), version: "1.0".into(), architecture: "all".into(), source })
        });
        self.0.insert(path, entry);
        self
    }

    /// A file of `kib` KiB in a package.
    fn of(self, package: &str, source: &str, path: &str, kib: usize) -> Self {
        let tool = Origin::Tool("x".to_owned());
        self.add(path, file(kib), tool, Some((package, source)))
    }

    fn project(self, path: &str) -> Self {
        self.add(path, file(400), Origin::Binary("app".to_owned()), None)
    }

    fn libc(self) -> Self {
        self.of("libc6", "glibc", "/usr/lib/libc.so.6", 1900).of("libc6", "glibc", "/usr/lib/ld-linux-x86-64.so.2", 200)
    }
}

fn file(kib: usize) -> Kind {
    Kind::File(Body::Bytes(vec![0; kib << 10].into()))
}

fn at(path: &str) -> RootfsPath {
    RootfsPath::parse(path).unwrap()
}

fn origins() -> Origins<'static> {
    Origins { project: &[], sysroot: Path::new("/") }
}

/// The comment and the paths of each layer, without directories.
fn split(tree: &Tree) -> Vec<(String, Vec<String>)> {
    let partition = Partition::new(Layered::Split, &tree.0, origins());
    partition.check(&tree.0).unwrap();
    let comments = partition.comments().iter().enumerate();
    comments
        .map(|(number, comment)| {
            let held = tree.0.iter().filter(|(path, entry)| {
                !matches!(entry.kind, Kind::Dir) && partition.of(path).any(|layer| layer == number)
            });
            (comment.clone(), held.map(|(path, _)| path.to_string()).collect())
        })
        .collect()
}

fn comments(tree: &Tree) -> Vec<String> {
    split(tree).into_iter().map(|(comment, _)| comment).collect()
}

/// The paths of the layer with `path`.
fn layer(tree: &Tree, path: &str) -> Vec<String> {
    split(tree).into_iter().map(|(_, held)| held).find(|held| held.iter().any(|held| held == path)).unwrap()
}

#[test]
fn layers_go_from_what_seldom_changes_to_the_project() {
    let template = || Origin::Template("base".to_owned());
    let tree = Tree::default()
        .libc()
        .of("libc6", "glibc", "/usr/lib/libm.so.6", 900)
        .of("libgcc-s1", "gcc-12", "/usr/lib/libgcc_s.so.1", 100)
        .of("bash", "bash", "/usr/bin/bash", 1200)
        .of("tzdata", "tzdata", "/usr/share/zoneinfo/UTC", 1)
        .add("/etc/passwd", file(1), template(), None)
        .add("/tmp", Kind::Dir, template(), None)
        .add("/bin", Kind::Symlink(b"usr/bin"[..].into()), Origin::Leads(at("/usr/bin")), None)
        .add("/etc/ld.so.cache", file(4), Origin::Generated("for the loader".to_owned()), None)
        .project("/usr/local/bin/app");
    let expected = [
        ("directories, links of /usr, and the template", vec!["/bin", "/etc/passwd"]),
        ("the loader and the C library 1.0", vec!["/usr/lib/ld-linux-x86-64.so.2", "/usr/lib/libc.so.6"]),
        ("more of the C library, and the compiler's libraries", vec!["/usr/lib/libgcc_s.so.1", "/usr/lib/libm.so.6"]),
        ("bash 1.0", vec!["/usr/bin/bash"]),
        ("certificates, time zones, terminals and locales", vec!["/usr/share/zoneinfo/UTC"]),
        ("files that are made for this root filesystem", vec!["/etc/ld.so.cache"]),
        ("the project's own files", vec!["/usr/local/bin/app"]),
    ];
    let expected = expected.map(|(comment, held)| (comment.to_owned(), held.into_iter().map(str::to_owned).collect()));
    assert_eq!(split(&tree), expected);
}

/// Other contents change neither the layers of the C library nor the shared layer of a small package.
#[test]
fn a_layer_does_not_depend_on_the_others() {
    let small = |tree: Tree| {
        tree.of("libtinfo6", "ncurses", "/usr/lib/libtinfo.so.6", 200)
            .of("libselinux1", "libselinux", "/usr/lib/libselinux.so.1", 170)
            .of("libpcre2-8-0", "pcre2", "/usr/lib/libpcre2-8.so.0", 620)
            .of("zlib1g", "zlib", "/usr/lib/libz.so.1", 120)
    };
    let one = small(Tree::default().libc()).project("/usr/local/bin/one");
    let other = small(Tree::default().libc())
        .of("bash", "bash", "/usr/bin/bash", 1200)
        .of("perl-base", "perl", "/usr/bin/perl", 3700)
        .project("/usr/local/bin/other");
    for path in ["/usr/lib/libc.so.6", "/usr/lib/libtinfo.so.6", "/usr/lib/libz.so.1", "/usr/lib/libpcre2-8.so.0"] {
        assert_eq!(layer(&one, path), layer(&other, path), "{path}");
    }
    let apart = ["/usr/lib/libtinfo.so.6", "/usr/lib/libselinux.so.1"].map(|path| layer(&one, path));
    assert_ne!(apart[0], apart[1], "the names choose two layers");
}

#[test]
fn many_packages_make_few_layers() {
    let tree = (0..60).fold(Tree::default().libc().project("/app"), |tree, number| {
        tree.of(&format!("p{number}"), &format!("p{number}"), &format!("/usr/bin/p{number}"), 1 << (number % 15))
    });
    let comments = comments(&tree);
    assert!((6..=9).contains(&comments.len()), "{comments:#?}");
    assert!(comments.iter().any(|comment| comment.contains(" and ")), "{comments:#?}");
}

/// A release that adds some bytes to a package moves no other package.
#[test]
fn the_largest_are_alone() {
    let tree = |bash: usize| {
        let sizes = [("bash", bash), ("perl", 1900), ("curl", 1500), ("git", 1300), ("ssh", 1400), ("vim", 3000)];
        sizes.into_iter().fold(Tree::default(), |tree, (name, kib)| tree.of(name, name, &format!("/bin/{name}"), kib))
    };
    let alone = |bash| {
        let layers = split(&tree(bash)).into_iter().map(|(_, held)| held);
        layers.filter(|held| held.len() == 1).flatten().take(3).collect::<Vec<_>>()
    };
    assert_eq!(alone(1200), ["/bin/bash", "/bin/curl", "/bin/vim"]);
    assert_eq!(alone(1900), alone(1200), "it is no larger by a power of two");
    assert_eq!(alone(900), ["/bin/curl", "/bin/git", "/bin/vim"], "too small for a layer");
}

/// Files of the same source stay together, also from different packages.
#[test]
fn a_source_is_one_group() {
    let tree = Tree::default()
        .of("libssl3", "openssl", "/usr/lib/libssl.so.3", 600)
        .of("libcrypto3", "openssl", "/usr/lib/libcrypto.so.3", 4600)
        .of("openssl", "openssl", "/usr/bin/openssl", 900);
    assert_eq!(layer(&tree, "/usr/bin/openssl").len(), 3);
}

#[test]
fn links_are_with_their_files() {
    let link = |target: &str| Kind::Symlink(target.as_bytes().into());
    let leads = || Origin::Leads(at("/usr/bin/mawk"));
    let tree = Tree::default()
        .of("mawk", "mawk", "/usr/bin/mawk", 150)
        .add("/usr/bin/awk", link("/etc/alternatives/awk"), leads(), None)
        .add("/etc/alternatives/awk", link("/usr/bin/mawk"), leads(), None)
        .add("/usr/bin/mawk-1", Kind::Hardlink(at("/usr/bin/mawk")), leads(), None)
        .project("/app")
        .add("/usr/bin/app", link("/app"), leads(), None)
        .add("/usr/bin/nowhere", link("/none"), leads(), None);
    let with = ["/etc/alternatives/awk", "/usr/bin/awk", "/usr/bin/mawk", "/usr/bin/mawk-1"];
    assert_eq!(layer(&tree, "/usr/bin/mawk"), with);
    assert_eq!(layer(&tree, "/app"), ["/app", "/usr/bin/app"]);
}

/// A library of a build script belongs to the project at any path; a sysroot inside the workspace does not.
#[test]
fn files_of_the_build_are_the_projects() {
    let directory = tempfile::tempdir().unwrap();
    let host = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, name).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        Kind::File(Body::Host(Arc::new(crate::rootfs::HostFile::new(path, &metadata))))
    };
    let needed = || Origin::NeededBy(at("/app"));
    let tree = Tree::default()
        .project("/app")
        .add("/usr/lib/libown.so", host("ws/target/out/libown.so"), needed(), None)
        .add("/usr/lib/libother.so", host("ws/sysroot/usr/lib/libother.so"), needed(), None);
    let project = [directory.path().join("ws")];
    let sysroot = directory.path().join("ws/sysroot");
    let partition = Partition::new(Layered::Split, &tree.0, Origins { project: &project, sysroot: &sysroot });
    let of = |path: &str| partition.of(&at(path)).collect::<Vec<_>>();
    assert_eq!(of("/usr/lib/libown.so"), of("/app"));
    assert_ne!(of("/usr/lib/libother.so"), of("/app"));
}

/// Each fault that a reader of layers would meet is found.
#[test]
fn a_broken_partition_is_refused() {
    let tree = Tree::default().libc().project("/usr/bin/app").add(
        "/usr/bin/name",
        Kind::Hardlink(at("/usr/bin/app")),
        Origin::Leads(at("/usr/bin/app")),
        None,
    );
    let broken = |change: &dyn Fn(&mut Partition)| {
        let mut partition = Partition::new(Layered::Split, &tree.0, origins());
        change(&mut partition);
        partition.check(&tree.0).unwrap_err().to_string()
    };
    let set = |path: &'static str, set: Set| {
        move |partition: &mut Partition| {
            partition.members.insert(at(path), set);
        }
    };
    for (change, why) in [
        (&set("/usr/lib/libc.so.6", 0) as &dyn Fn(&mut Partition), "no layer holds it"),
        (&set("/usr/lib/libc.so.6", 3), "several layers hold it"),
        (&set("/usr/lib", 0), "no layer holds it"),
        (&set("/usr/lib/libc.so.6", 2), "one of its layers lacks its directory"),
        (&set("/usr/bin/name", 1), "one of its layers lacks its directory"),
        (&set("/none", 1), "a layer holds it, and the rootfs does not"),
        (&|partition: &mut Partition| partition.comments.truncate(1), "its layer is not there"),
        (
            &|partition: &mut Partition| {
                set("/usr/bin", 3)(partition);
                set("/usr/bin/name", 1)(partition);
            },
            "its layer lacks the file that it is a link to",
        ),
    ] {
        assert!(broken(change).ends_with(why), "{}, not {why}", broken(change));
    }
}

/// The union of the layers is the rootfs, each file once, for trees of all shapes.
#[test]
fn the_union_of_layers_is_the_rootfs() {
    let mut seed = 7_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..200 {
        let mut tree = Tree::default().add("/", Kind::Dir, Origin::Template("base".to_owned()), None);
        let mut files: Vec<String> = Vec::new();
        for number in 0..next(40) {
            let directory = ["", "/usr", "/usr/lib", "/usr/share/zoneinfo", "/etc/ssl/certs", "/opt/a/b"];
            let path = format!("{}/{number}", directory[next(6) as usize]);
            let kib = 1 << next(12);
            tree = match next(6) {
                0 => tree.project(&path),
                1 if !files.is_empty() => {
                    let target = &files[next(files.len() as u64) as usize];
                    let kind = match at(target) < at(&path) {
                        true => Kind::Hardlink(at(target)),
                        false => Kind::Symlink(target.as_bytes().into()),
                    };
                    tree.add(&path, kind, Origin::Leads(at(target)), None)
                }
                2 => tree.add(&path, Kind::Dir, Origin::Include("x".to_owned()), None),
                3 => tree.add(&path, file(kib), Origin::Generated("x".to_owned()), None),
                _ => {
                    files.push(path.clone());
                    let source = format!("source{}", next(9));
                    tree.of(&format!("{source}-{}", next(2)), &source, &path, kib)
                }
            };
        }
        let layers = split(&tree);
        let mut united: Vec<&String> = layers.iter().flat_map(|(_, held)| held).collect();
        united.sort();
        let all = tree.0.iter().filter(|(_, entry)| !matches!(entry.kind, Kind::Dir));
        let mut all: Vec<String> = all.map(|(path, _)| path.to_string()).collect();
        all.sort();
        assert_eq!(united, all.iter().collect::<Vec<_>>());
        assert!(layers.len() <= 12, "{layers:?}");
    }
}

#[test]
fn one_layer_has_everything() {
    let tree = Tree::default().libc().project("/app");
    let partition = Partition::new(Layered::Single, &tree.0, origins());
    partition.check(&tree.0).unwrap();
    assert_eq!(partition.comments(), [ALL]);
    assert!(tree.0.iter().all(|(path, _)| partition.of(path).eq([0])));
}

#[test]
fn rows_are_read() {
    use super::members::Members;
    let members = Members::built_in();
    for file in ["/usr/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1", "/lib/x86_64-linux-gnu/libc.so.6"] {
        assert!(members.is_libc_file(&at(file)), "{file}");
    }
    for file in ["/usr/lib/libm.so.6", "/usr/lib/libc.so", "/etc/ld.so.cache"] {
        assert!(!members.is_libc_file(&at(file)), "{file}");
    }
    assert!(members.is_libc_source("glibc") && members.is_kin_source("gcc-12") && !members.is_kin_source("gccgo"));
    assert!(members.is_data(&at("/usr/lib/terminfo/x/xterm"), None));
    assert!(members.is_data(&at("/opt/x"), Some("tzdata-legacy")) && !members.is_data(&at("/opt/x"), Some("bash")));
}

#[test]
fn paths_of_the_host_are_compared_by_components() {
    let project = [PathBuf::from("/ws")];
    let origins = Origins { project: &project, sysroot: Path::new("/") };
    assert!(origins.is_project(Path::new("/ws/x")) && !origins.is_project(Path::new("/ws2/x")));
}
