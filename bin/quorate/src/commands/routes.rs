//! `quorate routes`

use super::{
    block_on,
    document::Document,
    operator,
    ramps::{done_to, mark, print_ramps},
};
use crate::{
    args::{Format, RoutesArgs, RoutesVerb},
    failure::Failure,
    output::{Rows, done, print, show, yaml},
};
use quorate_client::operator::{DestinationRecord, RouteRecord};
use serde_json::Value;

pub fn run(args: &RoutesArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            RoutesVerb::List => {
                let told = operator.routes().await?;
                show(format, &told.json, || rows(&told.value))
            }
            RoutesVerb::Get { name } => {
                let told = operator.route(name).await?;
                match format {
                    // A route has too much in it for a row.
                    Format::Table => print(&yaml(&told.json)?),
                    Format::Json | Format::Yaml => show(format, &told.json, || Rows::new([])),
                }
            }
            RoutesVerb::Put { name, file } => {
                let mut document = Document::read(file)?;
                let shown = document.take_shown("route", ("name", name), &["ramp_status"])?;
                let told = operator.set_route(name, &document.value, shown).await;
                let told = told.map_err(|error| document.failure(error))?;
                done(format, &told, &format!("set route {name}"))
            }
            RoutesVerb::Ramp { name, word } => match word.order() {
                Some(order) => {
                    let told = operator.order_route_ramp(name, order).await?;
                    done(format, &told, &format!("{} the ramp of route {name}", done_to(order)))
                }
                None => {
                    let route = operator.route(name).await?.value;
                    let none = || Failure::Failed(format!("route {name} has no ramp"));
                    let ramp = route.ramp_status.clone().ok_or_else(none)?;
                    print_ramps(format, &[ramp], |_, nth| {
                        Some(target(route.destinations.get(usize::from(nth))?))
                    })
                }
            },
            RoutesVerb::Delete { name } => {
                let told = operator.delete_route(name).await?;
                done(format, &told, &format!("took route {name} away"))
            }
        }
    })
}

fn rows(routes: &[RouteRecord]) -> Rows {
    let mut rows = Rows::new(["name", "host", "path", "more", "to", "priority"]);
    for route in routes {
        let text = |key: &str| route.matches.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let grpc = || {
            let service = text("grpc_service")?;
            Some(format!("grpc {service}/{}", text("grpc_method").unwrap_or_else(|| "*".into())))
        };
        let path = text("path_exact")
            .or_else(|| text("path_prefix").map(|prefix| format!("{}/*", prefix.trim_end_matches('/'))))
            .or_else(|| text("path_regex").map(|regex| format!("~{regex}")))
            .or_else(grpc);
        rows.push([
            route.name.clone(),
            text("host").unwrap_or_else(|| "*".into()),
            path.unwrap_or_else(|| "/*".into()),
            more(&route.matches),
            to(route),
            route.priority.to_string(),
        ]);
    }
    rows
}

/// Methods, and how many headers and parameters are asked for.
fn more(matches: &Value) -> String {
    let methods = matches.get("methods").and_then(Value::as_array).into_iter().flatten();
    let methods: Vec<&str> = methods.filter_map(Value::as_str).collect();
    let count = |key: &str| matches.get(key).and_then(Value::as_object).map_or(0, |map| map.len());
    let counts = [("headers", count("headers")), ("query", count("query"))];
    let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what}={count}"));
    let all: Vec<String> =
        (!methods.is_empty()).then(|| methods.join(",")).into_iter().chain(counts).collect();
    if all.is_empty() { "-".into() } else { all.join(" ") }
}

fn to(route: &RouteRecord) -> String {
    if route.redirect.is_some() {
        return "redirect".into();
    }
    let several = route.destinations.len() > 1;
    // Those that hold, not those that were set.
    let ramped = |nth: usize| route.ramp_status.as_ref()?.weights.get(nth).copied();
    let one = |(nth, one): (usize, &DestinationRecord)| {
        if several { format!("{}={}", target(one), ramped(nth).unwrap_or(one.weight)) } else { target(one) }
    };
    let all = route.destinations.iter().enumerate().map(one).collect::<Vec<_>>().join(",");
    all + &route.ramp_status.as_ref().map_or_else(String::new, mark)
}

fn target(DestinationRecord { service, version, url, keyspace, .. }: &DestinationRecord) -> String {
    let version = version.as_ref().map_or_else(String::new, |version| format!("@{version}"));
    let service = service.as_ref().map(|service| format!("{service}{version}"));
    let keyspace = keyspace.as_ref().map(|keyspace| format!("keyspace:{keyspace}"));
    service.or_else(|| url.clone()).or(keyspace).unwrap_or_default()
}
