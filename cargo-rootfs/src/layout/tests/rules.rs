//! Rules: the files that they take, suggest and leave alone.

use super::disk::{Ask, Disk, expect_shape, library, path, tool};
use crate::elf::fixture::machine;
use crate::error::Error;
use crate::layout::Assembly;
use crate::report;
use crate::rootfs::{Origin, Rootfs};
use crate::runtime::Runtime;

/// A tool with helpers, data, a plugin, and a symlink to each kind.
fn sysroot() -> Disk {
    Disk::merged()
        .elf("usr/bin/gut", tool())
        .elf("usr/bin/less", tool())
        .elf("usr/bin/ssh", tool())
        .link("usr/lib/gut-core/gut", "../../bin/gut")
        .elf("usr/lib/gut-core/gut-remote-http", tool().needs("libcurl.so.4"))
        .link("usr/lib/gut-core/gut-remote-https", "gut-remote-http")
        .bytes("usr/lib/gut-core/mergetools/vi", b"data", 0o644)
        .bytes("usr/lib/gut-core/libgut.a", b"!<arch>\n", 0o644)
        .bytes("usr/lib/gut-core/__pycache__/x", b"", 0o644)
        .fifo("usr/lib/gut-core/fifo")
        .link("usr/lib/gut-core/dangling", "nowhere")
        .elf("usr/lib/libcurl.so.4", library("libcurl.so.4"))
        .bytes("usr/share/a/data", b"a", 0o644)
        .bytes("usr/share/b/data", b"b", 0o644)
}

pub(super) fn why(assembly: &Assembly, at: &str) -> String {
    let mut text = Vec::new();
    assert!(report::why(&mut text, &assembly.rootfs, &path(at)).unwrap(), "{at}");
    String::from_utf8(text).unwrap()
}

pub(super) fn has(rootfs: &Rootfs, at: &str) -> bool {
    rootfs.get(&path(at)).is_some()
}

const GUT: &str = r#"
[[rule]]
name = "own-gut"
why = "gut runs its subcommands from there"
when = ["/usr/bin/gut"]
take = ["/usr/lib/gut-core", "/nowhere"]
first-of = [["/nowhere", "/usr/share/{a,b}", "/usr/share/b"]]
exclude = ["*.a", "**/__pycache__", "/usr/share/b"]
tools = ["less", "absent"]
suggest = ["ssh", "less", "absent"]
packages = ["gut", "gut-data"]

[[rule]]
name = "own-idle"
why = "nothing calls for it"
when = ["/usr/bin/idle"]
packages = ["idle"]
"#;

#[test]
fn a_rule_takes_files_folders_and_tools_and_what_those_need() {
    let assembly = Ask::tools(&["gut"]).rules(GUT).assemble(&sysroot()).unwrap();
    expect_shape(
        &assembly.rootfs,
        "/ d0755
        /bin l0777 -> usr/bin
        /lib l0777 -> usr/lib
        /lib64 l0777 -> usr/lib64
        /usr d0755
        /usr/bin d0755
        /usr/bin/gut f0755
        /usr/bin/less f0755
        /usr/lib d0755
        /usr/lib/gut-core d0755
        /usr/lib/gut-core/gut l0777 -> ../../bin/gut
        /usr/lib/gut-core/gut-remote-http f0755
        /usr/lib/gut-core/gut-remote-https l0777 -> gut-remote-http
        /usr/lib/gut-core/mergetools d0755
        /usr/lib/gut-core/mergetools/vi f0644
        /usr/lib/libc.so.6 f0755
        /usr/lib/libcurl.so.4 f0755
        /usr/lib64 d0755
        /usr/lib64/ld-linux-x86-64.so.2 f0755
        /usr/share d0755
        /usr/share/a d0755
        /usr/share/a/data f0644",
    );
    let rule = "rule own-gut: gut runs its subcommands from there, because of /usr/bin/gut";
    let expected = format!(
        "/usr/lib/libcurl.so.4\n    needed by /usr/lib/gut-core/gut-remote-http\n        {rule}\n            --with gut\n            \
         {rule} (above)\n"
    );
    assert_eq!(why(&assembly, "/usr/lib/libcurl.so.4"), expected);
    let suggested: Vec<_> = assembly.suggestions.iter().map(|it| (&*it.tool, it.by.to_string())).collect();
    assert_eq!(suggested, [("ssh", "/usr/bin/gut".to_owned())], "what is packed, or is not there, is not offered");
    assert!(assembly.recommended.iter().eq(["gut", "gut-data"]), "{:?}", assembly.recommended);
    assert!(assembly.warnings.is_empty(), "{:?}", assembly.warnings);
}

