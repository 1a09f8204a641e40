//! The files that are mapped when a file is loaded: the loader's answer, ours, and their comparison. It parses printed
//! texts, and starts no program.

use std::collections::BTreeSet;
use std::fmt;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The files that are mapped with a file, and the names that were not found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Paths without links. The loader itself is listed if the file needs any library.
    pub(super) files: BTreeSet<String>,
    /// Names that were not found.
    pub(super) missing: BTreeSet<String>,
    /// The reason why the file, or one that it needs, cannot be loaded. The other fields are then incomplete.
    pub(super) refusal: Option<String>,
}

impl Answer {
    /// Compares two answers.
    pub(super) fn agrees(&self, other: &Answer) -> bool {
        match (&self.refusal, &other.refusal) {
            (Some(_), Some(_)) => true,
            (None, None) => self.files == other.files && self.missing == other.missing,
            _ => false,
        }
    }

    /// The entries that `self` has and `other` lacks, in one line.
    pub(super) fn beyond(&self, other: &Answer) -> String {
        let files = self.files.difference(&other.files).cloned();
        let missing = self.missing.difference(&other.missing).map(|name| format!("{name} not found"));
        let refusal = self.refusal.iter().filter(|_| other.refusal.is_none()).map(|why| format!("refused: {why}"));
        let all: Vec<String> = files.chain(missing).chain(refusal).collect();
        if all.is_empty() { "nothing more".to_owned() } else { all.join(", ") }
    }

    /// Reads the text of a loader that only lists the files that it would map (ld.so(8), LD_TRACE_LOADED_OBJECTS;
    /// musl's `--list`). `real` resolves the links of a path.
    pub(super) fn of_loader(printed: &Printed, real: &dyn Fn(&str) -> String) -> Answer {
        let mut answer = Answer::default();
        for line in printed.stdout.lines().filter_map(|line| line.strip_prefix('\t')) {
            let (line, is_mapped) = match line.rsplit_once(" (0x") {
                Some((line, _)) => (line, true),
                None => (line, false),
            };
            match line.split_once(" => ") {
                Some((name, "not found")) => {
                    answer.missing.insert(name.to_owned());
                }
                Some((_, path)) => {
                    answer.files.insert(real(path));
                }
                // The kernel's vDSO, which is no file (vdso(7)).
                None if line.starts_with("linux-vdso") || line.starts_with("linux-gate") => {}
                None if is_mapped => {
                    answer.files.insert(real(line));
                }
                None => {}
            }
        }
        for line in printed.stderr.lines() {
            // musl: `Error loading shared library liba.so: No such file or directory (needed by app)`.
            let Some((name, why)) =
                line.strip_prefix("Error loading shared library ").and_then(|it| it.split_once(": "))
            else {
                continue;
            };
            if NOT_FOUND.iter().any(|error| why.starts_with(error)) {
                answer.missing.insert(name.to_owned());
            } else {
                answer.refusal = Some(line.to_owned());
            }
        }
        if !printed.success && answer.missing.is_empty() {
            answer.refusal = Some(printed.why());
        }
        answer
    }

    /// From one line of `tree --message-format json`.
    pub(super) fn of_ours(line: &str) -> Result<Answer> {
        let value: Value = serde_json::from_str(line).with_context(|| format!("parse {line}"))?;
        let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
        let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
        let mut answer = Answer { refusal: text(&value, "error"), ..Answer::default() };
        answer.files.extend(list("objects").iter().filter_map(|object| text(object, "realpath")));
        for missing in list("missing") {
            if let Some(why) = text(&missing, "error") {
                answer.refusal = Some(format!("{}: {why}", text(&missing, "path").unwrap_or_default()));
            } else {
                answer.missing.extend(text(&missing, "needed"));
            }
        }
        Ok(answer)
    }
}

/// musl's messages for a library that it cannot find or open: strerror(3) of the last error.
const NOT_FOUND: &[&str] = &[
    "No such file or directory",
    "Not a directory",
    "Symbolic link loop",
    "No such device or address",
    "No error information",
];

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.beyond(&Answer::default()))
    }
}

