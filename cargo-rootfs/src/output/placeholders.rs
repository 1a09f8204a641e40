//! Placeholders in the names of outputs.

use crate::error::{Error, Result};

/// The values of the placeholders.
#[derive(Debug)]
pub(crate) struct Placeholders<'n> {
    pub(crate) package: Option<&'n str>,
    pub(crate) version: Option<&'n str>,
    pub(crate) triple: &'n str,
    pub(crate) arch: &'n str,
}

impl Placeholders<'_> {
    /// Replaces `{package}`, `{version}`, `{triple}` and `{arch}` by their values.
    pub(crate) fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::usage(format!("the `{{` in `{template}` is not closed")));
            };
            let value = match name {
                "package" => self.package,
                "version" => self.version,
                "triple" => Some(self.triple),
                "arch" => Some(self.arch),
                _ => {
                    return Err(Error::usage(format!("`{{{name}}}` in `{template}` is not known"))
                        .help("a name may hold {package}, {version}, {triple} and {arch}"));
                }
            };
            let value = value.ok_or_else(|| {
                Error::usage(format!("`{{{name}}}` in `{template}` has no value here: no package is built"))
            })?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}
