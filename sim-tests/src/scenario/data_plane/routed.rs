//! Routes: one that keeps each client at one destination, one to addresses, and one that changes all the while.
//!
//! What is asked of each request besides: it is sent where its route says, by one version of it; a client's requests
//! stay at one destination, whoever fails there and whichever node they come through; nobody is sent back to an older
//! version by the same node; and who gets copies has no say. In the end all nodes have the last version, and send each
//! client to the same worker.

use super::{EVERY, NODES, Run, TIMEOUT, requests::KEYS};
use crate::{
    trace,
    world::{
        arrivals::{KEY, VERSION, Visit},
        client::{self, persist},
        line::{Asked, Heard, Line, Wire},
        worker::{Mood, address},
    },
};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
};

/// The services that routes lead to.
pub const SERVICES: [&str; 2] = ["s", "t"];
/// Of each service, and one that gets copies.
pub const WORKERS: usize = 2 * EACH + 1;
const EACH: usize = 3;
const COPIES: usize = 2 * EACH;
/// How long a try may take, of the routes that say so.
const TRY: Duration = Duration::from_millis(400);
/// A write that nobody has answered is carried out within this time, or never.
const UNDER_WAY: Duration = Duration::from_secs(6);

const KEPT: &str = "/kept/x";
const URLS: &str = "/urls/x";
const CHANGING: &str = "/changing/x";

/// The service that worker `n` offers.
pub fn service_of(n: usize) -> Option<&'static str> {
    SERVICES.get(n / EACH).copied()
}

/// Those who offer a service, by its place.
fn offering(service: usize) -> Range<usize> {
    service * EACH..(service + 1) * EACH
}

pub fn any_path() -> &'static str {
    [KEPT, KEPT, URLS, CHANGING].choose(&mut thread_rng()).expect("there are some")
}

/// Whether the route of a path bounds each try, so that one worker can't use up a request's time.
pub fn bounds_tries(path: &str) -> bool {
    matches!(path, KEPT | URLS)
}

/// One of each service, or of one of them; sometimes who gets copies with them.
pub fn victims() -> Vec<usize> {
    let mut random = thread_rng();
    let mut one_of_each: Vec<_> = (0..SERVICES.len()).map(|nth| random.gen_range(offering(nth))).collect();
    one_of_each.shuffle(&mut random);
    one_of_each.truncate(random.gen_range(1..=SERVICES.len()));
    if random.gen_bool(0.3) {
        one_of_each.push(COPIES);
    }
    one_of_each
}

/// What is known of routes.
#[derive(Default)]
pub struct Routed {
    /// Whom each version of the changing route leads to.
    versions: RefCell<Vec<Vec<usize>>>,
    /// The newest version that a request came back with, by node and its life.
    latest: RefCell<BTreeMap<(usize, u32), u64>>,
    /// The service that each client is kept at.
    kept_at: RefCell<BTreeMap<u64, usize>>,
    /// The route changes no more.
    is_calm: Cell<bool>,
    is_written: Cell<bool>,
}

impl Routed {
    /// The version that a node has at least, in this life.
    pub fn known(&self, node: usize, life: u32) -> u64 {
        self.latest.borrow().get(&(node, life)).copied().unwrap_or(0)
    }

    /// Whether this may become of a request through a node, in its life, that had a version when it was asked.
    pub fn judge(
        &self,
        (asked, heard): (Asked, &Heard),
        visits: &[Visit],
        (node, life, known): (usize, u32, u64),
    ) -> Result<(), String> {
        if let Heard::Whole { worker: Some(worker), .. } = heard
            && service_of(usize::try_from(*worker).unwrap_or(0) - 1).is_none()
        {
            return Err("it got the answer to its copy".into());
        }
        match asked.path {
            KEPT => self.is_kept(asked.key, visits),
            URLS => {
                let strays =
                    |visit: &Visit| visit.path != "/base/urls/x" || !offering(1).contains(&visit.worker);
                if visits.iter().any(strays) { Err("it is not where its route leads".into()) } else { Ok(()) }
            }
            _ => self.is_of_one_version(heard, visits, (node, life, known)),
        }
    }

