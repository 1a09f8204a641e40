//! One closure as one line of JSON, by the contract of `tree --message-format json`.
//!
//! Fields may be added, never changed. Later additions: `glibc` and `kernel`, each null or
//! `{"lowest":"2.34","needed_by":"/usr/bin/ls"}`, in objects without `error`; `may_open` and `opens_unnamed`, non-empty
//! results of a search for libraries without a note; `allowed_missing`, the libraries that `--allow-missing` leaves to
//! the target.

use super::json_text::field;
use super::runs_on;
use super::tree::skipped_text;
use crate::elf::Bytes;
use crate::resolve::{Closure, Loaded, Note, Opening, Skipped};

/// Writes the object for `file` (as typed) and a newline.
pub fn closure_json(out: &mut Vec<u8>, file: &str, closure: &Result<Closure, Skipped>) {
    out.extend_from_slice(b"{\"reason\":\"closure\"");
    field(out, b",\"file\":", file.as_bytes());
    match closure {
        Err(skipped) => {
            out.extend_from_slice(b",\"interpreter\":null,\"objects\":[],\"missing\":[]");
            field(out, b",\"error\":", skipped_text(skipped).as_bytes());
        }
        Ok(closure) => {
            match &closure.interpreter {
                Some((path, _)) => field(out, b",\"interpreter\":", path.as_bytes()),
                None => out.extend_from_slice(b",\"interpreter\":null"),
            }
            out.extend_from_slice(b",\"objects\":[");
            for (index, object) in closure.objects[..closure.at_start].iter().enumerate() {
                loaded(out, index == 0, object);
                out.push(b'}');
            }
            out.extend_from_slice(b"],\"missing\":[");
            for (index, missing) in closure.missing.iter().enumerate() {
                field(out, if index == 0 { b"{\"needed\":" } else { b",{\"needed\":" }, &missing.needed);
                field(out, b",\"needed_by\":", missing.needed_by.as_bytes());
                if let Some((path, why)) = &missing.bad {
                    field(out, b",\"path\":", path.as_bytes());
                    field(out, b",\"error\":", why.as_bytes());
                }
                if let Some(note) = &missing.opened {
                    field(out, b",\"priority\":", note.priority.as_str().as_bytes());
                }
                out.push(b'}');
            }
            opened(out, closure);
            notes(out, closure);
            variants(out, closure);
            given(out, closure);
            may_open(out, closure);
            runs_on::members(out, closure);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// An object without its closing brace.
fn loaded(out: &mut Vec<u8>, is_first: bool, object: &Loaded) {
    field(out, if is_first { b"{\"needed\":" } else { b",{\"needed\":" }, &object.needed);
    field(out, b",\"path\":", object.path.as_bytes());
    field(out, b",\"realpath\":", object.realpath.as_bytes());
    field(out, b",\"found_by\":", object.found_by.as_str().as_bytes());
}

/// The objects that dlopen notes add, each with the first object that needs it, and the note that names it, if any.
fn opened(out: &mut Vec<u8>, closure: &Closure) {
    out.extend_from_slice(b"],\"dlopen\":[");
    let added = &closure.objects[closure.at_start..];
    let mut reasons: Vec<Option<(Option<usize>, Option<&Note>)>> = vec![None; added.len()];
    let noted = closure.notes.iter().filter_map(|noted| match &noted.opening {
        Opening::Taken { object: Some(object), .. } => Some((noted.by, *object, Some(&*noted.note))),
        _ => None,
    });
    for (by, object, note) in noted.chain(closure.edges.iter().map(|(by, object)| (*by, *object, None))) {
        if let Some(reason) = object.checked_sub(closure.at_start).map(|object| &mut reasons[object]) {
            reason.get_or_insert((by, note));
        }
    }
    for (index, (object, reason)) in added.iter().zip(reasons).enumerate() {
        loaded(out, index == 0, object);
        if let Some((by, note)) = reason {
            field(out, b",\"needed_by\":", path(closure, by));
            note.into_iter().for_each(|note| said(out, note));
        }
        out.push(b'}');
    }
}

/// Every dlopen note, and its result.
fn notes(out: &mut Vec<u8>, closure: &Closure) {
    out.extend_from_slice(b"],\"dlopen_notes\":[");
    for (index, noted) in closure.notes.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"sonames\":[" } else { b",{\"sonames\":[" });
        for (index, name) in noted.note.sonames.iter().enumerate() {
            field(out, if index == 0 { b"" } else { b"," }, name);
        }
        out.push(b']');
        said(out, &noted.note);
        field(out, b",\"needed_by\":", path(closure, noted.by));
        match &noted.opening {
            Opening::Taken { soname, object } => {
                field(out, b",\"taken\":true,\"needed\":", &noted.note.sonames[*soname]);
                field(out, b",\"path\":", path(closure, *object));
            }
            Opening::LeftOut => out.extend_from_slice(b",\"taken\":false,\"why\":\"left out\""),
            Opening::NotFound(missing) => {
                out.extend_from_slice(b",\"taken\":false,\"why\":\"not found\",\"lacks\":[");
                let lacks: Vec<&Bytes> = missing.iter().map(|missing| &missing.needed).collect();
                for (index, name) in lacks.iter().enumerate() {
                    field(out, if index == 0 { b"" } else { b"," }, name);
                }
                out.push(b']');
            }
        }
        out.push(b'}');
    }
    for (index, (by, why)) in closure.bad_notes.iter().enumerate() {
        let is_first = closure.notes.is_empty() && index == 0;
        field(out, if is_first { b"{\"needed_by\":" } else { b",{\"needed_by\":" }, path(closure, *by));
        field(out, b",\"taken\":false,\"error\":", why.as_bytes());
        out.push(b'}');
    }
    out.push(b']');
}

