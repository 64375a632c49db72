//! The rule that leads to a tunnel, in sandboxes that others change too.
#![expect(clippy::disallowed_methods, reason = "a test of a library that runs on tokio itself")]

use crate::support::{Router, Say, Seen, problem};
use quorate_api::{duration, timestamp};
use quorate_client::{
    Operator,
    tunnel::rule::{Keeper, Left, Look, Rule},
};
use quorate_model::LogTime;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const KEY: &str = "dev-1";
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// The only sandbox of a cluster.
#[derive(Clone, Debug, PartialEq)]
struct Sandbox {
    rules: Vec<Value>,
    ttl: Option<String>,
    ends: Option<u64>,
    changed: u64,
}

/// A cluster, as far as rules of tunnels see it.
struct Cluster {
    index: u64,
    started: Instant,
    sandbox: Option<Sandbox>,
    /// The epoch of whoever holds the tunnel.
    holder: Option<u64>,
    /// A node that is asked without asking the leader knows nothing.
    is_behind: bool,
}

impl Cluster {
    fn new() -> Self {
        Self { index: 9, started: Instant::now(), sandbox: None, holder: None, is_behind: false }
    }

    /// The leader's clock, which is not this machine's.
    fn now(&self) -> u64 {
        1_795_230_307_089 + self.started.elapsed().as_millis() as u64
    }

    fn with(rules: Value, ttl: Option<&str>, left: Option<u64>) -> Self {
        let rules = rules.as_array().expect("rules").clone();
        let new = Self::new();
        let ends = left.map(|left| new.now() + left);
        let sandbox = Some(Sandbox { rules, ttl: ttl.map(str::to_owned), ends, changed: new.index });
        Self { sandbox, ..new }
    }

    fn answer(&mut self, seen: &Seen) -> Say {
        let wanted = seen.head.lines().find_map(|line| line.strip_prefix("if-match: "));
        let wanted = wanted.map(|text| text.trim_matches('"').parse::<u64>().expect("an index"));
        let changed = self.sandbox.as_ref().map_or(0, |sandbox| sandbox.changed);
        if wanted.is_some_and(|wanted| wanted != changed) {
            return problem(412, "precondition_failed");
        }
        match seen.line.split('?').next().expect("a line") {
            "GET /v1/sandboxes/dev-1" if self.is_behind && !seen.line.ends_with("?consistent=true") => {
                problem(404, "sandbox_unknown")
            }
            "GET /v1/sandboxes/dev-1" => self.shown(),
            "PUT /v1/sandboxes/dev-1" => {
                let ttl = seen.body["ttl"].as_str().map(str::to_owned);
                let rules = seen.body["rules"].as_array().expect("rules").clone();
                self.set(|_| Sandbox { rules, ends: None, ttl: ttl.clone(), changed: 0 }, ttl.as_deref())
            }
            "POST /v1/sandboxes/dev-1/extend" => {
                let ttl = seen.body["ttl"].as_str().expect("a time").to_owned();
                self.set(|sandbox| sandbox.expect("it stands"), Some(&ttl))
            }
            "DELETE /v1/sandboxes/dev-1" => {
                self.sandbox = None;
                Say::Answer(200, json!({"index": self.index}))
            }
            "GET /v1/tunnels/mine" => match self.holder {
                Some(epoch) => {
                    Say::Answer(200, json!({"name": "mine", "node": "n1", "epoch": epoch, "since": ""}))
                }
                None => problem(404, "tunnel_unknown"),
            },
            other => panic!("{other}"),
        }
    }

    fn set(&mut self, change: impl FnOnce(Option<Sandbox>) -> Sandbox, ttl: Option<&str>) -> Say {
        self.index += 1;
        let span = ttl.map(|ttl| duration::parse(ttl).expect("a span").as_millis() as u64);
        assert!(span.is_none_or(|span| (300_000..=7 * DAY).contains(&span)), "{ttl:?}");
        let ends = span.map(|span| self.now() + span);
        self.sandbox = Some(Sandbox { ends, changed: self.index, ..change(self.sandbox.take()) });
        Say::Answer(200, json!({"index": self.index, "ends_at": told(ends)}))
    }

