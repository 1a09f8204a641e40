//! The configuration of an image, as data and as JSON.
//!
//! It is the `config` of the OCI image specification (config.md), which Docker's own archives use too. It calls no
//! engine and reads no file.

pub(crate) mod manifest;
pub(crate) mod name;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
pub(crate) use crate::path::DEFAULT_PATH;
use crate::target::Target;

/// The settings of an image: its command, and facts about it.
///
/// ```
/// use cargo_rootfs::image::ImageConfig;
/// use cargo_rootfs::target::Target;
/// let mut config = ImageConfig::new(&Target::parse("aarch64-unknown-linux-gnu")?)?;
/// config.entrypoint = vec!["/usr/local/bin/app".to_owned()];
/// config.add_env("RUST_LOG=info")?;
/// config.add_port("8080")?;
/// assert_eq!(config.platform(), "linux/arm64");
/// # Ok::<(), cargo_rootfs::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// The architecture in the spelling of GOARCH, such as `arm64`.
    pub architecture: String,
    /// The variant of the architecture, such as `v7` of `arm`.
    pub variant: Option<String>,
    /// The program and its first arguments; empty for none.
    pub entrypoint: Vec<String>,
    /// Arguments that `docker run` can replace; without an entrypoint, the program too.
    pub cmd: Vec<String>,
    /// The environment by its names. It starts with the PATH of a root login.
    pub env: BTreeMap<String, String>,
    /// `USER[:GROUP]`, by name or number.
    pub user: Option<String>,
    /// The current directory, absolute.
    pub workdir: Option<String>,
    /// Labels by their names.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest and of the index, by their names.
    pub annotations: BTreeMap<String, String>,
    /// Directories for data that outlives a container, absolute.
    pub volumes: BTreeSet<String>,
    /// The signal that ends the program, such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// The exposed ports, such as `8080/tcp`; see [`add_port`](Self::add_port).
    pub ports: BTreeSet<String>,
    /// The creation time in seconds since 1970: SOURCE_DATE_EPOCH, or 0.
    pub created: i64,
}

