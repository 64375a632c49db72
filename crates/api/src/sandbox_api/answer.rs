//! `Status` objects: what clients of Kubernetes are told where there is no object to show.

use crate::{Wrong, fields};
use quorate_model::{Invalid, ObjectId, ObjectRefusal, Resource};
use serde::Serialize;
use utoipa::ToSchema;

/// Most causes of one answer.
const CAUSES_MAX: usize = 100;

/// Why there is no object, in the words of Kubernetes, and the code that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum Why {
    /// The body, a parameter or a name can't be read.
    BadRequest,
    /// A bound is reached.
    Forbidden,
    /// There is no such object, or no such path.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// There is one already.
    AlreadyExists,
    /// It has changed.
    Conflict,
    /// The body is too large.
    RequestEntityTooLarge,
    /// The body is no JSON.
    UnsupportedMediaType,
    /// Fields are wrong.
    Invalid,
    /// It may have been done, or not.
    InternalError,
    /// It can't be done now.
    ServiceUnavailable,
    /// This node is not that far.
    Timeout,
}

impl Why {
    /// The HTTP status.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// A `Status` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KubernetesStatus)]
pub struct StatusBody {
    /// `Status`.
    pub kind: &'static str,
    /// `v1`.
    pub api_version: &'static str,
    /// Empty.
    #[schema(value_type = Object)]
    pub metadata: Nothing,
    /// `Success` or `Failure`.
    pub status: &'static str,
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Why>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<DetailsBody>,
    /// As the HTTP status.
    pub code: u16,
}

/// An object without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Nothing {}

/// What a [`StatusBody`] is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KubernetesStatusDetails)]
pub struct DetailsBody {
    /// The name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The resource, such as `sandboxes`.
    pub kind: &'static str,
    /// Of an object that was taken away: which one it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Each wrong field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CauseBody>,
    /// When to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// A wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KubernetesStatusCause)]
pub struct CauseBody {
    /// `FieldValueRequired` or `FieldValueInvalid`.
    pub reason: &'static str,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// Its place, such as `spec.ttl`.
    pub field: String,
}

impl From<Invalid> for CauseBody {
    fn from(wrong: Invalid) -> Self {
        let is_missing = wrong.problem == "is missing";
        let reason = if is_missing { "FieldValueRequired" } else { "FieldValueInvalid" };
        let message = format!("{}; allowed: {}", wrong.problem, wrong.allowed);
        Self { reason, message, field: wrong.field }
    }
}

impl StatusBody {
    /// A failure.
    pub fn failure(why: Why, message: impl Into<String>) -> Self {
        Self {
            kind: "Status",
            api_version: "v1",
            metadata: Nothing {},
            status: "Failure",
            message: message.into(),
            reason: Some(why),
            details: None,
            code: why.code(),
        }
    }

    /// The same about objects of a kind, or one of them.
    #[must_use]
    pub fn about(mut self, resource: Resource, name: &str) -> Self {
        let details = self.details.take().unwrap_or_default();
        self.details = Some(DetailsBody { kind: resource.as_str(), name: name.into(), ..details });
        self
    }

    /// Fields are wrong.
    pub fn invalid(resource: Resource, name: &str, wrong: Wrong) -> Self {
        let kind = resource.kind();
        let shown = fields::in_one_line(&wrong);
        let message = format!("{kind}.{} \"{name}\" is invalid: {shown}", super::GROUP);
        let causes = wrong.into_iter().take(CAUSES_MAX).map(CauseBody::from).collect();
        let mut body = Self::failure(Why::Invalid, message).about(resource, name);
        body.details.get_or_insert_default().causes = causes;
        body
    }

    /// An object was not changed.
    pub fn refused(refusal: &ObjectRefusal) -> Self {
        let about = |id: &ObjectId, why, said: &str| {
            let message = format!("{}.{} \"{}\" {said}", id.resource.as_str(), super::GROUP, id.name);
            Self::failure(why, message).about(id.resource, id.name.as_str())
        };
        match refusal {
            ObjectRefusal::Unknown { id } => about(id, Why::NotFound, "not found"),
            ObjectRefusal::Exists { id } => about(id, Why::AlreadyExists, "already exists"),
            ObjectRefusal::Changed { id, current } => {
                let said = format!("has been modified: its resourceVersion is {current}; read it anew");
                about(id, Why::Conflict, &said)
            }
            ObjectRefusal::Other { id } => {
                about(id, Why::Conflict, "is another one by now: its uid is not the one that was named")
            }
            ObjectRefusal::Full { .. } | ObjectRefusal::NotEmpty { .. } => {
                Self::failure(Why::Forbidden, refusal.to_string())
            }
        }
    }

    /// An object was taken away.
    pub fn deleted(id: &ObjectId, uid: Option<u128>) -> Self {
        let details = DetailsBody {
            name: id.name.to_string(),
            kind: id.resource.as_str(),
            uid: uid.map(super::shown::uid),
            ..DetailsBody::default()
        };
        Self {
            status: "Success",
            reason: None,
            code: 200,
            details: Some(details),
            ..Self::failure(Why::NotFound, format!("{id} is taken away"))
        }
    }
}
