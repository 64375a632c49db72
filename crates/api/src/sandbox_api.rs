//! The objects of the sandbox API, in the manner of Kubernetes, as clients of the routing proxy know them that Quorate
//! replaces.
//!
//! An object is read as a whole and refused as a whole: each mistake is listed with its place, such as
//! `spec.routes[1].paths[0].prefix`. What was put is kept as it came, and shown so. What is shown beside it (metadata,
//! the status where nobody has said another one) is made when somebody asks.
//!
//! | module | what |
//! |---|---|
//! | [`put`] | what comes in |
//! | `spec`, `status`, `labels` | its parts |
//! | [`params`], [`selector`] | query parameters; which objects of a list |
//! | [`shown`], `local` | what goes out |
//! | [`answer`] | what is said where there is no object to show |

pub mod answer;
mod labels;
mod local;
pub mod params;
pub mod put;
pub mod selector;
pub mod shown;
mod spec;
mod status;
#[cfg(test)]
mod tests;

pub use answer::{DetailsBody, StatusBody, Why};
pub use local::LocalFacts;
pub use params::Params;
pub use put::{Deletion, Put, PutStatus, Refused};
pub use selector::Selector;
pub use shown::{Facts, ListBody, ObjectBody, object_shown};

use quorate_model::Resource;

/// What all objects say that they are of.
pub const API_VERSION: &str = "sandbox.example.com/v1alpha1";
/// The group of that.
pub const GROUP: &str = "sandbox.example.com";

/// The resource of this name in a path.
pub fn resource(name: &str) -> Option<Resource> {
    Resource::ALL.into_iter().find(|resource| resource.as_str() == name)
}
