//! Objects with many optional parts (routes, sandboxes, policies), as JSON with named fields: the same structs in the log and in
//! a snapshot.
//!
//! Such objects grow by fields. As positional structs each new field would be a new version of the whole and of all
//! that holds it. Here it is a field more, left out where it says nothing, so that what is written without it keeps
//! its bytes. A field that is not known is refused, never dropped: a node that applied less than the others would be
//! another replica from there on. That no older node meets one is the feature level's to see to.
//!
//! What is left out says nothing (none, empty, `false`). A number that has a default is always written: a default may
//! be tuned, and an object that stands must not change with it.
//!
//! What is read here goes through the model's constructors, and comes out exactly as it was written: nodes that hold
//! a value and nodes that read it must agree.

mod action;
mod config;
mod headers;
mod matching;
mod object;
mod past;
mod policy;
mod ramp;
mod route;
mod sandbox;
mod source;

pub(crate) use config::Config;
pub(crate) use object::{Object, ObjectId, ObjectStatus, StoredObject};
pub(crate) use past::DeclaredChange;
pub(crate) use policy::{Hold, Policy, Traffic};
pub(crate) use route::{Route, StoredRoute};
pub(crate) use sandbox::{Sandbox, StoredSandbox, ttl as sandbox_ttl};

use quorate_model::Invalid;
use serde::{Serialize, de::DeserializeOwned};

/// A document's text.
pub(crate) fn to_text<T: Serialize>(document: &T) -> String {
    serde_json::to_string(document).expect("structs of numbers, strings and lists always serialise")
}

/// Reads what [`to_text`] wrote. `what` names it in errors.
pub(crate) fn from_text<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Invalid> {
    serde_json::from_str(text).map_err(|error| {
        // It may quote a name from the text, however long.
        let problem: String = error.to_string().chars().take(200).collect();
        Invalid::new(
            what,
            format!("can't be read: {problem}"),
            "a document of a version that this node knows",
        )
    })
}

/// Whether a field says nothing.
fn is_false(flag: &bool) -> bool {
    !flag
}
