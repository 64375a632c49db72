//! Routes, documents of many objects, and what health checks have found.

mod support;

use quorate_model::{
    Address, Command, Config, ConfigMode, Epoch, FeatureLevel, HealthChange, HealthCheck, KeyspaceConfig,
    KeyspaceName, KeyspaceSource, LogIndex, PartitionCount, PartitionRange, Refusal, RegistrationParts,
    Reply, RestoreId, RestoreStep, Route, RouteName, RouteParts, ServiceName, ServiceOffer, ServicePolicy,
    StoredRoute, Ttl, Verdict, WorkerId, limit,
    reply::Bounded,
    route::{
        Action, Destination, Forwarding, HeaderEdits, PathMatch, Pattern, RouteMatch, Target, ValueMatch,
    },
};
use quorate_state::Parts;
use std::{sync::LazyLock, time::Duration};
use support::Scene;

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).expect("a name")
}

fn name(name: &str) -> RouteName {
    RouteName::parse(name).expect("a name")
}

fn worker(id: &str) -> WorkerId {
    WorkerId::parse(id).expect("an id")
}

fn route_of(path: PathMatch, called: &str, to: &str) -> Route {
    let destinations = vec![Destination { target: Target::Service(service(to)), weight: 1 }];
    let forwarding = Forwarding { destinations, ..Forwarding::default() };
    let matches = RouteMatch { path, ..RouteMatch::default() };
    let action = Action::from(forwarding);
    RouteParts { matches, action, priority: 0 }.validate(name(called)).expect("valid")
}

fn route(called: &str, to: &str) -> Route {
    route_of(PathMatch::prefix("/x").expect("valid"), called, to)
}

/// One that matches by an expression; all share what is compiled.
fn regex(called: &str) -> Route {
    static PATH: LazyLock<PathMatch> = LazyLock::new(|| PathMatch::regex("/x.*").expect("compiles"));
    route_of(PATH.clone(), called, "a")
}

struct Case(Scene);

impl Case {
    fn new() -> Self {
        let mut case = Self(Scene::formed());
        case.run(Command::RaiseLevel { to: FeatureLevel::FOURTH });
        case
    }

    fn run(&mut self, command: Command) -> Reply {
        self.0.apply(vec![(None, command)]).replies.remove(0)
    }

    fn put(&mut self, route: Route, if_index: Option<u64>) -> Reply {
        self.run(Command::PutRoute { route: Box::new(route), if_index: if_index.map(LogIndex) })
    }

    fn configure(&mut self, config: Config, mode: ConfigMode, if_index: Option<u64>) -> Reply {
        let if_index = if_index.map(LogIndex);
        self.run(Command::Configure { config: Box::new(config), mode, if_index })
    }

    fn names(&self) -> Vec<String> {
        self.0.state.routes().iter().map(|stored| stored.route.name().to_string()).collect()
    }
}

fn document(routes: &[&str]) -> Config {
    let routes = routes.iter().map(|called| (name(called), Some(route(called, "a")))).collect();
    Config { routes, ..Config::default() }
}

#[test]
fn a_route_is_put_changed_and_deleted_under_its_index() {
    let mut case = Case::new();
    assert_eq!(case.put(route("r", "a"), Some(0)), Reply::Done);
    let made = case.0.state.index();
    assert_eq!(case.put(route("r", "a"), None), Reply::Unchanged);
    assert!(matches!(case.put(route("r", "b"), Some(0)), Reply::Refused(Refusal::PreconditionFailed { .. })));
    assert_eq!(case.put(route("r", "b"), Some(made.0)), Reply::Done);
    let stored = case.0.state.routes().get("r").expect("there").clone();
    assert_eq!((stored.created, stored.changed), (made, case.0.state.index()), "a change keeps its age");
    assert_eq!(case.0.state.config_changed(), stored.changed);
    let delete = |if_index| Command::DeleteRoute { name: name("r"), if_index };
    assert!(matches!(case.run(delete(Some(made))), Reply::Refused(Refusal::PreconditionFailed { .. })));
    assert_eq!(case.run(delete(None)), Reply::Done);
    assert!(matches!(case.run(delete(None)), Reply::Refused(Refusal::UnknownRoute { .. })));
    assert!(case.names().is_empty());
}

