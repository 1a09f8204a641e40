use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().unwrap()));
    let mut names = names.collect::<io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Each row parses, and has the keys that its kind needs.
#[test]
fn every_table_of_the_recipe_is_understood() {
    let fields = embedded(DATA);
    let rows = row::read(&fields).unwrap_or_else(|problems| panic!("{problems:#?}"));
    for (word, kind, _) in row::KINDS {
        assert!(rows.iter().any(|row| row.kind == kind), "{word}");
    }
    let known = row::KINDS.map(|(word, ..)| word);
    assert!(fields.iter().all(|(key, _)| known.contains(&&**key) || ["merged", "merged-for"].contains(&&**key)));
    for row in &rows {
        assert_eq!(row.names.is_empty(), !row.path.contains("{name}"), "{row:?}");
        assert_eq!(row.number.is_empty(), !row.path.contains("{number}"), "{row:?}");
        assert!(row.first_of.iter().all(|choice| choice.starts_with('/')), "{row:?}");
        if row.kind == Kind::Mode {
            assert_eq!(row.mode & 0o777, 0o755, "{row:?}");
        }
        if row.kind == Kind::Text {
            let is_path = |(file, _): &(String, String)| format!("{}{file}", row.directory).starts_with('/');
            assert!(row.pairs.iter().all(is_path), "{row:?}");
        }
    }
}

/// A faulty row is reported.
#[test]
fn what_no_row_can_be_is_said() {
    for (text, said) in [
        ("[[link]]\npath = '/a'\n", "a link needs a `path`, and what it is made of"),
        ("[[link]]\npath = 'a'\nfrom = '/b'\n", "`path` of link must be an absolute path"),
        ("[[link]]\npath = '/a'\nform = '/b'\n", "unknown key `form` of link"),
        ("[[mode]]\npath = '/a'\nmode = '9'\n", "`mode` of mode must be octal digits"),
        ("[[copy]]\npath = '/{nmae}'\nfrom = '/b'\n", "`/{nmae}`: there is no placeholder `{nmae}`"),
        ("[[join]]\npath = '/a'\nfrom = '/b{'\n", "`/b{` in `from`: a `{` is not closed"),
    ] {
        let problems = row::read(&embedded(text)).unwrap_err();
        assert!(problems[0].message.starts_with(said), "{problems:?}");
    }
}

#[test]
fn a_merged_usr_is_there_before_packages_are() {
    for (arch, loader) in [("amd64", true), ("arm64", false)] {
        let root = tempfile::tempdir().unwrap();
        Recipe::debian().before(root.path(), arch).unwrap();
        assert_eq!(fs::read_link(root.path().join("bin")).unwrap(), Path::new("usr/bin"));
        assert!(root.path().join("usr/lib").is_dir());
        assert_eq!(root.path().join("lib64").is_symlink(), loader, "{arch}");
    }
}

#[test]
fn what_scripts_would_have_made_is_there() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let put = |path: &str, text: &str| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    };
    put("usr/bin/mawk", "");
    put("usr/bin/dash", "");
    put("usr/bin/which.debianutils", "");
    put("usr/bin/vi", "mine");
    put("usr/bin/vim.basic", "");
    put("usr/bin/convert-im6.q16", "");
    put("usr/share/base-passwd/passwd.master", "root:*:0:0::/root:/bin/bash\n");
    put("usr/share/ca-certificates/mozilla/B.crt", "b");
    put("usr/share/ca-certificates/mozilla/A.crt", "a\n");
    put("usr/lib/aarch64-linux-gnu/blas/libblas.so.3", "");
    Recipe::debian().after(root).unwrap();
    let link = |path: &str| fs::read_link(root.join(path)).unwrap().to_str().unwrap().to_owned();
    assert_eq!(link("usr/bin/awk"), "/etc/alternatives/awk");
    assert_eq!(link("etc/alternatives/awk"), "/usr/bin/mawk");
    assert_eq!(link("usr/bin/sh"), "dash");
    assert_eq!(link("etc/alternatives/convert"), "/usr/bin/convert-im6.q16");
    assert_eq!(fs::read(root.join("usr/bin/vi")).unwrap(), b"mine");
    assert_eq!(fs::read(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap(), b"a\nb\n");
    assert!(root.join("etc/passwd").is_file() && !root.join("etc/group").exists());
    let blas = "etc/alternatives/libblas.so.3-aarch64-linux-gnu";
    assert_eq!(link(blas), "/usr/lib/aarch64-linux-gnu/blas/libblas.so.3");
    assert!(!root.join("usr/bin/editor").is_symlink() || link("etc/alternatives/editor").contains("vim"));
    Recipe::debian().after(root).unwrap();
}

