use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A directory of templates, written file by file.
struct Fixture(TempDir);

impl Fixture {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(self, path: &str, text: &str) -> Self {
        self.bytes(path, text.as_bytes())
    }

    fn bytes(self, path: &str, bytes: &[u8]) -> Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    fn load(&self, name: &str) -> Result<Template> {
        Template::load(name, self.root())
    }

    /// The error of loading `name`, without the path of the fixture.
    fn refused(&self, name: &str) -> String {
        let error = self.load(name).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string().replace(&format!("{}/", self.root()), "")
    }
}

/// The errors of one manifest, one line each.
fn problems(manifest: &str) -> String {
    Fixture::new().with("t/template.toml", manifest).with("t/here", "body\n").refused("./t")
}

/// One line for each entry, in the format of `Rootfs::dump`.
fn dump(template: &Template) -> String {
    let mut text = String::new();
    for entry in &template.entries {
        let what = match &entry.kind {
            TemplateKind::Dir => "dir".to_owned(),
            TemplateKind::File(body) => format!("file {}", shown(body)),
            TemplateKind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            TemplateKind::FromSysroot(from) => format!(
                "sysroot {:?} also {:?} without {:?} {} {:?}",
                from.candidates,
                from.also_at,
                from.exclude,
                match &from.missing {
                    IfMissing::Fallback(body) => format!("or {}", shown(body)),
                    IfMissing::Fail => "or fail".to_owned(),
                    IfMissing::Warn => "or warn".to_owned(),
                },
                from.package
            ),
        };
        let TemplateEntry { path, mode, uid, gid, template, .. } = entry;
        text.push_str(&format!("{path} {mode:04o} {uid}:{gid} {what} [{template}]\n"));
    }
    text
}

fn shown(body: &Body) -> String {
    match body {
        Body::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Body::Host(file) => format!("host {}", file.size),
    }
}

fn path(text: &str) -> RootfsPath {
    RootfsPath::parse(text).unwrap()
}

#[test]
fn the_table_of_built_ins_has_every_file_of_the_folder() {
    fn walk(folder: &Utf8Path, root: &Utf8Path, found: &mut BTreeSet<String>) {
        for child in folder.read_dir_utf8().unwrap() {
            let child = child.unwrap();
            if child.file_type().unwrap().is_dir() {
                walk(child.path(), root, found);
            } else {
                found.insert(child.path().strip_prefix(root).unwrap().to_string());
            }
        }
    }
    let root = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/templates"));
    let mut on_disk = BTreeSet::new();
    walk(root, root, &mut on_disk);
    // Rules, rows, pipelines, licences and smoke tests are not templates: the modules that read them test them.
    let is_data =
        |file: &str| ["runtime/", "policy/", "repair/", "pipelines/"].iter().any(|folder| file.starts_with(folder));
    on_disk.retain(|file| !is_data(file) && !["smoke.toml", "licences.toml", "README.md"].contains(&file.as_str()));
    let embedded: BTreeSet<String> = built_in::ALL
        .iter()
        .flat_map(|template| {
            let files = template.files.iter().map(|(file, _)| *file);
            files.chain([MANIFEST]).map(|file| format!("{}/{file}", template.name))
        })
        .collect();
    assert_eq!(embedded, on_disk);
}

#[test]
fn every_built_in_body_is_used() {
    for template in built_in::ALL {
        for (file, _) in template.files {
            let named = template.manifest.contains(&format!("\"/{file}\""));
            assert!(named, "{} has {file}, which no entry names", template.name);
        }
    }
}

#[test]
fn none_is_empty_and_reads_nothing() {
    let none = Template::load("none", "".into()).unwrap();
    assert_eq!((none.entries.len(), none.inputs.len(), none.name.as_str()), (0, 0, "none"));
}

