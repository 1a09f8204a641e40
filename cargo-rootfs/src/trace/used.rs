//! Used tools, libraries and files of a sysroot that are not packed yet; files are grouped by the program that opened
//! them.
//!
//! Files of a closure or a rule count as packed in `trees`: the caller packs the found ones and calls again.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::{Execution, There, Trees, is_in_library_folder, is_in_path, is_library};
use crate::path::RootfsPath;
use crate::watch::{Access, Event, Outcome};

/// Used files that are not packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Values for `with`.
    pub(crate) tools: Vec<String>,
    /// Values for `with-lib`: sonames, and absolute paths of libraries outside of library directories. In the order of
    /// their opening, so that a library comes before the ones it needs.
    pub(crate) libraries: Vec<String>,
    /// All other files.
    pub(crate) groups: Vec<Group>,
    /// Used programs and libraries that belong to the user.
    pub(crate) own: BTreeSet<RootfsPath>,
    /// Read files of a home directory, which are left out.
    pub(crate) of_home: BTreeSet<RootfsPath>,
}

/// Directories whose files are not the system's.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    /// Directories of the project, its tools, and temporary files.
    pub(super) project: Vec<RootfsPath>,
    /// Directories of the user.
    pub(super) home: Vec<RootfsPath>,
}

impl Own {
    fn is_projects(&self, path: &RootfsPath) -> bool {
        self.project.iter().any(|folder| path.is_within(folder))
    }

    fn is_of_home(&self, path: &RootfsPath) -> bool {
        !self.is_projects(path) && self.home.iter().any(|folder| path.is_within(folder))
    }
}

/// Files that one program opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The executed path; `None` for files that were opened before the first execve(2).
    pub(crate) program: Option<RootfsPath>,
    /// Files, and directories of which it opened most files.
    pub(crate) paths: Vec<RootfsPath>,
    /// Symlinks that it read, with their targets.
    pub(crate) links: BTreeMap<RootfsPath, String>,
    /// Directories that it listed, and of which no file is packed.
    pub(crate) listed: BTreeSet<RootfsPath>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.links.is_empty() && self.listed.is_empty()
    }
}

/// Finds the used files of the sysroot among `events`, without those of `own`.
pub(super) fn used(events: &[Event], own: &Own, trees: &mut dyn Trees) -> Used {
    let mut used = Used::default();
    let mut met = Met::default();
    let mut groups: BTreeMap<Option<RootfsPath>, Group> = BTreeMap::new();
    fn group<'g>(groups: &'g mut BTreeMap<Option<RootfsPath>, Group>, event: &Event) -> &'g mut Group {
        let program = event.program.clone();
        let new = || Group { program, paths: Vec::new(), links: BTreeMap::new(), listed: BTreeSet::new() };
        groups.entry(event.program.clone()).or_insert_with(new)
    }
    let mut files: BTreeMap<Option<RootfsPath>, BTreeSet<RootfsPath>> = BTreeMap::new();
    let mut looked: BTreeMap<Option<RootfsPath>, BTreeSet<RootfsPath>> = BTreeMap::new();
    // The directories of the files that each program opened, packed or not.
    let mut near: BTreeMap<Option<RootfsPath>, BTreeSet<RootfsPath>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.outcome == Outcome::Found) {
        let asked = source_of(&event.path, trees).unwrap_or_else(|| event.path.clone());
        let is_own = |path: &RootfsPath| own.is_projects(path) || own.is_of_home(path);
        if event.access == Access::Follow {
            let path = asked.normalized();
            let target = trees.unpacked_link(&path).filter(|_| !is_own(&path) && !trees.policy().is_noise(&path));
            if let Some(target) = target {
                group(&mut groups, event).links.insert(path, target);
            }
            continue;
        }
        let (real, execution) = match trees.sysroot(&asked) {
            There::File(real, execution) => (real, execution),
            There::Folder(real) if event.access == Access::Open => {
                let path = asked.normalized();
                let is_left_out = |path: &RootfsPath| is_own(path) || trees.policy().is_noise(path);
                if !is_left_out(&path) && !is_left_out(&real) && !trees.is_packed(&path) {
                    group(&mut groups, event).listed.insert(path);
                }
                continue;
            }
            There::Folder(_) | There::Nothing => continue,
        };
        let path = plain(asked, &real, trees);
        if is_own(&path) || is_own(&real) {
            if event.access == Access::Execute {
                used.own.insert(real);
            } else if event.access == Access::Open && own.is_of_home(&path) {
                used.of_home.insert(path);
            }
            continue;
        }
        // Many programs open this cache, and it is needed to find the modules beside it.
        let is_list = path.file_name() == b"gconv-modules.cache";
        if !is_list && (trees.policy().is_noise(&path) || trees.policy().is_noise(&real)) {
            continue;
        }
        if event.access == Access::Open && !is_list && !is_in_library_folder(&path) {
            near.entry(event.program.clone()).or_default().extend(path.parent());
        }
        if trees.is_packed(&path) {
            continue;
        }
        if is_list {
            looked.entry(event.program.clone()).or_default().insert(path);
            continue;
        }
        match event.access {
            Access::Open | Access::Execute => {}
            Access::Look if !is_library(&path) && !is_in_path(&path) => {
                looked.entry(event.program.clone()).or_default().insert(path);
                continue;
            }
            Access::Look | Access::Follow | Access::Write => continue,
        }
        if event.access == Access::Execute && execution == Execution::Allowed {
            // A loader that is executed directly is packed with the objects that it loads.
            if !is_library(&real) && met.is_new(&path, real) {
                used.tools.push(name_or_path(&path, is_in_path(&path)));
            }
        } else if is_library(&path) {
            if met.is_new(&path, real) {
                used.libraries.push(name_or_path(&path, is_in_library_folder(&path)));
            }
        } else {
            files.entry(event.program.clone()).or_default().insert(path);
        }
    }
    // The existence of a file may matter: Python searches for `os.py`. But a program that lists a directory checks
    // every file in it. A file counts only if the program also opened a file of the same directory.
    for (program, paths) in looked {
        let Some(near) = near.get(&program) else { continue };
        let neighbours: Vec<_> =
            paths.into_iter().filter(|path| path.parent().is_some_and(|folder| near.contains(&folder))).collect();
        if !neighbours.is_empty() {
            files.entry(program).or_default().extend(neighbours);
        }
    }
    for (program, paths) in files {
        let (links, listed) = Default::default();
        let group = groups.entry(program.clone()).or_insert(Group { program, paths: Vec::new(), links, listed });
        group.paths = in_folders(paths, trees);
    }
    // A directory is packed with each of its files, whatever program opened them.
    let taken: Vec<RootfsPath> = groups.values().flat_map(|group| group.paths.iter().cloned()).collect();
    for group in groups.values_mut() {
        group.listed.retain(|folder| !taken.iter().any(|path| path.is_within(folder)));
    }
    used.groups = groups.into_values().filter(|group| !group.is_empty()).collect();
    used
}

