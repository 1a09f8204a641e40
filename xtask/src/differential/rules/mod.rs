//! Programs built to exercise one rule of a loader each, judged by that loader: for us, and for other tools.
//! The programs are built anew every time and are never run; their roots stay in the cache folder for looking into.

mod corners;
mod filters;
mod forge;
mod glibc;
mod hardware;
mod headers;
mod judges;
mod library_path;
mod musl;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::answer::Answer;
use super::architectures;
use super::machine::percent;
use crate::host;
use crate::parallel::in_parallel;
use crate::stage::{cannot, need};
use forge::{Flavor, Forge, Libc, Tree};
use judges::{Court, Judge};

/// One rule of a loader.
struct Rule {
    says: &'static str,
    tree: Tree,
    /// What the loader does, as the rule has it.
    then: Answer,
}

impl Rule {
    /// `then` lists the files that get mapped; `!name` is one that is not found, and `gives up` says just that.
    fn new(says: &'static str, files: impl Fn(&mut Tree), then: &[&str]) -> Rule {
        let mut tree = Tree::default();
        files(&mut tree);
        let mut answer = Answer::default();
        for item in then {
            match item.strip_prefix('!') {
                Some(name) => answer.missing.insert(name.to_owned()),
                None if *item == "gives up" => {
                    answer.refusal = Some(String::new());
                    true
                }
                None => answer.files.insert((*item).to_owned()),
            };
        }
        Rule { says, tree, then: answer }
    }
}

/// This machine's glibc, and who else answers for it.
pub(super) fn glibc(ours: &Utf8Path) -> Result<()> {
    only_here()?;
    let flavor = Flavor {
        name: "x86_64, glibc",
        libc: Libc::Glibc,
        interpreter: "/lib64/ld-linux-x86-64.so.2",
        loader: "/lib64/ld-linux-x86-64.so.2".into(),
        binutils: "x86_64-linux-gnu-",
        other_machine: ["aarch64-linux-gnu-as", "aarch64-linux-gnu-ld"],
        triplet: "x86_64-linux-gnu",
        platform: "x86_64",
        emulator: None,
        release: release("/lib64/ld-linux-x86-64.so.2".into()),
        is_debians: is_debians("/lib64/ld-linux-x86-64.so.2".into()),
        ldconfig: host::find("ldconfig").map(Utf8PathBuf::into_string).into_iter().collect(),
    };
    judge(&flavor, glibc::rules(&flavor), ours, &Judge::TOOLS)
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
    let ldconfig = architectures::ldconfig_arm64()?;
    let (release, is_debians) = (release(&loader), is_debians(&loader));
    let flavor = Flavor {
        name: "aarch64, glibc",
        libc: Libc::Glibc,
        interpreter: "/lib/ld-linux-aarch64.so.1",
        loader,
        binutils: "aarch64-linux-gnu-",
        other_machine: ["x86_64-linux-gnu-as", "x86_64-linux-gnu-ld"],
        triplet: "aarch64-linux-gnu",
        platform: "aarch64",
        emulator: Some("/usr/bin/qemu-aarch64-static"),
        release,
        is_debians,
        ldconfig: vec![qemu.into_string(), ldconfig.into_string()],
    };
    judge(&flavor, glibc::rules(&flavor), ours, &Judge::TOOLS[..1])
}

/// Debian's musl.
pub(super) fn musl(ours: &Utf8Path) -> Result<()> {
    only_here()?;
    let flavor = Flavor {
        name: "x86_64, musl",
        libc: Libc::Musl,
        interpreter: "/lib/ld-musl-x86_64.so.1",
        loader: "/lib/ld-musl-x86_64.so.1".into(),
        binutils: "x86_64-linux-gnu-",
        other_machine: ["aarch64-linux-gnu-as", "aarch64-linux-gnu-ld"],
        triplet: "x86_64-linux-musl",
        platform: "x86_64",
        emulator: None,
        release: (0, 0),
        is_debians: false,
        ldconfig: Vec::new(),
    };
    if !flavor.loader.exists() {
        return cannot(format!("there is no {}: run `cargo xtask setup`", flavor.loader));
    }
    judge(&flavor, musl::rules(), ours, &Judge::TOOLS[..1])
}

