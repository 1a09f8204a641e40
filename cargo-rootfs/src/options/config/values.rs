//! Values of keys: from JSON to texts, lists, paths and words.

use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use serde_json::Value;

use super::read::Reader;
use crate::error::{Error, Result};
use crate::layers::Layered;
use crate::layout::{Include, Variants};
use crate::options::build::SelectionArgs;
use crate::options::values::{BuildWith, Pair, SbomArg, parse_folder, parse_include, parse_pair, parse_sbom};
use crate::output::Engine;
use crate::path::RootfsPath;
use crate::resolve::Priority;
use crate::runtime::Runtime;
use crate::write::compress::Compression;

impl Reader<'_> {
    /// A path relative to this manifest.
    pub(in crate::options) fn joined(&self, path: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        let folder = self.manifest.path.parent().unwrap_or(Utf8Path::new("/"));
        // `components` drops each `.`.
        folder.join(path).components().collect()
    }

    /// A value with a slash is a path, others are names (`web`, `auto`).
    pub(in crate::options) fn path_or_word(&self, key: &str, value: &Value) -> Result<String> {
        let text = self.text(key, value)?;
        Ok(if text.contains('/') { self.joined(text).into() } else { text })
    }

    /// Files and directories to pack.
    pub(in crate::options) fn includes(&self, key: &str, value: &Value) -> Result<Vec<Include>> {
        let below = |include: Include| Include { source: self.joined(&include.source), ..include };
        Ok(self.each(key, self.lines(key, value)?, parse_include)?.into_iter().map(below).collect())
    }

    /// Directories in a list with colons.
    pub(in crate::options) fn library_path(&self, key: &str, value: &Value) -> Result<Vec<String>> {
        // A path that begins with a token is not relative to the manifest.
        let folder = |text: String| if text.starts_with('$') { text } else { self.joined(text).into() };
        Ok(self.split(key, value, ':')?.into_iter().map(folder).collect())
    }

    /// Directories inside an image.
    pub(in crate::options) fn folders(&self, key: &str, value: &Value) -> Result<Vec<RootfsPath>> {
        self.each(key, self.lines(key, value)?, parse_folder)
    }

    /// Bills of materials, and their files.
    pub(in crate::options) fn sboms(&self, key: &str, value: &Value) -> Result<Vec<SbomArg>> {
        let joined = |file: String| if file == "-" { file } else { self.joined(file).into() };
        let placed = |sbom: SbomArg| SbomArg { file: sbom.file.map(joined), ..sbom };
        Ok(self.each(key, self.lines(key, value)?, parse_sbom)?.into_iter().map(placed).collect())
    }

    /// A non-empty string.
    pub(in crate::options) fn text(&self, key: &str, value: &Value) -> Result<String> {
        match value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            Value::String(_) => Err(Error::usage(format!("`{}.{key}` in `{}` is empty", self.at, self.manifest.path))),
            _ => Err(self.wrong_type(key, value, "a string")),
        }
    }

    pub(in crate::options) fn flag(&self, key: &str, value: &Value) -> Result<bool> {
        value.as_bool().ok_or_else(|| self.wrong_type(key, value, "true or false"))
    }

    /// The executables of a key for the choice of executables.
    pub(in crate::options) fn executables(&self, key: &str, value: &Value) -> Result<SelectionArgs> {
        let mut chosen = SelectionArgs::default();
        match key {
            "bins" => chosen.bins = self.flag(key, value)?,
            "bin" => chosen.bin = self.list(key, value)?,
            _ => chosen.example = self.list(key, value)?,
        }
        Ok(chosen)
    }

    /// A list of strings, or one string with commas.
    pub(in crate::options) fn list(&self, key: &str, value: &Value) -> Result<Vec<String>> {
        self.split(key, value, ',')
    }

    pub(in crate::options) fn split(&self, key: &str, value: &Value, separator: char) -> Result<Vec<String>> {
        let parts = self.lines(key, value)?;
        let trimmed = parts.iter().flat_map(|part| part.split(separator)).map(str::trim);
        Ok(trimmed.filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// A list of strings, or one string verbatim.
    pub(in crate::options) fn lines(&self, key: &str, value: &Value) -> Result<Vec<String>> {
        let wrong = || self.wrong_type(key, value, "a string or a list of strings");
        match value {
            Value::String(text) => Ok(vec![text.clone()]),
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            _ => Err(wrong()),
        }
    }

    /// Ports may also be numbers.
    pub(in crate::options) fn ports(&self, key: &str, value: &Value) -> Result<Vec<String>> {
        let text = |item: &Value| if item.is_u64() { Value::String(item.to_string()) } else { item.clone() };
        match value {
            Value::Array(items) => self.list(key, &Value::Array(items.iter().map(text).collect())),
            _ => self.list(key, &text(value)),
        }
    }

    /// `NAME=VALUE` strings, or a table of strings.
    pub(in crate::options) fn pairs(&self, key: &str, value: &Value) -> Result<Vec<Pair>> {
        let Value::Object(table) = value else {
            return self.each(key, self.lines(key, value)?, parse_pair);
        };
        let pair = |(name, value): (&String, &Value)| match value {
            Value::String(value) => Ok(Pair { name: name.clone(), value: value.clone() }),
            _ => Err(self.wrong_type(&format!("{key}.{name}"), value, "a string")),
        };
        table.iter().map(pair).collect()
    }

    pub(in crate::options) fn each<T>(
        &self,
        key: &str,
        texts: Vec<String>,
        parse: fn(&str) -> Result<T>,
    ) -> Result<Vec<T>> {
        texts.iter().map(|text| self.parsed(key, text, parse)).collect()
    }

    pub(in crate::options) fn parsed<T>(&self, key: &str, text: &str, parse: fn(&str) -> Result<T>) -> Result<T> {
        parse(text).map_err(|error| {
            Error::usage(format!("`{}.{key}` in `{}`: {}", self.at, self.manifest.path, error.message()))
        })
    }

    pub(in crate::options) fn wrong_value(&self, error: Error) -> Error {
        let message = format!("`{}` in `{}`: {}", self.at, self.manifest.path, error.message());
        error.details().iter().fold(Error::usage(message), |error, line| error.detail(line.clone()))
    }

    pub(in crate::options) fn wrong_type(&self, key: &str, value: &Value, wanted: &str) -> Error {
        let (at, path) = (&self.at, &self.manifest.path);
        Error::usage(format!("`{at}.{key}` in `{path}` is {}, and must be {wanted}", type_name(value)))
    }
}

/// Reads a string by `parse`.
pub(in crate::options) fn word<T>(parse: fn(&str) -> Result<T>) -> impl Fn(&Reader<'_>, &str, &Value) -> Result<T> {
    move |reader, key, value| reader.parsed(key, &reader.text(key, value)?, parse)
}

pub(in crate::options) fn parse_engine(text: &str) -> Result<Engine> {
    Engine::from_str(text, false).map_err(|_| Error::usage(format!("`{text}` is not an engine: docker or podman")))
}

pub(in crate::options) fn parse_compression(text: &str) -> Result<Compression> {
    Compression::from_str(text, false)
        .map_err(|_| Error::usage(format!("`{text}` is not a compression: gzip, zstd or none")))
}

pub(in crate::options) fn parse_layers(text: &str) -> Result<Layered> {
    Layered::from_str(text, false).map_err(|_| Error::usage(format!("`{text}` is neither `split` nor `single`")))
}

pub(in crate::options) fn parse_priority(text: &str) -> Result<Priority> {
    Priority::parse(text)
        .ok_or_else(|| Error::usage(format!("`{text}` is not a priority: required, recommended or suggested")))
}

pub(in crate::options) fn parse_runtime(text: &str) -> Result<Runtime> {
    Runtime::parse(text)
        .ok_or_else(|| Error::usage(format!("`{text}` is none of `auto`, `rules`, `packages` and `none`")))
}

/// Parses one of the words of a type.
pub(in crate::options) fn parse_word<T: ValueEnum>(text: &str) -> Result<T> {
    T::from_str(text, false).map_err(|_| {
        let all = T::value_variants().iter().filter_map(|it| Some(format!("`{}`", it.to_possible_value()?.get_name())));
        Error::usage(format!("`{text}` is none of {}", all.collect::<Vec<_>>().join(", ")))
    })
}

pub(in crate::options) fn parse_variants(text: &str) -> Result<Variants> {
    Variants::parse(text).ok_or_else(|| Error::usage(format!("`{text}` is neither `none` nor `all`")))
}

pub(in crate::options) fn parse_build_with(text: &str) -> Result<BuildWith> {
    let all = BuildWith::value_variants();
    let found = all.iter().copied().find(|tool| tool.as_str() == text);
    found.ok_or_else(|| Error::usage(format!("`{text}` is neither `cargo` nor `zigbuild`")))
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