/// Files that were already executed or loaded. Each name of a file counts: `ls` and `cat` of busybox, or `libx.so`
/// opened after `libx.so.1` was loaded. The file itself comes with its first name.
#[derive(Default)]
struct Met {
    names: BTreeSet<RootfsPath>,
    real: BTreeSet<RootfsPath>,
}

impl Met {
    fn is_new(&mut self, path: &RootfsPath, real: RootfsPath) -> bool {
        match *path == real {
            true => self.real.insert(real),
            false => {
                self.real.insert(real);
                self.names.insert(path.clone())
            }
        }
    }
}

fn name_or_path(path: &RootfsPath, is_found_by_name: bool) -> String {
    let bytes = if is_found_by_name { path.file_name() } else { path.as_bytes() };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Removes `..`: returns the requested path without it if that leads to the same file, else the real path.
fn plain(asked: RootfsPath, real: &RootfsPath, trees: &mut dyn Trees) -> RootfsPath {
    if !asked.components().any(|part| part == b"..") {
        return asked;
    }
    let plain = asked.normalized();
    match trees.sysroot(&plain) {
        There::File(there, _) if there == *real => plain,
        _ => real.clone(),
    }
}

/// The Python source of a cached file (PEP 3147). With a fresh cache Python does not open the source, but it ignores a
/// cache without one.
fn source_of(path: &RootfsPath, trees: &mut dyn Trees) -> Option<RootfsPath> {
    let folder = path.parent().filter(|folder| folder.file_name() == b"__pycache__")?;
    let name = path.file_name().strip_suffix(b".pyc")?;
    let stem = name.split(|byte| *byte == b'.').next()?;
    let source = folder.parent()?.join(&[stem, b".py"].concat());
    matches!(trees.sysroot(&source), There::File(..)).then_some(source)
}

/// The minimum number of used files for which their directory is taken, if they are at least half of its files.
const MANY: usize = 4;

fn in_folders(paths: BTreeSet<RootfsPath>, trees: &mut dyn Trees) -> Vec<RootfsPath> {
    let mut by_folder: BTreeMap<RootfsPath, Vec<RootfsPath>> = BTreeMap::new();
    for path in paths {
        by_folder.entry(path.parent().unwrap_or_else(RootfsPath::root)).or_default().push(path);
    }
    let mut kept: BTreeSet<RootfsPath> = BTreeSet::new();
    for (folder, files) in by_folder {
        // Directories such as `/usr/share` belong to no single program.
        let is_own = folder.components().count() > 2;
        if is_own && files.len() >= MANY && files.len() * 2 >= trees.count(&folder) {
            kept.insert(folder);
        } else {
            kept.extend(files);
        }
    }
    let folders = kept.clone();
    kept.retain(|path| !folders.iter().any(|folder| folder != path && path.is_within(folder)));
    kept.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::tests::{Memory, events, path};

    fn of(lines: &[&str], own: &[&str], trees: &mut Memory) -> Used {
        let own = Own { project: own.iter().map(|folder| path(folder)).collect(), home: vec![path("/home/me")] };
        used(&events(lines), &own, trees)
    }

    fn files(used: &Used) -> Vec<String> {
        used.groups.iter().flat_map(|group| group.paths.iter().map(RootfsPath::to_string)).collect()
    }

    #[test]
    fn tools_libraries_and_files() {
        let sysroot = [
            "/usr/bin/git*",
            "/usr/bin/awk -> /usr/bin/mawk*",
            "/usr/bin/mawk*",
            "/usr/lib/git-core/git-remote-http*",
            "/usr/lib/x86_64-linux-gnu/libz.so.1 -> /usr/lib/x86_64-linux-gnu/libz.so.1.2",
            "/usr/lib/x86_64-linux-gnu/libz.so.1.2",
            "/usr/lib/x86_64-linux-gnu/libpacked.so.1",
            "/usr/lib/python3.11/lib-dynload/_ssl.so",
            "/usr/share/app/table",
            "/usr/lib64/ld-linux-x86-64.so.2*",
        ];
        let mut trees = Memory::new(&sysroot, &["/usr/lib/x86_64-linux-gnu/libpacked.so.1"]);
        let lines = [
            "1 sh exec /usr/bin/git found",
            "1 sh exec /usr/bin/awk found",
            "1 sh exec /usr/bin/mawk found",
            "1 sh exec /usr/lib64/ld-linux-x86-64.so.2 found",
            "1 git exec /usr/lib/git-core/git-remote-http found",
            "1 git open /usr/lib/python3.11/lib-dynload/_ssl.so found",
            "1 git open /usr/lib/x86_64-linux-gnu/libz.so.1 found",
            "1 git open /usr/lib/x86_64-linux-gnu/libpacked.so.1 found",
            "1 git open /usr/lib/../share/app/table found",
            "1 git look /usr/share/other/looked found",
            "1 git write /usr/share/app/written found",
        ];
        let used = of(&lines, &[], &mut trees);
        assert_eq!(used.tools, ["git", "awk", "/usr/lib/git-core/git-remote-http"]);
        assert_eq!(used.libraries, ["/usr/lib/python3.11/lib-dynload/_ssl.so", "libz.so.1"]);
        let [group] = &used.groups[..] else { panic!("{:?}", used.groups) };
        assert_eq!((&group.program, &group.paths), (&Some(path("/usr/bin/git")), &vec![path("/usr/share/app/table")]));
    }

    #[test]
    fn what_is_the_users_or_the_machines_own_is_left_out() {
        let sysroot = [
            "/home/me/app/config",
            "/srv/app/target/x",
            "/etc/localtime -> /usr/share/zoneinfo/UTC",
            "/proc/cpuinfo",
            "/usr/share/app/table -> /srv/app/table",
            "/tmp/x",
        ];
        let mut trees = Memory::new(&sysroot, &[]);
        let lines: Vec<String> =
            sysroot.iter().map(|text| format!("1 x open {} found", text.split(' ').next().unwrap())).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let used = of(&lines, &["/srv/app"], &mut trees);
        assert_eq!(used, Used { of_home: BTreeSet::from([path("/home/me/app/config")]), ..Used::default() });
    }

    #[test]
    fn links_that_were_read_and_directories_that_were_listed_are_kept() {
        let sysroot = [
            "/etc/app/current -> /usr/share/app/v2/",
            "/usr/share/app/v2/",
            "/usr/lib/app/plugins/",
            "/usr/lib/app/data/table",
            "/usr/share/empty -> /usr/share/packed/",
        ];
        let mut trees = Memory::new(&sysroot, &["/usr/share/empty", "/usr/share/packed"]);
        let lines = [
            "1 app link /etc/app/current found",
            "1 app link /usr/lib/app/plugins found",
            "1 app link /usr/share/empty found",
            "1 app open /usr/lib/app/plugins found",
            "1 app open /usr/lib/app/data found",
            "1 app open /usr/lib/app/data/table found",
            "1 app open /usr/share/packed found",
            "1 app open /home/me found",
        ];
        let used = of(&lines, &[], &mut trees);
        let [group] = &used.groups[..] else { panic!("{:?}", used.groups) };
        assert_eq!(group.links, BTreeMap::from([(path("/etc/app/current"), "/usr/share/app/v2".to_owned())]));
        assert_eq!(group.listed, BTreeSet::from([path("/usr/lib/app/plugins")]));
        assert_eq!(group.paths, [path("/usr/lib/app/data/table")]);
    }

    #[test]
    fn every_name_of_a_file_that_was_used_is_kept() {
        let sysroot = [
            "/bin/ls -> /bin/busybox*",
            "/bin/cat -> /bin/busybox*",
            "/bin/busybox*",
            "/usr/lib/libx.so.1 -> /usr/lib/libx.so.1.2",
            "/usr/lib/libx.so -> /usr/lib/libx.so.1.2",
            "/usr/lib/libx.so.1.2",
        ];
        let mut trees = Memory::new(&sysroot, &[]);
        let lines = [
            "1 sh exec /bin/ls found",
            "1 sh exec /bin/busybox found",
            "1 sh exec /bin/cat found",
            "2 app open /usr/lib/libx.so.1 found",
            "2 app open /usr/lib/libx.so found",
        ];
        let used = of(&lines, &[], &mut trees);
        assert_eq!(
            (used.tools, used.libraries),
            (vec!["ls".into(), "cat".into()], vec!["libx.so.1".into(), "libx.so".into()])
        );
    }

    #[test]
    fn a_cache_of_python_stands_for_its_source() {
        let mut trees = Memory::new(
            &[
                "/usr/lib/python3.11/os.py",
                "/usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
                "/usr/lib/python3.11/__pycache__/gone.cpython-311.pyc",
            ],
            &[],
        );
        let lines = [
            "1 python3 open /usr/lib/python3.11/__pycache__/os.cpython-311.pyc found",
            "1 python3 open /usr/lib/python3.11/__pycache__/gone.cpython-311.pyc found",
        ];
        assert_eq!(files(&of(&lines, &[], &mut trees)), ["/usr/lib/python3.11/os.py"]);
    }

    #[test]
    fn a_file_that_was_looked_at_belongs_with_its_neighbours() {
        let sysroot = ["/usr/lib/python3.11/os.py", "/usr/lib/python3.11/re.py", "/usr/share/other/listed"];
        let mut trees = Memory::new(&sysroot, &[]);
        let lines = [
            "1 python3 look /usr/lib/python3.11/os.py found",
            "1 python3 open /usr/lib/python3.11/re.py found",
            "1 python3 look /usr/share/other/listed found",
        ];
        assert_eq!(files(&of(&lines, &[], &mut trees)), ["/usr/lib/python3.11/os.py", "/usr/lib/python3.11/re.py"]);
    }

    #[test]
    fn a_list_of_modules_belongs_with_a_module() {
        let gconv = "/usr/lib/x86_64-linux-gnu/gconv";
        let (list, module) = (format!("{gconv}/gconv-modules.cache"), format!("{gconv}/UTF-16.so"));
        let mut trees = Memory::new(&[&list, &module], &[]);
        let (opens_list, opens_module) = (format!("1 iconv open {list} found"), format!("1 iconv open {module} found"));
        assert_eq!(of(&[&opens_list], &[], &mut trees), Used::default());
        let used = of(&[&opens_list, &opens_module], &[], &mut trees);
        assert_eq!((files(&used), used.libraries), (vec![list], vec![module]));
    }

    #[test]
    fn programs_of_the_users_own_are_named() {
        let mut trees = Memory::new(&["/opt/me/python3*"], &[]);
        let used = of(&["1 sh exec /opt/me/python3 found"], &["/opt/me"], &mut trees);
        assert_eq!((used.own.len(), used.tools.len()), (1, 0));
    }

    #[test]
    fn most_files_of_a_folder_are_the_folder() {
        let mut sysroot: Vec<String> = (0..6).map(|number| format!("/usr/share/app/{number}")).collect();
        sysroot.extend((0..20).map(|number| format!("/usr/share/other/{number}")));
        let sysroot: Vec<&str> = sysroot.iter().map(String::as_str).collect();
        let mut trees = Memory::new(&sysroot, &[]);
        let lines: Vec<String> = (0..4)
            .flat_map(|number| {
                [format!("1 x open /usr/share/app/{number} found"), format!("1 x open /usr/share/other/{number} found")]
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let files = files(&of(&lines, &[], &mut trees));
        assert_eq!(files[0], "/usr/share/app");
        assert_eq!(files.len(), 5);
    }
}
