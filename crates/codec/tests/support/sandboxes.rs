//! What came with sandboxes, at the fifth level.

use super::{
    any_traffic::{keys, targets, words},
    *,
};
use quorate_model::{
    Config, ConfigMode, RoutingKey, Sandbox, SandboxEnd, SandboxParts, SandboxRule, SandboxTtl,
    StoredSandbox,
    policy::KeySource,
    route::{Destination, HeaderEdits, Target},
    sandbox::Fallback,
};

pub fn key(text: &str) -> RoutingKey {
    RoutingKey::parse(text).expect("valid")
}

fn to(target: &str, weight: u32) -> Destination {
    Destination { target: Target::parse_versioned("target", target).expect("valid"), weight }
}

/// Says everything that a rule can say.
fn everything() -> SandboxRule {
    SandboxRule {
        path_prefixes: vec!["/api/v1".into(), "/b/".into()],
        paths_exact: vec!["/x".into()],
        headers: vec![("content-type".into(), "application/json".into())],
        service: Some(services::service("chat")),
        destinations: vec![to("http://10.0.0.8:80/base", 80), to("chat", 15), to("chat@v2", 5)],
        sticky: KeySource::header("x-user").ok(),
        add_headers: vec![("x-environment".into(), HeaderEdits::value("f", "sandbox").expect("valid"))],
        fallback: Fallback { missing: false, on_5xx: true },
    }
}

/// Says as little as a rule can.
fn least() -> SandboxRule {
    SandboxRule { destinations: vec![to("echo", Destination::WEIGHT_DEFAULT)], ..SandboxRule::default() }
}

fn ttl() -> SandboxTtl {
    SandboxTtl::new(Duration::from_hours(24)).expect("valid")
}

fn sandbox(rules: Vec<SandboxRule>, ttl: Option<SandboxTtl>) -> Sandbox {
    SandboxParts { rules, ttl }.validate().expect("valid")
}

/// By key.
fn stored() -> Vec<Arc<StoredSandbox>> {
    let of = |name: &str, sandbox, ends| {
        let (key, created, changed) = (key(name), LogIndex(33), LogIndex(40));
        Arc::new(StoredSandbox { key, sandbox: Arc::new(sandbox), created, changed, ends })
    };
    let ends = LogTime(1_790_000_086_400_000);
    vec![
        of("dev-1", sandbox(vec![everything(), least()], Some(ttl())), Some(ends)),
        of("dev-2", sandbox(vec![least()], None), None),
    ]
}

/// What came with them.
pub fn refusals() -> [Refusal; 4] {
    [
        Refusal::UnknownSandbox { key: key("k") },
        Refusal::HasSandboxes { sandboxes: 5 },
        Refusal::Full { what: Bounded::Sandboxes, max: 16 },
        Refusal::Full { what: Bounded::SandboxBytes, max: 17 },
    ]
}

fn config() -> Config {
    let sandboxes = stored().into_iter().map(|stored| (stored.key.clone(), Some((*stored.sandbox).clone())));
    Config { sandboxes: sandboxes.chain([(key("gone"), None)]).collect(), ..Config::default() }
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let if_index = Some(LogIndex(3));
    let put = |rules, ttl| Command::PutSandbox {
        key: key("dev-1"),
        sandbox: Box::new(sandbox(rules, ttl)),
        if_index,
    };
    let end = |name| SandboxEnd { key: key(name), created: LogIndex(33) };
    let (config, mode) = (Box::new(config()), ConfigMode::Merge);
    vec![
        ("put-sandbox", put(vec![everything(), least()], Some(ttl()))),
        ("put-sandbox-least", put(vec![least()], None)),
        ("delete-sandbox", Command::DeleteSandbox { key: key("dev-1"), if_index: None }),
        ("extend-sandbox", Command::ExtendSandbox { key: key("dev-1"), ttl: ttl(), if_index }),
        ("end-sandboxes", Command::EndSandboxes(vec![end("dev-1"), end("dev-2")])),
        ("configure-sandboxes", Command::Configure { config, mode, if_index }),
        ("restore-sandboxes", restore(RestoreStep::Sandboxes { batch: 3, sandboxes: stored() })),
    ]
}

