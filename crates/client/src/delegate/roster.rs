//! Who beats here, and who has stopped. Time is an argument.
//!
//! Nobody is on the roster who has not beaten in this reign, and being on it keeps nobody alive: it only knows which
//! sequence came last, how often the group must be heard, and who is missed.

use super::beat::{Beat, Declined};
use quorate_api::worker::HEARTBEAT_INTERVAL_MIN;
use std::{collections::BTreeMap, time::Duration};

/// More members are sent to the routers.
const MEMBERS_MAX: usize = 10_000;
/// One whose interval is shorter than any that routers tell workers is sent to them: it must not drive the whole group.
const INTERVAL_MIN: Duration = HEARTBEAT_INTERVAL_MIN;
// A quarter of it is how often the roster is looked through, a tenth of it is a window.
const _: () = assert!(INTERVAL_MIN.as_millis() >= 100, "the shortest TTL makes a delegate spin");
/// When there is no room, who was not heard for so many intervals has gone: its lease was over after some three.
const GONE_AFTER: u32 = 10;

/// A moment, since any origin.
pub(super) type Moment = Duration;

#[derive(Debug)]
struct Member {
    lease: u64,
    sequence: u64,
    interval: Duration,
    heard: Moment,
    missed: Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missed {
    No,
    Told,
}

impl Member {
    /// It was to be heard half an interval ago.
    fn is_late(&self, now: Moment) -> bool {
        now.saturating_sub(self.heard) > self.interval.mul_f64(1.5)
    }

    fn is_gone(&self, now: Moment) -> bool {
        now.saturating_sub(self.heard) > self.interval.saturating_mul(GONE_AFTER)
    }
}

/// The members of one reign.
#[derive(Debug)]
pub(super) struct Roster {
    own_interval: Duration,
    members: BTreeMap<String, Member>,
    /// The newest lease of those that were dropped. Which sequences of such a lease were heard is not known any more, so
    /// nobody comes in with it, or with an older one: its heartbeats might be recorded ones.
    dropped: Option<u64>,
}

impl Roster {
    pub fn of(own_interval: Duration) -> Self {
        Self { own_interval, members: BTreeMap::new(), dropped: None }
    }

    /// Notes a heartbeat, if it is one that was not heard before.
    pub fn admit(&mut self, beat: &Beat, now: Moment) -> Result<(), Declined> {
        let interval = Duration::from_millis(beat.interval_ms);
        if interval < INTERVAL_MIN {
            return Err(Declined::Full);
        }
        let Beat { lease, sequence, .. } = *beat;
        let member = Member { lease, sequence, interval, heard: now, missed: Missed::No };
        if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(&beat.worker) {
            self.drop_gone(now);
        }
        let is_full = self.members.len() >= MEMBERS_MAX;
        match self.members.get_mut(&beat.worker) {
            Some(known) if (known.lease, known.sequence) >= (lease, sequence) => Err(Declined::Replayed),
            Some(known) => {
                *known = member;
                Ok(())
            }
            None if is_full || self.dropped.is_some_and(|dropped| lease <= dropped) => Err(Declined::Full),
            None => {
                self.members.insert(beat.worker.clone(), member);
                Ok(())
            }
        }
    }

    fn drop_gone(&mut self, now: Moment) {
        let gone = self.members.extract_if(.., |_, member| member.is_gone(now));
        self.dropped = gone.map(|(_, member)| member.lease).max().max(self.dropped);
    }

    /// How often the group has to be heard: as often as the most impatient of those who are here.
    pub fn period(&self, now: Moment) -> Duration {
        let here = self.members.values().filter(|member| !member.is_late(now));
        here.map(|member| member.interval)
            .min()
            .map_or(self.own_interval, |least| least.min(self.own_interval))
    }

