//! Shares change step by step, and stand still for a while, while leaders die. Each step stands from one index on, on
//! all nodes; none comes before its time, none is taken back, and none is left out.

use super::serving;
use crate::{
    trace,
    world::{
        Machine, World,
        client::{self, persist},
        now_ms,
    },
};
use madsim::rand::{Rng, thread_rng};
use quorate_model::{Position, RampState, RampSubject, RouteName, RoutingKey, What};
use quorate_rt::time::wall_ms;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const NODES: usize = 3;
const ROUTE: &str = "/v1/routes/web";
const SANDBOX: &str = "/v1/sandboxes/dev";
/// How long each of the first two steps stands.
const STEP: Duration = Duration::from_secs(20);
/// Both steps, a pause, two elections and a few entries.
const DONE_WITHIN: Duration = Duration::from_secs(150);
const STEPS: u16 = 3;

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, 0).await?;
    let began = wall_ms();
    let ramp = json!({"steps": [
        {"after": "0s", "weights": [95, 5]},
        {"after": "20s", "weights": [50, 50]},
        {"after": "40s", "weights": [0, 100]},
    ]});
    let to = |target: &str| json!({"url": target});
    let destinations = [to("http://10.0.0.1:1"), to("http://10.0.0.1:2")];
    persist(&world, "PUT", ROUTE, &json!({"match": {}, "destinations": destinations, "ramp": ramp})).await?;
    let targets = [json!({"target": "http://10.0.0.1:1"}), json!({"target": "http://10.0.0.1:2"})];
    persist(&world, "PUT", SANDBOX, &json!({"rules": [{"targets": targets, "ramp": ramp}]})).await?;
    for node in 0..NODES {
        client::barrier(&world, node).await?;
    }
    let mut watch = Watch { made: world.log_index()?, shown: BTreeMap::new() };
    let rests = thread_rng().gen_bool(0.5);
    let rested = if rests { rest(&world, &mut watch).await? } else { 0 };
    // About when the second step is due, or the third.
    let falls =
        thread_rng().gen_range(0..2) * STEP.as_millis() as u64 + thread_rng().gen_range(15_000..25_000);
    watch.until(&world, began + rested + falls).await?;
    world.replace_leader().await?;
    watch.until_done(&world).await?;
    let took = wall_ms() - began;
    trace::event(|| format!("the ramps are done after {took} ms, {rested} of them at rest"));
    // Only the one of the route rests.
    if u128::from(took) < 2 * STEP.as_millis() + u128::from(rested) {
        return Err(format!("two steps of {STEP:?} and a rest of {rested} ms were over in {took} ms"));
    }
    world.settle().await?;
    watch.look(&world)?;
    at_one_index(&world)?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

/// The route's ramp is paused and goes on; for how long it stood still, at least.
async fn rest(world: &World, watch: &mut Watch) -> Result<u64, String> {
    watch.until(world, wall_ms() + thread_rng().gen_range(1_000..8_000)).await?;
    persist(world, "POST", &format!("{ROUTE}/ramp/pause"), &Value::Null).await?;
    let from = wall_ms();
    let at_rest = entered(world, watch.made);
    if thread_rng().gen_bool(0.3) {
        world.replace_leader().await?;
    }
    watch.until(world, from + thread_rng().gen_range(1_000..30_000)).await?;
    let to = wall_ms();
    if entered(world, watch.made) != at_rest {
        return Err(format!("a ramp at rest went on from {at_rest:?}"));
    }
    persist(world, "POST", &format!("{ROUTE}/ramp/resume"), &Value::Null).await?;
    Ok(to - from)
}

fn subjects() -> [RampSubject; 2] {
    let name = RouteName::parse("web").expect("a name");
    let key = RoutingKey::parse("dev").expect("a key");
    [RampSubject::Route(name), RampSubject::Rule { key, rule: 0 }]
}

fn shown(machine: &Machine, subject: &RampSubject) -> Option<RampState> {
    Some(machine.view()?.ramp(subject)?.state)
}

