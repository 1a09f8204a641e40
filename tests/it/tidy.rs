//! Conventions of this code, checked in its text: edges between rooms, lengths of files, names of public types.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The product's sources.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Each Rust file below `root`, by its path there.
fn texts(root: &Path) -> Vec<(String, String)> {
    let (mut texts, mut left) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                texts.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    texts.sort();
    texts
}

/// Returns whether a source file has only tests or fixtures.
fn is_test(name: &str) -> bool {
    ["tests.rs", "fixture.rs"].iter().any(|end| name.ends_with(end)) || name.contains("tests/")
}

/// Each source file except tests and fixtures, by its path below `src`, without comments and test modules.
fn files() -> Vec<(String, String)> {
    let files = texts(&sources()).into_iter().filter(|(name, _)| !is_test(name));
    let files: Vec<_> = files.map(|(name, text)| (name, code(&text))).collect();
    assert!(files.len() > 100, "{} files", files.len());
    files
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The room of a source file: its first directory, or its own name.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// The rooms that `text` names by `crate::`.
fn used(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut used = BTreeSet::new();
    for after in text.split("crate::").skip(1) {
        let names: Vec<&str> = match after.strip_prefix('{') {
            // `crate::{Error, target::Target}`
            Some(list) => list.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
            None => vec![after],
        };
        for name in names {
            let word: String = name.chars().take_while(|c| is_word(*c)).collect();
            // lib.rs exports the types of the leaves at the root.
            if word.starts_with(|c: char| c.is_ascii_lowercase()) {
                used.insert(word);
            }
        }
    }
    used
}

/// The table of lib.rs: each room, and the rooms that it may use.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(sources().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let table: BTreeMap<_, _> = rows
        .filter_map(|row| {
            let mut cells = row.split(" | ");
            let (room, _job, uses) = (cells.next()?.trim_end_matches('`'), cells.next()?, cells.next()?);
            let uses = uses.trim_end_matches('|').split(' ').map(|name| name.trim().to_owned());
            Some((room.to_owned(), uses.filter(|name| !name.is_empty() && name != "-").collect()))
        })
        .collect();
    assert!(table.len() > 20, "{} rooms", table.len());
    table
}

