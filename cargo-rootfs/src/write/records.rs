//! Records in a directory of the user's cache: small JSON texts by key, bounded in number.
//!
//! A damaged or misplaced record is not found. Nothing fails: without a record, its content is made again.

use std::fs::{self, File, FileTimes};
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::layer::digest_of;

/// The record with this key. `format` names the format of its content, and is part of its checksum.
pub(crate) fn find(directory: &Path, format: &str, key: &str) -> Option<Value> {
    let mut file = File::open(directory.join(key)).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let mut record: Value = serde_json::from_str(&text).ok()?;
    if record["check"] != check(format, key, &record["content"]).as_str() {
        return None;
    }
    // The new time protects the record from removal.
    let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
    Some(record["content"].take())
}

/// Writes a record. Beyond `most` records, the least recently used quarter is removed.
pub(crate) fn write(directory: &Path, format: &str, key: &str, content: &Value, most: usize) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    let record = json!({ "check": check(format, key, content), "content": content }).to_string();
    let mut file = tempfile::Builder::new().prefix(".").tempfile_in(directory)?;
    file.write_all(record.as_bytes())?;
    file.persist(directory.join(key))?;
    prune(directory, most)
}

fn prune(directory: &Path, most: usize) -> std::io::Result<()> {
    let mut records = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        records.push((entry.metadata()?.modified()?, entry.path()));
    }
    if records.len() > most {
        records.sort();
        for (_, path) in &records[..records.len() - most * 3 / 4] {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The digest of a record and its key.
fn check(format: &str, key: &str, content: &Value) -> String {
    digest_of(format!("{format}\n{key}\n{content}"))
}