#[test]
fn a_younger_route_is_younger_than_each_that_stands() {
    let mut case = Case::new();
    assert_eq!(case.configure(document(&["a", "b", "c"]), ConfigMode::Merge, None), Reply::Done);
    let created = |case: &Case, name: &str| case.0.state.routes().get(name).expect("there").created;
    assert!(created(&case, "a") < created(&case, "b") && created(&case, "b") < created(&case, "c"));
    case.put(route("A", "a"), None);
    assert!(created(&case, "A") > created(&case, "c"));
}

#[test]
fn a_document_is_applied_as_a_whole_or_not_at_all() {
    let mut case = Case::new();
    case.configure(document(&["a", "b"]), ConfigMode::Merge, None);
    let before = case.0.state.parts();
    let declared = case.0.state.config_changed();
    let mut half = document(&["c"]);
    half.routes.insert(name("a"), None);
    // Too many keyspaces: what comes before them would have been possible.
    for nth in 0..=limit::KEYSPACES_MAX {
        let keyspace = KeyspaceConfig {
            partitions: PartitionCount::new(1).ok(),
            source: KeyspaceSource::Static,
            hold: None,
        };
        half.keyspaces.insert(KeyspaceName::parse(&format!("k{nth}")).expect("a name"), keyspace);
    }
    half.services.insert(service("s"), Some(ServicePolicy::default()));
    let command = Command::Configure { config: Box::new(half), mode: ConfigMode::Merge, if_index: None };
    let applied = case.0.apply(vec![(None, command)]);
    let refused = &applied.replies[0];
    assert!(matches!(refused, Reply::Refused(Refusal::Full { what: Bounded::Keyspaces, .. })), "{refused:?}");
    assert!(applied.events.is_empty(), "{:?}", applied.events);
    let after = case.0.state.parts();
    let Parts { index, now, ref windows, .. } = after;
    // An entry moves these, whatever is in it.
    assert_eq!(after, Parts { index, now, windows: windows.clone(), ..before });
    assert_eq!(case.0.state.config_changed(), declared);
}

/// Scenario: two writers. One looks, sees as many objects as a document can name, and proposes to replace them; the
/// other one's route comes before that. It would go, and no document could have named all that stood.
#[test]
fn what_no_document_could_name_is_not_replaced() {
    let mut case = Case::new();
    let mut full = Config::default();
    full.routes.extend((0..limit::CONFIG_OBJECTS_MAX).map(|nth| {
        let path = PathMatch::exact(&format!("/{nth}")).expect("valid");
        let route = route_of(path, &format!("r{nth}"), "a");
        (route.name().clone(), Some(route))
    }));
    assert_eq!(case.configure(full.clone(), ConfigMode::Replace, None), Reply::Done);
    assert_eq!(
        case.configure(full.clone(), ConfigMode::Replace, None),
        Reply::Unchanged,
        "as many as it can"
    );
    let policy =
        Command::PutService { name: service("upload"), policy: ServicePolicy::default(), if_index: None };
    assert_eq!(case.run(policy.clone()), Reply::Done);
    // A node of the version before does not look, and there may be one.
    assert_eq!(case.configure(full.clone(), ConfigMode::Replace, None), Reply::Done);
    case.run(Command::RaiseLevel { to: FeatureLevel::FIFTH });
    assert_eq!(case.run(policy), Reply::Done);
    let (before, declared) = (case.names(), case.0.state.config_changed());
    let command = Command::Configure { config: Box::default(), mode: ConfigMode::Replace, if_index: None };
    let applied = case.0.apply(vec![(None, command)]);
    let refused = Refusal::Full { what: Bounded::ConfigObjects, max: limit::CONFIG_OBJECTS_MAX as u64 };
    assert_eq!((applied.replies, applied.events), (vec![Reply::Refused(refused.clone())], vec![]));
    assert_eq!((case.names(), case.0.state.config_changed()), (before, declared), "nothing of it is done");
    // Nor does one name more than it may.
    full.routes.insert(name("s"), Some(route("s", "a")));
    assert_eq!(case.configure(full, ConfigMode::Merge, None), Reply::Refused(refused));
    let mut less = Config::default();
    less.routes.insert(name("r0"), None);
    assert_eq!(case.configure(less, ConfigMode::Merge, None), Reply::Done);
    assert_eq!(case.configure(Config::default(), ConfigMode::Replace, None), Reply::Done);
    assert!(case.names().is_empty());
}

