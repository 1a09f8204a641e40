//! Finds files that run in a tree: programs, libraries and scripts, by their contents and places.

use rustc_hash::FxHashSet;

use super::tree::{Found, NodeKind};
use super::view::View;
use crate::path::{RootfsPath, program_directories};
use crate::resolve::{FileId, Files};

/// The roots of closures, each file once, by its first name.
pub(crate) struct Programs {
    /// ELF files with an interpreter.
    pub(crate) programs: Vec<RootfsPath>,
    /// ELF files that others map or open.
    pub(crate) libraries: Vec<(RootfsPath, FileId)>,
    /// Scripts in the directories of PATH only: elsewhere, scripts are mostly examples and hooks.
    pub(crate) scripts: Vec<RootfsPath>,
    /// All ELF files.
    pub(crate) objects: Vec<FileId>,
}

impl Programs {
    /// Reads the beginning of every file.
    pub(crate) fn find(view: &mut View<'_>) -> Self {
        let mut found = Self { programs: Vec::new(), libraries: Vec::new(), scripts: Vec::new(), objects: Vec::new() };
        let tree = view.tree;
        let real = |path: RootfsPath| match tree.find(&path) {
            Found::Node(path, _) => Some(path),
            _ => None,
        };
        let directories: Vec<RootfsPath> = program_directories().filter_map(real).collect();
        let mut seen = FxHashSet::default();
        for (path, node) in tree.iter() {
            let NodeKind::File(content) = &node.kind else { continue };
            if !seen.insert(content.number) {
                continue;
            }
            let head = content.part(0, 4).unwrap_or_default();
            let file = FileId::new(content.number);
            if head.starts_with(b"#!") {
                if node.is_executable() && path.parent().is_some_and(|parent| directories.contains(&parent)) {
                    found.scripts.push(path.clone());
                }
            } else if head == b"\x7fELF" {
                found.objects.push(file);
                let Ok(object) = view.object(file) else { continue };
                // A position-independent program without an interpreter is static, or the loader itself.
                if object.interpreter.is_some() && node.is_executable() {
                    found.programs.push(path.clone());
                } else if object.is_dynamic && object.soname.is_some() {
                    found.libraries.push((path.clone(), file));
                }
            }
        }
        found
    }
}
