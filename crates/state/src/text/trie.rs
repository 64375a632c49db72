//! A persistent table by short texts, made for look-ups among very many.
//!
//! What a look-up costs there is how often it waits for memory that no cache has, one load after the other. A general
//! hash trie keeps a few values in each of very many wide nodes, so each of its last levels is a wait, and most of the
//! memory is air. Here forks are narrow and few, so caches have them; a leaf has up to [`FULL`] texts, one after the
//! other, and a byte of each one's hash in front. That makes two waits: for these bytes, and for the text.
//!
//! A change copies the forks above a leaf, and the leaf: a bounded number of reference counts, however many texts there
//! are.

use super::{Mixer, Text};
use std::{fmt, hash::Hasher, sync::Arc};

/// Values by text.
#[derive(Clone)]
pub(crate) struct Trie<V> {
    root: Twig<V>,
    count: usize,
}

#[derive(Clone)]
enum Twig<V> {
    Leaf(Arc<Leaf<V>>),
    /// By the next bits of the hash.
    Fork(Arc<[Twig<V>; WIDTH]>),
}

/// In one line of a cache.
#[derive(Clone)]
#[repr(align(64))]
struct Leaf<V> {
    /// A byte of the hash of each of the first entries, eight in a word, beginning with the lowest byte.
    tags: [u64; FULL / 8],
    entries: Box<[Entry<V>]>,
}

/// A text and its value, in one line of a cache where the value is small enough, as those of the index are.
#[derive(Clone)]
#[repr(align(64))]
struct Entry<V> {
    key: Text,
    value: V,
}

/// A leaf that would have more becomes a fork.
const FULL: usize = 48;
const WIDTH: usize = 8;
const BITS: u32 = 3;
/// So many forks use the hash up. A leaf there has as many entries as share it.
const DEPTH_MAX: u32 = u64::BITS / BITS;

/// The lowest and the highest bit of each byte.
const LOW: u64 = u64::MAX / 255;
const HIGH: u64 = LOW << 7;

fn hash(key: &[u8]) -> u64 {
    let mut mixer = Mixer::default();
    mixer.write(key);
    mixer.write_usize(key.len());
    mixer.finish()
}

/// The bits that forks use last.
fn tag(hash: u64) -> u8 {
    hash.to_be_bytes()[0]
}

fn branch(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize % WIDTH
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: Twig::default(), count: 0 }
    }
}

impl<V> Default for Twig<V> {
    fn default() -> Self {
        Self::Leaf(Arc::new(Leaf { tags: [0; FULL / 8], entries: Box::default() }))
    }
}

/// Its order is nobody's, so it is not shown.
impl<V> fmt::Debug for Trie<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} texts", self.count)
    }
}

impl<V: Clone> Trie<V> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let hash = hash(key);
        let (mut twig, mut bits) = (&self.root, hash);
        loop {
            match twig {
                Twig::Fork(fork) => {
                    twig = &fork[bits as usize % WIDTH];
                    bits >>= BITS;
                }
                Twig::Leaf(leaf) => return leaf.find(tag(hash), key).map(|at| &leaf.entries[at].value),
            }
        }
    }

    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.get(key)?;
        let hash = hash(key);
        let leaf = self.root.leaf_mut(hash);
        let at = leaf.find(tag(hash), key)?;
        leaf.entries.get_mut(at).map(|entry| &mut entry.value)
    }

    /// Adds a text that is not there.
    pub fn add(&mut self, key: Text, value: V) {
        let hash = hash(key.as_bytes());
        self.root.add((hash, 0), Entry { key, value });
        self.count += 1;
    }

    pub fn remove(&mut self, key: &[u8]) {
        if self.get(key).is_none() {
            return;
        }
        let hash = hash(key);
        let leaf = self.root.leaf_mut(hash);
        if let Some(at) = leaf.find(tag(hash), key) {
            let mut entries = std::mem::take(&mut leaf.entries).into_vec();
            entries.swap_remove(at);
            leaf.entries = entries.into();
            leaf.tag_all();
            self.count -= 1;
        }
    }

    /// All of them, in no order that means anything.
    pub fn all(&self) -> Vec<(&Text, &V)> {
        let (mut all, mut twigs) = (Vec::with_capacity(self.count), vec![&self.root]);
        while let Some(twig) = twigs.pop() {
            match twig {
                Twig::Leaf(leaf) => all.extend(leaf.entries.iter().map(|one| (&one.key, &one.value))),
                Twig::Fork(fork) => twigs.extend(fork.iter()),
            }
        }
        all
    }
}

impl<V: Clone> Twig<V> {
    fn leaf_mut(&mut self, hash: u64) -> &mut Leaf<V> {
        let (mut twig, mut depth) = (self, 0);
        loop {
            match twig {
                Self::Leaf(leaf) => return Arc::make_mut(leaf),
                Self::Fork(fork) => twig = &mut Arc::make_mut(fork)[branch(hash, depth)],
            }
            depth += 1;
        }
    }

