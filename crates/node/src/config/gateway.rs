//! The WebSocket gateway, as it is configured.

use super::{
    error::{Wrong, quoted},
    parse,
    reader::Reader,
};
use quorate_gateway::{
    origin::Origins,
    settings::{Bounds, Broadcasts, ExtensionSettings, Flood, QueueLimits, Rate, Settings, SlowConsumer},
    token::Signature,
};
use quorate_model::SecondLogin;
use quorate_routing::local::Mode;
use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
};

/// The port where none is given.
const PORT: u16 = 8_082;
const THREADS: RangeInclusive<usize> = 1..=1_024;
const QUEUE_MESSAGES: RangeInclusive<usize> = 1..=1_000_000;
const BYTES: RangeInclusive<usize> = 1_024..=1 << 30;
/// What travels between nodes has room for these.
const MESSAGE_BYTES: RangeInclusive<usize> = 1_024..=8 << 20;
const FRAGMENTS: RangeInclusive<u32> = 1..=1_000_000;
/// What moves from one node to another at once has room for it.
const REPLAY_BYTES: RangeInclusive<usize> = 1_024..=4 << 20;
const DETACHED: RangeInclusive<usize> = 0..=10_000_000;
const CONNECTIONS: RangeInclusive<usize> = 1..=10_000_000;
const RATE_MAX: u32 = 1_000_000;
const NAME_BYTES_MAX: usize = 1_024;

/// The WebSocket gateway of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Where it listens.
    pub listen: GatewayListener,
    /// Set: clients speak TLS, and are shown this.
    pub identity: Option<Identity>,
    /// On how many threads.
    pub threads: usize,
    /// What the operator has decided.
    pub settings: Settings,
    /// Set: whoever connects must prove who they are.
    pub tokens: Option<Tokens>,
}

/// Where the gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayListener {
    /// Nowhere.
    Off,
    /// There, or the node does not start.
    At(SocketAddr),
    /// There, unless somebody else does: nobody has asked for it, and nodes that share a machine need not name it.
    IfFree(SocketAddr),
}

/// What a listener for TLS shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, a PEM file.
    pub certificate: PathBuf,
    /// Its key, a PEM file.
    pub key: PathBuf,
}

/// Who is believed to say who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Holds the key.
    pub key: PathBuf,
    /// How they are signed.
    pub signature: Signature,
    /// Whose they must be.
    pub issuer: Option<String>,
    /// Whom they must be for.
    pub audience: Option<String>,
}

impl Gateway {
    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.listen {
            GatewayListener::Off => None,
            GatewayListener::At(address) | GatewayListener::IfFree(address) => Some(address),
        }
    }
}

pub(super) fn read(r: &mut Reader<'_>, mode: Mode, cores: usize) -> Gateway {
    let listen = match (r.optional("gateway", |text, _| parse::listener_or_off(text)), mode) {
        (Some(Some(address)), _) => GatewayListener::At(address),
        (Some(None), _) | (None, Mode::Sidecar) => GatewayListener::Off,
        (None, Mode::Gateway) => GatewayListener::IfFree((Ipv4Addr::UNSPECIFIED, PORT).into()),
    };
    let threads = r.optional("gateway-threads", |text, _| number(text, THREADS));
    Gateway {
        listen,
        identity: identity(r),
        threads: threads.unwrap_or_else(|| (cores / 2).max(1)),
        settings: settings(r),
        tokens: tokens(r),
    }
}

fn settings(r: &mut Reader<'_>) -> Settings {
    let settings = Settings {
        second_login: r.value("gateway-second-login", |text, _| second_login(text)),
        ping_timeout: r.duration("gateway-ping-timeout", &parse::PING),
        ping_check: r.duration("gateway-ping-check", &parse::PING),
        queue: QueueLimits {
            messages_max: r.value("gateway-queue-messages", |text, _| number(text, QUEUE_MESSAGES)),
            bytes_max: r.value("gateway-queue-bytes", |text, _| number(text, BYTES)),
        },
        slow: r.value("gateway-slow-consumer", |text, _| slow(text)),
        frame_bytes_max: r.value("gateway-frame-bytes", |text, _| number(text, MESSAGE_BYTES)),
        message_bytes_max: r.value("gateway-message-bytes", |text, _| number(text, MESSAGE_BYTES)),
        fragments_max: r.value("gateway-fragments", |text, _| number(text, FRAGMENTS)),
        frames: r.value("gateway-frame-rate", |text, _| rate(text)),
        registers: r.value("gateway-register-rate", |text, _| rate(text)),
        flood: r.value("gateway-flood", |text, _| flood(text)),
        connections_max: r.value("gateway-connections", |text, _| number(text, CONNECTIONS)),
        connections_per_address_max: r
            .optional("gateway-connections-per-address", |text, _| number(text, CONNECTIONS)),
        accept: r.value("gateway-accept-rate", |text, _| rate(text)),
        origins: r.optional("gateway-origins", |text, _| origins(text)),
        drain_spread: r.duration("gateway-drain-spread", &parse::DRAIN),
        drain_limit: r.duration("gateway-drain-limit", &parse::DRAIN),
        extension: ExtensionSettings {
            window: r.duration("gateway-resume-window", &parse::DRAIN),
            replay: Bounds {
                messages: r.value("gateway-replay-messages", |text, _| number(text, QUEUE_MESSAGES)),
                bytes: r.value("gateway-replay-bytes", |text, _| number(text, REPLAY_BYTES)),
            },
            broadcasts: r.value("gateway-broadcasts", |text, _| broadcasts(text)),
            detached_max: r.value("gateway-detached", |text, _| number(text, DETACHED)),
        },
    };
    if settings.ping_check > settings.ping_timeout {
        let (check, timeout) = (settings.ping_check, settings.ping_timeout);
        let problem = format!("{check:?} is longer than --gateway-ping-timeout, {timeout:?}");
        r.refuse("gateway-ping-check", problem, "at most as long");
    }
    settings
}

