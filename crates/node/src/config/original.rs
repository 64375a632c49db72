//! The keys of the sandbox proxy's `config.yaml`, which is taken as it stands.
//!
//! Its ports are ports only: where one listens is said by our own settings, and their defaults hold where nobody does.
//! So the port of its metrics is on loopback: they are served where workers register here, and whoever reaches that can
//! take traffic. Its names without a port are hosts, as they are where it comes from; our own keys mean services.

use super::{error::Wrong, parse};

/// A key of the sandbox proxy's file.
pub(super) struct OriginalKey {
    /// In its own letters.
    pub key: &'static str,
    /// The setting that it is about.
    pub setting: &'static str,
    /// How its values are read.
    pub reads: Reads,
}

/// How a value is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// A port, of a listener whose host is this where nobody says more.
    Port(&'static str),
    /// A header, in front of the usual ones.
    KeyHeader,
    /// An address, whose scheme and port may be left out.
    Address,
}

/// All of them, but for the rules.
pub(super) static KEYS: [OriginalKey; 5] = [
    OriginalKey { key: "server.httpPort", setting: "routing", reads: Reads::Port("0.0.0.0") },
    OriginalKey { key: "server.grpcPort", setting: "grpc", reads: Reads::Port("0.0.0.0") },
    OriginalKey { key: "server.metricsPort", setting: "management", reads: Reads::Port("127.0.0.1") },
    OriginalKey { key: "routing.routeKeyHeader", setting: "route-key-headers", reads: Reads::KeyHeader },
    OriginalKey { key: "routing.defaultTarget", setting: "default-target", reads: Reads::Address },
];

/// The list of rules.
pub(super) const RULES: &str = "routing.rules";

const USUAL_HEADERS: [&str; 2] = ["x-route-key", "x-routing-key"];

/// The key that `key` is, in camel case as in the original or in snake case as all others here.
pub(super) fn find(key: &str) -> Option<&'static OriginalKey> {
    KEYS.iter().find(|known| is_spelled(known.key, key))
}

/// Whether `key` is `known`, which is in camel case, or the same in snake case.
pub(super) fn is_spelled(known: &str, key: &str) -> bool {
    known == key || snake(known) == key
}

fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

impl Reads {
    /// The text that the setting is read from.
    pub fn text(self, text: &str) -> Result<String, Wrong> {
        match self {
            Self::Port(host) => Ok(format!("{host}:{}", parse::listener_port(text)?)),
            Self::KeyHeader => {
                parse::key_forms(text)?;
                let is_other = |usual: &&&str| !text.eq_ignore_ascii_case(usual);
                let all = [text].into_iter().chain(USUAL_HEADERS.iter().filter(is_other).copied());
                Ok(all.collect::<Vec<_>>().join(","))
            }
            Self::Address => Ok(address(text)),
        }
    }
}

/// A target as the original has it.
pub(super) fn address(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("http://{text}") }
}