#[test]
fn rooms_use_what_the_table_of_lib_rs_allows() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let files = files();
    for (file, text) in &files {
        let room = room(file);
        if matches!(room, "lib" | "main") {
            continue;
        }
        let Some(uses) = allowed.get(room) else {
            wrong.push(format!("{file}: lib.rs has no row for the room `{room}`"));
            continue;
        };
        for name in used(text) {
            if name == room {
                continue;
            }
            if !uses.contains(&name) {
                wrong.push(format!("{file}: `{room}` uses `{name}`"));
            }
            seen.entry(room).or_default().insert(name);
        }
    }
    for (room, uses) in &allowed {
        let needless = uses.iter().filter(|name| !seen.get(room.as_str()).is_some_and(|seen| seen.contains(*name)));
        wrong.extend(needless.map(|name| format!("lib.rs: nothing in `{room}` uses `{name}` any more")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_use_each_other_in_one_direction() {
    let mut left = allowed();
    while !left.is_empty() {
        let done: Vec<String> = left
            .iter()
            .filter(|(_, uses)| uses.iter().all(|name| !left.contains_key(name)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!done.is_empty(), "a circle among {:?}", left.keys());
        for room in done {
            left.remove(&room);
        }
    }
}

/// Files that are longer than [`LONG`], each with the one job that makes it long.
const LONGER: &[(&str, &str)] = &[];

const LONG: usize = 500;

#[test]
fn a_file_is_one_screen_of_thought() {
    let mut wrong = Vec::new();
    for (file, text) in files().into_iter().chain(texts(&sources()).into_iter().filter(|(name, _)| is_test(name))) {
        let lines = text.lines().count();
        let reason = LONGER.iter().find(|(name, _)| *name == file);
        match reason {
            None if lines > LONG => wrong.push(format!("{file} has {lines} lines")),
            Some(_) if lines <= LONG => wrong.push(format!("{file} is no longer long: take it from the list")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_public_type_name_exists_once() {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in files() {
        for line in text.lines() {
            let line = line.trim_start();
            let name = ["pub struct ", "pub enum ", "pub trait ", "pub type "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            if let Some(name) = name {
                let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
                owners.entry(name).or_default().push(file.clone());
            }
        }
    }
    assert!(owners.len() > 30, "{} public types", owners.len());
    let twice: Vec<_> = owners.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// Words that begin a question, not the name of a thing.
const QUESTIONS: [&str; 8] = ["What", "Where", "Whether", "How", "Who", "Why", "Which", "When"];

/// The first line of each doc comment of `text`.
fn openings(text: &str) -> Vec<&str> {
    let doc = |line: &'_ str| line.starts_with("/// ") || line.starts_with("//! ");
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_first = |at: &usize| doc(lines[*at]) && (*at == 0 || !lines[*at - 1].starts_with(&lines[*at][..3]));
    (0..lines.len()).filter(is_first).map(|at| &lines[at][4..]).collect()
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    let (mut all, mut asking) = (0, Vec::new());
    for (file, text) in texts(&sources()) {
        let openings = openings(&text);
        all += openings.len();
        let asks = |line: &&&str| QUESTIONS.contains(&line.split(|c: char| !c.is_alphabetic()).next().unwrap());
        asking.extend(openings.iter().filter(asks).map(|line| format!("{file}: {line}")));
    }
    assert!(all > 2000, "{all} doc comments");
    // STYLE: the first reading gives the purpose. One in a hundred is tolerated.
    assert!(asking.len() * 100 <= all, "{} of {all} doc comments ask:\n{}", asking.len(), asking.join("\n"));
    assert_eq!(openings("/// What.\n/// Where.\nx\n    //! How\n"), ["What.", "How"]);
}

/// The let chains of `text`: conditions with `let` and `&&`, which Rust has only since 1.88.
fn let_chains(text: &str) -> Vec<&str> {
    let is_chain = |condition: &str| {
        let (mut depth, mut last) = (0, ' ');
        for (at, c) in condition.char_indices() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '{' if depth == 0 => return false,
                // A space before it: not the pattern `&&x`.
                '&' if depth == 0 && last.is_whitespace() && condition[at..].starts_with("&& ") => return true,
                _ => {}
            }
            last = c;
        }
        false
    };
    let starts = ["if let ", "while let "].into_iter().flat_map(|start| text.match_indices(start));
    let chains = starts.map(|(at, _)| &text[at..]).filter(|condition| is_chain(condition));
    let later = text.match_indices("&& let ").map(|(at, _)| &text[at..]);
    chains.chain(later).map(|chain| chain.lines().next().unwrap_or_default()).collect()
}

#[test]
fn let_chains_wait_for_a_newer_rust() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")).unwrap();
    let least = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"1.")).unwrap();
    let least: u32 = least.trim_end_matches('"').parse().unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/it");
    let all = texts(&sources()).into_iter().chain(texts(&tests)).filter(|(file, _)| file != "tidy.rs");
    let lines =
        |text: &str| text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let wrong: Vec<String> = all
        .flat_map(|(file, text)| let_chains(&lines(&text)).iter().map(|it| format!("{file}: {it}")).collect::<Vec<_>>())
        .collect();
    assert!(least >= 88 || wrong.is_empty(), "Rust 1.{least} has no let chains:\n{}", wrong.join("\n"));

    assert_eq!(let_chains("if let Some(x) = a && b {").len(), 1);
    assert_eq!(let_chains("if let Some(x) = a(|it| it && b)\n    && x > 1\n{").len(), 1);
    assert_eq!(let_chains("while a && let Some(x) = b {").len(), 1);
    assert!(let_chains("if let Some(&&x) = a(b && c) { d && e }").is_empty());
    assert!(let_chains("if let &&x = a { b && c }").is_empty());
}

#[test]
fn the_reader_of_edges_sees_what_it_should() {
    let text = "use crate::path::RootfsPath;\nuse crate::{Error, target::Target};\nlet x = crate::elf::read();\nuse crate::Result;";
    assert_eq!(used(&code(text)).into_iter().collect::<Vec<_>>(), ["elf", "path", "target"]);
    assert_eq!(code("a\n// crate::layout\n#[cfg(test)]\nmod tests {\ncrate::cli }\n"), "a\n");
    assert_eq!((room("elf/bytes.rs"), room("error.rs")), ("elf", "error"));
}