impl ImageConfig {
    /// The configuration of an image for `target`, which sets only PATH.
    pub fn new(target: &Target) -> Result<Self> {
        let (architecture, variant) = target
            .machine()
            .platform()
            .ok_or_else(|| Error::failed(format!("no image can be made for `{}`", target.triple())))?;
        Ok(Self {
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]),
            user: None,
            workdir: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            volumes: BTreeSet::new(),
            stop_signal: None,
            ports: BTreeSet::new(),
            created: 0,
        })
    }

    /// Sets `NAME=VALUE`; replaces an earlier value.
    pub fn add_env(&mut self, text: &str) -> Result<()> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
                self.env.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
            _ => Err(Error::usage(format!("`{text}` is not an environment variable")).help("write it as NAME=VALUE")),
        }
    }

    /// Sets `NAME=VALUE`, or `NAME` with an empty value; replaces an earlier value.
    pub fn add_label(&mut self, text: &str) -> Result<()> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(Error::usage(format!("`{text}` is not a label")).help("write it as NAME=VALUE"));
        }
        self.labels.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Adds `PORT[-PORT][/tcp|/udp|/sctp]`, in the syntax of a Dockerfile's EXPOSE.
    pub fn add_port(&mut self, text: &str) -> Result<()> {
        let refused = || {
            Error::usage(format!("`{text}` is not a port to expose"))
                .help("write it as PORT, PORT/udp or FIRST-LAST, each from 1 to 65535")
        };
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(refused);
        let (first, last) = (number(first)?, number(last)?);
        if !matches!(protocol, "tcp" | "udp" | "sctp") || first > last {
            return Err(refused());
        }
        self.ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
        Ok(())
    }

    /// Sets a signal by name or number, in the syntax of a Dockerfile's STOPSIGNAL: `SIGTERM`, `TERM`, `15`.
    pub fn set_stop_signal(&mut self, text: &str) -> Result<()> {
        let name = text.to_ascii_uppercase();
        let is_number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
        let name = if is_number || name.starts_with("SIG") { name } else { format!("SIG{name}") };
        let (base, offset) = name.split_once(['+', '-']).unwrap_or((&name, "0"));
        let is_real_time = matches!(base, "SIGRTMIN" | "SIGRTMAX") && offset.parse::<u8>().is_ok_and(|at| at <= 30);
        if !is_number && !is_real_time && !SIGNALS.contains(&&*name) {
            return Err(Error::usage(format!("`{text}` is not a signal")).help("write it as SIGTERM, or as a number"));
        }
        self.stop_signal = Some(name);
        Ok(())
    }

    /// `OS/ARCH[/VARIANT]`, the syntax of `--platform`.
    pub fn platform(&self) -> String {
        let variant = self.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("linux/{}{variant}", self.architecture)
    }

    /// The platform, as an index of the OCI image specification describes it (image-index.md).
    pub(crate) fn platform_json(&self) -> Value {
        let mut platform = json!({ "architecture": self.architecture, "os": "linux" });
        if let Some(variant) = &self.variant {
            platform["variant"] = variant.as_str().into();
        }
        platform
    }

    /// Fails for values that no image can have.
    pub fn check(&self) -> Result<()> {
        match &self.workdir {
            Some(workdir) if !workdir.starts_with('/') => {
                Err(Error::usage(format!("the image's working directory `{workdir}` is not absolute")))
            }
            _ => Ok(()),
        }
    }

    /// The JSON of an image; `diff_ids` are the digests of its uncompressed layers (`sha256:...`).
    ///
    /// The same configuration gives the same bytes.
    pub fn to_json(&self, diff_ids: &[String]) -> String {
        let created = rfc3339(self.created);
        self.json(diff_ids, json!([{ "created": created, "created_by": "cargo rootfs" }]))
    }

    /// The same with a history entry for each layer: the digest of the uncompressed layer, and its comment.
    pub(crate) fn to_json_with_history(&self, layers: &[(&str, &str)]) -> String {
        let created = rfc3339(self.created);
        let entry = |(_, comment): &(&str, &str)| json!({ "comment": comment, "created": created, "created_by": "cargo rootfs" });
        let diff_ids: Vec<String> = layers.iter().map(|(diff_id, _)| (*diff_id).to_owned()).collect();
        self.json(&diff_ids, layers.iter().map(entry).collect())
    }

    fn json(&self, diff_ids: &[String], history: Value) -> String {
        let created = rfc3339(self.created);
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| {
            if !matches!(&value, Value::Null) {
                config.insert(key.to_owned(), value);
            }
        };
        set("Cmd", list(&self.cmd));
        set("Entrypoint", list(&self.entrypoint));
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        set("Env", list(&env));
        if !self.ports.is_empty() {
            set("ExposedPorts", self.ports.iter().map(|port| (port.clone(), json!({}))).collect::<Map<_, _>>().into());
        }
        if !self.labels.is_empty() {
            set("Labels", json!(self.labels));
        }
        set("StopSignal", json!(self.stop_signal));
        set("User", json!(self.user));
        if !self.volumes.is_empty() {
            set("Volumes", self.volumes.iter().map(|path| (path.clone(), json!({}))).collect::<Map<_, _>>().into());
        }
        set("WorkingDir", json!(self.workdir));

        let mut image = Map::new();
        image.insert("architecture".to_owned(), json!(self.architecture));
        image.insert("config".to_owned(), config.into());
        image.insert("created".to_owned(), json!(created));
        image.insert("history".to_owned(), history);
        image.insert("os".to_owned(), json!("linux"));
        image.insert("rootfs".to_owned(), json!({ "diff_ids": diff_ids, "type": "layers" }));
        if let Some(variant) = &self.variant {
            image.insert("variant".to_owned(), json!(variant));
        }
        Value::from(image).to_string()
    }
}