/// As groff's site-tmac, which leads to /etc.
#[test]
fn a_link_out_of_a_packed_directory_comes_if_its_target_does() {
    let disk = Disk::merged()
        .elf("usr/bin/gut", tool())
        .link("usr/share/gut/site", "/etc/gut")
        .link("usr/share/gut/other", "/etc/other")
        .bytes("etc/gut/local", b"x", 0o644)
        .bytes("etc/other/x", b"x", 0o644);
    let rule = |take: &str| format!("[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/gut']\ntake = [{take}]\n");
    for (take, is_there) in [("'/usr/share/gut', '/etc/gut'", true), ("'/usr/share/gut'", false)] {
        let rootfs = Ask::tools(&["gut"]).rules(&rule(take)).rootfs(&disk);
        assert_eq!(has(&rootfs, "/usr/share/gut/site"), is_there, "{take}\n{}", rootfs.dump());
        assert_eq!(has(&rootfs, "/etc/gut/local"), is_there, "{take}\n{}", rootfs.dump());
        assert!(!has(&rootfs, "/usr/share/gut/other") && !has(&rootfs, "/etc/other"), "{}", rootfs.dump());
    }
}

#[test]
fn without_runtime_no_rule_is_used() {
    let rootfs = Ask::tools(&["gut"]).rules(GUT).runtime(Runtime::None).rootfs(&sysroot());
    assert!(!has(&rootfs, "/usr/lib/gut-core") && !has(&rootfs, "/usr/bin/less"));
}

/// Any name of a file fires a rule, also a soname or file name of a library.
#[test]
fn a_rule_is_called_for_by_any_name() {
    let sysroot = Disk::merged()
        .elf("usr/bin/mawk", tool().needs("libx.so.1"))
        .link("etc/alternatives/awk", "/usr/bin/mawk")
        .link("usr/bin/awk", "/etc/alternatives/awk")
        .elf("usr/lib/libx.so.1.2.3", library("libx.so.1"))
        .link("usr/lib/libx.so.1", "libx.so.1.2.3")
        .bytes("data", b"", 0o644);
    for when in [
        "/usr/bin/awk",
        "/bin/awk",
        "/usr/bin/{awk,x}",
        "/etc/alternatives/awk",
        "/usr/bin/mawk",
        "mawk",
        "awk",
        "libx.so.1",
        "libx*.2.3",
        "/usr/lib/libx.so.1",
        "/lib/libx.so.*",
        "{lib}/libx.so.1.2.3",
        "/usr/lib{/{triplet},}/libx.so.1",
        "**/libx.so.1",
    ] {
        let rule = format!("[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['{when}']\ntake = ['/data']\n");
        assert!(has(&Ask::tools(&["/bin/awk"]).rules(&rule).rootfs(&sysroot), "/data"), "{when}");
    }
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/opt/mawk', 'gawk']\ntake = ['/data']\n";
    let rootfs = Ask::tools(&["awk"]).rules(rule).rootfs(&sysroot);
    assert!(!has(&rootfs, "/data"), "no such name leads there: {}", rootfs.dump());
}

