//! Objects of the sandbox API: what they come to for requests, whatever the order in which they are put, and that they
//! end at one index.

mod steps;
#[path = "../support/mod.rs"]
mod support;

use quorate_model::{
    Address, Command, Config, ConfigMode, DnsLabel, Epoch, Event, FeatureLevel, LogIndex, LogTime, Object,
    ObjectCommand, ObjectEnd, ObjectId, ObjectPrecondition, ObjectRefusal, ObjectStatus, Refusal, Reply,
    Resource, RestoreId, RestoreStep, RoutingKey, SandboxParts, SandboxRule, SandboxTtl, ServiceName,
    StoredObject, limit,
    object::{
        GroupRoute, LocalWorkloadSpec, ObjectBound, ObjectSpec, ObjectText, RouteGroupSpec, SandboxSpec,
    },
    reply::Bounded,
    route::{Destination, HeaderEdits, Target},
};
use quorate_state::State;
use std::{sync::Arc, time::Duration};
use support::Scene;

const TTL_MS: u64 = limit::SANDBOX_TTL_MS_MIN;

fn label(text: &str) -> DnsLabel {
    DnsLabel::parse(text).expect("a label")
}

fn key(text: &str) -> RoutingKey {
    RoutingKey::parse(text).expect("a key")
}

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).expect("a name")
}

fn object(name: &str, spec: ObjectSpec) -> Object {
    let text = ObjectText::new("spec", &format!("{spec:?}")).expect("short");
    Object::new(label("ns"), label(name), spec, text)
}

fn sandbox(name: &str, services: &[&str], ttl: bool) -> Object {
    let ttl = ttl.then(|| SandboxTtl::new(Duration::from_millis(TTL_MS)).expect("allowed"));
    let services = services.iter().map(|name| service(name)).collect();
    object(name, ObjectSpec::Sandbox(SandboxSpec { ttl, routing_key: None, services }))
}

/// Each route as `key>sandbox`.
fn group(name: &str, routes: &[&str]) -> Object {
    let route = |text: &&str| {
        let (of, target) = text.split_once('>').expect("key>sandbox");
        let (path_prefixes, paths_exact) = (vec!["/api".into()], Vec::new());
        GroupRoute {
            key: key(of),
            target: label(target),
            path_prefixes,
            paths_exact,
            add_headers: Vec::new(),
        }
    };
    let routes = routes.iter().map(route).collect();
    object(name, ObjectSpec::RouteGroup(RouteGroupSpec { routes, ..RouteGroupSpec::default() }))
}

fn id(resource: Resource, name: &str) -> ObjectId {
    ObjectId { resource, namespace: label("ns"), name: label(name) }
}

fn anything() -> ObjectPrecondition {
    ObjectPrecondition::default()
}

struct Case(Scene);

impl Case {
    fn new() -> Self {
        let mut case = Self(Scene::formed());
        case.run(Command::RaiseLevel { to: FeatureLevel::SIXTH });
        case
    }

    fn run(&mut self, command: Command) -> Reply {
        self.0.apply(vec![(None, command)]).replies.remove(0)
    }

    fn change(&mut self, command: ObjectCommand) -> Reply {
        self.run(Command::Object(command))
    }

    fn create(&mut self, object: Object) -> Reply {
        self.change(ObjectCommand::Create(Box::new(object)))
    }

    fn replace(&mut self, object: Object, precondition: ObjectPrecondition) -> Reply {
        self.change(ObjectCommand::Replace { object: Box::new(object), precondition })
    }

    fn delete(&mut self, resource: Resource, name: &str) -> Reply {
        self.change(ObjectCommand::Delete { id: id(resource, name), precondition: anything() })
    }

    fn report(&mut self, name: &str, endpoints: &[(&str, &str)]) -> Reply {
        let at = |text: &str| Address::parse(text).expect("an address");
        let endpoints = endpoints.iter().map(|(name, address)| (service(name), at(address))).collect();
        let text = ObjectText::new("status", &format!("{endpoints:?}")).expect("short");
        self.change(ObjectCommand::ReplaceStatus {
            id: id(Resource::Sandboxes, name),
            status: ObjectStatus { endpoints, text },
            precondition: anything(),
        })
    }

