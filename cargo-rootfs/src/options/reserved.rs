//! Reserved names of later versions: reported as not supported yet, and not as typing errors.
//!
//! Help and completion do not show them.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Flags of later versions, without dashes.
const FLAGS: &[&str] = &["cpio", "squashfs"];

/// Returns whether a later version will have the flag, and so the configuration key, of this name.
pub(crate) fn is_flag(name: &str) -> bool {
    FLAGS.contains(&name)
}

/// Replaces "unexpected argument" by "not supported yet" for a reserved flag.
pub(crate) fn explain(command: &mut clap::Command, error: clap::Error) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let refused = match error.kind() {
        ErrorKind::UnknownArgument => text(ContextKind::InvalidArg)
            .and_then(|argument| argument.strip_prefix("--"))
            .map(|argument| argument.split('=').next().unwrap_or(argument))
            .filter(|name| is_flag(name))
            .map(|name| format!("--{name}")),
        _ => None,
    };
    match refused {
        Some(name) => command.error(error.kind(), format!("`{name}` is not supported yet")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::options::Options;

    #[test]
    fn what_is_reserved_is_not_also_defined() {
        let command = Options::command();
        assert!(!command.get_arguments().any(|argument| argument.get_long().is_some_and(is_flag)));
    }
}
