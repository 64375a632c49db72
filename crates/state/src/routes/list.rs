//! The routes at one place of the index, in the order in which they are asked.

use super::{
    many::{HeaderValues, Many},
    rank::Entry,
};
use crate::text::Left;
use imbl::{OrdSet, ordset};
use std::{fmt, slice, sync::Arc};

/// Nearly always there is one. Where a thousand share path and host and differ in headers, each change still costs little.
#[derive(Clone, Default)]
pub(super) enum List {
    #[default]
    Empty,
    One(Entry),
    Few(Vec<Entry>),
    Many(Arc<Many>),
}

/// As many are kept in one piece, which a change copies.
const FEW: usize = 16;

impl List {
    pub fn insert(&mut self, entry: Entry) {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(entry),
            Self::One(one) => Self::Few(if one < entry { vec![one, entry] } else { vec![entry, one] }),
            Self::Few(mut few) if few.len() < FEW => {
                few.insert(few.partition_point(|known| *known < entry), entry);
                Self::Few(few)
            }
            Self::Few(few) => {
                let mut many = Many::default();
                few.into_iter().chain([entry]).for_each(|entry| many.insert(entry));
                Self::Many(Arc::new(many))
            }
            Self::Many(mut many) => {
                Arc::make_mut(&mut many).insert(entry);
                Self::Many(many)
            }
        };
    }

    pub fn remove(&mut self, entry: &Entry) -> Left {
        match self {
            Self::Empty => {}
            Self::One(one) if one == entry => *self = Self::Empty,
            Self::One(_) => {}
            Self::Few(few) => {
                few.retain(|known| known != entry);
                if few.is_empty() {
                    *self = Self::Empty;
                }
            }
            Self::Many(many) => {
                if Arc::make_mut(many).remove(entry) == Left::Nothing {
                    *self = Self::Empty;
                }
            }
        }
        self.left()
    }

    /// The only one.
    pub fn only(&self) -> Option<&Entry> {
        match self {
            Self::One(one) => Some(one),
            Self::Empty | Self::Few(_) | Self::Many(_) => None,
        }
    }

    pub fn left(&self) -> Left {
        match self {
            Self::Empty => Left::Nothing,
            Self::One(_) | Self::Few(_) | Self::Many(_) => Left::Something,
        }
    }

    /// The first one, and those behind it.
    pub fn head(&self) -> Option<Head<'_>> {
        match self {
            Self::Empty => None,
            Self::One(one) => Some(Head::of(one)),
            Self::Few(few) => {
                few.split_first().map(|(entry, rest)| Head { entry, rest: Rest::Few(rest.iter()) })
            }
            Self::Many(many) => many.head(),
        }
    }

    /// Those that a request with these headers may be for, in lists of which each is in order; `None`: with any.
    pub fn gather<'t>(&'t self, values: Option<&HeaderValues<'_>>, push: &mut dyn FnMut(Head<'t>)) {
        match (self, values) {
            (Self::Many(many), Some(values)) => many.gather(values, push),
            _ => self.head().into_iter().for_each(push),
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        let mut head = self.head();
        while let Some(at) = head {
            list.entry(at.entry);
            head = at.next();
        }
        list.finish()
    }
}

/// A list that is being gone through.
pub(super) struct Head<'t> {
    pub entry: &'t Entry,
    rest: Rest<'t>,
}

enum Rest<'t> {
    Few(slice::Iter<'t, Entry>),
    Many(Box<ordset::Iter<'t, Entry, imbl::shared_ptr::DefaultSharedPtr>>),
}

impl<'t> Head<'t> {
    /// Of a list of one.
    pub fn of(entry: &'t Entry) -> Self {
        Self { entry, rest: Rest::Few([].iter()) }
    }

    /// Of many in order.
    pub fn of_set(set: &'t OrdSet<Entry>) -> Option<Self> {
        let mut rest = Box::new(set.iter());
        rest.next().map(|entry| Self { entry, rest: Rest::Many(rest) })
    }

    /// What is behind the first one.
    pub fn next(mut self) -> Option<Self> {
        let entry = match &mut self.rest {
            Rest::Few(rest) => rest.next()?,
            Rest::Many(rest) => rest.next()?,
        };
        Some(Self { entry, rest: self.rest })
    }
}
