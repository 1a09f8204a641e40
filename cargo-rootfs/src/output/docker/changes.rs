//! An image's configuration as the `--change` instructions of `docker import`.
//!
//! They are lines of a Dockerfile, with its quoting and its variables. An image whose configuration they cannot express
//! exactly is loaded instead.

use crate::image::ImageConfig;

/// The instructions for `config`; `None` if one cannot be expressed.
pub(super) fn changes(config: &ImageConfig) -> Option<Vec<String>> {
    let mut changes = Vec::new();
    for (instruction, arguments) in [("ENTRYPOINT", &config.entrypoint), ("CMD", &config.cmd)] {
        if !arguments.is_empty() {
            // A JSON array has no quotes to remove and no variables.
            changes.push(format!("{instruction} {}", serde_json::json!(arguments)));
        }
    }
    for (name, value) in &config.env {
        changes.push(format!("ENV {}={}", plain(name)?, quoted(value)?));
    }
    for (name, value) in &config.labels {
        changes.push(format!("LABEL {}={}", plain(name)?, quoted(value)?));
    }
    if let Some(user) = &config.user {
        changes.push(format!("USER {}", plain(user)?));
    }
    if let Some(workdir) = &config.workdir {
        changes.push(format!("WORKDIR {}", quoted(workdir)?));
    }
    for port in &config.ports {
        changes.push(format!("EXPOSE {}", plain(port)?));
    }
    for volume in &config.volumes {
        changes.push(format!("VOLUME {}", serde_json::json!([volume])));
    }
    // `docker import` does not accept STOPSIGNAL.
    config.stop_signal.is_none().then_some(changes)
}

/// The word, if it needs no quotes.
fn plain(word: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte);
    (!word.is_empty() && word.bytes().all(is_plain)).then_some(word)
}

/// A value in double quotes. A backslash escapes `"`, `$` and `\`. A newline ends the instruction even inside quotes.
fn quoted(value: &str) -> Option<String> {
    if value.chars().any(char::is_control) {
        return None;
    }
    let mut quoted = String::from('"');
    for letter in value.chars() {
        if matches!(letter, '"' | '$' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    #[test]
    fn each_setting_is_one_instruction() {
        let mut config = ImageConfig::new(&Target::host()).unwrap();
        config.env.clear();
        assert_eq!(changes(&config).unwrap(), [""; 0]);
        config.entrypoint = vec!["/a b".to_owned(), "\"$x\"\n".to_owned()];
        config.cmd = vec!["x".to_owned()];
        config.add_env("A=x \"$B\" \\").unwrap();
        config.add_label("org.x/y=").unwrap();
        config.user = Some("1:2".to_owned());
        config.workdir = Some("/srv/a b".to_owned());
        config.add_port("53/udp").unwrap();
        config.volumes.insert("/srv/$x".to_owned());
        assert_eq!(
            changes(&config).unwrap(),
            [
                r#"ENTRYPOINT ["/a b","\"$x\"\n"]"#,
                r#"CMD ["x"]"#,
                r#"ENV A="x \"\$B\" \\""#,
                r#"LABEL org.x/y="""#,
                "USER 1:2",
                r#"WORKDIR "/srv/a b""#,
                "EXPOSE 53/udp",
                r#"VOLUME ["/srv/$x"]"#,
            ]
        );
    }

    #[test]
    fn what_a_line_cannot_hold_is_not_said() {
        let config = ImageConfig::new(&Target::host()).unwrap();
        for text in ["A=two\nlines", "A=\x1b[0m", "A B=x", "A$=x"] {
            let mut env = config.clone();
            env.add_env(text).unwrap();
            assert_eq!(changes(&env), None, "{text:?}");
            let mut label = config.clone();
            label.add_label(text).unwrap();
            assert_eq!(changes(&label), None, "{text:?}");
        }
        assert_eq!(changes(&ImageConfig { user: Some("$x".to_owned()), ..config.clone() }), None);
        assert_eq!(changes(&ImageConfig { stop_signal: Some("SIGINT".to_owned()), ..config.clone() }), None);
        assert_eq!(changes(&ImageConfig { workdir: Some("/a\nb".to_owned()), ..config }), None);
    }
}
