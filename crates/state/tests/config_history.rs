//! What operators declared before: each earlier configuration can be told, within the bounds, and brought back.

#[path = "config_history/declared.rs"]
mod declared;
mod support;

use declared::{key, keyspace, now, policy, route, route_name, sandbox, service, space, then, to, ttl};

use proptest::prelude::*;
use quorate_model::{
    Became, BootId, Command, Config, ConfigMode, DeclaredChange, Entry, Epoch, FeatureLevel, KeyspaceConfig,
    KeyspaceSource, LogIndex, LogTime, Origin, PartitionCount, Proposal, Refusal, Reply, RestoreId,
    RestoreStep, SandboxParts, SandboxRule, limit,
};
use quorate_state::State;
use std::{collections::BTreeMap, sync::Arc};
use support::Scene;

struct Case(Scene);

impl Case {
    fn new() -> Self {
        let mut case = Self(Scene::formed());
        case.run(Command::RaiseLevel { to: FeatureLevel::SIXTH });
        case
    }

    fn all(&mut self, commands: Vec<Command>) -> Vec<Reply> {
        self.0.apply(commands.into_iter().map(|command| (None, command)).collect()).replies
    }

    fn run(&mut self, command: Command) -> Reply {
        self.all(vec![command]).remove(0)
    }

    fn index(&self) -> LogIndex {
        self.0.state.index()
    }

    fn put_route(&mut self, name: u8, says: u8) -> Reply {
        self.run(Command::PutRoute { route: Box::new(route(name, says)), if_index: None })
    }

    fn back_to(&mut self, to: LogIndex) -> Reply {
        self.run(Command::RollBack { to, if_index: None })
    }

    /// `index: what name` of each change, the newest entry first.
    fn told(&self) -> Vec<String> {
        let history = self.0.state.config_history().expect("kept");
        let told = |change: &Arc<DeclaredChange>| {
            let stood = if change.former.stood() { "" } else { "new " };
            format!("{}: {stood}{} {:?}", change.index, change.former.name(), change.became)
        };
        history.entries_before(LogIndex(u64::MAX)).flatten().map(told).collect()
    }
}

#[derive(Clone, Debug)]
enum Op {
    PutRoute(u8, u8),
    DropRoute(u8),
    PutSandbox(u8, u8),
    DropSandbox(u8),
    Extend(u8),
    End,
    PutPolicy(u8, u8),
    DropPolicy(u8),
    PutSpace(u8, u8),
    Observe(u8),
    Declare(Vec<(u8, Option<u8>)>, bool),
    Back(u64),
}

fn ops() -> impl Strategy<Value = Vec<(u64, Vec<Op>)>> {
    let two = || (0..2u8, 0..3u8);
    let op = prop_oneof![
        4 => two().prop_map(|(n, says)| Op::PutRoute(n, says)),
        2 => (0..2u8).prop_map(Op::DropRoute),
        4 => two().prop_map(|(n, says)| Op::PutSandbox(n, says)),
        1 => (0..2u8).prop_map(Op::DropSandbox),
        1 => (0..2u8).prop_map(Op::Extend),
        3 => Just(Op::End),
        3 => two().prop_map(|(n, says)| Op::PutPolicy(n, says)),
        1 => (0..2u8).prop_map(Op::DropPolicy),
        2 => two().prop_map(|(n, says)| Op::PutSpace(n, says)),
        1 => (0..3u8).prop_map(Op::Observe),
        3 => (prop::collection::vec((0..2u8, prop::option::of(0..3u8)), 0..4), any::<bool>())
            .prop_map(|(objects, replace)| Op::Declare(objects, replace)),
        3 => (0..12u64).prop_map(Op::Back),
    ];
    prop::collection::vec((0..200_000u64, prop::collection::vec(op, 0..4)), 1..20)
}

