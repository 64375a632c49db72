//! What came with ramps, at the sixth level.

use super::{
    sandboxes::{any_key, key},
    traffic::route_name,
    *,
};
use quorate_model::{
    Became, Config, ConfigMode, DeclaredChange, ErrorsSeen, Former, FormerSandbox, OnErrors, OnErrorsThen,
    Ramp, RampAdvance, RampCause, RampCommand, RampErrors, RampOrder, RampPhase, RampState, RampStep,
    RampSubject, Route, RouteParts, Sandbox, SandboxParts, SandboxRule, StoredRoute, StoredSandbox,
    route::{Action, Destination, Forwarding, Target},
};
use quorate_state::HistoryParts;

fn destinations() -> Vec<Destination> {
    let to = |(name, weight)| Destination { target: Target::parse("t", name).expect("valid"), weight };
    [("chat", 100), ("chat-2", 0)].map(to).into()
}

/// Says everything that a ramp can say.
fn everything() -> Ramp {
    let step = |(after_ms, of_new)| RampStep { after_ms, weights: vec![100 - of_new, of_new] };
    let then = OnErrorsThen::Abort;
    let on_errors = OnErrors { per_million: 25_000, min_requests: 200, window_ms: 90_000, then };
    Ramp { steps: [(0, 5), (600_000, 50), (3_600_000, 100)].map(step).into(), on_errors: Some(on_errors) }
}

/// Says as little as a ramp can.
fn least() -> Ramp {
    Ramp { steps: vec![RampStep { after_ms: 60_000, weights: vec![1, 1] }], on_errors: None }
}

fn route(name: &str, ramp: Ramp) -> Route {
    let forwarding = Forwarding { destinations: destinations(), ramp: Some(ramp), ..Forwarding::default() };
    let action = Action::from(forwarding);
    RouteParts { action, ..RouteParts::default() }.validate(route_name(name)).expect("valid")
}

fn sandbox() -> Sandbox {
    let rule = |ramp| SandboxRule { destinations: destinations(), ramp, ..SandboxRule::default() };
    let rules = vec![rule(None), rule(Some(everything())), rule(Some(least()))];
    SandboxParts { rules, ttl: None }.validate().expect("valid")
}

const AT: LogTime = LogTime(1_790_000_000_000);
const SEEN: ErrorsSeen = ErrorsSeen { destination: 1, failures: 30, requests: 400 };

fn state(entered: u16, phase: RampPhase) -> RampState {
    RampState { epoch: LogIndex(33), entered, phase }
}

fn paused() -> RampPhase {
    RampPhase::Paused { ran_ms: 7, at: AT, by: RampCause::Operator }
}

/// One of each phase.
fn stored_routes() -> Vec<StoredRoute> {
    let stored = |name, ramp, state| {
        let at = (LogIndex(33), LogIndex(40));
        StoredRoute::new(route(name, ramp), at, Some(state)).expect("valid")
    };
    let aborted = RampPhase::Aborted { at: AT, by: RampCause::Errors(SEEN) };
    vec![
        stored("a", everything(), state(2, RampPhase::Running { since: AT })),
        stored("b", least(), state(0, paused())),
        stored("c", everything(), state(3, aborted)),
    ]
}

fn stored_sandboxes() -> Vec<Arc<StoredSandbox>> {
    let ramps = [(1, state(1, RampPhase::Running { since: AT })), (2, state(1, paused()))];
    let stored = StoredSandbox {
        key: key("dev-1"),
        sandbox: Arc::new(sandbox()),
        created: LogIndex(33),
        changed: LogIndex(40),
        ends: None,
        ramps: ramps.into(),
    };
    vec![Arc::new(stored)]
}

fn of_rule() -> RampSubject {
    RampSubject::Rule { key: key("dev-1"), rule: 2 }
}

fn of_route() -> RampSubject {
    RampSubject::Route(route_name("r"))
}

/// What came with them.
pub fn refusals() -> [Refusal; 2] {
    [Refusal::NoRamp { subject: of_route() }, Refusal::RampOver { subject: of_rule() }]
}

