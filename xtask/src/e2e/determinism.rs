//! The same files give the same bytes.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use super::lab::Lab;
use super::tarball;
use crate::host;
use crate::process::command;
use crate::stage::cannot;

/// Umask, time zone, locale, clock, directory and user change neither the tar nor the image.
pub(super) fn same_bytes(lab: &Lab) -> Result<()> {
    let hello = lab.fixture("hello")?;
    lab.cargo(&hello, ["build", "--release"]).run()?;
    // Files of the project, as in a checkout with another umask and at another time.
    let program = hello.join("target/release/hello");
    let note = lab.file("note", "a note\n")?;
    let include = format!("{note}:/etc/note");
    let pack = |out: &str, before: &[&str]| {
        let binary = lab.path("bin/cargo-rootfs");
        let image = format!("{out}.oci");
        let args = ["rootfs", "--binary", program.as_str(), "--with", "bash,ls", "--include", &include, "--tar", out];
        command(before.iter().copied().chain([binary.as_str()]).chain(args)).args(["--oci-archive", &image])
    };
    let first = lab.path("first.tar");
    pack(first.as_str(), &[]).dir(lab.path("")).run()?;
    let same = |other: &Utf8Path, what: &str| {
        for end in ["", ".oci"] {
            let compared = command(["cmp", &format!("{first}{end}"), &format!("{other}{end}")]).finish()?;
            ensure!(
                compared.code == Some(0),
                "{}",
                compared.report(&format!("{what} is seen in the tar, or the image"))
            );
        }
        Ok(())
    };

    let second = lab.path("second.tar");
    let other_umask = pack(second.as_str(), &["sh", "-c", "umask 077; exec \"$@\"", "sh"]);
    other_umask.env("TZ", "Pacific/Auckland").env("LC_ALL", "tr_TR.UTF-8").env("COLUMNS", "20").dir("/").run()?;
    same(&second, "umask, TZ, LC_ALL or the folder")?;

    command(["touch", "-d", "2001-02-03", note.as_str(), program.as_str()]).run()?;
    let later = lab.path("later.tar");
    pack(later.as_str(), &[]).dir("/tmp").run()?;
    same(&later, "the inputs' mtime or the clock")?;

    if !host::is_root() {
        return cannot("only root can run it as another user");
    }
    let theirs = lab.folder("theirs")?;
    command(["chown", "65534:65534", theirs.as_str()]).run()?;
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/nonexistent"];
    pack(theirs.join("out.tar").as_str(), &nobody).dir(&theirs).run()?;
    same(&theirs.join("out.tar"), "the user")
}

/// Every mtime is SOURCE_DATE_EPOCH; a value that is no number is an error.
pub(super) fn source_date_epoch(lab: &Lab) -> Result<()> {
    let tar = lab.path("out.tar");
    let dir = lab.path("out");
    let tools = lab.tools(["--with", "bash,ls", "--tar", tar.as_str(), "--dir", dir.as_str()]);
    tools.clone().env("SOURCE_DATE_EPOCH", "1700000000").run()?;
    for entry in tarball::list(&tar)? {
        ensure!(entry.mtime == "2023-11-14 22:13:20", "not at SOURCE_DATE_EPOCH: {entry:?}");
    }
    let times = command(["find", dir.as_str(), "-printf", "%T@\\n"]).run()?.stdout;
    let other = times.lines().find(|time| !time.starts_with("1700000000."));
    ensure!(other.is_none(), "--dir has a file at {other:?}");
    for bad in ["tomorrow", "-1", "1.5", "99999999999999999999"] {
        let size = tar.metadata().with_context(|| format!("look at {tar}"))?.len();
        tools.clone().env("SOURCE_DATE_EPOCH", bad).fail(&[1, 2])?.says(&["SOURCE_DATE_EPOCH"])?;
        ensure!(tar.metadata().is_ok_and(|meta| meta.len() == size), "the earlier {tar} was touched");
    }
    Ok(())
}
