//! No live worker is expired: before each expiry there must have been a silence of the worker's whole TTL.
//!
//! An expiry may be applied a while after it was proposed, and the worker may have been heard in between; so the
//! silence may end up to [`UNDER_WAY_MS`] before the expiry is seen. Clock rates differ by up to 5 %.

use super::{Look, lives::Life, lives::Lives};
use quorate_model::Lifecycle;
use std::collections::BTreeSet;

/// A proposal is applied within this time, or its leader gives it up and the next one asks anew.
const UNDER_WAY_MS: u128 = 5_000;

/// Of the TTL, in percent, as the fastest clock counts it.
const FASTEST: u128 = 95;

/// Which expiries were judged.
#[derive(Debug, Default)]
pub struct Expiry {
    judged: BTreeSet<(String, u64)>,
}

impl Expiry {
    /// A node shows its records.
    pub fn looked(&mut self, look: &Look<'_>, lives: &Lives) -> Result<(), String> {
        for worker in look.view.workers() {
            if !matches!(worker.lifecycle, Lifecycle::Expired { .. }) {
                continue;
            }
            let (id, incarnation) = (worker.id().as_str(), worker.incarnation.0);
            let Some(life) = lives.get(id, incarnation).filter(|life| life.ttl_ms > 0) else { continue };
            if self.judged.insert((id.to_owned(), worker.epoch.0)) && !was_silent(life, look.at_ms) {
                let (ttl, heard) = (life.ttl_ms, life.heard.last());
                return Err(format!(
                    "{id} (lease {incarnation}, TTL {ttl} ms) is expired at {} ms on {}; granted from {} ms, heard last {heard:?} ms",
                    look.at_ms, look.node, life.granted_ms
                ));
            }
        }
        Ok(())
    }
}

/// Whether some moment shortly before `seen_ms` ends a silence of a whole TTL.
fn was_silent(life: &Life, seen_ms: u128) -> bool {
    let from = seen_ms.saturating_sub(UNDER_WAY_MS);
    // A beat is heard at any moment until it is answered: the silence before it may have lasted so long.
    let just_before_a_beat = life.heard.iter().map(|(_, answered)| *answered).filter(|at| *at >= from);
    just_before_a_beat
        .chain([seen_ms])
        .filter(|moment| *moment > life.granted_ms && *moment <= seen_ms)
        .any(|moment| silent_before(life, moment) * 100 >= life.ttl_ms * FASTEST)
}

/// How long the worker was silent at most, before `moment`.
fn silent_before(life: &Life, moment: u128) -> u128 {
    // The earliest that it can have been heard by the latest sign that was confirmed by then.
    let heard = life.heard.iter().filter(|(_, answered)| *answered < moment).map(|(sent, _)| *sent);
    moment - heard.max().unwrap_or(life.granted_ms)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Answer, Ask, OpId, Operation,
            tests::{TTL_MS, change, look, registered, registers},
        },
        *,
    };
    use quorate_model::LeaseEvent;

    /// A worker that was granted its lease at 0 ms and heard at `beats`; whether its expiry at `at_ms` is right.
    fn expired(beats: &[u128], at_ms: u128) -> Result<(), String> {
        let mut lives = Lives::default();
        let mut state = registered(&[(5, "w1", &[0], 1)]);
        tell(&mut lives, 1, 0, registers("w1"), Answer::Registered { incarnation: 5, index: 5 });
        for (n, at) in (2..).zip(beats) {
            let beat = Ask::Heartbeat { worker: "w1".into(), incarnation: 5 };
            tell(&mut lives, n, *at, beat, Answer::Alive);
        }
        lives.looked(&look("n1", &state, 20));
        change(&mut state, 6, "w1", LeaseEvent::Expired);
        Expiry::default().looked(&look("n1", &state, at_ms), &lives)
    }

    fn tell(lives: &mut Lives, op: u64, at_ms: u128, ask: Ask, answer: Answer) {
        lives.asked(OpId(op), at_ms, &ask);
        lives.answered(OpId(op), &Operation { asked_ms: at_ms, ask, answered: Some((at_ms + 10, answer)) });
    }

    #[test]
    fn an_expiry_without_a_silence_of_a_ttl_is_noticed() {
        assert!(expired(&[1_000, 2_000, 3_000], 3_000 + TTL_MS).is_ok());
        assert!(expired(&[1_000, 2_000, 3_000], 3_000 + TTL_MS / 2).is_err(), "heard half a TTL ago");
        assert!(expired(&[], TTL_MS).is_ok());
        assert!(expired(&[], TTL_MS / 2).is_err(), "granted half a TTL ago");
    }

    #[test]
    fn a_beat_that_came_while_the_expiry_was_under_way_excuses_nothing_and_accuses_nobody() {
        assert!(expired(&[1_000, 1_000 + TTL_MS], 1_100 + TTL_MS).is_ok());
        assert!(expired(&[1_000, TTL_MS - 500], 1_100 + TTL_MS).is_err());
    }
}