/// Runs it without a status line, because there are thousands. A process that exceeds the timeout counts as failed.
pub(super) fn finish(process: &duct::Expression, timeout: Duration) -> Result<Printed> {
    let process = process.stdout_capture().stderr_capture().unchecked();
    let handle = process.start().with_context(|| format!("start {process:?}"))?;
    if let Some(output) = handle.wait_timeout(timeout).with_context(|| format!("wait for {process:?}"))? {
        return Ok(Printed::of(output));
    }
    handle.kill().with_context(|| format!("end {process:?}"))?;
    Ok(Printed { stderr: format!("did not end within {} s", timeout.as_secs()), ..Printed::default() })
}

/// The output and status of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Printed {
    fn of(output: &Output) -> Printed {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Printed { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// In one line, for another process to read.
    pub(super) fn to_json(&self) -> Value {
        json!([self.success, self.stdout, self.stderr])
    }

    pub(super) fn from_json(line: &str) -> Result<Printed> {
        let (success, stdout, stderr) = serde_json::from_str(line)?;
        Ok(Printed { success, stdout, stderr })
    }

    /// The reason of its failure: its last words.
    pub(super) fn why(&self) -> String {
        let words = self.stderr.lines().chain(self.stdout.lines()).map(str::trim).find(|line| !line.is_empty());
        words.unwrap_or("failed without a word").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Printed};

    fn said(success: bool, stdout: &str, stderr: &str) -> Answer {
        let printed = Printed { success, stdout: stdout.to_owned(), stderr: stderr.to_owned() };
        Answer::of_loader(&printed, &|path| format!("/usr{path}"))
    }

    fn answer(files: &[&str], missing: &[&str]) -> Answer {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Answer { files: set(files), missing: set(missing), refusal: None }
    }

    #[test]
    fn a_trace_names_files_and_what_is_missing() {
        let trace = "\tlinux-vdso.so.1 (0x00007ffc)\n\tliba.so => /lib/liba.so (0x00007f)\n\
                     \tlibb.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            said(true, trace, ""),
            answer(&["/usr/lib/liba.so", "/usr/lib64/ld-linux-x86-64.so.2"], &["libb.so"])
        );
        assert_eq!(said(true, "\tstatically linked\n", ""), answer(&[], &[]));
    }

    #[test]
    fn musl_tells_what_is_missing_on_stderr() {
        let list = "\t/lib/ld-musl-x86_64.so.1 (0x7f)\n";
        let error = "Error loading shared library liba.so: No such file or directory (needed by /app)\n";
        assert_eq!(said(false, list, error), answer(&["/usr/lib/ld-musl-x86_64.so.1"], &["liba.so"]));
        let bad = "Error loading shared library liba.so: Exec format error (needed by /app)\n";
        assert!(said(false, list, bad).refusal.is_some());
    }

    #[test]
    fn what_was_printed_is_one_line_between_processes() {
        let printed = Printed { success: true, stdout: "a\n\"b\"\n".to_owned(), stderr: "\t\u{7f}".to_owned() };
        let line = printed.to_json().to_string();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(Printed::from_json(&line).unwrap(), printed);
    }

    #[test]
    fn a_loader_that_gives_up_has_refused() {
        let refused = said(false, "", "app: error while loading shared libraries: liba.so: invalid ELF header\n");
        assert!(refused.agrees(&Answer { refusal: Some("not ELF".to_owned()), ..Answer::default() }));
        assert!(!refused.agrees(&answer(&[], &[])));
    }

    #[test]
    fn ours_is_the_contract_of_the_json() {
        let line = r#"{"reason":"closure","file":"app","interpreter":"/lib/ld","objects":[{"needed":"liba.so",
            "path":"/lib/liba.so","realpath":"/usr/lib/liba.so","found_by":"default"}],
            "missing":[{"needed":"libb.so","needed_by":"/app"}]}"#;
        assert_eq!(Answer::of_ours(line).unwrap(), answer(&["/usr/lib/liba.so"], &["libb.so"]));
        let bad = r#"{"objects":[],"missing":[{"needed":"libb.so","path":"/b","error":"invalid ELF header"}]}"#;
        assert!(Answer::of_ours(bad).unwrap().refusal.is_some());
        assert!(Answer::of_ours("{").is_err());
    }
}
