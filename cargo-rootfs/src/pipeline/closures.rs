//! `tree` of many files on two cores: one thread begins at the first file, one at the last, and they meet.
//!
//! What is done with a file is the caller's; the answers come in the order of the files.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Fewer files are done sooner than another thread is ready.
const ENOUGH: usize = 24;
/// How much the other thread puts by, which nobody takes before this one is done. One that has put by more ends.
const ENOUGH_TEXT: usize = 4 << 20;

/// Whether it is worth it for so many files.
pub(super) fn is_worthwhile(files: usize) -> bool {
    files >= ENOUGH && crate::sysroot::cores() > 1
}

/// Calls `here` for the files from the first on, in this thread, while `there` does the last ones in another; gives
/// what that has put by, in the order of the files. An error ends this thread's part.
pub(super) fn meet<S: Send, E>(
    files: usize,
    other: Option<S>,
    mut here: impl FnMut(usize) -> Result<(), E>,
    there: impl Fn(&mut S, usize) -> Vec<u8> + Send + Sync,
) -> Result<Vec<Vec<u8>>, E> {
    let taken = AtomicUsize::new(0);
    let is_any_left = || taken.fetch_add(1, Ordering::Relaxed) < files;
    let from_the_end = |mut state: S| {
        let (mut texts, mut length) = (Vec::new(), 0);
        while length < ENOUGH_TEXT && is_any_left() {
            let text = there(&mut state, files - 1 - texts.len());
            length += text.len();
            texts.push(text);
        }
        // As in the caller: the process is about to end.
        std::mem::forget(state);
        texts.reverse();
        texts
    };
    thread::scope(|scope| {
        let spawn = |state| thread::Builder::new().spawn_scoped(scope, || from_the_end(state)).ok();
        let other = other.and_then(spawn);
        let mut next = 0;
        while is_any_left() {
            here(next)?;
            next += 1;
        }
        Ok(other.map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::meet;

    #[test]
    fn every_file_is_done_once_and_in_order() {
        for files in [0, 1, 2, 3, 100] {
            for other in [None, Some(())] {
                let mut first = Vec::new();
                let here = |index: usize| {
                    first.push(index.to_string().into_bytes());
                    Ok::<(), ()>(())
                };
                let rest = meet(files, other, here, |(), index| index.to_string().into_bytes()).unwrap();
                let expected: Vec<_> = (0..files).map(|index| index.to_string().into_bytes()).collect();
                assert_eq!([first, rest].concat(), expected);
            }
        }
    }

    #[test]
    fn what_is_put_by_has_a_bound() {
        let mut count = 0;
        let here = |_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            count += 1;
            Ok::<(), ()>(())
        };
        let rest = meet(64, Some(()), here, |(), _| vec![0; 1 << 20]).unwrap();
        assert!(rest.len() <= 4, "{}", rest.len());
        assert_eq!(count + rest.len(), 64);
    }
}
