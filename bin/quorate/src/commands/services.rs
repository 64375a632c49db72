//! `quorate services`

use super::{block_on, keyspaces::held, operator};
use crate::{
    args::{ServicesArgs, ServicesVerb},
    failure::Failure,
    output::{Rows, done, or_dash, say, show},
};
use quorate_client::{
    Error, Operator,
    operator::{EndpointRecord, Policy, ServiceRecord},
};

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
                Ok(())
            }
            ServicesVerb::Set { name, hold, timeout } => {
                let stands = standing(&operator, name).await?;
                let (wait, waiting_max) = held(hold, Some((stands.hold, stands.hold_waiting_max)));
                let timeout = timeout.clone().or(stands.timeout).filter(|timeout| timeout != "off");
                let policy = Policy { hold: wait, hold_waiting_max: waiting_max, timeout };
                let told = operator.set_service(name, &policy).await?;
                done(format, &told, &format!("set service {name}"))
            }
            ServicesVerb::Delete { name } => {
                let told = operator.delete_service(name).await?;
                done(format, &told, &format!("took the policy of service {name} away"))
            }
        }
    })
}

/// What stands, or nothing.
async fn standing(operator: &Operator, name: &str) -> Result<Policy, Failure> {
    match operator.service(name).await {
        Ok(told) => Ok(told.value.policy.unwrap_or_default()),
        Err(Error::Refused(problem)) if problem.status == 404 => Ok(Policy::default()),
        Err(error) => Err(error.into()),
    }
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
    format!("service {}: {hold}{timeout}", service.name)
}