/// Names of signals that engines accept (signal(7)).
const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

fn list(items: &[String]) -> Value {
    if items.is_empty() { Value::Null } else { json!(items) }
}

/// The seconds since 1970 in the format of RFC 3339, in UTC.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March, in eras of 400 years: "chrono-Compatible Low-Level Date Algorithms", H. Hinnant.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let (month, day) = (if march < 10 { march + 3 } else { march - 9 }, day - (153 * march + 2) / 5 + 1);
    let year = era * 400 + year + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(triple: &str) -> ImageConfig {
        ImageConfig::new(&Target::parse(triple).unwrap()).unwrap()
    }

    #[test]
    fn times_are_those_of_date() {
        // The expected values are those of `date -u -d @N +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn json_has_only_what_was_said() {
        let mut image = config("armv7-unknown-linux-gnueabihf");
        image.env.clear();
        assert_eq!(
            image.to_json(&["sha256:0".to_owned()]),
            concat!(
                r#"{"architecture":"arm","config":{},"created":"1970-01-01T00:00:00Z","#,
                r#""history":[{"created":"1970-01-01T00:00:00Z","created_by":"cargo rootfs"}],"#,
                r#""os":"linux","rootfs":{"diff_ids":["sha256:0"],"type":"layers"},"variant":"v7"}"#
            )
        );
    }

    #[test]
    fn json_has_everything() {
        let mut image = config("x86_64-unknown-linux-gnu");
        image.entrypoint = vec!["/app".to_owned()];
        image.cmd = vec!["--a \"b\"".to_owned()];
        image.add_env("A=x=y\n").unwrap();
        image.add_label("org.x=1").unwrap();
        image.add_port("80").unwrap();
        image.add_port("53-54/udp").unwrap();
        image.user = Some("65532:65532".to_owned());
        image.workdir = Some("/srv".to_owned());
        image.volumes.insert("/data".to_owned());
        image.set_stop_signal("int").unwrap();
        let json: Value = serde_json::from_str(&image.to_json(&[])).unwrap();
        assert_eq!(
            json["config"],
            json!({
                "Cmd": ["--a \"b\""],
                "Entrypoint": ["/app"],
                "Env": ["A=x=y\n", format!("PATH={DEFAULT_PATH}")],
                "ExposedPorts": { "53/udp": {}, "54/udp": {}, "80/tcp": {} },
                "Labels": { "org.x": "1" },
                "StopSignal": "SIGINT",
                "User": "65532:65532",
                "Volumes": { "/data": {} },
                "WorkingDir": "/srv",
            })
        );
    }

    #[test]
    fn what_no_image_can_have_is_a_usage_error() {
        let mut image = config("x86_64-unknown-linux-gnu");
        for text in ["A", "=b", "", "A=\0"] {
            assert_eq!(image.add_env(text).unwrap_err().exit_code(), 2, "{text:?}");
        }
        for text in ["", "0", "65536", "80/http", "80/", "9-8", "a", "-", "80-"] {
            assert_eq!(image.add_port(text).unwrap_err().exit_code(), 2, "{text:?}");
        }
        assert_eq!(image.add_label("=x").unwrap_err().exit_code(), 2);
        for text in ["", "SIG", "FOO", "0", "65", "SIGRTMIN+31", "-1"] {
            assert_eq!(image.set_stop_signal(text).unwrap_err().exit_code(), 2, "{text:?}");
        }
        for (text, name) in [("15", "15"), ("rtmin+3", "SIGRTMIN+3"), ("SIGQUIT", "SIGQUIT"), ("SIGRTMAX", "SIGRTMAX")]
        {
            image.set_stop_signal(text).unwrap();
            assert_eq!(image.stop_signal.as_deref(), Some(name));
        }
        image.workdir = Some("srv".to_owned());
        assert_eq!(image.check().unwrap_err().exit_code(), 2);
    }
}
