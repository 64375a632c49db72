//! Sandboxes, and that they end at one index, and none that was given more time.

mod support;

use quorate_model::{
    Command, Config, ConfigMode, Epoch, Event, FeatureLevel, LogIndex, LogTime, Refusal, Reply, RestoreId,
    RestoreStep, RoutingKey, Sandbox, SandboxEnd, SandboxParts, SandboxRule, SandboxTtl, StoredSandbox,
    limit,
    reply::Bounded,
    route::{Action, Destination, HeaderEdits, Target},
};
use quorate_state::SandboxTable;
use std::{sync::Arc, time::Duration};
use support::Scene;

/// The shortest there is.
const TTL_MS: u64 = limit::SANDBOX_TTL_MS_MIN;

fn key(key: &str) -> RoutingKey {
    RoutingKey::parse(key).expect("a key")
}

fn ttl() -> SandboxTtl {
    SandboxTtl::new(Duration::from_millis(TTL_MS)).expect("allowed")
}

fn rule(to: &str) -> SandboxRule {
    let target = Target::parse_versioned("target", to).expect("a target");
    SandboxRule { destinations: vec![Destination { target, weight: 100 }], ..SandboxRule::default() }
}

fn sandbox(to: &[&str], ttl: Option<SandboxTtl>) -> Sandbox {
    SandboxParts { rules: to.iter().map(|to| rule(to)).collect(), ttl }.validate().expect("valid")
}

struct Case(Scene);

impl Case {
    fn new() -> Self {
        let mut case = Self(Scene::formed());
        case.run(Command::RaiseLevel { to: FeatureLevel::FIFTH });
        case
    }

    fn run(&mut self, command: Command) -> Reply {
        self.0.apply(vec![(None, command)]).replies.remove(0)
    }

    fn put(&mut self, called: &str, sandbox: Sandbox, if_index: Option<u64>) -> Reply {
        let if_index = if_index.map(LogIndex);
        self.run(Command::PutSandbox { key: key(called), sandbox: Box::new(sandbox), if_index })
    }

    fn extend(&mut self, called: &str) -> Reply {
        self.run(Command::ExtendSandbox { key: key(called), ttl: ttl(), if_index: None })
    }

    fn delete(&mut self, called: &str) -> Reply {
        self.run(Command::DeleteSandbox { key: key(called), if_index: None })
    }

    /// What the leader proposes at this time.
    fn over(&self, at: u64) -> Vec<SandboxEnd> {
        self.0.state.sandboxes().over(LogTime(at))
    }

    fn end(&mut self, ended: Vec<SandboxEnd>) -> Reply {
        self.run(Command::EndSandboxes(ended))
    }

    fn at(&mut self, ms: u64) -> &mut Self {
        self.0.at = LogTime(ms);
        self
    }

    fn stored(&self, called: &str) -> Option<&Arc<StoredSandbox>> {
        self.0.state.sandboxes().get(called).map(|compiled| compiled.stored())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.state.sandboxes().iter().map(|stored| stored.key.as_str()).collect()
    }
}

#[test]
fn a_sandbox_is_put_changed_and_deleted_under_its_index() {
    let mut case = Case::new();
    assert_eq!(case.put("k", sandbox(&["a"], None), Some(0)), Reply::Done);
    let made = case.0.state.index();
    assert_eq!(case.put("k", sandbox(&["a"], None), None), Reply::Unchanged);
    let refused = case.put("k", sandbox(&["b"], None), Some(0));
    assert!(matches!(refused, Reply::Refused(Refusal::PreconditionFailed { .. })));
    assert_eq!(case.put("k", sandbox(&["b"], None), Some(made.0)), Reply::Done);
    let stored = case.stored("k").expect("there").clone();
    assert_eq!((stored.created, stored.changed), (made, case.0.state.index()));
    assert_eq!(case.0.state.config_changed(), stored.changed);
    assert_eq!(case.delete("k"), Reply::Done);
    assert_eq!(case.delete("k"), Reply::Refused(Refusal::UnknownSandbox { key: key("k") }));
    assert_eq!(case.extend("k"), Reply::Refused(Refusal::UnknownSandbox { key: key("k") }));
    assert!(case.keys().is_empty());
}

