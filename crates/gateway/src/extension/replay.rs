//! What a session was sent and has not acknowledged.
//!
//! Deliveries are numbered from 1 without a gap. They are kept, as they are sent, until the client acknowledges them;
//! one that comes back says up to where it has processed them, and gets what follows, byte for byte. So each arrives
//! once, in order, through any number of sockets and nodes.
//!
//! The buffer is bounded. Where it is full nothing is let go of: a message that was acknowledged to its sender is not
//! lost. The next ones wait in the session's queue, and when that is full too they are refused to their senders.

use std::{collections::VecDeque, sync::Arc};

/// Bounds of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many deliveries.
    pub messages: usize,
    /// And how many bytes.
    pub bytes: usize,
}

/// A delivery as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub seq: u64,
    /// The text frame.
    pub frame: Arc<str>,
}

/// The buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// What the next delivery is numbered.
    next: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
    bounds: Bounds,
}

/// Why nobody can go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// It was acknowledged further already: what lies between is let go of.
    LetGo,
    /// It was never sent so far.
    NeverSent,
}

impl Replay {
    /// Nothing was sent yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { next: 1, kept: VecDeque::new(), bytes: 0, bounds }
    }

    /// As another gateway handed it over. Its bounds may have been wider: what it holds is held.
    pub fn taken_over(next: u64, kept: VecDeque<Kept>, bounds: Bounds) -> Result<Self, Gap> {
        let first = next.checked_sub(kept.len() as u64).filter(|first| *first >= 1).ok_or(Gap)?;
        if !kept.iter().map(|one| one.seq).eq(first..next) {
            return Err(Gap);
        }
        let bytes = kept.iter().map(|one| one.frame.len()).sum();
        Ok(Self { next, kept, bytes, bounds })
    }

    /// Whether there is room for one more. One that is larger than what is left is taken all the same: none is refused
    /// for ever, and the bound is overstepped by one at most.
    pub fn has_room(&self) -> bool {
        self.kept.len() < self.bounds.messages && self.bytes < self.bounds.bytes
    }

    /// One more delivery; `render` is told its number. Whoever keeps asks for room first.
    pub fn keep(&mut self, render: impl FnOnce(u64) -> String) -> Arc<str> {
        let seq = self.next;
        let frame: Arc<str> = render(seq).into();
        self.next += 1;
        self.bytes += frame.len();
        self.kept.push_back(Kept { seq, frame: frame.clone() });
        frame
    }

    /// The client has processed everything up to `seq`. One that says less than before says nothing new.
    pub fn ack(&mut self, seq: u64) -> Result<(), Elsewhere> {
        if seq >= self.next {
            return Err(Elsewhere::NeverSent);
        }
        while let Some(first) = self.kept.front() {
            if first.seq > seq {
                break;
            }
            self.bytes -= first.frame.len();
            self.kept.pop_front();
        }
        if self.kept.is_empty() {
            // What lies idle must not hold what a burst needed.
            self.kept.shrink_to(0);
        }
        Ok(())
    }

    /// What a client that has processed everything up to `seq` is still to get. That is an ack, too.
    pub fn resume(&mut self, seq: u64) -> Result<Vec<Arc<str>>, Elsewhere> {
        if seq < self.acked() {
            return Err(Elsewhere::LetGo);
        }
        self.ack(seq)?;
        Ok(self.kept.iter().map(|one| one.frame.clone()).collect())
    }

    /// Up to where the client has acknowledged.
    pub fn acked(&self) -> u64 {
        self.sent() - self.kept.len() as u64
    }

    /// The number of the last delivery, 0 before the first.
    pub fn sent(&self) -> u64 {
        self.next - 1
    }

    /// What is kept.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }
}

