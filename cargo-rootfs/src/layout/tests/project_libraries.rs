//! Libraries of the build and of the project: their places in the rootfs.

use super::disk::{Ask, Disk, expect_shape, library, path, shape, tool};
use super::planned::cache_of;
use crate::rootfs::Rootfs;

fn project() -> Disk {
    Disk::empty()
        .elf("target/release/app", tool().needs("libnative.so.1"))
        .elf("target/release/build/native/out/libnative.so.1.2", library("libnative.so.1"))
        .link("target/release/build/native/out/libnative.so.1", "libnative.so.1.2")
        .bytes("target/release/build/native/out/notes.txt", b"not needed", 0o644)
}

/// A library made by a build script goes to `<install-dir>/../lib`, and a cache leads to it.
#[test]
fn libraries_of_the_build_land_beside_the_binary() {
    let project = project();
    let ask = Ask::nothing()
        .executable(project.at("target/release/app"))
        .library_dir(project.at("target/release/build/native/out"))
        .build_tree(project.root());
    let assembly = ask.assemble(&Disk::merged()).unwrap();
    expect_shape(
        &assembly.rootfs,
        "/ d0755
         /etc d0755
         /etc/ld.so.cache f0644
         /lib l0777 -> usr/lib
         /lib64 l0777 -> usr/lib64
         /usr d0755
         /usr/lib d0755
         /usr/lib/libc.so.6 f0755
         /usr/lib64 d0755
         /usr/lib64/ld-linux-x86-64.so.2 f0755
         /usr/local d0755
         /usr/local/bin d0755
         /usr/local/bin/app f0755
         /usr/local/lib d0755
         /usr/local/lib/libnative.so.1 l0777 -> libnative.so.1.2
         /usr/local/lib/libnative.so.1.2 f0755",
    );
    assert_eq!(cache_of(&assembly.rootfs), ["libnative.so.1 => /usr/local/lib/libnative.so.1"]);
    assert_eq!(assembly.executables, [path("/usr/local/bin/app")]);
    no_entry_of_the_build_tree(&assembly.rootfs, &project);
}

fn no_entry_of_the_build_tree(rootfs: &Rootfs, project: &Disk) {
    let text = rootfs.dump();
    assert!(!text.contains(project.root().as_str()), "{text}");
}

/// `--install-dir` moves both.
#[test]
fn the_install_dir_moves_the_libraries_as_well() {
    let project = project();
    let mut ask = Ask::nothing()
        .executable(project.at("target/release/app"))
        .library_dir(project.at("target/release/build/native/out"))
        .build_tree(project.root());
    ask.content.install_dir = path("/srv/app/bin");
    let rootfs = ask.rootfs(&Disk::merged());
    assert_eq!(cache_of(&rootfs), ["libnative.so.1 => /srv/app/lib/libnative.so.1"]);
    assert!(rootfs.get(&path("/srv/app/bin/app")).is_some());
}

