//! `mime.cache`: what the text files say, for programs that map it and look things up where they lie. Qt reads nothing
//! else.
//!
//! It is made of counts and offsets of 32 bits, big endian; what a table points to is written before it.

use std::collections::BTreeMap;

use super::{Database, Glob, Match};

/// The version, and where the lists are: those below, in their order.
const HEAD: usize = 10 * 4;

/// 1.2
const VERSION: u32 = 0x0001_0002;

/// Beside the weight of a glob.
const CASE_SENSITIVE: u32 = 0x100;

/// The file, of a database whose magic is sorted.
pub(super) fn bytes(database: &Database) -> Vec<u8> {
    let mut cache = Cache { bytes: vec![0; HEAD], texts: BTreeMap::new() };
    let mut parents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (of, parent) in &database.subclasses {
        parents.entry(of).or_default().push(parent);
    }
    let mut literals: Vec<&Glob> = database.globs.iter().filter(|glob| !is_wild(&glob.pattern)).collect();
    literals.sort_by_key(|glob| &glob.pattern);
    let is_full = |glob: &&Glob| is_wild(&glob.pattern) && suffix(&glob.pattern).is_none();
    let full: Vec<&Glob> = database.globs.iter().filter(is_full).collect();
    let lists = [
        VERSION,
        cache.pairs(&database.aliases),
        cache.parents(&parents),
        cache.globs(&literals),
        cache.suffixes(&database.globs),
        cache.globs(&full),
        cache.magic(database),
        cache.namespaces(&database.namespaces),
        cache.pairs(&database.icons),
        cache.pairs(&database.generic_icons),
    ];
    for (place, word) in cache.bytes.chunks_exact_mut(4).zip(lists) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    cache.bytes
}

fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// What a name must end with, where that is all that a pattern says.
fn suffix(pattern: &str) -> Option<&str> {
    pattern.strip_prefix('*').filter(|rest| !rest.is_empty() && !is_wild(rest))
}

struct Cache {
    bytes: Vec<u8>,
    /// Where texts are that were written.
    texts: BTreeMap<String, u32>,
}

/// How many there are, and where the first is.
type Row = (u32, u32);

impl Cache {
    fn words(&mut self, words: impl IntoIterator<Item = u32>) -> u32 {
        let at = count(self.bytes.len());
        self.bytes.extend(words.into_iter().flat_map(u32::to_be_bytes));
        at
    }

    fn row<const N: usize>(&mut self, rows: &[[u32; N]]) -> Row {
        (count(rows.len()), self.words(rows.iter().flatten().copied()))
    }

    /// A count, and the rows behind it.
    fn list<const N: usize>(&mut self, rows: &[[u32; N]]) -> u32 {
        self.words([count(rows.len())].into_iter().chain(rows.iter().flatten().copied()))
    }

    fn data(&mut self, bytes: &[u8]) -> u32 {
        let at = count(self.bytes.len());
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        at
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(at) = self.texts.get(text) {
            return *at;
        }
        let at = self.data(&[text.as_bytes(), b"\0"].concat());
        self.texts.insert(text.to_owned(), at);
        at
    }

    fn pairs(&mut self, pairs: &BTreeMap<String, String>) -> u32 {
        let rows: Vec<_> = pairs.iter().map(|(a, b)| [self.text(a), self.text(b)]).collect();
        self.list(&rows)
    }

    fn parents(&mut self, parents: &BTreeMap<&str, Vec<&str>>) -> u32 {
        let mut rows = Vec::new();
        for (of, parents) in parents {
            let parents: Vec<_> = parents.iter().map(|parent| [self.text(parent)]).collect();
            rows.push([self.text(of), self.list(&parents)]);
        }
        self.list(&rows)
    }

    fn globs(&mut self, globs: &[&Glob]) -> u32 {
        let rows: Vec<_> =
            globs.iter().map(|glob| [self.text(&glob.pattern), self.text(&glob.of), weight(glob)]).collect();
        self.list(&rows)
    }

