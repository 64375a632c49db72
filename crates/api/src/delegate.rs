//! Delegates: workers that send heartbeats for their whole group.

use crate::{
    Wrong,
    fields::{Fields, number, text},
    timestamp,
};
use quorate_model::{Address, Delegate, Epoch, Worker, WorkerId, limit};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The label by which a worker says where it takes the heartbeats of its group, if not at its own address.
pub const URL_LABEL: &str = "delegate_url";

/// The delegate of a group, as its members are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeartbeatDelegate {
    /// Who. A worker that reads its own id here has the role.
    pub worker: String,
    /// Where it is reached.
    pub url: String,
    /// The role's fencing token: each holder has a larger one than the one before.
    pub epoch: u64,
}

impl HeartbeatDelegate {
    /// `worker` is the delegate's record.
    pub fn new(delegate: &Delegate, worker: &Worker) -> Self {
        let registration = &worker.registration;
        let own = || registration.extras().tunnel.as_ref().unwrap_or(&registration.address).clone();
        // A label is free text: what is no URL says nothing.
        let said = registration.labels.get(URL_LABEL).and_then(|url| Address::parse(url).ok());
        let url = said.unwrap_or_else(own).to_string();
        Self { worker: delegate.worker.to_string(), url, epoch: delegate.epoch.0 }
    }
}

/// An item of `GET /v1/delegates`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DelegateBody {
    /// Of which group.
    pub group: String,
    /// Who.
    pub worker: String,
    /// Where it is reached.
    pub url: String,
    /// The role's fencing token.
    pub epoch: u64,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
}

impl DelegateBody {
    /// `worker` is the delegate's record.
    pub fn new(delegate: &Delegate, worker: &Worker) -> Self {
        let HeartbeatDelegate { worker, url, epoch } = HeartbeatDelegate::new(delegate, worker);
        Self {
            group: delegate.group.to_string(),
            worker,
            url,
            epoch,
            since: timestamp::millis(delegate.since),
        }
    }
}

/// Who speaks for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spokesman {
    /// Who claims the role.
    pub worker: WorkerId,
    /// The fencing token that it claims it by.
    pub epoch: Epoch,
}

/// `POST /v1/workers/{id}/report-down`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportDownBody {
    /// The delegate that says so.
    #[schema(min_length = 1, max_length = 253)]
    pub by: String,
    /// The fencing token of its role.
    pub epoch: u64,
    /// What it saw, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub reason: Option<String>,
}

/// Reads the body of a report: who says so, and what it saw.
pub fn report_down(body: Map<String, Value>) -> Result<(Spokesman, Option<String>), Wrong> {
    let mut fields = Fields::of_body(body);
    let by = fields.required("by", "the delegate's id", text("a worker's id", WorkerId::parse));
    let epoch = fields.required("epoch", "the delegate's epoch", number(u64::MAX)).map(Epoch);
    let reason = fields.optional("reason", text("a string", reason));
    let wrong = fields.finish();
    match (by, epoch) {
        (Some(worker), Some(epoch)) if wrong.is_empty() => Ok((Spokesman { worker, epoch }, reason)),
        (_, _) => Err(wrong),
    }
}

fn reason(text: &str) -> Result<String, quorate_model::Invalid> {
    if text.len() > limit::LABEL_BYTES_MAX || text.chars().any(char::is_control) {
        let allowed = format!("at most {} bytes of printable text", limit::LABEL_BYTES_MAX);
        return Err(quorate_model::Invalid::new("", "is too long or not printable", allowed));
    }
    Ok(text.to_owned())
}

/// What a report that a worker is down came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictBody {
    /// No node that was asked gets a connection: its lease ends now instead of when its TTL is over.
    Down,
    /// A node got a connection: nothing changes.
    Up,
    /// It has too many addresses to look at, or this node gets no connection and no second node could be asked: nothing
    /// changes.
    Unconfirmed,
    /// It was heard, or registered anew, while it was looked at: nothing changes.
    Heard,
    /// It had expired already.
    Expired,
}

/// What a report answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportAnswer {
    /// What it came to.
    pub verdict: VerdictBody,
    /// What each node that looked found.
    pub probes: Vec<ProbeBody>,
}

/// What one node found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProbeBody {
    /// Which.
    pub node: String,
    /// Whether it got a connection; null: it could not look.
    #[schema(required)]
    pub connected: Option<bool>,
    /// In words.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_names_who_says_so_and_each_wrong_field() {
        let read = |body: Value| report_down(body.as_object().expect("an object").clone());
        let (by, reason) = read(json!({"by": "w1", "epoch": 7, "reason": "no answer"})).expect("valid");
        assert_eq!((by.worker.as_str(), by.epoch, reason.as_deref()), ("w1", Epoch(7), Some("no answer")));
        let wrong = read(json!({"reason": "x".repeat(257), "why": 1})).expect_err("all is wrong");
        let fields: Vec<_> = wrong.iter().map(|w| w.field.as_str()).collect();
        assert_eq!(fields, ["by", "epoch", "reason", "why"]);
    }
}
