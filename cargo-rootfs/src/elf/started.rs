//! Programs that Rust code starts by name: the constants that are arguments of `std::process::Command::new`. Rust does
//! not end a constant, so that its length is in the code alone.
//!
//! It finds calls of a function in the table of symbols, on x86-64 and AArch64. The names in a stripped program, and those
//! that are put together at run time, are not found.

use std::collections::BTreeSet;
use std::io;

use goblin::elf::section_header::{SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_RELA, SectionHeader};
use memchr::memmem::find;

use super::static_libc::{Sections, read};
use super::{Bytes, Object, ReadAt};

const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// The number of bytes before a call in which its arguments are set.
const WINDOW: usize = 48;
/// The maximum length of a name.
const LONGEST: u64 = 64;

#[doc(hidden)]
impl Object {
    /// The names that the program or library in `file`, which this object was read from, passes to
    /// `std::process::Command::new` as constants: `git`, and no paths. An empty name stands for all that are no constants,
    /// such as that in `$EDITOR`. `None` without a table of symbols.
    ///
    /// # Errors
    ///
    /// I/O errors. A table outside the file counts as empty.
    pub fn started<F: ReadAt + ?Sized>(&self, file: &F) -> io::Result<Option<BTreeSet<Bytes>>> {
        let mut names = BTreeSet::new();
        let Some(sections) = Sections::read(file)? else { return Ok(None) };
        let e_machine = sections.machine.e_machine;
        if ![X86_64, AARCH64].contains(&e_machine) {
            return Ok(Some(names));
        }
        let (mut functions, mut sizes) = (BTreeSet::new(), Vec::new());
        let has_symbols = sections.symbols(file, &mut |name, symbol| {
            if is_command_new(name) {
                functions.insert(symbol.st_value);
                sizes.push((symbol.st_value, symbol.st_size));
            }
        })?;
        if functions.is_empty() {
            return Ok(has_symbols.then_some(names));
        }
        let slots = slots(file, &sections.headers, e_machine, &functions)?;
        let is_code = |it: &&SectionHeader| it.sh_flags & u64::from(SHF_EXECINSTR) != 0 && it.sh_type != SHT_NOBITS;
        for section in sections.headers.iter().filter(is_code) {
            let mut code = read(file, section.sh_offset, section.sh_size)?;
            let base = section.sh_addr;
            // The functions pass their argument on to each other.
            for (address, size) in &sizes {
                let start = address.checked_sub(base).and_then(|start| usize::try_from(start).ok());
                let own = start.and_then(|start| code.get_mut(start..)).unwrap_or_default().iter_mut();
                own.zip(0..*size).for_each(|(byte, _)| *byte = 0);
            }
            let arguments = match e_machine {
                X86_64 => x86_64(&code, base, &functions, &slots),
                _ => aarch64(&code, base, &functions),
            };
            for (address, length) in arguments {
                names.extend(constant(file, &sections.headers, address, length)?);
            }
        }
        Ok(Some(names))
    }
}

/// Returns whether a symbol is a `new` of Rust's `std::process::Command`, in one of the two manglings.
fn is_command_new(name: &[u8]) -> bool {
    let has = |text: &[u8]| find(name, text).is_some();
    // Up to Rust 1.86 it is std::sys::pal::unix::process.
    has(b"7Command3new") && (has(b"3std7process") || has(b"3std3sys") && has(b"7process"))
}

/// The addresses of pointers to functions, which the loader fills.
fn slots<F: ReadAt + ?Sized>(
    file: &F,
    sections: &[SectionHeader],
    e_machine: u16,
    functions: &BTreeSet<u64>,
) -> io::Result<BTreeSet<u64>> {
    // R_X86_64_RELATIVE and R_AARCH64_RELATIVE.
    let relative = if e_machine == X86_64 { 8 } else { 1027 };
    let mut slots = BTreeSet::new();
    for section in sections.iter().filter(|it| it.sh_type == SHT_RELA) {
        for entry in read(file, section.sh_offset, section.sh_size)?.chunks_exact(24) {
            let [slot, info, addend] = [0, 8, 16].map(|at| number::<8>(entry, at).map_or(0, u64::from_le_bytes));
            if info & 0xffff_ffff == relative && functions.contains(&addend) {
                slots.insert(slot);
            }
        }
    }
    Ok(slots)
}

