//! The fuzz targets of `tests/fuzz`, on stable Rust: their corpus, and mutations of it that are the same in every run.
//!
//! Memory is bounded by the length of the input. The process has limits on its memory and processor time, so an endless
//! loop is a failure.

mod large;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

// cargo-fuzz has it in a crate of its own, where it is public.
#[allow(unreachable_pub)]
#[path = "../fuzz/entry.rs"]
mod entry;

/// The number of mutations of each file of the corpus.
const MUTATIONS: u64 = 1500;
/// The limit of memory for an empty input, in bytes, and the addition for each byte.
const MEMORY: usize = 16 << 20;
const MEMORY_PER_BYTE: usize = 128;
/// Address space for the process, in KiB.
const ADDRESS_SPACE: &str = "400000";
/// Processor time of the process in seconds: a hundred times its need.
const PROCESSOR_TIME: &str = "900";
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

#[test]
fn package_databases() {
    bounded("packages", entry::packages);
}

/// Runs the corpus of `target` in a process of its own.
#[allow(clippy::print_stdout)]
fn bounded(target: &str, entry: fn(&[u8])) {
    if std::env::var_os(INSIDE).is_none() {
        return inside(match target {
            "elf" => "elf_files",
            "ld_so_cache" => "ld_so_caches",
            "ld_so_conf" => "ld_so_confs",
            "ld_so_preload" => "ld_so_preloads",
            "packages" => "package_databases",
            _ => "notes",
        });
    }
    let corpus = corpus(target);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, seed) in &corpus {
        // The last of these lines names the file whose mutation does not end.
        println!("mutations of {name}");
        for number in 0..MUTATIONS {
            let input = if number == 0 { seed.clone() } else { mutated(seed, &corpus, &mut random) };
            answer(entry, &format!("{target}-{name}-{number}"), &input);
        }
    }
}

/// Checks that the entry point returns without much memory. Otherwise the input is kept.
fn answer(entry: fn(&[u8]), name: &str, input: &[u8]) {
    let before = highest_memory();
    let ended = std::panic::catch_unwind(|| entry(input));
    let memory = highest_memory().saturating_sub(before);
    if ended.is_err() || memory > MEMORY + MEMORY_PER_BYTE * input.len() {
        let kept = std::env::temp_dir().join(format!("hostile-{name}"));
        fs::write(&kept, input).unwrap();
        panic!("{}: {} bytes took {memory} bytes of memory", kept.display(), input.len());
    }
}

/// The highest memory of this process, in bytes (VmHWM of proc(5)). It only grows, so it shows an input that takes more
/// than all before, which is the one that can pass a limit.
fn highest_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Runs this test again, alone, and with both limits (setrlimit(2), through the shell).
fn inside(test: &str) {
    let this = std::env::current_exe().unwrap();
    let limited = Command::new("sh")
        .args([
            "-c",
            "ulimit -v \"$1\" && ulimit -t \"$2\" && shift 2 && exec \"$@\"",
            "sh",
            ADDRESS_SPACE,
            PROCESSOR_TIME,
        ])
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

/// One to eight changes: bits, numbers at the limits of their range, parts cut, doubled, or taken from another file.
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
                // Fields are aligned to their width.
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