#[test]
fn what_the_stars_stood_for_and_the_folder_are_variables() {
    let sysroot = Disk::merged()
        .elf("opt/py/bin/python3.11", tool())
        .link("opt/py/bin/python3", "python3.11")
        .bytes("opt/py/lib/python3.11/os.py", b"", 0o644)
        .bytes("opt/py/lib/python3.12/os.py", b"", 0o644)
        .bytes("opt/py/bin/pyvenv.cfg", b"", 0o644);
    let rules = r#"
[[rule]]
name = "own-python"
why = "x"
when = ["/opt/*/bin/python*"]
take = ["/opt/{1}/lib/python{2}", "{dir}/pyvenv.cfg"]
"#;
    let rootfs = Ask::tools(&["/opt/py/bin/python3"]).rules(rules).rootfs(&sysroot);
    assert!(has(&rootfs, "/opt/py/lib/python3.11/os.py") && has(&rootfs, "/opt/py/bin/pyvenv.cfg"));
    assert!(!has(&rootfs, "/opt/py/lib/python3.12"));
}

/// Files that a rule takes fire other rules, and a cycle of rules ends.
#[test]
fn rules_call_for_rules() {
    let sysroot = sysroot()
        .bytes("etc/a.conf", b"", 0o644)
        .bytes("etc/b.conf", b"", 0o644)
        .elf("usr/lib/libdeep.so", library("libdeep.so"));
    let rules = r#"
[[rule]]
name = "1"
why = "x"
when = ["libcurl.so.4"]
take = ["/etc/a.conf"]
[[rule]]
name = "2"
why = "x"
when = ["/etc/a.conf"]
take = ["/etc/b.conf"]
[[rule]]
name = "3"
why = "x"
when = ["/etc/b.conf"]
libraries = ["libdeep.so", "libabsent.so"]
[[rule]]
name = "4"
why = "x"
when = ["libdeep.so"]
take = ["/etc/a.conf"]
"#;
    let assembly = Ask::tools(&["gut"]).rules(&format!("{GUT}{rules}")).assemble(&sysroot).unwrap();
    assert!(has(&assembly.rootfs, "/usr/lib/libdeep.so"), "{}", assembly.rootfs.dump());
    let origins = &assembly.rootfs.get(&path("/etc/a.conf")).unwrap().origins;
    assert_eq!(origins.iter().filter(|it| matches!(it, Origin::Rule { .. })).count(), 2, "{origins:?}");
}

#[test]
fn unless_and_before_glibc_hold_a_rule_back() {
    let rule = |more: &str| {
        format!("[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/gut']\ntake = ['/usr/share/a']\n{more}\n")
    };
    for (more, takes) in [
        ("unless = ['/usr/bin/less']", true),
        ("unless = ['/usr/bin/sh', '/usr/bin/gut']", false),
        ("unless = ['libc.so.*']", false),
        // Loaders of fixtures have no release, like those before 2.33.
        ("before-glibc = '2.34'", true),
    ] {
        assert_eq!(has(&Ask::tools(&["gut"]).rules(&rule(more)).rootfs(&sysroot()), "/usr/share/a"), takes, "{more}");
    }
}

#[test]
fn locales_are_taken_as_they_are_asked_for() {
    let mut archive = vec![b'x'; (1 << 20) - 5];
    archive.extend(b"\0fr_FR.utf8\0");
    let sysroot = Disk::merged()
        .bytes("usr/lib/locale/de_DE.utf8/LC_MESSAGES/SYS_LC_MESSAGES", b"x", 0o644)
        .bytes("usr/lib/locale/de_DE/LC_CTYPE", b"x", 0o644)
        .bytes("usr/lib/locale/locale-archive", &archive, 0o644);
    let ask = |names: &[&str]| {
        let mut ask = Ask::nothing().runtime(Runtime::None);
        ask.content.locales = names.iter().map(|name| (*name).to_owned()).collect();
        ask
    };
    let rootfs = ask(&["C", "de_DE.UTF-8", "POSIX"]).rootfs(&sysroot);
    assert!(has(&rootfs, "/usr/lib/locale/de_DE.utf8/LC_MESSAGES/SYS_LC_MESSAGES"));
    assert!(!has(&rootfs, "/usr/lib/locale/de_DE") && !has(&rootfs, "/usr/lib/locale/locale-archive"));
    let rootfs = ask(&["fr_FR.UTF-8", "de_DE"]).rootfs(&sysroot);
    assert!(has(&rootfs, "/usr/lib/locale/locale-archive") && has(&rootfs, "/usr/lib/locale/de_DE/LC_CTYPE"));
    let error = ask(&["it_IT.UTF-8", "../x", "fr_FR"]).error(&sysroot);
    let said: Vec<_> = error.each().map(Error::message).collect();
    let lacking = |name: &str| format!("the locale `{name}` is not in the sysroot");
    assert_eq!(said, [lacking("it_IT.UTF-8"), lacking("../x"), lacking("fr_FR")]);
    assert_eq!(error.help_line(), Some("make it there: localedef -i it_IT -f UTF-8 it_IT.UTF-8"));
}

