//! What the command line names: checked before anything is opened or set.
//!
//! A tunnel that nobody has named is called by the key and the service that it is for, so that two people never take the
//! name from each other unless they want the same requests. The parts are held apart by `_`, which they don't have
//! themselves: what has it, or other letters that names have not, is told apart by a number behind two of them. So no
//! other key and service have the name, nor has a local workload (`NAMESPACE.NAME`) or a machine of the agent.

use crate::{args::LocalArgs, failure::Failure};
use quorate_client::tunnel::rule::Rule;
use quorate_model::{DnsLabel, Invalid, ObjectId, Resource, RoutingKey, SandboxTtl, ServiceName, TunnelName};

/// How names begin that are made here.
const MADE: &str = "local_";
/// Longest part of a tunnel's name that says what it is for.
const NAME_BYTES_MAX: usize = 100;

/// The rule that is asked for.
pub fn rule(args: &LocalArgs, key: &str) -> Result<Rule, Failure> {
    let wrong = |option: &str, text: &str, Invalid { allowed, .. }: Invalid| {
        Failure::Usage(format!("--{option} is `{}`; allowed: {allowed}", text.escape_debug()))
    };
    RoutingKey::parse_declared(key).map_err(|why| wrong("key", key, why))?;
    if let Some(service) = &args.service {
        ServiceName::parse_offered(service).map_err(|why| wrong("service", service, why))?;
    }
    let ttl = quorate_api::duration::parse(&args.ttl);
    let ttl = ttl.filter(|ttl| SandboxTtl::new(*ttl).is_ok()).ok_or_else(|| {
        let allowed = SandboxTtl::ALLOWED;
        Failure::Usage(format!("--ttl is `{}`; allowed: {allowed}, such as 24h", args.ttl.escape_debug()))
    })?;
    let made = name_of(key, args.service.as_deref());
    let tunnel = args.name.clone().unwrap_or_else(|| made.clone());
    TunnelName::parse(&tunnel).map_err(|why| wrong("name", &tunnel, why))?;
    if tunnel.starts_with(MADE) && tunnel != made {
        return Err(Failure::Usage(format!(
            "--name is `{tunnel}`; allowed: names that do not begin with `{MADE}`, which are made of a key and a \
             service; here that is `{made}`"
        )));
    }
    let is_named_by_it = tunnel == made;
    Ok(Rule { key: key.to_owned(), service: args.service.clone(), tunnel, is_named_by_it, ttl })
}

/// `NAMESPACE/NAME`
pub fn workload(text: &str) -> Result<ObjectId, Failure> {
    let wrong = || {
        let allowed = "NAMESPACE/NAME, each of 1 to 63 lower-case letters, digits and dashes";
        Failure::Usage(format!("--workload is `{text}`; allowed: {allowed}"))
    };
    let (namespace, name) = text.split_once('/').ok_or_else(wrong)?;
    let label = |text| DnsLabel::parse(text).map_err(|_| wrong());
    let (resource, namespace, name) = (Resource::LocalWorkloads, label(namespace)?, label(name)?);
    Ok(ObjectId { resource, namespace, name })
}

/// `host:port`, or a port of this machine.
pub fn target(text: &str) -> Result<String, Failure> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').unwrap_or(("localhost", bare));
    let is_host =
        !host.is_empty() && !host.contains(['/', '@', ' ']) && (!host.contains(':') || host.starts_with('['));
    if is_host && port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Ok(format!("{host}:{port}"));
    }
    Err(Failure::Usage(format!(
        "--to is `{text}`; allowed: host:port such as localhost:3000, or a port of this machine"
    )))
}

/// The name of the tunnel of a key, or of a key and a service.
fn name_of(key: &str, service: Option<&str>) -> String {
    let whole = service.map_or_else(|| key.to_owned(), |service| format!("{service}_{key}"));
    let is_plain = |part: &str| part.chars().all(|c| c != '_' && plain(c) == c);
    if whole.len() <= NAME_BYTES_MAX && is_plain(key) && service.is_none_or(is_plain) {
        return format!("{MADE}{whole}");
    }
    let shown: String = whole.chars().map(plain).take(NAME_BYTES_MAX).collect();
    // With the length, since both may have what holds them apart.
    let told_apart = format!("{}:{whole}", service.map_or(0, |service| service.len() + 1));
    format!("{MADE}{shown}__{:016x}", fnv64(&told_apart))
}

/// A tunnel's name for something that may have other letters.
pub fn plain_name(whole: &str) -> String {
    let mut name: String = whole.chars().map(plain).take(NAME_BYTES_MAX).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, 'k');
    }
    if name == whole { name } else { format!("{name}-{:08x}", fnv(whole)) }
}

fn plain(c: char) -> char {
    if c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c) { c } else { '-' }
}