    /// A sandbox that somebody sets for the key itself.
    fn set(&mut self, of: &str, target: &str) -> Reply {
        let target = Target::parse_versioned("target", target).expect("a target");
        let destinations = vec![Destination { target, weight: 100 }];
        let rules = vec![SandboxRule { destinations, ..SandboxRule::default() }];
        let sandbox = Box::new(SandboxParts { rules, ttl: None }.validate().expect("valid"));
        self.run(Command::PutSandbox { key: key(of), sandbox, if_index: None })
    }

    fn stored(&self, resource: Resource, name: &str) -> Option<&Arc<StoredObject>> {
        self.0.state.objects().get(&id(resource, name))
    }

    /// What requests of a key meet.
    fn rules(&self, of: &str) -> Vec<String> {
        rules(&self.0.state, of)
    }
}

fn rules(state: &State, of: &str) -> Vec<String> {
    let shown = |rule: &SandboxRule| {
        let to = match &rule.destinations[0].target {
            Target::Version { service, version } => format!("{service}@{version}"),
            Target::Service(service) => service.to_string(),
            Target::Url { address, .. } => address.to_string(),
            other => format!("{other:?}"),
        };
        let for_service = rule.service.as_ref().map_or(String::new(), |service| format!("{service}: "));
        format!("{for_service}{to}")
    };
    let found = state.sandboxes().of_requests(of);
    found.map_or(Vec::new(), |found| found.rules().map(|one| shown(one.rule())).collect())
}

#[test]
fn a_route_of_a_group_leads_to_the_services_of_its_sandbox_whichever_was_first() {
    let mut case = Case::new();
    assert_eq!(case.create(group("g", &["k>pr"])), Reply::Done);
    assert!(case.rules("k").is_empty(), "nobody is there: requests go as they would without a key");
    case.create(sandbox("pr", &["cart"], false));
    assert_eq!(case.rules("k"), ["cart@pr"]);
    let other = |object: Object| object;
    case.replace(other(sandbox("pr", &["cart", "mail"], false)), anything());
    assert_eq!(case.rules("k"), ["cart: cart@pr", "mail: mail@pr"]);
    case.report("pr", &[("mail", "http://10.0.0.1:80")]);
    assert_eq!(case.rules("k"), ["cart: cart@pr", "mail: http://10.0.0.1:80"]);
    case.replace(sandbox("pr", &[], false), anything());
    assert!(case.rules("k").is_empty(), "a sandbox without services leads nowhere");
    case.replace(sandbox("pr", &["cart"], false), anything());
    assert_eq!(case.delete(Resource::Sandboxes, "pr"), Reply::Done);
    assert!(case.rules("k").is_empty() && case.0.state.sandboxes().of_requests("k").is_none());
}

#[test]
fn a_sandbox_of_the_key_itself_is_asked_first_and_is_not_touched() {
    let mut case = Case::new();
    case.create(sandbox("a", &["cart"], false));
    case.create(sandbox("b", &["cart"], false));
    case.create(group("z", &["k>a"]));
    case.create(group("y", &["k>b", "production>a"]));
    assert_eq!(case.rules("k"), ["cart@a", "cart@b"], "the older group first, whatever its name");
    assert!(case.rules("production").is_empty(), "the default key leads nowhere");
    case.set("k", "upload@v2");
    assert_eq!(case.rules("k"), ["upload@v2", "cart@a", "cart@b"]);
    let set = case.0.state.sandboxes().get("k").expect("set").stored().clone();
    assert_eq!((set.sandbox.rules.len(), case.0.state.sandboxes().len()), (1, 1));
    case.delete(Resource::RouteGroups, "z");
    assert_eq!(case.rules("k"), ["upload@v2", "cart@b"]);
    case.run(Command::DeleteSandbox { key: key("k"), if_index: None });
    assert_eq!(case.rules("k"), ["cart@b"]);
    assert!(case.0.state.sandboxes().get("k").is_none() && case.0.state.sandboxes().is_empty());
}