/// What was handed over is not one run of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the numbers of the deliveries have a gap")]
pub struct Gap;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { messages: 3, bytes: 20 };

    fn push(replay: &mut Replay, text: &str) -> Option<Arc<str>> {
        replay.has_room().then(|| replay.keep(|seq| format!("{seq}{text}")))
    }

    fn frames(replay: &mut Replay, seq: u64) -> Result<Vec<String>, Elsewhere> {
        replay.resume(seq).map(|frames| frames.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_acknowledged_comes_again_in_order() {
        let mut replay = Replay::new(BOUNDS);
        for text in ["a", "b", "c"] {
            push(&mut replay, text).expect("room");
        }
        assert_eq!(frames(&mut replay, 1), Ok(vec!["2b".into(), "3c".into()]));
        assert_eq!(frames(&mut replay, 1), Ok(vec!["2b".into(), "3c".into()]), "as often as it is asked for");
        assert_eq!(frames(&mut replay, 3), Ok(vec![]));
        assert_eq!(frames(&mut replay, 2), Err(Elsewhere::LetGo));
        assert_eq!(frames(&mut replay, 4), Err(Elsewhere::NeverSent));
        assert_eq!(replay.ack(1), Ok(()), "an old ack says nothing new");
        assert_eq!(replay.acked(), 3);
    }

    #[test]
    fn a_full_buffer_has_no_room_and_lets_go_of_nothing() {
        let mut replay = Replay::new(BOUNDS);
        for text in ["a", "b", "c"] {
            push(&mut replay, text).expect("room");
        }
        assert_eq!(push(&mut replay, "d"), None);
        assert_eq!(frames(&mut replay, 0).map(|frames| frames.len()), Ok(3));
        replay.ack(2).expect("sent");
        push(&mut replay, &"x".repeat(30)).expect("the last one may be larger than what is left");
        assert_eq!(push(&mut replay, "d"), None, "bytes are bounded too");
        replay.ack(4).expect("sent");
        assert!(push(&mut replay, "d").is_some());
        assert_eq!(replay.sent(), 5, "what had no room has no number");
    }

    #[test]
    fn what_is_handed_over_is_one_run_of_numbers() {
        let kept = |seqs: &[u64]| -> VecDeque<Kept> {
            seqs.iter().map(|&seq| Kept { seq, frame: "x".into() }).collect()
        };
        let taken =
            |next, seqs: &[u64]| Replay::taken_over(next, kept(seqs), BOUNDS).map(|replay| replay.acked());
        assert_eq!(taken(1, &[]), Ok(0));
        assert_eq!(taken(6, &[4, 5]), Ok(3));
        assert_eq!(taken(7, &[4, 5]), Err(Gap));
        assert_eq!(taken(6, &[3, 5]), Err(Gap));
        assert_eq!(taken(0, &[]), Err(Gap));
        assert_eq!(taken(2, &[0, 1]), Err(Gap));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Ack(u64),
        /// The socket is lost after so many of the frames under way, and the client comes back.
        Lose(usize),
        HandOver,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..8usize).prop_map(Step::Push),
            2 => (0..4u64).prop_map(Step::Ack),
            2 => (0..4usize).prop_map(Step::Lose),
            1 => Just(Step::HandOver),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn each_delivery_arrives_once_in_order_through_lost_sockets(steps in steps()) {
            let mut replay = Replay::new(BOUNDS);
            let (mut taken, mut wire) = (Vec::new(), VecDeque::new());
            let (mut got, mut processed) = (Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Push(size) => if let Some(frame) = push(&mut replay, &"x".repeat(size)) {
                        taken.push(frame.clone());
                        wire.push_back(frame);
                    },
                    Step::Ack(count) => {
                        for frame in wire.drain(..wire.len().min(count as usize)) { got.push(frame); processed += 1; }
                        replay.ack(processed).expect("sent");
                    }
                    Step::Lose(count) => {
                        for frame in wire.drain(..wire.len().min(count)) { got.push(frame); processed += 1; }
                        wire = replay.resume(processed).expect("kept").into();
                    }
                    Step::HandOver => {
                        let kept = replay.kept().cloned().collect();
                        replay = Replay::taken_over(replay.sent() + 1, kept, BOUNDS).expect("one run");
                    }
                }
            }
            got.extend(replay.resume(processed).expect("kept"));
            prop_assert_eq!(got, taken);
        }
    }
}