    /// A tree of characters, from the last one on.
    fn suffixes(&mut self, globs: &[Glob]) -> u32 {
        let mut suffixes = Vec::new();
        for glob in globs {
            suffixes.extend(suffix(&glob.pattern).map(|end| (end.chars().rev().collect::<Vec<char>>(), glob)));
        }
        // Those of the same suffix stay in their order.
        suffixes.sort_by(|a, b| a.0.cmp(&b.0));
        let (roots, first) = self.suffixes_from(&suffixes, 0);
        self.words([roots, first])
    }

    fn suffixes_from(&mut self, suffixes: &[(Vec<char>, &Glob)], depth: usize) -> Row {
        let mut rows = Vec::new();
        for alike in suffixes.chunk_by(|a, b| a.0.get(depth) == b.0.get(depth)) {
            match alike[0].0.get(depth) {
                Some(character) => {
                    let (children, first) = self.suffixes_from(alike, depth + 1);
                    rows.push([u32::from(*character), children, first]);
                }
                None => rows.extend(alike.iter().map(|(_, glob)| [0, self.text(&glob.of), weight(glob)])),
            }
        }
        self.row(&rows)
    }

    fn magic(&mut self, database: &Database) -> u32 {
        let mut rows = Vec::new();
        for magic in &database.magic {
            let (matches, first) = self.matches(&magic.matches);
            rows.push([magic.priority, self.text(&magic.of), matches, first]);
        }
        let extent = database.magic.iter().map(|magic| extent(&magic.matches)).max().unwrap_or_default();
        let (count, first) = self.row(&rows);
        self.words([count, extent, first])
    }

    fn matches(&mut self, matches: &[Match]) -> Row {
        if matches.is_empty() {
            return (0, 0);
        }
        let mut rows = Vec::new();
        for it in matches {
            let (inner, first) = self.matches(&it.inner);
            let (value, mask) = (self.data(&it.value), it.mask.as_ref().map_or(0, |mask| self.data(mask)));
            rows.push([it.start, it.range, it.word, count(it.value.len()), value, mask, inner, first]);
        }
        self.row(&rows)
    }

    fn namespaces(&mut self, namespaces: &BTreeMap<String, String>) -> u32 {
        let mut rows = Vec::new();
        for (key, of) in namespaces {
            let (space, name) = key.split_once(' ').unwrap_or((key, ""));
            rows.push([self.text(space), self.text(name), self.text(of)]);
        }
        self.list(&rows)
    }
}

fn weight(glob: &Glob) -> u32 {
    glob.weight | if glob.is_case_sensitive { CASE_SENSITIVE } else { 0 }
}

