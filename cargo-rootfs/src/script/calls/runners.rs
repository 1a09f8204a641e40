//! Programs that run another program, and its position in their command line.

use std::sync::LazyLock;

use crate::rows::{self, Fields, Value};
use crate::script::data::DATA;

/// A program that runs another one.
pub(super) struct Runner {
    row: &'static Row,
    /// The number of arguments that still precede the command.
    left: usize,
    /// True if the next word is the value of an option.
    is_value: bool,
    /// True if the next word is a script.
    is_text: bool,
}

/// The meaning of a word for a runner.
pub(super) enum Next {
    /// An option, its value, or another argument.
    Argument,
    /// The command.
    Command,
    /// The text of a script.
    Text,
    /// A file that a shell reads.
    File,
}

/// The command line syntax of a runner.
struct Row {
    names: Vec<String>,
    /// Options that take the next word as their value.
    with_value: Vec<String>,
    /// The number of arguments before the command.
    arguments: usize,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Command,
    /// A command, or a text after `-c`.
    CommandOrText,
    /// A built-in command of the shell, which finds other built-in commands.
    BuiltIn,
    /// A shell: a file, or a text after `-c`.
    Shell,
    /// A user's shell: only a text after `-c`.
    Text,
    /// `.` and `source`.
    Source,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let Some(Value::List(rows)) = rows::value(&DATA, "runner") else { return Vec::new() };
    rows.iter()
        .filter_map(|row| if let Value::Table(fields) = &row.value { Some(Row::read(fields)) } else { None })
        .collect()
});

impl Row {
    fn read(fields: &Fields) -> Self {
        let texts = |key| rows::value(fields, key).map(|_| rows::list(fields, key).map(str::to_owned).collect());
        let kind = match rows::value(fields, "kind") {
            Some(Value::Text(kind)) => match kind.as_str() {
                "command-or-text" => Kind::CommandOrText,
                "built-in" => Kind::BuiltIn,
                "shell" => Kind::Shell,
                "text" => Kind::Text,
                "source" => Kind::Source,
                _ => unreachable!("embedded data has no such kind"),
            },
            _ => Kind::Command,
        };
        let list = |key| texts(key).unwrap_or_default();
        let before: Vec<String> = list("before");
        Self { names: list("names"), with_value: list("with-value"), arguments: before.len(), kind }
    }
}

impl Runner {
    /// The runner of this name, if it is one.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let row = ROWS.iter().find(|row| row.names.iter().any(|known| known.as_bytes() == name))?;
        Some(Self { row, left: row.arguments, is_value: false, is_text: false })
    }

    /// Returns whether it starts the command as a program, although the shell has a built-in command of that name.
    pub(super) fn starts_program(&self) -> bool {
        matches!(self.row.kind, Kind::Command | Kind::CommandOrText)
    }

    /// Handles the next word of its command line; `None` is a computed word.
    pub(super) fn take(&mut self, word: Option<&[u8]>, is_assignment: bool) -> Next {
        if std::mem::take(&mut self.is_value) {
            return Next::Argument;
        }
        if self.is_text {
            return Next::Text;
        }
        if self.row.kind == Kind::Source {
            return Next::File;
        }
        match word {
            Some(option @ [b'-' | b'+', _, ..]) => {
                let is_short = option.get(1) != Some(&b'-');
                let is_shell = matches!(self.row.kind, Kind::Shell | Kind::Text);
                self.is_text = is_shell && option[0] == b'-' && is_short && option.contains(&b'c');
                let has_text = !matches!(self.row.kind, Kind::Command | Kind::BuiltIn);
                self.is_text |= matches!(option, b"--command" | b"-c") && has_text;
                self.is_value = !self.is_text && self.row.with_value.iter().any(|known| known.as_bytes() == option);
                Next::Argument
            }
            Some(b"-") => Next::Argument,
            _ if is_assignment => Next::Argument,
            _ if self.left > 0 => {
                self.left -= 1;
                Next::Argument
            }
            _ if self.row.kind == Kind::Text => Next::Argument,
            _ if self.row.kind == Kind::Shell => Next::File,
            _ => Next::Command,
        }
    }
}