    fn is_kept(&self, key: u64, visits: &[Visit]) -> Result<(), String> {
        for visit in visits {
            if visit.path != "/inner/x" {
                return Err(format!("{} is not what its route asks for", visit.path));
            }
            let at = visit.worker / EACH;
            let before = *self.kept_at.borrow_mut().entry(key).or_insert(at);
            if before != at {
                return Err(format!("client {key} was kept at {}", SERVICES[before]));
            }
        }
        Ok(())
    }

    fn is_of_one_version(
        &self,
        heard: &Heard,
        visits: &[Visit],
        (node, life, known): (usize, u32, u64),
    ) -> Result<(), String> {
        let Some(first) = visits.first() else { return Ok(()) };
        let version = first.version.ok_or("its route told no version")?;
        for visit in visits {
            if visit.version != Some(version) || visit.path != format!("/v{version}/x") {
                return Err("it was sent by two versions of its route".into());
            }
            let leads_to =
                usize::try_from(version).ok().and_then(|nth| self.versions.borrow().get(nth).cloned());
            if !leads_to.is_some_and(|workers| workers.contains(&visit.worker)) {
                return Err(format!("version {version} does not lead there"));
            }
        }
        if let Heard::Whole { worker: Some(_), version: told, .. } = heard
            && *told != Some(version)
        {
            return Err(format!("its answer is by version {told:?}"));
        }
        if version < known {
            return Err(format!("it was sent by version {version}, after {known}"));
        }
        let mut latest = self.latest.borrow_mut();
        let newest = latest.entry((node, life)).or_insert(0);
        *newest = version.max(*newest);
        Ok(())
    }

    /// Another version: whom it leads to.
    fn next(&self) -> (u64, Value) {
        let mut random = thread_rng();
        let urls = |range: Range<usize>| range.map(|n| json!({"url": url(n, ""), "weight": n + 1})).collect();
        let service = |nth: usize| json!({"service": SERVICES[nth], "weight": 10});
        let (destinations, leads_to): (Vec<_>, Vec<_>) = match random.gen_range(0..4) {
            nth @ 0..=1 => (vec![service(nth)], offering(nth).collect()),
            2 => (vec![service(0), service(1)], (0..2 * EACH).collect()),
            _ => (urls(offering(0)), offering(0).collect()),
        };
        let mut versions = self.versions.borrow_mut();
        let version = versions.len() as u64;
        versions.push(leads_to);
        let mut route = route("/changing", destinations, &format!("/v{version}"));
        let told = json!({"set": {VERSION: version.to_string()}});
        route["request_headers"] = told.clone();
        route["response_headers"] = told;
        if random.gen_bool(0.5) {
            route["sticky"] = json!({"header": KEY});
        }
        if random.gen_bool(0.5) {
            route["per_try_timeout"] = ms(TRY);
        }
        (version, route)
    }
}

fn url(n: usize, base: &str) -> String {
    format!("http://{}{base}", address(n + 1))
}

fn ms(time: Duration) -> Value {
    format!("{}ms", time.as_millis()).into()
}

/// What all routes here say.
fn route(prefix: &str, destinations: Vec<Value>, inner: &str) -> Value {
    json!({
        "match": {"path_prefix": prefix},
        "destinations": destinations,
        "timeout": ms(TIMEOUT),
        "rewrite": {"path_prefix": inner},
        "retries": {
            "max": 2,
            "on": [503],
            "backoff": {"initial": "10ms", "max": "50ms"},
            "budget": {"percent": 100, "min_per_second": 1000},
        },
    })
}

