//! What came with the objects of the sandbox API, at the sixth level.

use super::{sandboxes::any_key, *};
use quorate_model::{
    DnsLabel, Object, ObjectCommand, ObjectEnd, ObjectId, ObjectPrecondition, ObjectRefusal, ObjectStatus,
    Resource, RoutingKey, SandboxTtl, StoredObject,
    object::{
        GroupRoute, LocalWorkloadSpec, ObjectBound, ObjectSpec, ObjectText, RouteGroupSpec, SandboxSpec,
    },
    route::HeaderEdits,
};

fn label(text: &str) -> DnsLabel {
    DnsLabel::parse(text).expect("valid")
}

fn id(resource: Resource, name: &str) -> ObjectId {
    ObjectId { resource, namespace: label("team-a"), name: label(name) }
}

fn object(name: &str, spec: ObjectSpec, text: &str) -> Object {
    Object::new(label("team-a"), label(name), spec, ObjectText::new("spec", text).expect("short"))
}

fn key(text: &str) -> RoutingKey {
    RoutingKey::parse(text).expect("valid")
}

fn sandbox() -> Object {
    let services = vec![services::service("cart"), services::service("mail")];
    let ttl = SandboxTtl::new(Duration::from_hours(24)).ok();
    let spec = SandboxSpec { ttl, routing_key: Some(key("pr-12")), services };
    let text = r#"{"services":[{"name":"cart"},{"name":"mail"}],"ttl":86400}"#;
    let labels = [("team".into(), "a".into())].into();
    let annotations = [("note".into(), "ä".into())].into();
    let mut sandbox = object("pr-12", ObjectSpec::Sandbox(spec), text);
    (sandbox.labels, sandbox.annotations) = (labels, annotations);
    sandbox
}

fn group() -> Object {
    let everything = GroupRoute {
        key: key("pr-12"),
        target: label("pr-12"),
        path_prefixes: vec!["/api".into()],
        paths_exact: vec!["/x".into()],
        add_headers: vec![("x-environment".into(), HeaderEdits::value("f", "sandbox").expect("valid"))],
    };
    let least = GroupRoute {
        path_prefixes: Vec::new(),
        paths_exact: Vec::new(),
        add_headers: Vec::new(),
        ..everything.clone()
    };
    let spec = RouteGroupSpec {
        default_key: Some(key("production")),
        header: Some("x-routing-key".into()),
        routes: vec![everything, least],
    };
    object("shop", ObjectSpec::RouteGroup(spec), "{}")
}

fn workload() -> Object {
    let spec = LocalWorkloadSpec { sandbox: label("pr-12"), service: services::service("cart") };
    object("laptop", ObjectSpec::LocalWorkload(spec), "{}")
}

