//! The git commit of a workspace, for the label of an image.

use camino::Utf8Path;

/// The commit of `workspace`; `None` without git, outside of a repository, or with uncommitted changes.
pub(super) fn revision(workspace: &Utf8Path) -> Option<String> {
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
