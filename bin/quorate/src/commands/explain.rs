//! `quorate explain`

use super::{block_on, operator};
use crate::{
    args::{ExplainArgs, Format},
    failure::Failure,
    output::{Rows, counted, or_dash, print, printable, show},
};
use quorate_client::operator::{Explained, Rule};
use serde_json::{Map, Value, json};

pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    let mut headers = Map::new();
    for (name, value) in &args.headers {
        let values = headers.entry(name.to_ascii_lowercase()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(value));
        }
    }
    let mut request = json!({"method": args.method, "url": args.url, "headers": headers});
    if let Some(ip) = args.client_ip {
        request["client_ip"] = json!(ip.to_string());
    }
    block_on(async {
        let told = operator.explain(&request).await?;
        match format {
            Format::Table => print(&in_words(&told.value)),
            Format::Json | Format::Yaml => show(format, &told.json, || Rows::new([])),
        }
    })
}

/// First what becomes of the request, then each rule that was tried, in order.
fn in_words(told: &Explained) -> String {
    let decision = &told.decision;
    let mut lines = vec![match (&decision.location, decision.status) {
        (Some(location), Some(status)) => format!("{}: {status} to {location}", decision.action),
        (_, Some(status)) => format!("{}: {status}", decision.action),
        (_, None) => decision.action.clone(),
    }];
    lines.push(format!("  {}", decision.why));
    if let Some(fallback) = &decision.fallback {
        lines.push(format!("  {fallback}"));
    }
    if let Some((chosen, ramp)) =
        decision.destination.as_ref().and_then(|one| Some((one, one.ramp.as_ref()?)))
    {
        let (target, weight, total) = (&chosen.target, chosen.weight, chosen.total_weight);
        lines.push(format!("  {target} has {weight} of {total}: {ramp}"));
    }
    if let Some(key) = &told.key {
        lines.push(format!("routing key: {}, by {}", key.key, key.form));
    }
    for one in &decision.endpoints {
        let serves = if one.serves { "" } else { ", gets no requests" };
        lines.push(format!("  -> {} {} ({}{serves})", or_dash(one.worker.as_ref()), one.url, one.status));
    }
    lines.push("rules tried:".into());
    told.rules.iter().for_each(|rule| lines.extend(rule_in_words(rule)));
    if told.rules_left_out > 0 {
        let routes = counted(told.rules_left_out, "route");
        lines.push(format!("not shown: {routes} for other paths or hosts, or behind the one that decides"));
    }
    lines.iter().map(|line| printable(line) + "\n").collect()
}

fn rule_in_words(rule: &Rule) -> Vec<String> {
    let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    let result = if rule.matched { "matches" } else { "does not match" };
    let head = format!("  {}{name}: {result}", rule.kind);
    let reason = |one: &quorate_client::operator::Reason| {
        format!("    {}: wants {}, found {}", one.field, one.wanted, one.found)
    };
    std::iter::once(head).chain(rule.reasons.iter().map(reason)).collect()
}
