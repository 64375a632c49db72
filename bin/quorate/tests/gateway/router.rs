//! One node with both routing listeners, and what operators tell it.

use crate::support::{eventually, free_address, http::Ask, node::Node};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path};

/// A node alone. Dropping it kills it and removes its data.
pub struct Router {
    pub node: Node,
    /// Where TLS is spoken.
    pub https: SocketAddr,
    /// Behind the node: it is gone when this goes.
    folder: tempfile::TempDir,
}

impl Router {
    /// Ready, with two data-plane threads: the pools of one are not those of the other.
    pub fn ready() -> Self {
        Self::ready_with(&[])
    }

    /// The same with more flags.
    pub fn ready_with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = Node::new("n1", folder.path());
        let https = free_address();
        let [cert, key] = certificate(folder.path());
        let tls = ["--https", &https.to_string(), "--tls-cert", &cert, "--tls-key", &key];
        let common = ["--worker-ttl", "1h", "--threads", "2", "--log-format", "text"];
        node.args.extend(tls.iter().chain(&common).chain(flags).map(|arg| (*arg).to_owned()));
        node.start();
        node.becomes("ready");
        let newest = quorate_model::FeatureLevel::NEWEST.get();
        let risen = || (node.get("/v1/cluster")["feature_level"] == newest).then_some(());
        eventually("the feature level is raised", risen);
        Self { node, https, folder }
    }

    /// Where a test may write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A worker that offers one service.
    pub fn worker(&self, id: &str, service: &str, address: SocketAddr) {
        worker(&self.node, id, service, address);
    }

    /// Sets a service's policy.
    pub fn policy(&self, service: &str, policy: &Value) {
        put(&self.node, &format!("/v1/services/{service}"), policy);
    }

    /// Sets a route.
    pub fn route(&self, name: &str, route: &Value) {
        put(&self.node, &format!("/v1/routes/{name}"), route);
    }

    /// The URL of a service's path on the listener without TLS.
    pub fn url(&self, service: &str, path: &str) -> String {
        format!("http://{}/api/service/{service}{path}", self.node.routing)
    }
}

/// A worker that offers one service, told to any node.
pub fn worker(node: &Node, id: &str, service: &str, address: SocketAddr) {
    let url = format!("http://{address}");
    put(
        node,
        &format!("/v1/workers/{id}"),
        &json!({"address": url, "services": [{"name": service}], "ttl": "1h"}),
    );
}

/// Sets something, which is then in force on this node.
pub fn put(node: &Node, target: &str, body: &Value) {
    let answer = node.ask(&Ask::json("PUT", target, body));
    assert!(matches!(answer.status, 200 | 201), "{target}: {}: {}", answer.status, answer.text());
}

/// What a node counts of something, over all its labels or those that `label` is in.
pub fn counted(node: &Node, metric: &str, label: &str) -> u64 {
    let text = node.ask(&Ask::get("/metrics")).ok().text();
    let lines = text
        .lines()
        .filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let values = lines
        .filter(|line| line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole and not negative"
    )]
    let sum = values.sum::<f64>() as u64;
    sum
}

/// A new one in the place of the node's.
pub fn certificate(folder: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.expect("a certificate");
    [("tls.pem", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())].map(|(name, pem)| {
        let path = folder.join(name);
        std::fs::write(&path, pem).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    })
}
