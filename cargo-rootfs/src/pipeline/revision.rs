//! The git commit of a workspace, for the label of an image.

use std::sync::{Arc, OnceLock};

use camino::{Utf8Path, Utf8PathBuf};

use crate::threads::start_in_background;

/// A query for the commit of a workspace, which runs in the background.
pub(super) struct Revision {
    workspace: Utf8PathBuf,
    commit: OnceLock<Option<String>>,
}

impl Revision {
    /// Starts the query.
    pub(super) fn ask(workspace: &Utf8Path) -> Arc<Self> {
        let revision = Arc::new(Self { workspace: workspace.to_owned(), commit: OnceLock::new() });
        let asked = Arc::clone(&revision);
        // Without a thread, the consumer of the commit asks.
        let _ = start_in_background("revision", move || {
            asked.commit();
        });
        revision
    }

    /// Waits for the commit; `None` without git, outside of a repository, or with uncommitted changes.
    pub(super) fn commit(&self) -> Option<&str> {
        self.commit.get_or_init(|| revision(&self.workspace)).as_deref()
    }
}

fn revision(workspace: &Utf8Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let asked = duct::cmd("git", arguments).dir(workspace).env("GIT_OPTIONAL_LOCKS", "0").stdin_null();
        asked.stderr_null().read().ok()
    };
    // Untracked files count as changes: they may be compiled into a program.
    let changed = git(&["status", "--porcelain", "--", "."])?;
    let commit = git(&["rev-parse", "--verify", "HEAD"])?;
    changed.is_empty().then_some(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_a_commit_where_nothing_is_uncommitted() {
        let directory = tempfile::tempdir().unwrap();
        let workspace = Utf8Path::from_path(directory.path()).unwrap();
        assert_eq!(revision(workspace), None, "no repository");
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main"];
            duct::cmd("git", identity.iter().chain(arguments)).dir(workspace).stderr_null().read().unwrap()
        };
        git(&["init", "--quiet"]);
        assert_eq!(revision(workspace), None, "no commit");
        std::fs::write(workspace.join("a"), "1").unwrap();
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", "a"]);
        assert_eq!(revision(workspace), Some(git(&["rev-parse", "HEAD"])));
        std::fs::write(workspace.join("b"), "2").unwrap();
        assert_eq!(revision(workspace), None, "a file that is not tracked");
        std::fs::remove_file(workspace.join("b")).unwrap();
        std::fs::write(workspace.join("a"), "2").unwrap();
        assert_eq!(revision(workspace), None, "a change");
    }
}
