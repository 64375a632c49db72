//! How a session leaves for another node: because its client came back there, or because this node ends.
//!
//! The page of the [hand-over](super::super::handover) says in which steps, and why.

use super::{Ask, Finish, Life};
use crate::extension::handover::{Answer, Question};
use quorate_model::NodeName;
use quorate_rt::{
    planted::{self, Bug},
    rng,
    time::{self, Duration, Instant},
};
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// What was said is decided within this time before the session moves.
const DECIDED_WITHIN: Duration = Duration::from_secs(5);
/// Whoever was told that the session may move there has so long to take it.
const PROMISED_FOR: Duration = Duration::from_secs(5);
/// A session that was given is given again, where the answer got lost, for so long.
const GIVEN_FOR: Duration = Duration::from_secs(10);
/// Another node takes the session of one that ends within this time.
const MOVED_WITHIN: Duration = Duration::from_secs(4);

impl Life {
    /// One node at a time may take it.
    pub(super) fn prepare(&mut self, node: NodeName, answer: oneshot::Sender<Answer>) {
        let is_free = self
            .promised
            .as_ref()
            .is_none_or(|(promised, at)| *promised == node || at.elapsed() > PROMISED_FOR);
        let said = if is_free {
            self.promised = Some((node, Instant::now()));
            Answer::Prepared(self.extended.rooms().cloned().collect())
        } else {
            Answer::Not("it moves already".into())
        };
        // Whoever asked may have left.
        let _ = answer.send(said);
    }

    pub(super) fn is_promised_to(&self, node: &NodeName) -> bool {
        self.promised.as_ref().is_some_and(|(promised, _)| promised == node)
    }

    /// To the node that holds it in presence as of `index`.
    pub(super) async fn give(mut self, to: NodeName, index: u64, answer: oneshot::Sender<Answer>) {
        let given = self.give_once(index, answer).await;
        let (forgotten, turn) = (time::sleep(GIVEN_FOR), self.desk.drain.clone().turn());
        tokio::pin!(forgotten, turn);
        loop {
            let ask = tokio::select! {
                biased;
                Some(ask) = self.asks.recv() => ask,
                () = &mut forgotten => return,
                () = &mut turn => return,
            };
            match ask {
                Ask::Give(node, _, answer) if node == to => drop(answer.send(given.clone())),
                Ask::Give(_, _, answer) | Ask::Prepare(_, answer) => drop(answer.send(Answer::Unknown)),
                Ask::Claim(_) => {}
            }
        }
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
            if !planted::is(Bug::LeftBehind) {
                self.extended.deliver(&message);
            }
        }
        let refused = self.mailbox.refused.load(Ordering::Relaxed);
        let given = Answer::Given(Box::new(self.extended.hand_over(refused)));
        // Whoever asked may have left, and ask again.
        let _ = answer.send(given.clone());
        self.home.end().await;
        given
    }

    /// The node ends: another one is asked to take the session, and what that one asks meanwhile is answered.
    pub async fn move_away(mut self) {
        let mut others = (self.desk.others)();
        others.retain(|node| *node != self.desk.node);
        if others.is_empty() || !self.home.is_held() {
            return self.end().await;
        }
        let pick = usize::try_from(rng::random_u64() % others.len() as u64).unwrap_or(0);
        let to = others.swap_remove(pick);
        self.promised = Some((to.clone(), Instant::now()));
        let (user, token) = (self.extended.user().clone(), *self.extended.token());
        let question = Question::Adopt(user, token, self.desk.node.clone());
        let asked = time::timeout(MOVED_WITHIN, self.desk.backplane.ask(to.clone(), question.write()));
        tokio::pin!(asked);
        loop {
            let step = tokio::select! {
                biased;
                step = self.next(None) => step.and_then(|step| self.take(step, None)),
                // It answers once it was given the session: it was not.
                _ = &mut asked => break,
            };
            match step {
                Ok(_) => {}
                Err(Finish::Asked(Ask::Prepare(node, answer))) => self.prepare(node, answer),
                Err(Finish::Asked(Ask::Give(node, index, answer))) if node == to => {
                    self.give_once(index, answer).await;
                    let _ = asked.await;
                    return;
                }
                Err(Finish::Asked(Ask::Give(_, _, answer))) => drop(answer.send(Answer::Unknown)),
                Err(Finish::Asked(Ask::Claim(_))) => {}
                Err(Finish::Wire(_) | Finish::Draining | Finish::Over(_)) => break,
            }
        }
        self.end().await;
    }
}