/// The newest step of the route that a node shows: who has carried out a pause shows the one that it rests at.
fn entered(world: &World, made: u64) -> Option<u16> {
    let [route, _] = subjects();
    let machines = world.machines.iter();
    let views = machines.filter_map(Machine::view).filter(|view| view.index().0 >= made);
    views.filter_map(|view| Some(view.ramp(&route)?.state.entered)).max()
}

/// What was seen so far.
struct Watch {
    /// Where both ramps are in the log.
    made: u64,
    /// The newest state that any node has shown of each, with the index at which it showed it.
    shown: BTreeMap<RampSubject, (u64, RampState)>,
}

impl Watch {
    /// No node shows an older step at an index at which another one has shown a newer one.
    fn look(&mut self, world: &World) -> Result<(), String> {
        for machine in &world.machines {
            let Some(view) = machine.view().filter(|view| view.index().0 >= self.made) else { continue };
            for subject in subjects() {
                let name = machine.name();
                let state = view.ramp(&subject).ok_or_else(|| format!("{name} has lost a ramp"))?.state;
                let now = (view.index().0, state);
                let (index, newest) = *self.shown.entry(subject.clone()).or_insert(now);
                let goes_back = now.0 >= index && state.entered < newest.entered;
                let is_ahead = now.0 <= index && state.entered > newest.entered;
                if goes_back || is_ahead || state.epoch != newest.epoch {
                    return Err(format!("{subject}: {name} shows {now:?}, {newest:?} was shown at {index}"));
                }
                if now.0 >= index {
                    self.shown.insert(subject, now);
                }
            }
        }
        Ok(())
    }

    async fn until(&mut self, world: &World, at_ms: u64) -> Result<(), String> {
        while wall_ms() < at_ms {
            world.pass(Duration::from_millis(25)).await?;
            self.look(world)?;
        }
        Ok(())
    }

    /// Until both ramps are at their last step on all nodes.
    async fn until_done(&mut self, world: &World) -> Result<(), String> {
        let limit = now_ms() + DONE_WITHIN.as_millis();
        let is_done = |machine: &Machine| {
            let states = subjects().map(|subject| shown(machine, &subject));
            states.iter().all(|state| state.is_some_and(|state| state.entered == STEPS))
        };
        while !world.machines.iter().all(is_done) {
            if now_ms() > limit {
                return Err(format!("a step did not come within {DONE_WITHIN:?}: {:?}", self.shown));
            }
            world.pass(Duration::from_millis(25)).await?;
            self.look(world)?;
        }
        Ok(())
    }
}

/// Where each node's log has each step, as far as it still tells: the same place.
fn at_one_index(world: &World) -> Result<(), String> {
    let mut places = BTreeMap::<(&str, u16), BTreeSet<Position>>::new();
    for machine in &world.machines {
        let Some(Ok(since)) = machine.changes_after(Position::default()) else { continue };
        // The first change that has it; what follows may be about something else.
        let mut first = BTreeMap::new();
        for change in &since.changes {
            let step = match &change.what {
                What::Route { route: Some(stored), .. } => {
                    stored.ramp_state().map(|state| ("route", state.entered))
                }
                What::Sandbox { sandbox: Some(stored), .. } => {
                    stored.ramps.get(&0).map(|state| ("sandbox", state.entered))
                }
                _ => None,
            };
            if let Some(step) = step {
                first.entry(step).or_insert(change.position);
            }
        }
        // A node that has forgotten what came first may meet a step later than it began.
        let is_whole = first.contains_key(&("route", 1)) && first.contains_key(&("sandbox", 1));
        for (step, position) in first.into_iter().filter(|_| is_whole) {
            places.entry(step).or_default().insert(position);
        }
    }
    trace::event(|| format!("steps began at {places:?}"));
    match places.iter().find(|(_, places)| places.len() > 1) {
        Some((step, places)) => Err(format!("{step:?} began at {places:?}")),
        None => Ok(()),
    }
}
