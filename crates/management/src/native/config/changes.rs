//! What a document, or a way back, makes another one of what stands.

use quorate_api::{
    Query,
    config::{ConfigChange, ObjectChange, ObjectKind},
    keyspace::KeyspacePut,
    route::RoutePut,
    sandbox::SandboxPut,
    service::ServicePut,
};
use quorate_model::{
    Config, ConfigMode, KeyspaceConfig, KeyspaceName, KeyspaceSource, Route, Sandbox, ServicePolicy,
};
use quorate_state::{Earlier, View};
use serde::Serialize;
use serde_json::Value;

/// Whether the documents of what changes are told too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Documents {
    LeftOut,
    Told,
}

impl Documents {
    pub fn wanted(query: &Query) -> Self {
        if query.diff { Self::Told } else { Self::LeftOut }
    }
}

/// So many bytes of documents are told in one answer, which callers read as a whole: those behind are left out.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;

/// What becomes of objects, one after the other.
pub(super) struct Changes<'a> {
    view: &'a View,
    documents: Documents,
    /// Of documents, so far.
    bytes: usize,
    list: Vec<ConfigChange>,
}

impl<'a> Changes<'a> {
    fn new(view: &'a View, documents: Documents) -> Self {
        Self { view, documents, bytes: 0, list: Vec::new() }
    }

    /// What a document changes.
    pub fn of_document(
        view: &'a View,
        (config, mode): (&Config, ConfigMode),
        documents: Documents,
    ) -> Vec<ConfigChange> {
        let mut changes = Self::new(view, documents);
        config.routes.iter().for_each(|(name, route)| changes.route(name.as_str(), route.as_ref()));
        config.sandboxes.iter().for_each(|(key, sandbox)| changes.sandbox(key.as_str(), sandbox.as_ref()));
        config.services.iter().for_each(|(name, policy)| changes.policy(name.as_str(), policy.as_ref()));
        config.keyspaces.iter().for_each(|(name, keyspace)| changes.keyspace(name, *keyspace));
        if mode == ConfigMode::Replace {
            changes.undeclared(config);
        }
        changes.list
    }

    /// What a way back changes.
    pub fn of_way_back(view: &'a View, earlier: &Earlier<'_>, documents: Documents) -> Vec<ConfigChange> {
        let mut changes = Self::new(view, documents);
        for (name, was) in &earlier.routes {
            changes.route(name.as_str(), was.map(|stored| &stored.route));
        }
        for (key, was) in &earlier.sandboxes {
            changes.sandbox(key.as_str(), was.map(|former| &*former.sandbox));
        }
        for (name, was) in &earlier.services {
            changes.policy(name.as_str(), was.map(|policy| &**policy));
        }
        for (name, was) in &earlier.keyspaces {
            // Keyspaces that came later stay, and a count that Kafka says is not put back.
            let Some(was) = *was else { continue };
            let partitions = was.partitions.filter(|_| was.source == KeyspaceSource::Static);
            changes.keyspace(name, KeyspaceConfig { partitions, ..was });
        }
        changes.list
    }

    /// What goes because nobody names it.
    fn undeclared(&mut self, config: &Config) {
        let view = self.view;
        let routes = view.routes().iter().map(|stored| stored.route.name());
        for name in routes.filter(|name| !config.routes.contains_key(*name)) {
            self.route(name.as_str(), None);
        }
        let keys = view.sandboxes().iter().map(|stored| &stored.key);
        for key in keys.filter(|key| !config.sandboxes.contains_key(*key)) {
            self.sandbox(key.as_str(), None);
        }
        let policies = view.services().filter_map(|service| service.stored_policy());
        for stored in policies.filter(|stored| !config.services.contains_key(&stored.service)) {
            self.policy(stored.service.as_str(), None);
        }
    }

    fn route(&mut self, name: &str, wanted: Option<&Route>) {
        let stands = self.view.routes().get(name).map(|stored| &stored.route);
        self.note::<_, RoutePut>((ObjectKind::Route, name), stands, wanted);
    }

    fn sandbox(&mut self, key: &str, wanted: Option<&Sandbox>) {
        let stands = self.view.sandboxes().get(key).map(|compiled| &*compiled.stored().sandbox);
        self.note::<_, SandboxPut>((ObjectKind::Sandbox, key), stands, wanted);
    }

    fn policy(&mut self, name: &str, wanted: Option<&ServicePolicy>) {
        let stands = self.view.service(name).and_then(|service| service.stored_policy());
        self.note::<_, ServicePut>((ObjectKind::Service, name), stands.map(|stored| &stored.policy), wanted);
    }

    fn keyspace(&mut self, name: &KeyspaceName, wanted: KeyspaceConfig) {
        let stands = self.view.keyspace(name.as_str()).map(|stands| {
            let stands = stands.keyspace();
            KeyspaceConfig { partitions: stands.partitions, source: stands.source, hold: stands.hold }
        });
        // A count that is not named stays.
        let partitions = wanted.partitions.or(stands.and_then(|stands| stands.partitions));
        let wanted = KeyspaceConfig { partitions, ..wanted };
        let object = (ObjectKind::Keyspace, name.as_str());
        self.note::<_, KeyspacePut>(object, stands.as_ref(), Some(&wanted));
    }

    fn note<'b, T, B>(
        &mut self,
        (kind, name): (ObjectKind, &str),
        stands: Option<&'b T>,
        wanted: Option<&'b T>,
    ) where
        T: PartialEq,
        B: From<&'b T> + Serialize,
    {
        let change = match (stands, wanted) {
            (None, None) => return,
            (None, Some(_)) => ObjectChange::Created,
            (Some(_), None) => ObjectChange::Removed,
            (Some(stands), Some(wanted)) if stands == wanted => return,
            (Some(_), Some(_)) => ObjectChange::Changed,
        };
        let (before, after) = match self.documents {
            Documents::Told if self.bytes < DOCUMENT_BYTES_MAX => {
                (told::<_, B>(stands), told::<_, B>(wanted))
            }
            Documents::Told | Documents::LeftOut => (None, None),
        };
        self.bytes +=
            [&before, &after].into_iter().flatten().map(|told| told.to_string().len()).sum::<usize>();
        self.list.push(ConfigChange { kind, name: name.into(), change, before, after });
    }
}

fn told<'b, T, B: From<&'b T> + Serialize>(document: Option<&'b T>) -> Option<Value> {
    Some(serde_json::to_value(B::from(document?)).unwrap_or(Value::Null))
}
