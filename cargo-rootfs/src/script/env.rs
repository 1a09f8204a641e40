//! `#!/usr/bin/env`: the program that env(1) runs, from its options, assignments and the quoting of `-S`.
//!
//! The rules are those of GNU's env (src/env.c of coreutils, and "env invocation" in its manual).

/// The program that env runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// A name, or a path.
    pub(crate) name: Vec<u8>,
    /// The PATH that env sets for it.
    pub(crate) path: Option<Vec<u8>>,
}

/// Options that take the next word if their own word has no value.
const WITH_VALUE: [&[u8]; 6] = [b"-u", b"--unset", b"-C", b"--chdir", b"-a", b"--argv0"];

/// The program that env runs with the single argument `argument`, as in the first line of a script.
///
/// # Errors
///
/// The reason why the program cannot be determined, in words.
pub(crate) fn program_of_env(argument: Option<&[u8]>) -> Result<Program, String> {
    let mut words: Vec<Vec<u8>> = argument.iter().map(|word| word.to_vec()).collect();
    words.reverse();
    let (mut path, mut is_over) = (None, false);
    while let Some(word) = words.pop() {
        if let Some(text) = split_string(&word).filter(|_| !is_over) {
            // A single `-S` takes the next word.
            let text = if text.is_empty() { words.pop().unwrap_or_default() } else { text };
            words.extend(split(&text)?.into_iter().rev());
            continue;
        }
        match &word[..] {
            b"--" if !is_over => is_over = true,
            b"-" if !is_over => {}
            option if WITH_VALUE.contains(&option) && !is_over => drop(words.pop()),
            option if option.starts_with(b"-") && !is_over => {
                if option.contains(&b' ') {
                    let text = String::from_utf8_lossy(option);
                    return Err(format!("env gets `{text}` as one argument; `env -S` takes it apart"));
                }
            }
            assignment if assignment.contains(&b'=') => {
                is_over = true;
                if let Some(value) = assignment.strip_prefix(b"PATH=") {
                    path = Some(value.to_vec());
                }
            }
            name if name.contains(&b' ') => {
                let text = String::from_utf8_lossy(name);
                return Err(format!(
                    "env looks for a program called `{text}`, with its blanks; `env -S` takes it apart"
                ));
            }
            name => return Ok(Program { name: name.to_vec(), path }),
        }
    }
    Err("env is given no program".to_owned())
}

/// The text that `-S` or `--split-string` splits, also after other short options, as in `-vS`.
fn split_string(word: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = word.strip_prefix(b"--split-string") {
        return match rest {
            [] => Some(Vec::new()),
            [b'=', text @ ..] => Some(text.to_vec()),
            _ => None,
        };
    }
    let short = word.strip_prefix(b"-").filter(|short| !short.starts_with(b"-"))?;
    let at = short.iter().position(|byte| !matches!(byte, b'i' | b'v' | b'0'))?;
    (short[at] == b'S').then(|| short[at + 1..].to_vec())
}

/// Splits a text by the rules of `-S`.
fn split(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let (mut single, mut double) = (false, false);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' if !double => {
                single = !single;
                word.get_or_insert_default();
            }
            b'"' if !single => {
                double = !double;
                word.get_or_insert_default();
            }
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' if !single && !double => words.extend(word.take()),
            b'#' if word.is_none() && !single && !double => break,
            b'\\' if single && !matches!(bytes.peek(), Some(b'\\' | b'\'')) => word.get_or_insert_default().push(byte),
            b'\\' => {
                let escaped = match bytes.next().ok_or("it ends in a backslash")? {
                    b'c' if double => return Err("`\\c` has no meaning in double quotes".to_owned()),
                    b'c' => break,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    b'_' if double => b' ',
                    b'_' => {
                        words.extend(word.take());
                        continue;
                    }
                    other @ (b'#' | b'$' | b'"' | b'\'' | b'\\') => other,
                    other => return Err(format!("env knows no `\\{}`", char::from(other))),
                };
                word.get_or_insert_default().push(escaped);
            }
            b'$' if !single => {
                let name: Vec<u8> = bytes.by_ref().take_while(|byte| *byte != b'}').collect();
                let name = String::from_utf8_lossy(&name).trim_start_matches('{').to_owned();
                return Err(format!("what env runs depends on the environment (${{{name}}})"));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    if single || double {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(argument: &str) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match program_of_env(Some(argument.as_bytes())) {
            Ok(Program { name, path: None }) => text(&name),
            Ok(Program { name, path: Some(path) }) => format!("{} in {}", text(&name), text(&path)),
            Err(why) => format!("! {why}"),
        }
    }

    #[test]
    fn what_env_runs() {
        for (argument, expected) in [
            ("python3", "python3"),
            ("/usr/bin/python3", "/usr/bin/python3"),
            ("-S python3 -u", "python3"),
            ("-Spython3 -u", "python3"),
            ("-vS python3", "python3"),
            ("-iS -u HOME python3", "python3"),
            ("--split-string=python3 -u", "python3"),
            ("-S -i A=b C='d e' perl -w", "perl"),
            ("-S PATH=/opt/bin:/bin tool", "tool in /opt/bin:/bin"),
            ("-S --unset=A -C /tmp --argv0=x -- A=b tool", "tool"),
            ("-S \"a b\" x", "! env looks for a program called `a b`, with its blanks; `env -S` takes it apart"),
            (r"-S py\_x", "py"),
            (r"-S 'it\'s'", "it's"),
            (r#"-S "p\x71""#, r"! env knows no `\x`"),
            ("-S # python3", "! env is given no program"),
            ("-S ${HOME}/x", "! what env runs depends on the environment (${HOME})"),
            ("-S 'x", "! a quote is not closed"),
            (r"-S x\", "! it ends in a backslash"),
            (r"-S x\c y", "x"),
            ("-i", "! env is given no program"),
            ("A=b", "! env is given no program"),
            ("python3 -u", "! env looks for a program called `python3 -u`, with its blanks; `env -S` takes it apart"),
            ("-i python3", "! env gets `-i python3` as one argument; `env -S` takes it apart"),
        ] {
            assert_eq!(said(argument), expected, "{argument}");
        }
        assert_eq!(program_of_env(None).unwrap_err(), "env is given no program");
    }
}