/// A root with these files, to which the rows have been applied.
fn repaired(recipe: &Recipe, files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = inside(root.path(), path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    recipe.after(root.path()).unwrap();
    root
}

fn read(root: &tempfile::TempDir, path: &str) -> Option<String> {
    fs::read_to_string(inside(root.path(), path)).ok()
}

#[test]
fn extensions_of_php_are_enabled_for_the_interfaces_that_are_there() {
    let root = repaired(
        Recipe::debian(),
        &[
            ("/usr/share/php8.2-common/common/pdo.ini", "; priority=10\nextension=pdo.so\n"),
            ("/usr/share/php8.2-readline/readline/readline.ini", "extension=readline.so\n"),
            ("/etc/php/8.2/mods-available/own.ini", "; priority=7\n"),
            ("/usr/lib/php/8.2/sapi/cli", ""),
            ("/usr/lib/php/8.2/php.ini-production.cli", "[PHP]\n"),
        ],
    );
    assert_eq!(read(&root, "/etc/php/8.2/mods-available/readline.ini").unwrap(), "extension=readline.so\n");
    assert_eq!(read(&root, "/etc/php/8.2/cli/php.ini").unwrap(), "[PHP]\n");
    let enabled = names_in(&inside(root.path(), "/etc/php/8.2/cli/conf.d")).unwrap();
    assert_eq!(enabled, ["10-pdo.ini", "20-readline.ini", "7-own.ini"]);
    let link = fs::read_link(inside(root.path(), "/etc/php/8.2/cli/conf.d/10-pdo.ini")).unwrap();
    assert_eq!(link, Path::new("/etc/php/8.2/mods-available/pdo.ini"));
    assert_eq!(names_in(&inside(root.path(), "/etc/php/8.2")).unwrap(), ["cli", "mods-available"]);
}

#[test]
fn stacks_of_pam_are_those_of_the_profile_unix() {
    let root = repaired(
        Recipe::debian(),
        &[
            ("/usr/share/pam/common-auth", "# primary\n$auth_primary\nx\n$auth_additional\n# end\n"),
            ("/usr/share/pam/common-session", "$session_primary\n$session_additional\nsession optional pam_umask.so\n"),
            ("/usr/share/pam/common-account", "$account_primary\n"),
            ("/etc/pam.d/common-account", "mine\n"),
        ],
    );
    let auth = "# primary\nauth\t[success=1 default=ignore]\tpam_unix.so nullok\nx\n# end\n";
    assert_eq!(read(&root, "/etc/pam.d/common-auth").unwrap(), auth);
    let session = read(&root, "/etc/pam.d/common-session").unwrap();
    assert!(
        session.contains("[default=1]") && session.contains("required\tpam_unix.so\nsession optional"),
        "{session}"
    );
    assert_eq!(read(&root, "/etc/pam.d/common-account").unwrap(), "mine\n");
    assert_eq!(read(&root, "/etc/pam.d/common-password"), None);
}

#[test]
fn no_variable_of_a_template_of_pam_is_left() {
    for row in Recipe::debian().of(Kind::Copy).filter(|it| it.path.contains("/pam.d/")) {
        let name = row.path.replace("/etc/pam.d/common-", "");
        let variable = format!("${}_", name.replace("session-noninteractive", "session_nonint"));
        let left: Vec<&str> = row.pairs.iter().map(|(word, _)| word.trim_end()).collect();
        assert_eq!(left, [format!("{variable}additional"), format!("{variable}primary")]);
    }
}

#[test]
fn a_list_of_plugins_has_those_that_are_there() {
    let loaders = "/usr/lib/aarch64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders";
    let graphviz = "/usr/lib/aarch64-linux-gnu/graphviz";
    let root = repaired(
        Recipe::debian(),
        &[
            (&format!("{loaders}/libpixbufloader-xpm.so"), ""),
            (&format!("{loaders}/libpixbufloader-gif.so"), ""),
            (&format!("{loaders}/libpixbufloader-unknown.so"), ""),
            (&format!("{graphviz}/libgvplugin_dot_layout.so.6"), ""),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", ""),
        ],
    );
    let cache = read(&root, &format!("{loaders}.cache")).unwrap();
    let files: Vec<&str> = cache.lines().filter(|line| line.starts_with("\"/usr")).collect();
    let expected = ["gif", "xpm"].map(|format| format!("\"{loaders}/libpixbufloader-{format}.so\""));
    assert_eq!(files, expected);
    assert_eq!(
        read(&root, &format!("{graphviz}/config6a")).unwrap(),
        "libgvplugin_dot_layout.so.6 dot_layout {\n\tlayout {\n\t\tdot 0\n\t}\n}\n"
    );
    assert!(!inside(root.path(), "/usr/lib/x86_64-linux-gnu/graphviz").exists());
}

#[test]
fn texts_have_a_part_for_each_file_that_is_there() {
    let recipe =
        "[[text]]\npath = '/etc/x'\ndirectory = '/bin/'\nhead = 'h '\n[text.part]\nb = '{file} '\na = 'a '\nc = 'c'\n";
    let recipe = Recipe::parse(recipe);
    assert_eq!(read(&repaired(&recipe, &[("/bin/a", ""), ("/bin/b", "")]), "/etc/x").unwrap(), "h a /bin/b ");
    assert_eq!(read(&repaired(&recipe, &[("/bin/d", "")]), "/etc/x"), None);
    assert_eq!(read(&repaired(&recipe, &[("/bin/a", ""), ("/etc/x", "mine")]), "/etc/x").unwrap(), "mine");
}

#[test]
fn java_has_authorities_of_its_own() {
    let folder = "/usr/share/ca-certificates/mozilla";
    let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
    let files =
        [(&*format!("{folder}/B.crt"), pem), (&*format!("{folder}/A.crt"), pem), (&*format!("{folder}/c.crt"), "x")];
    let cacerts = |root: &tempfile::TempDir| fs::read(inside(root.path(), "/etc/ssl/certs/java/cacerts")).ok();
    assert_eq!(cacerts(&repaired(Recipe::debian(), &files)), None);
    let hook = ("/etc/ca-certificates/update.d/jks-keystore", "");
    let root = repaired(Recipe::debian(), &[&files[..], &[hook]].concat());
    let expected = [("debian:A.pem", &[0, 1, 2][..]), ("debian:B.pem", &[0, 1, 2])];
    assert_eq!(cacerts(&root).unwrap(), keystore::keystore(expected.into_iter()));
}

#[test]
fn modes_are_set_where_scripts_of_the_release_set_them() {
    for (release, expected) in [("bookworm", 0o4755), ("trixie", 0o644)] {
        let text = format!("ID=debian\nVERSION_CODENAME={release}\n");
        let files = [("/usr/lib/os-release", &*text), ("/usr/bin/ping", ""), ("/usr/bin/fping", "")];
        let root = repaired(Recipe::debian(), &files);
        let mode = |path| fs::metadata(inside(root.path(), path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("/usr/bin/ping") & 0o4000, expected & 0o4000, "{release}");
        assert_eq!(mode("/usr/bin/fping"), 0o4755, "{release}");
    }
}

/// A symlink that leads out of the root is resolved inside it.
#[test]
fn links_of_packages_lead_nowhere_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("usr/share/base-passwd")).unwrap();
    fs::write(root.path().join("usr/share/base-passwd/passwd.master"), "root\n").unwrap();
    symlink(outside.path(), root.path().join("etc")).unwrap();
    Recipe::debian().after(root.path()).unwrap_err();
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none(), "a link led out of the root");
    fs::create_dir_all(inside(root.path(), outside.path().to_str().unwrap())).unwrap();
    Recipe::debian().after(root.path()).unwrap();
    assert!(inside(root.path(), outside.path().to_str().unwrap()).join("passwd").is_file());
}