    fn shown(&self) -> Say {
        let Some(Sandbox { rules, ttl, ends, changed }) = &self.sandbox else {
            return problem(404, "sandbox_unknown");
        };
        let mut shown = json!({"key": KEY, "rules": rules, "changed_index": changed});
        shown["ttl"] = json!(ttl);
        if ttl.is_none() {
            shown.as_object_mut().expect("an object").remove("ttl");
        }
        shown["ends_at"] = told(*ends);
        shown["overlaps"] = json!([{"rule": 1, "by": 0}]);
        Say::Answer(200, shown)
    }

    fn left(&self) -> Option<u64> {
        Some(self.sandbox.as_ref()?.ends?.saturating_sub(self.now()))
    }

    fn targets(&self) -> Vec<String> {
        let rules = self.sandbox.iter().flat_map(|sandbox| &sandbox.rules);
        rules.map(|rule| rule["target"].as_str().expect("a target").to_owned()).collect()
    }
}

fn told(ends: Option<u64>) -> Value {
    json!(ends.map(|ends| timestamp::millis(LogTime(ends))))
}

/// What a test looks at, and what is asked.
struct Scene {
    cluster: Arc<Mutex<Cluster>>,
    operator: Operator,
    _router: Router,
}

impl Scene {
    async fn new(cluster: Cluster) -> Self {
        let cluster = Arc::new(Mutex::new(cluster));
        let asked = cluster.clone();
        let router = Router::start(move |seen| asked.lock().expect("no panic").answer(seen)).await;
        let operator = Operator::new(vec![router.url.clone()], None).expect("valid");
        Self { cluster, operator, _router: router }
    }

    fn keeper(&self, is_named_by_it: bool) -> Keeper<'_> {
        let ttl = Duration::from_millis(DAY);
        let rule = Rule { key: KEY.into(), service: None, tunnel: "mine".into(), is_named_by_it, ttl };
        Keeper::new(&self.operator, rule)
    }

    fn read<T>(&self, read: impl FnOnce(&mut Cluster) -> T) -> T {
        read(&mut self.cluster.lock().expect("no panic"))
    }
}

/// Scenario: somebody was promised a week, and somebody else runs `local` for an hour. Cause: each write of the sandbox
/// began its own, shorter time anew, and so did keeping it.
#[tokio::test]
async fn the_time_of_a_sandbox_is_never_shortened_and_lasts_while_the_rule_is_kept() {
    for (ttl, left) in [
        (Some("24h"), Some(6 * DAY)),
        (Some("5m"), Some(60_000)),
        (None, Some(3 * DAY)),
        (None, None),
        (Some("168h"), Some(DAY)),
    ] {
        let scene = Scene::new(Cluster::with(json!([{"target": "upload"}]), ttl, left)).await;
        // The end that was promised before is never moved forwards; without one there is none.
        let mut promised = scene.read(|cluster| cluster.sandbox.as_ref().expect("it stands").ends);
        let mut holds = |what: &str| {
            let ends = scene.read(|cluster| cluster.sandbox.as_ref().expect("it stands").ends);
            assert!(
                promised.map_or(ends.is_none(), |promised| ends.is_some_and(|ends| ends >= promised)),
                "{what} of {ttl:?}, {left:?}: {promised:?}, then {ends:?}"
            );
            promised = ends;
        };
        let mut keeper = scene.keeper(true);
        let put = keeper.put().await.expect("put");
        assert!(!put.is_new);
        holds("putting");
        for _ in 0..3 {
            assert_eq!(keeper.look().await, Ok(Look::Stands { is_silenced: false }));
            holds("looking");
        }
        let kept = scene.read(|cluster| cluster.left());
        assert!(kept.is_none_or(|kept| kept >= DAY - HOUR), "{ttl:?}, {left:?}: it lasts: {kept:?}");
        let index = scene.read(|cluster| cluster.index);
        assert_eq!(keeper.look().await, Ok(Look::Stands { is_silenced: false }));
        assert_eq!(scene.read(|cluster| cluster.index), index, "nothing is written that gives nothing");
        assert_eq!(keeper.leave(1).await, Ok(Left::Out));
        holds("leaving");
        assert_eq!(scene.read(|cluster| cluster.targets()), ["upload"]);
    }
}

