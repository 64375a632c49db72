//! What the state answered and what it looks like, as text.

use quorate_model::{Duty, Event, Intent, Lifecycle, LogTime, Partition, PartitionCount, Reply, Worker};
use quorate_state::{Applied, KeyspaceView, ServiceView, State};
use std::fmt::Write;

/// The replies and events of one entry, one to a line.
pub fn applied(applied: &Applied) -> String {
    let mut text = String::new();
    for r in &applied.replies {
        writeln!(text, "    {}", reply(r)).expect("a string takes everything");
    }
    for e in &applied.events {
        writeln!(text, "    * {}", event(e)).expect("a string takes everything");
    }
    text
}

/// One reply.
pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Done => "done".into(),
        Reply::Unchanged => "unchanged".into(),
        Reply::Registered { epoch } => format!("registered, epoch {epoch}"),
        Reply::Refused(refusal) => format!("refused: {refusal}"),
        Reply::Sessions(outcomes) => format!("sessions: {outcomes:?}"),
    }
}

/// Everything that can be read: who owns what, and each worker's record.
pub fn state(state: &State) -> String {
    let mut text =
        format!("index {}, {}, {} routable\n", state.index(), time(state.now()), state.worker_count());
    for keyspace in state.keyspaces() {
        writeln!(text, "  {}", owners(keyspace)).expect("a string takes everything");
    }
    for worker in state.workers() {
        writeln!(text, "  {}", record(worker)).expect("a string takes everything");
    }
    for service in state.services() {
        writeln!(text, "  {}", endpoints(service)).expect("a string takes everything");
    }
    for d in state.delegates() {
        writeln!(text, "  group {}: {}, epoch {}", d.group, d.worker, d.epoch)
            .expect("a string takes everything");
    }
    text
}

/// `default/12: 0=w1 3=w2(expired)`; who is not routable is marked, who is unowned is left out.
pub fn owners(view: &KeyspaceView) -> String {
    let count = view.count().map(PartitionCount::get);
    let shown = count.map_or("?".into(), |c| c.to_string());
    let mut text = format!("{}/{shown}:", view.keyspace().name);
    for partition in 0..count.unwrap_or(0) {
        if let Some(worker) = view.claimant(partition) {
            write!(text, " {partition}={}", worker.id()).expect("a string takes everything");
            if !worker.is_routable() {
                write!(text, "({})", worker.status().as_str()).expect("a string takes everything");
            }
        }
    }
    text
}

fn record(worker: &Worker) -> String {
    let r = &worker.registration;
    let partitions = list(&r.partitions);
    let lost = if worker.lost.is_empty() { String::new() } else { format!(" lost {}", list(&worker.lost)) };
    let services: String = r.services.iter().map(|s| format!(" {}", s.name)).collect();
    let lives = if worker.epoch == worker.incarnation {
        format!("epoch {}", worker.epoch)
    } else {
        format!("epoch {} (of {})", worker.epoch, worker.incarnation)
    };
    let (id, host) = (worker.id(), r.address.host());
    let host = if id.as_str() == host { String::new() } else { format!(" at {host}") };
    format!(
        "{id}{host} {partitions}{lost}{services} {}{}, {lives}, changed at {}",
        lifecycle(&worker.lifecycle),
        intent(&worker.intent),
        worker.changed
    )
}

/// `service chat, hold 5s: w1 (w2)`: who gets no requests is in brackets.
fn endpoints(service: &ServiceView) -> String {
    let mut text = format!("service {}", service.name());
    if let Some(hold) = service.policy().hold {
        write!(text, ", hold {:?}", hold.wait()).expect("a string takes everything");
    }
    if let Some(since) = service.vacant_since() {
        write!(text, ", vacant since {since}").expect("a string takes everything");
    }
    text.push(':');
    for endpoint in service.endpoints() {
        let id = endpoint.worker().id();
        let shown = if endpoint.serves() { format!(" {id}") } else { format!(" ({id})") };
        text.push_str(&shown);
    }
    text
}

fn list(partitions: &[Partition]) -> String {
    let each: Vec<_> = partitions.iter().map(ToString::to_string).collect();
    format!("[{}]", each.join(","))
}

fn intent(intent: &Intent) -> String {
    let duty = match intent.duty {
        Duty::InService => String::new(),
        duty => format!(", {} since {}", duty.as_str(), time(intent.since)),
    };
    duty + &intent.weight.map_or(String::new(), |weight| format!(", weight {weight}"))
}

/// A lifecycle with its time.
pub fn lifecycle(lifecycle: &Lifecycle) -> String {
    match lifecycle {
        Lifecycle::Live => "live".into(),
        Lifecycle::Suspect { since } => format!("suspect since {}", time(*since)),
        Lifecycle::Expired { at } => format!("expired at {}", time(*at)),
        Lifecycle::Displaced { at } => format!("displaced at {}", time(*at)),
        Lifecycle::Unregistered { at } => format!("unregistered at {}", time(*at)),
    }
}

fn event(event: &Event) -> String {
    match event {
        Event::WorkerRegistered { id, epoch } => format!("{id} has lease {epoch}"),
        Event::WorkerStatus { id, epoch, from, to } => {
            format!("{id} {} -> {}, epoch {epoch}", from.as_str(), to.as_str())
        }
        Event::PartitionsTaken { from, to, count } => format!("{to} takes {count} from {from}"),
        Event::KeyspaceChanged { name, partitions } => {
            format!("{name} has {} partitions", partitions.map_or("?".into(), |p| p.to_string()))
        }
        Event::WorkerForgotten { id, .. } => format!("{id} is forgotten"),
        Event::NodeDescribed { name } => format!("described {name}"),
        Event::LevelRaised { to } => format!("level {to}"),
        Event::LeasesHandedOver { term, silences } => {
            format!("the leader of term {term} hands over {} silent ones", silences.len())
        }
        Event::IntentChanged { id, duty, weight } => {
            let weight = weight.map_or(String::new(), |weight| format!(", weight {weight}"));
            format!("{id} is to be {}{weight}", duty.as_str())
        }
        Event::ServiceChanged { name } => format!("service {name} has another policy"),
        Event::RouteChanged { name } => format!("route {name} is another one"),
        Event::SandboxChanged { key } => format!("sandbox {key} is another one"),
        Event::SandboxEnded { key } => format!("sandbox {key} has ended"),
        Event::HealthChanged { service, worker, verdict } => {
            format!("{worker} is {} for {service}", verdict.as_str())
        }
        Event::DelegateChanged { group, to: Some((id, epoch)) } => {
            format!("{id} is delegate of {group}, epoch {epoch}")
        }
        Event::DelegateChanged { group, to: None } => format!("{group} has no delegate"),
        Event::Presence(event) => format!("{event:?}"),
        Event::ObjectChanged { id } => format!("object {id} is another one"),
        Event::ObjectEnded { id } => format!("object {id} has ended"),
        Event::Restored { workers } => format!("a backup with {workers} workers is restored"),
        Event::RampFailed { subject, .. } => format!("too many requests of {subject} fail"),
    }
}

fn time(at: LogTime) -> String {
    format!("{}s", at.0 as f64 / 1_000.0)
}