/// What a request is sent on by: the route of a rule, found by the key alone.
#[test]
fn a_rule_is_made_into_a_route_when_it_is_applied() {
    let mut case = Case::new();
    let added = vec![("x-env".into(), HeaderEdits::value("f", "sandbox").expect("valid"))];
    let rules =
        vec![rule("upload@v2"), SandboxRule { add_headers: added.clone(), ..rule("http://h:1/base") }];
    case.put("k", SandboxParts { rules, ttl: None }.validate().expect("valid"), None);
    let compiled = case.0.state.sandboxes().get("k").expect("there").clone();
    let forwardings: Vec<_> = compiled
        .rules()
        .map(|one| match &one.route().route.action {
            Action::Forward(forwarding) => (one.rule(), &**forwarding),
            Action::Redirect(_) => panic!("no rule redirects"),
        })
        .collect();
    assert!(forwardings.iter().all(|(rule, forwarding)| rule.destinations == forwarding.destinations));
    assert_eq!(forwardings[1].1.request_headers.set, added);
    // More time changes no route: what is under way by it goes on. Another target changes its own rule only.
    let routes = |case: &Case| -> Vec<_> {
        case.0.state.sandboxes().get("k").expect("there").rules().map(|one| one.route().clone()).collect()
    };
    let before = routes(&case);
    case.extend("k");
    assert!(before.iter().zip(routes(&case)).all(|(a, b)| Arc::ptr_eq(a, &b)));
    let rules = vec![rule("upload@v3"), before_rule(&compiled, 1)];
    case.put("k", SandboxParts { rules, ttl: None }.validate().expect("valid"), None);
    let after = routes(&case);
    assert!(!Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[1]));
}

fn before_rule(compiled: &quorate_state::CompiledSandbox, nth: usize) -> SandboxRule {
    compiled.stored().sandbox.rules[nth].clone()
}

#[test]
fn a_sandbox_ends_when_its_time_is_over_and_not_before() {
    let mut case = Case::new();
    case.at(1_000).put("k", sandbox(&["a"], Some(ttl())), None);
    case.put("for-good", sandbox(&["a"], None), None);
    let ends = 1_000 + TTL_MS;
    assert_eq!(case.stored("k").and_then(|stored| stored.ends), Some(LogTime(ends)));
    assert_eq!(case.over(ends - 1), []);
    let over = case.over(ends);
    assert_eq!(over.len(), 1);
    // A leader whose clock was ahead has proposed it too early: the entry's time decides.
    assert_eq!(case.at(ends - 1).end(over.clone()), Reply::Unchanged);
    let declared = case.0.state.config_changed();
    case.at(ends);
    let applied = case.0.apply(vec![(None, Command::EndSandboxes(over.clone()))]);
    assert_eq!(applied.events, [Event::SandboxEnded { key: key("k") }]);
    assert_eq!(case.keys(), ["for-good"]);
    assert!(case.0.state.config_changed() > declared, "a document that was read before is another one now");
    assert_eq!(case.end(over), Reply::Unchanged, "twice is as good as once");
}

/// The end is proposed, and the extension is first in the log: it was acknowledged, so it holds.
#[test]
fn a_late_end_is_void() {
    let mut case = Case::new();
    case.at(0).put("extended", sandbox(&["a"], Some(ttl())), None);
    case.put("made-anew", sandbox(&["a"], Some(ttl())), None);
    case.put("put-again", sandbox(&["a"], Some(ttl())), None);
    case.put("deleted", sandbox(&["a"], Some(ttl())), None);
    let over = case.over(TTL_MS);
    assert_eq!(over.len(), 4);
    case.at(TTL_MS).extend("extended");
    case.put("put-again", sandbox(&["a"], Some(ttl())), None);
    case.delete("deleted");
    case.delete("made-anew");
    case.put("made-anew", sandbox(&["a"], Some(ttl())), None);
    assert_eq!(case.at(TTL_MS).end(over.clone()), Reply::Unchanged);
    assert_eq!(case.keys(), ["extended", "made-anew", "put-again"]);
    // Of the one that was made anew, the epoch alone says that: its new time is over as well by now.
    case.at(3 * TTL_MS).end(over);
    assert_eq!(case.keys(), ["made-anew"]);
}

