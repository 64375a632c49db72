//! What nodes have shown of who holds what by gateways' leases, and what must never be among it.

use quorate_model::{Epoch, LogIndex};
use quorate_state::View;
use std::collections::{BTreeMap, BTreeSet};

/// What was seen so far, on any node.
#[derive(Default)]
pub struct Leases {
    /// Every lease that stood on some node.
    seen: BTreeSet<Epoch>,
    /// Of those that have ended, an index by which they had.
    ended: BTreeMap<Epoch, LogIndex>,
    /// Each grant, and who got it.
    granted: BTreeMap<Epoch, String>,
    /// By life of a node, the latest epoch by name: it only grows.
    latest: BTreeMap<(String, u32, String), Epoch>,
}

impl Leases {
    /// What stands on a node. A lease is granted at its epoch or before: whoever is beyond that and does not have it has
    /// seen its end. `named`: the leases by which something is held there.
    pub fn look(
        &mut self,
        node: &str,
        view: &View,
        named: impl Iterator<Item = Epoch>,
    ) -> Result<(), String> {
        let index = view.index();
        let standing: BTreeSet<_> = view.tunnels().gateways().map(|gateway| gateway.epoch).collect();
        for lease in self.seen.iter().filter(|lease| lease.0 <= index.0 && !standing.contains(lease)) {
            let ended = self.ended.entry(*lease).or_insert(index);
            *ended = (*ended).min(index);
        }
        let had_ended = |lease: &Epoch| self.ended.get(lease).is_some_and(|ended| *ended <= index);
        if let Some(lease) = named.chain(standing.iter().copied()).find(had_ended) {
            return Err(format!("{node} names the lease {lease} at {index}, which had ended by then"));
        }
        self.seen.extend(standing);
        Ok(())
    }

    /// Each epoch is one holder's, and a name goes from older ones to newer ones only. `holder`: who has it, in words.
    pub fn holds(
        &mut self,
        (node, life): (&str, u32),
        (name, holder, epoch): (&str, String, Epoch),
    ) -> Result<(), String> {
        if let Some(other) = self.granted.insert(epoch, holder.clone())
            && other != holder
        {
            return Err(format!("{epoch} was granted to {other} and to {holder}"));
        }
        let latest = self.latest.entry((node.to_owned(), life, name.to_owned())).or_insert(epoch);
        if *latest > epoch {
            return Err(format!("{node}: {name} went back from {latest} to {epoch}"));
        }
        *latest = epoch;
        Ok(())
    }
}