/// A library beside the binary, found by `$ORIGIN`, goes to the place that `$ORIGIN` means in the image, and needs no
/// cache.
#[test]
fn libraries_beside_the_binary_keep_their_place_beside_it() {
    let project = Disk::empty()
        .elf("out/bin/app", tool().needs("liba.so").runpath("$ORIGIN/../lib:${ORIGIN}/plugins"))
        .elf("out/lib/liba.so", library("liba.so").needs("libb.so").runpath("$ORIGIN/private"))
        .elf("out/lib/private/libb.so", library("libb.so"));
    let ask = Ask::nothing().executable(project.at("out/bin/app")).build_tree(project.root());
    let rootfs = ask.rootfs(&Disk::merged());
    let text = shape(&rootfs);
    for line in ["/usr/local/lib/liba.so f0755", "/usr/local/lib/private/libb.so f0755"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(cache_of(&rootfs).is_empty());
    no_entry_of_the_build_tree(&rootfs, &project);
}

/// The mode of a built file does not depend on the umask of the build.
#[test]
fn built_files_have_the_modes_of_installed_ones() {
    let project = Disk::empty()
        .elf("app", tool().needs("liba.so"))
        .mode("app", 0o700)
        .elf("libs/liba.so", library("liba.so"))
        .mode("libs/liba.so", 0o660);
    let ask = Ask::nothing().executable(project.at("app")).library_dir(project.at("libs")).build_tree(project.root());
    let rootfs = ask.rootfs(&Disk::merged());
    let mode = |at| rootfs.get(&path(at)).unwrap().mode;
    assert_eq!((mode("/usr/local/bin/app"), mode("/usr/local/lib/liba.so")), (0o755, 0o644));
}

/// Cargo's hard links `target/release/app` and `deps/app-hash` are one file here.
#[test]
fn cargos_hard_links_do_not_come_along() {
    let project = Disk::empty().elf("deps/app-0123", tool()).hard_link("app", "deps/app-0123");
    let ask = Ask::nothing().executable(project.at("app")).library_dir(project.at("deps")).build_tree(project.root());
    let text = shape(&ask.rootfs(&Disk::merged()));
    assert!(text.contains("/usr/local/bin/app f0755") && !text.contains("0123"), "{text}");
}

/// A library without a soname that was linked by its path is needed by that path.
#[test]
fn a_library_that_is_needed_by_its_path_in_the_build_lands_beside_the_binary() {
    let project = Disk::empty().elf("target/out/libx.so", library("libx.so").needs("liby.so").runpath("$ORIGIN"));
    let needed = project.at("target/out/libx.so").canonicalize_utf8().unwrap();
    let project =
        project.elf("target/out/liby.so", library("liby.so")).elf("target/app", tool().needs(needed.as_str()));
    let ask = Ask::nothing().executable(project.at("target/app")).build_tree(project.root());
    let assembly = ask.assemble(&Disk::merged()).unwrap();
    let text = shape(&assembly.rootfs);
    let link = format!("{needed} l0777 -> /usr/local/lib/libx.so");
    for line in [&link[..], "/usr/local/lib/libx.so f0755", "/usr/local/lib/liby.so f0755"] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    let said: Vec<_> = assembly.warnings.iter().map(|it| it.message.clone()).collect();
    assert_eq!(
        said,
        [format!(
            "`app` needs `{needed}` by a path of this machine; a symlink leads from there to `/usr/local/lib/libx.so`"
        )]
    );
}

/// A RUNPATH into the build tree leads nowhere in the image, so its libraries go to the place of the build's libraries.
#[test]
fn a_library_of_an_absolute_runpath_into_the_project_lands_beside_the_binary() {
    for is_runpath in [true, false] {
        let project = Disk::empty().elf("own/libx.so", library("libx.so").needs("liby.so"));
        let own = project.at("own").canonicalize_utf8().unwrap();
        let app = tool().needs("libx.so");
        let app = if is_runpath { app.runpath(own.as_str()) } else { app.rpath(own.as_str()) };
        let project = project.elf("own/liby.so", library("liby.so")).elf("target/app", app);
        let sysroot = Disk::merged().elf("usr/lib/libx.so", library("libx.so"));
        let ask = Ask::nothing().executable(project.at("target/app")).build_tree(project.root());
        let rootfs = ask.rootfs(&sysroot);
        let expected = ["liby.so => /usr/local/lib/liby.so", "libx.so => /usr/local/lib/libx.so"];
        assert_eq!(cache_of(&rootfs), expected, "{is_runpath}");
        assert!(rootfs.get(&path("/usr/lib/libx.so")).is_none());
        no_entry_of_the_build_tree(&rootfs, &project);
    }
}

/// `--with` means the sysroot's tool, whatever the name of the project's executable.
#[test]
fn a_tool_is_the_sysroots_and_not_the_projects_of_its_name() {
    let project = Disk::empty().elf("target/env", tool());
    let mut ask = Ask::tools(&["env"]).executable(project.at("target/env")).build_tree(project.root());
    let assembly = ask.assemble(&Disk::merged()).unwrap();
    assert_eq!(assembly.tools, [path("/usr/bin/env")]);
    assert_eq!(assembly.executables, [path("/usr/local/bin/env")]);
    assert!(assembly.rootfs.get(&path("/usr/bin/env")).is_some());
    ask.content.install_dir = path("/bin");
    let error = ask.error(&Disk::merged());
    assert_eq!(error.message(), "two sources for `/bin/env`");
    assert_eq!(error.details(), ["the project's binary `env` and the sysroot's tool `env`"]);
}
