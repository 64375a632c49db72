//! The appends of one stream that were sent and not answered, and which answers openraft may see.
//!
//! openraft knows the append that an answer is for only by its last record: an answer counts for every append that it
//! has handed out and whose last record is covered, and the newest of them is when the follower was heard. But an
//! append without records (it carries the commit index) covers the same record as the one before it. An answer that
//! lay in the socket while this process stood still would so count for an append that was handed out after it went
//! on; a leader that was replaced meanwhile would take itself for heard by a quorum, and answer a consistent read
//! from the past. Therefore:
//!
//! - an answer is held back while a later append is under way that it would count for too: that one's own answer says
//!   as much, and soon;
//! - while openraft handles an answer no append is handed out.

use super::wire;
use crate::types::{AppendRequest, LogId, StreamResult};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker, ready},
};

/// See the module. Answers come in the order of the appends.
#[derive(Default)]
pub struct UnderWay(Mutex<Stand>);

#[derive(Default)]
struct Stand {
    appends: VecDeque<Append>,
    /// Whether openraft has an answer in its hands.
    handling: bool,
    /// Who waits to hand out the next append meanwhile.
    waiting: Option<Waker>,
}

struct Append {
    bytes: u64,
    /// The last record that the follower has once it has taken this.
    last: Option<LogId>,
}

impl UnderWay {
    /// The appends of `input` as frames, each under way as soon as it is handed out.
    pub fn frames<S>(self: Arc<Self>, mut input: S) -> impl Stream<Item = Bytes>
    where
        S: Stream<Item = AppendRequest> + Unpin,
    {
        stream::poll_fn(move |context| {
            let mut stand = self.lock();
            if stand.handling {
                stand.waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
            let Some(request) = ready!(input.poll_next_unpin(context)) else { return Poll::Ready(None) };
            let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
            stand.appends.push_back(Append { bytes: 0, last });
            drop(stand);
            let frame = wire::frame(&wire::encode_append(request));
            if let Some(append) = self.lock().appends.back_mut() {
                append.bytes = frame.len() as u64;
            }
            Poll::Ready(Some(frame))
        })
    }

    /// An answer came. Whether openraft may see it; until [`Self::handled`] nothing more is handed out then.
    pub fn answered(&self, answer: &StreamResult) -> bool {
        let mut stand = self.lock();
        stand.appends.pop_front();
        let counts_for_next = |matched| stand.appends.front().is_some_and(|next| next.last <= matched);
        let visible = !answer.as_ref().is_ok_and(|matched| counts_for_next(*matched));
        stand.handling = visible;
        visible
    }

    /// openraft has drawn its conclusions from the last answer.
    pub fn handled(&self) {
        let mut stand = self.lock();
        stand.handling = false;
        if let Some(waker) = stand.waiting.take() {
            waker.wake();
        }
    }

    /// How many bytes are under way; `None`: nothing.
    pub fn bytes(&self) -> Option<u64> {
        let stand = self.lock();
        (!stand.appends.is_empty()).then(|| stand.appends.iter().map(|append| append.bytes).sum())
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that takes the answers. Once it is gone nobody handles one any more.
pub struct Answers(pub Arc<UnderWay>);

impl Drop for Answers {
    fn drop(&mut self) {
        self.0.handled();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, stream::BoxStream};
    use openraft::{entry::RaftEntry as _, raft::StreamAppendError};
    use quorate_storage::convert::{log_id_from, vote_from};

    type Entry = openraft::alias::EntryOf<crate::types::Config>;

    fn id(index: u64) -> LogId {
        log_id_from(quorate_codec::log::LogId { term: 2, leader: 0, index })
    }

    /// An append behind record `previous`, of so many records.
    fn append(previous: u64, records: u64) -> AppendRequest {
        AppendRequest {
            vote: vote_from(quorate_codec::log::Vote { term: 2, node: 1, committed: true }),
            prev_log_id: Some(id(previous)),
            entries: (1..=records).map(|n| Entry::new_blank(id(previous + n))).collect(),
            leader_commit: None,
        }
    }

    fn sent(appends: Vec<AppendRequest>) -> (Arc<UnderWay>, BoxStream<'static, Bytes>) {
        let under_way = Arc::new(UnderWay::default());
        let frames = under_way.clone().frames(stream::iter(appends)).boxed();
        (under_way, frames)
    }

    /// Hands out the next append.
    fn next(frames: &mut BoxStream<'static, Bytes>) -> Option<Bytes> {
        frames.next().now_or_never().flatten()
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_is_answered() {
        let (under_way, mut frames) = sent(vec![append(1, 30), append(31, 1)]);
        assert_eq!(under_way.bytes(), None, "a stream at rest is never late");
        let sizes =
            [next(&mut frames), next(&mut frames)].map(|frame| frame.expect("handed out").len() as u64);
        assert_eq!(under_way.bytes(), Some(sizes[0] + sizes[1]));
        assert!(under_way.answered(&Ok(Some(id(31)))));
        assert_eq!(under_way.bytes(), Some(sizes[1]), "answers come in order");
        assert!(under_way.answered(&Ok(Some(id(32)))));
        assert_eq!(under_way.bytes(), None);
    }

    #[test]
    fn an_answer_that_would_count_for_a_later_append_is_held_back() {
        let (under_way, mut frames) = sent(vec![append(94, 1), append(95, 0), append(95, 0), append(95, 1)]);
        for _ in 0..3 {
            next(&mut frames).expect("handed out");
        }
        let matched = Ok(Some(id(95)));
        assert!(!under_way.answered(&matched), "two more carry no record beyond 95");
        assert!(!under_way.answered(&matched));
        next(&mut frames).expect("nothing was shown, so nothing is being handled");
        assert!(under_way.answered(&matched), "the next one ends at 96");
        assert!(under_way.answered(&Ok(Some(id(96)))));
    }

    #[test]
    fn an_append_is_handed_out_only_once_the_answer_before_it_is_handled() {
        let (under_way, mut frames) = sent(vec![append(94, 1), append(95, 0)]);
        next(&mut frames).expect("handed out");
        assert!(under_way.answered(&Ok(Some(id(95)))));
        assert_eq!(next(&mut frames), None, "openraft would count the answer for it");
        under_way.handled();
        assert!(next(&mut frames).is_some());
        assert!(under_way.answered(&Ok(Some(id(95)))), "now it is the answer of the second one");
    }

    #[test]
    fn nobody_waits_for_answers_that_nobody_takes() {
        let (under_way, mut frames) = sent(vec![append(94, 1), append(95, 0)]);
        let answers = Answers(under_way);
        next(&mut frames).expect("handed out");
        assert!(answers.0.answered(&Ok(Some(id(95)))));
        assert_eq!(next(&mut frames), None);
        drop(answers);
        assert!(next(&mut frames).is_some());
    }

    #[test]
    fn a_refusal_is_always_seen() {
        let (under_way, mut frames) = sent(vec![append(95, 0), append(95, 0)]);
        next(&mut frames).expect("handed out");
        next(&mut frames).expect("handed out");
        assert!(under_way.answered(&Err(StreamAppendError::Conflict(id(95)))));
    }
}
