//! The time stamp of all written files: SOURCE_DATE_EPOCH, parsed and checked only here.

use std::ffi::OsStr;

use crate::error::{Error, Result};

/// The modification time of files and creation time of images: SOURCE_DATE_EPOCH, or 0
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(i64);

impl Epoch {
    /// The last second that fits the eleven octal digits of a tar header (tar(5)).
    const LAST: Self = Self(0o77_777_777_777);

    /// The value of SOURCE_DATE_EPOCH in the environment of this process.
    pub(crate) fn from_environment() -> Result<Self> {
        Self::parse(std::env::var_os("SOURCE_DATE_EPOCH").as_deref())
    }

    /// Parses the value of the variable; an unset or empty one is 0.
    fn parse(variable: Option<&OsStr>) -> Result<Self> {
        let Some(value) = variable.filter(|value| !value.is_empty()) else { return Ok(Self::default()) };
        let text = value.to_string_lossy();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse().map(Self) {
            Ok(epoch) if digits && epoch <= Self::LAST => Ok(epoch),
            _ => Err(Error::usage(format!("SOURCE_DATE_EPOCH is `{text}`, which is not a time in seconds since 1970"))
                .help("export SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)")),
        }
    }

    /// The seconds since 1970.
    pub(crate) fn seconds(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_a_number_of_seconds() {
        for (text, epoch) in
            [("", Epoch(0)), ("0", Epoch(0)), ("1700000000", Epoch(1_700_000_000)), ("8589934591", Epoch::LAST)]
        {
            assert_eq!(Epoch::parse(Some(OsStr::new(text))).unwrap(), epoch, "{text}");
        }
        assert_eq!(Epoch::parse(None).unwrap(), Epoch::default());
        for text in ["x", "-1", "+1", "1.5", " 1", "8589934592", "99999999999999999999"] {
            assert_eq!(Epoch::parse(Some(OsStr::new(text))).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