fn signed(number: u32) -> i32 {
    i32::from_ne_bytes(number.to_ne_bytes())
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The addresses and lengths of the constants that calls get: the pointer in rsi, the length in rdx. Both are 0 for a call
/// without a constant.
fn x86_64(code: &[u8], base: u64, functions: &BTreeSet<u64>, slots: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let relative = |from: usize, length: u64| {
        let distance = i32::from_le_bytes(number(code, from)?);
        Some((base + from as u64 + length).wrapping_add_signed(distance.into()))
    };
    let is_call = |at: &usize| match code[*at..] {
        // call rel32
        [0xe8, ..] => relative(at + 1, 4).is_some_and(|address| functions.contains(&address)),
        // call [rip + rel32]
        [0xff, 0x15, ..] => relative(at + 2, 4).is_some_and(|address| slots.contains(&address)),
        _ => false,
    };
    let argument = |call: usize| {
        let start = call.saturating_sub(WINDOW);
        let before = &code[start..call];
        // lea rsi, [rip + rel32]
        let lea = memchr::memmem::rfind(before, &[0x48, 0x8d, 0x35])?;
        let address = relative(start + lea + 3, 4)?;
        // mov edx, imm32; or push imm8, pop rdx
        let by_move =
            memchr::memrchr_iter(0xba, before).filter_map(|at| number(before, at + 1)).map(u32::from_le_bytes);
        let by_push = before.windows(3).rev().filter(|it| it[0] == 0x6a && it[2] == 0x5a).map(|it| u32::from(it[1]));
        let length = by_move.chain(by_push).map(u64::from).find(|length| (1..=LONGEST).contains(length))?;
        Some((address, length))
    };
    memchr::memchr2_iter(0xe8, 0xff, code).filter(is_call).map(|call| argument(call).unwrap_or_default()).collect()
}

/// The same: the pointer in x0, the length in x1.
fn aarch64(code: &[u8], base: u64, functions: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let words: Vec<u32> = code.chunks_exact(4).filter_map(|word| number(word, 0)).map(u32::from_le_bytes).collect();
    let address_of = |at: usize| base + 4 * at as u64;
    // bl
    let is_call = |at: &usize| {
        let distance = i64::from(signed(words[*at] << 6) >> 4);
        words[*at] >> 26 == 0b10_0101 && functions.contains(&address_of(*at).wrapping_add_signed(distance))
    };
    let argument = |call: usize| {
        let before = || (call.saturating_sub(WINDOW / 4)..call).rev();
        // add x0, xN, #low
        let add = before().find(|at| words[*at] & 0xffc0_001f == 0x9100_0000)?;
        let (register, low) = (words[add] >> 5 & 31, u64::from(words[add] >> 10 & 0xfff));
        // adrp xN, page
        let adrp = before().find(|at| *at < add && words[*at] & 0x9f00_001f == 0x9000_0000 | register)?;
        let pages = (words[adrp] >> 5 & 0x7_ffff) << 2 | words[adrp] >> 29 & 3;
        let distance = i64::from(signed(pages << 11) >> 11) << 12;
        let page = (address_of(adrp) & !0xfff).wrapping_add_signed(distance);
        // mov wN, #length
        let length_in = |register: u32, end: usize| {
            let at = before().find(|at| *at < end && words[*at] & 0x7fe0_001f == 0x5280_0000 | register)?;
            Some(u64::from(words[at] >> 5 & 0xffff))
        };
        // mov w1, wN
        let copy = before().find(|at| words[*at] & 0x7fe0_ffff == 0x2a00_03e1);
        let by_copy = || copy.and_then(|at| length_in(words[at] >> 16 & 31, at));
        let length = length_in(1, call).or_else(by_copy)?;
        (1..=LONGEST).contains(&length).then_some((page + low, length))
    };
    (0..words.len()).filter(is_call).map(|call| argument(call).unwrap_or_default()).collect()
}

/// The name at an address of the mapped file, empty without a length. `None` if it cannot be the name of a program.
fn constant<F: ReadAt + ?Sized>(
    file: &F,
    sections: &[SectionHeader],
    address: u64,
    length: u64,
) -> io::Result<Option<Bytes>> {
    if length == 0 {
        return Ok(Some(Bytes::from(&[][..])));
    }
    let is_its = |it: &&SectionHeader| {
        let is_mapped = it.sh_flags & u64::from(SHF_ALLOC) != 0 && it.sh_type != SHT_NOBITS;
        is_mapped && address.checked_sub(it.sh_addr).is_some_and(|at| at.saturating_add(length) <= it.sh_size)
    };
    let Some(section) = sections.iter().find(is_its) else { return Ok(None) };
    let bytes = read(file, section.sh_offset.saturating_add(address - section.sh_addr), length)?;
    let is_name = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(byte));
    Ok(Some(Bytes::from(&bytes[..])).filter(|_| is_name && bytes.len() as u64 == length))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::*;

    #[test]
    fn names_in_calls_of_this_program() {
        // The compiler must not know that nothing is started.
        let mut command = std::hint::black_box(Command::new("name-of-a-program"));
        std::hint::black_box(command.arg("name-of-an-argument"));
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let names = Object::read(&file).unwrap().started(&file).unwrap().unwrap();
        let has = |name: &str| names.contains(name.as_bytes());
        assert!(has("name-of-a-program"), "{names:?}");
        assert!(!has("name-of-an-argument"), "{names:?}");
    }

    #[test]
    fn symbols_of_both_manglings() {
        for (name, expected) in [
            ("_RNvMs_NtNtNtNtCsjrHSEGnQ3l9_3std3sys7process4unix6commonNtB4_7Command3new", true),
            ("_ZN3std3sys7process4unix6common7Command3new17h0123456789abcdefE", true),
            ("_ZN3std7process7Command3new17h0123456789abcdefE", true),
            ("_ZN3std3sys3pal4unix7process14process_common7Command3new17h0123456789abcdefE", true),
            ("_ZN12clap_builder7builder7command7Command3new17h0123456789abcdefE", false),
            ("_ZN3std7process7Command3arg17h0123456789abcdefE", false),
        ] {
            assert_eq!(is_command_new(name.as_bytes()), expected, "{name}");
        }
    }

    /// adrp x0, 1 page on; add x0, x0, #0x234; mov w1, #3; bl itself.
    #[test]
    fn arguments_of_aarch64() {
        let code: Vec<u8> =
            [0xb000_0000_u32, 0x9108_d000, 0x5280_0061, 0x9400_0000].into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(aarch64(&code, 0x1000, &BTreeSet::from([0x100c])), [(0x2234, 3)]);
    }

    /// The same with mov w9, #3; mov w1, w9; and a call without any.
    #[test]
    fn copied_and_unknown_arguments_of_aarch64() {
        let code: Vec<u8> = [0xb000_0000_u32, 0x9108_d000, 0x5280_0069, 0x2a09_03e1, 0x9400_0000]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        assert_eq!(aarch64(&code, 0x1000, &BTreeSet::from([0x1010])), [(0x2234, 3)]);
        assert_eq!(aarch64(&code[16..], 0x1010, &BTreeSet::from([0x1010])), [(0, 0)]);
    }

    /// The inner `new` is called by the outer one alone, with its own argument.
    #[test]
    fn a_name_that_is_known_at_run_time_is_empty() {
        let names = |program: &str| {
            let file = File::open(program).unwrap();
            Object::read(&file).unwrap().started(&file).unwrap().unwrap()
        };
        let directory = tempfile::tempdir().unwrap();
        let built = |name: &str, expression: &str| {
            let (source, program) = (directory.path().join(format!("{name}.rs")), directory.path().join(name));
            let main = format!("fn main() {{ drop(std::process::Command::new({expression}).status()); }}");
            std::fs::write(&source, main).unwrap();
            let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            assert!(Command::new(rustc).arg("-o").args([&program, &source]).status().unwrap().success());
            program.to_str().unwrap().to_owned()
        };
        let constant = names(&built("constant", r#""git""#));
        assert_eq!(constant.iter().map(|name| &**name).collect::<Vec<_>>(), [b"git"]);
        let variable = names(&built("variable", r#"std::env::var("EDITOR").unwrap()"#));
        assert_eq!(variable.iter().map(|name| &**name).collect::<Vec<_>>(), [b""]);
    }

    /// lea rsi, [rip + 0x10]; mov edx, 3; call by rel32, and by the slot at 0x2000.
    #[test]
    fn arguments_of_x86_64() {
        let set = [0x48, 0x8d, 0x35, 0x10, 0, 0, 0, 0xba, 3, 0, 0, 0];
        let direct = [&set[..], &[0xe8, 0, 0, 0, 0]].concat();
        assert_eq!(x86_64(&direct, 0x1000, &BTreeSet::from([0x1011]), &BTreeSet::new()), [(0x1017, 3)]);
        let by_slot = [&set[..], &[0xff, 0x15, 0xee, 0x0f, 0, 0]].concat();
        assert_eq!(x86_64(&by_slot, 0x1000, &BTreeSet::new(), &BTreeSet::from([0x2000])), [(0x1017, 3)]);
        assert!(x86_64(&direct, 0x1000, &BTreeSet::new(), &BTreeSet::new()).is_empty());
    }
}
