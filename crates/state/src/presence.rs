//! Which gateway holds which connection.
//!
//! A gateway that ends takes all that it holds with it, and that must not cost more the more it holds: apply is what
//! every request for a change waits for, and a node may hold a hundred thousand. So what it holds is not looked up one
//! by one: an entry by name tells the epoch of the gateway that it hangs on, and counts only while that one stands.
//! The entries themselves are cleared up later, some with each entry of the log ([`PresenceTable::clear_up`]).
//!
//! Not more gather than can be cleared up: an entry of the log brings at most as many names as it clears up while there
//! is any to clear up, so there are never more than [`limit::TUNNELS_MAX`] and one entry's worth. What is not cleared up
//! yet is seen by nobody: it is in no answer, no snapshot and no count.

use imbl::{OrdMap, OrdSet};
use quorate_model::{Epoch, Gateway, LogTime, NodeName, TunnelHolder, TunnelName, limit};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// All gateways, and what they hold. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct PresenceTable {
    gateways: OrdMap<Epoch, Held>,
    by_node: OrdMap<NodeName, Epoch>,
    /// Also of gateways that have ended, as long as they are not cleared up.
    tunnels: OrdMap<TunnelName, TunnelHolder>,
    /// How many of them stand.
    standing: usize,
    /// What is to be cleared up, by the gateway that held it.
    ended: OrdMap<Epoch, OrdSet<TunnelName>>,
    /// A tunnel of the parts that it was made from whose gateway is not in them.
    lost: Option<TunnelName>,
}

#[derive(Clone, Debug)]
struct Held {
    gateway: Arc<Gateway>,
    tunnels: OrdSet<TunnelName>,
}

/// Everything that is not derived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PresenceParts {
    /// By epoch.
    pub gateways: Vec<Arc<Gateway>>,
    /// By name.
    pub tunnels: Vec<StoredTunnel>,
}

/// A tunnel, and the gateway that it hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTunnel {
    /// What it is called.
    pub name: TunnelName,
    /// The gateway's epoch.
    pub gateway: Epoch,
    /// Its own.
    pub epoch: Epoch,
    /// Since when.
    pub since: LogTime,
}

/// So many names are cleared up with each entry of the log: no fewer than one can bring.
const CLEARED_UP_AT_ONCE: usize = limit::PROPOSALS_PER_ENTRY_MAX;

impl PresenceTable {
    /// Who holds the tunnel of this name.
    pub fn get(&self, name: &str) -> Option<&TunnelHolder> {
        self.tunnels.get(name).filter(|holder| self.stands(holder.gateway))
    }