#[test]
fn an_extension_counts_from_now_on() {
    let mut case = Case::new();
    case.at(0).put("k", sandbox(&["a"], None), None);
    let declared = case.0.state.config_changed();
    assert_eq!(case.at(500).extend("k"), Reply::Done);
    let stored = case.stored("k").expect("there");
    assert_eq!((stored.ends, stored.sandbox.ttl), (Some(LogTime(500 + TTL_MS)), None));
    assert_eq!(stored.changed, case.0.state.index());
    assert_eq!(case.0.state.config_changed(), declared, "what is declared is the same");
    // Setting it again without a TTL takes the end away.
    assert_eq!(case.put("k", sandbox(&["a"], None), None), Reply::Done);
    assert_eq!(case.stored("k").and_then(|stored| stored.ends), None);
}

fn document(sandboxes: &[(&str, Option<Sandbox>)]) -> Config {
    let sandboxes = sandboxes.iter().map(|(called, one)| (key(called), one.clone())).collect();
    Config { sandboxes, ..Config::default() }
}

#[test]
fn a_document_declares_sandboxes_and_takes_them_away() {
    let mut case = Case::new();
    let configure = |case: &mut Case, config: Config, mode| {
        case.run(Command::Configure { config: Box::new(config), mode, if_index: None })
    };
    let one = || Some(sandbox(&["a"], Some(ttl())));
    assert_eq!(configure(&mut case, document(&[("a", one()), ("b", one())]), ConfigMode::Merge), Reply::Done);
    let ends = case.stored("a").and_then(|stored| stored.ends);
    // The same document an hour later keeps nothing alive.
    case.at(3_600_000);
    assert_eq!(configure(&mut case, document(&[("a", one())]), ConfigMode::Merge), Reply::Unchanged);
    assert_eq!(case.stored("a").and_then(|stored| stored.ends), ends);
    let gone = document(&[("a", None), ("never-there", None)]);
    assert_eq!(configure(&mut case, gone, ConfigMode::Merge), Reply::Done);
    assert_eq!(case.keys(), ["b"]);
    assert_eq!(configure(&mut case, document(&[("c", one())]), ConfigMode::Replace), Reply::Done);
    assert_eq!(case.keys(), ["c"]);
    let merge =
        |config| Command::Configure { config: Box::new(config), mode: ConfigMode::Merge, if_index: None };
    assert_eq!(merge(document(&[("c", None)])).feature_level(), FeatureLevel::FIFTH);
    assert_eq!(merge(Config::default()).feature_level(), FeatureLevel::FOURTH);
}

#[test]
fn what_ends_soon_is_listed_by_its_end() {
    let mut case = Case::new();
    for (nth, called) in ["c", "a", "b"].into_iter().enumerate() {
        case.at(nth as u64).put(called, sandbox(&["x"], Some(ttl())), None);
    }
    case.put("for-good", sandbox(&["x"], None), None);
    let sandboxes = case.0.state.sandboxes();
    let listed = |table: &SandboxTable, after: Option<(u64, &str)>, by: u64| -> Vec<String> {
        let after = after.map(|(ends, called)| (LogTime(ends), key(called)));
        table.ending_after(after, LogTime(by)).map(|stored| stored.key.to_string()).collect()
    };
    assert_eq!(listed(sandboxes, None, u64::MAX), ["c", "a", "b"]);
    assert_eq!(listed(sandboxes, None, TTL_MS + 1), ["c", "a"]);
    assert_eq!(listed(sandboxes, Some((TTL_MS, "c")), u64::MAX), ["a", "b"]);
    assert_eq!(case.over(u64::MAX).len(), 3);
}

/// One that is as large as one rule can make it.
fn heavy() -> Sandbox {
    let value = HeaderEdits::value("f", &"x".repeat(limit::VALUE_BYTES_MAX)).expect("valid");
    let added = (0..limit::MATCH_VALUES_MAX).map(|nth| (format!("h{nth}").into(), value.clone())).collect();
    let rules = vec![SandboxRule { add_headers: added, ..rule("a") }; limit::RULES_PER_SANDBOX_MAX];
    SandboxParts { rules, ttl: None }.validate().expect("valid")
}

