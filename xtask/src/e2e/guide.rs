//! Runs every console block of the README, the guide and the other pages, and compares its output.
//!
//! Sizes, times, digests and counts are wildcards; `...` on a line matches any lines, `[..]` any text in one.
//! A comment above a block names its project and its needs: `<!-- console: in=missing needs=docker tier=full -->`.

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::arm64;
use super::lab::Lab;
use super::registry::Registry;
use crate::host;
use crate::process::command;
use crate::stage::{Tier, cannot, need, skipped};

/// One block: a session in a project.
#[derive(Debug)]
struct Block {
    /// Its file and line, for messages.
    at: String,
    project: String,
    needs: Vec<String>,
    tier: Tier,
    /// Commands with the output of each.
    steps: Vec<(String, String)>,
}

/// The blocks of `cargo xtask test`.
pub(super) fn cheap(lab: &Lab) -> Result<()> {
    run(lab, Tier::Quick)
}

/// The other blocks, of `cargo xtask acceptance`.
pub(super) fn dear(lab: &Lab) -> Result<()> {
    run(lab, Tier::Full)
}

fn run(lab: &Lab, tier: Tier) -> Result<()> {
    let blocks: Vec<Block> = all()?.into_iter().filter(|block| block.tier == tier).collect();
    ensure!(!blocks.is_empty(), "no block is of this tier");
    let mut wrong = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        println!("    {} (in={})", block.at, block.project);
        let Err(error) = session(lab, at, block) else { continue };
        match skipped(&error) {
            Some(why) => println!("    skipped {}: {why}", block.at),
            None => wrong.push(format!("{}: {error:#}", block.at)),
        }
    }
    ensure!(wrong.is_empty(), "{} of {} blocks are wrong:\n{}", wrong.len(), blocks.len(), wrong.join("\n"));
    println!("    {} blocks", blocks.len());
    Ok(())
}

/// The blocks of all pages.
fn all() -> Result<Vec<Block>> {
    let repo = host::repo();
    let mut pages: Vec<Utf8PathBuf> =
        ["README.md", "templates/README.md", "xtask/README.md", ".github/CONTRIBUTING.md"]
            .map(|name| repo.join(name))
            .into();
    let guide = repo.join("cargo-rootfs/src/guide");
    for entry in guide.read_dir_utf8().with_context(|| format!("read {guide}"))? {
        let path = entry.with_context(|| format!("read {guide}"))?.into_path();
        if path.extension() == Some("md") {
            pages.push(path);
        }
    }
    pages.sort();
    let mut blocks = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page)?;
        blocks.extend(parse(page.strip_prefix(repo)?, &text)?);
    }
    Ok(blocks)
}

fn parse(page: &Utf8Path, text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut above = "";
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => match line.strip_prefix("$ ") {
                Some(command) => block.steps.push((command.to_owned(), String::new())),
                None => {
                    let Some((_, output)) = block.steps.last_mut() else {
                        bail!("{}: the block starts with no command", block.at)
                    };
                    output.push_str(line);
                    output.push('\n');
                }
            },
            None if line == "```console" => {
                let mut block = Block {
                    at: format!("{page}:{}", at + 1),
                    project: "myapp".to_owned(),
                    needs: Vec::new(),
                    tier: Tier::Quick,
                    steps: Vec::new(),
                };
                let words = above.strip_prefix("<!-- console: ").and_then(|words| words.strip_suffix(" -->"));
                for word in words.unwrap_or_default().split_whitespace() {
                    match word.split_once('=') {
                        Some(("in", project)) => block.project = project.to_owned(),
                        Some(("needs", needs)) => block.needs = needs.split(',').map(str::to_owned).collect(),
                        Some(("tier", "full")) => block.tier = Tier::Full,
                        _ => bail!("{}: `{word}` is not known", block.at),
                    }
                }
                open = Some(block);
            }
            None => {}
        }
        above = line;
    }
    ensure!(open.is_none(), "{page}: the last block is not closed");
    Ok(blocks)
}

/// Types the commands of a block into one shell, and compares.
fn session(lab: &Lab, at: usize, block: &Block) -> Result<()> {
    let mut registry = None;
    for what in &block.needs {
        match what.as_str() {
            "docker" => super::ready("docker")?,
            "root" if !host::is_root() => return cannot("chroot(8) needs root's rights"),
            "root" => {}
            "arm64" => arm64::can_run()?,
            "registry" => registry = Some(Registry::start(lab)?),
            // The mirror of packages is used as it is.
            "network" => {}
            tool => need(tool)?,
        }
    }
    let home = lab.folder(&format!("home-{at}"))?;
    let dir = project(lab, &home, &block.project)?;
    let host = registry.as_ref().map(|registry| registry.host.clone());
    let mut script = String::from("exec 2>&1\n");
    for (command, _) in &block.steps {
        // A registry of this run replaces the one in the text.
        let command = host.as_ref().map_or_else(|| command.clone(), |host| command.replace("ghcr.io", host));
        script.push_str(&format!("{command}\n__status=$?; printf '\\036'; (exit $__status)\n"));
    }
    let path = format!("{}:{}", lab.path("bin"), std::env::var("PATH").unwrap_or_default());
    let shell = command(["bash", "-c", &script]).dir(&dir).env("PATH", path);
    let shell = shell.env("CARGO_ROOTFS_CACHE", host::packages().as_str()).env("CARGO_TERM_COLOR", "never");
    let shell = match &registry {
        Some(registry) => shell.env("DOCKER_CONFIG", registry.login(lab)?.as_str()),
        None => shell,
    };
    let done =
        if block.needs.iter().any(|what| what == "arm64") { arm64::with_compilers(shell)? } else { shell }.finish()?;
    let printed = done.stdout.replace(home.as_str(), "/home/me");
    let printed = host.map_or_else(|| printed.clone(), |host| printed.replace(&host, "ghcr.io"));
    let mut outputs = printed.split('\u{1e}');
    for (command, expected) in &block.steps {
        let output = outputs.next().unwrap_or_default();
        ensure!(
            matches(&lines(expected), &lines(output)),
            "`{command}` should print\n{expected}--- and prints\n{output}---"
        );
    }
    Ok(())
}