/// A program of the host gets copies, and its results are put into the root.
#[test]
fn a_program_of_this_machine_makes_files_of_copies() {
    let recipe =
        "[[run]]\npath = '/db'\nfrom = '/db/in/*.x'\nprogram = 'PROGRAM'\npackage = 'x'\nmakes = ['made', 'mine']\n";
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("compile");
    fs::write(
        &program,
        "#!/bin/sh\ncat \"$1\"/in/* > \"$1/made\"; echo other > \"$1/mine\"; echo no > \"$1/in/a.x\"\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let files = [("/db/in/a.x", "a\n"), ("/db/in/b.x", "b\n"), ("/db/in/c.y", "c\n"), ("/db/mine", "mine\n")];
    let of = |program: &str| Recipe::parse(&recipe.replace("PROGRAM", program));
    let root = repaired(&of(program.to_str().unwrap()), &files);
    let texts = ["/db/made", "/db/mine", "/db/in/a.x"].map(|path| read(&root, path).unwrap());
    assert_eq!(texts, ["a\nb\n", "mine\n", "a\n"]);
    let absent = of("no-such-program");
    let root = repaired(&absent, &files[..3]);
    let [warning] = &absent.lacks(root.path())[..] else { panic!() };
    assert_eq!(warning.message, "`/db` of the sysroot is not made: `no-such-program` is not installed");
    assert!(absent.lacks(repaired(&absent, &files[2..]).path()).is_empty());
}

/// As TeX's formats.
#[test]
fn what_only_a_program_of_the_sysroot_makes_is_said() {
    let recipe = Recipe::parse("[[unmade]]\npath = '/db/made'\nfrom = '/usr/bin/ma*'\nprogram = 'maker'\n");
    let root = repaired(&recipe, &[("/usr/bin/main", "x")]);
    let [warning] = &recipe.lacks(root.path())[..] else { panic!() };
    assert_eq!(warning.message, "`/db/made` of the sysroot is not made: only `maker` makes it");
    for files in [[("/usr/bin/main", "x"), ("/db/made", "x")], [("/usr/bin/other", "x"), ("/db/x", "x")]] {
        assert!(recipe.lacks(repaired(&recipe, &files).path()).is_empty(), "{files:?}");
    }
}