fn status() -> ObjectStatus {
    let at = Address::parse("http://10.0.0.8:80").expect("valid");
    let text = ObjectText::new("status", r#"{"phase":"Running"}"#).expect("short");
    ObjectStatus { endpoints: vec![(services::service("cart"), at)], text }
}

/// By id.
fn stored() -> Vec<Arc<StoredObject>> {
    let of = |object: Object, epoch, status: Option<ObjectStatus>, ends| {
        Arc::new(StoredObject {
            object: Arc::new(object),
            status: status.map(Arc::new),
            uid: StoredObject::uid_of(Some(ClusterId(0xfeed)), Epoch(epoch)),
            epoch: Epoch(epoch),
            generation: 2,
            created_at: LogTime(1_790_000_000_000),
            changed: LogIndex(40),
            ends,
        })
    };
    let ends = Some(LogTime(1_790_000_086_400_000));
    vec![of(sandbox(), 25, Some(status()), ends), of(group(), 26, None, None), of(workload(), 27, None, None)]
}

pub fn refusals() -> Vec<(&'static str, Refusal)> {
    let which = || id(Resource::RouteGroups, "shop");
    let full = |what| ObjectRefusal::Full { what, max: 20 };
    let all = vec![
        ("object-unknown", ObjectRefusal::Unknown { id: id(Resource::Sandboxes, "pr-12") }),
        ("object-exists", ObjectRefusal::Exists { id: id(Resource::LocalWorkloads, "laptop") }),
        ("object-changed", ObjectRefusal::Changed { id: which(), current: LogIndex(9) }),
        ("object-other", ObjectRefusal::Other { id: which() }),
        ("object-full", full(ObjectBound::Objects)),
        ("object-full-bytes", full(ObjectBound::Bytes)),
        ("object-full-rule-bytes", full(ObjectBound::RuleBytes)),
        ("object-full-rules", full(ObjectBound::RulesPerKey)),
        ("object-full-keys", full(ObjectBound::KeysPerSandbox)),
        ("object-not-empty", ObjectRefusal::NotEmpty { objects: 5 }),
        ("object-full-local-workloads", full(ObjectBound::LocalWorkloadsPerSandbox)),
    ];
    all.into_iter().map(|(name, refusal)| (name, Refusal::Object(refusal))).collect()
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let precondition = ObjectPrecondition { changed: Some(LogIndex(9)), uid: Some(7 << 64) };
    let anything = ObjectPrecondition::default();
    let object = |command| Command::Object(command);
    let which = || id(Resource::Sandboxes, "pr-12");
    let replace = ObjectCommand::Replace { object: Box::new(group()), precondition };
    let report = ObjectCommand::ReplaceStatus { id: which(), status: status(), precondition: anything };
    let ends =
        ["pr-12", "pr-13"].map(|name| ObjectEnd { id: id(Resource::Sandboxes, name), epoch: Epoch(25) });
    vec![
        ("create-sandbox-object", object(ObjectCommand::Create(Box::new(sandbox())))),
        ("create-local-workload", object(ObjectCommand::Create(Box::new(workload())))),
        ("replace-route-group", object(replace)),
        ("replace-object-status", object(report)),
        ("delete-object", object(ObjectCommand::Delete { id: which(), precondition })),
        ("end-objects", object(ObjectCommand::End(ends.into()))),
        ("restore-objects", restore(RestoreStep::Objects { batch: 3, objects: stored() })),
    ]
}

/// With everything that came with objects.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let restoring = RestoringParts { objects: stored(), ..restoring() };
    let replies = (0..).zip(refusals());
    let replies = replies.map(|(i, (_, refusal))| (i, LogIndex(30), Reply::Refused(refusal))).collect();
    let parts = Parts {
        level: FeatureLevel::SIXTH,
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        objects: stored(),
        restoring: Some(restoring),
        workers: Vec::new(),
        ..parts
    };
    (meta, parts)
}

fn any_label() -> impl Strategy<Value = DnsLabel> {
    "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?".prop_map(|text| label(&text))
}

pub fn any_id() -> impl Strategy<Value = ObjectId> {
    (prop::sample::select(Resource::ALL.to_vec()), any_label(), any_label())
        .prop_map(|(resource, namespace, name)| ObjectId { resource, namespace, name })
}

fn any_service() -> impl Strategy<Value = quorate_model::ServiceName> {
    "[a-z]{1,8}".prop_map(|name| services::service(&name))
}

fn any_route() -> impl Strategy<Value = GroupRoute> {
    let paths = || collection::vec("/[a-z0-9/%*-]{0,12}".prop_map(Box::from), 0..3);
    let name = "x-[a-z]{1,8}".prop_map(Box::<str>::from);
    let value = "[!-~é]{1,12}".prop_map(|text| HeaderEdits::value("f", &text).expect("valid"));
    (any_key(), any_label(), paths(), paths(), collection::vec((name, value), 0..3)).prop_map(
        |(key, target, path_prefixes, paths_exact, add_headers)| GroupRoute {
            key,
            target,
            path_prefixes,
            paths_exact,
            add_headers,
        },
    )
}

fn any_spec() -> impl Strategy<Value = ObjectSpec> {
    let ttl =
        (300_000u64..=604_800_000).prop_map(|ms| SandboxTtl::new(Duration::from_millis(ms)).expect("valid"));
    let sandbox = (option::of(ttl), option::of(any_key()), collection::vec(any_service(), 0..3))
        .prop_map(|(ttl, routing_key, services)| SandboxSpec { ttl, routing_key, services });
    let header = option::of("x-[a-z]{1,8}".prop_map(Box::<str>::from));
    let group = (option::of(any_key()), header, collection::vec(any_route(), 0..3))
        .prop_map(|(default_key, header, routes)| RouteGroupSpec { default_key, header, routes });
    let workload =
        (any_label(), any_service()).prop_map(|(sandbox, service)| LocalWorkloadSpec { sandbox, service });
    prop_oneof![
        sandbox.prop_map(ObjectSpec::Sandbox),
        group.prop_map(ObjectSpec::RouteGroup),
        workload.prop_map(ObjectSpec::LocalWorkload),
    ]
}