/// Scenario: the last place for an expression; `z` gives it up and `a` wants it, and `a` comes first by name.
#[test]
fn what_a_document_takes_away_makes_room_for_what_it_brings() {
    let mut case = Case::new();
    let mut full = Config::default();
    full.routes.extend((1..limit::PATTERNS_MAX).map(|nth| {
        let one = regex(&format!("r{nth}"));
        (one.name().clone(), Some(one))
    }));
    full.routes.insert(name("z"), Some(regex("z")));
    assert_eq!(case.configure(full, ConfigMode::Merge, None), Reply::Done);
    let mut swap = Config::default();
    swap.routes.insert(name("a"), Some(regex("a")));
    swap.routes.insert(name("z"), None);
    assert_eq!(case.configure(swap, ConfigMode::Merge, None), Reply::Done);
    assert!(case.0.state.routes().get("a").is_some() && case.0.state.routes().get("z").is_none());
}

/// One with as many and as long header edits as a route can have. Clones share the values, the count does not know.
fn heavy(called: &str, path: &str) -> Route {
    static VALUE: LazyLock<http::HeaderValue> =
        LazyLock::new(|| HeaderEdits::value("f", &"x".repeat(limit::VALUE_BYTES_MAX)).expect("valid"));
    let set = (0..limit::MATCH_VALUES_MAX).map(|nth| (format!("h{nth}").into(), VALUE.clone())).collect();
    let edits = HeaderEdits { set, ..HeaderEdits::default() };
    let destinations = vec![Destination { target: Target::Service(service("a")), weight: 1 }];
    let (request_headers, response_headers) = (edits.clone(), edits);
    let forwarding = Forwarding { destinations, request_headers, response_headers, ..Forwarding::default() };
    let matches = RouteMatch { path: PathMatch::prefix(path).expect("valid"), ..RouteMatch::default() };
    let action = Action::from(forwarding);
    RouteParts { matches, action, priority: 0 }.validate(name(called)).expect("valid")
}

#[test]
fn the_memory_of_all_routes_is_bounded() {
    let each = heavy("r0", "/x").weight();
    let fit = limit::ROUTES_BYTES_MAX / each;
    let mut case = Case::new();
    let mut all = Config::default();
    all.routes.extend((0..fit).map(|nth| {
        let one = heavy(&format!("r{nth}"), "/x");
        (one.name().clone(), Some(one))
    }));
    let stored: Vec<_> = all.routes.values().flatten().cloned().collect();
    assert_eq!(case.configure(all, ConfigMode::Merge, None), Reply::Done);
    assert_eq!(case.0.state.routes().weight(), fit * each);
    let full =
        Reply::Refused(Refusal::Full { what: Bounded::RouteBytes, max: limit::ROUTES_BYTES_MAX as u64 });
    assert_eq!(case.put(heavy("more", "/x"), None), full);
    // One that is there may become another one that is no heavier, and what goes makes room.
    assert_eq!(case.put(heavy("r0", "/y"), None), Reply::Done);
    assert_eq!(case.run(Command::DeleteRoute { name: name("r1"), if_index: None }), Reply::Done);
    assert_eq!(case.put(heavy("more", "/x"), None), Reply::Done);
    // A backup may hold no more than that either.
    let beyond = stored.into_iter().chain([heavy("beyond", "/x")]);
    assert_eq!(restored(beyond), full);
}

