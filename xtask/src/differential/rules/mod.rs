//! The rules of `tests/rules`, each judged by its loader, for our program and for other tools. The files are made anew
//! every time and are never executed; their roots stay in the cache directory for inspection.

mod disk;
// The other user of this file needs the rest.
#[allow(dead_code)]
#[path = "../../../../tests/rules/forge.rs"]
mod forge;
mod judges;
#[allow(dead_code)]
#[path = "../../../../tests/rules/schema.rs"]
mod schema;
mod versions;

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::answer::Answer;
use super::architectures;
use super::machine::percent;
use crate::host;
use crate::parallel::in_parallel;
use crate::stage::{cannot, need};
use judges::{Court, Judge};
use schema::{Libc, Loader, Row};

/// A loader, and the tools to run it with.
#[derive(Debug)]
struct Flavor {
    name: &'static str,
    loader: Loader,
    /// The loader's file.
    file: Utf8PathBuf,
    /// Runs programs of another machine.
    emulator: Option<&'static str>,
    /// The ldconfig(8) that makes the loader's caches.
    ldconfig: Vec<String>,
}

/// This machine's glibc, with all judges.
pub(super) fn glibc(ours: &Utf8Path) -> Result<()> {
    only_here()?;
    let flavor = Flavor {
        name: "x86_64, glibc",
        loader: schema::GLIBC,
        file: schema::GLIBC.interpreter.into(),
        emulator: None,
        ldconfig: ldconfig(),
    };
    judge(&flavor, ours, &Judge::TOOLS)
}

/// Debian's arm64 glibc, through qemu-user.
pub(super) fn glibc_arm64(ours: &Utf8Path) -> Result<()> {
    only_here()?;
    need("qemu-aarch64-static")?;
    let (Some(qemu), root) = (host::find("qemu-aarch64-static"), host::sysroot_arm64()) else { return Ok(()) };
    let loader = root.join("usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1");
    let loader = if loader.exists() { loader } else { root.join("lib/aarch64-linux-gnu/ld-linux-aarch64.so.1") };
    if !loader.exists() {
        return cannot(format!("there is no {loader}: run `cargo xtask setup`"));
    }
    let flavor = Flavor {
        name: "aarch64, glibc",
        loader: schema::GLIBC_ARM64,
        file: loader,
        emulator: Some("/usr/bin/qemu-aarch64-static"),
        ldconfig: vec![qemu.into_string(), architectures::ldconfig_arm64()?.into_string()],
    };
    judge(&flavor, ours, &Judge::TOOLS[..1])
}

/// Debian's musl. It does not read the cache of ldconfig(8).
pub(super) fn musl(ours: &Utf8Path) -> Result<()> {
    only_here()?;
    let file = Utf8PathBuf::from(schema::MUSL.interpreter);
    if !file.exists() {
        return cannot(format!("there is no {file}: run `cargo xtask setup`"));
    }
    let flavor = Flavor { name: "x86_64, musl", loader: schema::MUSL, file, emulator: None, ldconfig: ldconfig() };
    judge(&flavor, ours, &Judge::TOOLS[..1])
}

fn ldconfig() -> Vec<String> {
    host::find("ldconfig").map(Utf8PathBuf::into_string).into_iter().collect()
}

impl Flavor {
    /// The rules that apply to its loader.
    fn rows(&self) -> Result<Vec<Row>> {
        let dir = host::repo().join("tests/rules").join(if self.loader.libc == Libc::Musl { "musl" } else { "glibc" });
        let (release, is_debians, help) = (release(&self.file), is_debians(&self.file), self.help());
        let is_asked = |row: &Row| {
            let is_of_release = row.since.as_ref().is_none_or(|since| release >= numbers(since))
                && row.before.as_ref().is_none_or(|before| release < numbers(before));
            let has = |level: &String| help.lines().any(|line| line.starts_with(&format!("  {level} (supported")));
            row.not_asked.is_none()
                && row.is_for(&self.loader)
                && is_of_release
                && row.debian.is_none_or(|debian| debian == is_debians)
                && !(row.native && self.emulator.is_some())
                && (row.ldconfig.is_none() || !self.ldconfig.is_empty())
                && row.on.as_ref().is_none_or(|levels| self.emulator.is_none() && levels.iter().all(has))
        };
        let rows = schema::rows(dir.as_std_path()).map_err(anyhow::Error::msg)?;
        Ok(rows.into_iter().filter(is_asked).collect())
    }

    /// The loader's list of hardware levels, if it is this machine's.
    fn help(&self) -> String {
        let help = duct::cmd!(self.file.as_str(), "--help").stdout_capture().stderr_capture().unchecked().run();
        help.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}

/// The release of a glibc's loader, as `ld.so --version` has it.
fn release(loader: &Utf8Path) -> (u32, u32) {
    let text = String::from_utf8_lossy(&fs::read(loader).unwrap_or_default()).into_owned();
    text.split_once(" release version ").map_or((0, 0), |(_, rest)| numbers(rest))
}

/// The first two numbers of a version.
fn numbers(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns whether a loader has Debian's patches, as those of derivatives have: `ld.so --version` names the
/// distribution.
fn is_debians(loader: &Utf8Path) -> bool {
    let image = fs::read(loader).unwrap_or_default();
    let has = |text: &str| image.windows(text.len()).any(|window| window == text.as_bytes());
    has("ld.so (Debian GLIBC") || has("ld.so (Ubuntu GLIBC")
}

/// The roots hold this machine's tools, and chroot(2) and mounts require root.
fn only_here() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return cannot("the programs are built for and judged on x86_64");
    }
    if !host::is_root() {
        return cannot("a loader sees its own root by chroot(2), which wants root");
    }
    need("unshare")
}

