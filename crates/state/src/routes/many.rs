//! Many routes at one place of the index, which nothing but headers, query and method tells apart.
//!
//! Thousands of tenants may share path and host and be told by the value of a header. Those are found by that value, so
//! that the others are not looked at: what a route asks of a request's headers holds only if the first value that it
//! asks for by name is among those that the request has.

use super::{list::Head, rank::Entry};
use crate::text::{Left, Table};
use imbl::OrdSet;
use quorate_model::route::ValueMatch;

/// Calls back with each value that a request has of a header.
pub type HeaderValues<'h> = dyn Fn(&str, &mut dyn FnMut(&str)) + 'h;

/// Routes of one path and host.
#[derive(Clone, Default)]
pub(super) struct Many {
    all: OrdSet<Entry>,
    /// Those that ask for a header by its value: by name, then by value.
    keyed: Vec<(Box<str>, Table<Alike>)>,
    /// The others, and those whose header had no place in `keyed`.
    rest: OrdSet<Entry>,
}

/// So many headers are told apart: each of them is looked up for each request.
const NAMES_MAX: usize = 8;

/// A request that has more of one header is not looked up by its values: it would meet as many lists.
const VALUES_MAX: usize = 16;

impl Many {
    pub fn insert(&mut self, entry: Entry) {
        self.all.insert(entry.clone());
        let route = entry.route.clone();
        let keyed = key(&route.route.matches.headers)
            .and_then(|(name, value)| self.table(name).map(|table| (table, value)));
        match keyed {
            None => _ = self.rest.insert(entry),
            Some((table, value)) => table.change(value, Alike::default, |alike| {
                alike.insert(entry.by_value());
                Left::Something
            }),
        }
    }

    pub fn remove(&mut self, entry: &Entry) -> Left {
        self.all.remove(entry);
        self.rest.remove(entry);
        if let Some((name, value)) = key(&entry.route.route.matches.headers)
            && let Some(at) = self.keyed.iter().position(|(known, _)| **known == *name)
        {
            let table = &mut self.keyed[at].1;
            table.change(value, Alike::default, |alike| alike.remove(entry));
            if table.is_empty() {
                self.keyed.swap_remove(at);
            }
        }
        if self.all.is_empty() { Left::Nothing } else { Left::Something }
    }

    /// Where routes are by the values of a header, if it may have such a place.
    fn table(&mut self, name: &str) -> Option<&mut Table<Alike>> {
        let known = self.keyed.iter().position(|(known, _)| **known == *name);
        let at = match known {
            Some(at) => at,
            None if self.keyed.len() == NAMES_MAX => return None,
            None => {
                self.keyed.push((name.into(), Table::default()));
                self.keyed.len() - 1
            }
        };
        self.keyed.get_mut(at).map(|(_, table)| table)
    }

    /// All of them.
    pub fn head(&self) -> Option<Head<'_>> {
        Head::of_set(&self.all)
    }

    /// Those that a request with these headers may be for, in lists that have each of them once.
    pub fn gather<'t>(&'t self, values: &HeaderValues<'_>, push: &mut dyn FnMut(Head<'t>)) {
        let mut heads = Vec::new();
        for (name, table) in &self.keyed {
            let (mut seen, mut met) = (0, Vec::<&Alike>::new());
            values(name, &mut |value| {
                seen += 1;
                if seen <= VALUES_MAX
                    && let Some(alike) = table.get(value)
                    && !met.iter().any(|known| std::ptr::eq(*known, alike))
                {
                    met.push(alike);
                }
            });
            if seen > VALUES_MAX {
                self.head().into_iter().for_each(push);
                return;
            }
            heads.extend(met.into_iter().filter_map(Alike::head));
        }
        heads.into_iter().chain(Head::of_set(&self.rest)).for_each(push);
    }
}

/// Routes that ask for one value of a header. Nearly always there is one, which needs no memory of its own.
#[derive(Clone)]
enum Alike {
    One(Entry),
    Several(OrdSet<Entry>),
}

impl Default for Alike {
    fn default() -> Self {
        Self::Several(OrdSet::default())
    }
}

impl Alike {
    fn insert(&mut self, entry: Entry) {
        *self = match std::mem::take(self) {
            Self::One(one) => Self::Several([one, entry].into_iter().collect()),
            Self::Several(several) if several.is_empty() => Self::One(entry),
            Self::Several(mut several) => {
                several.insert(entry);
                Self::Several(several)
            }
        };
    }

    fn remove(&mut self, entry: &Entry) -> Left {
        match self {
            Self::One(one) if one == entry => Left::Nothing,
            Self::One(_) => Left::Something,
            Self::Several(several) => {
                several.remove(entry);
                if several.is_empty() { Left::Nothing } else { Left::Something }
            }
        }
    }

    fn head(&self) -> Option<Head<'_>> {
        match self {
            Self::One(one) => Some(Head::of(one)),
            Self::Several(several) => Head::of_set(several),
        }
    }
}

/// What a route is found by: the first header that it asks for by its value.
fn key(headers: &[(Box<str>, ValueMatch)]) -> Option<(&str, &str)> {
    headers.iter().find_map(|(name, wanted)| match wanted {
        ValueMatch::Exact(value) => Some((&**name, &**value)),
        ValueMatch::Regex(_) | ValueMatch::Present => None,
    })
}
