//! What a caller can do about a failure.

use serde::Deserialize;
use std::fmt;

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The caller's own values can't work.
    #[error("{0}")]
    Invalid(String),
    /// This process can't make connections at all.
    #[error("cannot prepare connections: {0}")]
    Setup(String),
    /// No node gave an answer. Trying again later is right.
    #[error("no node answers: {}", list(.0))]
    Unreachable(
        /// Each that was tried.
        Vec<Silence>,
    ),
    /// A node answered that it can't or won't.
    #[error("{0}")]
    Refused(Problem),
    /// A node answered something that this library does not understand.
    #[error("{node} gave an answer that makes no sense: {problem}")]
    Answer {
        /// The node.
        node: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl Error {
    /// The problem, where a node named one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Invalid(_) | Self::Setup(_) | Self::Unreachable(_) | Self::Answer { .. } => None,
        }
    }

    /// Whether a node said that no such worker is registered.
    pub fn is_unknown_worker(&self) -> bool {
        self.problem().is_some_and(|problem| problem.code == "worker_unknown")
    }
}

/// One node that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its base URL.
    pub node: String,
    /// What happened.
    pub why: String,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.node, self.why)
    }
}

fn list(silent: &[Silence]) -> String {
    silent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A refusal, as RFC 9457 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable name of the problem, such as `worker_unknown`; empty where the answer named none.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// Each field that is wrong.
    pub errors: Vec<FieldError>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// As the body spells it.
    #[serde(default)]
    pub field: String,
    /// What is wrong, and what is allowed.
    #[serde(default)]
    pub detail: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

impl Problem {
    /// Reads an error answer; what is no problem document keeps its status.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Body>(body) {
            Ok(Body { code, title, detail, errors }) => {
                let detail = if detail.is_empty() { title } else { detail };
                Self { status, code, detail, errors }
            }
            Err(_) => Self { status, code: String::new(), detail: String::new(), errors: Vec::new() },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.detail.is_empty(), self.code.is_empty()) {
            (true, true) => write!(
                f,
                "status {}, without a word why: is this the management address of a node?",
                self.status
            )?,
            (true, false) => write!(f, "{} ({})", self.code, self.status)?,
            (false, true) => write!(f, "{} (status {})", self.detail, self.status)?,
            (false, false) => write!(f, "{} ({}, {})", self.detail, self.code, self.status)?,
        }
        let is_said = |error: &FieldError| self.detail == format!("{}: {}", error.field, error.detail);
        for error in self.errors.iter().filter(|error| !is_said(error)) {
            write!(f, "\n  {}: {}", error.field, error.detail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_code_and_fields() {
        let body = br#"{"type":"about:blank","title":"t","status":400,"code":"invalid_request","detail":"two fields are wrong",
            "errors":[{"field":"ttl","detail":"is 0 ms; allowed: 1s to 24h"}]}"#;
        let problem = Problem::read(400, body);
        assert_eq!(
            problem.to_string(),
            "two fields are wrong (invalid_request, 400)\n  ttl: is 0 ms; allowed: 1s to 24h"
        );
        let single = br#"{"status":400,"code":"invalid_request","detail":"url: is no URL; allowed: a URL",
            "errors":[{"field":"url","detail":"is no URL; allowed: a URL"}]}"#;
        assert_eq!(
            Problem::read(400, single).to_string(),
            "url: is no URL; allowed: a URL (invalid_request, 400)"
        );
        assert_eq!(
            Problem::read(502, b"<html>").to_string(),
            "status 502, without a word why: is this the management address of a node?"
        );
    }
}
