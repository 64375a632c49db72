//! What each node makes of a service's endpoints, beneath the service.

use crate::{
    args::Format,
    failure::Failure,
    output::{Rows, or_dash, print, say, show},
};
use quorate_client::{
    Error, Operator,
    operator::{EndpointAtNode, Observations},
};
use serde_json::Value;

/// For people only: other formats show the service as it came, so that it can be put again. A router that does not
/// know the question has nothing to show.
pub async fn show_observations(operator: &Operator, name: &str, format: Format) -> Result<(), Failure> {
    if format != Format::Table {
        return Ok(());
    }
    let told = match operator.observations(name).await {
        Ok(told) => told.value,
        Err(Error::Refused(problem)) if problem.status == 404 => return Ok(()),
        Err(error) => {
            say(&format!("what the nodes make of it is not known: {error}"));
            return Ok(());
        }
    };
    if told.endpoints.iter().any(|endpoint| !endpoint.nodes.is_empty()) {
        print("\n")?;
        show(format, &Value::Null, || rows(&told))?;
    }
    remarks(&told).iter().for_each(|remark| say(remark));
    Ok(())
}

fn rows(told: &Observations) -> Rows {
    let mut rows = Rows::new(["worker", "node", "health", "in flight", "breaker", "ejected"]);
    for endpoint in &told.endpoints {
        for at in &endpoint.nodes {
            rows.push([
                endpoint.worker.clone(),
                at.node.clone(),
                health(&endpoint.status, at),
                at.in_flight.to_string(),
                or_dash(breaker(at).as_ref()),
                or_dash(ejection(at).as_ref()),
            ]);
        }
    }
    rows
}

fn health(status: &str, at: &EndpointAtNode) -> String {
    match at.slow_start_percent {
        Some(percent) => format!("{status}, {percent} % of its weight"),
        None => status.to_owned(),
    }
}

/// Its state, and for a breaker that is not closed since when and why.
fn breaker(at: &EndpointAtNode) -> Option<String> {
    let breaker = at.breaker.as_ref()?;
    let state = breaker.state.replace('_', "-");
    let state = breaker.left.as_ref().map_or(state.clone(), |left| format!("{state} for {left}"));
    Some(breaker.by.as_ref().map_or(state.clone(), |by| reason(&state, &breaker.since, by)))
}

fn ejection(at: &EndpointAtNode) -> Option<String> {
    let ejection = at.ejection.as_ref()?;
    Some(reason(&format!("for {}", ejection.left), &ejection.since, &ejection.by))
}

/// Both have a since and a reason of their own: they stand beside what they are about.
fn reason(what: &str, since: &str, by: &str) -> String {
    format!("{what}, since {since}, by {}", by.replace('_', "-"))
}

fn remarks(told: &Observations) -> Vec<String> {
    let mut remarks = Vec::new();
    for node in &told.nodes {
        if let Some(why) = &node.why {
            remarks.push(format!("node {} does not tell what it makes of the endpoints: {why}", node.node));
        }
        if node.cores_in_panic > 0 {
            remarks.push(format!(
                "node {} is in panic on {} of {} cores: so many endpoints are out that it asks all of them",
                node.node, node.cores_in_panic, node.cores
            ));
        }
    }
    if told.next_cursor.is_some() {
        remarks.push("what the nodes make of further endpoints is not shown".to_owned());
    }
    remarks
}