    /// Who has stopped since this was asked last.
    pub fn fell_silent(&mut self, now: Moment) -> Vec<String> {
        let late = self.members.iter_mut().filter(|(_, m)| m.missed == Missed::No && m.is_late(now));
        late.map(|(id, member)| {
            member.missed = Missed::Told;
            id.clone()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn beat(worker: &str, lease: u64, sequence: u64, interval_ms: u64) -> Beat {
        Beat { worker: worker.into(), epoch: 1, lease, sequence, interval_ms, proof: None }
    }

    #[test]
    fn a_sequence_is_taken_once_and_a_new_lease_begins_anew() {
        let mut roster = Roster::of(ms(1_000));
        let mut admit = |lease, sequence| roster.admit(&beat("m1", lease, sequence, 1_000), ms(0));
        assert_eq!(admit(5, 3), Ok(()));
        assert_eq!(admit(5, 3), Err(Declined::Replayed));
        assert_eq!(admit(5, 2), Err(Declined::Replayed));
        assert_eq!(admit(4, 9), Err(Declined::Replayed));
        assert_eq!(admit(6, 1), Ok(()));
    }

    #[test]
    fn the_most_impatient_sets_the_pace_while_it_is_here() {
        let mut roster = Roster::of(ms(1_000));
        assert_eq!(roster.period(ms(0)), ms(1_000));
        roster.admit(&beat("slow", 1, 1, 9_000), ms(0)).expect("new");
        assert_eq!(roster.period(ms(0)), ms(1_000));
        roster.admit(&beat("fast", 1, 1, 300), ms(0)).expect("new");
        assert_eq!(roster.period(ms(450)), ms(300));
        assert_eq!(roster.period(ms(451)), ms(1_000));
    }

    /// Scenario: one member said that it beats every ten milliseconds, and the delegate called the routers a hundred
    /// times a second for all. Cause: the shortest interval was a guess, far below any that routers tell.
    #[test]
    fn who_beats_faster_than_any_lease_asks_for_does_not_set_the_pace() {
        let mut roster = Roster::of(ms(1_000));
        for interval in [0, 1, 10, 299] {
            assert_eq!(roster.admit(&beat("mad", 1, 1, interval), ms(0)), Err(Declined::Full), "{interval}");
        }
        assert_eq!(roster.period(ms(0)), ms(1_000));
        assert_eq!(roster.admit(&beat("fast", 1, 1, 300), ms(0)), Ok(()));
    }

    #[test]
    fn one_that_stops_is_missed_once_until_it_comes_back() {
        let mut roster = Roster::of(ms(1_000));
        roster.admit(&beat("m1", 1, 1, 1_000), ms(0)).expect("new");
        assert_eq!(roster.fell_silent(ms(1_500)), [""; 0]);
        assert_eq!(roster.fell_silent(ms(1_501)), ["m1"]);
        assert_eq!(roster.fell_silent(ms(9_000)), [""; 0]);
        roster.admit(&beat("m1", 1, 2, 1_000), ms(10_000)).expect("back");
        assert_eq!(roster.fell_silent(ms(11_501)), ["m1"]);
    }

    #[test]
    fn members_are_bounded() {
        let mut roster = Roster::of(ms(1_000));
        for nth in 0..MEMBERS_MAX {
            roster.admit(&beat(&format!("m{nth}"), 1, 1, 1_000), ms(0)).expect("room");
        }
        assert_eq!(roster.admit(&beat("one more", 1, 1, 1_000), ms(0)), Err(Declined::Full));
        assert_eq!(roster.admit(&beat("m0", 1, 2, 1_000), ms(0)), Ok(()));
    }

    /// Scenario: machines come and go under new names, and after ten thousand of them the delegate took nobody any more.
    /// Cause: whoever had beaten once had a place for as long as the role lasted.
    #[test]
    fn those_that_have_gone_make_room() {
        let mut roster = Roster::of(ms(1_000));
        for nth in 0..MEMBERS_MAX {
            roster.admit(&beat(&format!("m{nth}"), 7, 1, 1_000), ms(0)).expect("room");
        }
        roster.admit(&beat("m0", 7, 2, 1_000), ms(9_000)).expect("it is still here");
        assert_eq!(roster.admit(&beat("new", 8, 1, 1_000), ms(10_000)), Err(Declined::Full), "only late");
        assert_eq!(roster.admit(&beat("new", 8, 1, 1_000), ms(10_001)), Ok(()));
        assert_eq!(roster.members.keys().collect::<Vec<_>>(), ["m0", "new"]);
        // What was heard before counts for nothing, though it is not known any more that it was.
        assert_eq!(roster.admit(&beat("m1", 7, 1, 1_000), ms(10_001)), Err(Declined::Full));
        assert_eq!(roster.admit(&beat("m1", 9, 1, 1_000), ms(10_001)), Ok(()));
        assert_eq!(roster.admit(&beat("m0", 7, 2, 1_000), ms(10_001)), Err(Declined::Replayed));
    }
}
