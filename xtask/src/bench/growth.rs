//! The growth of time with the number of files: twice the files must take at most about twice the time. The programs
//! are copies of one program, with two libraries of its own each; they share only libc.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::Bench;
use super::measure;
use super::table::{Row, Table, Unit};
use crate::process::command;
use crate::stage::need;

/// Number of programs on the larger side.
const PROGRAMS: usize = 1000;

/// A little more than twice, because the clock is noisy.
const REACH: f64 = 2.05;

pub(super) fn twice_the_files(bench: &Bench, table: &mut Table) -> Result<()> {
    let programs = programs(&bench.dir.join("growth"))?;
    let programs: Vec<&str> = programs.iter().map(|path| path.as_str()).collect();
    let half = &programs[..PROGRAMS / 2];

    let trees = [bench.tree("tree", half), bench.tree("tree", &programs)];
    let tars = [bench.tar(half), bench.tar(&programs)];
    for (work, [one, two], rounds) in [("tree", trees, bench.rounds(9, 41)), ("tar", tars, bench.rounds(5, 21))] {
        one.check()?;
        two.check()?;
        let [one, two] = measure::interleaved([&one, &two], rounds)?;
        let work = format!("{work} of {PROGRAMS} programs with two libraries each");
        table.push(Row::new(&work, "half of them", two, one, Unit::Time, REACH));
    }
    Ok(())
}

/// Makes the programs, each in a directory of its own in `dir`, with its libraries.
fn programs(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    need("cc")?;
    let made = |folder: &str| -> Result<Utf8PathBuf> {
        let folder = dir.join(folder);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let first = made("0")?;
    let [program, inner, outer] = ["program", "libinner.so", "libouter.so"];
    compile(&first, "int inner(void) { return 0; }", &["-shared", "-fPIC", "-o", inner])?;
    compile(&first, "int inner(void); int outer(void) { return inner(); }", &["-shared", "-fPIC", "-o", outer, inner])?;
    compile(&first, "int outer(void); int main(void) { return outer(); }", &["-o", program, outer])?;
    let mut programs = vec![first.join(program)];
    for number in 1..PROGRAMS {
        let folder = made(&number.to_string())?;
        for file in [program, inner, outer] {
            fs::copy(first.join(file), folder.join(file))?;
        }
        programs.push(folder.join(program));
    }
    Ok(programs)
}

/// Compiles a file that finds libraries in its own directory.
fn compile(folder: &Utf8Path, source: &str, args: &[&str]) -> Result<()> {
    let cc = command(["cc", "-x", "c", "-", "-x", "none", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed"]);
    cc.args(args.iter().copied()).dir(folder).stdin(source).run().map(drop)
}
