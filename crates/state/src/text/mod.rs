//! Short texts as keys, and tables by them: what requests find routes and sandboxes by.
//!
//! Nearly all segments of paths and most hosts are short. They are kept where the table has them: a look-up then
//! touches one place in memory less, which is most of what it costs where there are very many routes.

pub(crate) mod trie;

use std::{fmt, hash::Hasher};
use trie::Trie;

/// A text that is compared by its bytes.
#[derive(Clone)]
pub(crate) enum Text {
    Short { length: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<[u8]>),
}

const SHORT_MAX: usize = 30;

impl Text {
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { length: text.len() as u8, bytes } // at most SHORT_MAX
            }
            None => Self::Long(text.as_bytes().into()),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// Values by a text, for look-ups only. Cloning costs at most [`FEW`] clones of a value.
#[derive(Clone)]
pub(crate) enum Table<V> {
    Few(Vec<(Text, V)>),
    /// Never walked through in its own order, which is nobody's.
    Many(Trie<V>),
}

/// As many are compared one by one.
const FEW: usize = 8;

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<V: Clone> Table<V> {
    pub fn get(&self, key: &str) -> Option<&V> {
        let key = key.as_bytes();
        match self {
            Self::Few(few) => few.iter().find(|(known, _)| known.as_bytes() == key).map(|(_, value)| value),
            Self::Many(many) => many.get(key),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.len() == 0,
        }
    }

    /// Changes what is under a key, which begins as what is empty; if `change` says that it is empty again, it goes.
    pub fn change(&mut self, key: &str, empty: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> Left) {
        if self.get(key).is_none() {
            self.insert(Text::new(key), empty());
        }
        let left = match self {
            Self::Few(few) => {
                few.iter_mut().find(|(known, _)| known.as_bytes() == key.as_bytes()).map(|(_, value)| value)
            }
            Self::Many(many) => many.get_mut(key.as_bytes()),
        }
        .map(change);
        if left == Some(Left::Nothing) {
            self.remove(key);
        }
    }

    fn insert(&mut self, key: Text, value: V) {
        match self {
            Self::Few(few) if few.len() < FEW => few.push((key, value)),
            Self::Few(few) => {
                let mut many = Trie::default();
                few.drain(..).chain([(key, value)]).for_each(|(key, value)| many.add(key, value));
                *self = Self::Many(many);
            }
            Self::Many(many) => many.add(key, value),
        }
    }

    fn remove(&mut self, key: &str) {
        match self {
            Self::Few(few) => few.retain(|(known, _)| known.as_bytes() != key.as_bytes()),
            Self::Many(many) => {
                many.remove(key.as_bytes());
                // Less than would become many again with the next change or two.
                if many.len() <= FEW / 2 {
                    *self = Self::Few(
                        many.all().into_iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
                    );
                }
            }
        }
    }

    /// All of them, sorted by their texts.
    pub fn sorted(&self) -> Vec<(String, &V)> {
        let mut all: Vec<_> = match self {
            Self::Few(few) => few.iter().map(|(key, value)| (key.to_string(), value)).collect(),
            Self::Many(many) => many.all().into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
        };
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// What a change has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Something,
    Nothing,
}

/// A fixed hash: the same on every node and in every run. Keys come from routes and sandboxes, never from requests, so
/// nobody but an operator can choose ones that collide; those make one leaf longer, and no answer wrong.
#[derive(Clone, Copy, Default)]
struct Mixer(u64);

impl Mixer {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        self.add(u64::from_le_bytes(last));
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_what_it_is_given_however_many() {
        let long = "x".repeat(40);
        let keys: Vec<String> = (0..200).map(|n| format!("k{n}")).chain([String::new(), long]).collect();
        let mut table = Table::<usize>::default();
        for (nth, key) in keys.iter().enumerate() {
            let set = |value: &mut usize| {
                *value = nth;
                Left::Something
            };
            table.change(key, || usize::MAX, set);
            assert!(keys[..=nth].iter().enumerate().all(|(nth, key)| table.get(key) == Some(&nth)), "{key}");
        }
        assert_eq!((table.get("k200"), table.sorted().len()), (None, keys.len()));
        for key in &keys {
            table.change(key, || usize::MAX, |_| Left::Nothing);
            assert_eq!(table.get(key), None);
        }
        assert!(table.is_empty() && table.sorted().is_empty());
        table.change("none", || 0, |_| Left::Nothing);
        assert!(table.is_empty());
    }
}
