//! A worker that has fallen silent is out within its TTL (and what each new leader grants it), and is sent no
//! request after that by a node that hears a leader.
//!
//! What a new leader grants is the design's rule: a live lease starts at its full TTL, a suspect one at half of it. So
//! suspicion is what makes progress across elections: a leader that gave suspects their full time again would make
//! them immortal. Without a quorum nothing can be changed, and nodes that are cut off route by what they have.

use super::{
    Look, Reached,
    lives::{Life, Lives},
};

/// From winning an election to keeping leases: a tick, and a read that proves that everything is applied.
const TAKE_OVER_MS: u128 = 2_500;
/// From the deadline to the entry being applied, and from the beginning of a quorum to the first entry.
const TO_APPLY_MS: u128 = 3_000;
/// A node that hears the leader lags no longer.
const TO_FOLLOW_MS: u128 = 3_000;
/// Of the TTL, in percent, as the slowest clock counts it.
const SLOWEST: u128 = 106;

/// Who kept leases when.
#[derive(Debug, Default)]
pub struct Silence {
    /// When a node began to speak for a quorum.
    starts: Vec<u128>,
    /// Who does so now.
    now: Option<Stretch>,
}

#[derive(Debug)]
struct Stretch {
    node: String,
    life: u32,
    term: u64,
    since_ms: u128,
}

impl Silence {
    /// Follows who leads.
    pub fn led(&mut self, look: &Look<'_>) {
        let term = look.leads_in.filter(|_| look.speaks_for_quorum);
        let same = |s: &Stretch| s.node == look.node && s.life == look.life && Some(s.term) == term;
        match (&self.now, term) {
            (Some(now), _) if same(now) => {}
            (Some(now), None) if now.node == look.node => self.now = None,
            (_, None) => {}
            // An old leader may take itself for one a moment longer than the new one.
            (Some(now), Some(term)) if now.term > term => {}
            (_, Some(term)) => {
                self.starts.push(look.at_ms);
                let (node, life, since_ms) = (look.node.to_owned(), look.life, look.at_ms);
                self.now = Some(Stretch { node, life, term, since_ms });
            }
        }
    }

    /// The leader shows its records.
    pub fn looked(&self, look: &Look<'_>, lives: &Lives) -> Result<(), String> {
        if self.now.as_ref().is_none_or(|now| now.node != look.node) {
            return Ok(());
        }
        for worker in look.view.workers().filter(|w| w.is_routable()) {
            let (id, incarnation) = (worker.id().as_str(), worker.incarnation.0);
            let deadline = lives.get(id, incarnation).and_then(|life| self.deadline(life, look.at_ms));
            if let Some(deadline) = deadline.filter(|deadline| *deadline + TO_APPLY_MS < look.at_ms) {
                return Err(format!(
                    "{id} (lease {incarnation}) should be out since {deadline} ms, and is {} on the leader {} at {} ms",
                    worker.status().as_str(),
                    look.node,
                    look.at_ms
                ));
            }
        }
        Ok(())
    }

    /// A worker got a request.
    pub fn reached(&self, reached: &Reached, lives: &Lives) -> Result<(), String> {
        if reached.stale {
            return Ok(());
        }
        let newest = lives.of(&reached.worker).map(|(_, life)| self.deadline(life, reached.sent_ms));
        // Without a deadline, one of its lives may be heard.
        let Some(Some(deadline)) = newest.max_by_key(|deadline| deadline.unwrap_or(u128::MAX)) else {
            return Ok(());
        };
        if deadline + TO_APPLY_MS + TO_FOLLOW_MS < reached.sent_ms {
            return Err(format!(
                "{} got a request through {} (index {}) at {} ms, and should be out since {deadline} ms",
                reached.worker, reached.via, reached.index, reached.sent_ms
            ));
        }
        Ok(())
    }

    /// When a life must have ended, if it was not heard again; `None`: nobody could end it by `now_ms`.
    fn deadline(&self, life: &Life, now_ms: u128) -> Option<u128> {
        let stretch = self.now.as_ref()?;
        if life.ttl_ms == 0 || stretch.since_ms + TO_APPLY_MS > now_ms {
            return None;
        }
        let heard = life.may_be_heard_until(now_ms);
        let ttl = life.ttl_ms * SLOWEST / 100;
        let granted = |start: u128| {
            let suspect = life.suspect_ms.is_some_and(|since| since > heard && since + 100 < start);
            start + TAKE_OVER_MS + if suspect { ttl / 2 } else { ttl }
        };
        let starts = self.starts.iter().filter(|start| **start + TAKE_OVER_MS > heard).map(|s| granted(*s));
        Some(starts.fold(heard + ttl, u128::max))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Answer, OpId, Operation,
            tests::{change, look, registered, registers},
        },
        *,
    };
    use quorate_model::LeaseEvent;
    use quorate_state::State;

    fn leads<'a>(node: &'a str, state: &'a State, term: u64, at_ms: u128) -> Look<'a> {
        Look { leads_in: Some(term), speaks_for_quorum: true, ..look(node, state, at_ms) }
    }

    /// Registered at 0 ms, and silent since.
    fn silent() -> (State, Lives) {
        let (state, mut lives) = (registered(&[(5, "w1", &[0], 1)]), Lives::default());
        let ask = registers("w1");
        lives.asked(OpId(1), 0, &ask);
        let answered = Some((10, Answer::Registered { incarnation: 5, index: 5 }));
        lives.answered(OpId(1), &Operation { asked_ms: 0, ask, answered });
        lives.looked(&look("n1", &state, 20));
        (state, lives)
    }

    fn reached(sent_ms: u128) -> Reached {
        Reached { worker: "w1".into(), via: "n2".into(), index: 6, stale: false, sent_ms }
    }

    #[test]
    fn a_silent_worker_that_stays_in_is_noticed() {
        let (state, lives) = silent();
        let mut silence = Silence::default();
        silence.led(&leads("n1", &state, 1, 0));
        assert!(silence.looked(&leads("n1", &state, 1, 8_000), &lives).is_ok());
        assert!(silence.looked(&leads("n1", &state, 1, 10_000), &lives).is_err());
        assert!(silence.looked(&leads("n2", &state, 1, 10_000), &lives).is_ok(), "not the leader");
    }

    #[test]
    fn a_request_to_a_silent_worker_is_noticed_unless_the_node_is_cut_off() {
        let (state, lives) = silent();
        let mut silence = Silence::default();
        silence.led(&leads("n1", &state, 1, 0));
        assert!(silence.reached(&reached(9_000), &lives).is_ok());
        assert!(silence.reached(&reached(13_000), &lives).is_err());
        assert!(silence.reached(&Reached { stale: true, ..reached(13_000) }, &lives).is_ok());
    }

    #[test]
    fn a_new_leader_grants_a_suspect_half_its_time_only() {
        let (mut state, mut lives) = silent();
        let mut silence = Silence::default();
        silence.led(&leads("n1", &state, 1, 0));
        change(&mut state, 6, "w1", LeaseEvent::Suspected);
        lives.looked(&look("n1", &state, 2_000));
        silence.led(&leads("n2", &state, 2, 20_000));
        assert!(silence.looked(&leads("n2", &state, 2, 26_000), &lives).is_ok());
        assert!(silence.looked(&leads("n2", &state, 2, 27_500), &lives).is_err());
    }
}
