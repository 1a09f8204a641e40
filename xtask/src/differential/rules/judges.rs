//! Gets the answers of the loader, our program and other tools about a program in its root. All see the same root as
//! `/`; the tools' own files come from the host, which is mounted in it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use serde_json::Value;

use super::super::answer::{Answer, Printed};
use super::super::enter::{HOST, in_root, real};
use super::super::machine::BASELINE;
use super::schema::{Libc, Row};
use super::{Flavor, versions};
use crate::host;

/// The time limit of one answer. Some tools follow every path of a graph.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A program that lists the needs of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judge {
    Loader,
    Ours,
    Libtree,
    Lddtree,
    Elfpak,
}

impl Judge {
    pub(super) const TOOLS: [Judge; 4] = [Judge::Ours, Judge::Libtree, Judge::Lddtree, Judge::Elfpak];

    pub(super) fn name(self) -> &'static str {
        match self {
            Judge::Loader => "ld.so",
            Judge::Ours => "cargo rootfs",
            Judge::Libtree => "libtree",
            Judge::Lddtree => "lddtree",
            Judge::Elfpak => "elfpak",
        }
    }
}

/// A prepared root, and the judges that can answer about it.
pub(super) struct Court<'c> {
    pub(super) flavor: &'c Flavor,
    pub(super) root: &'c Utf8Path,
    pub(super) ours: &'c Utf8Path,
}

impl Court<'_> {
    /// The answer of `judge`; `None` if this machine lacks it.
    pub(super) fn ask(&self, judge: Judge, row: &Row) -> Result<Option<Answer>> {
        // Our program answers for the baseline here, and other tools know no hardware levels.
        if judge != Judge::Loader && row.on.as_ref().is_some_and(|levels| !levels.is_empty()) {
            return Ok(None);
        }
        let Some(printed) = self.printed(judge, row)? else { return Ok(None) };
        let answer = match judge {
            Judge::Loader => Answer::of_loader(&printed, &|path| self.real(row, path)),
            Judge::Ours => {
                ensure!(!printed.stdout.is_empty(), "no answer of ours: {}", printed.why());
                Answer::of_ours(printed.stdout.trim_end())?
            }
            Judge::Libtree => of_libtree(&printed, &|path| self.real(row, path)),
            Judge::Lddtree => of_lddtree(&printed, &|path| self.real(row, path)),
            Judge::Elfpak => of_elfpak(&printed, &|path| self.real(row, path)),
        };
        Ok(Some(self.of_interest(answer, row)))
    }

    fn printed(&self, judge: Judge, row: &Row) -> Result<Option<Printed>> {
        let program = &self.program(row);
        let library_path = row.library_path.as_ref().map(|path| row.text(path, &self.flavor.loader));
        let mut env: Vec<String> = library_path.iter().map(|path| format!("LD_LIBRARY_PATH={path}")).collect();
        let words = |text: &[&str]| text.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let argv = match judge {
            Judge::Loader => {
                env.push("LD_TRACE_LOADED_OBJECTS=1".to_owned());
                if row.on.is_none() {
                    env.push(format!("{}={}", BASELINE.0, BASELINE.1));
                }
                // A processor without ARMv8.1's atomics, which have a directory of their own (qemu-user's -cpu).
                env.push("QEMU_CPU=cortex-a57".to_owned());
                let interpreter = self.flavor.loader.interpreter;
                match (self.flavor.loader.libc, self.flavor.emulator, &row.on) {
                    (Libc::Musl, ..) => words(&[interpreter, "--list", program]),
                    (Libc::Glibc, Some(emulator), _) => words(&[&format!("{HOST}{emulator}"), program]),
                    (Libc::Glibc, None, None) => words(&[program]),
                    (Libc::Glibc, None, Some(levels)) => {
                        let mask = if levels.is_empty() { "none".to_owned() } else { levels.join(":") };
                        words(&[interpreter, "--glibc-hwcaps-mask", &mask, program])
                    }
                }
            }
            Judge::Ours => {
                env.clear();
                let mut argv = self.of_host(self.ours)?;
                argv.extend(words(&["rootfs", "tree", "--message-format", "json"]));
                argv.extend(library_path.iter().flat_map(|path| ["--library-path".to_owned(), path.clone()]));
                argv.extend(words(&["--", program]));
                argv
            }
            Judge::Libtree => {
                let Some(libtree) = host::find("libtree") else { return Ok(None) };
                let mut argv = self.of_host(&libtree)?;
                argv.extend(words(&["-pvv", program]));
                argv
            }
            Judge::Lddtree => {
                let Some(lddtree) = host::find("lddtree") else { return Ok(None) };
                // Debian's package imports modules of Debian's Python, so another Python in PATH would not do.
                let mut argv = self.of_host("/usr/bin/python3".into())?;
                argv.extend(words(&[&format!("{HOST}{lddtree}"), program]));
                env.push(format!("PYTHONHOME={HOST}/usr"));
                env.push("PYTHONDONTWRITEBYTECODE=1".to_owned());
                argv
            }
            Judge::Elfpak => {
                let elfpak = host::elfpak();
                if !elfpak.exists() {
                    return Ok(None);
                }
                let mut argv = self.of_host(&elfpak)?;
                argv.extend(words(&["inspect", "--json"]));
                let folders = library_path.iter().flat_map(|path| path.split(':'));
                argv.extend(folders.flat_map(|folder| ["--library-path".to_owned(), folder.to_owned()]));
                argv.push(program.clone());
                argv
            }
        };
        in_root(self.root, row.current.as_deref().unwrap_or("/"), &env, &argv, TIMEOUT).map(Some)
    }

    /// The loader's answer, and its difference from the rule, if any.
    pub(super) fn judge(&self, row: &Row) -> Result<(Answer, Option<String>)> {
        let expected = self.expected(row);
        if let Some(lines) = row.versions(&self.flavor.loader) {
            let printed = self.printed(Judge::Loader, row)?.context("the loader is here")?;
            let differs = versions::differ(&lines, &printed, &self.program(row));
            return Ok((expected, differs));
        }
        let their = self.ask(Judge::Loader, row)?.context("the loader is here")?;
        let differs = (!their.agrees(&expected)).then(|| {
            let (more, less) = (their.beyond(&expected), expected.beyond(&their));
            format!("\n    loader only: {more}\n    rule only:   {less}")
        });
        Ok((their, differs))
    }

    /// The answer that the rule expects.
    fn expected(&self, row: &Row) -> Answer {
        let mut answer = Answer::default();
        for line in row.then(&self.flavor.loader) {
            if let Some((_, found)) = line.split_once(" => ") {
                answer.files.insert(self.real(row, found.rsplit_once(" [").map_or(found, |(path, _)| path)));
            } else if let Some((name, _)) = line.rsplit_once(" missing for ") {
                answer.missing.insert(name.to_owned());
            } else {
                answer.refusal = Some(line);
            }
        }
        self.of_interest(answer, row)
    }

    /// Removes the loader, which is always mapped but listed by some only, and the program.
    fn of_interest(&self, mut answer: Answer, row: &Row) -> Answer {
        answer.files.remove(&real(self.root, self.flavor.loader.interpreter));
        answer.files.remove(&self.real(row, &self.program(row)));
        if let Some(file) = &row.untold {
            answer.files.remove(&self.real(row, file));
        }
        if let Some(name) = &row.told_missing {
            answer.missing.remove(name);
        }
        answer
    }

    /// The program to start.
    fn program(&self, row: &Row) -> String {
        row.text(&row.run, &self.flavor.loader)
    }

    /// The words before a program of the host: the host's loader and library path.
    fn of_host(&self, program: &Utf8Path) -> Result<Vec<String>> {
        let canonical = |path: &Utf8Path| path.canonicalize_utf8().with_context(|| format!("find {path}"));
        let loader = canonical(Utf8Path::new(HOST_LOADER))?;
        let folder = loader.parent().unwrap_or(&loader);
        let libraries = format!("{HOST}{folder}:{HOST}/usr/lib");
        let program = canonical(program)?;
        Ok([format!("{HOST}{loader}"), "--library-path".to_owned(), libraries, format!("{HOST}{program}")].to_vec())
    }

    fn real(&self, row: &Row, path: &str) -> String {
        let current = Utf8Path::new(row.current.as_deref().unwrap_or("/"));
        real(self.root, current.join(path).as_str())
    }
}