fn judge(flavor: &Flavor, ours: &Utf8Path, tools: &[Judge]) -> Result<()> {
    let dir = host::cache_dir().join("differential").join(flavor.name.replace(", ", "-"));
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let rows = flavor.rows()?;
    let cases: Vec<_> = rows.iter().enumerate().map(|(index, row)| (row, dir.join(format!("{index:03}")))).collect();
    let answers = in_parallel(&cases, |(row, root)| {
        disk::make(row, flavor, root).with_context(|| format!("make the files of `{}`", row.says))?;
        let court = Court { flavor, root, ours };
        let their = court.judge(row)?;
        let tools = tools.iter().map(|tool| court.ask(*tool, row)).collect::<Result<Vec<_>>>()?;
        Ok((their, tools))
    })?;
    let mut table = Table::new(tools);
    let mut wrong = Vec::new();
    for ((row, root), ((their, differs), answers)) in cases.iter().zip(&answers) {
        let says = row.says.as_str();
        wrong.extend(differs.iter().map(|how| format!("`{says}` in {root} is not what the loader does{how}")));
        let mut verdicts = Vec::new();
        for (&tool, answer) in tools.iter().zip(answers) {
            let agrees = answer.as_ref().map(|answer| tool_agrees(tool, answer, their));
            if let (Judge::Ours, Some(answer), Some(false)) = (tool, answer, agrees) {
                let (more, less) = (answer.beyond(their), their.beyond(answer));
                wrong.push(format!("`{says}` in {root}\n    ours only:   {more}\n    loader only: {less}"));
            }
            verdicts.push(agrees);
        }
        table.push(says, verdicts);
    }
    println!("\n{}", table.show());
    let (right, all) = table.score(0);
    println!("  {}: {right} of {all} rules as the loader has them: {}", flavor.name, percent(right, all));
    for what in &wrong {
        println!("  {what}");
    }
    ensure!(wrong.is_empty(), "{} divergences", wrong.len());
    // Those of a divergence stay.
    Ok(fs::remove_dir_all(&dir)?)
}

/// Compares a tool's answer. Ours must equal the loader's. For others an error is enough where the loader gives up; and
/// if a library is missing, a tool that lists only missing ones need not list more.
fn tool_agrees(tool: Judge, answer: &Answer, their: &Answer) -> bool {
    if tool == Judge::Ours {
        return answer.agrees(their);
    }
    let complains = answer.refusal.is_some() || !answer.missing.is_empty();
    if their.refusal.is_some() {
        return complains;
    }
    let tells_all = tool != Judge::Elfpak || answer.missing.is_empty();
    answer.missing == their.missing && answer.refusal.is_none() && (!tells_all || answer.files == their.files)
}

/// The rules, by tools.
struct Table<'r> {
    tools: Vec<Judge>,
    rows: Vec<(&'r str, Vec<Option<bool>>)>,
}

impl<'r> Table<'r> {
    fn new(tools: &[Judge]) -> Self {
        Self { tools: tools.to_vec(), rows: Vec::new() }
    }

    fn push(&mut self, rule: &'r str, verdicts: Vec<Option<bool>>) {
        self.rows.push((rule, verdicts));
    }

    /// The number of rules for which a tool agrees with the loader, and the number that it was judged by.
    fn score(&self, column: usize) -> (usize, usize) {
        let asked = self.rows.iter().filter_map(|(_, verdicts)| verdicts[column]);
        asked.fold((0, 0), |(right, all), is_right| (right + usize::from(is_right), all + 1))
    }

    /// The table in Markdown.
    fn show(&self) -> String {
        let mut text = String::from("| rule |");
        let names = self.tools.iter().map(|tool| format!(" {} |", tool.name()));
        text.extend(names);
        text.push_str("\n| --- |");
        text.extend(self.tools.iter().map(|_| " --- |"));
        for (rule, verdicts) in &self.rows {
            let _ = write!(text, "\n| {} |", rule.replace('|', "\\|"));
            for verdict in verdicts {
                let word = match verdict {
                    None => "-",
                    Some(true) => "ok",
                    Some(false) => "differs",
                };
                let _ = write!(text, " {word} |");
            }
        }
        text.push_str("\n| **as the loader has it** |");
        for column in 0..self.tools.len() {
            let (right, all) = self.score(column);
            let _ = if all == 0 { write!(text, " - |") } else { write!(text, " {right} of {all} |") };
        }
        text.push('\n');
        text
    }
}