#[test]
fn base_is_the_skeleton_that_programs_expect() {
    let base = Template::load("base", "".into()).unwrap();
    let lines = dump(&base);
    let summary: Vec<String> = base
        .entries
        .iter()
        .map(|entry| format!("{} {:04o} {}:{}", entry.path, entry.mode, entry.uid, entry.gid))
        .collect();
    assert_eq!(
        summary,
        [
            "/dev 0755 0:0",
            "/etc/group 0644 0:0",
            "/etc/hosts 0644 0:0",
            "/etc/nsswitch.conf 0644 0:0",
            "/etc/os-release 0644 0:0",
            "/etc/passwd 0644 0:0",
            "/home 0755 0:0",
            "/home/nonroot 0700 65532:65532",
            "/mnt 0755 0:0",
            "/opt 0755 0:0",
            "/proc 0555 0:0",
            "/root 0700 0:0",
            "/run 0755 0:0",
            "/srv 0755 0:0",
            "/sys 0555 0:0",
            "/tmp 1777 0:0",
            "/var/cache 0755 0:0",
            "/var/log 0755 0:0",
            "/var/run 0777 0:0",
            "/var/tmp 1777 0:0",
        ]
    );
    assert!(lines.contains(r#"also [] without [] or "NAME=\"Linux\"\nID=linux\n"#), "{lines}");
    assert!(base.inputs.is_empty());
}

#[test]
fn accounts_and_groups_agree() {
    let base = Template::load("base", "".into()).unwrap();
    let body = |at: &str| {
        let entry = base.entries.iter().find(|entry| entry.path == path(at)).unwrap();
        let TemplateKind::File(Body::Bytes(bytes)) = &entry.kind else { panic!("{at} is no file") };
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let (passwd, group) = (body("/etc/passwd"), body("/etc/group"));
    let accounts: Vec<Vec<&str>> = passwd.lines().map(|line| line.split(':').collect()).collect();
    assert_eq!(
        accounts.iter().map(|a| (a[0], a[2])).collect::<Vec<_>>(),
        [("root", "0"), ("nobody", "65534"), ("nonroot", "65532")]
    );
    for account in &accounts {
        assert_eq!(account.len(), 7, "{account:?}");
        assert!(group.lines().any(|line| line.split(':').nth(2) == Some(account[3])), "{account:?}");
    }
}

#[test]
fn web_is_base_with_certificates_and_time_zones() {
    let (base, web) = (Template::load("base", "".into()).unwrap(), Template::load("web", "".into()).unwrap());
    assert!(base.entries.iter().all(|entry| web.entries.iter().any(|other| other.path == entry.path)));
    assert_eq!(web.entries.len(), base.entries.len() + 2);
    let from = |at: &str| {
        let entry = web.entries.iter().find(|entry| entry.path == path(at)).unwrap();
        assert_eq!(&*entry.template, "web");
        let TemplateKind::FromSysroot(from) = &entry.kind else { panic!("{at} is not from the sysroot") };
        from
    };
    let bundle = from("/etc/ssl/certs/ca-certificates.crt");
    assert!(matches!(bundle.missing, IfMissing::Fail));
    let error = bundle.error("web");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("help: install ca-certificates in the sysroot"), "{error}");
    assert!(error.to_string().contains("tried  /etc/pki/tls/certs/ca-bundle.crt"), "{error}");
    assert!(bundle.also_at.contains(&path("/usr/lib/ssl/cert.pem")));
    assert!(bundle.candidates.iter().chain(&bundle.also_at).all(|at| !at.to_text().contains("private")));

    assert!(error.to_string().contains("tried  the files below /usr/share/ca-certificates"), "{error}");

    let zones = from("/usr/share/zoneinfo");
    assert!(matches!(zones.missing, IfMissing::Warn));
    assert!(zones.exclude.contains(&"localtime".to_owned()), "it leads to the host's own zone");
    let warning = zones.warning("web");
    assert!(warning.message.contains("/usr/share/zoneinfo") && warning.help.unwrap().contains("tzdata"));
}

#[test]
fn a_listed_template_has_the_modes_and_owners_that_it_lists() {
    let fixture = Fixture::new()
        .with(
            "t/template.toml",
            r#"
            [[entry]]
            type = "file"
            path = "/etc//app.conf"
            source = "./app.conf"
            mode = "600"
            uid = 7
            gid = 0x10
            [[entry]]
            type = "dir"
            path = "/srv/"
            [[entry]]
            type = "symlink"
            path = "/etc/mtab"
            target = "../proc/self/mounts"
            [[entry]]
            type = "sysroot"
            path = "/etc/services"
            fallback = "app.conf"
            [[entry]]
            type = "sysroot"
            first-of = ["/a", "/b"]
            also-at = ["/c"]
            exclude = ["./x//y/"]
            "#,
        )
        .with("t/app.conf", "12345");
    let file = fixture.root().join("t/app.conf");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4777)).unwrap();
    let template = fixture.load("./t").unwrap();
    assert_eq!(
        dump(&template),
        "/a 0644 0:0 sysroot [\"/a\", \"/b\"] also [\"/c\"] without [\"x/y\"] or warn None [./t]\n\
         /etc/app.conf 0600 7:16 file host 5 [./t]\n\
         /etc/mtab 0777 0:0 -> ../proc/self/mounts [./t]\n\
         /etc/services 0644 0:0 sysroot [\"/etc/services\"] also [] without [] or host 5 None [./t]\n\
         /srv 0755 0:0 dir [./t]\n"
    );
    let root = fixture.root();
    let inputs: Vec<&str> =
        template.inputs.iter().map(|input| input.strip_prefix(root.join("t")).unwrap().as_str()).collect();
    assert_eq!(inputs, ["template.toml", "app.conf", "app.conf"]);
}

