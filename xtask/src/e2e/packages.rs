//! Packages of this machine's distribution, whole or the rest of a tool's own: the packed tools do their jobs.

use std::fs;

use anyhow::{Result, ensure};

use super::chroot::Chroot;
use super::lab::Lab;
use crate::stage::cannot;

/// A job for perl-base, which every Debian has: Perl modules, and plugins that they open.
const JOB: &str = "use Socket; use File::Spec; print File::Spec->catfile(inet_ntoa(inet_aton('127.0.0.1')), 6 * 7)";
const DONE: &str = "127.0.0.1/42";

pub(super) fn whole_and_own(lab: &Lab) -> Result<()> {
    if !std::path::Path::new("/var/lib/dpkg/status").exists() {
        return cannot("packages of Debian need one");
    }
    for (name, content) in [
        ("whole", &["--with-package", "perl-base", "--runtime", "none"][..]),
        ("own", &["--with", "/usr/bin/perl", "--runtime", "packages"]),
    ] {
        let root = lab.path(name);
        lab.tools(content.iter().copied().chain(["--dir", root.as_str()])).run()?;
        // From a file, because perl opens /dev/null for a program on the command line.
        lab.file(&format!("{name}/job.pl"), JOB)?;
        let said = Chroot::new(&root)?.run(&["/usr/bin/perl", "/job.pl"])?;
        ensure!(said.stdout == DONE, "{}", said.report(DONE));
        // Of the documentation only the licence is packed.
        let documentation = fs::read_dir(root.join("usr/share/doc/perl-base"))?;
        let names: Vec<_> = documentation.map(|file| file.map(|file| file.file_name())).collect::<Result<_, _>>()?;
        ensure!(names == ["copyright"], "documentation in {root}: {names:?}");
    }

    // Its dependencies too: the converters are libc6's.
    let root = lab.path("converters");
    lab.tools(["--with-package", "libc-bin", "--dir", root.as_str()]).run()?;
    let said = Chroot::new(&root)?.run(&["/usr/bin/iconv", "-f", "UTF-8", "-t", "UTF-16BE//TRANSLIT", "/etc/hosts"])?;
    ensure!(said.stdout.contains('\0'), "{}", said.report("UTF-16"));

    let refused = lab.tools(["--with-package", "libc-bim", "--dir", root.as_str()]).fail(&[1])?;
    refused.says(&["libc-bim", "did you mean `libc-bin`?"])?;
    Ok(())
}
