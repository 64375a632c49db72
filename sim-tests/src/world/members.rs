//! Who belongs to the cluster, as its operator means it. Raft's own word is compared with it, never taken from it.

use super::{Machine, World, client};
use crate::trace;
use madsim::{
    rand::{Rng, thread_rng},
    runtime::Handle,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// One world of so many has machines that come and go. The others draw what they drew before there were any, so that
/// a seed that once found something keeps its meaning.
const CHANGING_EVERY: u64 = 3;

/// What an operator has set out to do; it is done only when it is seen to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// This machine is to become a voter.
    Join(usize),
    /// This machine is to be no member any more.
    Leave(usize),
}

/// The operator's list. Machines share it: a new disk is installed with the list of that day.
#[derive(Clone, Debug)]
pub struct Roll(Arc<Mutex<Listed>>);

#[derive(Debug)]
struct Listed {
    /// Machines, from 0. One that joins is among them at once, one that leaves until that is done.
    members: BTreeSet<usize>,
    errand: Option<Errand>,
}

impl Roll {
    /// The first `members` machines.
    pub fn new(members: usize) -> Self {
        Self(Arc::new(Mutex::new(Listed { members: (0..members).collect(), errand: None })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Listed) -> T) -> T {
        work(&mut self.0.lock().expect("no panic while held"))
    }

    /// Who belongs to the cluster.
    pub fn members(&self) -> BTreeSet<usize> {
        self.with(|listed| listed.members.clone())
    }

    /// What is not done yet.
    pub fn errand(&self) -> Option<Errand> {
        self.with(|listed| listed.errand)
    }

    /// Sets out to do something.
    pub fn begin(&self, errand: Errand) {
        self.with(|listed| {
            listed.errand = Some(errand);
            if let Errand::Join(i) = errand {
                listed.members.insert(i);
            }
        });
    }

    /// It is done.
    pub fn done(&self) {
        self.with(|listed| {
            if let Some(Errand::Leave(i)) = listed.errand.take() {
                listed.members.remove(&i);
            }
        });
    }
}

/// Machines that wait for somebody to let them join a cluster of `nodes`; `None`: nobody joins or leaves in this run.
pub fn spares(nodes: usize) -> Option<usize> {
    let seed = Handle::current().seed();
    (seed % CHANGING_EVERY == 1).then(|| if nodes < 5 { thread_rng().gen_range(1..=2) } else { 0 })
}

impl World {
    /// The machines that belong to the cluster.
    pub fn members(&self) -> Vec<&Machine> {
        self.roll.members().into_iter().map(|i| &self.machines[i]).collect()
    }

    /// The same by number, from 0.
    pub fn member_numbers(&self) -> Vec<usize> {
        self.roll.members().into_iter().collect()
    }

    /// Their names.
    pub fn member_names(&self) -> BTreeSet<String> {
        self.members().into_iter().map(Machine::name).collect()
    }

    /// The machines that don't, from 0.
    pub fn outsiders(&self) -> Vec<usize> {
        let members = self.roll.members();
        (0..self.machines.len()).filter(|i| !members.contains(i)).collect()
    }

    /// A random member.
    pub fn any(&self) -> usize {
        let members = self.member_numbers();
        members[thread_rng().gen_range(0..members.len())]
    }

    /// A random machine as clients find it: mostly a member, sometimes one that is none any more, or not yet.
    pub fn anywhere(&self) -> usize {
        let outsiders = self.outsiders();
        if !outsiders.is_empty() && thread_rng().gen_bool(0.05) {
            return outsiders[thread_rng().gen_range(0..outsiders.len())];
        }
        self.any()
    }

    /// Whether the cluster is what its operator means it to be: the voters are the members, each with the disk that
    /// it has.
    pub fn is_whole(&self) -> bool {
        self.roll.errand().is_none() && self.others_are_whole(None)
    }

    /// Whether the disk of machine `i` may be lost now. With two of them lost acknowledged writes are gone too,
    /// whatever anybody does: so all others must be there, with their votes. And nobody may be leaving, or the
    /// majority of what is left could have been counted with the lost one.
    pub fn can_lose_disk(&self, i: usize) -> bool {
        !matches!(self.roll.errand(), Some(Errand::Leave(_))) && self.others_are_whole(Some(i))
    }

    /// Whether all members but `spared` are voters with the disks that they have, and nobody else is one.
    fn others_are_whole(&self, spared: Option<usize>) -> bool {
        let Some(leader) = self.leader() else { return false };
        let id = |machine: &Machine| machine.disk().identity().map(|identity| identity.id.0);
        let members = self.roll.members();
        let mut voters = self.machines[leader].voters();
        // One that is on its way in has no vote yet, or just got it.
        if let (Some(spared), Some(Errand::Join(joins))) = (spared, self.roll.errand())
            && spared == joins
        {
            id(&self.machines[spared]).map(|id| voters.remove(&id));
            return self.are_voters(members.iter().filter(|i| **i != spared), &voters);
        }
        self.are_voters(members.iter(), &voters)
    }

    fn are_voters<'a>(&self, members: impl Iterator<Item = &'a usize>, voters: &BTreeSet<u64>) -> bool {
        let members: Vec<_> = members.map(|i| &self.machines[*i]).collect();
        let ids: Option<BTreeSet<u64>> =
            members.iter().map(|m| m.disk().identity().map(|identity| identity.id.0)).collect();
        !members.iter().any(|m| m.is_broken()) && ids.is_some_and(|ids| ids == *voters)
    }

    /// Every machine that is no member says so, if it ever was one; else it waits.
    pub async fn outsiders_know(&self) -> Result<(), String> {
        for i in self.outsiders() {
            let was_member = self.machines[i].view().is_some_and(|view| view.cluster().is_some());
            let wanted = if was_member { "removed" } else { "starting" };
            let answer = client::manage(self, i, "GET", "/readyz".into(), Value::Null).await;
            let said = answer.map(|(status, body)| (status, body["status"].as_str().map(str::to_owned)));
            if said != Some((503, Some(wanted.to_owned()))) {
                return Err(format!("n{} is no member and should say {wanted}, not {said:?}", i + 1));
            }
            trace::event(|| format!("n{} says that it is {wanted}", i + 1));
        }
        Ok(())
    }
}
