//! The answers about sandboxes, as the sandbox proxy's contract has them.

use super::{Own, route::TEXT};
use http::StatusCode;
use quorate_telemetry::label::Outcome;

/// There is no way to ask the target.
pub(crate) fn not_asked() -> Own {
    text(StatusCode::INTERNAL_SERVER_ERROR, Outcome::Internal, "Error creating proxy request")
}

/// The target could not be reached, broke off, or did not answer in time; or nobody gets requests there.
pub(crate) fn failed(outcome: Outcome) -> Own {
    text(StatusCode::BAD_GATEWAY, outcome, "Error proxying request")
}

impl Own {
    /// What a route would answer, where it is made of a sandbox's rule: what there is to say is the same.
    pub fn of_sandbox(self) -> Self {
        Self { retry_after: self.retry_after, ..failed(self.outcome) }
    }
}

fn text(status: StatusCode, outcome: Outcome, body: &'static str) -> Own {
    Own { content_type: TEXT, ..Own::new(status, outcome, body) }
}
