//! Texts to values, one function per kind; each says what is allowed.

use super::{
    LogFormat,
    duration::{self, Bare},
    error::{Wrong, quoted},
};
use quorate_model::{NodeName, PartitionCount, PeerAddress, Ttl, limit, route::Target};
use quorate_routing::{local::Mode, sandbox::key::KeyForms};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// More members slow every write down and make no cluster safer.
const PEERS_MAX: usize = 15;
const BROKERS_MAX: usize = 100;
const THREADS_MAX: usize = 1_024;
/// Below, a node would do little else; above, a restart replays for minutes.
const SNAPSHOT_ENTRIES: RangeInclusive<u64> = 100..=1_000_000;
const TOPIC_BYTES_MAX: usize = 249;
const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// Inclusive bounds of a duration, and their words.
pub(super) struct Bounds {
    min: Duration,
    max: Duration,
    words: &'static str,
}

const DAY: Duration = Duration::from_secs(86_400);
pub(super) const REQUEST_TIMEOUT: Bounds =
    Bounds { min: Duration::from_millis(1), max: DAY, words: "1ms to 24h" };
pub(super) const KAFKA_REFRESH: Bounds = Bounds { min: Duration::from_secs(1), max: DAY, words: "1s to 24h" };
pub(super) const HEARTBEAT: Bounds =
    Bounds { min: Duration::from_millis(10), max: Duration::from_secs(10), words: "10ms to 10s" };
pub(super) const ELECTION: Bounds =
    Bounds { min: Duration::from_millis(30), max: Duration::from_secs(60), words: "30ms to 60s" };
pub(super) const PING: Bounds =
    Bounds { min: Duration::from_secs(1), max: Duration::from_secs(3_600), words: "1s to 1h" };
pub(super) const DRAIN: Bounds =
    Bounds { min: Duration::ZERO, max: Duration::from_secs(3_600), words: "0s to 1h" };

const _: () = assert!(
    ELECTION.min.as_millis() >= 3 * HEARTBEAT.min.as_millis(),
    "the shortest election timeout goes with the shortest heartbeat"
);

pub(super) fn bounded(text: &str, bare: Bare, bounds: &Bounds) -> Result<Duration, Wrong> {
    let duration = duration::parse(text, bare)?;
    if (bounds.min..=bounds.max).contains(&duration) {
        Ok(duration)
    } else {
        Err(Wrong::new(format!("{} is out of range", quoted(text)), bounds.words))
    }
}

pub(super) fn ttl(text: &str, bare: Bare) -> Result<Ttl, Wrong> {
    let wrong = |_| Wrong::new(format!("{} is out of range", quoted(text)), "1s to 24h");
    Ttl::new(duration::parse(text, bare)?).map_err(wrong)
}

/// Its clients are told whole seconds: a third of this, at least one.
pub(super) fn coordinator_ttl(text: &str, bare: Bare) -> Result<Ttl, Wrong> {
    const LEAST_MS: u64 = 3_000;
    let allowed = "3s to 24h";
    let ttl = ttl(text, bare).map_err(|wrong| Wrong { allowed: allowed.into(), ..wrong })?;
    if ttl.as_ms() < LEAST_MS {
        return Err(Wrong::new(format!("{} is out of range", quoted(text)), allowed));
    }
    Ok(ttl)
}

pub(super) fn node_name(text: &str) -> Result<NodeName, Wrong> {
    let wrong = || Wrong::value(text, "a name without spaces, `=` or `,`");
    if text.contains(|c: char| c == '=' || c == ',' || c.is_whitespace()) {
        return Err(wrong());
    }
    NodeName::parse(text).map_err(Wrong::from)
}

/// As a worker's label may be.
pub(super) fn zone(text: &str) -> Result<Box<str>, Wrong> {
    let allowed = format!("1 to {} bytes of printable text", limit::LABEL_BYTES_MAX);
    let is_right = (1..=limit::LABEL_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_right { Ok(text.into()) } else { Err(Wrong::value(text, allowed)) }
}

pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    if text.is_empty() { Err(Wrong::new("is empty", "a path")) } else { Ok(text.into()) }
}

pub(super) fn partitions(text: &str) -> Result<PartitionCount, Wrong> {
    let wrong = |allowed| Wrong::value(text, allowed);
    let count = text.parse().map_err(|_| wrong("a number, 1 to 100000".to_owned()))?;
    PartitionCount::new(count).map_err(|invalid| wrong(invalid.allowed))
}

pub(super) fn threads(text: &str) -> Result<usize, Wrong> {
    let count = text.parse().ok().filter(|count| (1..=THREADS_MAX).contains(count));
    count.ok_or_else(|| Wrong::value(text, format!("a number, 1 to {THREADS_MAX}")))
}

pub(super) fn snapshot_entries(text: &str) -> Result<u64, Wrong> {
    let count = text.parse().ok().filter(|count| SNAPSHOT_ENTRIES.contains(count));
    let (least, most) = (SNAPSHOT_ENTRIES.start(), SNAPSHOT_ENTRIES.end());
    count.ok_or_else(|| Wrong::value(text, format!("a number, {least} to {most}")))
}

