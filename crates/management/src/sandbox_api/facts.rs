//! What the cluster knows about an object, which is shown where nobody has said anything.

use crate::server::App;
use quorate_api::sandbox_api::{Facts, LocalFacts, ObjectBody, object_shown};
use quorate_model::{
    DnsLabel, ObjectId, Resource, StoredObject,
    object::{LocalWorkloadSpec, ObjectSpec, RouteGroupSpec, SandboxSpec},
};
use quorate_state::View;

/// With what the cluster knows about it.
pub(super) fn shown(app: &App, view: &View, stored: &StoredObject) -> ObjectBody {
    let id = stored.id();
    let facts = match stored.object.spec() {
        ObjectSpec::Sandbox(spec) => Facts::Sandbox(there(view, stored, spec)),
        ObjectSpec::RouteGroup(group) => {
            Facts::RouteGroup { missing: missing(view, id, group), read_instead: read_instead(app, group) }
        }
        ObjectSpec::LocalWorkload(workload) => Facts::LocalWorkload(Box::new(local(view, id, workload))),
    };
    object_shown(stored, &facts)
}

/// A group may lead to its sandbox before that is there.
fn local(view: &View, id: &ObjectId, workload: &LocalWorkloadSpec) -> LocalFacts {
    let (objects, namespace, name) = (view.objects(), id.namespace.clone(), workload.sandbox.clone());
    LocalFacts {
        key: objects.key_of(&namespace, &name).cloned(),
        chosen: objects.local_of(&namespace, &name, &workload.service),
        has_sandbox: objects.get(&ObjectId { resource: Resource::Sandboxes, namespace, name }).is_some(),
        holder: view.tunnels().get(id.tunnel().as_str()).cloned(),
    }
}

/// For each of its services whether somebody answers for it: at the end of a tunnel, where it was said to be, or as its
/// version.
fn there(view: &View, stored: &StoredObject, spec: &SandboxSpec) -> Vec<bool> {
    let said = stored.status.as_ref().map_or(&[][..], |status| &status.endpoints);
    let version = stored.id().name.as_str();
    let is_served = |service: &str| {
        let mut endpoints = view.service(service).into_iter().flat_map(|service| service.endpoints());
        endpoints.any(|endpoint| {
            let serves = endpoint.worker().serves(endpoint.offer()) && !endpoint.is_ailing();
            serves && *endpoint.offer().version == *version
        })
    };
    let ObjectId { namespace, name: sandbox, .. } = stored.id();
    let is_there = |service| match view.objects().local_of(namespace, sandbox, service) {
        Some(local) => view.tunnels().get(local.tunnel().as_str()).is_some(),
        None => said.iter().any(|(one, _)| one == service) || is_served(service.as_str()),
    };
    spec.services.iter().map(is_there).collect()
}

fn missing(view: &View, id: &ObjectId, group: &RouteGroupSpec) -> Vec<DnsLabel> {
    let gone = group.leading().filter(|route| view.objects().target(&id.namespace, route).is_none());
    let mut names: Vec<_> = gone.map(|route| route.target.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A group can't change what the nodes were started with: it is told where keys are read from instead.
fn read_instead(app: &App, group: &RouteGroupSpec) -> Option<String> {
    let wanted = group.header.as_deref()?;
    let read: Vec<_> = app.config.key_forms.headers().map(http::HeaderName::as_str).collect();
    (!read.contains(&wanted)).then(|| read.join(", "))
}
