//! `quorate services`

use super::{
    block_on,
    document::Document,
    keyspaces::{held, unless_changed},
    observations::show_observations,
    operator,
};
use crate::{
    args::{HoldArgs, ServicesArgs, ServicesVerb},
    failure::Failure,
    output::{Rows, done, or_dash, say, show},
};
use quorate_client::{
    Error, Operator,
    operator::{EndpointRecord, Policy, ServiceRecord},
};
use serde_json::Value;

pub fn run(args: &ServicesArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            ServicesVerb::List => {
                let told = operator.services().await?;
                show(format, &told.json, || rows(&told.value))
            }
            ServicesVerb::Get { name } => {
                let told = operator.service(name).await?;
                show(format, &told.json, || endpoint_rows(&told.value.endpoints))?;
                say(&decided(&told.value));
                show_observations(&operator, name, format).await
            }
            ServicesVerb::Set { name, hold, timeout } => {
                let told =
                    unless_changed(async || set(&operator, name, hold, timeout.as_ref()).await).await?;
                done(format, &told, &format!("set service {name}"))
            }
            ServicesVerb::Put { name, file } => {
                let (document, shown) = take_shown(Document::read(file)?, name)?;
                let told = operator.put_service(name, &document.value, shown).await;
                let told = told.map_err(|error| document.failure(error))?;
                done(format, &told, &format!("set service {name}"))
            }
            ServicesVerb::Delete { name } => {
                let told = operator.delete_service(name).await?;
                done(format, &told, &format!("took the policy of service {name} away"))
            }
        }
    })
}

/// A file may be the policy itself, or what `get` prints, which has it as `policy`. The index of the change that was
/// shown is the condition.
fn take_shown(document: Document, name: &str) -> Result<(Document, Option<u64>), Failure> {
    let Some(policy) = document.value.get("policy") else { return Ok((document, None)) };
    if let Some(other) = document.value.get("name").filter(|shown| *shown != name) {
        return Err(Failure::Usage(format!("the file is about the service {other}, not about {name}")));
    }
    if policy.is_null() {
        let remedy = format!("allowed: one that has, or `quorate services delete {name}`");
        return Err(Failure::Usage(format!("the file shows a service that has no policy; {remedy}")));
    }
    const SHOWN: [&str; 7] =
        ["name", "policy", "endpoint_count", "serving_count", "endpoints", "next_cursor", "changed_index"];
    let mut fields = document.value.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(unknown) = fields.find(|field| !SHOWN.contains(&field.as_str())) {
        return Err(Failure::Usage(format!(
            "{unknown}: is there beside policy; allowed: what a policy has inside of it"
        )));
    }
    let shown = document.value.get("changed_index").and_then(Value::as_u64);
    Ok((document.inside("policy"), shown))
}

/// What is not said stays as it stands.
async fn set(
    operator: &Operator,
    name: &str,
    hold: &HoldArgs,
    timeout: Option<&String>,
) -> Result<Value, Error> {
    let (mut stands, changed) = match operator.standing_service(name).await {
        Ok(service) => (service.policy.unwrap_or_default(), service.changed_index),
        Err(Error::Refused(problem)) if problem.status == 404 => (Policy::default(), Some(0)),
        Err(error) => return Err(error),
    };
    (stands.hold, stands.hold_waiting_max) = held(hold, Some((stands.hold, stands.hold_waiting_max)));
    stands.timeout = timeout.cloned().or(stands.timeout).filter(|timeout| timeout != "off");
    operator.set_service(name, &stands, changed).await
}

fn rows(services: &[ServiceRecord]) -> Rows {
    let mut rows = Rows::new(["name", "serving", "hold", "timeout"]);
    for service in services {
        let policy = service.policy.as_ref();
        rows.push([
            service.name.clone(),
            format!("{}/{}", service.serving_count, service.endpoint_count),
            or_dash(policy.and_then(|policy| policy.hold.as_ref())),
            or_dash(policy.and_then(|policy| policy.timeout.as_ref())),
        ]);
    }
    rows
}

fn endpoint_rows(endpoints: &[EndpointRecord]) -> Rows {
    let mut rows = Rows::new(["worker", "status", "weight", "version", "url"]);
    for endpoint in endpoints {
        rows.push([
            endpoint.worker.clone(),
            endpoint.status.clone(),
            endpoint.weight.to_string(),
            or_dash(endpoint.version.as_ref()),
            endpoint.url.clone(),
        ]);
    }
    rows
}

fn decided(service: &ServiceRecord) -> String {
    let Some(policy) = &service.policy else { return format!("service {} has no policy", service.name) };
    let hold = match (&policy.hold, policy.hold_waiting_max) {
        (Some(wait), Some(max)) => format!("requests wait up to {wait}, at most {max} on a node"),
        (Some(wait), None) => format!("requests wait up to {wait}"),
        (None, _) => "requests do not wait".to_owned(),
    };
    let timeout = policy.timeout.as_ref().map_or_else(String::new, |timeout| format!(", timeout {timeout}"));
    let more: Vec<&str> = policy.traffic.keys().map(String::as_str).collect();
    let more = if more.is_empty() { String::new() } else { format!("; it also says {}", more.join(", ")) };
    format!("service {}: {hold}{timeout}{more}", service.name)
}
