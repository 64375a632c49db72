//! What came with the history of what operators declare, at the sixth level.

use super::{
    any_traffic::{any_stored_policy, any_stored_route},
    sandboxes::{any_key, any_sandbox, key},
    *,
};
use quorate_model::{Became, DeclaredChange, Former, FormerSandbox, KeyspaceConfig};
use quorate_state::HistoryParts;

/// What came with it.
pub fn refusals() -> [Refusal; 1] {
    [Refusal::NotInHistory { wanted: LogIndex(3), from: LogIndex(20), until: LogIndex(41) }]
}

pub fn commands() -> Vec<(&'static str, Command)> {
    vec![("roll-back", Command::RollBack { to: LogIndex(33), if_index: Some(LogIndex(40)) })]
}

fn change(index: u64, former: Former, became: Became) -> Arc<DeclaredChange> {
    let at = LogTime(1_790_000_000_000 + index);
    Arc::new(DeclaredChange { index: LogIndex(index), at, former, became })
}

/// With a change of each kind, that had a document before and that had none.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let (_, traffic) = traffic::snapshot();
    let (_, sandboxed) = sandboxes::snapshot();
    let route = traffic.routes[0].clone();
    let (sandbox, policy) = (sandboxed.sandboxes[0].sandbox.clone(), traffic.policies[0].clone());
    let route_name = || route.route.name().clone();
    let config = KeyspaceConfig {
        partitions: PartitionCount::new(12).ok(),
        source: KeyspaceSource::Static,
        hold: quorate_model::Hold::new(Duration::from_secs(5), 7).ok(),
    };
    let changes = vec![
        change(21, Former::Route { name: route_name(), was: None }, Became::Set),
        change(21, Former::Sandbox { key: key("dev-1"), was: None }, Became::Set),
        change(30, Former::Service { name: policy.service.clone(), was: None }, Became::Set),
        change(30, Former::Keyspace { name: keyspace("other"), was: None }, Became::Set),
        change(40, Former::Route { name: route_name(), was: Some(route.clone()) }, Became::Removed),
        change(
            40,
            Former::Sandbox {
                key: key("dev-1"),
                was: Some(FormerSandbox { sandbox, ramps: BTreeMap::new() }),
            },
            Became::Ended,
        ),
        change(
            40,
            Former::Service { name: policy.service.clone(), was: Some(Arc::new(policy.policy.clone())) },
            Became::Removed,
        ),
        change(40, Former::Keyspace { name: keyspace("other"), was: Some(config) }, Became::Set),
    ];
    let replies = replies().into_iter().skip(28).take(1).enumerate();
    let replies = replies.map(|(i, (_, reply))| (i as u64, LogIndex(30), reply)).collect();
    let parts = Parts {
        level: FeatureLevel::SIXTH,
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        config_changed: LogIndex(40),
        history: Some(HistoryParts { begins: LogIndex(20), changes }),
        workers: Vec::new(),
        ..parts
    };
    (meta, parts)
}

fn former(sandbox: quorate_model::Sandbox) -> FormerSandbox {
    FormerSandbox { sandbox: Arc::new(sandbox), ramps: BTreeMap::new() }
}

/// Boxed: the sum of these strategies takes more than a test's stack.
fn any_former() -> BoxedStrategy<Former> {
    let keyspace_config =
        (option::of(1u32..100_000), any::<bool>()).prop_map(|(count, kafka)| KeyspaceConfig {
            partitions: count.and_then(|count| PartitionCount::new(count).ok()),
            source: if kafka { KeyspaceSource::Kafka } else { KeyspaceSource::Static },
            hold: None,
        });
    let route = (any_stored_route().boxed(), any::<bool>()).prop_map(|(stored, stood)| Former::Route {
        name: stored.route.name().clone(),
        was: stood.then_some(stored),
    });
    let sandbox = (any_key(), option::of(any_sandbox().boxed()))
        .prop_map(|(key, was)| Former::Sandbox { key, was: was.map(former) });
    let service = (any_stored_policy().boxed(), any::<bool>()).prop_map(|(stored, stood)| Former::Service {
        name: stored.service,
        was: stood.then(|| Arc::new(stored.policy)),
    });
    let keyspace =
        (keyspaces(), option::of(keyspace_config)).prop_map(|(name, was)| Former::Keyspace { name, was });
    prop_oneof![route.boxed(), sandbox.boxed(), service.boxed(), keyspace.boxed()].boxed()
}

pub fn any_history() -> BoxedStrategy<HistoryParts> {
    let became = prop_oneof![Just(Became::Set), Just(Became::Removed), Just(Became::Ended)];
    let change = (any_former(), became, any::<(u64, u64)>()).prop_map(|(former, became, (index, at))| {
        Arc::new(DeclaredChange { index: LogIndex(index), at: LogTime(at), former, became })
    });
    (any::<u64>(), collection::vec(change.boxed(), 0..4))
        .prop_map(|(begins, changes)| HistoryParts { begins: LogIndex(begins), changes })
        .boxed()
}

pub fn any_command() -> impl Strategy<Value = Command> {
    (any::<u64>(), indexes()).prop_map(|(to, if_index)| Command::RollBack { to: LogIndex(to), if_index })
}