/// Scenario: a client lost its tunnel to another one of the same name, waits, and is interrupted. Cause: it took out the
/// rule by which the other one is reached.
#[tokio::test]
async fn who_does_not_hold_the_tunnel_takes_nothing_of_its_holder_out() {
    let scene = Scene::new(Cluster::new()).await;
    let mut keeper = scene.keeper(true);
    assert!(keeper.put().await.expect("put").is_new);
    scene.read(|cluster| cluster.holder = Some(100));
    assert_eq!(keeper.leave(1).await, Ok(Left::ToItsHolder));
    assert_eq!(scene.read(|cluster| cluster.targets()), ["tunnel://mine"]);
    // A name that may be of anything: its holder writes the rule once it has the tunnel.
    let mut named = scene.keeper(false);
    let seen = scene.read(|cluster| {
        let index = cluster.index;
        cluster.holder = Some(index - 1);
        index
    });
    assert_eq!(named.leave(seen - 2).await, Ok(Left::ToItsHolder));
    // One that never does is there for something else.
    scene.read(|cluster| cluster.holder = Some(cluster.index + 1));
    assert_eq!(named.leave(1).await, Ok(Left::FromItsHolder));
    assert_eq!(scene.read(|cluster| cluster.sandbox.clone()), None);
    assert_eq!(named.leave(1).await, Ok(Left::WasGone), "and says so at the end");
    // Our own tunnel, and one of nobody.
    for holder in [Some(7), None] {
        scene.read(|cluster| cluster.holder = holder);
        keeper.put().await.expect("put");
        assert_eq!(keeper.leave(7).await, Ok(Left::WithSandbox));
    }
}

#[tokio::test]
async fn a_rule_that_somebody_has_taken_out_is_noticed_and_a_node_that_is_behind_is_not_believed() {
    let scene = Scene::new(Cluster::new()).await;
    let mut keeper = scene.keeper(true);
    keeper.put().await.expect("put");
    scene.read(|cluster| cluster.is_behind = true);
    assert_eq!(keeper.look().await, Ok(Look::Stands { is_silenced: false }));
    let sandbox = scene.read(|cluster| cluster.sandbox.take());
    assert_eq!(keeper.look().await, Ok(Look::SandboxGone));
    // Also where the same target is somebody else's rule.
    let others = json!({"target": "tunnel://mine", "path_prefixes": ["/a"]});
    scene.read(|cluster| {
        cluster.sandbox = sandbox;
        cluster.sandbox.as_mut().expect("it stands").rules = vec![others.clone()];
    });
    assert_eq!(keeper.look().await, Ok(Look::RuleGone));
    assert!(!keeper.put().await.expect("put").is_new);
    // Somebody puts a wider one before it.
    scene
        .read(|cluster| cluster.sandbox.as_mut().expect("it stands").rules.insert(0, json!({"target": "b"})));
    assert_eq!(keeper.look().await, Ok(Look::Stands { is_silenced: true }));
    assert_eq!(keeper.leave(1).await, Ok(Left::Out));
    let rules = scene.read(|cluster| cluster.sandbox.as_ref().expect("it stands").rules.clone());
    assert_eq!(rules, [json!({"target": "b"}), others]);
}
