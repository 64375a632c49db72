//! Routing keys that somebody follows: what each member has seen of one.
//!
//! Any node is asked to follow a key, or what was seen, and asks all the others. A node that can't be asked is told apart
//! from one that has seen nothing. Clocks differ, and hops are put in order by time: each node tells its own clock with its
//! answer. One that is not between our question and its answer is off, and that is made up for. One that is may be off by
//! as much as the answer took, and is taken as it is: on a busy machine answers are late, not clocks.

use crate::{
    consensus::{Consensus, Shared},
    observing::{Unobserved, ask, of_each},
    peer::{path, wire},
};
use futures_util::future::BoxFuture;
use quorate_model::{
    LogTime, NodeName,
    key_trace::{KeyTrace, TraceAsked},
};
use quorate_rt::time::wall_ms;
use std::{collections::BTreeSet, sync::Arc};

/// Does what is asked on this node. It ends by itself within [`crate::observing::WITHIN`].
pub type Tracer = Arc<dyn Fn(TraceAsked) -> BoxFuture<'static, KeyTrace> + Send + Sync>;

/// What a member has seen, or why that is not known.
pub type TracedAt = (NodeName, Result<KeyTrace, Unobserved>);

impl Consensus {
    /// From now on `tracer` follows keys on this node. Once: a second one is not heard.
    pub fn trace_by(&self, tracer: Tracer) {
        let _ = self.shared().tracer.set(tracer);
    }

    /// Has all members follow a key.
    pub async fn follow_key(&self, asked: TraceAsked) -> Vec<TracedAt> {
        ask_all(self.shared(), asked).await
    }

    /// What all members have seen of a key. Asked twice: a request without the key is of interest to a node only once it
    /// knows that another one has seen its trace with the key.
    pub async fn key_traces(&self, asked: TraceAsked) -> Vec<TracedAt> {
        let first = ask_all(self.shared(), asked.clone()).await;
        let known: BTreeSet<Box<str>> = first
            .iter()
            .filter_map(|(_, told)| told.as_ref().ok())
            .flat_map(|told| told.traces().map(Into::into))
            .collect();
        if known.is_empty() {
            return first;
        }
        ask_all(self.shared(), TraceAsked { traces: known.into_iter().collect(), ..asked }).await
    }
}

/// All members, by name.
async fn ask_all(shared: &Shared, asked: TraceAsked) -> Vec<TracedAt> {
    let message = wire::encode_trace_asked(&asked);
    of_each(shared, |member| {
        let (asked, message) = (asked.clone(), message.clone());
        async move {
            let Some(member) = member else {
                return tell(shared, asked).await.ok_or(Unobserved::Starting);
            };
            let asked_at = LogTime(wall_ms());
            let told = ask(shared, member, (path::KEY_TRACE, message), wire::decode_key_trace).await;
            told.map(|told| by_our_clock(told, (asked_at, LogTime(wall_ms()))))
        }
    })
    .await
}

fn by_our_clock(mut told: KeyTrace, (asked_at, now): (LogTime, LogTime)) -> KeyTrace {
    if !(asked_at..=now).contains(&told.clock) {
        for hop in &mut told.hops {
            hop.at = LogTime(hop.at.0.saturating_add(now.0).saturating_sub(told.clock.0));
        }
    }
    told
}

/// The asked node's part. `None`: it does not route yet.
async fn tell(shared: &Shared, asked: TraceAsked) -> Option<KeyTrace> {
    let told = shared.tracer.get()?(asked).await;
    Some(KeyTrace { clock: LogTime(wall_ms()), ..told })
}

/// The same for one that asks from elsewhere.
pub(crate) async fn answer(shared: &Shared, body: &[u8]) -> Result<Vec<u8>, wire::WireError> {
    let asked = wire::decode_trace_asked(body)?;
    Ok(wire::encode_key_trace(tell(shared, asked).await.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::key_trace::Hop;

    #[test]
    fn hops_of_a_node_whose_clock_is_off_are_put_where_they_were() {
        let at = |clock: u64, (asked_at, now): (u64, u64)| {
            let hops = vec![Hop { at: LogTime(5_000), ..Hop::default() }];
            let told = KeyTrace { clock: LogTime(clock), hops, ..KeyTrace::default() };
            by_our_clock(told, (LogTime(asked_at), LogTime(now))).hops[0].at.0
        };
        assert_eq!(at(6_000, (65_900, 66_000)), 65_000, "a minute behind");
        assert_eq!(at(6_000, (5_400, 5_500)), 4_500, "half a second ahead");
        // The answer took long on its way: were that taken for the clock, hops would change places.
        assert_eq!(at(6_000, (5_990, 6_300)), 5_000);
    }
}