#[test]
fn each_mistake_is_named_with_its_line_and_a_near_key() {
    for (manifest, said) in [
        ("extend = 'base'", "unknown key `extend`, in `t/template.toml:1`\n  help: did you mean `extends`?"),
        ("\nwhatever = 1", "unknown key `whatever`, in `t/template.toml:2`\n  help: known here: extends, entry"),
        ("extends = 1", "`extends` must be a string, in `t/template.toml:1`"),
        ("entry = 1", "`entry` must be a list of tables, in `t/template.toml:1`\n  help: begin each by `[[entry]]`"),
        ("[entry]\npath = '/a'", "`entry` must be a list of tables"),
        ("[[entry]]\npath = '/a'", "an entry has no `type`, in `t/template.toml:1`"),
        (
            "[[entry]]\ntype = 'dri'\npath = '/a'",
            "unknown type `dri`, in `t/template.toml:2`\n  help: did you mean `dir`?",
        ),
        ("[[entry]]\ntype = 'blockdevice'", "choose one of dir, file, symlink, sysroot"),
        ("[[entry]]\ntype = 'dir'", "an entry has no `path`, in `t/template.toml:1`"),
        ("[[entry]]\ntype = 'dir'\npath = 'a'", "`a` in `path` must be an absolute path without `..`"),
        ("[[entry]]\ntype = 'dir'\npath = '/a/../b'", "`/a/../b` in `path` must be"),
        (
            "[[entry]]\ntype = 'dir'\npath = '/a'\nmod = '0755'",
            "unknown key `mod`, in `t/template.toml:4`\n  help: did you mean `mode`?",
        ),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\ntarget = '/b'", "`target` has no meaning here, in `t/template.toml:4`"),
        (
            "[[entry]]\ntype = 'dir'\npath = '/a'\nmode = 755",
            "`mode` must be three or four octal digits in quotes, in `t/template.toml:4`",
        ),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\nmode = '0789'", "`mode` must be three or four octal digits"),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\nmode = '+755'", "`mode` must be three or four octal digits"),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\nmode = '17777'", "`mode` must be three or four octal digits"),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\nuid = 'root'", "`uid` must be an integer"),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\nuid = -1", "`uid` must be from 0 to 4294967294"),
        ("[[entry]]\ntype = 'dir'\npath = '/a'\ngid = 4294967295", "`gid` must be from 0 to 4294967294"),
        ("[[entry]]\ntype = 'file'\npath = '/etc/motd'", "there is no body `t/etc/motd`, in `t/template.toml:3`"),
        (
            "[[entry]]\ntype = 'file'\npath = '/a'\nsource = '../x'",
            "body `../x` must be a path inside the template's directory, in `t/template.toml:4`",
        ),
        ("[[entry]]\ntype = 'file'\npath = '/a'\nsource = '/etc/passwd'", "body `/etc/passwd` must be a path inside"),
        ("[[entry]]\ntype = 'file'\npath = '/a'\nsource = './'", "body `./` must be a path inside"),
        ("[[entry]]\ntype = 'file'\npath = '/'\nsource = 'here'", "`/` can only be a dir"),
        ("[[entry]]\ntype = 'symlink'\npath = '/a'", "an entry has no `target`"),
        ("[[entry]]\ntype = 'symlink'\npath = '/a'\ntarget = ''", "`target` is no link target"),
        ("[[entry]]\ntype = 'sysroot'", "an entry of type `sysroot` needs `path` or `first-of`"),
        ("[[entry]]\ntype = 'sysroot'\nfirst-of = []", "`first-of` must name a path"),
        ("[[entry]]\ntype = 'sysroot'\nfirst-of = '/a'", "`first-of` must be a list of strings"),
        ("[[entry]]\ntype = 'sysroot'\nfirst-of = ['/a', 'b']", "`b` in `first-of` must be an absolute path"),
        ("[[entry]]\ntype = 'sysroot'\npath = '/a'\nfirst-of = ['/b']", "`path` and `first-of` exclude each other"),
        ("[[entry]]\ntype = 'sysroot'\npath = '/'", "`/` would be the whole sysroot"),
        (
            "[[entry]]\ntype = 'sysroot'\npath = '/a'\nexclude = ['../b']",
            "`../b` in `exclude` must be a path inside the directory",
        ),
        ("[[entry]]\ntype = 'sysroot'\npath = '/a'\nrequired = 'yes'", "`required` must be true or false"),
        (
            "[[entry]]\ntype = 'sysroot'\npath = '/a'\nrequired = true\nfallback = 'here'",
            "`required` and `fallback` exclude each other",
        ),
        ("[[entry]]\ntype = 'sysroot'\npath = '/a'\nfallback = 'gone'", "there is no body `t/gone`"),
        (
            "[[entry]]\ntype = 'dir'\npath = '/a'\n[[entry]]\ntype = 'dir'\npath = '//a/'",
            "`/a` has an entry in line 1 already, in `t/template.toml:4`",
        ),
        ("a = \n", "cannot parse `t/template.toml:1`: "),
        ("a = 1\na = 2", "cannot parse `t/template.toml:2`: "),
    ] {
        let got = problems(manifest);
        assert!(got.contains(said), "{manifest}\n  gave  {got}\n  not   {said}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let got = problems("[[entry]]\ntype = 'dir'\npath = 'a'\nmode = 1\nzzz = 2\n[[entry]]\ntype = 'file'\npath = '/b'");
    assert_eq!(got.matches("template.toml:").count(), 4, "{got}");
}

#[test]
fn an_entry_takes_the_place_of_an_extended_one() {
    let fixture = Fixture::new()
        .with("a/template.toml", "extends = '../b'\n[[entry]]\ntype = 'dir'\npath = '/x'\nmode = '0700'")
        .with(
            "b/template.toml",
            "extends = 'base'\n[[entry]]\ntype = 'file'\npath = '/x'\n[[entry]]\ntype = 'dir'\npath = '/y'",
        )
        .with("b/x", "");
    let template = fixture.load("./a").unwrap();
    let lines = dump(&template);
    assert!(lines.contains("/x 0700 0:0 dir [./a]\n/y 0755 0:0 dir [../b]\n"), "{lines}");
    assert!(lines.contains("/tmp 1777 0:0 dir [base]\n"), "{lines}");
}

#[test]
fn a_cycle_is_named() {
    let fixture = Fixture::new()
        .with("a/template.toml", "extends = '../b'")
        .with("b/template.toml", "extends = '../again'")
        .with("self/template.toml", "extends = './'");
    symlink("a", fixture.root().join("again")).unwrap();
    let got = fixture.refused("./a");
    assert!(got.starts_with("templates extend each other: ./a -> ../b -> ../again"), "{got}");
    assert!(fixture.refused("./self").starts_with("templates extend each other: ./self -> ./"));
}

#[test]
fn a_file_cannot_have_entries_below_it() {
    let fixture =
        Fixture::new().with("t/template.toml", "extends = 'base'\n[[entry]]\ntype = 'dir'\npath = '/etc/passwd/d/e'");
    assert_eq!(fixture.refused("./t"), "template `./t` puts `/etc/passwd/d/e` below `/etc/passwd`, which is a file");
}

#[test]
fn what_is_not_there_is_refused_with_near_names() {
    let fixture = Fixture::new().with("file", "").with("skel/etc/motd", "");
    for (name, said) in [
        ("bsae", "there is no template `bsae`\n  help: did you mean `base`?"),
        ("wbe", "there is no template `wbe`\n  help: did you mean `web`?"),
        ("zzzzzz", "help: choose one of none, base, web, or a directory with a slash in its name"),
        ("", "there is no template ``"),
        ("skel", "there is no template `skel`\n  help: a directory is named with a slash: `./skel`"),
        ("./gone", "there is no template directory `gone`"),
        ("./file", "template `file` is not a directory"),
    ] {
        let got = fixture.refused(name);
        assert!(got.contains(said), "{name} gave {got}");
    }
    let fixture = fixture.with("t/template.toml", "extends = 'bas'");
    let got = fixture.refused("./t");
    assert!(got.contains("did you mean `base`?") && got.contains("extended by `t/template.toml`"), "{got}");
}

#[test]
fn a_manifest_that_is_not_utf8_is_refused() {
    assert!(
        Fixture::new().bytes("t/template.toml", b"\xff").refused("./t").starts_with("`t/template.toml` is not UTF-8")
    );
}

#[test]
fn a_folder_without_a_manifest_is_the_skeleton_as_it_stands() {
    let fixture = Fixture::new().with("skel/etc/motd", "hi\n").with("skel/bin/run", "#!/bin/sh\n");
    let root = fixture.root().join("skel");
    fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(root.join("etc/motd"), fs::Permissions::from_mode(0o600)).unwrap();
    for folder in ["bin", "etc"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(root.join("empty")).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("/nowhere/../else", root.join("dangling")).unwrap();
    symlink("etc", root.join("config")).unwrap();
    let template = fixture.load("./skel").unwrap();
    assert_eq!(
        dump(&template),
        "/bin 0755 0:0 dir [./skel]\n\
         /bin/run 0750 0:0 file host 10 [./skel]\n\
         /config 0777 0:0 -> etc [./skel]\n\
         /dangling 0777 0:0 -> /nowhere/../else [./skel]\n\
         /empty 1777 0:0 dir [./skel]\n\
         /etc 0755 0:0 dir [./skel]\n\
         /etc/motd 0600 0:0 file host 3 [./skel]\n"
    );
    assert_eq!(template.inputs, [fixture.root().join("skel")]);
}

#[test]
fn a_folder_with_a_fifo_or_a_socket_or_a_bad_name_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let fixture = Fixture::new().with("skel/fine", "");
    let root = fixture.root().join("skel");
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe").as_str(), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    fs::write(root.as_std_path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    let error = fixture.load("./skel").unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let messages: Vec<&str> = error.each().map(Error::message).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].ends_with("is not UTF-8"), "{messages:?}");
    assert!(messages[1].ends_with("/pipe`, which is a FIFO"), "{messages:?}");
    assert!(messages[2].ends_with("/socket`, which is a socket"), "{messages:?}");
}

#[test]
fn setuid_of_somebody_else_is_dropped_and_said() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new().with("skel/tool", "");
    let tool = fixture.root().join("skel/tool");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&tool, Some(1), Some(1)).unwrap();
    }
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o6755)).unwrap();
    assert_ne!(fs::metadata(&tool).unwrap().uid(), 0);
    let template = fixture.load("./skel").unwrap();
    assert_eq!(template.entries[0].mode, 0o755);
    assert!(template.warnings[0].message.contains("setuid and setgid"), "{:?}", template.warnings);
}