#[test]
fn what_cannot_work_is_left_out_and_said() {
    let sysroot = sysroot()
        .elf("usr/lib/plug/good.so", library("good.so"))
        .elf("usr/lib/plug/lacks.so", library("lacks.so").needs("libgone.so"))
        .elf("usr/lib/plug/foreign.so", library("foreign.so").machine(machine("aarch64")));
    let rules = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['/usr/bin/gut']\ntake = ['/usr/lib/plug']\n";
    let assembly = Ask::tools(&["gut"]).rules(rules).assemble(&sysroot).unwrap();
    assert!(has(&assembly.rootfs, "/usr/lib/plug/good.so"));
    assert!(!has(&assembly.rootfs, "/usr/lib/plug/lacks.so") && !has(&assembly.rootfs, "/usr/lib/plug/foreign.so"));
    let said: Vec<_> = assembly.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "left out `/usr/lib/plug/foreign.so` (rule own): it is for another architecture",
            "left out `/usr/lib/plug/lacks.so` (rule own: x, because of /usr/bin/gut): libgone.so is not in the sysroot",
        ]
    );
}

#[test]
fn what_is_required_and_not_there_is_an_error() {
    let rules = "[[rule]]\nname = 'own'\nwhy = 'it reads it'\nwhen = ['/usr/bin/gut']\ntake = ['/gone']\nrequired = true\npackages = ['gone']\n";
    let error = Ask::tools(&["gut"]).rules(rules).error(&sysroot());
    assert_eq!(
        error.to_string(),
        "rule own found nothing in the sysroot\n  it reads it, because of /usr/bin/gut\n  tried  /gone\n  \
         help: install gone in the sysroot, or pass `--runtime none`"
    );
}

/// Words come from the file that the image will have: first of an include, then of the template, then of a rule.
#[test]
fn words_of_configuration_stand_for_plugins() {
    let plugin = |name: &str| format!("usr/lib/libnss_{name}.so.2");
    let mut disk = Disk::merged().elf("usr/bin/id", tool()).bytes("etc/nsswitch.conf", b"passwd: extra\n", 0o644);
    for name in ["files", "extra", "own"] {
        disk = disk.elf(&plugin(name), library(&format!("libnss_{name}.so.2")));
    }
    let taken = |rootfs: &Rootfs| -> Vec<&str> {
        ["files", "extra", "own"].into_iter().filter(|name| has(rootfs, &format!("/{}", plugin(name)))).collect()
    };
    assert_eq!(taken(&Ask::tools(&["id"]).rootfs(&disk)), [""; 0], "there will be no nsswitch.conf");
    assert_eq!(taken(&Ask::tools(&["id"]).template("base").rootfs(&disk)), ["files"]);
    let project = Disk::empty().bytes("nsswitch.conf", b"# own\nhosts: own [!UNAVAIL=return] absent\n", 0o644);
    let ask = Ask::tools(&["id"]).template("base").include(project.at("nsswitch.conf"), "/etc/nsswitch.conf");
    assert_eq!(taken(&ask.rootfs(&disk)), ["own"]);
    let rules = "[[rule]]\nname = 'nss-own'\nwhy = 'x'\nwhen = ['/usr/bin/id']\ntake = ['/etc/nsswitch.conf']\n\
                 [[rule]]\nname = 'nss-words'\nwhy = 'x'\nwhen = ['/etc/nsswitch.conf']\n\
                 words-of = { file = '/etc/nsswitch.conf', form = 'nsswitch', libraries = ['libnss_{}.so.2'] }\n";
    assert_eq!(taken(&Ask::tools(&["id"]).rules(rules).rootfs(&disk)), ["extra"]);
}

