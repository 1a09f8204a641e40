//! The oldest glibc and Linux on which a closure runs, as a line of its tree and in its JSON.

use super::json_text::field;
use crate::resolve::{Closure, RunsOn};

/// Writes `    runs on glibc >= 2.34 (needed by /usr/bin/ls), Linux >= 3.2.0`, or nothing if neither is known.
pub(super) fn line(out: &mut Vec<u8>, closure: &Closure) {
    let RunsOn { glibc, kernel } = closure.runs_on;
    let mut lead: &[u8] = b"    runs on ";
    if let Some((release, by)) = glibc {
        out.extend_from_slice(lead);
        out.extend_from_slice(b"glibc >= ");
        numbers(out, release.numbers());
        out.extend_from_slice(b" (needed by ");
        out.extend_from_slice(closure.path(by).to_text().as_bytes());
        out.push(b')');
        lead = b", ";
    }
    if let Some((kernel, _)) = kernel {
        out.extend_from_slice(lead);
        out.extend_from_slice(b"Linux >= ");
        numbers(out, &<[u32; 3]>::from(kernel));
    }
    if glibc.is_some() || kernel.is_some() {
        out.push(b'\n');
    }
}

/// Writes the members `glibc` and `kernel`; an unknown one is null.
pub(super) fn members(out: &mut Vec<u8>, closure: &Closure) {
    let RunsOn { glibc, kernel } = closure.runs_on;
    out.extend_from_slice(b",\"glibc\":");
    member(out, closure, glibc.as_ref().map(|(release, by)| (release.numbers(), *by)));
    out.extend_from_slice(b",\"kernel\":");
    let kernel = kernel.map(|(kernel, by)| (<[u32; 3]>::from(kernel), by));
    member(out, closure, kernel.as_ref().map(|(kernel, by)| (&kernel[..], *by)));
}

fn member(out: &mut Vec<u8>, closure: &Closure, lowest: Option<(&[u32], Option<usize>)>) {
    let Some((lowest, by)) = lowest else { return out.extend_from_slice(b"null") };
    out.extend_from_slice(b"{\"lowest\":\"");
    numbers(out, lowest);
    field(out, b"\",\"needed_by\":", closure.path(by).as_bytes());
    out.push(b'}');
}

/// Writes numbers with dots between them. Each file has one or two such lines, so the speed matters.
fn numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    for (index, &number) in numbers.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        let mut power = 1;
        while number / power >= 10 {
            power *= 10;
        }
        while power > 0 {
            out.push(b'0' + (number / power % 10) as u8);
            power /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let mut out = Vec::new();
        numbers(&mut out, &[0, 10, 2036, u32::MAX]);
        assert_eq!(String::from_utf8(out).unwrap(), "0.10.2036.4294967295");
    }
}
