//! Compares this checkout's program with an earlier build: the same commands must give the same answers at the same
//! cost. It does not judge answers; tests do.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::Read;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use fs_err as fs;

use crate::parallel::in_parallel;
use crate::process::SET_BY_CARGO;
use crate::stage::{Tier, need};
use crate::{host, made, tools};

/// Growth that is accepted: instructions and system calls by 2%, memory by 5%.
const LIMITS: [(&str, f64); 3] = [("instructions", 1.02), ("system calls", 1.02), ("peak memory, KiB", 1.05)];

/// A command's complete answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    /// Length and hash of standard output, because an archive can be large.
    stdout: (u64, u64),
    /// Standard error without times.
    stderr: String,
}

/// A question: a title, and the words after the program's name.
type Question = (String, Vec<String>);

/// Runs `cargo xtask oracle BASE`: BASE is the program of an earlier commit.
pub(crate) fn run(base: &str) -> Result<()> {
    let base = Utf8Path::new(base).canonicalize_utf8().with_context(|| format!("find {base}"))?;
    ["valgrind", "strace", "time"].into_iter().try_for_each(need)?;
    let new = made::program(Tier::Full)?;
    let questions = questions()?;
    let differing = in_parallel(&questions, |(title, words)| {
        let (before, after) = (answer(&base, words)?, answer(&new, words)?);
        let same = before == after;
        if !same {
            println!("  DIFFERS {title}: {}\n    before {before:?}\n    after  {after:?}", words.join(" "));
        }
        Ok(!same)
    })?;
    let differing = differing.into_iter().filter(|differs| *differs).count();
    println!("  {} of {} answers are the same", questions.len() - differing, questions.len());

    println!("\n| command | cost | before | after | ratio |\n| --- | --- | ---: | ---: | ---: |");
    let mut over = 0;
    for (title, words) in costly() {
        for ((kind, limit), (before, after)) in
            LIMITS.iter().zip(costs(&base, &words)?.into_iter().zip(costs(&new, &words)?))
        {
            let ratio = after as f64 / before as f64;
            let verdict = if ratio > *limit { " (over)" } else { "" };
            over += usize::from(ratio > *limit);
            println!("| {title} | {kind} | {before} | {after} | {ratio:.3}{verdict} |");
        }
    }
    ensure!(differing == 0 && over == 0, "{differing} answers differ, {over} costs are over their limits");
    Ok(())
}

/// Each row of the table of tools as an archive, some also as trees and reasons, fixtures, and refused input.
fn questions() -> Result<Vec<Question>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut questions = Vec::new();
    for (tools, sysroot, triple) in tools::packed()? {
        let content = format!("--tools-only --with {tools} --sysroot {sysroot} --target {triple}");
        questions.push((tools.clone(), words(&format!("rootfs {content} --tar -"))));
        questions.push((tools.clone(), words(&format!("rootfs tree {content} --message-format json"))));
    }
    let (sysroot, native) = (host::sysroot_tools(), "x86_64-unknown-linux-gnu");
    for line in [
        format!("rootfs tree {sysroot}/usr/bin/git {sysroot}/bin/bash --sysroot {sysroot}"),
        format!("rootfs why --tools-only --with bash,git --sysroot {sysroot} /usr/lib/x86_64-linux-gnu/libz.so.1"),
        format!("rootfs why --tools-only --with ssh --sysroot {sysroot} /etc/passwd"),
        format!("rootfs why --tools-only --with ssh --sysroot {sysroot} /no/such/file"),
        format!("rootfs tree --sizes --tools-only --with vim,python3 --sysroot {sysroot} --target {native}"),
        format!("rootfs --tools-only --with bash --template web --sysroot {sysroot} --tar - --hwcaps all"),
        format!("rootfs --tools-only --with bash,ssh --runtime none --sysroot {sysroot} --tar -"),
        format!("rootfs --tools-only --with bash --runtime packages --sysroot {sysroot} --tar -"),
        format!("rootfs --tools-only --with-package openssl --with-lib libz.so.1 --sysroot {sysroot} --tar -"),
        "rootfs --tools-only --with no-such-tool --tar -".to_owned(),
        "rootfs --tools-only --with bash".to_owned(),
        "rootfs --tools-only --with bash --tar - --dir /nowhere/at/all".to_owned(),
        "rootfs --target nonsense --with bash --tar -".to_owned(),
        "rootfs --help".to_owned(),
        "rootfs tree --help".to_owned(),
        "rootfs check --help".to_owned(),
    ] {
        questions.push(("command line".to_owned(), words(&line)));
    }
    let fixtures = host::repo().join("tests/fixtures");
    for fixture in ["hello", "metadata", "workspace", "shared-library"] {
        let fresh = host::cache_dir().join("oracle").join(fixture);
        copy(&fixtures.join(fixture), &fresh)?;
        let line = format!("rootfs --manifest-path {fresh}/Cargo.toml --quiet --tar -");
        // Built once, by the first program, so that both pack the same files.
        answer(&made::program(Tier::Full)?, &words(&line))?;
        questions.push((fixture.to_owned(), words(&line)));
    }
    Ok(questions)
}

