//! All that operators declare, as one document.

mod past;
mod schema;

pub use past::{ConfigEntryBody, ConfigHistoryBody, PastChange, PastChangeBody, RollbackBody, rollback};
pub use schema::schema;

use crate::{
    Wrong,
    answer::VisibleBody,
    fields::{Fields, named, nested},
    keyspace::{self, KeyspacePut, Settings},
    route::{self, RoutePut},
    sandbox::{self, SandboxPut},
    service::{self, ServicePut},
};
use quorate_model::{
    Config, ConfigMode, Invalid, KeyspaceConfig, KeyspaceName, RouteName, RoutingKey, ServiceName, limit,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `/v1/config`: each object by its name, written as its own resource is. With PATCH a null in the place of a route, a
/// sandbox or a policy says that it is to go.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigBody {
    /// Routes.
    #[schema(required = false)]
    pub routes: BTreeMap<String, RoutePut>,
    /// Sandboxes, by the key that requests carry. One that stands as it is said keeps its time.
    #[schema(required = false)]
    pub sandboxes: BTreeMap<String, SandboxPut>,
    /// Policies of services.
    #[schema(required = false)]
    pub services: BTreeMap<String, ServicePut>,
    /// Keyspaces. They are never taken away.
    #[schema(required = false)]
    pub keyspaces: BTreeMap<String, KeyspacePut>,
}

/// What a document would change, or has changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConfigAnswer {
    /// True with `dry_run`: nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// The log index at which it was applied; with `dry_run` that of the View that it was checked against.
    pub index: u64,
    /// With `visible`: which nodes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<VisibleBody>,
    /// Where what is declared had changed last before this, as far as this node knew: `changes` are against that. For
    /// `If-Match`, behind a `dry_run`.
    pub base_index: u64,
    /// Each object that is another one now than this node knew just before.
    pub changes: Vec<ConfigChange>,
}

/// An object that a document changes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ConfigChange {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub change: ObjectChange,
    /// With `diff`: what it said, unless it is created. Behind 8 MiB of documents in one answer, no more are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// With `diff`: what it says then, unless it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// What operators declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A route.
    Route,
    /// A sandbox.
    Sandbox,
    /// The policy of a service.
    Service,
    /// A keyspace.
    Keyspace,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectChange {
    /// It was not there before.
    Created,
    /// It says something else.
    Changed,
    /// It is gone.
    Removed,
}

/// Reads a document. `mode` decides what a null says: with a merge that the object is to go, otherwise nothing that is
/// allowed.
pub fn config(body: Map<String, Value>, mode: ConfigMode) -> Result<Config, Wrong> {
    const MAX: usize = limit::CONFIG_OBJECTS_MAX;
    let mut fields = Fields::of_body(body);
    let routes = fields.optional("routes", named(MAX, |name, value| read_route(name, value, mode)));
    let sandboxes = fields.optional("sandboxes", named(MAX, |key, value| read_sandbox(key, value, mode)));
    let services = fields.optional("services", named(MAX, |name, value| read_policy(name, value, mode)));
    let keyspaces = fields.optional("keyspaces", named(MAX, read_keyspace));
    let config = Config {
        routes: routes.into_iter().flatten().collect(),
        sandboxes: sandboxes.into_iter().flatten().collect(),
        services: services.into_iter().flatten().collect(),
        keyspaces: keyspaces.into_iter().flatten().collect(),
    };
    if config.len() > MAX {
        let problem = format!("names {} objects", config.len());
        fields.add([Invalid::new("body", problem, format!("at most {MAX} at once"))]);
    }
    let wrong = fields.finish();
    if wrong.is_empty() { Ok(config) } else { Err(wrong) }
}

type Named<N, T> = (N, Option<T>);

fn read_route(
    name: &str,
    value: Value,
    mode: ConfigMode,
) -> Result<Named<RouteName, quorate_model::Route>, Wrong> {
    let name = RouteName::parse(name).map_err(|wrong| vec![wrong.renamed("")])?;
    match value {
        Value::Null => gone(mode).map(|()| (name, None)),
        value => {
            let route = nested(value, |fields| route::document(name.clone(), fields))?;
            Ok((name, Some(route)))
        }
    }
}

