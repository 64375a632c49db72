//! Asking one node how it is, as a supervisor does: an answer of "no" is an answer here, not a failure.

use crate::{
    Error, Url,
    nodes::{Call, Nodes},
};
use reqwest::Method;
use serde::Deserialize;
use std::time::Duration;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `/livez`: does the process work?
    Live,
    /// `/readyz`: may it be sent requests?
    Ready,
}

/// What the node said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether that is a yes.
    pub healthy: bool,
    /// `ok`, `ready`, `degraded`, `starting`, `draining` or `removed`.
    pub status: String,
    /// Why it is not simply ready.
    pub reason: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Asks one node, and nobody else.
pub struct Probe {
    name: String,
    nodes: Nodes,
}

impl Probe {
    /// An answer must be there within `limit`.
    pub fn new(node: Url, limit: Duration) -> Result<Self, Error> {
        Ok(Self { name: node.to_string(), nodes: Nodes::new(vec![node], None, limit)? })
    }

    /// Asks once.
    pub async fn ask(&self, question: Question) -> Result<Health, Error> {
        let path = match question {
            Question::Live => "livez",
            Question::Ready => "readyz",
        };
        let call = Call { method: Method::GET, path: &[path], query: &[], body: None, if_match: None };
        let (status, body) = self.nodes.look(&call).await?;
        read(status, &body).map_err(|problem| Error::Answer { node: self.name.clone(), problem })
    }
}

/// A server of another kind may answer 200 to everything: what is no health document is no yes.
fn read(status: u16, body: &[u8]) -> Result<Health, String> {
    let wrong = |e: serde_json::Error| format!("status {status}, and no health document ({e})");
    let Body { status: word, reason } = serde_json::from_slice(body).map_err(wrong)?;
    Ok(Health { healthy: status == 200, status: word, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_health_document_with_200_is_a_yes() {
        let told = read(200, br#"{"status":"ready"}"#).expect("a document");
        assert_eq!(told, Health { healthy: true, status: "ready".into(), reason: None });
        let told = read(503, br#"{"status":"starting","reason":"no leader"}"#).expect("a document");
        assert_eq!((told.healthy, told.reason.as_deref()), (false, Some("no leader")));
        for (status, body) in [(200, "hello"), (200, ""), (404, "<html>"), (200, r#"{"ok":true}"#)] {
            let why = read(status, body.as_bytes()).expect_err(body);
            assert!(why.contains(&format!("status {status}, and no health document")), "{why}");
        }
    }
}
