//! How a session leaves for another node: because its client came back there, or because this node ends.
//!
//! The page of the [hand-over](super::super::handover) says in which steps, and why.

use super::{Ask, Finish, Life};
use crate::{
    backplane::BackplaneError,
    extension::handover::{ASKED_FOR, Answer, DECIDED_WITHIN, GIVEN_FOR, Question},
};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_model::NodeName;
use quorate_rt::{
    rng,
    time::{self, Duration, Instant},
};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::oneshot;

/// Whoever was told that the session may move there has so long to take it.
pub(super) const PROMISED_FOR: Duration = Duration::from_secs(5);
/// Another node has taken the session of one that ends within this time, or it ends.
const MOVED_WITHIN: Duration = Duration::from_secs(4);
/// A question that got lost is asked again after this time.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What came of asking another node to take the session.
enum Offered {
    /// It has it.
    Taken,
    /// It does not take it.
    Refused,
    /// There is nothing to be taken any more, or no time.
    Over,
}

impl Life {
    /// One node at a time may take it.
    pub(super) fn prepare(&mut self, node: NodeName, answer: oneshot::Sender<Answer>) {
        let is_free = self.promised_now().is_none_or(|promised| *promised == node);
        let said = if is_free {
            self.promised = Some((node, Instant::now()));
            Answer::Prepared(self.extended.rooms().cloned().collect())
        } else {
            Answer::Not("it moves already".into())
        };
        // Whoever asked may have left.
        let _ = answer.send(said);
    }

    /// To which node it was last told that it may move.
    fn promised_last(&self) -> Option<&NodeName> {
        self.promised.as_ref().map(|(node, _)| node)
    }

    /// To which node it may move now.
    pub(super) fn promised_now(&self) -> Option<&NodeName> {
        self.promised.as_ref().filter(|(_, at)| at.elapsed() <= PROMISED_FOR).map(|(node, _)| node)
    }

    pub(super) fn is_promised_to(&self, node: &NodeName) -> bool {
        self.promised_last() == Some(node)
    }

    /// What belongs to a hand-over that is over, or is about another one, is answered and changes nothing. Else it is
    /// given back.
    pub(super) fn unless_stale(&self, ask: Ask) -> Option<Ask> {
        match ask {
            Ask::Give(node, _, answer) if !self.is_promised_to(&node) => drop(answer.send(Answer::Unknown)),
            Ask::Forget(_, _, answer) => drop(answer.send(Answer::Unknown)),
            Ask::Claim(_) | Ask::Prepare(..) | Ask::Give(..) => return Some(ask),
        }
        None
    }

    /// To the node that holds it in presence as of `index`.
    pub(super) async fn give(mut self, to: NodeName, index: u64, answer: oneshot::Sender<Answer>) {
        let given = self.give_once(index, answer).await;
        self.give_again(&to, index, &given).await;
    }

    async fn give_once(&mut self, index: u64, answer: oneshot::Sender<Answer>) -> Answer {
        let _ = time::timeout(DECIDED_WITHIN, async {
            while !self.lanes.is_empty() {
                let decided = self.lanes.next().await;
                self.decide(&decided);
            }
        })
        .await;
        // From here on whoever sends to it is told an index at which presence names the other node.
        let _ = self.desk.presence.caught_up(index).await;
        self.leave_rooms();
        self.entry.give();
        self.mailbox.queue.close();
        while let Some(message) = self.mailbox.queue.take() {
            self.extended.deliver(&message);
        }
        let refused = self.mailbox.refused.load(Ordering::Relaxed);
        let mut handed = self.extended.hand_over(refused);
        handed.latest = self.mailbox.queue.latest();
        let given = Answer::Given(Box::new(handed));
        // Whoever asked may have left, and ask again.
        let _ = answer.send(given.clone());
        self.home.end().await;
        given
    }