/// What a restore of these routes is answered with.
fn restored(routes: impl Iterator<Item = Route>) -> Reply {
    let mut case = Case::new();
    let id = RestoreId(1);
    let keyspaces = case.0.state.parts().keyspaces;
    let begin = RestoreStep::Begin { keyspaces, policies: Vec::new(), last_epoch: Epoch(1) };
    assert_eq!(case.run(Command::Restore { id, step: begin }), Reply::Done);
    let stored = (1..).zip(routes).map(|(nth, route)| StoredRoute {
        route,
        created: LogIndex(nth),
        changed: LogIndex(nth),
    });
    let step = RestoreStep::Routes { batch: 0, routes: stored.collect() };
    case.run(Command::Restore { id, step })
}

#[test]
fn a_restore_brings_no_more_expressions_than_may_be_declared() {
    let routes = |count: usize| (0..count).map(|nth| regex(&format!("r{nth}")));
    assert_eq!(restored(routes(limit::PATTERNS_MAX)), Reply::Done);
    let max = limit::PATTERNS_MAX as u64;
    let full = Reply::Refused(Refusal::Full { what: Bounded::RegexRoutes, max });
    assert_eq!(restored(routes(limit::PATTERNS_MAX + 1)), full);
}

#[test]
fn merging_leaves_what_is_not_named_and_replacing_does_not() {
    let mut case = Case::new();
    case.configure(document(&["a", "b"]), ConfigMode::Merge, None);
    let mut merge = document(&["c"]);
    merge.routes.insert(name("a"), None);
    merge.routes.insert(name("never-there"), None);
    let policy = ServicePolicy::new(None, Some(Duration::from_secs(3))).expect("valid");
    merge.services.insert(service("s"), Some(policy));
    assert_eq!(case.configure(merge, ConfigMode::Merge, None), Reply::Done);
    assert_eq!(case.names(), ["b", "c"]);
    let at = case.0.state.config_changed();
    assert_eq!(at, case.0.state.index());
    assert_eq!(case.configure(document(&["b", "c"]), ConfigMode::Merge, None), Reply::Unchanged);
    assert_eq!(case.0.state.config_changed(), at, "what changes nothing is no change");
    let stale = case.configure(document(&["d"]), ConfigMode::Replace, Some(at.0 - 1));
    assert!(matches!(stale, Reply::Refused(Refusal::PreconditionFailed { .. })));
    assert_eq!(case.configure(document(&["d"]), ConfigMode::Replace, Some(at.0)), Reply::Done);
    assert_eq!(case.names(), ["d"]);
    assert!(case.0.state.service("s").is_none(), "its policy went, and nobody offers it");
    assert!(case.0.state.keyspace("default").is_some(), "keyspaces stay");
}

/// Before all members know of documents, a snapshot has no words for their index: a node that came by one would refuse
/// what another one accepts.
#[test]
fn the_documents_index_begins_with_the_level() {
    let mut scene = Scene::formed();
    assert_eq!(scene.state.config_changed(), LogIndex(0));
    scene.apply(vec![(None, Command::RaiseLevel { to: FeatureLevel::FOURTH })]);
    assert_eq!(scene.state.config_changed(), LogIndex(2));
}

