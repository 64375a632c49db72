//! What must hold after every entry, by name. Run after each step of every test and simulation, and on each
//! state that comes out of a snapshot.

use crate::{apply::forgotten_at, state::State, window::Window};
use quorate_model::{Duty, Epoch, Partition, RoutingKey, Status, WorkerId, limit};
use std::collections::{BTreeMap, BTreeSet};

/// An invariant that does not hold.
#[derive(Debug, thiserror::Error)]
#[error("invariant `{name}` does not hold at index {index}: {detail}")]
pub struct Violation {
    /// Which.
    pub name: &'static str,
    /// Where.
    pub index: u64,
    /// How.
    pub detail: String,
}

type Check = fn(&State) -> Result<(), String>;

/// Every invariant of the state.
pub const ALL: [(&str, Check); 17] = [
    ("a partition has at most one holder, who lists it", one_holder),
    ("the table is what the claims say", table_follows_claims),
    ("a departed worker holds nothing", departed_hold_nothing),
    ("no epoch is larger than the last one granted, and none is granted twice", epochs_are_unique),
    ("the routable count counts", routable_counts),
    ("retention lists exactly those who are to be forgotten", retention_is_exact),
    ("windows are bounded", windows_are_bounded),
    ("services list exactly the workers that offer them", services_follow_workers),
    (DELEGATES, delegates_are_candidates),
    ("only endpoints of services that are checked are found unwell", ailments_are_of_checked),
    ("each route is known by its name, and by nothing else", routes_are_consistent),
    ("sandboxes are made into what they say, and end when they say", sandboxes_are_consistent),
    (HISTORY, history_leads_to_what_stands),
    (PRESENCE, presence_is_consistent),
    ("each ramp stands at a step that it has, and none stands that is not declared", ramps_are_declared),
    ("objects are found by what they say, and make the rules that they come to", objects_are_consistent),
    (OBJECTS, objects_have_epochs),
];

pub(crate) const HISTORY: &str =
    "each change of what is declared leads to the next one, and the last one to what stands";

pub(crate) const OBJECTS: &str = "objects have epochs and uids of their own";

pub(crate) const DELEGATES: &str =
    "a group has one delegate while it has candidates, and the delegate is one";

pub(crate) const PRESENCE: &str = "presence names standing gateways only, each tunnel once";

/// Checks them all. Costs O(state).
pub fn check(state: &State) -> Result<(), Violation> {
    for (name, check) in ALL {
        check(state).map_err(|detail| Violation { name, index: state.index.0, detail })?;
    }
    Ok(())
}

fn one_holder(state: &State) -> Result<(), String> {
    let mut listed: BTreeMap<(&str, Partition), &str> = BTreeMap::new();
    for worker in state.workers.values() {
        for partition in &worker.registration.partitions {
            let key = (worker.registration.keyspace.as_str(), *partition);
            if let Some(other) = listed.insert(key, worker.id().as_str()) {
                return Err(format!("{key:?} is listed by {other} and {}", worker.id()));
            }
        }
    }
    let claimed: BTreeMap<(&str, Partition), &str> = state
        .keyspaces
        .values()
        .flat_map(|k| k.claims.iter().map(|(p, id)| ((k.keyspace.name.as_str(), *p), id.as_str())))
        .collect();
    if listed == claimed { Ok(()) } else { Err(format!("listed {listed:?}, claimed {claimed:?}")) }
}

fn table_follows_claims(state: &State) -> Result<(), String> {
    for keyspace in state.keyspaces.values() {
        let count = keyspace.count().map_or(0, |c| c.get() as usize);
        if keyspace.table.len() != count {
            return Err(format!(
                "{} has {} slots for {count} partitions",
                keyspace.keyspace.name,
                keyspace.table.len()
            ));
        }
        for (slot, held) in keyspace.table.iter().enumerate() {
            let partition = Partition(i32::try_from(slot).map_err(|e| e.to_string())?);
            let claimed = keyspace.claims.get(&partition).and_then(|id| state.workers.get(id));
            if held.as_ref() != claimed {
                return Err(format!(
                    "slot {slot} of {}: {held:?}, claimed: {claimed:?}",
                    keyspace.keyspace.name
                ));
            }
        }
    }
    Ok(())
}