    fn add(&mut self, (hash, depth): (u64, u32), entry: Entry<V>) {
        match self {
            Self::Fork(fork) => {
                Arc::make_mut(fork)[branch(hash, depth)].add((hash, depth + 1), entry);
            }
            Self::Leaf(leaf) if leaf.entries.len() < FULL || depth == DEPTH_MAX => {
                Arc::make_mut(leaf).push(tag(hash), entry);
            }
            Self::Leaf(leaf) => {
                let entries = leaf.entries.clone();
                *self = Self::Fork(Arc::new(std::array::from_fn(|_| Self::default())));
                for old in entries.into_iter().chain([entry]) {
                    self.add((hash_of(&old), depth), old);
                }
            }
        }
    }
}

fn hash_of<V>(entry: &Entry<V>) -> u64 {
    hash(entry.key.as_bytes())
}

impl<V> Leaf<V> {
    /// Where a text is.
    fn find(&self, tag: u8, key: &[u8]) -> Option<usize> {
        let is_it = |entry: &Entry<V>| entry.key.as_bytes() == key;
        if self.entries.len() > FULL {
            return self.entries.iter().position(is_it);
        }
        let sought = u64::from(tag) * LOW;
        for (nth, word) in self.tags.iter().enumerate() {
            // Marks each byte that is the tag; and perhaps, behind one that is, one that is not.
            let other = word ^ sought;
            let mut marks = other.wrapping_sub(LOW) & !other & HIGH;
            while marks != 0 {
                let at = nth * 8 + marks.trailing_zeros() as usize / 8;
                if self.entries.get(at).is_some_and(is_it) {
                    return Some(at);
                }
                marks &= marks - 1;
            }
        }
        None
    }

    fn push(&mut self, tag: u8, entry: Entry<V>) {
        self.note(self.entries.len(), tag);
        let mut entries = std::mem::take(&mut self.entries).into_vec();
        entries.reserve_exact(1);
        entries.push(entry);
        self.entries = entries.into();
    }

    fn note(&mut self, at: usize, tag: u8) {
        if let Some(word) = self.tags.get_mut(at / 8) {
            *word |= u64::from(tag) << (at % 8 * 8);
        }
    }

    fn tag_all(&mut self) {
        self.tags = [0; FULL / 8];
        for at in 0..self.entries.len() {
            self.note(at, tag(hash_of(&self.entries[at])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sorted(trie: &Trie<usize>) -> Vec<(String, usize)> {
        let mut all: Vec<_> = trie.all().into_iter().map(|(key, value)| (key.to_string(), *value)).collect();
        all.sort();
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A model of it, and an old version that must not change.
        #[test]
        fn it_is_what_a_map_is(
            steps in proptest::collection::vec((0_usize..600, any::<bool>()), 0..2_000),
        ) {
            let (mut trie, mut map) = (Trie::default(), BTreeMap::new());
            let mut old = (trie.clone(), sorted(&trie));
            for (nth, (number, is_put)) in steps.into_iter().enumerate() {
                let key = if number % 7 == 0 { format!("{number}{}", "-".repeat(40)) } else { number.to_string() };
                if is_put || nth < 800 {
                    match trie.get_mut(key.as_bytes()) {
                        Some(value) => *value = nth,
                        None => trie.add(Text::new(&key), nth),
                    }
                    map.insert(key, nth);
                } else {
                    trie.remove(key.as_bytes());
                    map.remove(&key);
                }
                if nth == 900 {
                    old = (trie.clone(), sorted(&trie));
                }
            }
            prop_assert_eq!(trie.len(), map.len());
            for number in 0..600 {
                let key = number.to_string();
                prop_assert_eq!(trie.get(key.as_bytes()), map.get(&key));
            }
            prop_assert_eq!(sorted(&trie), map.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(sorted(&old.0), old.1);
        }
    }

    /// Each more would be another wait.
    #[test]
    fn a_leaf_is_one_line_of_a_cache() {
        assert_eq!((size_of::<Leaf<[u64; 4]>>(), size_of::<Entry<[u64; 4]>>()), (64, 64));
    }

    /// Texts that share their whole hash can't be told apart by forks.
    #[test]
    fn texts_of_one_hash_share_a_leaf() {
        let mut twig = Twig::default();
        let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
        for (nth, key) in keys.iter().enumerate() {
            // As if they did, at the last level.
            twig.add((7, DEPTH_MAX), Entry { key: Text::new(key), value: nth });
        }
        let Twig::Leaf(leaf) = &twig else { panic!("it has split") };
        for (nth, key) in keys.iter().enumerate() {
            assert_eq!(leaf.find(tag(7), key.as_bytes()), Some(nth), "{key}");
        }
        assert_eq!(leaf.find(tag(7), b"k100"), None);
    }
}
