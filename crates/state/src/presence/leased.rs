//! What gateways hold by their leases, and what those held that have ended.
//!
//! A gateway that ends takes all that it holds with it, and that must not cost more the more it holds: apply is what
//! every request for a change waits for, and a node may hold a hundred thousand. So what it holds is put aside as a
//! whole, and taken apart later, a bounded part at a time.

use imbl::{OrdMap, OrdSet};
use quorate_model::{Epoch, Session, TunnelName};
use std::sync::Arc;

/// What a gateway holds, in the order in which it is cleared up.
pub(crate) trait Held: Clone + Default {
    /// One of it.
    type Item;

    /// How many there are.
    fn count(&self) -> usize;

    /// Takes the first one out.
    fn take_first(&mut self) -> Option<Self::Item>;
}

impl Held for OrdSet<TunnelName> {
    type Item = TunnelName;

    fn count(&self) -> usize {
        self.len()
    }

    fn take_first(&mut self) -> Option<TunnelName> {
        self.remove_min()
    }
}

impl Held for OrdMap<Epoch, Arc<Session>> {
    type Item = Arc<Session>;

    fn count(&self) -> usize {
        self.len()
    }

    fn take_first(&mut self) -> Option<Arc<Session>> {
        let first = self.get_min().map(|(epoch, _)| *epoch)?;
        self.remove(&first)
    }
}

/// What each gateway holds, by its epoch. Cloning costs O(1).
#[derive(Clone, Debug)]
pub(crate) struct Leased<H> {
    standing: OrdMap<Epoch, H>,
    /// How many there are in all that stand.
    count: usize,
    /// What is to be cleared up, by the gateway that held it.
    ended: OrdMap<Epoch, H>,
}

impl<H> Default for Leased<H> {
    fn default() -> Self {
        Self { standing: OrdMap::new(), count: 0, ended: OrdMap::new() }
    }
}

impl<H: Held> Leased<H> {
    /// A gateway begins to hold.
    pub fn begin(&mut self, gateway: Epoch) {
        self.standing.insert(gateway, H::default());
    }

    /// Ends it; answers with how much it held. Costs the same for any amount.
    pub fn end(&mut self, gateway: Epoch) -> usize {
        let Some(held) = self.standing.remove(&gateway) else { return 0 };
        let count = held.count();
        self.count -= count;
        if count > 0 {
            self.ended.insert(gateway, held);
        }
        count
    }

    /// Whether a gateway may hold something.
    pub fn stands(&self, gateway: Epoch) -> bool {
        self.standing.contains_key(&gateway)
    }

    /// What a gateway holds.
    pub fn of(&self, gateway: Epoch) -> Option<&H> {
        self.standing.get(&gateway)
    }

    /// Changes what a gateway holds, if it stands.
    pub fn change<T>(&mut self, gateway: Epoch, change: impl FnOnce(&mut H) -> T) -> Option<T> {
        let held = self.standing.get_mut(&gateway)?;
        let before = held.count();
        let changed = change(held);
        self.count = self.count - before + held.count();
        Some(changed)
    }

    /// How much all that stand hold.
    pub fn len(&self) -> usize {
        self.count
    }

    /// By gateway.
    pub fn standing(&self) -> impl Iterator<Item = (Epoch, &H)> {
        self.standing.iter().map(|(gateway, held)| (*gateway, held))
    }

    /// What is not cleared up yet, by gateway.
    pub fn ended(&self) -> impl Iterator<Item = (Epoch, &H)> {
        self.ended.iter().map(|(gateway, held)| (*gateway, held))
    }

    /// What a gateway held that has ended, as far as it is not cleared up.
    pub fn left_of(&self, gateway: Epoch) -> Option<&H> {
        self.ended.get(&gateway)
    }

    /// How much is not cleared up yet.
    pub fn uncleared(&self) -> usize {
        self.ended.values().map(H::count).sum()
    }

    /// One that is to be cleared up, and the gateway that held it; the oldest gateway's first.
    pub fn take_leftover(&mut self) -> Option<(Epoch, H::Item)> {
        loop {
            let gateway = self.ended.get_min().map(|(gateway, _)| *gateway)?;
            let item = self.ended.get_mut(&gateway).and_then(H::take_first);
            if self.ended.get(&gateway).is_none_or(|held| held.count() == 0) {
                self.ended.remove(&gateway);
            }
            if let Some(item) = item {
                return Some((gateway, item));
            }
        }
    }

    /// What contradicts itself; `None`: nothing.
    pub fn difference(&self, stands: impl Fn(Epoch) -> bool) -> Option<String> {
        if let Some((gateway, _)) = self.ended().find(|(gateway, _)| stands(*gateway)) {
            return Some(format!("gateway {gateway} has ended and stands"));
        }
        if let Some((gateway, _)) = self.standing().find(|(gateway, _)| !stands(*gateway)) {
            return Some(format!("gateway {gateway} holds by a lease that does not stand"));
        }
        let counted: usize = self.standing.values().map(H::count).sum();
        (counted != self.count).then(|| format!("{counted} are held, {} counted", self.count))
    }
}