/// FNV-1a: the same name for the same key, on every machine and in every version.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The same with more bits.
fn fnv64(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_at_the_end_is_a_host_and_a_port() {
        for (text, wanted) in [
            ("3000", "localhost:3000"),
            ("localhost:3000", "localhost:3000"),
            ("http://10.0.0.1:80/", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(target(text).ok().as_deref(), Some(wanted), "{text}");
        }
        for bad in
            ["", "localhost", "localhost:0", "localhost:x", ":80", "::1:80", "https://h:1", "h:1/x", "u@h:1"]
        {
            let Err(Failure::Usage(why)) = target(bad) else { panic!("{bad}") };
            assert!(why.contains("--to") && why.contains("allowed:"), "{why}");
        }
    }

    #[test]
    fn a_workload_is_a_namespace_and_a_name() {
        let id = workload("team-a/laptop").expect("valid");
        assert_eq!(id.tunnel().as_str(), "team-a.laptop");
        for bad in ["", "laptop", "/laptop", "team-a/", "a/b/c", "A/b", "a/b.c"] {
            let Err(Failure::Usage(why)) = workload(bad) else { panic!("{bad}") };
            assert!(why.contains("--workload") && why.contains("allowed:"), "{why}");
        }
    }

    /// Scenario: bob answers for the service `upload`, and somebody for the key `upload.bob`; the requests of one go to
    /// the machine of the other. Cause: both tunnels were called `upload.bob`.
    #[test]
    fn no_two_keys_and_services_have_one_name() {
        assert_eq!(name_of("dev-1", Some("upload")), "local_upload_dev-1");
        assert_eq!(name_of("dev-1", None), "local_dev-1");
        let long = "x".repeat(256);
        let texts = [
            "bob",
            "upload.bob",
            "upload",
            "upload_bob",
            "local_bob",
            "a.b",
            "a",
            "b",
            "b.c",
            "_",
            "-",
            "é",
            "=",
            "Bob",
            "bob_",
            "_bob",
            "upload_bob_",
            "upload-bob",
            "upload_bob__0123456789abcdef",
            &long,
            &long[1..],
            &long[..99],
        ];
        let mut known = BTreeMap::new();
        let keys_alone = texts.iter().map(|key| (*key, None));
        let pairs = texts.iter().flat_map(|key| texts.iter().map(move |service| (*key, Some(*service))));
        for pair in keys_alone.chain(pairs) {
            let name = name_of(pair.0, pair.1);
            assert!(TunnelName::parse(&name).is_ok(), "{name}");
            let before = known.insert(name.clone(), pair);
            assert_eq!(before, None, "{name} is also of {pair:?}");
        }
        for other in ["team-a.laptop", "m1.8103"] {
            assert!(!known.contains_key(other), "{other}");
        }
        assert!(!plain_name("local_bob").starts_with(MADE), "nor has a machine of the agent");
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_is_opened() {
        let args = |service: Option<&str>, name: Option<&str>, ttl: &str| LocalArgs {
            key: None,
            workload: None,
            service: service.map(str::to_owned),
            to: "3000".into(),
            name: name.map(str::to_owned),
            ttl: ttl.into(),
            takeover: false,
            once: false,
        };
        let good = rule(&args(Some("upload"), None, "5m"), "dev-1").expect("valid");
        assert_eq!(
            (good.tunnel.as_str(), good.is_named_by_it, good.ttl.as_secs()),
            ("local_upload_dev-1", true, 300)
        );
        let named = rule(&args(None, Some("laptop"), "24h"), "dev-1").expect("valid");
        assert_eq!((named.tunnel.as_str(), named.is_named_by_it), ("laptop", false));
        let same = rule(&args(None, Some("local_dev-1"), "24h"), "dev-1").expect("valid");
        assert!(same.is_named_by_it);
        for (key, given, words) in [
            ("", args(None, None, "24h"), "--key is ``; allowed: "),
            ("a b", args(None, None, "24h"), "--key is `a b`; allowed: "),
            ("..", args(None, None, "24h"), "--key is `..`; allowed: "),
            ("k", args(Some("a/b"), None, "24h"), "--service is `a/b`; allowed: "),
            ("k", args(Some(""), None, "24h"), "--service is ``; allowed: "),
            ("k", args(None, Some("A"), "24h"), "--name is `A`; allowed: "),
            ("k", args(None, Some("local_bob"), "24h"), "here that is `local_k`"),
            ("k", args(None, None, "0"), "--ttl is `0`; allowed: 300s (5 minutes) to 604800s (7 days)"),
            ("k", args(None, None, "8d"), "--ttl is `8d`; allowed: 300s"),
            ("k", args(None, None, "169h"), "--ttl is `169h`; allowed: 300s"),
        ] {
            let Err(Failure::Usage(why)) = rule(&given, key) else { panic!("{words}") };
            assert!(why.contains(words), "{why}");
        }
    }
}
