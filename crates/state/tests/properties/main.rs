//! What must hold for every sequence of commands: registrations, adoptions, goodbyes, lease changes with right and
//! stale epochs, keyspace changes and observations, repeats, many to an entry, a clock that jumps both ways.

mod model;
mod sequence;

use model::{Answer, Life, Model, Owners, Policy, Record};
use proptest::prelude::*;
use quorate_model::{Entry, Lifecycle, LogIndex, LogTime, Reply, StoredPolicy, Worker};
use quorate_state::{Applied, Parts, State, invariant};
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_invariant_holds_after_every_entry(intents in sequence::intents()) {
        let mut state = State::new();
        for (index, entry) in indexed(&sequence::log(&intents)) {
            state.apply(index, entry);
            invariant::check(&state).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
    }

    #[test]
    fn a_plain_model_agrees_on_every_answer_record_and_owner(intents in sequence::intents()) {
        let (mut state, mut model) = (State::new(), Model::default());
        for (index, entry) in indexed(&sequence::log(&intents)) {
            let answers: Vec<Answer> = state.apply(index, entry).replies.iter().map(Answer::from).collect();
            prop_assert_eq!(answers, model.apply(entry), "at {}: {:?}", index, entry);
            prop_assert_eq!(listed(&state), model.owners.clone(), "at {}: {:?}", index, entry);
            prop_assert_eq!(routed(&state), below_count(&model), "at {}: {:?}", index, entry);
            prop_assert_eq!(records(&state), model.workers.clone(), "at {}: {:?}", index, entry);
            prop_assert_eq!(policies(&state), model.policies.clone(), "at {}: {:?}", index, entry);
            prop_assert_eq!(delegates(&state), model.delegates.clone(), "at {}: {:?}", index, entry);
            prop_assert!(state.workers().all(|w| w.registered_exactly(&model.registered(w.id().as_str()))));
            prop_assert_eq!(state.now(), LogTime(model.now));
            let routable = model.workers.keys().filter(|id| model.is_routable(id)).count();
            prop_assert_eq!(state.worker_count(), routable);
        }
    }

    #[test]
    fn apply_is_deterministic(intents in sequence::intents()) {
        let log = sequence::log(&intents);
        prop_assert_eq!(run(State::new(), &log), run(State::new(), &log));
    }

    #[test]
    fn a_state_from_its_parts_is_equal_and_continues_identically(
        intents in sequence::intents(), cut in any::<prop::sample::Index>(),
    ) {
        let log = sequence::log(&intents);
        let (before, after) = log.split_at(cut.index(log.len()));
        let mut state = State::new();
        indexed(before).for_each(|(index, entry)| drop(state.apply(index, entry)));
        let again = State::from_parts(state.parts()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(again.parts(), state.parts());
        prop_assert_eq!(routed(&again), routed(&state));
        prop_assert_eq!(run(again, after), run(state, after));
    }

    #[test]
    fn an_earlier_clone_is_never_changed_by_later_entries(intents in sequence::intents()) {
        let mut state = State::new();
        let mut taken = Vec::new();
        for (index, entry) in indexed(&sequence::log(&intents)) {
            state.apply(index, entry);
            taken.push((state.clone(), state.parts(), routed(&state)));
        }
        for (clone, parts, owners) in taken {
            prop_assert_eq!(clone.parts(), parts);
            prop_assert_eq!(routed(&clone), owners);
            prop_assert!(invariant::check(&clone).is_ok());
        }
    }

    #[test]
    fn an_entry_of_refusals_leaves_the_state_as_it_was(intents in sequence::intents()) {
        let mut state = State::new();
        for (index, entry) in indexed(&sequence::log(&intents)) {
            let mut idle = state.clone();
            idle.apply(index, &Entry { at: entry.at, proposals: Vec::new() });
            let applied = state.apply(index, entry);
            if applied.replies.iter().all(|r| matches!(r, Reply::Refused(_) | Reply::Unchanged)) {
                prop_assert_eq!(without_windows(&state), without_windows(&idle), "{:?}", entry);
            }
        }
    }

    #[test]
    fn the_tokens_of_each_partition_never_go_back_and_a_new_owner_s_is_larger(intents in sequence::intents()) {
        let mut state = State::new();
        let mut last = BTreeMap::new();
        for (index, entry) in indexed(&sequence::log(&intents)) {
            state.apply(index, entry);
            for (partition, owner) in routed(&state) {
                let epoch = state.worker(&owner).expect("an owner has a record").epoch;
                if let Some((before, token)) = last.insert(partition, (owner.clone(), epoch)) {
                    prop_assert!(epoch >= token && (owner == before || epoch > token), "{}", owner);
                }
            }
        }
    }
}

fn indexed(log: &[Entry]) -> impl Iterator<Item = (LogIndex, &Entry)> {
    (1..).map(LogIndex).zip(log)
}

/// Everything that a log does to a state.
fn run(mut state: State, log: &[Entry]) -> (Vec<Applied>, Parts, Owners) {
    let first = state.index().0 + 1;
    let applied = (first..).zip(log).map(|(index, entry)| state.apply(LogIndex(index), entry)).collect();
    (applied, state.parts(), routed(&state))
}

fn without_windows(state: &State) -> Parts {
    Parts { windows: Vec::new(), ..state.parts() }
}

/// Who owns what, as requests see it.
fn routed(state: &State) -> Owners {
    let mut owners = Owners::new();
    for keyspace in state.keyspaces() {
        let name = keyspace.keyspace().name.to_string();
        // A little further than the count: there must be nothing.
        for partition in 0..12 {
            if let Some(worker) = keyspace.claimant(partition) {
                owners.insert((name.clone(), partition as i32), worker.id().to_string());
            }
        }
    }
    owners
}

/// Who owns what, as the workers' own lists say, also beyond the count.
fn listed(state: &State) -> Owners {
    let list = |w: &Worker| {
        let (id, keyspace) = (w.id().to_string(), w.registration.keyspace.to_string());
        let one = move |p: &quorate_model::Partition| ((keyspace.clone(), p.0), id.clone());
        w.registration.partitions.iter().map(one).collect::<Vec<_>>()
    };
    state.workers().flat_map(|w| list(w)).collect()
}

fn below_count(model: &Model) -> Owners {
    let below = |keyspace: &str, partition: i32| {
        let count = model.spaces.get(keyspace).and_then(|s| s.count).unwrap_or(0);
        u32::try_from(partition).is_ok_and(|p| p < count)
    };
    model.owners.clone().into_iter().filter(|((keyspace, p), _)| below(keyspace, *p)).collect()
}

fn policies(state: &State) -> BTreeMap<String, (u64, Policy)> {
    let stored = state.services().filter_map(|s| s.stored_policy());
    let hold = |stored: &StoredPolicy| stored.policy.hold.map_or(0, |hold| hold.wait().as_secs());
    let says = |s: &StoredPolicy| (hold(s), s.policy.default_version.as_deref().map(Into::into));
    stored.map(|s| (s.service.to_string(), (s.changed.0, says(s)))).collect()
}

fn delegates(state: &State) -> BTreeMap<String, (String, u64, u64)> {
    let all = state.delegates();
    all.map(|d| (d.group.to_string(), (d.worker.to_string(), d.incarnation.0, d.epoch.0))).collect()
}

fn records(state: &State) -> BTreeMap<String, Record> {
    let life = |w: &Worker| match w.lifecycle {
        Lifecycle::Live => (Life::Live, LogTime(0)),
        Lifecycle::Suspect { since } => (Life::Suspect, since),
        Lifecycle::Expired { at } => (Life::Expired, at),
        Lifecycle::Displaced { at } => (Life::Displaced, at),
        Lifecycle::Unregistered { at } => (Life::Unregistered, at),
    };
    let record = |w: &Worker| Record {
        life: life(w).0,
        epoch: w.epoch.0,
        incarnation: w.incarnation.0,
        changed: w.changed.0,
        address: w.registration.address.to_string(),
        registered: w.registration.partitions.iter().chain(&w.lost).map(|p| p.0).collect(),
        offers_services: !w.registration.services.is_empty(),
        wants: w.registration.extras().wants_delegate.then(|| w.group().into()),
        duty: w.intent.duty,
        weight: w.intent.weight,
        since: life(w).1.0,
    };
    state.workers().map(|w| (w.id().to_string(), record(w))).collect()
}