    /// All tunnels, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&TunnelName, &TunnelHolder)> {
        self.tunnels.iter().filter(|(_, holder)| self.stands(holder.gateway))
    }

    /// Those with names after `cursor`, in order.
    pub fn after(&self, cursor: &str) -> impl Iterator<Item = (&TunnelName, &TunnelHolder)> {
        let range = self.tunnels.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded));
        range.filter(|(_, holder)| self.stands(holder.gateway))
    }

    /// How many tunnels there are.
    pub fn len(&self) -> usize {
        self.standing
    }

    /// Whether there is no tunnel.
    pub fn is_empty(&self) -> bool {
        self.standing == 0
    }

    /// Whether a gateway's lease stands.
    pub fn stands(&self, gateway: Epoch) -> bool {
        self.gateways.contains_key(&gateway)
    }

    /// The lease of a node.
    pub fn gateway(&self, node: &str) -> Option<&Arc<Gateway>> {
        self.by_node.get(node).and_then(|epoch| self.gateways.get(epoch)).map(|held| &held.gateway)
    }

    /// All leases, the oldest first.
    pub fn gateways(&self) -> impl Iterator<Item = &Arc<Gateway>> {
        self.gateways.values().map(|held| &held.gateway)
    }

    /// How many leases there are.
    pub fn gateway_count(&self) -> usize {
        self.gateways.len()
    }

    /// The names of the tunnels that hang on a gateway, in order.
    pub fn held_by(&self, gateway: Epoch) -> impl Iterator<Item = &TunnelName> {
        self.gateways.get(&gateway).into_iter().flat_map(|held| held.tunnels.iter())
    }

    /// How many tunnels hang on a gateway.
    pub fn count_of(&self, gateway: Epoch) -> usize {
        self.gateways.get(&gateway).map_or(0, |held| held.tunnels.len())
    }

    /// How many names of gateways that have ended are not cleared up yet. Nobody sees them.
    pub fn uncleared(&self) -> usize {
        self.ended.values().map(OrdSet::len).sum()
    }

    pub(crate) fn open_gateway(&mut self, gateway: Arc<Gateway>) {
        self.by_node.insert(gateway.node.clone(), gateway.epoch);
        self.gateways.insert(gateway.epoch, Held { gateway, tunnels: OrdSet::new() });
    }

    /// Ends a gateway; answers with how many tunnels it held. Costs the same for any number of them.
    pub(crate) fn end_gateway(&mut self, epoch: Epoch) -> usize {
        let Some(Held { gateway, tunnels }) = self.gateways.remove(&epoch) else { return 0 };
        self.by_node.remove(gateway.node.as_str());
        let count = tunnels.len();
        self.standing -= count;
        if count > 0 {
            self.ended.insert(epoch, tunnels);
        }
        count
    }

    /// Puts a tunnel in the place of the one of its name. Its gateway must stand.
    pub(crate) fn open(&mut self, name: &TunnelName, (gateway, epoch): (Epoch, Epoch), since: LogTime) {
        let former = self.get(name.as_str()).map(|holder| holder.gateway);
        if let Some(former) = former {
            self.let_go(name, former);
        }
        let Some(held) = self.gateways.get_mut(&gateway) else { return };
        held.tunnels.insert(name.clone());
        let node = held.gateway.node.clone();
        self.standing += 1;
        self.tunnels.insert(name.clone(), TunnelHolder { node, gateway, epoch, since });
    }

    /// Takes a tunnel out, if it is the one of this epoch; answers with whether it was.
    pub(crate) fn close(&mut self, name: &TunnelName, epoch: Epoch) -> bool {
        let standing = self.get(name.as_str()).filter(|holder| holder.epoch == epoch);
        let Some(gateway) = standing.map(|holder| holder.gateway) else { return false };
        self.let_go(name, gateway);
        self.tunnels.remove(name);
        true
    }

    fn let_go(&mut self, name: &TunnelName, gateway: Epoch) {
        if let Some(held) = self.gateways.get_mut(&gateway) {
            held.tunnels.remove(name);
            self.standing -= 1;
        }
    }

    /// Clears up a bounded part of what ended gateways held.
    pub(crate) fn clear_up(&mut self) {
        let mut left = CLEARED_UP_AT_ONCE;
        while left > 0
            && let Some(gateway) = self.ended.get_min().map(|(gateway, _)| *gateway)
            && let Some(names) = self.ended.get_mut(&gateway)
        {
            while left > 0
                && let Some(name) = names.remove_min()
            {
                left -= 1;
                // It may hang on another gateway by now.
                if self.tunnels.get(&name).is_some_and(|holder| holder.gateway == gateway) {
                    self.tunnels.remove(&name);
                }
            }
            if names.is_empty() {
                self.ended.remove(&gateway);
            }
        }
    }

    pub(crate) fn parts(&self) -> PresenceParts {
        let stored = |(name, holder): (&TunnelName, &TunnelHolder)| StoredTunnel {
            name: name.clone(),
            gateway: holder.gateway,
            epoch: holder.epoch,
            since: holder.since,
        };
        PresenceParts {
            gateways: self.gateways().cloned().collect(),
            tunnels: self.iter().map(stored).collect(),
        }
    }

    /// What the parts could break, [`PresenceTable::difference`] tells.
    pub(crate) fn from_parts(parts: &PresenceParts) -> Self {
        let mut table = Self::default();
        parts.gateways.iter().for_each(|gateway| table.open_gateway(gateway.clone()));
        for StoredTunnel { name, gateway, epoch, since } in &parts.tunnels {
            if !table.stands(*gateway) {
                table.lost = Some(name.clone());
            }
            table.open(name, (*gateway, *epoch), *since);
        }
        table
    }

    /// What contradicts itself; `None`: nothing.
    pub(crate) fn difference(&self, last_epoch: Epoch) -> Option<String> {
        if let Some(name) = &self.lost {
            return Some(format!("{name} hangs on a gateway that is not there"));
        }
        let mut wanted: BTreeMap<&TunnelName, (Epoch, bool)> = BTreeMap::new();
        // Who stands counts, whoever held the name before.
        for (gateway, names) in &self.ended {
            if self.stands(*gateway) {
                return Some(format!("gateway {gateway} has ended and stands"));
            }
            wanted.extend(names.iter().map(|name| (name, (*gateway, false))));
        }
        for (epoch, held) in &self.gateways {
            if held.gateway.epoch != *epoch
                || *epoch > last_epoch
                || self.by_node.get(&held.gateway.node) != Some(epoch)
            {
                return Some(format!("{:?} at {epoch}, the last epoch is {last_epoch}", held.gateway));
            }
            for name in &held.tunnels {
                if let Some((other, true)) = wanted.insert(name, (*epoch, true)) {
                    return Some(format!("{name} hangs on {other} and {epoch}"));
                }
            }
        }
        let counted = wanted.values().filter(|(_, stands)| *stands).count();
        let sizes = (self.by_node.len(), counted);
        if sizes != (self.gateways.len(), self.standing) {
            return Some(format!("{sizes:?} are, {} and {} counted", self.gateways.len(), self.standing));
        }
        if self.tunnels.len() > limit::TUNNELS_MAX + limit::PROPOSALS_PER_ENTRY_MAX {
            return Some(format!("{} names", self.tunnels.len()));
        }
        self.tunnels_differ(&wanted, last_epoch)
    }

    fn tunnels_differ(
        &self,
        wanted: &BTreeMap<&TunnelName, (Epoch, bool)>,
        last_epoch: Epoch,
    ) -> Option<String> {
        let mut epochs = OrdSet::new();
        for (name, holder) in &self.tunnels {
            let is_listed = match wanted.get(name) {
                Some((gateway, true)) => holder.gateway == *gateway,
                // One name may be left over from several gateways that have ended.
                Some((_, false)) => self.ended.get(&holder.gateway).is_some_and(|names| names.contains(name)),
                None => false,
            };
            let is_later = holder.epoch > holder.gateway && holder.epoch <= last_epoch;
            if !is_listed || !is_later || epochs.insert(holder.epoch).is_some() {
                return Some(format!("{name} is held by {holder:?}, the last epoch is {last_epoch}"));
            }
        }
        let lost = wanted.iter().find(|(name, (_, stands))| *stands && !self.tunnels.contains_key(**name));
        lost.map(|(name, (gateway, _))| format!("{name} of {gateway} is not found"))
    }
}

#[cfg(test)]
impl PresenceTable {
    /// A tunnel that hangs on nothing.
    pub(crate) fn hold_raw(&mut self) {
        let holder = TunnelHolder {
            node: NodeName::parse("n1").expect("valid"),
            gateway: Epoch(1),
            epoch: Epoch(2),
            since: LogTime(1),
        };
        self.tunnels.insert(TunnelName::parse("ghost").expect("valid"), holder);
    }
}
