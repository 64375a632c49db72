//! Names with values that a whole fleet states alike, such as labels.
//!
//! A map of its own takes more memory in each worker's record than everything else there: a tree of two labels is
//! 384 bytes and five allocations. So a map is shared by those who were given the same one, and copied only by who
//! changes it. Nothing relies on the sharing: two equal maps are equal, shared or not.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map},
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Values by name. Cloning costs O(1); the first change after it copies the map.
#[derive(Clone)]
pub struct Facts<V>(
    /// `None`: nothing is stated, which costs nothing.
    Option<Arc<BTreeMap<Box<str>, V>>>,
);

impl<V> Deref for Facts<V> {
    type Target = BTreeMap<Box<str>, V>;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().unwrap_or(const { &BTreeMap::new() })
    }
}

impl<V: Clone> DerefMut for Facts<V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl<V> Default for Facts<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: PartialEq> PartialEq for Facts<V> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(two)) if Arc::ptr_eq(one, two) => true,
            _ => **self == **other,
        }
    }
}

impl<V: Eq> Eq for Facts<V> {}

impl<V: PartialOrd> PartialOrd for Facts<V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<V: Ord> Ord for Facts<V> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<V: fmt::Debug> fmt::Debug for Facts<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<V> From<BTreeMap<Box<str>, V>> for Facts<V> {
    fn from(map: BTreeMap<Box<str>, V>) -> Self {
        Self((!map.is_empty()).then(|| Arc::new(map)))
    }
}

impl<V> FromIterator<(Box<str>, V)> for Facts<V> {
    fn from_iter<I: IntoIterator<Item = (Box<str>, V)>>(items: I) -> Self {
        items.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl<'a, V> IntoIterator for &'a Facts<V> {
    type Item = (&'a Box<str>, &'a V);
    type IntoIter = btree_map::Iter<'a, Box<str>, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a thousand workers share their labels, and one of them loses a partition or states another label.
    #[test]
    fn who_changes_a_shared_map_changes_it_for_nobody_else() {
        let fleet: Facts<u8> = [("zone".into(), 1)].into_iter().collect();
        let mut one = fleet.clone();
        one.insert("rack".into(), 2);
        one.insert("zone".into(), 3);
        assert_eq!(fleet, Facts::from(BTreeMap::from([("zone".into(), 1)])));
        assert_eq!(one.iter().map(|(k, v)| (&**k, *v)).collect::<Vec<_>>(), [("rack", 2), ("zone", 3)]);
    }

    #[test]
    fn equal_is_what_states_the_same_whether_shared_or_not() {
        let made = || Facts::from(BTreeMap::from([("zone".into(), 1u8)]));
        let one = made();
        assert_eq!(one, one.clone());
        assert_eq!(one, made());
        let mut emptied = made();
        emptied.clear();
        assert_eq!((emptied, one == Facts::default()), (Facts::default(), false));
    }
}
