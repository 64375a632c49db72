//! What the OpenAPI document says beside the paths: its head, and the parameters and refusals that many share.

use quorate_api::Problem;
use utoipa::{IntoParams, IntoResponses, OpenApi, openapi::OpenApi as Document};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Quorate",
        description = "The management API of a Quorate node. Any node takes any request. Native resources are under `/v1`; \
            the paths of the workspace router that Quorate replaces are also served under `/api`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "cluster", description = "The cluster and its nodes"),
        (name = "workers", description = "Who serves what"),
        (name = "services", description = "Who offers what, and how requests for it are treated"),
        (name = "routes", description = "Which requests go where"),
        (name = "sandboxes", description = "Where requests that carry a routing key go instead"),
        (name = "tunnels", description = "Machines that nobody can dial: they open a connection to a node, which holds it"),
        (name = "presence", description = "Users of the WebSocket gateway: which node each is connected to"),
        (name = "config", description = "All that operators declare, in one document"),
        (name = "keyspaces", description = "Partition counts and who owns the partitions"),
        (name = "leases", description = "Who is alive"),
        (name = "original", description = "The dialects of the workspace router that Quorate replaces"),
        (name = "coordinator", description = "The dialect of the service coordinator that Quorate replaces"),
        (name = "sandbox api", description = "The objects of the sandbox proxy that Quorate replaces, in the manner of Kubernetes"),
        (name = "probes", description = "Health and metrics"),
    ),
)]
struct Head;

pub(crate) fn head() -> Document {
    Head::openapi()
}

/// Pretty, so that the golden file shows what changed.
pub(crate) fn render(document: &Document) -> String {
    let mut text = document.to_pretty_json().expect("a document is plain data");
    text.push('\n');
    text
}

/// Of a read of one object.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct ObjectParams {
    /// Linearizable: at least as new as any write that was acknowledged before.
    consistent: Option<bool>,
    /// Wait until this node has reached the index; 504 if it has not in time.
    min_index: Option<u64>,
    /// How long to wait with min_index, at most 60s; 5s if not said.
    #[param(example = "5s")]
    wait: Option<String>,
}

/// Of a read of all that is declared, beside [`ObjectParams`].
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct ConfigParams {
    /// As it stood after this log entry; as it stands if not said.
    #[param(example = 57)]
    at: Option<u64>,
}

/// Of the list of what was declared before.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct HistoryParams {
    /// Items of the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Linearizable: at least as new as any write that was acknowledged before.
    consistent: Option<bool>,
    /// Wait until this node has reached the index; 504 if it has not in time.
    min_index: Option<u64>,
    /// How long to wait with min_index, at most 60s; 5s if not said.
    #[param(example = "5s")]
    wait: Option<String>,
}

/// Of a write of many objects.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct ConfigWriteParams {
    /// Check only, change nothing.
    dry_run: Option<bool>,
    /// Answer with what each object that changes said before, and says then.
    diff: Option<bool>,
    /// `all`: answer once every node that can be reached has applied it, naming those that have not.
    #[param(example = "all")]
    visible: Option<String>,
    /// How long to wait for them, at most 30s; 2s if not said.
    #[param(example = "2s")]
    wait: Option<String>,
}

/// Of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct ListParams {
    /// Items of the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Linearizable: at least as new as any write that was acknowledged before.
    consistent: Option<bool>,
    /// Wait until this node has reached the index; 504 if it has not in time.
    min_index: Option<u64>,
    /// Blocking query: answer once the list may have changed after the index, or when the wait is over.
    index: Option<u64>,
    /// How long to wait: with min_index at most 60s, 5s if not said; with index at most 5m, 30s if not said.
    #[param(example = "30s")]
    wait: Option<String>,
}

/// Of the list of sandboxes, besides what each list has.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct SandboxListParams {
    /// Only those that end within this time, the first to end first.
    #[param(example = "1h")]
    ends_within: Option<String>,
}

/// Of the list of sessions, besides what each list has.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct PresenceParams {
    /// Only the sessions that hang on the node of this name; none if it holds none.
    #[param(example = "n1")]
    gateway: Option<String>,
}

/// Of a write.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct WriteParams {
    /// Check only, change nothing.
    dry_run: Option<bool>,
}

/// Of a write to the replicated state.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct RecordWriteParams {
    /// Check only, change nothing.
    dry_run: Option<bool>,
    /// `all`: answer once every node that can be reached has applied it, naming those that have not.
    #[param(example = "all")]
    visible: Option<String>,
    /// How long to wait for them, at most 30s; 2s if not said.
    #[param(example = "2s")]
    wait: Option<String>,
}