#[test]
fn the_memory_of_all_sandboxes_is_bounded() {
    let one = heavy();
    let fit = limit::SANDBOXES_BYTES_MAX / one.weight();
    let mut case = Case::new();
    let all: Vec<_> = (0..fit).map(|nth| (format!("k{nth}"), Some(one.clone()))).collect();
    let all: Vec<_> = all.iter().map(|(called, one)| (called.as_str(), one.clone())).collect();
    let command =
        Command::Configure { config: Box::new(document(&all)), mode: ConfigMode::Merge, if_index: None };
    assert_eq!(case.run(command), Reply::Done);
    let full =
        Reply::Refused(Refusal::Full { what: Bounded::SandboxBytes, max: limit::SANDBOXES_BYTES_MAX as u64 });
    assert_eq!(case.put("more", one.clone(), None), full);
    // One that is there may become another one that is no heavier, and what goes makes room.
    assert_eq!(case.put("k0", sandbox(&["b"], None), None), Reply::Done);
    assert_eq!(case.put("more", one, None), Reply::Done);
}

#[test]
fn a_backup_brings_sandboxes_with_their_ends() {
    let mut old = Case::new();
    old.at(1_000).put("k", sandbox(&["a"], Some(ttl())), None);
    let parts = old.0.state.parts();
    let mut case = Case::new();
    let id = RestoreId(1);
    let step = |case: &mut Case, step| case.run(Command::Restore { id, step });
    let begin = || RestoreStep::Begin {
        keyspaces: parts.keyspaces.clone(),
        policies: Vec::new(),
        last_epoch: Epoch(1),
    };
    let sandboxes = || RestoreStep::Sandboxes { batch: 0, sandboxes: parts.sandboxes.clone() };
    assert_eq!(sandboxes().feature_level(), FeatureLevel::FIFTH);
    assert_eq!(step(&mut case, begin()), Reply::Done);
    assert_eq!(step(&mut case, sandboxes()), Reply::Done);
    assert!(case.keys().is_empty(), "nobody sees half of it");
    assert_eq!(step(&mut case, RestoreStep::Finish { batches: 1, workers: 0 }), Reply::Done);
    let stored = case.stored("k").expect("it came back");
    assert_eq!((stored.ends, &stored.sandbox), (Some(LogTime(1_000 + TTL_MS)), &parts.sandboxes[0].sandbox));
    let refused = step(&mut case, begin());
    assert_eq!(refused, Reply::Refused(Refusal::HasSandboxes { sandboxes: 1 }));
    let mut twice = Case::new();
    step(&mut twice, begin());
    let both = [parts.sandboxes.clone(), parts.sandboxes.clone()].concat();
    let refused = step(&mut twice, RestoreStep::Sandboxes { batch: 0, sandboxes: both });
    assert!(matches!(refused, Reply::Refused(Refusal::RestoreUnsound { .. })), "{refused:?}");
}

/// Sandboxes count among what a document would have to name.
#[test]
fn what_no_document_could_name_is_not_replaced() {
    let mut case = Case::new();
    let one = sandbox(&["a"], None);
    let mut full = Config::default();
    full.sandboxes
        .extend((0..limit::CONFIG_OBJECTS_MAX).map(|nth| (key(&format!("k{nth}")), Some(one.clone()))));
    let replace = |case: &mut Case, config: &Config| {
        let config = Box::new(config.clone());
        case.run(Command::Configure { config, mode: ConfigMode::Replace, if_index: None })
    };
    assert_eq!(replace(&mut case, &full), Reply::Done);
    assert_eq!(replace(&mut case, &full), Reply::Unchanged, "as many as it can");
    case.put("one-more", one, None);
    let max = limit::CONFIG_OBJECTS_MAX as u64;
    let refused = Reply::Refused(Refusal::Full { what: Bounded::ConfigObjects, max });
    assert_eq!(replace(&mut case, &full), refused);
    assert!(case.stored("one-more").is_some() && case.keys().len() > limit::CONFIG_OBJECTS_MAX);
}