fn advance(subject: RampSubject) -> RampAdvance {
    RampAdvance { subject, epoch: LogIndex(33), entered: 2 }
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let if_index = Some(LogIndex(3));
    let order = |order| RampCommand::Order { subject: of_route(), order, if_index };
    let errors = RampErrors { subject: of_rule(), epoch: LogIndex(33), entered: 1, seen: SEEN };
    let config =
        Config { routes: [(route_name("r"), Some(route("r", least())))].into(), ..Config::default() };
    let (route, sandbox) = (Box::new(route("r", everything())), Box::new(sandbox()));
    vec![
        ("put-route-ramp", Command::PutRoute { route, if_index }),
        ("put-sandbox-ramp", Command::PutSandbox { key: key("dev-1"), sandbox, if_index }),
        (
            "configure-ramps",
            Command::Configure { config: Box::new(config), mode: ConfigMode::Merge, if_index },
        ),
        ("advance-ramps", Command::Ramp(RampCommand::Advance(vec![advance(of_route()), advance(of_rule())]))),
        ("ramp-errors", Command::Ramp(RampCommand::Errors(errors))),
        ("pause-ramp", Command::Ramp(order(RampOrder::Pause))),
        ("resume-ramp", Command::Ramp(order(RampOrder::Resume))),
        ("abort-ramp", Command::Ramp(order(RampOrder::Abort))),
        ("restore-routes-ramps", restore(RestoreStep::Routes { batch: 3, routes: stored_routes() })),
        (
            "restore-sandboxes-ramps",
            restore(RestoreStep::Sandboxes { batch: 4, sandboxes: stored_sandboxes() }),
        ),
    ]
}

/// With everything that came with ramps.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let replies = refusals().into_iter().map(Reply::Refused).enumerate();
    let replies = replies.map(|(i, reply)| (i as u64, LogIndex(30), reply)).collect();
    let parts = Parts {
        level: FeatureLevel::SIXTH,
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        routes: stored_routes().into_iter().map(Arc::new).collect(),
        sandboxes: stored_sandboxes(),
        workers: Vec::new(),
        ..parts
    };
    (meta, parts)
}

fn any_subject() -> impl Strategy<Value = RampSubject> {
    prop_oneof![
        Just(of_route()),
        (any_key(), any::<u16>()).prop_map(|(key, rule)| RampSubject::Rule { key, rule }),
    ]
}

fn any_seen() -> impl Strategy<Value = ErrorsSeen> {
    any::<(u16, u64, u64)>().prop_map(|(destination, failures, requests)| ErrorsSeen {
        destination,
        failures,
        requests,
    })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let advance = (any_subject(), any::<u64>(), any::<u16>())
        .prop_map(|(subject, epoch, entered)| RampAdvance { subject, epoch: LogIndex(epoch), entered });
    let order = prop::sample::select(vec![RampOrder::Pause, RampOrder::Resume, RampOrder::Abort]);
    let command = prop_oneof![
        collection::vec(advance, 0..4).prop_map(RampCommand::Advance),
        (any_subject(), any::<u64>(), any::<u16>(), any_seen()).prop_map(
            |(subject, epoch, entered, seen)| RampCommand::Errors(RampErrors {
                subject,
                epoch: LogIndex(epoch),
                entered,
                seen
            })
        ),
        (any_subject(), order, indexes()).prop_map(|(subject, order, if_index)| RampCommand::Order {
            subject,
            order,
            if_index
        }),
    ];
    command.prop_map(Command::Ramp)
}

/// What was declared before, with where ramps stood.
pub fn history() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::past::snapshot();
    let was = stored_sandboxes().first().map(|stored| FormerSandbox::of(stored));
    let change = DeclaredChange {
        index: LogIndex(40),
        at: AT,
        former: Former::Sandbox { key: key("dev-1"), was },
        became: Became::Removed,
    };
    let history = Some(HistoryParts { begins: LogIndex(20), changes: vec![Arc::new(change)] });
    (meta, Parts { history, windows: Vec::new(), ..parts })
}
