//! What consensus says, as the management API shows it.

use quorate_consensus::{key_tracing::TracedAt, looking, peer::wire::Found};
use quorate_management::{KeyTraceAt, Look, ProbedBy, Verdict};

pub(super) fn shown_look(looking::Look { verdict, found }: looking::Look) -> Look {
    let verdict = match verdict {
        looking::Verdict::Down => Verdict::Down,
        looking::Verdict::Up => Verdict::Up,
        looking::Verdict::Unconfirmed => Verdict::Unconfirmed,
        looking::Verdict::Heard => Verdict::Heard,
        looking::Verdict::Expired => Verdict::Expired,
    };
    let probes = found.into_iter().map(|(node, found)| {
        let (connected, detail) = match found {
            Found::Connected(words) => (Some(true), words),
            Found::Unconnected(words) => (Some(false), words),
            Found::Unknown(words) => (None, words),
        };
        ProbedBy { node, connected, detail }
    });
    Look { verdict, probes: probes.collect() }
}

pub(super) fn traced(told: Vec<TracedAt>) -> Vec<KeyTraceAt> {
    told.into_iter().map(|(node, told)| (node, told.map_err(|why| why.to_string()))).collect()
}
