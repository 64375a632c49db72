//! Objects of the sandbox API: what the cluster acts on, and beside it all of it as it was put.

use super::{
    headers::{Header, read_headers},
    sandbox::ttl,
};
use quorate_model as model;
use quorate_model::{
    Address, DnsLabel, Epoch, Invalid, LogIndex, LogTime, RoutingKey, SandboxTtl, ServiceName, limit, object,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Which object.
#[derive(Serialize, Deserialize)]
pub(crate) struct ObjectId {
    resource: Resource,
    namespace: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Resource {
    Sandboxes,
    RouteGroups,
    LocalWorkloads,
}

/// An object as it is put.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Object {
    namespace: String,
    name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<Box<str>, Box<str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<Box<str>, Box<str>>,
    spec: Spec,
    text: Box<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Spec {
    Sandbox {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        routing_key: Option<String>,
        services: Vec<String>,
    },
    RouteGroup {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_key: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        header: Option<Box<str>>,
        routes: Vec<GroupRoute>,
    },
    LocalWorkload {
        sandbox: String,
        service: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupRoute {
    key: String,
    target: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path_prefixes: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths_exact: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    add_headers: Vec<Header>,
}

/// How it is, as it was said.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<Endpoint>,
    text: Box<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    service: String,
    address: String,
}

/// An object as the cluster holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredObject {
    object: Object,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<ObjectStatus>,
    /// As hexadecimal digits: a number of JSON has too few.
    uid: String,
    epoch: u64,
    generation: u64,
    created_at_ms: u64,
    changed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_ms: Option<u64>,
}

impl From<&model::ObjectId> for ObjectId {
    fn from(id: &model::ObjectId) -> Self {
        let model::ObjectId { resource, namespace, name } = id;
        let resource = match resource {
            model::Resource::Sandboxes => Resource::Sandboxes,
            model::Resource::RouteGroups => Resource::RouteGroups,
            model::Resource::LocalWorkloads => Resource::LocalWorkloads,
        };
        Self { resource, namespace: namespace.to_string(), name: name.to_string() }
    }
}

impl TryFrom<ObjectId> for model::ObjectId {
    type Error = Invalid;

    fn try_from(id: ObjectId) -> Result<Self, Invalid> {
        let resource = match id.resource {
            Resource::Sandboxes => model::Resource::Sandboxes,
            Resource::RouteGroups => model::Resource::RouteGroups,
            Resource::LocalWorkloads => model::Resource::LocalWorkloads,
        };
        let (namespace, name) = (DnsLabel::parse(&id.namespace)?, DnsLabel::parse(&id.name)?);
        Ok(Self { resource, namespace, name })
    }
}

impl From<&model::Object> for Object {
    fn from(object: &model::Object) -> Self {
        let id = object.id();
        Self {
            namespace: id.namespace.to_string(),
            name: id.name.to_string(),
            labels: object.labels.clone(),
            annotations: object.annotations.clone(),
            spec: object.spec().into(),
            text: object.text.as_str().into(),
        }
    }
}

impl TryFrom<Object> for model::Object {
    type Error = Invalid;

    fn try_from(object: Object) -> Result<Self, Invalid> {
        let (namespace, name) = (DnsLabel::parse(&object.namespace)?, DnsLabel::parse(&object.name)?);
        let text = object::ObjectText::new("spec", &object.text)?;
        let mut read = Self::new(namespace, name, object.spec.try_into()?, text);
        (read.labels, read.annotations) = (object.labels, object.annotations);
        Ok(read)
    }
}

impl From<&object::ObjectSpec> for Spec {
    fn from(spec: &object::ObjectSpec) -> Self {
        match spec {
            object::ObjectSpec::Sandbox(object::SandboxSpec { ttl, routing_key, services }) => {
                Self::Sandbox {
                    ttl_ms: ttl.map(SandboxTtl::as_ms),
                    routing_key: routing_key.as_ref().map(ToString::to_string),
                    services: services.iter().map(ToString::to_string).collect(),
                }
            }
            object::ObjectSpec::RouteGroup(object::RouteGroupSpec { default_key, header, routes }) => {
                Self::RouteGroup {
                    default_key: default_key.as_ref().map(ToString::to_string),
                    header: header.clone(),
                    routes: routes.iter().map(GroupRoute::from).collect(),
                }
            }
            object::ObjectSpec::LocalWorkload(object::LocalWorkloadSpec { sandbox, service }) => {
                Self::LocalWorkload { sandbox: sandbox.to_string(), service: service.to_string() }
            }
        }
    }
}

impl TryFrom<Spec> for object::ObjectSpec {
    type Error = Invalid;

    fn try_from(spec: Spec) -> Result<Self, Invalid> {
        let key = |text: String| RoutingKey::parse(&text);
        Ok(match spec {
            Spec::Sandbox { ttl_ms, routing_key, services } => {
                let services = services.iter().map(|name| ServiceName::parse(name));
                Self::Sandbox(object::SandboxSpec {
                    ttl: ttl_ms.map(ttl).transpose()?,
                    routing_key: routing_key.map(key).transpose()?,
                    services: services.collect::<Result<_, Invalid>>()?,
                })
            }
            Spec::RouteGroup { default_key, header, routes } => {
                bounded("routes", routes.len(), limit::ROUTES_PER_GROUP_MAX)?;
                let header = header.map(|name| object::RouteGroupSpec::header("header", &name));
                Self::RouteGroup(object::RouteGroupSpec {
                    default_key: default_key.map(key).transpose()?,
                    header: header.transpose()?,
                    routes: crate::v1::all(routes)?,
                })
            }
            Spec::LocalWorkload { sandbox, service } => Self::LocalWorkload(object::LocalWorkloadSpec {
                sandbox: DnsLabel::parse(&sandbox)?,
                service: ServiceName::parse(&service)?,
            }),
        })
    }
}

impl From<&object::GroupRoute> for GroupRoute {
    fn from(route: &object::GroupRoute) -> Self {
        let object::GroupRoute { key, target, path_prefixes, paths_exact, add_headers } = route;
        Self {
            key: key.to_string(),
            target: target.to_string(),
            path_prefixes: path_prefixes.clone(),
            paths_exact: paths_exact.clone(),
            add_headers: add_headers.iter().map(Header::from).collect(),
        }
    }
}

/// That a list is no longer than those who make one may make it.
fn bounded(field: &str, count: usize, max: usize) -> Result<(), Invalid> {
    if count <= max {
        return Ok(());
    }
    Err(Invalid::new(field, format!("has {count}"), format!("at most {max}")))
}

impl TryFrom<GroupRoute> for object::GroupRoute {
    type Error = Invalid;

    fn try_from(route: GroupRoute) -> Result<Self, Invalid> {
        bounded("add_headers", route.add_headers.len(), limit::MATCH_VALUES_MAX)?;
        let paths = |field, paths: Vec<Box<str>>| {
            bounded(field, paths.len(), limit::MATCH_VALUES_MAX)?;
            paths.iter().map(|path| model::SandboxRule::path(field, path)).collect::<Result<_, Invalid>>()
        };
        Ok(Self {
            key: RoutingKey::parse(&route.key)?,
            target: DnsLabel::parse(&route.target)?,
            path_prefixes: paths("path_prefixes", route.path_prefixes)?,
            paths_exact: paths("paths_exact", route.paths_exact)?,
            add_headers: read_headers("add_headers", route.add_headers)?,
        })
    }
}

impl From<&model::ObjectStatus> for ObjectStatus {
    fn from(status: &model::ObjectStatus) -> Self {
        let model::ObjectStatus { endpoints, text } = status;
        let endpoint = |(service, address): &(ServiceName, Address)| Endpoint {
            service: service.to_string(),
            address: address.to_string(),
        };
        Self { endpoints: endpoints.iter().map(endpoint).collect(), text: text.as_str().into() }
    }
}

impl TryFrom<ObjectStatus> for model::ObjectStatus {
    type Error = Invalid;

    fn try_from(status: ObjectStatus) -> Result<Self, Invalid> {
        let endpoint = |one: Endpoint| Ok((ServiceName::parse(&one.service)?, Address::parse(&one.address)?));
        Ok(Self {
            endpoints: status.endpoints.into_iter().map(endpoint).collect::<Result<_, Invalid>>()?,
            text: object::ObjectText::new("status", &status.text)?,
        })
    }
}

impl From<&model::StoredObject> for StoredObject {
    fn from(stored: &model::StoredObject) -> Self {
        let model::StoredObject { object, status, uid, epoch, generation, created_at, changed, ends } =
            stored;
        Self {
            object: (&**object).into(),
            status: status.as_deref().map(ObjectStatus::from),
            uid: format!("{uid:032x}"),
            epoch: epoch.0,
            generation: *generation,
            created_at_ms: created_at.0,
            changed: changed.0,
            ends_ms: ends.map(|ends| ends.0),
        }
    }
}

impl TryFrom<StoredObject> for model::StoredObject {
    type Error = Invalid;

    fn try_from(stored: StoredObject) -> Result<Self, Invalid> {
        let uid = u128::from_str_radix(&stored.uid, 16)
            .map_err(|_| Invalid::new("uid", "is no number", "32 hexadecimal digits"))?;
        Ok(Self {
            object: Arc::new(stored.object.try_into()?),
            status: stored.status.map(|status| status.try_into().map(Arc::new)).transpose()?,
            uid,
            epoch: Epoch(stored.epoch),
            generation: stored.generation,
            created_at: LogTime(stored.created_at_ms),
            changed: LogIndex(stored.changed),
            ends: stored.ends_ms.map(LogTime),
        })
    }
}
