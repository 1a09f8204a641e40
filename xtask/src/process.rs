//! Starts processes, prints them, and judges their ends. A child gets only the caller's variables that a user's shell
//! would have.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8PathBuf;

/// Variables that cargo sets for its processes, and so for `cargo xtask`, but that a shell does not have.
pub(crate) const SET_BY_CARGO: &[&str] = &[
    "CARGO",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    // Build scripts of dependencies depend on them: ring would be built anew after each change between cargo and xtask.
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTFLAGS",
    "SOURCE_DATE_EPOCH",
];

/// The number of words of a command that are printed: lists of files are long.
const WORDS: usize = 30;

/// A command, which is printed when it starts, with its output kept.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    argv: Vec<String>,
    dir: Option<Utf8PathBuf>,
    env: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    shown: Option<String>,
}

/// The end of a command, with both of its outputs.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    told: String,
    pub(crate) code: Option<i32>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command from its words.
pub(crate) fn command<I: IntoIterator<Item: Into<String>>>(argv: I) -> Command {
    let argv = argv.into_iter().map(Into::into).collect();
    Command { argv, dir: None, env: Vec::new(), stdin: None, shown: None }
}

impl Command {
    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Command {
        self.argv.push(arg.into());
        self
    }

    pub(crate) fn args<I: IntoIterator<Item: Into<String>>>(mut self, args: I) -> Command {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same command, started by `words`, such as `setsid`.
    pub(crate) fn by<I: IntoIterator<Item: Into<String>>>(mut self, words: I) -> Command {
        self.argv.splice(..0, words.into_iter().map(Into::into));
        self
    }

    pub(crate) fn dir(mut self, dir: impl Into<Utf8PathBuf>) -> Command {
        self.dir = Some(dir.into());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Command {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Command {
        self.stdin = Some(bytes.into());
        self
    }

    /// The same command, printed as `text`.
    pub(crate) fn shown(mut self, text: impl Into<String>) -> Command {
        self.shown = Some(text.into());
        self
    }

    fn told(&self) -> String {
        if let Some(shown) = &self.shown {
            return shown.clone();
        }
        let env = self.env.iter().filter(|(name, _)| name != "PATH").map(|(name, value)| format!("{name}={value} "));
        let mut told: String = env.collect();
        for (at, word) in self.argv.iter().enumerate() {
            if at >= WORDS {
                return told + &format!("... {} words more", self.argv.len() - at);
            }
            told += &quoted(word);
            told.push(' ');
        }
        told.truncate(told.trim_end().len());
        told
    }

    fn expression(&self) -> duct::Expression {
        let mut expression = duct::cmd(&self.argv[0], &self.argv[1..]).unchecked();
        // In duct the first value of a variable wins.
        for (name, value) in self.env.iter().rev() {
            expression = expression.env(name, value);
        }
        for name in SET_BY_CARGO {
            expression = expression.env_remove(name);
        }
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        match &self.stdin {
            Some(bytes) => expression.stdin_bytes(bytes.clone()),
            None => expression.stdin_null(),
        }
    }

    /// Starts it in the background, outputs kept.
    pub(crate) fn start(&self) -> Result<duct::Handle> {
        println!("    $ {} &", self.told());
        let expression = self.expression().stdout_capture().stderr_capture();
        expression.start().with_context(|| format!("start {}", self.argv[0]))
    }

    /// Runs it to its end; every status is accepted.
    pub(crate) fn finish(&self) -> Result<Done> {
        println!("    $ {}", self.told());
        let expression = self.expression().stdout_capture().stderr_capture();
        let output = expression.run().with_context(|| format!("start {}", self.argv[0]))?;
        Ok(Done::of(self.told(), output))
    }

    /// Runs it; any status but 0 is an error that shows both outputs.
    pub(crate) fn run(&self) -> Result<Done> {
        let done = self.finish()?;
        ensure!(done.code == Some(0), "{}", done.report("expected success"));
        Ok(done)
    }

    /// Runs it with its outputs on the terminal; any status but 0 is an error.
    pub(crate) fn show(&self) -> Result<()> {
        println!("    $ {}", self.told());
        let output = self.expression().run().with_context(|| format!("start {}", self.argv[0]))?;
        ensure!(output.status.success(), "`{}` ended with {}", self.told(), output.status);
        Ok(())
    }

    /// Runs it; it must end with one of `codes`, and with a message on stderr.
    pub(crate) fn fail(&self, codes: &[i32]) -> Result<Done> {
        let done = self.finish()?;
        let expected = done.code.is_some_and(|code| codes.contains(&code));
        ensure!(expected, "{}", done.report(&format!("expected exit code {codes:?}")));
        ensure!(!done.stderr.trim().is_empty(), "{}", done.report("failed without a word"));
        Ok(done)
    }
}

impl Done {
    fn of(told: String, output: Output) -> Done {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Done { told, code: output.status.code(), bytes: output.stdout, stdout, stderr }
    }

    /// The single line of stdout.
    pub(crate) fn line(&self) -> Result<&str> {
        let mut lines = self.stdout.lines();
        match (lines.next(), lines.next()) {
            (Some(line), None) if !line.is_empty() => Ok(line),
            _ => bail!("{}", self.report("expected one line on stdout")),
        }
    }

    /// Fails unless stderr contains each of `words`, in any case.
    pub(crate) fn says(&self, words: &[&str]) -> Result<()> {
        let heard = self.stderr.to_lowercase();
        for word in words {
            ensure!(heard.contains(&word.to_lowercase()), "{}", self.report(&format!("stderr does not say `{word}`")));
        }
        Ok(())
    }

    /// An error text: `what` went wrong, with the command and its outputs.
    pub(crate) fn report(&self, what: &str) -> String {
        let status = self.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        let indent = |text: &str| text.lines().map(|line| format!("\n      | {line}")).collect::<String>();
        let (stdout, stderr) = (indent(&self.stdout), indent(&self.stderr));
        format!("{what}\n    command: {}\n    ended: {status}\n    stdout:{stdout}\n    stderr:{stderr}", self.told)
    }
}

/// Waits until the condition is true. It fails after a time limit, so that a hang is a failure.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    const PAUSES: u32 = 120_000;
    for _ in 0..PAUSES {
        if is_so()? {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    bail!("it never came to this: {what}")
}

/// Quotes a word for sh(1) if it has to be.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn what_is_set_wins_over_what_is_kept_from_the_child() {
        let echo = command(["sh", "-c", "echo ${SOURCE_DATE_EPOCH-unset} ${CARGO_MANIFEST_DIR-unset}"]);
        let done = echo.env("SOURCE_DATE_EPOCH", "1").env("SOURCE_DATE_EPOCH", "2").run().expect("sh runs");
        assert_eq!(done.stdout, "2 unset\n");
    }

    #[test]
    fn a_failure_must_have_the_expected_code_and_words() {
        let exit = |script: &str| command(["sh", "-c", script]).fail(&[1, 2]);
        assert!(exit("echo why >&2; exit 2").is_ok());
        assert!(exit("echo why >&2; exit 0").is_err());
        assert!(exit("echo why >&2; exit 101").is_err());
        assert!(exit("exit 1").is_err());
        assert!(
            exit("echo Why >&2; exit 1").is_ok_and(|done| done.says(&["why"]).is_ok() && done.says(&["how"]).is_err())
        );
    }
}
