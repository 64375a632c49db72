//! What a node leaves alone while its disk is nearly full.
//!
//! A failed append is final: nobody knows what is on the disk, and the node stops. So a node does not wait for the
//! failure. While there is still some room left it gives up what fills the disk, bit by bit, and goes on with the
//! rest: it routes, answers reads, and keeps its place in the cluster.
//!
//! | room | as a leader | as a follower |
//! |---|---|---|
//! | plenty | – | – |
//! | scarce | takes no commands, hands leadership over | – |
//! | exhausted | the same | takes no records: it falls behind, as if it were cut off, and says so |
//!
//! Followers go on for longer than leaders, so that a full leader finds somebody to hand over to, and what it has
//! taken already can still be committed everywhere.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// Below this many free bytes room is scarce,
const SCARCE_BYTES: u64 = 64 << 20;
/// or below this part of a small disk.
const SCARCE_PART: u64 = 4;
/// Below this many free bytes nothing is taken at all: some segments of the engine, for votes and what is under way,
const EXHAUSTED_BYTES: u64 = 16 << 20;
/// or below this part of a small disk.
const EXHAUSTED_PART: u64 = 8;
/// To get better takes this many quarters of the bound, so that a disk at a bound does not go to and fro.
const BETTER_QUARTERS: u64 = 5;

const _: () = assert!(EXHAUSTED_BYTES < SCARCE_BYTES && EXHAUSTED_PART > SCARCE_PART, "leaders stop first");

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Enough.
    Plenty,
    /// Not enough to lead.
    Scarce,
    /// Not enough to follow.
    Exhausted,
}

impl Room {
    /// What `free` of `total` bytes are, after it was `self`.
    #[must_use]
    pub fn after(self, free: u64, total: u64) -> Self {
        let bound = |room, bytes: u64, part| {
            let bound = bytes.min(total / part);
            if self >= room { bound / 4 * BETTER_QUARTERS } else { bound }
        };
        if free < bound(Self::Exhausted, EXHAUSTED_BYTES, EXHAUSTED_PART) {
            Self::Exhausted
        } else if free < bound(Self::Scarce, SCARCE_BYTES, SCARCE_PART) {
            Self::Scarce
        } else {
            Self::Plenty
        }
    }
}

/// The room of this node's disk, as it was looked at last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU8>);

impl Gauge {
    pub fn set(&self, room: Room) {
        self.0.store(room as u8, Ordering::Relaxed);
    }

    /// Whether this node may write what it makes up itself, as a leader.
    pub fn may_lead(&self) -> bool {
        self.0.load(Ordering::Relaxed) < Room::Scarce as u8
    }

    /// Whether this node may write what a leader sends.
    pub fn may_follow(&self) -> bool {
        self.0.load(Ordering::Relaxed) < Room::Exhausted as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const LARGE: u64 = 1 << 40;

    fn through(total: u64, free: &[u64]) -> Vec<Room> {
        let mut room = Room::Plenty;
        let next = |free: &u64| {
            room = room.after(free * MIB, total);
            room
        };
        free.iter().map(next).collect()
    }

    #[test]
    fn leaders_stop_before_followers_and_getting_better_takes_more_than_the_bound() {
        use Room::{Exhausted, Plenty, Scarce};
        let free = [1_000, 64, 63, 70, 80, 63, 16, 15, 17, 20, 70, 80, 0, 1_000];
        let room = [
            Plenty, Plenty, Scarce, Scarce, Plenty, Scarce, Scarce, Exhausted, Exhausted, Scarce, Scarce,
            Plenty, Exhausted, Plenty,
        ];
        assert_eq!(through(LARGE, &free), room);
    }

    #[test]
    fn a_small_disk_is_used_in_proportion() {
        use Room::{Exhausted, Plenty, Scarce};
        assert_eq!(through(64 * MIB, &[60, 16, 15, 8, 7]), [Plenty, Plenty, Scarce, Scarce, Exhausted]);
        assert_eq!(through(0, &[0]), [Plenty], "a file system that does not tell");
    }

    #[test]
    fn a_gauge_begins_with_plenty() {
        let gauge = Gauge::default();
        for (room, lead, follow) in
            [(Room::Plenty, true, true), (Room::Scarce, false, true), (Room::Exhausted, false, false)]
        {
            assert!(room > Room::Plenty || (gauge.may_lead() && gauge.may_follow()));
            gauge.set(room);
            assert_eq!((gauge.may_lead(), gauge.may_follow()), (lead, follow), "{room:?}");
        }
    }
}