/// The additional objects that better hardware maps; `hwcaps` is the subdirectory, or null for an object that only a
/// variant needs.
fn variants(out: &mut Vec<u8>, closure: &Closure) {
    if closure.variants.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"hwcaps\":[");
    for (index, object) in closure.variants.iter().enumerate() {
        loaded(out, index == 0, object);
        match &object.hwcaps {
            Some(level) => field(out, b",\"hwcaps\":", level),
            None => out.extend_from_slice(b",\"hwcaps\":null"),
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// The libraries that may be opened without a note, and the objects that call dlopen(3) without a known name, if both
/// were searched.
fn may_open(out: &mut Vec<u8>, closure: &Closure) {
    if !closure.may_open.is_empty() {
        out.extend_from_slice(b",\"may_open\":[");
        for (index, it) in closure.may_open.iter().enumerate() {
            loaded(out, index == 0, &it.library);
            field(out, b",\"named_by\":", path(closure, it.by));
            out.push(b'}');
        }
        out.push(b']');
    }
    if !closure.opens_unnamed.is_empty() {
        out.extend_from_slice(b",\"opens_unnamed\":[");
        for (index, by) in closure.opens_unnamed.iter().enumerate() {
            field(out, if index == 0 { b"" } else { b"," }, path(closure, *by));
        }
        out.push(b']');
    }
}

/// Libraries that the target provides, by `--allow-missing`.
fn given(out: &mut Vec<u8>, closure: &Closure) {
    if closure.given.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"allowed_missing\":[");
    for (index, it) in closure.given.iter().enumerate() {
        field(out, if index == 0 { b"{\"needed\":" } else { b",{\"needed\":" }, &it.needed);
        field(out, b",\"needed_by\":", it.needed_by.as_bytes());
        out.push(b'}');
    }
    out.push(b']');
}

/// The contents of a note besides its sonames.
fn said(out: &mut Vec<u8>, note: &Note) {
    field(out, b",\"priority\":", note.priority.as_str().as_bytes());
    note.feature.iter().for_each(|text| field(out, b",\"feature\":", text.as_bytes()));
    note.description.iter().for_each(|text| field(out, b",\"description\":", text.as_bytes()));
}

fn path(closure: &Closure, object: Option<usize>) -> &[u8] {
    object.map_or(&closure.realpath, |object| &closure.objects[object].path).as_bytes()
}