/// With everything that came with sandboxes.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let restoring = RestoringParts {
        id: RestoreId(0xbac),
        touched: LogTime(1_790_000_000_001),
        batches: 4,
        last_epoch: Epoch(30),
        keyspaces: keyspace_records(),
        policies: Vec::new(),
        routes: Vec::new(),
        sandboxes: stored(),
        objects: Vec::new(),
        workers: Vec::new(),
    };
    let replies = replies().into_iter().skip(24).take(4).enumerate();
    let replies = replies.map(|(i, (_, reply))| (i as u64, LogIndex(30), reply)).collect();
    let parts = Parts {
        level: FeatureLevel::FIFTH,
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        sandboxes: stored(),
        config_changed: LogIndex(40),
        restoring: Some(restoring),
        workers: parts.workers.into_iter().take(1).collect(),
        ..parts
    };
    (meta, parts)
}

pub fn any_key() -> impl Strategy<Value = RoutingKey> {
    "[!-~]{1,20}".prop_map(|text| key(&text))
}

fn any_rule() -> impl Strategy<Value = SandboxRule> {
    let paths = || collection::vec("/[a-z0-9/%*-]{0,12}".prop_map(Box::from), 0..3);
    let named = || words().prop_map(|word| Box::<str>::from(format!("x-{word}")));
    let headers = collection::btree_map(named(), "[!-~]{1,12}".prop_map(Box::from), 0..3);
    let added = "[!-~é]{1,12}".prop_map(|text| HeaderEdits::value("f", &text).expect("valid"));
    let added = collection::btree_map(named(), added, 0..3);
    let version = (words(), "[a-z0-9.]{1,5}").prop_map(|(service, version)| Target::Version {
        service: services::service(&service),
        version: version.into(),
    });
    let destination = (prop_oneof![targets(), version], 1u32..=1_000_000);
    let destinations =
        collection::vec(destination.prop_map(|(target, weight)| Destination { target, weight }), 1..4);
    let fallback = any::<(bool, bool)>().prop_map(|(missing, on_5xx)| Fallback { missing, on_5xx });
    let matches = (paths(), paths(), headers, option::of(words()));
    (matches, destinations, option::of(keys()), added, fallback).prop_map(
        |((path_prefixes, paths_exact, headers, service), destinations, sticky, added, fallback)| {
            SandboxRule {
                path_prefixes,
                paths_exact,
                headers: headers.into_iter().collect(),
                service: service.map(|name| services::service(&name)),
                destinations,
                sticky,
                add_headers: added.into_iter().collect(),
                fallback,
            }
        },
    )
}

fn any_ttl() -> impl Strategy<Value = SandboxTtl> {
    (300_000u64..=604_800_000).prop_map(|ms| SandboxTtl::new(Duration::from_millis(ms)).expect("valid"))
}

pub fn any_sandbox() -> impl Strategy<Value = Sandbox> {
    (collection::vec(any_rule(), 1..3), option::of(any_ttl())).prop_map(|(rules, ttl)| sandbox(rules, ttl))
}

pub fn any_stored() -> impl Strategy<Value = Arc<StoredSandbox>> {
    (any_key(), any_sandbox(), any::<(u64, u64)>(), option::of(any::<u64>())).prop_map(
        |(key, sandbox, (created, changed), ends)| {
            let (created, changed, ends) = (LogIndex(created), LogIndex(changed), ends.map(LogTime));
            Arc::new(StoredSandbox { key, sandbox: Arc::new(sandbox), created, changed, ends })
        },
    )
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let ends =
        (any_key(), any::<u64>()).prop_map(|(key, created)| SandboxEnd { key, created: LogIndex(created) });
    prop_oneof![
        (any_key(), any_sandbox(), indexes()).prop_map(|(key, sandbox, if_index)| Command::PutSandbox {
            key,
            sandbox: Box::new(sandbox),
            if_index
        }),
        (any_key(), indexes()).prop_map(|(key, if_index)| Command::DeleteSandbox { key, if_index }),
        (any_key(), any_ttl(), indexes()).prop_map(|(key, ttl, if_index)| Command::ExtendSandbox {
            key,
            ttl,
            if_index
        }),
        collection::vec(ends, 0..4).prop_map(Command::EndSandboxes),
        (any::<u32>(), collection::vec(any_stored(), 0..3))
            .prop_map(|(batch, sandboxes)| restore(RestoreStep::Sandboxes { batch, sandboxes })),
    ]
}
