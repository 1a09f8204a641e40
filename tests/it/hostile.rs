//! The fuzz targets of `tests/fuzz`, on stable Rust: their corpus, and mutations of it that are the same in every run.
//!
//! It is bounded: a process with a limit on its memory does it, and no input may take long.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

// A crate of its own for cargo-fuzz, where it is public.
#[allow(unreachable_pub)]
#[path = "../fuzz/entry.rs"]
mod entry;

/// Mutations of each file of the corpus.
const MUTATIONS: u64 = 1500;
/// The longest that one input may take. All of these take microseconds; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(5);
/// Address space for the process, in KiB: itself, and a few MiB for an input of a few KiB.
const MEMORY: &str = "400000";
const INSIDE: &str = "CARGO_ROOTFS_HOSTILE_INSIDE";

#[test]
fn elf_files() {
    bounded("elf", entry::elf);
}

#[test]
fn ld_so_caches() {
    bounded("ld_so_cache", entry::ld_so_cache);
}

#[test]
fn ld_so_confs() {
    bounded("ld_so_conf", entry::ld_so_conf);
}

#[test]
fn ld_so_preloads() {
    bounded("ld_so_preload", entry::ld_so_preload);
}

#[test]
fn notes() {
    bounded("notes", entry::notes);
}

/// What takes the most of a reader for its size: everything that is looked for, looked for everywhere.
#[test]
fn many_names_times_many_folders() {
    if std::env::var_os(INSIDE).is_none() {
        return inside("many_names_times_many_folders");
    }
    let started = Instant::now();
    entry::elf(&many_names_times_many_folders_file());
    let took = started.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// Runs the corpus of `target` in a process of its own.
fn bounded(target: &str, entry: fn(&[u8])) {
    if std::env::var_os(INSIDE).is_none() {
        return inside(match target {
            "elf" => "elf_files",
            "ld_so_cache" => "ld_so_caches",
            "ld_so_conf" => "ld_so_confs",
            "ld_so_preload" => "ld_so_preloads",
            _ => "notes",
        });
    }
    let corpus = corpus(target);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, seed) in &corpus {
        for number in 0..MUTATIONS {
            let input = if number == 0 { seed.clone() } else { mutated(seed, &corpus, &mut random) };
            let started = Instant::now();
            let ended = std::panic::catch_unwind(|| entry(&input));
            let took = started.elapsed();
            let kept = std::env::temp_dir().join(format!("hostile-{target}-{name}-{number}"));
            if ended.is_err() || took > PATIENCE {
                fs::write(&kept, &input).unwrap();
                panic!("{target}: mutation {number} of {name}, kept as {}, took {took:?}", kept.display());
            }
        }
    }
}

/// This test once more, alone, and with the limit on memory (setrlimit(2), by way of the shell).
fn inside(test: &str) {
    let this = std::env::current_exe().unwrap();
    let limited = Command::new("sh")
        .args(["-c", "ulimit -v \"$1\" && shift && exec \"$@\"", "sh", MEMORY])
        .arg(this)
        .args(["--exact", &format!("hostile::{test}"), "--test-threads=1", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stdout).into_owned() + &String::from_utf8_lossy(&limited.stderr);
    assert!(limited.status.success(), "{said}");
    assert!(said.contains("1 passed"), "nothing was run: {said}");
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "no corpus in {}", folder.display());
    files
}

/// Marsaglia's xorshift64: a sequence that is the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One to eight changes: bits, numbers at the edges of their range, parts cut, doubled, or taken from another file.
fn mutated(seed: &[u8], corpus: &[(String, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    const EDGES: [u64; 12] =
        [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        match random.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 | 3 => {
                let width = [1, 2, 4, 8][random.below(4)];
                let edge = EDGES[random.below(EDGES.len())];
                let number = if random.below(2) == 0 { edge.to_le_bytes() } else { edge.swap_bytes().to_le_bytes() };
                // Fields lie at multiples of their width.
                let at = at / width * width;
                for (to, from) in bytes.iter_mut().skip(at).take(width).zip(number) {
                    *to = from;
                }
            }
            // A number that is nearly right.
            4 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(random.below(9) as u8).wrapping_sub(4),
            5 => bytes.truncate(at),
            6 => {
                let part = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => {
                let other = &corpus[random.below(corpus.len())].1;
                let from = random.below(other.len());
                let part = other[from..other.len().min(from + length)].to_vec();
                let end = bytes.len().min(at + part.len());
                bytes.splice(at..end, part);
            }
        }
    }
    bytes
}

/// A program of 1.2 MB: a RUNPATH of 20,000 folders, and 50,000 names that share their bytes.
fn many_names_times_many_folders_file() -> Vec<u8> {
    let mut strings = vec![0];
    let runpath = strings.len();
    (0..20_000).for_each(|n| strings.extend(format!("/{n:x}:").bytes()));
    strings.push(0);
    let names = strings.len();
    strings.extend(std::iter::repeat_n(b'a', 50));
    let mut tail: Vec<usize> = (names..names + 50).collect();
    for n in 0..1000 {
        let start = strings.len();
        strings.extend(format!("{n:x}{}", "b".repeat(46)).bytes());
        tail.extend(start..start + 49);
        strings.push(0);
    }
    let header = 64 + 56 * 3;
    let interpreter = b"/lib64/ld-linux-x86-64.so.2\0";
    let strings_at = header + interpreter.len();
    let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
    let mut entries = vec![(29, runpath), (5, strings_at), (10, strings.len())];
    entries.extend(tail.into_iter().map(|name| (1, name)));
    entries.push((0, 0));
    let end = dynamic_at + entries.len() * 16;

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |width: usize, value: usize| file.extend_from_slice(&(value as u64).to_le_bytes()[..width]);
    for (width, value) in
        [(2, 3), (2, 62), (4, 1), (8, 0), (8, 64), (8, 0), (4, 0), (2, 64), (2, 56), (2, 3), (2, 0), (2, 0), (2, 0)]
    {
        put(width, value);
    }
    for (kind, at, size) in [(1, 0, end), (3, header, interpreter.len()), (2, dynamic_at, entries.len() * 16)] {
        for (width, value) in [(4, kind), (4, 4), (8, at), (8, at), (8, at), (8, size), (8, size), (8, 8)] {
            put(width, value);
        }
    }
    file.extend_from_slice(interpreter);
    file.extend_from_slice(&strings);
    file.resize(dynamic_at, 0);
    for (tag, value) in entries {
        file.extend_from_slice(&(tag as u64).to_le_bytes());
        file.extend_from_slice(&(value as u64).to_le_bytes());
    }
    file
}
