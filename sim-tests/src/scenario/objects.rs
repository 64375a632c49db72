//! Objects of the sandbox API are put, changed, taken away and given more time through nodes that die and are cut off, and
//! two of them end by themselves. What they come to for requests is the same on all nodes at one index, and nothing but
//! what the objects of that index say: no rule outlives its object, and none comes before it.
//!
//! What is kept in the log and in snapshots are the objects; their rules are made by each node itself, entry by entry
//! or from a snapshot. So what is compared here is what requests find, with an account of its own of what the objects
//! say.

use super::serving;
use crate::{
    trace,
    world::{Machine, World, client, now_ms},
};
use madsim::{
    rand::{Rng, thread_rng},
    time::sleep,
};
use quorate_model::{LogTime, Position, Resource, RoutingKey, What, route::Target};
use quorate_rt::time::wall_ms;
use quorate_state::View;
use quorate_storage::CrashMode;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const NODES: usize = 3;
const NAMESPACE: &str = "/api/v1alpha1/namespaces/team";
/// The shortest that there is.
const TTL: Duration = Duration::from_secs(300);
/// An election and a few entries, after the time is over.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
const ROUNDS: usize = 4;
const SANDBOXES: usize = 4;
const SERVICES: [&str; 3] = ["cart", "mail", "shop"];
const ENDS: &str = "ends";
const GOES_ON: &str = "goes-on";

/// What requests of each key find, as text.
type Found = BTreeMap<String, Vec<String>>;

/// What was found at each index, and on which node first.
#[derive(Default)]
struct Seen {
    found: BTreeMap<u64, (Found, String)>,
    /// Where each life of each node was last.
    last: BTreeMap<(String, u32), u64>,
}

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, 0).await?;
    let mut seen = Seen::default();
    for name in [ENDS, GOES_ON] {
        made(&world, "sandboxes", name, json!({"ttl": TTL.as_secs(), "services": services(2)})).await?;
        let spec = json!({"routes": [{"routingKey": name, "targetSandbox": name}]});
        made(&world, "routegroups", name, spec).await?;
    }
    for node in 0..NODES {
        client::barrier(&world, node).await?;
    }
    let due = ends(&world.machines[0], ENDS).ok_or("a sandbox with a TTL has no end")?;
    let made = world.log_index()?;
    for _ in 0..ROUNDS {
        for _ in 0..thread_rng().gen_range(2..7) {
            change(&world).await;
            seen.look(&world)?;
        }
        fault(&world, &mut seen).await?;
    }
    // Most of its time nothing happens.
    let left = due.0.saturating_sub(wall_ms()).saturating_sub(thread_rng().gen_range(1_000..15_000));
    sleep(Duration::from_millis(left)).await;
    let extended = extend(&world).await;
    match thread_rng().gen_range(0..3) {
        0 => world.replace_leader().await?,
        1 => world.isolate(world.leader().unwrap_or(0)),
        _ => {}
    }
    ended(&world, &mut seen, (made, due)).await?;
    world.settle().await?;
    seen.look(&world)?;
    if extended {
        for machine in &world.machines {
            let name = machine.name();
            let stands = ends(machine, GOES_ON);
            if stands.is_none_or(|ends| ends <= due) {
                return Err(format!("more time was acknowledged, and {name} has the end {stands:?}"));
            }
        }
    }
    agree(&world)?;
    at_one_index(&world)?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

fn services(count: usize) -> Value {
    SERVICES.iter().take(count).map(|name| json!({"name": name})).collect()
}

