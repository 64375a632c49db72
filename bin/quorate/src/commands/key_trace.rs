//! `quorate sandboxes trace`: where requests with a routing key go, and where the key is lost.

use crate::{
    args::Format,
    failure::Failure,
    output::{Rows, counted, or_dash, print, say, show},
};
use quorate_api::duration;
use quorate_client::{
    Operator,
    operator::{HopRecord, KeyTraceRecord, TrailRecord},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What one node has seen is of interest to another one: asking brings it there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A trace that has had no new hop for so many looks is shown.
const QUIET_LOOKS: u32 = 2;

/// For how long, and when what was seen is shown.
pub enum How {
    /// What was noted before.
    Now,
    /// Once it is over.
    AtTheEnd(Duration),
    /// Each trace once it is quiet.
    AsTheyCome(Duration),
}

/// Has the key followed, and shows where it was.
pub async fn show_trace(operator: &Operator, key: &str, (how, format): (How, Format)) -> Result<(), Failure> {
    let (span, as_they_come) = match how {
        How::Now => (None, false),
        How::AtTheEnd(span) => (Some(span), false),
        How::AsTheyCome(span) => (Some(span), true),
    };
    let mut shown = Shown::default();
    if let Some(span) = span {
        let text = duration::format(span);
        operator.follow_key(key, &text).await?;
        say(&format!("following {key} for {text}; send requests with the key now"));
        let over = Instant::now() + span;
        while let Some(left) = over.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(LOOK_EVERY.min(left)).await;
            let told = operator.key_trace(key).await?;
            if as_they_come {
                shown.quiet(&told.value, (&told.json, format))?;
            }
        }
    }
    let told = operator.key_trace(key).await?;
    match (as_they_come, format) {
        (true, _) => {
            shown.rest(&told.value, (&told.json, format))?;
            say(&summary(&told.value));
        }
        (false, Format::Table) => {
            // What it comes to stands above what may be many lines.
            say(&summary(&told.value));
            show_all(&told.value)?;
        }
        (false, Format::Json | Format::Yaml) => {
            show(format, &told.json, || Rows::new([]))?;
            say(&summary(&told.value));
        }
    }
    remarks(&told.value).iter().for_each(|remark| say(remark));
    Ok(())
}

/// Each trace as a table; what has no trace id in one table for all.
fn show_all(told: &KeyTraceRecord) -> Result<(), Failure> {
    let (followed, alone): (Vec<_>, Vec<_>) = told.traces.iter().partition(|trail| !is_alone(trail));
    followed.into_iter().try_for_each(show_trail)?;
    if alone.is_empty() {
        return Ok(());
    }
    print(&format!("no trace id: {CANT_BE_FOLLOWED}\n"))?;
    show(Format::Table, &Value::Null, || {
        let mut rows = Rows::new(["node", "request", "key", "went to", "answer"]);
        let hops = alone.iter().flat_map(|trail| trail.hops.iter().map(move |hop| (*trail, hop)));
        hops.for_each(|(trail, hop)| rows.push(cells(trail, hop, 0)));
        rows
    })
}

const CANT_BE_FOLLOWED: &str = "what the application does with these requests can't be followed";

fn is_alone(trail: &TrailRecord) -> bool {
    trail.ids.is_empty()
}

/// Which traces were shown, by what they are known by: how many hops they had, and for how many looks.
#[derive(Default)]
struct Shown(BTreeMap<String, Seen>);

#[derive(Default)]
struct Seen {
    hops: usize,
    looks: u32,
    shown: usize,
}

impl Shown {
    fn quiet(&mut self, told: &KeyTraceRecord, answer: (&Value, Format)) -> Result<(), Failure> {
        self.look(told, answer, QUIET_LOOKS)
    }

    fn rest(&mut self, told: &KeyTraceRecord, answer: (&Value, Format)) -> Result<(), Failure> {
        self.look(told, answer, 0)
    }

    fn look(
        &mut self,
        told: &KeyTraceRecord,
        (json, format): (&Value, Format),
        looks: u32,
    ) -> Result<(), Failure> {
        for (nth, trail) in told.traces.iter().enumerate() {
            let seen = self.0.entry(name(trail)).or_default();
            seen.looks = if seen.hops == trail.hops.len() { seen.looks + 1 } else { 0 };
            seen.hops = trail.hops.len();
            if seen.looks < looks || seen.shown == seen.hops {
                continue;
            }
            seen.shown = seen.hops;
            match format {
                Format::Table => show_trail(trail)?,
                Format::Json | Format::Yaml => show(format, &json["traces"][nth], || Rows::new([]))?,
            }
        }
        Ok(())
    }
}

/// A request without a trace id is known by who saw it when.
fn name(trail: &TrailRecord) -> String {
    trail.ids.first().cloned().unwrap_or_else(|| {
        trail.hops.first().map_or_else(String::new, |hop| format!("{} {} {}", hop.at, hop.node, hop.path))
    })
}