/// Where to listen. No DNS names but `localhost`: what a name means may change, a listener does not.
pub(super) fn listener(text: &str) -> Result<SocketAddr, Wrong> {
    let allowed = "IP:PORT, [IPv6]:PORT, localhost:PORT, or :PORT for all addresses";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| Wrong::value(text, allowed))?;
    let port = plain_number(port).ok_or_else(|| Wrong::value(text, allowed))?;
    match host {
        "" => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        "localhost" => Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ => Err(Wrong::value(text, allowed)),
    }
}

/// A listener, or none.
pub(super) fn listener_or_off(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    if text == "off" {
        return Ok(None);
    }
    listener(text).map(Some).map_err(|wrong| Wrong { allowed: format!("off, or {}", wrong.allowed), ..wrong })
}

/// The host part of a listener, as `HOST` gives it.
pub(super) fn listener_host(text: &str) -> Result<IpAddr, Wrong> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse().map_err(|_| Wrong::value(text, "an IP address or localhost")),
    }
}

/// The port part of a listener, as `PORT` gives it.
pub(super) fn listener_port(text: &str) -> Result<u16, Wrong> {
    plain_number(text).ok_or_else(|| Wrong::value(text, "a port, 0 to 65535"))
}

/// `host:port` to dial. IPv6 hosts stand in brackets.
pub(super) fn dialled(text: &str) -> Result<String, Wrong> {
    if text.contains('@') {
        // Not echoed: it may be a password.
        return Err(Wrong::new("it names a user", PeerAddress::ALLOWED));
    }
    let address = PeerAddress::parse(text).map_err(|_| Wrong::value(text, PeerAddress::ALLOWED))?;
    Ok(address.to_string())
}

/// The same of a gateway, whose clients may have to speak TLS to whatever stands in front of it.
pub(super) fn gateway_dialled(text: &str) -> Result<String, Wrong> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("ws" | "wss"), rest)) => (format!("{scheme}://"), rest),
        Some(_) | None => (String::new(), text),
    };
    let allowed = format!("{}, or ws:// or wss:// before it", PeerAddress::ALLOWED);
    let address = PeerAddress::parse(rest).map_err(|_| Wrong::value(text, allowed))?;
    Ok(format!("{scheme}{address}"))
}

/// Digits only: `u16::from_str` also takes a plus sign.
fn plain_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// The host of a dialled address, without brackets.
pub(super) fn host_of(dialled: &str) -> &str {
    let host = dialled.rsplit_once(':').map_or(dialled, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether only processes of this machine can be meant.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn peers(text: &str) -> Result<BTreeMap<NodeName, String>, Wrong> {
    let allowed = "NAME=HOST:PORT,..., such as n1=10.0.0.1:7070,n2=10.0.0.2:7070,n3=10.0.0.3:7070";
    let mut peers = BTreeMap::new();
    for item in text.split(',').map(str::trim) {
        let (name, address) = item.split_once('=').ok_or_else(|| Wrong::value(item, allowed))?;
        let (name, address) = (node_name(name)?, dialled(address)?);
        if let Some((other, _)) = peers.iter().find(|(_, known)| **known == address) {
            return Err(Wrong::new(format!("{other} and {name} have one address, {address}"), allowed));
        }
        if peers.insert(name.clone(), address).is_some() {
            return Err(Wrong::new(format!("{name} is given twice"), allowed));
        }
    }
    if peers.len() > PEERS_MAX {
        return Err(Wrong::new(format!("{} members", peers.len()), format!("at most {PEERS_MAX}")));
    }
    Ok(peers)
}

pub(super) fn brokers(text: &str) -> Result<Vec<String>, Wrong> {
    let brokers: Vec<_> = text.split(',').map(|broker| dialled(broker.trim())).collect::<Result<_, _>>()?;
    if brokers.len() > BROKERS_MAX {
        return Err(Wrong::new(format!("{} brokers", brokers.len()), format!("at most {BROKERS_MAX}")));
    }
    Ok(brokers)
}

pub(super) fn key_forms(text: &str) -> Result<Arc<KeyForms>, Wrong> {
    Ok(Arc::new(KeyForms::named(text.split(','))?))
}

/// Kafka's own rule for topic names.
pub(super) fn topic(text: &str) -> Result<String, Wrong> {
    let good = (1..=TOPIC_BYTES_MAX).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let allowed = format!("1 to {TOPIC_BYTES_MAX} letters, digits, `.`, `_` and `-`");
    if good { Ok(text.to_owned()) } else { Err(Wrong::value(text, allowed)) }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Wrong> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Wrong::value(text, "text or json")),
    }
}

pub(super) fn log_level(text: &str) -> Result<String, Wrong> {
    let good = |item: &str| {
        let level = item.rsplit_once('=').map_or(item, |(_, level)| level);
        LOG_LEVELS.contains(&level)
    };
    if text.split(',').all(good) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::value(
            text,
            "error, warn, info, debug or trace, or a list such as info,quorate_node=debug",
        ))
    }
}

/// Where requests go.
pub(super) fn target(text: &str) -> Result<Target, Wrong> {
    let allowed = "a URL, host:port, the name of a service, or service@version";
    Target::parse_versioned("default-target", text).map_err(|wrong| Wrong::new(wrong.problem, allowed))
}

pub(super) fn mode(text: &str) -> Result<Mode, Wrong> {
    match text {
        "gateway" => Ok(Mode::Gateway),
        "sidecar" => Ok(Mode::Sidecar),
        _ => Err(Wrong::value(text, "gateway or sidecar")),
    }
}