fn command(op: &Op, case: &Case) -> Command {
    let if_index = None;
    match op {
        Op::PutRoute(n, says) => Command::PutRoute { route: Box::new(route(*n, *says)), if_index },
        Op::DropRoute(n) => Command::DeleteRoute { name: route_name(*n), if_index },
        Op::PutSandbox(n, says) => {
            Command::PutSandbox { key: key(*n), sandbox: Box::new(sandbox(*says)), if_index }
        }
        Op::DropSandbox(n) => Command::DeleteSandbox { key: key(*n), if_index },
        Op::Extend(n) => Command::ExtendSandbox { key: key(*n), ttl: ttl(), if_index },
        Op::End => Command::EndSandboxes(case.0.state.sandboxes().over(case.0.at)),
        Op::PutPolicy(n, says) => Command::PutService { name: service(*n), policy: policy(*says), if_index },
        Op::DropPolicy(n) => Command::DeleteService { name: service(*n), if_index },
        Op::PutSpace(n, says) => {
            let KeyspaceConfig { partitions, source, hold } = space(*says);
            Command::PutKeyspace { name: keyspace(*n), partitions, source, hold, if_index }
        }
        Op::Observe(n) => {
            let partitions = PartitionCount::new(7 + u32::from(*n)).expect("valid");
            Command::ObservePartitions { keyspace: keyspace(*n), partitions }
        }
        Op::Declare(objects, replace) => {
            let routes = objects.iter().map(|(n, says)| (route_name(*n), says.map(|says| route(*n, says))));
            let sandboxes = objects.iter().map(|(n, says)| (key(*n), says.map(sandbox)));
            let services = objects.iter().map(|(n, says)| (service(*n), says.map(policy)));
            let mut config = Config {
                routes: routes.collect(),
                sandboxes: sandboxes.collect(),
                services: services.collect(),
                ..Config::default()
            };
            let mode = if *replace { ConfigMode::Replace } else { ConfigMode::Merge };
            if *replace {
                config.routes.retain(|_, route| route.is_some());
                config.sandboxes.retain(|_, sandbox| sandbox.is_some());
                config.services.retain(|_, policy| policy.is_some());
            }
            Command::Configure { config: Box::new(config), mode, if_index }
        }
        Op::Back(by) => Command::RollBack { to: LogIndex(case.index().0.saturating_sub(*by)), if_index },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Whatever happens, each index within the history can be told as it was, several changes of one entry, ends,
    /// documents and ways back included.
    #[test]
    fn each_earlier_configuration_is_told_as_it_stood(entries in ops()) {
        let mut case = Case::new();
        let mut seen = BTreeMap::from([(case.index(), now(&case.0.state))]);
        for (later, ops) in entries {
            case.0.at = LogTime(case.0.at.0 + later);
            let commands = ops.iter().map(|op| command(op, &case)).collect();
            case.all(commands);
            seen.insert(case.index(), now(&case.0.state));
        }
        for (at, picture) in &seen {
            let told = then(&case.0.state, *at);
            prop_assert_eq!(told.as_ref(), Ok(picture), "at {}", at);
        }
    }

    /// Going back brings all of it back: but keyspaces that came later stay, and so does what Kafka says.
    #[test]
    fn going_back_brings_back_what_stood(entries in ops(), which in any::<prop::sample::Index>()) {
        let mut case = Case::new();
        let mut seen = vec![(case.index(), now(&case.0.state))];
        for (later, ops) in entries {
            case.0.at = LogTime(case.0.at.0 + later);
            case.all(ops.iter().map(|op| command(op, &case)).collect());
            seen.push((case.index(), now(&case.0.state)));
        }
        let (at, mut wanted) = which.get(&seen).clone();
        let before = now(&case.0.state);
        let reply = case.back_to(at);
        for (name, stands) in &before.keyspaces {
            let was = wanted.keyspaces.entry(name.clone()).or_insert(*stands);
            if was.source == KeyspaceSource::Kafka {
                was.partitions = stands.partitions;
            }
        }
        prop_assert_eq!(now(&case.0.state), wanted.clone());
        prop_assert_eq!(reply == Reply::Unchanged, before == wanted);
        // And that can be undone.
        let last = LogIndex(case.index().0 - 1);
        case.back_to(last);
        prop_assert_eq!(now(&case.0.state).routes, before.routes);
    }
}

#[test]
fn each_change_is_told_with_what_became_of_its_object() {
    let mut case = Case::new();
    let began = case.index();
    case.put_route(0, 1);
    case.put_route(0, 2);
    case.run(Command::PutSandbox { key: key(0), sandbox: Box::new(sandbox(0)), if_index: None });
    // More time is no change of what is declared.
    case.run(Command::ExtendSandbox { key: key(0), ttl: ttl(), if_index: None });
    case.0.at = LogTime(limit::SANDBOX_TTL_MS_MIN + 1);
    case.run(Command::EndSandboxes(case.0.state.sandboxes().over(case.0.at)));
    case.run(Command::DeleteRoute { name: route_name(0), if_index: None });
    assert_eq!(case.told(), ["8: r0 Removed", "7: k0 Ended", "5: new k0 Set", "4: r0 Set", "3: new r0 Set"]);
    let since = case.0.state.config_history().expect("kept").entries_before(LogIndex(5)).count();
    assert_eq!((began, since), (LogIndex(2), 2));
}

/// A route that was taken away and made anew is the youngest; what came back is as old as it was.
#[test]
fn a_route_comes_back_with_its_age() {
    let mut case = Case::new();
    case.put_route(0, 1);
    let created = case.0.state.routes().get("r0").expect("there").created;
    let stood = case.index();
    case.run(Command::DeleteRoute { name: route_name(0), if_index: None });
    case.put_route(0, 1);
    assert_ne!(case.0.state.routes().get("r0").expect("there").created, created);
    assert_eq!(case.back_to(stood), Reply::Done);
    assert_eq!(case.0.state.routes().get("r0").expect("there").created, created);
    assert_eq!(case.back_to(stood), Reply::Unchanged);
}

#[test]
fn a_sandbox_comes_back_with_all_its_time() {
    let mut case = Case::new();
    case.run(Command::PutSandbox { key: key(0), sandbox: Box::new(sandbox(0)), if_index: None });
    let stood = case.index();
    case.0.at = LogTime(limit::SANDBOX_TTL_MS_MIN + 5);
    case.run(Command::EndSandboxes(case.0.state.sandboxes().over(case.0.at)));
    assert!(case.0.state.sandboxes().is_empty());
    assert_eq!(case.back_to(stood), Reply::Done);
    let back = case.0.state.sandboxes().get("k0").expect("back").stored().clone();
    assert_eq!(back.ends, Some(LogTime(2 * limit::SANDBOX_TTL_MS_MIN + 5)));
    assert_eq!(back.created, case.index(), "another one than the one that ended");
}

#[test]
fn going_back_is_conditional_and_bound_to_what_is_known() {
    let mut case = Case::new();
    let began = case.index();
    case.put_route(0, 1);
    let changed = case.0.state.config_changed();
    let late = case.run(Command::RollBack { to: began, if_index: Some(began) });
    assert_eq!(late, Reply::Refused(Refusal::PreconditionFailed { current: changed, wanted: began }));
    // The entry itself is known too.
    for ahead in [None, Some(2)] {
        let until = LogIndex(case.index().0 + 1);
        let wanted = LogIndex(ahead.map_or(began.0 - 1, |ahead| case.index().0 + ahead));
        let refused = case.back_to(wanted);
        assert_eq!(refused, Reply::Refused(Refusal::NotInHistory { wanted, from: began, until }));
    }
    assert_eq!(case.run(Command::RollBack { to: began, if_index: Some(changed) }), Reply::Done);
    assert!(case.0.state.routes().is_empty());
}

#[test]
fn the_oldest_entry_is_forgotten_first_and_as_a_whole() {
    let mut case = Case::new();
    // Two changes of one entry.
    let two = [0, 1].map(|n| Command::PutRoute { route: Box::new(route(n, 0)), if_index: None });
    case.all(two.into());
    let first = case.index();
    let max = limit::CONFIG_HISTORY_ENTRIES_MAX as u64;
    for nth in 1..max {
        // Straight: all that is checked after each entry would take a while.
        let route = Box::new(route(0, u8::try_from(1 + nth % 2).expect("small")));
        let command = Command::PutRoute { route, if_index: None };
        let proposals = vec![Proposal { origin: Origin { boot: BootId(9), sequence: nth }, command }];
        let next = LogIndex(case.index().0 + 1);
        case.0.state.apply(next, &Entry { at: case.0.at, proposals });
    }
    let history = |case: &Case| {
        let history = case.0.state.config_history().expect("kept");
        (history.begins(), history.entries_before(LogIndex(u64::MAX)).count() as u64)
    };
    assert_eq!(history(&case), (LogIndex(first.0 - 1), max));
    case.put_route(1, 1);
    assert_eq!(history(&case), (first, max));
    assert!(then(&case.0.state, first).is_ok_and(|then| then.routes.len() == 2));
    assert!(then(&case.0.state, LogIndex(first.0 - 1)).is_err());
}

/// One change that is heavier than the whole history makes it begin anew behind itself.
#[test]
fn the_history_is_bounded_in_bytes() {
    let mut case = Case::new();
    let value = "v".repeat(limit::VALUE_BYTES_MAX);
    let heavy = |says: u8| {
        let value = quorate_model::route::HeaderEdits::value("f", &value).expect("valid");
        let rule = SandboxRule {
            destinations: vec![to(says)],
            add_headers: (0..limit::MATCH_VALUES_MAX)
                .map(|n| (format!("x-{n}").into(), value.clone()))
                .collect(),
            ..SandboxRule::default()
        };
        let rules = vec![rule; limit::RULES_PER_SANDBOX_MAX];
        SandboxParts { rules, ttl: None }.validate().expect("valid")
    };
    let weight = heavy(0).weight();
    let rounds = limit::CONFIG_HISTORY_BYTES_MAX / weight + 3;
    for nth in 0..rounds {
        let sandbox = Box::new(heavy(u8::try_from(nth % 2).expect("small")));
        assert_eq!(case.run(Command::PutSandbox { key: key(0), sandbox, if_index: None }), Reply::Done);
    }
    let history = case.0.state.config_history().expect("kept");
    let kept = history.entries_before(LogIndex(u64::MAX)).count();
    assert!(kept < rounds && kept * weight <= limit::CONFIG_HISTORY_BYTES_MAX, "{kept} of {weight} bytes");
    assert!(history.begins() > LogIndex(2));
}

#[test]
fn before_the_sixth_level_nothing_is_kept() {
    let mut case = Case(Scene::formed());
    case.run(Command::RaiseLevel { to: FeatureLevel::FIFTH });
    case.put_route(0, 1);
    assert!(case.0.state.config_history().is_none());
    let to = case.index();
    assert!(matches!(case.back_to(to), Reply::Refused(Refusal::NotInHistory { .. })));
    case.run(Command::RaiseLevel { to: FeatureLevel::SIXTH });
    let history = case.0.state.config_history().expect("kept from now on");
    assert_eq!((history.begins(), case.0.state.config_changed()), (case.index(), case.index()));
}

/// What a backup's cluster declared before is nothing that this one ever did.
#[test]
fn after_a_restore_the_history_begins_anew() {
    let mut case = Case::new();
    case.put_route(0, 1);
    case.run(Command::DeleteRoute { name: route_name(0), if_index: None });
    let step = |step| Command::Restore { id: RestoreId(1), step };
    let keyspaces = case.0.state.parts().keyspaces;
    let begin = RestoreStep::Begin { keyspaces, policies: Vec::new(), last_epoch: Epoch(9) };
    assert_eq!(case.run(step(begin)), Reply::Done);
    assert_eq!(case.run(step(RestoreStep::Finish { batches: 0, workers: 0 })), Reply::Done);
    let history = case.0.state.config_history().expect("kept");
    assert_eq!((history.begins(), case.told().len()), (case.index(), 0));
}

/// Raw parts that no Quorate wrote are no state.
#[test]
fn a_history_that_does_not_lead_to_what_stands_is_refused() {
    let mut case = Case::new();
    case.put_route(0, 1);
    case.run(Command::DeleteRoute { name: route_name(0), if_index: None });
    let mut parts = case.0.state.parts();
    let history = parts.history.as_mut().expect("kept");
    let last = Arc::make_mut(history.changes.last_mut().expect("one"));
    last.became = Became::Set;
    let refused = State::from_parts(parts).expect_err("r0 does not stand");
    assert!(refused.to_string().contains("leads to the next one"), "{refused}");
}