fn show_trail(trail: &TrailRecord) -> Result<(), Failure> {
    if is_alone(trail) {
        // A line each: they may be many, and there is no more to say of one.
        let line = |hop: &HopRecord| format!("no trace id: {}\n", cells(trail, hop, 0).join("  "));
        return print(&trail.hops.iter().map(line).collect::<String>());
    }
    print(&format!("{}\n", title(trail)))?;
    show(Format::Table, &Value::Null, || rows(trail))?;
    print("\n")
}

fn title(trail: &TrailRecord) -> String {
    let id = trail.ids.first().map_or("-", String::as_str);
    let first_lost = trail.hops.iter().find(|hop| hop.key == "lost");
    match first_lost {
        Some(hop) => format!("trace {id}: the key is lost, {}", blame(trail, hop)),
        None => format!("trace {id}: the key is not lost"),
    }
}

/// Who did not pass the key on.
fn blame(trail: &TrailRecord, hop: &HopRecord) -> String {
    let Some(last) = hop.lost_after.and_then(|nth| Some((nth, trail.hops.get(nth)?))) else {
        return "nobody knows where".to_owned();
    };
    let (nth, whose) = (last.0 + 1, target(last.1).unwrap_or_else(|| "whoever got it".to_owned()));
    match hop.inside {
        Some(outer) if Some(outer) == hop.lost_after => format!("{whose} did not pass it on (hop {nth})"),
        Some(_) => format!("it was gone since hop {nth}"),
        None => format!("after hop {nth}; nothing was under way when the next one came"),
    }
}

fn rows(trail: &TrailRecord) -> Rows {
    let mut rows = Rows::new(["hop", "node", "request", "key", "went to", "answer"]);
    let mut depths: Vec<usize> = Vec::with_capacity(trail.hops.len());
    for (nth, hop) in trail.hops.iter().enumerate() {
        let depth = hop.inside.and_then(|outer| depths.get(outer)).map_or(0, |outer| outer + 1);
        depths.push(depth);
        let [node, request, key, to, answer] = cells(trail, hop, depth);
        rows.push([(nth + 1).to_string(), node, request, key, to, answer]);
    }
    rows
}

fn cells(trail: &TrailRecord, hop: &HopRecord, depth: usize) -> [String; 5] {
    let to = target(hop).map_or_else(|| hop.decided_by.clone(), |to| format!("{to}, by {}", hop.decided_by));
    let first =
        hop.failed_over.as_ref().map_or_else(String::new, |first| format!("; failed over from {first}"));
    [
        hop.node.clone(),
        format!("{}{} {}{}", "  ".repeat(depth.min(DEPTH_MAX)), hop.method, hop.host, hop.path),
        key(trail, hop),
        to + &first,
        format!("{} in {}", or_dash(hop.status), hop.elapsed),
    ]
}

/// Deeper ones are shown as deep as this.
const DEPTH_MAX: usize = 8;

fn key(trail: &TrailRecord, hop: &HopRecord) -> String {
    let own = match hop.key.as_str() {
        "present" => format!("in {}", hop.forms.join(", ")),
        "lost" => format!("LOST: {}", blame(trail, hop)),
        _ => "not yet".to_owned(),
    };
    if hop.other_key { format!("{own}; another key is there") } else { own }
}

/// A service at its address, or one of both.
fn target(hop: &HopRecord) -> Option<String> {
    match (&hop.service, &hop.address) {
        (Some(service), Some(address)) => Some(format!("{service} at {address}")),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    }
}

fn remarks(told: &KeyTraceRecord) -> Vec<String> {
    let mut remarks = Vec::new();
    for node in &told.nodes {
        if let Some(why) = &node.why {
            remarks.push(format!("what node {} has seen is not known: {why}", node.node));
        }
        if node.cores_silent > 0 {
            let cores = counted(node.cores_silent, "core");
            remarks.push(format!("{cores} of node {} did not tell", node.node));
        }
        if node.passed_over > 0 {
            let requests = counted(node.passed_over, "request");
            remarks.push(format!(
                "node {} had to let go of {requests} without the key: a loss among them is not shown",
                node.node
            ));
        }
    }
    if told.left_out > 0 {
        remarks.push(format!("{} that came before are not shown", counted(told.left_out, "trace")));
    }
    remarks
}

fn summary(told: &KeyTraceRecord) -> String {
    let count = |which: &dyn Fn(&&TrailRecord) -> bool| {
        u64::try_from(told.traces.iter().filter(which).count()).unwrap_or(u64::MAX)
    };
    let (lost, alone) = (count(&|trail| trail.lost), count(&|trail| is_alone(trail)));
    let followed = count(&|_| true) - alone;
    match (followed, alone) {
        (0, 0) => "no request with the key came by a node".to_owned(),
        (_, 0) => format!("{}; the key was lost in {lost}", counted(followed, "trace")),
        (0, _) => format!("{} without a trace id", counted(alone, "request")),
        (_, _) => {
            let (traces, requests) = (counted(followed, "trace"), counted(alone, "request"));
            format!("{traces}; the key was lost in {lost}; {requests} without a trace id")
        }
    }
}
