//! Parts of messages that more than one room writes: a guess at a misspelt name.
//!
//! What a message is about is the caller's.

/// The one of `known` that `typed` was most likely meant to be: `bash` for `bahs`.
///
/// A neighbour swapped, a letter more, less or another counts one each; one such edit is allowed, two from six letters
/// on. Where nothing is spelt that nearly, the shortest that goes on where `typed` ends: `docker-import` for `docker`.
pub(crate) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = typed.chars().count();
    let allowed = (length / 3).clamp(1, 2);
    let mut near: Option<(usize, f64, &str)> = None;
    let mut longer: Option<&str> = None;
    for word in known {
        if length > 2 && word.starts_with(typed) && longer.is_none_or(|best| word.len() < best.len()) {
            longer = Some(word);
        }
        // No distance is less than this difference, and it is cheaper.
        if word.len().abs_diff(typed.len()) > 4 * allowed {
            continue;
        }
        let distance = strsim::osa_distance(typed, word);
        if distance > allowed || distance >= length.max(1) {
            continue;
        }
        // Of words as far away, the one with swapped letters, and then the one that begins alike.
        let swaps = strsim::levenshtein(typed, word) - distance;
        let likeness = swaps as f64 + strsim::jaro_winkler(typed, word);
        let is_nearer = |(best, best_likeness, _)| distance < best || distance == best && likeness > best_likeness;
        if near.is_none_or(is_nearer) {
            near = Some((distance, likeness, word));
        }
    }
    near.map(|(.., word)| word).or(longer)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn one_good_guess() {
        let tools = "as bash dash dot git gtk less ls python3 rbash rsync rsyncd tabs vim.basic vim.tiny".split(' ');
        for (typed, expected) in [
            ("bahs", Some("bash")),
            ("rsnyc", Some("rsync")),
            ("gti", Some("git")),
            ("pyhton3", Some("python3")),
            ("python", Some("python3")),
            ("vim", Some("vim.tiny")),
            ("bash", Some("bash")),
            ("x", None),
            ("", None),
            ("cargo", None),
            ("\u{e9}\u{e9}", None),
        ] {
            assert_eq!(nearest(typed, tools.clone()), expected, "{typed}");
        }
        // Two edits are one too many in a short word.
        assert_eq!(nearest("abcde", ["axcdx"]), None);
        assert_eq!(nearest("abcdef", ["axcdex"]), Some("axcdex"));
    }
}