#[test]
fn an_object_is_made_once_and_changed_under_its_version() {
    let mut case = Case::new();
    assert_eq!(case.create(sandbox("s", &["a"], false)), Reply::Done);
    let refused = |refusal| Reply::Refused(Refusal::Object(refusal));
    let which = || id(Resource::Sandboxes, "s");
    assert_eq!(case.create(sandbox("s", &["b"], false)), refused(ObjectRefusal::Exists { id: which() }));
    let made = case.stored(Resource::Sandboxes, "s").expect("there").clone();
    assert_eq!(
        (made.generation, made.changed),
        (1, case.0.state.index().0.checked_sub(1).map(LogIndex).expect("two"))
    );
    let at = |changed, uid| ObjectPrecondition { changed: Some(changed), uid };
    let stale = case.replace(sandbox("s", &["b"], false), at(LogIndex(1), None));
    assert_eq!(stale, refused(ObjectRefusal::Changed { id: which(), current: made.changed }));
    let other = case.replace(sandbox("s", &["b"], false), at(made.changed, Some(made.uid ^ 1)));
    assert_eq!(other, refused(ObjectRefusal::Other { id: which() }));
    assert_eq!(case.replace(sandbox("s", &["a"], false), at(made.changed, Some(made.uid))), Reply::Unchanged);
    assert_eq!(case.replace(sandbox("s", &["b"], false), at(made.changed, Some(made.uid))), Reply::Done);
    case.report("s", &[("b", "http://h:1")]);
    let now = case.stored(Resource::Sandboxes, "s").expect("there").clone();
    assert_eq!(
        (now.generation, now.uid, now.epoch),
        (2, made.uid, made.epoch),
        "a status is no new generation"
    );
    assert_eq!((now.changed, now.created_at), (case.0.state.index(), made.created_at));
    assert_eq!(case.delete(Resource::Sandboxes, "s"), Reply::Done);
    assert_eq!(case.delete(Resource::Sandboxes, "s"), refused(ObjectRefusal::Unknown { id: which() }));
    case.create(sandbox("s", &["a"], false));
    let again = case.stored(Resource::Sandboxes, "s").expect("there");
    assert!(again.uid != made.uid && again.status.is_none() && again.generation == 1, "another one");
}

/// Scenario: the leader's tick proposes the end, and somebody gives the sandbox another time just before. Cause: a
/// proposal is older than the log. The end must be void, and one that stands must take all its rules at one index.
#[test]
fn a_sandbox_ends_at_one_index_with_all_that_it_routes_and_never_early() {
    let mut case = Case::new();
    case.0.at = LogTime(1_000);
    case.create(sandbox("s", &["a"], true));
    case.create(group("g", &["k>s", "l>s"]));
    let over = |case: &Case, at| case.0.state.objects().over(LogTime(at));
    assert_eq!(over(&case, TTL_MS + 999), []);
    let ended = over(&case, TTL_MS + 1_000);
    let epoch = case.stored(Resource::Sandboxes, "s").expect("there").epoch;
    assert_eq!(ended, [ObjectEnd { id: id(Resource::Sandboxes, "s"), epoch }]);
    case.0.at = LogTime(TTL_MS + 999);
    assert_eq!(case.change(ObjectCommand::End(ended.clone())), Reply::Unchanged, "by the entry's own clock");
    let stale = vec![ObjectEnd { epoch: Epoch(epoch.0 + 1), ..ended[0].clone() }];
    case.0.at = LogTime(TTL_MS + 1_000);
    assert_eq!(case.change(ObjectCommand::End(stale)), Reply::Unchanged, "another life");
    assert_eq!(case.rules("k").len() + case.rules("l").len(), 2);
    let applied = case.0.apply(vec![(None, Command::Object(ObjectCommand::End(ended)))]);
    assert_eq!(applied.events, [Event::ObjectEnded { id: id(Resource::Sandboxes, "s") }]);
    assert!(case.rules("k").is_empty() && case.rules("l").is_empty());
    assert!(case.stored(Resource::RouteGroups, "g").is_some(), "the group stays, and leads nowhere");
}