impl Run<'_> {
    /// The routes as they are at first.
    pub(super) async fn set_routes(&self) -> Result<(), String> {
        let services = vec![json!({"service": "s", "weight": 60}), json!({"service": "t", "weight": 40})];
        let mut kept = route("/kept", services, "/inner");
        kept["sticky"] = json!({"header": KEY});
        kept["balancing"] = "consistent-hash".into();
        kept["hash_on"] = json!({"header": KEY});
        kept["per_try_timeout"] = ms(TRY);
        kept["mirror"] = json!({"url": url(COPIES, ""), "percent": 50});
        let addresses = offering(1).map(|n| json!({"url": url(n, "/base"), "weight": 10 * n})).collect();
        let mut urls = route("/urls", addresses, "/urls");
        urls["per_try_timeout"] = ms(TRY);
        let (_, changing) = self.routed.next();
        for (name, route) in [("kept", kept), ("urls", urls), ("changing", changing)] {
            persist(self.world, "PUT", &format!("/v1/routes/{name}"), &route).await?;
        }
        Ok(())
    }

    /// One route changes all the while.
    pub(super) async fn change_route(&self) -> Result<(), String> {
        let changes = || !self.over.get() && !self.routed.is_calm.get();
        while self.kind == super::Kind::Routes && changes() {
            let pause = thread_rng().gen_range(50..1_000);
            sleep(Duration::from_millis(pause)).await;
            if changes() {
                self.routed.is_written.set(true);
                self.write_version().await;
                self.routed.is_written.set(false);
            }
        }
        Ok(())
    }

    async fn write_version(&self) {
        let (version, route) = self.routed.next();
        let node = self.world.any();
        let answer = client::manage(self.world, node, "PUT", "/v1/routes/changing".into(), route).await;
        let status = answer.map_or(0, |(status, _)| status);
        trace::event(|| format!("version {version} at n{}: {status}", node + 1));
        if status != 200 {
            // It may still come, and must not come after the next one.
            sleep(UNDER_WAY).await;
        }
    }

    /// All nodes have the last version, and send each client to the same worker.
    pub(super) async fn routes_agree(&self) -> Result<(), String> {
        self.routed.is_calm.set(true);
        while self.routed.is_written.get() {
            sleep(EVERY).await;
        }
        let (last, route) = self.routed.next();
        persist(self.world, "PUT", "/v1/routes/changing", &route).await?;
        let (line, mut goes_to) = (Line::default(), BTreeMap::new());
        for node in 0..NODES {
            client::barrier(self.world, node).await?;
            let through = |asked| line.ask(self.world, node, asked);
            let heard = through(Asked { path: CHANGING, ..self.any_request(Wire::Http1) }).await;
            if !matches!(heard, Heard::Whole { status: 200, version: Some(version), .. } if version == last) {
                return Err(format!("n{} has not version {last}: {}", node + 1, heard.short()));
            }
            for key in 0..KEYS {
                let heard = through(Asked { path: KEPT, key, ..self.any_request(Wire::Http1) }).await;
                let Heard::Whole { status: 200, worker: Some(worker), .. } = heard else {
                    return Err(format!(
                        "all is well, and n{} answers client {key} with {heard:?}",
                        node + 1
                    ));
                };
                let first = *goes_to.entry(key).or_insert(worker);
                if first != worker {
                    return Err(format!(
                        "client {key} goes to w{first} and, through n{}, to w{worker}",
                        node + 1
                    ));
                }
            }
        }
        trace::event(|| format!("all nodes have version {last}, and agree on {KEYS} clients"));
        self.somebody_got_copies()
    }

    fn somebody_got_copies(&self) -> Result<(), String> {
        let all = self.world.arrivals.all();
        let copies = all.iter().flat_map(|(_, visits)| visits).filter(|visit| visit.worker == COPIES);
        match copies.filter(|copy| copy.path == "/inner/x" && copy.mood != Mood::Refusing).count() {
            0 => Err("nobody got a copy".into()),
            copies => {
                trace::event(|| format!("{copies} copies"));
                Ok(())
            }
        }
    }
}