/// Stacks of PAM include others, and name modules by name or path.
#[test]
fn modules_of_pam_and_the_files_that_are_included() {
    let sysroot = Disk::merged()
        .elf("usr/bin/login", tool())
        .bytes(
            "etc/pam.d/login",
            b"@include common-auth\nauth include system\n-session optional /opt/pam_own.so\n",
            0o644,
        )
        .bytes("etc/pam.d/common-auth", b"auth [success=1 default=ignore] pam_unix.so\n", 0o644)
        .bytes("etc/pam.d/system", b"auth required pam_gone.so\n", 0o644)
        .bytes("etc/pam.d/sudo", b"auth required pam_other.so\n", 0o644)
        .elf("usr/lib/security/pam_unix.so", library("pam_unix.so"))
        .elf("usr/lib/security/pam_other.so", library("pam_other.so"))
        .elf("opt/pam_own.so", library("pam_own.so"));
    let rules = r#"
[[rule]]
name = "own-login"
why = "x"
when = ["/usr/bin/login"]
take = ["/etc/pam.d/login"]
[[rule]]
name = "own-pam"
why = "x"
when = ["/etc/pam.d/*"]
words-of = { file = "/etc/pam.d/{1}", form = "pam", take = ["{lib}/security/{}"] }
"#;
    let rootfs = Ask::tools(&["login"]).rules(rules).rootfs(&sysroot);
    for there in ["/etc/pam.d/common-auth", "/etc/pam.d/system", "/usr/lib/security/pam_unix.so", "/opt/pam_own.so"] {
        assert!(has(&rootfs, there), "{there}\n{}", rootfs.dump());
    }
    assert!(!has(&rootfs, "/etc/pam.d/sudo") && !has(&rootfs, "/usr/lib/security/pam_other.so"));
}

/// A rule does not replace a file of an include or of the template.
#[test]
fn rules_take_nobodys_place() {
    let sysroot = Disk::merged()
        .elf("usr/bin/id", tool())
        .bytes("etc/os-release", b"theirs", 0o644)
        .bytes("etc/own.conf", b"theirs", 0o644)
        .dir("var/x")
        .mode("var", 0o700);
    let rules = r#"
[[rule]]
name = "own"
why = "x"
when = ["/usr/bin/id"]
take = ["/etc/os-release", "/etc/own.conf", "/var"]
files = [
    { path = "/etc/group", text = "no" },
    { path = "/etc/new/x", text = "made" },
    { path = "/bin/whoami", link = "id" },
    { path = "/etc/hosts/x", text = "below a file" },
]
"#;
    let project = Disk::empty().bytes("own.conf", b"mine!", 0o644);
    let ask = Ask::tools(&["id"]).rules(rules).template("base").include(project.at("own.conf"), "/etc/own.conf");
    let rootfs = ask.rootfs(&sysroot);
    let entry = |at: &str| rootfs.get(&path(at)).unwrap();
    let dump = rootfs.dump();
    for line in [
        "/etc/own.conf f0644 0:0 5 [",
        "/var d0700 0:0 [rule own: x, because of /usr/bin/id; leads to",
        "/etc/new/x f0644 0:0 4 [rule own: x, because of /usr/bin/id]",
        "/usr/bin/whoami l0777 0:0 -> id [rule own: x, because of /usr/bin/id]",
    ] {
        assert!(dump.lines().any(|it| it.starts_with(line)), "{line}\n{dump}");
    }
    for at in ["/etc/group", "/etc/hosts"] {
        assert_eq!(entry(at).origins.first(), Some(&Origin::Template("base".to_owned())), "{at}");
    }
}