/// Of a watch.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here; read by quorate_api::Query")]
pub(crate) struct WatchParams {
    /// Go on right behind this log index, or the id of an event; if not said, begin with everything that stands.
    #[param(example = "57")]
    from: Option<String>,
    /// Only these kinds of changes, separated by commas; if not said, all: worker, keyspace, service, route, sandbox, object, delegate, node, level, gateway, tunnel, presence.
    #[param(example = "worker,keyspace")]
    kinds: Option<String>,
    /// Only changes of what has a name, or an id, that begins so.
    prefix: Option<String>,
}

/// Of a write that can be bound to what was read before.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described here; read by request::condition")]
pub(crate) struct Conditions {
    /// The log index at which the record last changed; 0: it does not exist.
    #[param(rename = "If-Match", example = "57")]
    if_match: Option<String>,
    /// `*`: it must not exist.
    #[param(rename = "If-None-Match", example = "*")]
    if_none_match: Option<String>,
}

macro_rules! refusals {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $status:literal,)* }) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[expect(dead_code, reason = "only described here; made by answer::Fault")]
        pub(crate) enum $name {
            $(
                $(#[$about])*
                #[response(status = $status, content_type = "application/problem+json")]
                $variant(Problem),
            )*
        }
    };
}

refusals! {
    /// What any read may answer.
    ReadRefusals {
        /// A parameter or a name is wrong.
        Invalid = 400,
        /// With `consistent`: the cluster has no quorum.
        Unavailable = 503,
        /// With `min_index`: not reached in time.
        TooEarly = 504,
    }
}

refusals! {
    /// What any request with a body may answer.
    BodyRefusals {
        /// A field, a parameter or a name is wrong.
        Invalid = 400,
        /// The body did not arrive in time.
        TooSlow = 408,
        /// The body has more than 1 MiB; a document of many objects: more than 4 MiB.
        TooLarge = 413,
        /// The body is no JSON.
        NotJson = 415,
        /// The cluster has no quorum, or the node is busy.
        Unavailable = 503,
    }
}

refusals! {
    /// What a removal may answer.
    RemoveRefusals {
        /// A parameter, a name or a condition is wrong.
        Invalid = 400,
        /// It is not there.
        Unknown = 404,
        /// It has changed.
        Changed = 412,
        /// The cluster has no quorum, or the node is busy.
        Unavailable = 503,
    }
}

refusals! {
    /// What the removal of a worker may answer beside that.
    LifeRefusals {
        /// It belongs to another life of the worker.
        Stale = 409,
    }
}

refusals! {
    /// What the removal of a node may answer beside that.
    LeaveRefusals {
        /// Too few nodes would be left.
        TooFew = 409,
    }
}

refusals! {
    /// What a write may answer in the middle of an upgrade.
    LevelRefusals {
        /// Some node runs an older version.
        OldNode = 409,
    }
}

refusals! {
    /// What a decision about a worker may answer.
    DecisionRefusals {
        /// There is no such worker.
        Unknown = 404,
        /// Some node runs an older version.
        OldNode = 409,
        /// Its record has changed.
        Changed = 412,
    }
}

refusals! {
    /// What a service's policy may be answered with.
    PolicyRefusals {
        /// Some node runs an older version.
        OldNode = 409,
        /// It has changed.
        Changed = 412,
        /// There are too many.
        TooMany = 422,
    }
}

refusals! {
    /// What a route, a sandbox or a document of many objects may be answered with.
    DeclaredRefusals {
        /// Some node runs an older version.
        OldNode = 409,
        /// It has changed.
        Changed = 412,
        /// There are too many.
        TooMany = 422,
    }
}

refusals! {
    /// What a node that is to join may be answered with.
    JoinRefusals {
        /// Another node has this name, or the node at the address is not one that may join.
        Stands = 409,
        /// The membership has changed.
        Changed = 412,
        /// Nobody answers at the address, or there are too many nodes.
        Impossible = 422,
    }
}

refusals! {
    /// What a restore may answer.
    RestoreRefusals {
        /// The file did not arrive in time.
        TooSlow = 408,
        /// The cluster is not empty, or another restore took over.
        NotEmpty = 409,
        /// The file has more than 8 GiB.
        TooLarge = 413,
        /// The content type is not application/octet-stream.
        NotBytes = 415,
        /// The file is no snapshot, or not a whole one.
        Unsound = 422,
        /// The cluster has no quorum, or the node is busy.
        Unavailable = 503,
        /// The node has no room to take the file in.
        NoRoom = 507,
    }
}

refusals! {
    /// What a watch may answer.
    WatchRefusals {
        /// A parameter is wrong.
        Invalid = 400,
        /// There are too many watchers, or the node is shutting down.
        Unavailable = 503,
        /// This node has not got as far as `from` yet.
        TooEarly = 504,
    }
}