#[test]
fn expressions_are_bounded_wherever_they_are() {
    let mut case = Case::new();
    let pattern = Pattern::parse("f", "/x.*").expect("compiles");
    let regex = |nth: usize| route_of(PathMatch::Regex(pattern.clone()), &format!("r{nth}"), "a");
    let of_values = |name: &str, headers: usize, query: usize| {
        let mut parts = RouteParts::clone(&route(name, "a"));
        let some = |nth: usize| (Box::from(format!("x-{nth}")), ValueMatch::Regex(pattern.clone()));
        parts.matches.headers = (0..headers).map(some).collect();
        parts.matches.query = (0..query).map(some).collect();
        parts.validate(RouteName::parse(name).expect("a name")).expect("valid")
    };
    let mut all = Config::default();
    all.routes.extend((3..limit::PATTERNS_MAX).map(|nth| (regex(nth).name().clone(), Some(regex(nth)))));
    assert_eq!(case.configure(all, ConfigMode::Merge, None), Reply::Done);
    assert_eq!(case.put(of_values("values", 1, 1), None), Reply::Done);
    assert_eq!(case.put(regex(0), None), Reply::Done);
    for one_more in [regex(1), of_values("h", 1, 0), of_values("q", 0, 1), of_values("values", 2, 1)] {
        let refused = case.put(one_more, None);
        let Reply::Refused(Refusal::Full { what: Bounded::RegexRoutes, max }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(max, limit::PATTERNS_MAX as u64);
    }
    // What comes back from a snapshot is as full.
    case.0.run("snapshot");
    assert!(matches!(case.put(regex(1), None), Reply::Refused(Refusal::Full { .. })));
    assert_eq!(case.put(of_values("values", 0, 1), None), Reply::Done);
    assert_eq!(case.put(of_values("h", 1, 0), None), Reply::Done);
    assert_eq!(case.put(route("plain", "a"), None), Reply::Done);
    // One that is there may become another one.
    let changed = route_of(PathMatch::regex("/y.*").expect("compiles"), "r0", "a");
    assert_eq!(case.put(changed, None), Reply::Done);
}

fn register(case: &mut Case, id: &str) -> Epoch {
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let parts = RegistrationParts::new(worker(id), Address::parse("http://h:1").expect("valid"), ttl);
    let services = vec![ServiceOffer { name: service("s"), version: "".into(), url: None }];
    let registration = RegistrationParts { services, ..parts }.validate().expect("valid");
    let command = Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None };
    match case.run(command) {
        Reply::Registered { epoch } => epoch,
        other => panic!("{other:?}"),
    }
}

fn found(id: &str, incarnation: Epoch, verdict: Verdict) -> Command {
    Command::ChangeHealth(vec![HealthChange {
        service: service("s"),
        worker: worker(id),
        incarnation,
        verdict,
    }])
}

fn serving(case: &Case) -> usize {
    case.0.state.service("s").map_or(0, |service| service.serving_count())
}

fn checked(case: &mut Case, health: Option<HealthCheck>) {
    let policy = ServicePolicy { health, ..ServicePolicy::default() };
    assert_eq!(case.run(Command::PutService { name: service("s"), policy, if_index: None }), Reply::Done);
}

#[test]
fn a_verdict_is_about_one_life_of_a_worker() {
    let mut case = Case::new();
    let first = register(&mut case, "w");
    assert_eq!(case.run(found("w", first, Verdict::Unhealthy)), Reply::Unchanged, "nobody wants to know");
    checked(&mut case, Some(HealthCheck::default()));
    assert_eq!(case.run(found("w", first, Verdict::Healthy)), Reply::Unchanged);
    assert_eq!((case.run(found("w", first, Verdict::Unhealthy)), serving(&case)), (Reply::Done, 0));
    assert_eq!(case.run(found("w", first, Verdict::Unhealthy)), Reply::Unchanged);
    let second = register(&mut case, "w");
    assert_eq!(serving(&case), 1, "who registers anew is well until it is found otherwise");
    assert_eq!(case.run(found("w", first, Verdict::Unhealthy)), Reply::Unchanged, "it came late");
    assert_eq!((case.run(found("w", second, Verdict::Unhealthy)), serving(&case)), (Reply::Done, 0));
    assert_eq!((case.run(found("w", second, Verdict::Healthy)), serving(&case)), (Reply::Done, 1));
}

#[test]
fn a_verdict_goes_with_the_check() {
    let mut case = Case::new();
    let epoch = register(&mut case, "w");
    checked(&mut case, Some(HealthCheck::default()));
    case.run(found("w", epoch, Verdict::Unhealthy));
    assert_eq!(case.0.state.ailments().count(), 1);
    case.0.run("snapshot");
    assert_eq!((case.0.state.ailments().count(), serving(&case)), (1, 0), "a snapshot keeps it");
    checked(&mut case, None);
    assert_eq!((case.0.state.ailments().count(), serving(&case)), (0, 1));
    checked(&mut case, Some(HealthCheck::default()));
    case.run(found("w", epoch, Verdict::Unhealthy));
    case.run(Command::DeleteService { name: service("s"), if_index: None });
    assert_eq!((case.0.state.ailments().count(), serving(&case)), (0, 1));
}
