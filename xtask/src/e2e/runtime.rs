//! Needs of tools beyond their closures: scripts, names through alternatives, and files of rules.

use anyhow::{Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;

/// Scripts as tools and as files of a project, and tools by the names that alternatives give them.
pub(super) fn scripts(lab: &Lab) -> Result<()> {
    let project = lab.folder("project")?;
    lab.file("project/run", "#!/usr/bin/env -S -i A=b\\_bash -e\nprintf '%s\\n' \"$A $1\"\n")?;
    std::fs::set_permissions(project.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    lab.file("project/hello", "hello\n")?;
    crate::process::command(["gzip", "-n", project.join("hello").as_str()]).run()?;

    let tar = lab.path("out.tar");
    let include = format!("{project}:/srv");
    let args = ["--with", "which,zcat,gzip,awk,sh", "--include", &include, "--tar", tar.as_str()];
    let done = lab.tools(args).run()?;
    ensure!(!done.stderr.contains("may be run"), "{}", done.report("gzip is packed"));
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    for (words, expected) in [
        (&["which", "awk"][..], "/usr/bin/awk\n"),
        (&["/bin/zcat", "/srv/hello.gz"], "hello\n"),
        (&["awk", "BEGIN { print 6 * 7 }"], "42\n"),
        (&["/bin/sh", "-c", "echo $((6 * 7))"], "42\n"),
        (&["/srv/run", "c"], "b c\n"),
    ] {
        let said = root.run(words)?;
        ensure!(said.stdout == expected, "{}", said.report(expected));
    }

    // Commands of a script are packed if every system has them; others are suggested.
    lab.file(
        "project/run",
        "#!/bin/sh\nprintf 'b\\na\\n' | sort | awk '{ print $1 $1 }'\nfalse && git gc | perl\nexec cat\n",
    )?;
    let done = lab.tools(["--include", &format!("{project}/run:/srv/run"), "--tar", tar.as_str()]).run()?;
    done.says(&["`git` (by `run`) and `perl` (by `run`) may be run, and are not packed", "--with git,perl"])?;
    ensure!(tarball::at(&tarball::list(&tar)?, "usr/bin/git").is_err(), "git was packed");
    let root = Chroot::new(tarball::unpack(lab, &tar, "run")?)?;
    let said = root.run(&["/srv/run"])?;
    ensure!(said.stdout == "aa\nbb\n", "{}", said.report("aa and bb"));
    Ok(())
}

/// Converters and terminals work with rules, and fail without them.
pub(super) fn rules(lab: &Lab) -> Result<()> {
    lab.file("text", "\u{e4}\u{20ac}\n")?;
    let include = format!("{}:/srv/text", lab.path("text"));
    for (runtime, works) in [("rules", true), ("none", false)] {
        let tar = lab.path(&format!("{runtime}.tar"));
        let with = ["--with", "iconv,tput,sh", "--include", &include];
        lab.tools(with.into_iter().chain(["--runtime", runtime, "--tar", tar.as_str()])).run()?;
        let root = Chroot::new(tarball::unpack(lab, &tar, runtime)?)?;
        let convert =
            "iconv -f UTF-8 -t ISO-8859-15 /srv/text | iconv -f ISO-8859-15 -t UTF-16LE | iconv -f UTF-16LE -t UTF-8";
        for (variables, script, expected) in
            [(&["TERM=xterm"][..], "tput cols", "80\n"), (&[], convert, "\u{e4}\u{20ac}\n")]
        {
            let said = root.with(variables, &["sh", "-c", script]).finish()?;
            ensure!((said.stdout == expected) == works, "{}", said.report(runtime));
        }
    }
    Ok(())
}
