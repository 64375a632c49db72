//! `quorate agent --once`: what was found, and what would be registered.

use super::{
    config::Config,
    delegate,
    machine::{Machine, Sources},
    survey::Survey,
};
use crate::{
    args::Format,
    failure::Failure,
    output::{Rows, or_dash, say, show},
};
use quorate_api::duration;
use quorate_model::WorkerId;
use serde_json::{Value, json};

pub async fn run(config: &Config, host_name: &str, format: Format) -> Result<(), Failure> {
    let id = config.identity.known(host_name)?;
    let mut survey = Survey::of(config, id.as_ref().unwrap_or(&undrawn()))?;
    let mut rows = Rows::new(["service", "found", "version", "check", "why"]);
    let mut checks = Vec::new();
    for seen in survey.look().await {
        let why = seen.found.err().map(|absent| absent.to_string());
        let (found, check) = (why.is_none(), seen.check.to_string());
        checks.push(json!({"service": seen.service.name, "found": found, "check": check, "why": why}));
        let found = if found { "yes" } else { "no" };
        rows.push([
            seen.service.name.clone(),
            found.into(),
            or_dash(seen.service.version.as_ref()),
            check,
            or_dash(why),
        ]);
    }
    let offer = survey.offer().await?;
    let machine = Machine::read(&Sources::real(&config.storage_path)).await;
    let service = |service: &quorate_client::ServiceOffer| json!({"name": service.name, "version": service.version, "url": service.url});
    let mut registration = json!({
        "address": offer.address,
        "services": offer.services.iter().map(service).collect::<Vec<Value>>(),
        "labels": config.labels,
        "capabilities": machine.capabilities(offer.host.as_deref(), &config.capabilities),
    });
    if let Some(ttl) = config.ttl {
        registration["ttl"] = json!(duration::format(ttl));
    }
    if let Some(weight) = config.weight {
        registration["weight"] = json!(weight);
    }
    if let Some(delegate) = delegate::offer(config, offer.host.as_deref()).await? {
        registration["wants_delegate"] = json!(true);
        registration["labels"][quorate_api::delegate::URL_LABEL] = json!(delegate.url);
    }
    let told =
        json!({"id": id.as_ref().map(|id| id.as_str()), "registration": registration, "checks": checks});
    show(format, &told, || rows)?;
    if let (None, Some(path)) = (id, &config.state_file) {
        say(&format!("no id yet: the first start draws one and keeps it in {}", path.display()));
    }
    Ok(())
}

/// Stands for an id that the first start will draw, in the names of tunnels.
fn undrawn() -> WorkerId {
    WorkerId::parse("new").expect("it is a name")
}