/// Makes the project of a block, and returns the working directory of its commands.
fn project(lab: &Lab, home: &Utf8Path, name: &str) -> Result<Utf8PathBuf> {
    let myapp = home.join("myapp");
    if name == "new" {
        return Ok(home.to_owned());
    }
    lab.cargo(home, ["new", "--quiet", "--vcs", "none", "myapp"]).run()?;
    let append = |file: &str, text: &str| -> Result<()> {
        let path = myapp.join(file);
        let before = fs::read_to_string(&path)?;
        Ok(fs::write(&path, before + text)?)
    };
    match name {
        "myapp" => {}
        "locked" => lab.cargo(&myapp, ["generate-lockfile", "--offline"]).run().map(drop)?,
        "unknown-key" => append("Cargo.toml", "[package.metadata.rootfs]\nwiht = [\"bash\"]\n")?,
        "myapp-arm64" => {
            let sysroot = host::sysroot_arm64();
            append(
                "Cargo.toml",
                &format!("[package.metadata.rootfs.target.{}]\nsysroot = \"{sysroot}\"\n", arm64::TRIPLE),
            )?;
        }
        "reads-a-file" => fs::write(
            myapp.join("src/main.rs"),
            "fn main() {\n    // Computed, so that nothing in the program has the whole name.\n    let name = [\"usr\", \
             \"share\", \"base-files\", \"motd\"].map(|part| format!(\"/{part}\")).concat();\n    let text = \
             std::fs::read_to_string(name).expect(\"the greeting\");\n    println!(\"{} lines\", \
             text.lines().count());\n}\n",
        )?,
        // A program with two missing libraries.
        "missing" => {
            for library in ["a", "b"] {
                lab.file("lib.c", &format!("int {library}(void) {{ return 0; }}\n"))?;
                let to = format!("lib{library}.so");
                let soname = format!("-Wl,-soname,lib{library}.so.1");
                command(["cc", "-shared", "-o", &to, lab.path("lib.c").as_str(), &soname]).dir(&myapp).run()?;
            }
            lab.file("m.c", "int a(void), b(void);\nint main(void) { return a() + b(); }\n")?;
            command(["cc", "-o", "m", lab.path("m.c").as_str(), "./liba.so", "./libb.so"]).dir(&myapp).run()?;
            for library in ["liba.so", "libb.so"] {
                fs::remove_file(myapp.join(library))?;
            }
        }
        _ => bail!("`in={name}` is not known"),
    }
    Ok(myapp)
}

/// The lines of an output, with wildcards for sizes, times, digests and counts.
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split(' ').map(|word| wildcard(word).to_owned()).collect::<Vec<_>>().join(" "))
        .collect()
}

fn wildcard(word: &str) -> &str {
    const UNITS: [&str; 9] = ["B", "KiB", "MiB", "GiB", "kB", "MB", "GB", "s", "ms"];
    let bare = word.trim_start_matches('(').trim_end_matches([',', ')']);
    let number = bare.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &bare[number.len()..];
    let is_number =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_digest =
        word.rsplit("sha256:").next().is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()));
    match word {
        _ if is_number && (unit.is_empty() || UNITS.contains(&unit)) => "[number]",
        _ if is_digest && word.contains('@') => word.split('@').next().unwrap_or(word),
        _ if is_digest => "[digest]",
        _ if UNITS.contains(&bare) => "[unit]",
        _ => word,
    }
}

fn matches(expected: &[String], output: &[String]) -> bool {
    match (expected.split_first(), output.split_first()) {
        (None, None) => true,
        (Some((line, rest)), _) if line == "..." => (0..=output.len()).any(|at| matches(rest, &output[at..])),
        (Some((line, rest)), Some((printed, after))) => line_matches(line, printed) && matches(rest, after),
        _ => false,
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_what_changes_and_nothing_else() {
        let same = |expected: &str, printed: &str| matches(&lines(expected), &lines(printed));
        assert!(same("    Finished 104 entries, 5.50 MiB, in 0.69s", "    Finished 9 entries, 12 KiB, in 3s"));
        assert!(same("a\n...\nz", "a\nb\nc\nz") && same("...\nz", "z") && same("x [..] y", "x 1 2 y"));
        assert!(!same("a\nb", "a") && !same("a", "a\nb") && !same("usr/bin/ls", "usr/bin/cat"));
        assert!(!same("failed `x`: exit code 101", "ok `x`: exit code 101"));
    }

    #[test]
    fn blocks_are_sessions() {
        let page = "text\n<!-- console: in=missing needs=docker,arm64 tier=full -->\n```console\n$ a\nb\n$ c\n```\n";
        let blocks = parse("page.md".into(), page).expect("a page");
        assert_eq!(blocks[0].steps, [("a".to_owned(), "b\n".to_owned()), ("c".to_owned(), String::new())]);
        assert_eq!((blocks[0].project.as_str(), blocks[0].needs.len(), blocks[0].tier), ("missing", 2, Tier::Full));
        assert!(parse("page.md".into(), "```console\nno command\n```\n").is_err());
    }
}
