//! What the agent is told: by flags, by the environment, by a file, in this order.
//!
//! Reading is a pure function of the three, [`Config::load`], and everything that is wrong is reported at once, with the
//! line of the file where it stands.

use super::{
    delegate::{self, Delegate},
    file::{Given, Reader},
    identity::Identity,
    service::{Service, USUAL},
    services,
};
use crate::agent_args::AgentArgs;
use quorate_api::duration;
use quorate_client::Url;
use quorate_model::{Address, WorkerId};
use quorate_node::config::{ConfigErrors, ConfigFile, LogFormat, Origin, Wrong};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

const SERVER: &str = "http://127.0.0.1:9090";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// The label by which workers belong together.
const GROUP: &str = "group";

/// What the environment says besides what the flags know of.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `COORDINATOR_URL`, as the original's agents know it.
    pub coordinator_url: Option<String>,
    /// Whether a person reads the log.
    pub terminal: bool,
}

/// All that the agent needs to know.
#[derive(Debug)]
pub struct Config {
    pub routers: Vec<Url>,
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
    pub identity: Identity,
    /// Also where the id is given: what an end has left undone is marked beside it.
    pub state_file: Option<PathBuf>,
    /// Whether the nodes reach this machine by tunnels that it opens.
    pub tunnel: bool,
    /// The worker's own address, where it is not that of this machine.
    pub address: Option<String>,
    pub advertise_host: Option<String>,
    pub detect_host: String,
    pub detect_interval: Duration,
    pub detect_timeout: Duration,
    pub drain_timeout: Duration,
    pub ttl: Option<Duration>,
    pub weight: Option<u32>,
    pub labels: BTreeMap<String, String>,
    pub capabilities: BTreeMap<String, Option<Value>>,
    pub storage_path: PathBuf,
    /// What it would do for its group.
    pub delegate: Option<Delegate>,
    pub services: Vec<Service>,
    pub log_format: LogFormat,
    pub log_level: String,
}

impl Config {
    /// Reads everything, or says everything that is wrong.
    pub fn load(
        args: &AgentArgs,
        file: Option<&ConfigFile>,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::of(file);
        let config = read(&mut reader, args, surroundings);
        let errors = reader.finish();
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }
}

fn read(reader: &mut Reader, args: &AgentArgs, surroundings: &Surroundings) -> Config {
    let given = |key, flag: &Option<String>| Given::by_flag(key, flag.as_ref());
    let id = reader.value(given("id", &args.id), |text| Ok(WorkerId::parse(text)?));
    let state_file = reader.value(given("state_file", &args.state_file), path);
    let ttl = reader.value(given("ttl", &args.ttl), span(SECOND..=24 * HOUR, "1s to 24h"));
    let interval = given("detect_interval", &args.detect_interval);
    let short = || span(Duration::from_millis(100)..=HOUR, "100ms to 1h");
    let group = reader.value(Given::by_file("group"), short_text);
    let detect_host = reader.value(given("detect_host", &args.detect_host), host);
    let detect_host = detect_host.unwrap_or_else(|| "127.0.0.1".into());
    let usual_format = if surroundings.terminal { LogFormat::Text } else { LogFormat::Json };
    let drain = given("drain_timeout", &args.drain_timeout);
    let mut labels = texts(reader.mapping("labels"));
    labels.extend(group.map(|group| (GROUP.to_owned(), group)));
    let config = Config {
        routers: routers(reader, args, surroundings),
        token: args.token.clone(),
        token_file: reader.value(Given::by_file("token_file"), path),
        identity: match (id, state_file.clone()) {
            (Some(id), _) => Identity::Given(id),
            (None, Some(path)) => Identity::StateFile(path),
            (None, None) => Identity::Host,
        },
        state_file,
        tunnel: reader.value(Given::by_file("tunnel"), flag).unwrap_or(false),
        address: reader.value(Given::by_file("address"), |text| Ok(Address::parse(text)?.to_string())),
        advertise_host: reader.value(given("advertise_host", &args.advertise_host), host),
        detect_interval: reader.value(interval, short()).unwrap_or(10 * SECOND),
        detect_timeout: reader.value(Given::by_file("detect_timeout"), short()).unwrap_or(2 * SECOND),
        drain_timeout: reader.value(drain, span(Duration::ZERO..=HOUR, "0s to 1h")).unwrap_or(30 * SECOND),
        ttl,
        weight: reader.value(Given::by_file("weight"), weight),
        labels,
        capabilities: reader.mapping("capabilities").into_iter().map(|(k, v)| (k, v.map(fact))).collect(),
        storage_path: reader.value(Given::by_file("storage_path"), path).unwrap_or_else(|| "/".into()),
        delegate: delegate::read(reader),
        services: services::read(reader).unwrap_or_else(usual),
        log_format: reader.value(given("log_format", &args.log_format), log_format).unwrap_or(usual_format),
        log_level: reader
            .value(given("log_level", &args.log_level), short_text)
            .unwrap_or_else(|| "info".into()),
        detect_host,
    };
    check_whole(reader, &config);
    config
}

