//! Names of outputs: one option and one key for each kind in [`crate::output`].

use std::collections::BTreeMap;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::output::{KINDS, Kind};

/// The names of outputs in one layer of options, by the option of their kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedOutputs(BTreeMap<&'static str, Vec<String>>);

impl NamedOutputs {
    /// Returns whether any output is named.
    pub(crate) fn any(&self) -> bool {
        self.0.values().any(|names| !names.is_empty())
    }

    /// Each name with its kind, kinds in the order of the help.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Kind, &String)> {
        KINDS.iter().copied().flat_map(|kind| self.of(kind.flag).iter().map(move |name| (kind, name)))
    }

    /// The values of one option.
    pub(crate) fn of(&self, flag: &str) -> &[String] {
        self.0.get(flag).map_or(&[], Vec::as_slice)
    }

    pub(super) fn set(&mut self, kind: &Kind, names: Vec<String>) {
        self.0.insert(kind.flag, names);
    }

    /// Appends these to `first`.
    pub(super) fn after(self, mut first: Self) -> Self {
        for (flag, names) in self.0 {
            first.0.entry(flag).or_default().extend(names);
        }
        first
    }
}

impl Args for NamedOutputs {
    fn augment_args(command: Command) -> Command {
        KINDS.iter().fold(command, |command, kind| {
            let argument = Arg::new(kind.flag)
                .long(kind.flag)
                .value_name(kind.value)
                .value_parser(NonEmptyStringValueParser::new())
                .action(ArgAction::Append)
                .help(kind.about);
            command.arg(match kind.more {
                Some(more) => argument.long_help(format!("{}\n\n{more}", kind.about)),
                None => argument,
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for NamedOutputs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut named = Self::default();
        named.update_from_arg_matches(matches)?;
        Ok(named)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for kind in KINDS {
            if let Some(names) = matches.get_many(kind.flag) {
                self.set(kind, names.cloned().collect());
            }
        }
        Ok(())
    }
}