fn read_sandbox(
    key: &str,
    value: Value,
    mode: ConfigMode,
) -> Result<Named<RoutingKey, quorate_model::Sandbox>, Wrong> {
    let renamed = |wrong: Invalid| vec![wrong.renamed("")];
    match value {
        // One that stands from a time when nobody asked can go.
        Value::Null => gone(mode).and_then(|()| Ok((RoutingKey::parse(key).map_err(renamed)?, None))),
        value => {
            let key = RoutingKey::parse_declared(key).map_err(renamed);
            let (key, sandbox) = both(key, nested(value, sandbox::document))?;
            Ok((key, Some(sandbox)))
        }
    }
}

/// Two things, or what is wrong with either of them.
pub fn both<A, B>(a: Result<A, Wrong>, b: Result<B, Wrong>) -> Result<(A, B), Wrong> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => Err(wrong),
        (Err(a), Err(b)) => Err(a.into_iter().chain(b).collect()),
    }
}

fn read_policy(
    name: &str,
    value: Value,
    mode: ConfigMode,
) -> Result<Named<ServiceName, quorate_model::ServicePolicy>, Wrong> {
    let renamed = |wrong: Invalid| vec![wrong.renamed("")];
    match value {
        // One that stands from a time when nobody asked can go.
        Value::Null => gone(mode).and_then(|()| Ok((ServiceName::parse(name).map_err(renamed)?, None))),
        value => {
            let name = ServiceName::parse_offered(name).map_err(renamed)?;
            Ok((name, Some(nested(value, service::document)?)))
        }
    }
}

fn read_keyspace(name: &str, value: Value) -> Result<(KeyspaceName, KeyspaceConfig), Wrong> {
    let name = KeyspaceName::parse(name).map_err(|wrong| vec![wrong.renamed("")])?;
    if value.is_null() {
        let allowed = "an object; a keyspace is never taken away, because workers' claims hang on it";
        return Err(vec![Invalid::new("", "is null", allowed)]);
    }
    let Settings { partitions, source, hold } = nested(value, |fields| Some(keyspace::document(fields)))?;
    Ok((name, KeyspaceConfig { partitions, source, hold }))
}

