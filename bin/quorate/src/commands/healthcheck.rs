//! `quorate healthcheck`: one question to one node, for supervisors that can only run a program, such as those of
//! images without a shell.
//!
//! Without `--server` it asks where `quorate serve` would listen in the same environment: what a container is
//! told once holds for both, and a check can't look at the wrong port.

use super::{block_on, serve};
use crate::{args::HealthcheckArgs, failure::Failure, output::print};
use quorate_client::{
    Url,
    probe::{Health, Probe, Question},
};
use quorate_node::config::Config;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

pub fn run(args: &HealthcheckArgs) -> Result<(), Failure> {
    let node = match args.server.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => named(text)?,
        None => own(args)?,
    };
    let question = if args.live { Question::Live } else { Question::Ready };
    let probe = Probe::new(node.clone(), args.timeout)?;
    let health = block_on(async { Ok(probe.ask(question).await?) })?;
    let said = in_one_line(&health);
    if health.healthy { print(&(said + "\n")) } else { Err(Failure::Failed(format!("{node} says {said}"))) }
}

/// One node: a list, as other commands take it, would say nothing about any of them.
fn named(text: &str) -> Result<Url, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--server (or QUORATE_SERVER): {why}"));
    let mut urls = quorate_client::routers(text).map_err(|e| wrong(e.to_string()))?;
    match (urls.pop(), urls.len()) {
        (Some(url), 0) => Ok(url),
        _ => Err(wrong(format!("`{text}` names several nodes; allowed: one, the node to check"))),
    }
}

fn own(args: &HealthcheckArgs) -> Result<Url, Failure> {
    let sources = serve::sources(BTreeMap::new(), args.config.as_deref())?;
    let listener = Config::management_of(&sources).map_err(|e| Failure::Usage(e.to_string()))?;
    let text = format!("http://{}", dialled(listener));
    Url::parse(&text).map_err(|e| Failure::failed(text, e))
}

/// A listener on all addresses is asked on loopback.
pub fn dialled(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

fn in_one_line(health: &Health) -> String {
    let said = match &health.reason {
        // Some reasons begin with the word.
        Some(reason) if reason.starts_with(health.status.as_str()) => reason.clone(),
        Some(reason) => format!("{}: {reason}", health.status),
        None => health.status.clone(),
    };
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_asked_on_loopback_and_others_where_they_are() {
        for (listens, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9191", "[::1]:9191"),
            ("10.0.0.1:9090", "10.0.0.1:9090"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            let listener = listens.parse().expect("an address");
            assert_eq!(dialled(listener).to_string(), asked);
        }
    }

    #[test]
    fn one_node_is_asked_and_no_list() {
        assert_eq!(named("http://h:1").expect("one").as_str(), "http://h:1/");
        for wrong in ["http://h:1,http://h:2", "h:1", "ftp://h"] {
            let Err(Failure::Usage(why)) = named(wrong) else { panic!("{wrong} is taken") };
            assert!(why.starts_with("--server (or QUORATE_SERVER): "), "{why}");
        }
    }

    #[test]
    fn what_a_node_says_stays_on_one_line() {
        let health =
            |reason: &str| Health { healthy: false, status: "starting".into(), reason: Some(reason.into()) };
        assert_eq!(in_one_line(&health("a\nb\u{1b}")), "starting: a b ");
    }
}