fn identity(r: &mut Reader<'_>) -> Option<Identity> {
    let certificate = r.optional("gateway-tls-cert", |text, _| parse::path(text));
    let key = r.optional("gateway-tls-key", |text, _| parse::path(text));
    let allowed = "--gateway-tls-cert and --gateway-tls-key together";
    match (certificate, key) {
        (Some(certificate), Some(key)) => return Some(Identity { certificate, key }),
        (Some(_), None) => r.refuse("gateway-tls-cert", "the certificate has no key".into(), allowed),
        (None, Some(_)) => r.refuse("gateway-tls-key", "the key has no certificate".into(), allowed),
        (None, None) => {}
    }
    None
}

fn tokens(r: &mut Reader<'_>) -> Option<Tokens> {
    let key = r.optional("gateway-token-key", |text, _| parse::path(text));
    let signature = r.value("gateway-token-signature", |text, _| signature(text));
    let issuer = r.optional("gateway-token-issuer", |text, _| name(text));
    let audience = r.optional("gateway-token-audience", |text, _| name(text));
    if key.is_none() && !r.has_errors_about("gateway-token-key") {
        // Somebody who names these believes that tokens are asked for.
        let said = [("gateway-token-issuer", &issuer), ("gateway-token-audience", &audience)];
        for (setting, _) in said.into_iter().filter(|(_, said)| said.is_some()) {
            r.refuse(setting, "no tokens are asked for".into(), "--gateway-token-key with it");
        }
    }
    Some(Tokens { key: key?, signature, issuer, audience })
}

fn number<N>(text: &str, allowed: RangeInclusive<N>) -> Result<N, Wrong>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let found = text.parse().ok().filter(|number| is_plain && allowed.contains(number));
    found.ok_or_else(|| Wrong::value(text, format!("a number, {} to {}", allowed.start(), allowed.end())))
}

/// `PER_SECOND:BURST`, or a number for both.
fn rate(text: &str) -> Result<Rate, Wrong> {
    let (per_second, burst) = text.split_once(':').unwrap_or((text, text));
    let read = |part| number(part, 1..=RATE_MAX);
    match (read(per_second), read(burst)) {
        (Ok(per_second), Ok(burst)) => Ok(Rate { per_second, burst }),
        (Err(_), _) | (_, Err(_)) => {
            let allowed = format!("PER_SECOND:BURST, such as 1000:2000; each 1 to {RATE_MAX}");
            Err(Wrong::value(text, allowed))
        }
    }
}

fn second_login(text: &str) -> Result<SecondLogin, Wrong> {
    match text {
        "replace" => Ok(SecondLogin::Replace),
        "reject" => Ok(SecondLogin::Reject),
        "many" => Ok(SecondLogin::Many),
        _ => Err(Wrong::value(text, "replace, reject or many")),
    }
}

fn slow(text: &str) -> Result<SlowConsumer, Wrong> {
    match text {
        "close" => Ok(SlowConsumer::Close),
        "refuse" => Ok(SlowConsumer::Refuse),
        _ => Err(Wrong::value(text, "close or refuse")),
    }
}

fn flood(text: &str) -> Result<Flood, Wrong> {
    match text {
        "throttle" => Ok(Flood::Throttle),
        "close" => Ok(Flood::Close),
        _ => Err(Wrong::value(text, "throttle or close")),
    }
}

fn broadcasts(text: &str) -> Result<Broadcasts, Wrong> {
    match text {
        "off" => Ok(Broadcasts::Off),
        "everybody" => Ok(Broadcasts::Everybody),
        _ => Err(Wrong::value(text, "off or everybody")),
    }
}

fn signature(text: &str) -> Result<Signature, Wrong> {
    match text {
        "HS256" => Ok(Signature::Hs256),
        "RS256" => Ok(Signature::Rs256),
        "ES256" => Ok(Signature::Es256),
        _ => Err(Wrong::value(text, "HS256, RS256 or ES256")),
    }
}

fn origins(text: &str) -> Result<Origins, Wrong> {
    Origins::parse(text.split(','))
        .map_err(|wrong| Wrong::new(format!("{} is no origin", quoted(&wrong.0)), Origins::ALLOWED))
}

fn name(text: &str) -> Result<String, Wrong> {
    if (1..=NAME_BYTES_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::value(text, format!("1 to {NAME_BYTES_MAX} bytes")))
    }
}