fn departed_hold_nothing(state: &State) -> Result<(), String> {
    let wrong = state
        .workers
        .values()
        .find(|w| w.status() == Status::Departed && !w.registration.partitions.is_empty());
    wrong.map_or(Ok(()), |w| Err(format!("{} holds {:?}", w.id(), w.registration.partitions)))
}

fn epochs_are_unique(state: &State) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for worker in state.workers.values() {
        if worker.epoch > state.last_epoch {
            return Err(format!("{} is at {}, the last is {}", worker.id(), worker.epoch, state.last_epoch));
        }
        if let Some(other) = seen.insert(worker.epoch, worker.id()) {
            return Err(format!("{other} and {} are both at {}", worker.id(), worker.epoch));
        }
    }
    Ok(())
}

fn routable_counts(state: &State) -> Result<(), String> {
    let routable = state.workers.values().filter(|w| w.is_routable()).count();
    if routable == state.routable {
        Ok(())
    } else {
        Err(format!("{routable} are, {} counted", state.routable))
    }
}

fn retention_is_exact(state: &State) -> Result<(), String> {
    let wanted: imbl::OrdSet<_> =
        state.workers.values().filter_map(|w| forgotten_at(w).map(|at| (at, w.id().clone()))).collect();
    if wanted == state.retention {
        Ok(())
    } else {
        Err(format!("{wanted:?} wanted, {:?} listed", state.retention))
    }
}

pub(crate) fn windows_are_bounded(state: &State) -> Result<(), String> {
    let longest = state.windows.values().map(|w| w.replies.len() as u64).max().unwrap_or(0);
    let long = state.windows.values().map(Window::long_count).max().unwrap_or(0);
    let is_bounded = longest <= limit::REPLY_WINDOW && long <= limit::SESSION_REPLIES_KEPT;
    if state.windows.len() <= limit::REPLY_WINDOWS_MAX && is_bounded {
        Ok(())
    } else {
        Err(format!("{} windows, the longest has {longest} replies, {long} long ones", state.windows.len()))
    }
}

fn services_follow_workers(state: &State) -> Result<(), String> {
    let mut offered: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for worker in state.workers.values().filter(|w| w.status() != Status::Departed) {
        for offer in &worker.registration.services {
            offered
                .entry(offer.name.as_str())
                .or_default()
                .insert(worker.id().as_str(), worker.serves(offer));
        }
    }
    for service in state.services.values() {
        let listed: BTreeMap<_, _> =
            service.endpoints().map(|e| (e.worker().id().as_str(), e.worker().serves(e.offer()))).collect();
        let current = |e: &crate::Endpoint| state.workers.get(e.worker().id()) == Some(e.worker());
        let asked = || service.endpoints().filter(|e| service.is_asked_by_default(e));
        let serving = asked().filter(|e| e.worker().serves(e.offer()) && !e.is_ailing()).count();
        let wanted = offered.remove(service.name().as_str()).unwrap_or_default();
        if listed != wanted || serving != service.serving_count() || !service.endpoints().all(current) {
            return Err(format!("{}: {listed:?}, {} serve; offered: {wanted:?}", service.name(), serving));
        }
        let all_offline = asked().all(|e| e.worker().intent.duty == Duty::Offline);
        if service.was_taken_offline() && !all_offline {
            return Err(format!("{} is called offline, and is not", service.name()));
        }
        if serving > 0 && service.vacant_since().is_some() {
            return Err(format!("{} is called vacant, and {serving} serve", service.name()));
        }
    }
    let policies = state.services.values().filter(|s| s.stored_policy().is_some()).count();
    if !offered.is_empty() || policies != state.policies {
        return Err(format!("not listed: {offered:?}; {policies} policies, {} counted", state.policies));
    }
    Ok(())
}