/// Six commands, from the shortest to a large one.
fn costly() -> Vec<Question> {
    let sysroot = host::sysroot_tools();
    let of = |title: &str, line: String| (title.to_owned(), line.split(' ').map(str::to_owned).collect());
    vec![
        of("tree of two files", "rootfs tree /bin/bash /bin/ls".to_owned()),
        of("tree of /usr/bin/git", format!("rootfs tree {sysroot}/usr/bin/git --sysroot {sysroot}")),
        of("bash, ls to a tar", format!("rootfs --tools-only --with bash,ls --sysroot {sysroot} --tar -")),
        of("git, ssh, curl to a tar", format!("rootfs --tools-only --with git,ssh,curl --sysroot {sysroot} --tar -")),
        of("ffmpeg to a tar", format!("rootfs --tools-only --with ffmpeg --sysroot {sysroot} --tar -")),
        of(
            "ansible, as a reason",
            format!("rootfs why --tools-only --with ansible --sysroot {sysroot} /usr/bin/python3"),
        ),
    ]
}

fn command(program: &str, words: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    for name in SET_BY_CARGO {
        command.env_remove(name);
    }
    // One directory for the archives of both, so that printed names are the same.
    command.current_dir("/");
    command
}

fn answer(program: &Utf8Path, words: &[String]) -> Result<Answer> {
    let mut child = command(program.as_str(), words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let (mut stdout, mut stderr) = (child.stdout.take().context("stdout")?, child.stderr.take().context("stderr")?);
    let told = std::thread::spawn(move || {
        let mut told = String::new();
        stderr.read_to_string(&mut told).map(|_| told)
    });
    let (mut hasher, mut length, mut buffer) = (DefaultHasher::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = stdout.read(&mut buffer).context("read an answer")?;
        if count == 0 {
            break;
        }
        hasher.write(&buffer[..count]);
        length += count as u64;
    }
    let code = child.wait().context("wait for an answer")?.code();
    let told = told.join().ok().context("a thread panicked")?.context("read what was told")?;
    Ok(Answer { code, stdout: (length, hasher.finish()), stderr: without_times(&told) })
}

/// `told` without durations such as `in 0.69s`.
fn without_times(told: &str) -> String {
    let lines = told.lines().map(|line| match line.rsplit_once(" in ") {
        Some((before, time)) if time.ends_with('s') => before,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Instructions, system calls, and peak memory in KiB.
fn costs(program: &Utf8Path, words: &[String]) -> Result<[u64; 3]> {
    let temp = camino_tempfile::tempdir()?;
    let [counted, calls, memory] = ["callgrind", "calls", "memory"].map(|name| temp.path().join(name));
    let run = |by: &[&str]| -> Result<()> {
        let all: Vec<String> = by[1..]
            .iter()
            .map(|word| (*word).to_owned())
            .chain([program.to_string()])
            .chain(words.iter().cloned())
            .collect();
        let status = command(by[0], &all).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.map(drop).with_context(|| format!("start {}", by[0]))
    };
    run(&["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={counted}"), "-q"])?;
    run(&["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", calls.as_str()])?;
    run(&["time", "-f", "%M", "-o", memory.as_str()])?;
    let read = |path: &Utf8Path| fs::read_to_string(path);
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).context("no number");
    let instructions = read(&counted)?;
    let totals = instructions.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    let calls = read(&calls)?;
    let total =
        calls.lines().find(|line| line.trim_end().ends_with("total")).and_then(|line| line.split_whitespace().next());
    Ok([number(totals)?, number(total)?, number(read(&memory)?.lines().last())?])
}

fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    fs::create_dir_all(to.parent().context("a parent")?).with_context(|| format!("create {to}"))?;
    duct::cmd!("cp", "-r", from.as_str(), to.as_str()).run().with_context(|| format!("copy {from}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::without_times;

    #[test]
    fn times_are_no_part_of_an_answer() {
        assert_eq!(
            without_times("    Finished 3 entries, 1 MiB, in 0.69s\nin a word"),
            "    Finished 3 entries, 1 MiB,\nin a word"
        );
    }
}