/// How much of a file must be read to decide on all matches.
fn extent(matches: &[Match]) -> u32 {
    let of =
        |it: &Match| it.start.saturating_add(it.range).saturating_add(count(it.value.len())).max(extent(&it.inner));
    matches.iter().map(of).max().unwrap_or_default()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = "<mime-info>
        <mime-type type='text/x-a'>
            <alias type='text/a'/><sub-class-of type='text/plain'/><sub-class-of type='text/x-b'/>
            <icon name='i'/><root-XML namespaceURI='urn:a' localName='n'/>
            <glob pattern='*.ab' weight='60'/><glob pattern='Makefile' case-sensitive='true'/><glob pattern='a*b'/>
        </mime-type>
        <mime-type type='text/x-b'>
            <glob pattern='*.ab'/><glob pattern='*.b'/>
            <magic priority='80'>
                <match type='string' value='xyz' mask='0xff' offset='2:4'><match type='host16' value='1' offset='9'/></match>
            </magic>
        </mime-type></mime-info>";

    /// Reads as programs do, from offset to offset.
    struct Reader(Vec<u8>);

    impl Reader {
        fn words<const N: usize>(&self, at: u32) -> [u32; N] {
            let at = at as usize;
            let word = |index: usize| self.0[at + 4 * index..at + 4 * index + 4].try_into().unwrap();
            std::array::from_fn(|index| u32::from_be_bytes(word(index)))
        }

        fn list<const N: usize>(&self, number: u32) -> Vec<[u32; N]> {
            let [at] = self.words(4 * number);
            self.list_at(at)
        }

        fn list_at<const N: usize>(&self, at: u32) -> Vec<[u32; N]> {
            let [count] = self.words(at);
            (0..count).map(|row| self.words(at + 4 + row * 4 * N as u32)).collect()
        }

        fn text(&self, at: u32) -> &str {
            let bytes = &self.0[at as usize..];
            std::str::from_utf8(&bytes[..bytes.iter().position(|byte| *byte == 0).unwrap()]).unwrap()
        }

        fn texts(&self, number: u32) -> Vec<String> {
            self.list::<2>(number).iter().map(|row| row.map(|at| self.text(at)).join(" ")).collect()
        }

        /// The types of a name's longest suffix that is known.
        fn by_suffix(&self, name: &str) -> Vec<(&str, u32)> {
            let [tree] = self.words(16);
            let [mut count, mut first] = self.words(tree);
            let mut found = Vec::new();
            for character in name.chars().rev().map(Some).chain([None]) {
                let rows: Vec<[u32; 3]> = (0..count).map(|row| self.words(first + 12 * row)).collect();
                let leaves: Vec<_> = rows.iter().filter(|row| row[0] == 0).collect();
                if !leaves.is_empty() {
                    found = leaves.iter().map(|leaf| (self.text(leaf[1]), leaf[2])).collect();
                }
                let next = rows.iter().find(|row| character.is_some_and(|it| row[0] == u32::from(it)));
                let Some([_, below, at]) = next else { break };
                (count, first) = (*below, *at);
            }
            found
        }
    }

    fn read(package: &str) -> Reader {
        let mut database = Database::default();
        database.add(package);
        Reader(bytes(&database))
    }

    #[test]
    fn a_name_has_the_types_of_its_suffix() {
        let cache = read(PACKAGE);
        assert_eq!(cache.words(0), [VERSION]);
        assert_eq!(cache.by_suffix("x.ab"), [("text/x-a", 60), ("text/x-b", 50)]);
        assert_eq!(cache.by_suffix("x.b"), [("text/x-b", 50)]);
        assert_eq!(cache.by_suffix("ab"), []);
        let globs = |number| -> Vec<_> {
            let rows = cache.list::<3>(number).into_iter();
            rows.map(|[pattern, of, weight]| (cache.text(pattern), cache.text(of), weight)).collect()
        };
        assert_eq!(globs(3), [("Makefile", "text/x-a", 50 | CASE_SENSITIVE)]);
        assert_eq!(globs(5), [("a*b", "text/x-a", 50)]);
    }

    #[test]
    fn other_lists_are_found_by_their_offsets() {
        let cache = read(PACKAGE);
        assert_eq!(cache.texts(1), ["text/a text/x-a"]);
        assert_eq!(cache.texts(8), ["text/x-a i"]);
        assert_eq!(cache.texts(9), [""; 0]);
        assert_eq!(cache.list::<3>(7)[0].map(|at| cache.text(at)), ["urn:a", "n", "text/x-a"]);
        let [of, parents] = cache.list::<2>(2)[0];
        let parents: Vec<&str> = cache.list_at::<1>(parents).iter().map(|[at]| cache.text(*at)).collect();
        assert_eq!((cache.text(of), parents), ("text/x-a", vec!["text/plain", "text/x-b"]));
    }

    #[test]
    fn magic_is_a_tree() {
        let cache = read(PACKAGE);
        let [at] = cache.words(4 * 6);
        let [count, extent, first] = cache.words(at);
        assert_eq!((count, extent), (1, 9 + 1 + 2));
        let [priority, of, matches, first] = cache.words(first);
        assert_eq!((priority, cache.text(of), matches), (80, "text/x-b", 1));
        let [start, range, word, length, value, mask, inner, first] = cache.words(first);
        assert_eq!((start, range, word, length, inner), (2, 3, 1, 3, 1));
        assert_eq!(&cache.0[value as usize..][..3], b"xyz");
        assert_eq!(&cache.0[mask as usize..][..3], b"\xff\0\0");
        let [start, range, word, length, value, mask, inner, _] = cache.words(first);
        assert_eq!((start, range, word, length, mask, inner), (9, 1, 2, 2, 0, 0));
        assert_eq!(&cache.0[value as usize..][..2], [0, 1]);
    }
}