/// As postfix's queue. An account that the sysroot lacks is root.
#[test]
fn a_rule_makes_directories_of_users() {
    let sysroot = Disk::merged()
        .elf("usr/bin/id", tool())
        .bytes("etc/passwd", b"post:x:326:327::/:/bin/false\n", 0o644)
        .bytes("etc/group", b"post:x:327:\ndrop:x:126:\n", 0o644);
    let rules = r#"
[[rule]]
name = "own"
why = "x"
when = ["/usr/bin/id"]
files = [
    { path = "/var/spool/own/active", dir-of = "post", mode = "0700" },
    { path = "/var/spool/own/drop", dir-of = "post:drop", mode = "1730" },
    { path = "/var/spool/own/none", dir-of = "nobody-here" },
]
"#;
    let dump = Ask::tools(&["id"]).rules(rules).rootfs(&sysroot).dump();
    for line in [
        "/var/spool/own/active d0700 326:0 [",
        "/var/spool/own/drop d1730 326:126 [",
        "/var/spool/own/none d0755 0:0 [",
    ] {
        assert!(dump.lines().any(|it| it.starts_with(line)), "{line}\n{dump}");
    }
}

/// Not even by name: a rule does not speak for the user.
#[test]
fn rules_take_no_secrets() {
    let sysroot = Disk::merged()
        .elf("usr/bin/id", tool())
        .bytes("etc/shadow", b"x", 0o644)
        .bytes("etc/own/private.key", b"x", 0o644)
        .bytes("etc/own/closed", b"x", 0o640)
        .bytes("etc/own/open", b"x", 0o644);
    let rules = "[[rule]]\nname = 'own'\nwhy = 'x'\nwhen = ['id']\ntake = ['/etc/shadow', '/etc/own']\n";
    let assembly = Ask::tools(&["id"]).rules(rules).assemble(&sysroot).unwrap();
    assert!(has(&assembly.rootfs, "/etc/own/open"));
    for secret in ["/etc/shadow", "/etc/own/private.key", "/etc/own/closed"] {
        assert!(!has(&assembly.rootfs, secret), "{secret}");
    }
    let [warning] = &assembly.warnings[..] else { panic!("{:?}", assembly.warnings) };
    let all =
        "`/etc/own/closed` (not readable by others), `/etc/own/private.key` (a private key), `/etc/shadow` (passwords)";
    assert_eq!(warning.message, format!("left out: {all}"));
}

/// A rule of a template, and one with the name of a built-in rule, which it replaces.
#[test]
fn templates_have_rules_and_names_are_replaced() {
    let template = Disk::empty().bytes(
        "template.toml",
        b"[[rule]]\nname = 'terminfo'\nwhy = 'x'\nwhen = ['libtinfo.so.*']\ntake = ['/usr/share/a']\n",
        0o644,
    );
    let sysroot = sysroot()
        .elf("usr/bin/tput", tool().needs("libtinfo.so.6"))
        .elf("usr/lib/libtinfo.so.6", library("libtinfo.so.6"))
        .bytes("usr/share/terminfo/x/xterm", b"", 0o644)
        .link("usr/share/terminfo/x/xterm-debian", "xterm")
        .bytes("usr/share/terminfo/x/xx", b"", 0o644);
    let built_in = Ask::tools(&["tput"]).rootfs(&sysroot);
    assert!(has(&built_in, "/usr/share/terminfo/x/xterm-debian") && !has(&built_in, "/usr/share/terminfo/x/xx"));
    let own = Ask::tools(&["tput"]).template(template.root().as_str()).rootfs(&sysroot);
    assert!(has(&own, "/usr/share/a/data") && !has(&own, "/usr/share/terminfo"));
}