pub(crate) fn delegates_are_candidates(state: &State) -> Result<(), String> {
    let mut wanted: BTreeMap<&str, BTreeSet<(Epoch, &WorkerId)>> = BTreeMap::new();
    for worker in state.workers.values().filter(|w| w.stands_for_delegate()) {
        wanted.entry(worker.group()).or_default().insert((worker.incarnation, worker.id()));
    }
    let listed: BTreeMap<&str, BTreeSet<_>> = state
        .candidates
        .iter()
        .map(|(g, all)| (&**g, all.iter().map(|(i, id)| (*i, id)).collect()))
        .collect();
    if listed != wanted || !state.unsettled.is_empty() {
        return Err(format!("candidates {listed:?}, wanted {wanted:?}, unsettled {:?}", state.unsettled));
    }
    for (group, delegate) in &state.delegates {
        let id = (delegate.incarnation, &delegate.worker);
        if delegate.epoch > state.last_epoch || *delegate.group != **group {
            return Err(format!("{delegate:?} of {group} at last epoch {}", state.last_epoch));
        }
        if !wanted.get(&**group).is_some_and(|all| all.contains(&id)) {
            return Err(format!("{delegate:?} is no candidate"));
        }
    }
    match wanted.keys().find(|group| !state.delegates.contains_key(**group)) {
        None => Ok(()),
        Some(group) => Err(format!("group {group} has no delegate")),
    }
}

fn ailments_are_of_checked(state: &State) -> Result<(), String> {
    let is_checked = |service: &crate::ServiceView| {
        service.stored_policy().is_some_and(|stored| stored.policy.health.is_some())
    };
    let wrong = state.services.values().find(|s| !is_checked(s) && s.ailments().next().is_some());
    wrong.map_or(Ok(()), |service| Err(format!("{} is not checked", service.name())))
}

fn routes_are_consistent(state: &State) -> Result<(), String> {
    let mut anew = crate::RouteTable::default();
    state.routes.iter().for_each(|stored| drop(anew.insert(stored.clone())));
    match state.routes.difference(&anew) {
        None if state.config_changed <= state.index => Ok(()),
        None => Err(format!("declared at {}, which is to come", state.config_changed)),
        Some(what) => Err(what),
    }
}

fn sandboxes_are_consistent(state: &State) -> Result<(), String> {
    state.sandboxes.difference().map_or(Ok(()), Err)
}

pub(crate) fn history_leads_to_what_stands(state: &State) -> Result<(), String> {
    let Some(history) = &state.history else { return Ok(()) };
    history.difference(state).map_or(Ok(()), Err)
}

pub(crate) fn presence_is_consistent(state: &State) -> Result<(), String> {
    state.presence.difference(state.last_epoch).map_or(Ok(()), Err)
}

fn ramps_are_declared(state: &State) -> Result<(), String> {
    for stored in state.sandboxes.iter() {
        stored
            .sandbox
            .check_ramps(&stored.ramps)
            .map_err(|wrong| format!("sandbox {}: {wrong}", stored.key))?;
    }
    for stored in state.routes.iter() {
        let anew = quorate_model::StoredRoute::new(
            stored.route.clone(),
            (stored.created, stored.changed),
            stored.ramp_state(),
        );
        let anew = anew.map_err(|wrong| format!("route {}: {wrong}", stored.route.name()))?;
        if anew.ramp != stored.ramp {
            return Err(format!("route {} is made into {:?}", stored.route.name(), stored.ramp));
        }
    }
    Ok(())
}

fn objects_are_consistent(state: &State) -> Result<(), String> {
    if let Some(what) = state.objects.difference() {
        return Err(what);
    }
    let comes_to = |key: &&RoutingKey| {
        let wanted = state.objects.rules_of(key);
        let made = state.sandboxes.made(key.as_str());
        made.map_or(wanted.rules.is_empty(), |made| {
            !wanted.rules.is_empty() && made.sandbox.rules == wanted.rules && made.created == wanted.created
        })
    };
    let mut keys = state.objects.keys().chain(state.sandboxes.made_keys());
    match keys.find(|key| !comes_to(key)) {
        None => Ok(()),
        Some(key) => Err(format!("objects make other rules for {key} than they come to")),
    }
}

pub(crate) fn objects_have_epochs(state: &State) -> Result<(), String> {
    let (mut epochs, mut uids) = (BTreeSet::new(), BTreeSet::new());
    for stored in state.objects.iter() {
        let id = stored.id();
        if stored.epoch > state.last_epoch {
            return Err(format!("{id} is at {}, the last is {}", stored.epoch, state.last_epoch));
        }
        if !epochs.insert(stored.epoch) || !uids.insert(stored.uid) {
            return Err(format!("{id} shares the epoch {} or its uid with another one", stored.epoch));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
