//! Pipelines of forges: `templates/pipelines/`, with `@word@` replaced by the project's values.

use super::facts::Facts;
use crate::host_files;
use crate::options::Forge;
use crate::wording::shell_word;

/// A placeholder for the repository of cargo rootfs, as long as it has no public one.
pub(super) const UNKNOWN_REPOSITORY: &str = "https://github.com/OWNER/cargo-rootfs";

/// The targets of a pipeline if cargo's configuration names none.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// The files of a forge's pipelines: their paths in a repository, and their templates.
fn templates(forge: Forge) -> &'static [(&'static str, &'static str)] {
    match forge {
        Forge::Github => &[
            (".github/workflows/release.yml", include_str!("../../templates/pipelines/github.yml")),
            (".github/workflows/release-native.yml", include_str!("../../templates/pipelines/github-native.yml")),
        ],
        Forge::Gitlab => &[(".gitlab-ci.yml", include_str!("../../templates/pipelines/gitlab.yml"))],
    }
}

/// The repository of cargo rootfs itself: from its package, or else from the records of `cargo install --git`.
pub(super) fn repository() -> Option<String> {
    let named = Some(env!("CARGO_PKG_REPOSITORY")).filter(|url| !url.is_empty());
    named.map(str::to_owned).or_else(|| {
        let program = std::env::current_exe().ok()?;
        recorded(&host_files::text(&program.parent()?.parent()?.join(".crates.toml")).ok()?)
    })
}

/// The URL in a line such as `"cargo-rootfs 0.1.0 (git+https://host/cargo-rootfs?tag=v0.1.0#0123)" = ["cargo-rootfs"]`.
fn recorded(crates: &str) -> Option<String> {
    let start = concat!("\"cargo-rootfs ", env!("CARGO_PKG_VERSION"), " (git+");
    let url = crates.lines().find_map(|line| line.strip_prefix(start))?.split(['?', '#', ')']).next()?;
    url.starts_with("https://").then(|| url.to_owned())
}

/// The paths of the pipelines in a repository, and their texts.
pub(super) fn files(forge: Forge, facts: &Facts) -> Vec<(&'static str, String)> {
    let configured: Vec<&str> = facts.targets.iter().map(String::as_str).collect();
    let targets = if configured.is_empty() { TARGETS.to_vec() } else { configured };
    let directory = facts.workspace_root.strip_prefix(&facts.repository).map_or("", |path| path.as_str());
    let name = &facts.packages[0];
    let words = [
        ("git", repository().unwrap_or_else(|| UNKNOWN_REPOSITORY.to_owned())),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("directory", if directory.is_empty() { ".".to_owned() } else { directory.to_owned() }),
        ("artifacts", if directory.is_empty() { "dist/".to_owned() } else { format!("{directory}/dist/") }),
        ("jq", format!(".packages[] | select(.name == \"{name}\").version")),
        ("package", if facts.packages.len() == 1 { String::new() } else { format!("--package {} ", shell_word(name)) }),
        ("libc", if targets.iter().all(|target| target.contains("musl")) { "musl" } else { "gnu" }.to_owned()),
        ("targets", targets.join(" ")),
        ("target-flags", targets.iter().map(|target| format!("--target {target}")).collect::<Vec<_>>().join(" ")),
    ];
    let fill = |text: String, (word, value): &(&str, String)| text.replace(&format!("@{word}@"), value);
    templates(forge).iter().map(|(path, text)| (*path, words.iter().fold((*text).to_owned(), fill))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_read_from_the_records_of_cargo_install() {
        let version = env!("CARGO_PKG_VERSION");
        let record = |source: &str| format!("[v1]\n\"cargo-rootfs {version} ({source})\" = [\"cargo-rootfs\"]\n");
        let url = |source: &str| recorded(&record(source));
        assert_eq!(url("git+https://h/me/cargo-rootfs?tag=v1#0123").as_deref(), Some("https://h/me/cargo-rootfs"));
        assert_eq!(url("git+https://h/me/cargo-rootfs#0123").as_deref(), Some("https://h/me/cargo-rootfs"));
        assert_eq!(url("path+file:///home/me/cargo-rootfs"), None);
        assert_eq!(url("registry+https://github.com/rust-lang/crates.io-index"), None);
        assert_eq!(recorded("\"cargo-rootfs 0.0.9 (git+https://h/x#0)\" = []"), None, "another version");
    }

    #[test]
    fn no_pipeline_installs_the_other_program_of_crates_io() {
        for forge in [Forge::Github, Forge::Gitlab] {
            let lines = templates(forge).iter().flat_map(|(_, text)| text.lines());
            let installs: Vec<&str> = lines.filter(|line| line.contains("cargo install")).collect();
            assert!(!installs.is_empty() && installs.iter().all(|line| line.contains("--git")), "{installs:?}");
        }
    }
}