#[test]
fn who_puts_the_same_again_keeps_nothing_alive_and_another_ttl_counts_from_then_on() {
    let mut case = Case::new();
    case.create(sandbox("s", &["a"], true));
    let ends = |case: &Case| case.stored(Resource::Sandboxes, "s").expect("there").ends.map(|at| at.0);
    let first = ends(&case);
    case.0.at = LogTime(60_000);
    case.replace(sandbox("s", &["b"], true), anything());
    assert_eq!(ends(&case), first, "another spec with the same ttl");
    case.replace(sandbox("s", &["b"], false), anything());
    assert_eq!(ends(&case), None);
    case.replace(sandbox("s", &["b"], true), anything());
    assert_eq!(ends(&case), Some(60_000 + TTL_MS));
}

#[test]
fn what_would_come_to_too_many_rules_is_refused_and_leaves_no_trace() {
    let mut case = Case::new();
    let services: Vec<String> = (0..limit::SERVICES_PER_OBJECT_MAX).map(|nth| format!("s{nth}")).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    case.create(sandbox("s", &services, false));
    let fitting = limit::OBJECT_RULES_PER_KEY_MAX / services.len();
    assert_eq!(case.create(group("g", &vec!["k>s"; fitting])), Reply::Done);
    let before = case.0.state.parts();
    let refusal =
        |what, max: usize| Reply::Refused(Refusal::Object(ObjectRefusal::Full { what, max: max as u64 }));
    let crowded = refusal(ObjectBound::RulesPerKey, limit::OBJECT_RULES_PER_KEY_MAX);
    assert_eq!(case.create(group("h", &["k>s"])), crowded);
    let after = case.0.state.parts();
    assert_eq!((after.objects, after.last_epoch), (before.objects, before.last_epoch));
    assert_eq!(case.rules("k").len(), fitting * services.len());
    let keys: Vec<String> = (0..=limit::OBJECT_KEYS_PER_SANDBOX_MAX).map(|nth| format!("k{nth}>t")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let sought = refusal(ObjectBound::KeysPerSandbox, limit::OBJECT_KEYS_PER_SANDBOX_MAX);
    assert_eq!(case.create(group("i", &keys)), sought);
    assert_eq!(case.create(group("i", &keys[1..])), Reply::Done);
}

/// What requests of a key find is a copy, where the key has rules that were set and rules that objects make: it counts.
#[test]
fn a_copy_of_both_kinds_of_rules_takes_its_part_of_the_memory_of_sandboxes() {
    let value = HeaderEdits::value("f", &"x".repeat(limit::VALUE_BYTES_MAX)).expect("valid");
    let target = Target::parse("target", "a").expect("valid");
    let rule = SandboxRule {
        destinations: vec![Destination { target, weight: 1 }],
        add_headers: (0..limit::MATCH_VALUES_MAX)
            .map(|nth| (format!("h{nth}").into(), value.clone()))
            .collect(),
        ..SandboxRule::default()
    };
    let heavy = SandboxParts { rules: vec![rule; limit::RULES_PER_SANDBOX_MAX], ttl: None }.validate();
    let heavy = heavy.expect("valid");
    let put = |case: &mut Case, of: &str| {
        let sandbox = Box::new(heavy.clone());
        case.run(Command::PutSandbox { key: key(of), sandbox, if_index: None })
    };
    let mut case = Case::new();
    let fit = limit::SANDBOXES_BYTES_MAX / heavy.weight();
    // In one entry: all that stands is checked after each.
    let sandboxes = (0..fit).map(|nth| (key(&format!("k{nth}")), Some(heavy.clone()))).collect();
    let config = Box::new(Config { sandboxes, ..Config::default() });
    assert_eq!(case.run(Command::Configure { config, mode: ConfigMode::Merge, if_index: None }), Reply::Done);
    case.create(sandbox("pr", &["cart"], false));
    let max = limit::SANDBOXES_BYTES_MAX as u64;
    let too_much = ObjectRefusal::Full { what: ObjectBound::RuleBytes, max };
    assert_eq!(case.create(group("g", &["k0>pr"])), Reply::Refused(Refusal::Object(too_much)));
    case.run(Command::DeleteSandbox { key: key("k1"), if_index: None });
    assert_eq!(case.create(group("g", &["k0>pr"])), Reply::Done);
    let copied = case.0.state.sandboxes().copies_weight();
    assert!(copied > heavy.weight() && copied < heavy.weight() + 10_000, "{copied}");
    let full = Reply::Refused(Refusal::Full { what: Bounded::SandboxBytes, max });
    assert_eq!(put(&mut case, "k1"), full, "the copy has its place");
    // What needs no more than before is never refused.
    assert_eq!(case.set("k0", "upload@v2"), Reply::Done);
}

#[test]
fn a_local_workload_is_kept() {
    let mut case = Case::new();
    let spec = LocalWorkloadSpec { sandbox: label("s"), service: service("a") };
    assert_eq!(case.create(object("w", ObjectSpec::LocalWorkload(spec))), Reply::Done);
    assert!(case.stored(Resource::LocalWorkloads, "w").is_some());
    let listed = |resource, after: Option<&str>| {
        let found = case.0.state.objects().in_namespace(resource, label("ns"), after.map(label));
        found.map(|stored| stored.id().name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(Resource::LocalWorkloads, None), ["w"]);
    assert!(
        listed(Resource::LocalWorkloads, Some("w")).is_empty()
            && listed(Resource::Sandboxes, None).is_empty()
    );
}

/// Scenario: a backup of one cluster is restored into another one. The rules come back with the objects, in whatever
/// batches they come, and ends stay where they were promised.
#[test]
fn a_backup_brings_objects_and_their_rules_back() {
    let mut case = Case::new();
    case.create(group("g", &["k>s"]));
    case.create(sandbox("s", &["a"], true));
    let parts = case.0.state.parts();
    let mut other = Case::new();
    let step = |case: &mut Case, step| case.run(Command::Restore { id: RestoreId(7), step });
    let begin = RestoreStep::Begin {
        keyspaces: parts.keyspaces.clone(),
        policies: Vec::new(),
        last_epoch: parts.last_epoch,
    };
    assert_eq!(step(&mut other, begin.clone()), Reply::Done);
    for (batch, stored) in (0..).zip(&parts.objects) {
        let objects = vec![stored.clone()];
        assert_eq!(step(&mut other, RestoreStep::Objects { batch, objects }), Reply::Done);
        assert!(other.rules("k").is_empty(), "nobody sees the half of it");
    }
    assert_eq!(step(&mut other, RestoreStep::Finish { batches: 2, workers: 0 }), Reply::Done);
    assert_eq!(other.rules("k"), ["a@s"]);
    let (was, is) = (&parts.objects, other.0.state.parts().objects);
    assert_eq!(
        was.iter().map(|one| (one.uid, one.ends)).collect::<Vec<_>>(),
        is.iter().map(|one| (one.uid, one.ends)).collect::<Vec<_>>()
    );
    let refused = step(&mut other, begin.clone());
    assert_eq!(refused, Reply::Refused(Refusal::Object(ObjectRefusal::NotEmpty { objects: 2 })));
    let mut twice = Case::new();
    step(&mut twice, begin);
    let objects = vec![parts.objects[0].clone(), parts.objects[0].clone()];
    let unsound = step(&mut twice, RestoreStep::Objects { batch: 0, objects });
    assert!(matches!(unsound, Reply::Refused(Refusal::RestoreUnsound { .. })), "{unsound:?}");
}
