//! Facts of a watched thread, from /proc and its memory.

use std::fs;
use std::io::IoSliceMut;
use std::os::unix::ffi::OsStrExt;

use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// A thread's siblings, and the children of each.
pub(super) fn relatives(task: i32) -> Vec<i32> {
    let siblings = fs::read_dir(format!("/proc/{task}/task")).into_iter().flatten().flatten();
    let siblings: Vec<i32> = siblings.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let children = siblings.iter().flat_map(|sibling| {
        let text = fs::read_to_string(format!("/proc/{task}/task/{sibling}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    });
    children.chain(siblings.iter().copied()).collect()
}

/// Returns whether the thread exists and is no zombie.
pub(super) fn is_alive(task: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{task}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
}

/// The root directory of a thread; empty if it is this process's.
pub(super) fn root_of(task: Pid) -> Vec<u8> {
    let root = fs::read_link(format!("/proc/{task}/root")).map(|root| root.as_os_str().as_bytes().to_vec());
    root.ok().filter(|root| root != b"/").unwrap_or_default()
}

/// The text at `address` up to the NUL; `None` if it is unreadable, or longer than any path.
pub(super) fn text(task: Pid, address: u64) -> Option<Vec<u8>> {
    const PAGE: u64 = 4096;
    let mut text = Vec::new();
    let mut address = address;
    while text.len() < libc::PATH_MAX as usize {
        // The next page may not be mapped.
        let mut part = [0; 256];
        let length = part.len().min((PAGE - address % PAGE) as usize);
        let count = read(task, address, &mut part[..length])?;
        if let Some(end) = part[..count].iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&part[..end]);
            return Some(text);
        }
        text.extend_from_slice(&part[..count]);
        address += count as u64;
    }
    None
}

/// Reads the memory at `address` into `into`; returns the length.
pub(super) fn read(task: Pid, address: u64, into: &mut [u8]) -> Option<usize> {
    let remote = RemoteIoVec { base: usize::try_from(address).ok()?, len: into.len() };
    process_vm_readv(task, &mut [IoSliceMut::new(into)], &[remote]).ok().filter(|count| *count > 0)
}