/// The release of a glibc's loader, as `ld.so --version` has it.
fn release(loader: &Utf8Path) -> (u32, u32) {
    let text = String::from_utf8_lossy(&fs::read(loader).unwrap_or_default()).into_owned();
    let version = text.split_once(" release version ").and_then(|(_, rest)| {
        let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    version.unwrap_or_default()
}

/// Whether a loader has Debian's patches, as those of its derivatives have: it says so in `ld.so --version`.
fn is_debians(loader: &Utf8Path) -> bool {
    let image = fs::read(loader).unwrap_or_default();
    let has = |text: &str| image.windows(text.len()).any(|window| window == text.as_bytes());
    has("ld.so (Debian GLIBC") || has("ld.so (Ubuntu GLIBC")
}

/// The roots hold this machine's tools, and chroot(2) and mounts are root's.
fn only_here() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return cannot("the programs are built for and judged on x86_64");
    }
    if !host::is_root() {
        return cannot("a loader sees its own root by chroot(2), which wants root");
    }
    ["x86_64-linux-gnu-ld", "aarch64-linux-gnu-ld", "unshare"].into_iter().try_for_each(need)
}

fn judge(flavor: &Flavor, rules: Vec<Rule>, ours: &Utf8Path, tools: &[Judge]) -> Result<()> {
    let dir = host::cache_dir().join("differential").join(flavor.name.replace(", ", "-"));
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {dir}"))?;
    }
    let forge = Forge::new(flavor, &dir.join("made"))?;
    let known: BTreeSet<&str> = rules.iter().map(|rule| rule.says).collect();
    ensure!(known.len() == rules.len(), "two rules say the same");
    let cases: Vec<_> = rules.iter().enumerate().map(|(index, rule)| (rule, dir.join(format!("{index:03}")))).collect();
    let answers = in_parallel(&cases, |(rule, root)| {
        forge.make(&rule.tree, root).with_context(|| format!("make the files of `{}`", rule.says))?;
        let court = Court { flavor, root, ours };
        let their = court.ask(Judge::Loader, &rule.tree)?.context("the loader is here")?;
        let tools = tools.iter().map(|tool| court.ask(*tool, &rule.tree)).collect::<Result<Vec<_>>>()?;
        Ok((their, tools))
    })?;
    let mut table = Table::new(tools);
    let mut wrong = Vec::new();
    for ((rule, root), (their, answers)) in cases.iter().zip(&answers) {
        let says = rule.says;
        if !their.agrees(&rule.then) {
            let (more, less) = (their.beyond(&rule.then), rule.then.beyond(their));
            wrong.push(format!(
                "`{says}` in {root} is not what the loader does\n    loader only: {more}\n    rule only:   {less}"
            ));
        }
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
    println!("  {}: {} of {} rules as the loader has them: {}", flavor.name, table.right(), rules.len(), table.rate());
    for what in &wrong {
        println!("  {what}");
    }
    ensure!(wrong.is_empty(), "{} divergences", wrong.len());
    Ok(())
}

/// We are held to the loader's every word. Of others it is enough that they say something is wrong where it gives up;
/// and one that tells of nothing else where a library is missing is asked for no more.
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

/// Rules by tools.
struct Table {
    tools: Vec<Judge>,
    rows: Vec<(&'static str, Vec<Option<bool>>)>,
}

impl Table {
    fn new(tools: &[Judge]) -> Table {
        Table { tools: tools.to_vec(), rows: Vec::new() }
    }

    fn push(&mut self, rule: &'static str, verdicts: Vec<Option<bool>>) {
        self.rows.push((rule, verdicts));
    }

    /// How many rules we have as the loader has them.
    fn right(&self) -> usize {
        self.rows.iter().filter(|(_, verdicts)| verdicts.first() == Some(&Some(true))).count()
    }

    fn rate(&self) -> String {
        percent(self.right(), self.rows.len())
    }

    /// In Markdown.
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
            let asked = self.rows.iter().filter_map(|(_, verdicts)| verdicts[column]);
            let (right, all) = asked.fold((0, 0), |(right, all), is_right| (right + usize::from(is_right), all + 1));
            let _ = if all == 0 { write!(text, " - |") } else { write!(text, " {right} of {all} |") };
        }
        text.push('\n');
        text
    }
}