fn usual() -> Vec<Service> {
    USUAL.iter().map(|(name, port)| Service::usual(name, *port)).collect()
}

/// Flag and `QUORATE_SERVER` over `COORDINATOR_URL` over file.
fn routers(reader: &mut Reader, args: &AgentArgs, surroundings: &Surroundings) -> Vec<Url> {
    let flag = (!args.server.is_empty()).then(|| (Origin::Flag("server".into()), args.server.join(",")));
    let legacy = surroundings.coordinator_url.clone();
    let legacy = legacy.map(|url| (Origin::LegacyEnv("COORDINATOR_URL"), url));
    let given = Given { key: "server", outside: flag.or(legacy) };
    let parse = |text: &str| {
        quorate_client::routers(text).map_err(|e| Wrong::new(e.to_string(), "management addresses of nodes"))
    };
    let routers = reader.list(given, parse);
    routers.unwrap_or_else(|| quorate_client::routers(SERVER).expect("it is a URL"))
}

/// What the nodes would say about everything together: the bounds of labels and capabilities.
fn check_whole(reader: &mut Reader, config: &Config) {
    if config.tunnel && config.address.is_some() {
        let allowed = "either an address, or tunnel: true, with which the address is made";
        reader.wrong("address", Wrong::new("stands beside tunnel: true", allowed));
    }
    let id = WorkerId::parse("agent").expect("it is a name");
    let ttl = quorate_model::Ttl::new(30 * SECOND).expect("within the bounds");
    let capabilities: Map<_, _> =
        config.capabilities.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect();
    let body = json!({"address": "http://h", "labels": config.labels, "capabilities": capabilities});
    let Value::Object(body) = body else { return };
    if let Err(wrong) = quorate_api::worker::registration(id, body, ttl) {
        for invalid in wrong {
            reader.wrong(&invalid.field.clone(), invalid.into());
        }
    }
}

fn texts(mapping: Vec<(String, Option<String>)>) -> BTreeMap<String, String> {
    mapping.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()
}

/// true and false, numbers, and else text.
fn fact(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        Ok(_) | Err(_) => Value::String(text),
    }
}

pub(super) fn span(
    bounds: RangeInclusive<Duration>,
    allowed: &'static str,
) -> impl Fn(&str) -> Result<Duration, Wrong> {
    move |text| {
        let span = duration::parse(text).filter(|span| bounds.contains(span));
        span.ok_or_else(|| Wrong::value(text, format!("{}, {allowed}", duration::ALLOWED)))
    }
}

pub(super) fn host(text: &str) -> Result<String, Wrong> {
    let whole = Address::parse(&format!("http://{}:1", super::service::in_url(text)));
    match whole {
        Ok(address) if address.host() == text => Ok(text.into()),
        Ok(_) | Err(_) => Err(Wrong::value(text, "a host name or an IP address, without a port")),
    }
}

fn path(text: &str) -> Result<PathBuf, Wrong> {
    if text.is_empty() { Err(Wrong::new("is empty", "a path")) } else { Ok(text.into()) }
}

pub(super) fn short_text(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > quorate_model::limit::LABEL_BYTES_MAX {
        let allowed = format!("1 to {} bytes", quorate_model::limit::LABEL_BYTES_MAX);
        return Err(Wrong::value(text, allowed));
    }
    Ok(text.into())
}

fn weight(text: &str) -> Result<u32, Wrong> {
    let weight = text.parse().ok().filter(|weight| *weight <= 1_000_000);
    weight.ok_or_else(|| Wrong::value(text, "0 to 1000000"))
}

pub(super) fn flag(text: &str) -> Result<bool, Wrong> {
    text.parse().map_err(|_| Wrong::value(text, "true or false"))
}

fn log_format(text: &str) -> Result<LogFormat, Wrong> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Wrong::value(text, "text or json")),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