    /// The answer may have got lost, and nobody else has what is in it: whoever it was for gets it again, unchanged, until
    /// that one has it. Also while this node ends, which waits for it as for every session: no longer than its drain
    /// limit, which comes before all times of a hand-over.
    async fn give_again(&mut self, to: &NodeName, index: u64, given: &Answer) {
        let forgotten = time::sleep(GIVEN_FOR);
        tokio::pin!(forgotten);
        loop {
            let ask = tokio::select! {
                biased;
                Some(ask) = self.asks.recv() => ask,
                () = &mut forgotten => return,
            };
            match ask {
                Ask::Give(node, of, answer) if node == *to && of == index => drop(answer.send(given.clone())),
                Ask::Forget(node, of, answer) if node == *to && of == index => {
                    return drop(answer.send(Answer::Forgotten));
                }
                Ask::Give(_, _, answer) | Ask::Forget(_, _, answer) | Ask::Prepare(_, answer) => {
                    drop(answer.send(Answer::Unknown));
                }
                Ask::Claim(_) => {}
            }
        }
    }

    /// The node ends: others are asked to take the session, one after the other.
    pub async fn move_away(mut self) {
        let mut others = (self.desk.others)();
        others.retain(|node| *node != self.desk.node);
        let until = Instant::now() + MOVED_WITHIN;
        // The first is the one to which it is just moving, and which may have its place in presence already: it is about
        // to ask for the session, and must find it.
        let moving = if self.home.is_held() { self.promised_now() } else { self.promised_last() };
        let mut moving_to = moving.and_then(|node| others.iter().position(|other| other == node));
        while (self.home.is_held() || moving_to.is_some()) && !others.is_empty() {
            let any = || usize::try_from(rng::random_u64() % others.len() as u64).unwrap_or(0);
            let pick = moving_to.take().unwrap_or_else(any);
            match self.offer_to(&others.swap_remove(pick), until).await {
                Offered::Taken => return,
                Offered::Refused => {}
                Offered::Over => break,
            }
        }
        self.end().await;
    }

    /// Asks a node to take it; what that one asks meanwhile is answered.
    async fn offer_to(&mut self, to: &NodeName, until: Instant) -> Offered {
        self.promised = Some((to.clone(), Instant::now()));
        let mut asked = self.ask_to_adopt(to, until, Duration::ZERO);
        loop {
            // That node has its place in presence already, and has as long to ask for the rest as it asks.
            let until = if self.home.is_held() { until } else { until + ASKED_FOR };
            let step = tokio::select! {
                biased;
                step = self.next(None) => step.and_then(|step| self.take(step, None)),
                answer = &mut asked => match answer {
                    // It answers once it was given the session: it was not.
                    Ok(_) => return Offered::Refused,
                    Err(BackplaneError::NotSent(..) | BackplaneError::Busy(_)) if !self.home.is_moved() => {
                        return Offered::Refused;
                    }
                    // It may have begun all the same, or has, as asked before; and is asked again.
                    Err(_) => {
                        asked = self.ask_to_adopt(to, until, AGAIN_AFTER);
                        continue;
                    }
                },
                () = time::sleep_until(until) => return Offered::Over,
            };
            match step {
                Ok(_) => {}
                Err(Finish::Asked(Ask::Prepare(node, answer))) => self.prepare(node, answer),
                Err(Finish::Asked(Ask::Give(_, index, answer))) => {
                    let given = self.give_once(index, answer).await;
                    let adopted = async {
                        if asked.await.is_err() {
                            std::future::pending().await
                        }
                    };
                    // It says that it has it on either way.
                    tokio::select! {
                        () = self.give_again(to, index, &given) => {}
                        () = adopted => {}
                    }
                    return Offered::Taken;
                }
                // A client that comes back here is told to go elsewhere.
                Err(Finish::Asked(Ask::Claim(_) | Ask::Forget(..))) => {}
                Err(Finish::Wire(_) | Finish::Draining | Finish::Over(_)) => return Offered::Over,
            }
        }
    }

    fn ask_to_adopt(
        &self,
        to: &NodeName,
        until: Instant,
        after: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>> {
        let (user, token) = (self.extended.user().clone(), *self.extended.token());
        let question = Question::Adopt(user, token, self.desk.node.clone()).write();
        let (backplane, to) = (Arc::clone(&self.desk.backplane), to.clone());
        async move {
            time::sleep(after).await;
            let left = until.saturating_duration_since(Instant::now());
            backplane.ask(to, question, left).await
        }
        .boxed()
    }
}