fn any_object() -> impl Strategy<Value = Object> {
    let pairs = || collection::btree_map(text(), text(), 0..3);
    (any_label(), any_label(), any_spec(), text(), pairs(), pairs()).prop_map(
        |(namespace, name, spec, text, labels, annotations)| {
            let text = ObjectText::new("spec", &text).expect("short");
            let mut object = Object::new(namespace, name, spec, text);
            (object.labels, object.annotations) = (labels, annotations);
            object
        },
    )
}

fn any_status() -> impl Strategy<Value = ObjectStatus> {
    (collection::vec((any_service(), addresses()), 0..3), text()).prop_map(|(endpoints, text)| ObjectStatus {
        endpoints,
        text: ObjectText::new("status", &text).expect("short"),
    })
}

pub fn any_stored() -> impl Strategy<Value = Arc<StoredObject>> {
    let numbers = (any::<u128>(), any::<(u64, u64, u64, u64)>(), option::of(any::<u64>()));
    (any_object(), option::of(any_status()), numbers).prop_map(
        |(object, status, (uid, (epoch, generation, created_at, changed), ends))| {
            Arc::new(StoredObject {
                object: Arc::new(object),
                status: status.map(Arc::new),
                uid,
                epoch: Epoch(epoch),
                generation,
                created_at: LogTime(created_at),
                changed: LogIndex(changed),
                ends: ends.map(LogTime),
            })
        },
    )
}

fn preconditions() -> impl Strategy<Value = ObjectPrecondition> {
    (indexes(), option::of(any::<u128>())).prop_map(|(changed, uid)| ObjectPrecondition { changed, uid })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let ends = (any_id(), any::<u64>()).prop_map(|(id, epoch)| ObjectEnd { id, epoch: Epoch(epoch) });
    prop_oneof![
        any_object().prop_map(|object| Command::Object(ObjectCommand::Create(Box::new(object)))),
        (any_object(), preconditions()).prop_map(|(object, precondition)| {
            Command::Object(ObjectCommand::Replace { object: Box::new(object), precondition })
        }),
        (any_id(), any_status(), preconditions()).prop_map(|(id, status, precondition)| {
            Command::Object(ObjectCommand::ReplaceStatus { id, status, precondition })
        }),
        (any_id(), preconditions())
            .prop_map(|(id, precondition)| Command::Object(ObjectCommand::Delete { id, precondition })),
        collection::vec(ends, 0..4).prop_map(|ended| Command::Object(ObjectCommand::End(ended))),
        (any::<u32>(), collection::vec(any_stored(), 0..3))
            .prop_map(|(batch, objects)| restore(RestoreStep::Objects { batch, objects })),
    ]
}

pub fn any_refusal() -> impl Strategy<Value = Refusal> {
    let bounds = [
        ObjectBound::Objects,
        ObjectBound::Bytes,
        ObjectBound::RuleBytes,
        ObjectBound::RulesPerKey,
        ObjectBound::KeysPerSandbox,
        ObjectBound::LocalWorkloadsPerSandbox,
    ];
    let refusals = prop_oneof![
        any_id().prop_map(|id| ObjectRefusal::Unknown { id }),
        any_id().prop_map(|id| ObjectRefusal::Exists { id }),
        any_id().prop_map(|id| ObjectRefusal::Other { id }),
        (any_id(), any::<u64>())
            .prop_map(|(id, current)| ObjectRefusal::Changed { id, current: LogIndex(current) }),
        (prop::sample::select(bounds.to_vec()), any::<u64>())
            .prop_map(|(what, max)| ObjectRefusal::Full { what, max }),
        any::<u64>().prop_map(|objects| ObjectRefusal::NotEmpty { objects }),
    ];
    refusals.prop_map(Refusal::Object)
}
