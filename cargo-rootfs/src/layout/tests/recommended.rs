//! Packages that are recommended before there is a sysroot.

use super::disk::{Ask, Disk, tool};
use crate::layout::{Executable, recommended};
use crate::runtime::Runtime;

#[test]
fn functions_of_a_program_recommend_packages() {
    let project = Disk::empty()
        .elf("lookup", tool().imports("getaddrinfo").imports("own_function"))
        .elf("plain", tool().imports("puts"))
        .bytes("text", b"getaddrinfo", 0o755);
    let rule = "[[rule]]\nname = 'own'\nwhy = 'x'\ncalls = ['own_function']\npackages = ['own-data', 'own-more']\n";
    let packages = |ask: Ask, names: &[&str]| {
        let executable = |name: &&str| Executable { name: (*name).to_owned(), path: project.at(name) };
        let executables: Vec<Executable> = names.iter().map(executable).collect();
        recommended(&ask.content, &executables).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(packages(Ask::tools(&[]), &["text", "plain", "lookup", "gone"]), ["netbase"]);
    assert_eq!(packages(Ask::tools(&[]).rules(rule), &["lookup"]), ["netbase", "own-data", "own-more"]);
    for (ask, names) in [(Ask::tools(&[]), &["plain"]), (Ask::tools(&[]).runtime(Runtime::None), &["lookup"])] {
        assert!(packages(ask, names).is_empty(), "{names:?}");
    }
}