/// Puts a new object, until it is there.
async fn made(world: &World, resource: &str, name: &str, spec: Value) -> Result<(), String> {
    let body = json!({"metadata": {"name": name}, "spec": spec});
    for _ in 0..100 {
        let path = format!("{NAMESPACE}/{resource}");
        let answer = client::manage(world, world.any(), "POST", path, body.clone()).await;
        // It is there already where an answer was lost.
        if matches!(answer, Some((201 | 409, _))) {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
    Err(format!("{name} can't be made"))
}

/// Somebody changes something, through any node. Whatever becomes of it: what stands is what the log says.
async fn change(world: &World) {
    let mut random = thread_rng();
    let name = format!("pr-{}", random.gen_range(0..SANDBOXES));
    let spec = json!({"services": services(random.gen_range(0..=SERVICES.len()))});
    let route = |nth: usize| {
        let key = format!("k{}", thread_rng().gen_range(0..3));
        json!({"routingKey": key, "targetSandbox": format!("pr-{nth}"), "paths": [{"prefix": "/api"}]})
    };
    let routes: Vec<_> = (0..random.gen_range(0..SANDBOXES)).map(route).collect();
    let said = json!([{"name": "cart", "status": "Running", "endpoint": "http://10.9.9.9:80"}]);
    let body = |spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let (method, path, body) = match random.gen_range(0..8) {
        0 | 1 => ("POST", "sandboxes".to_owned(), body(spec)),
        2 => ("PUT", format!("sandboxes/{name}"), body(spec)),
        3 => ("DELETE", format!("sandboxes/{name}"), Value::Null),
        4 => ("PUT", format!("sandboxes/{name}/status"), json!({"status": {"services": said}})),
        5 => ("POST", "routegroups".to_owned(), body(json!({"routes": routes}))),
        6 => ("PUT", format!("routegroups/{name}"), body(json!({"routes": routes}))),
        _ => ("DELETE", format!("routegroups/{name}"), Value::Null),
    };
    let node = world.any();
    let answer = client::manage(world, node, method, format!("{NAMESPACE}/{path}"), body).await;
    trace::event(|| format!("{method} {path} at n{}: {:?}", node + 1, answer.map(|(status, _)| status)));
}

/// One thing goes wrong while changes go on, and ends again.
async fn fault(world: &World, seen: &mut Seen) -> Result<(), String> {
    let victim = world.any();
    let kind = thread_rng().gen_range(0..3);
    match kind {
        0 => world.isolate(victim),
        1 => world.power_off(victim, CrashMode::LoseAll),
        _ => world.machines[victim].pause(),
    }
    for _ in 0..thread_rng().gen_range(0..3) {
        change(world).await;
        seen.pass(world, Duration::from_millis(500)).await?;
    }
    match kind {
        0 => world.heal(),
        1 => world.power_on(victim),
        _ => world.machines[victim].resume(),
    }
    let pause = thread_rng().gen_range(0..3_000);
    seen.pass(world, Duration::from_millis(pause)).await
}

/// Whether more time was acknowledged; tried once, by any node.
async fn extend(world: &World) -> bool {
    let body = json!({"metadata": {"name": GOES_ON}, "spec": {"ttl": 3_600, "services": services(2)}});
    let node = world.any();
    let path = format!("{NAMESPACE}/sandboxes/{GOES_ON}");
    let answer = client::manage(world, node, "PUT", path, body).await;
    let status = answer.as_ref().map(|(status, _)| *status);
    trace::event(|| format!("more time at n{}: {status:?}", node + 1));
    status == Some(200)
}

/// When a sandbox ends, as a machine has it.
fn ends(machine: &Machine, name: &str) -> Option<LogTime> {
    let view = machine.view()?;
    let mut sandboxes = view.objects().iter().filter(|stored| stored.id().resource == Resource::Sandboxes);
    sandboxes.find(|stored| stored.id().name.as_str() == name)?.ends
}

/// Until no node knows the one whose time is over, but those that are cut off. None may have let it go before. A node
/// that has just started knows nothing yet: it counts once it is where all was `made`.
async fn ended(world: &World, seen: &mut Seen, (made, due): (u64, LogTime)) -> Result<(), String> {
    let limit = now_ms() + Duration::from_secs(15).as_millis() + ENDED_WITHIN.as_millis();
    loop {
        let machines =
            world.machines.iter().filter(|machine| machine.view().is_some_and(|v| v.index().0 >= made));
        let gone = machines.filter(|machine| ends(machine, ENDS).is_none()).count();
        if gone > 0 && wall_ms() < due.0 {
            return Err(format!("a sandbox that ends at {due} is gone at {}", wall_ms()));
        }
        // One may be cut off.
        if gone + 1 >= NODES {
            trace::event(|| "the sandbox has ended".into());
            return Ok(());
        }
        if now_ms() > limit {
            return Err(format!(
                "a sandbox is there {ENDED_WITHIN:?} after its end, on {} nodes",
                NODES - gone
            ));
        }
        seen.pass(world, Duration::from_millis(25)).await?;
    }
}

impl Seen {
    async fn pass(&mut self, world: &World, time: Duration) -> Result<(), String> {
        let end = now_ms() + time.as_millis();
        while now_ms() < end {
            world.pass(Duration::from_millis(25)).await?;
            self.look(world)?;
        }
        Ok(())
    }

    /// What must hold on every node, at every moment.
    fn look(&mut self, world: &World) -> Result<(), String> {
        for machine in &world.machines {
            let Some(view) = machine.view() else { continue };
            let (node, index) = (machine.name(), view.index().0);
            if self.last.insert((node.clone(), machine.life()), index) == Some(index) {
                continue;
            }
            let found = found(&view);
            let said = said(&view);
            if found != said {
                return Err(format!("{node} at {index}: requests find {found:?}, the objects say {said:?}"));
            }
            if let Some((first, by)) = self.found.get(&index)
                && *first != found
            {
                return Err(format!("at {index} requests find {found:?} on {node}, and {first:?} on {by}"));
            }
            self.found.insert(index, (found, node));
        }
        Ok(())
    }
}

/// What requests of each key that there may be find.
fn found(view: &View) -> Found {
    let keys = ["k0", "k1", "k2", ENDS, GOES_ON];
    let of_key = |key: &str| {
        let sandbox = view.sandboxes().of_requests(key)?;
        let rules = sandbox.rules().map(|one| {
            let target = match &one.rule().destinations[0].target {
                Target::Version { service, version } => format!("{service}@{version}"),
                Target::Url { address, .. } => address.to_string(),
                other => format!("{other:?}"),
            };
            format!("{} {target}", one.rule().service.as_ref().map_or("any", |service| service.as_str()))
        });
        Some((key.to_owned(), rules.collect()))
    };
    keys.iter().filter_map(|key| of_key(key)).collect()
}

/// What the objects that stand say that they find, looked up one by one: the groups by their age.
fn said(view: &View) -> Found {
    let mut groups: Vec<_> =
        view.objects().iter().filter(|one| one.object.spec().as_group().is_some()).collect();
    groups.sort_by_key(|group| group.epoch);
    let mut said = Found::new();
    for route in
        groups.iter().filter_map(|group| group.object.spec().as_group()).flat_map(|group| &group.routes)
    {
        let mut sandboxes = view.objects().iter().filter(|one| one.id().name == route.target);
        let Some(sandbox) = sandboxes.find(|one| one.object.spec().as_sandbox().is_some()) else { continue };
        let services = sandbox.object.spec().as_sandbox().map_or(&[][..], |spec| &spec.services);
        let endpoints = sandbox.status.as_ref().map_or(&[][..], |status| &status.endpoints);
        for service in services {
            let endpoint = endpoints.iter().find(|(name, _)| name == service);
            let target = endpoint
                .map_or_else(|| format!("{service}@{}", route.target), |(_, address)| address.to_string());
            let asked = if services.len() == 1 { "any" } else { service.as_str() };
            said.entry(RoutingKey::as_str(&route.key).to_owned())
                .or_default()
                .push(format!("{asked} {target}"));
        }
    }
    said
}

/// In the end all nodes have the same objects, and requests find the same.
fn agree(world: &World) -> Result<(), String> {
    let shown = |machine: &Machine| {
        let view = machine.view()?;
        let ids: BTreeSet<_> = view.objects().iter().map(|one| (one.id().to_string(), one.uid)).collect();
        Some((ids, found(&view)))
    };
    let all: Vec<_> = world.machines.iter().map(shown).collect();
    if let Some(two) = all.windows(2).find(|two| two[0] != two[1]) {
        return Err(format!("nodes have {:?} and {:?}", two[0], two[1]));
    }
    trace::event(|| format!("all have {:?}", all.first()));
    Ok(())
}

/// Where each node's log has the end, as far as it still tells: the same place.
fn at_one_index(world: &World) -> Result<(), String> {
    let mut places = BTreeSet::new();
    for machine in &world.machines {
        let Some(Ok(since)) = machine.changes_after(Position::default()) else { continue };
        let ends = since.changes.iter().filter(|change| match &change.what {
            What::Object { name, object: None } => name.contains("sandboxes") && name.ends_with(ENDS),
            _ => false,
        });
        places.extend(ends.map(|change| change.position));
    }
    trace::event(|| format!("it has ended at {places:?}"));
    if places.len() > 1 { Err(format!("one sandbox has ended at {places:?}")) } else { Ok(()) }
}
