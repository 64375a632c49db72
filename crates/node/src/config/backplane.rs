//! How the gateway reaches others than those of its cluster, as it is configured.

use super::{
    error::{Wrong, quoted},
    parse,
    reader::Reader,
};
use quorate_model::NodeName;
use std::path::PathBuf;

/// How messages travel between gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GatewayBackplane {
    /// From node to node of the cluster.
    #[default]
    Direct,
    /// By Redis, as the original gateways have it.
    Redis(RedisAt),
    /// By Kafka, as the original gateways have it.
    Kafka {
        /// `host:port` each, and not empty.
        brokers: Vec<String>,
        /// Where those keep who is where.
        presence: Option<RedisAt>,
    },
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAt {
    /// `host:port`.
    pub address: String,
    /// Holds its password.
    pub password_file: Option<PathBuf>,
}

/// The original's channel and topic for all are named after this one.
const BROADCAST: &str = "broadcast";

#[derive(Clone, Copy)]
enum Kind {
    Direct,
    Redis,
    Kafka,
}

fn kind(text: &str) -> Result<Kind, Wrong> {
    match text {
        "direct" => Ok(Kind::Direct),
        "redis" => Ok(Kind::Redis),
        "kafka" => Ok(Kind::Kafka),
        other => Err(Wrong::new(format!("{} is no backplane", quoted(other)), "direct, redis or kafka")),
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> GatewayBackplane {
    let kind = r.value("gateway-backplane", |text, _| kind(text));
    let address = r.optional("gateway-redis", |text, _| parse::dialled(text));
    let brokers = r.optional("gateway-kafka", |text, _| parse::brokers(text));
    let password_file = r.optional("gateway-redis-password-file", |text, _| parse::path(text));
    if password_file.is_some() && address.is_none() {
        let problem = "the password is for no Redis".into();
        r.refuse("gateway-redis-password-file", problem, "--gateway-redis with it");
    }
    let redis = address.map(|address| RedisAt { address, password_file });
    match (kind, redis, brokers) {
        (Kind::Direct, None, None) => GatewayBackplane::Direct,
        (Kind::Redis, Some(redis), None) => GatewayBackplane::Redis(redis),
        (Kind::Kafka, presence, Some(brokers)) => GatewayBackplane::Kafka { brokers, presence },
        (kind, redis, brokers) => {
            refuse(r, kind, redis.is_some(), brokers.is_some());
            GatewayBackplane::Direct
        }
    }
}

/// What is missing, or would be without effect.
fn refuse(r: &mut Reader<'_>, kind: Kind, has_redis: bool, has_brokers: bool) {
    let missing = |name: &str| format!("the backplane is {name}, and it is not said where that is");
    let idle = |name: &str| format!("the backplane does not use {name}");
    match kind {
        Kind::Redis if !has_redis => r.refuse("gateway-redis", missing("redis"), "HOST:PORT"),
        Kind::Kafka if !has_brokers => r.refuse("gateway-kafka", missing("kafka"), "HOST:PORT,..."),
        Kind::Direct if has_redis => {
            r.refuse("gateway-redis", idle("Redis"), "--gateway-backplane redis or kafka with it");
        }
        Kind::Direct | Kind::Redis | Kind::Kafka => {}
    }
    if has_brokers && !matches!(kind, Kind::Kafka) {
        r.refuse("gateway-kafka", idle("Kafka"), "--gateway-backplane kafka with it");
    }
}

/// A channel of Redis, or a topic of Kafka, is named after the node.
pub(super) fn check(backplane: &GatewayBackplane, node: &NodeName, r: &mut Reader<'_>) {
    if *backplane != GatewayBackplane::Direct && node.as_str() == BROADCAST {
        let problem = format!("{} is where messages for all gateways go", quoted(BROADCAST));
        r.refuse("node-name", problem, "another name");
    }
    let GatewayBackplane::Kafka { .. } = backplane else { return };
    if let Err(wrong) = parse::topic(&format!("gateway-{node}")) {
        let problem = format!("{} can't be in the name of a topic of Kafka", quoted(node.as_str()));
        r.refuse("node-name", problem, wrong.allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources};
    use super::*;

    fn load(flags: &[(&str, &str)]) -> Result<GatewayBackplane, String> {
        let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = Config::load(&Sources { flags, ..Sources::default() });
        config.map(|config| config.backplane).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_backplane_is_the_clusters_own_unless_another_one_is_named() {
        assert_eq!(load(&[]), Ok(GatewayBackplane::Direct));
        let redis = RedisAt { address: "r:6379".into(), password_file: Some("/p".into()) };
        let flags = [
            ("gateway-backplane", "redis"),
            ("gateway-redis", "r:6379"),
            ("gateway-redis-password-file", "/p"),
        ];
        assert_eq!(load(&flags), Ok(GatewayBackplane::Redis(redis)));
        let kafka = [("gateway-backplane", "kafka"), ("gateway-kafka", "a:1,b:2")];
        let brokers = vec!["a:1".into(), "b:2".into()];
        assert_eq!(load(&kafka), Ok(GatewayBackplane::Kafka { brokers, presence: None }));
    }

    /// A password has a file of its own; who puts it into a URL must not find it in a log.
    #[test]
    fn a_url_with_a_password_is_refused_and_not_shown() {
        let cases = [
            [("gateway-backplane", "redis"), ("gateway-redis", "redis://:open-sesame@r:6379")],
            [("gateway-backplane", "redis"), ("gateway-redis", "bob:open-sesame@r:6379")],
            [("gateway-backplane", "kafka"), ("gateway-kafka", "k:9092,bob:open-sesame@k:9092")],
        ];
        for flags in cases {
            let error = load(&flags).expect_err("it is no HOST:PORT");
            assert!(error.contains(flags[1].0) && error.contains("HOST:PORT"), "{error}");
            assert!(!error.contains("open-sesame"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_or_without_effect_is_refused_by_its_flag() {
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[("gateway-backplane", "nats")], "direct, redis or kafka"),
            (&[("gateway-backplane", "redis")], "gateway-redis"),
            (&[("gateway-backplane", "kafka")], "gateway-kafka"),
            (&[("gateway-redis", "r:6379")], "--gateway-backplane redis or kafka"),
            (&[("gateway-kafka", "k:9092")], "--gateway-backplane kafka"),
            (&[("gateway-backplane", "redis"), ("gateway-redis", "no port")], "HOST:PORT"),
            (&[("gateway-redis-password-file", "/p")], "--gateway-redis with it"),
            (
                &[("gateway-backplane", "redis"), ("gateway-redis", "r:1"), ("node-name", "broadcast")],
                "node-name",
            ),
            (&[("gateway-backplane", "kafka"), ("gateway-kafka", "k:9092"), ("node-name", "ü")], "node-name"),
        ];
        for (flags, expected) in cases {
            let error = load(flags).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