const HOST_LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };

/// `libtree -pvv`: one line per object, indented by lines; a missing one is followed by the searched directories.
fn of_libtree(printed: &Printed, real: &dyn Fn(&str) -> String) -> Answer {
    let mut answer = Answer::default();
    for line in printed.stdout.lines().skip(1).filter(|line| !line.contains('┊')) {
        let line = line.trim_start_matches(['│', '├', '└', '─', ' ', '\u{a0}']);
        match line.strip_suffix(" not found") {
            Some(name) => {
                answer.missing.insert(name.to_owned());
            }
            None => {
                let path = line.rsplit_once(" [").map_or(line, |(path, _)| path).trim_end();
                answer.files.insert(real(path));
            }
        }
    }
    // libtree also fails at its end if a library is missing.
    answer.refusal = (!printed.success && answer.missing.is_empty()).then(|| printed.why());
    answer
}

/// `lddtree`: `name => path`, or `name => None`.
fn of_lddtree(printed: &Printed, real: &dyn Fn(&str) -> String) -> Answer {
    let mut answer = Answer::default();
    for line in printed.stdout.lines().skip(1) {
        match line.trim().split_once(" => ") {
            Some((name, "None")) => {
                answer.missing.insert(name.to_owned());
            }
            // lddtree prints `!!! circular loop !!!` for the current file.
            Some((_, path)) if path.starts_with('/') || path.starts_with('.') => {
                answer.files.insert(real(path));
            }
            _ => {}
        }
    }
    answer.refusal = (!printed.success).then(|| printed.stderr.lines().last().unwrap_or_default().to_owned());
    answer
}

/// `elfpak inspect --json`; if a library is missing it prints only that.
fn of_elfpak(printed: &Printed, real: &dyn Fn(&str) -> String) -> Answer {
    let mut answer = Answer::default();
    let all = format!("{}\n{}", printed.stdout, printed.stderr);
    let missing = all.lines().filter_map(|line| line.trim().strip_prefix("unable to resolve shared library `"));
    answer.missing = missing.map(|rest| rest.trim_end_matches('`').to_owned()).collect();
    let value: Value = serde_json::from_str(&printed.stdout).unwrap_or_default();
    let files = value["files"].as_array().into_iter().flatten().filter(|file| file["kind"] == "shared-object");
    answer.files = files.filter_map(|file| file["path"].as_str()).map(real).collect();
    answer.refusal = (!printed.success && answer.missing.is_empty()).then(|| printed.why());
    answer
}