fn gone(mode: ConfigMode) -> Result<(), Wrong> {
    match mode {
        ConfigMode::Merge => Ok(()),
        ConfigMode::Replace => {
            let allowed = "an object; what a replacing document does not name goes by itself";
            Err(vec![Invalid::new("", "is null", allowed)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{KeyspaceSource, route::Action};
    use serde_json::json;

    fn read(body: Value, mode: ConfigMode) -> Result<Config, Vec<String>> {
        config(body.as_object().expect("an object").clone(), mode)
            .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    fn places(body: Value, mode: ConfigMode) -> Vec<String> {
        let wrong = config(body.as_object().expect("an object").clone(), mode).expect_err("wrong");
        wrong.into_iter().map(|one| one.field).collect()
    }

    /// A bad key hid what is wrong with the sandbox.
    #[test]
    fn a_bad_key_hides_no_other_mistake() {
        let body = json!({"sandboxes": {"a b": {"rules": [{"target": "10.0.0.8"}]}, "..": {"rules": []}}});
        assert_eq!(
            places(body, ConfigMode::Merge),
            [
                "sandboxes[\"..\"]",
                "sandboxes[\"..\"].rules",
                "sandboxes[\"a b\"]",
                "sandboxes[\"a b\"].rules[0].target"
            ]
        );
        assert!(read(json!({"sandboxes": {"..": null}}), ConfigMode::Merge).is_ok(), "it can go");
    }

    #[test]
    fn a_document_names_objects_of_all_kinds() {
        let body = json!({
            "routes": {"web": {"match": {}, "destinations": [{"service": "upload"}]}},
            "sandboxes": {"dev-1": {"rules": [{"target": "h:1"}], "ttl": "24h"}},
            "services": {"upload": {"timeout": "3s"}},
            "keyspaces": {"default": {"partitions": 12}, "k": {"source": "kafka"}},
        });
        let read = read(body, ConfigMode::Replace).expect("valid");
        assert_eq!(read.sandboxes["dev-1"].as_ref().map(|sandbox| sandbox.rules.len()), Some(1));
        assert_eq!((read.routes.len(), read.services.len(), read.keyspaces.len()), (1, 1, 2));
        let route = read.routes["web"].as_ref().expect("not to go");
        assert!(matches!(&route.action, Action::Forward(forwarding) if forwarding.destinations.len() == 1));
        assert_eq!(read.keyspaces["k"].source, KeyspaceSource::Kafka);
        assert!(config(Map::new(), ConfigMode::Merge).expect("valid").is_empty());
    }

    #[test]
    fn a_null_takes_away_where_objects_are_merged() {
        let body = json!({"routes": {"web": null}, "sandboxes": {"k": null}, "services": {"upload": null}});
        let merged = read(body.clone(), ConfigMode::Merge).expect("valid");
        assert_eq!((&merged.routes["web"], &merged.services["upload"]), (&None, &None));
        assert_eq!(merged.sandboxes["k"], None);
        let expected = ["routes.web", "sandboxes.k", "services.upload"];
        assert_eq!(places(body, ConfigMode::Replace), expected);
        assert_eq!(places(json!({"keyspaces": {"k": null}}), ConfigMode::Merge), ["keyspaces.k"]);
    }

    #[test]
    fn every_mistake_of_every_object_has_its_place() {
        let body = json!({
            "routes": {
                "web": {"match": {"path_prefix": "x"}, "destinations": [{"service": "a", "weight": -1}]},
                "a.b": {"match": {}, "destinations": []},
                " ": {"match": {}, "destinations": [{"service": "a"}]},
                "ok": {"match": {}, "destinations": [{"service": "a"}]},
            },
            "sandboxes": {"k": {}, "a b": {}, "x": {"rules": [{"target": "a", "fallback": 1}], "ttl": "1s"}},
            "services": {"upload": {"breaker": {"failures": 0}, "hold": "1h"}},
            "keyspaces": {"default": {}},
            "gateways": {},
        });
        assert_eq!(
            places(body, ConfigMode::Merge),
            [
                "routes[\" \"]",
                "routes[\"a.b\"].destinations",
                "routes.web.match.path_prefix",
                "routes.web.destinations[0].weight",
                "sandboxes[\"a b\"]",
                "sandboxes[\"a b\"].rules",
                "sandboxes.k.rules",
                "sandboxes.x.rules[0].fallback",
                "sandboxes.x.ttl",
                "services.upload.hold",
                "services.upload.breaker.failures",
                "keyspaces.default.partitions",
                "gateways",
            ]
        );
    }

    /// A policy for a service that nobody can offer and no path can name would be without a meaning for ever.
    #[test]
    fn a_service_has_a_name_that_requests_can_say() {
        let named = |name: &str| json!({"services": {name: {"timeout": "3s"}}});
        for name in ["a/b", "a\\b", ".", ".."] {
            let wrong = read(named(name), ConfigMode::Merge).expect_err(name);
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].starts_with("services") && wrong[0].contains("without slashes"), "{wrong:?}");
        }
        assert!(read(named("..."), ConfigMode::Merge).is_ok());
        // One from a time when nobody asked can go.
        assert!(read(json!({"services": {"a/b": null}}), ConfigMode::Merge).is_ok());
        let to = |target: Value| json!({"routes": {"r": {"match": {}, "destinations": [target]}}});
        assert_eq!(
            places(to(json!({"service": "a/b"})), ConfigMode::Merge),
            ["routes.r.destinations[0].service"]
        );
        assert_eq!(places(to(json!({"url": ".."})), ConfigMode::Merge), ["routes.r.destinations[0].url"]);
    }

    #[test]
    fn a_document_is_bounded() {
        let routes: Map<String, Value> =
            (0..=limit::CONFIG_OBJECTS_MAX).map(|nth| (nth.to_string(), Value::Null)).collect();
        let wrong = read(json!({"routes": routes}), ConfigMode::Merge).expect_err("too many");
        assert_eq!(wrong, ["routes: has 20001 items; allowed: at most 20000"]);
        let half: Map<String, Value> =
            (0..limit::CONFIG_OBJECTS_MAX).map(|nth| (nth.to_string(), Value::Null)).collect();
        let both = json!({"routes": half, "services": {"a": null}});
        assert_eq!(places(both, ConfigMode::Merge), ["body"]);
    }
}
