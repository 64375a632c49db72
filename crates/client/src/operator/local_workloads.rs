//! Local workloads of the sandbox API, as far as whoever runs one asks for them.

use super::{Operator, Told};
use crate::Error;
use reqwest::Method;
use serde::Deserialize;

/// `GET /api/v1alpha1/namespaces/{namespace}/localworkloads/{name}`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LocalWorkloadRecord {
    /// How it is.
    #[serde(default)]
    pub status: LocalWorkloadStatus,
}

/// How a local workload is.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LocalWorkloadStatus {
    /// What is told of it.
    #[serde(default)]
    pub conditions: Vec<ConditionRecord>,
}

/// Something that is so, or is not.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ConditionRecord {
    /// What, such as `Ready`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
}

impl LocalWorkloadRecord {
    /// Whether requests come to it, and why.
    pub fn ready(&self) -> Option<&ConditionRecord> {
        self.status.conditions.iter().find(|condition| condition.kind == "Ready")
    }
}

impl Operator {
    /// A local workload; `None`: there is none of this name.
    pub async fn local_workload(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Told<LocalWorkloadRecord>>, Error> {
        let path = ["api", "v1alpha1", "namespaces", namespace, "localworkloads", name];
        match self.one(Method::GET, &path, None).await {
            Ok(told) => Ok(Some(told)),
            // Its refusals are no problem documents.
            Err(Error::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }
}
