//! `/v1/cluster/nodes`: who belongs to the cluster.

use crate::{
    answer::{Answer, Fault, decided, with_etag},
    cluster::MemberError,
    document::{BodyRefusals, Conditions, JoinRefusals, LeaveRefusals, RemoveRefusals, WriteParams},
    native::writes,
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{HeaderMap, Uri};
use quorate_api::{
    Param, Problem,
    answer::{WriteAnswer, Written},
    cluster::{self, JoinAnswer, JoinBody, Joined, RoleBody},
    query::Mode,
};
use quorate_model::{Join, NodeName};

type NodePath = Result<Path<String>, PathRejection>;

/// Let a node join
///
/// It must run already, started with `--peers` that name itself and this cluster. It joins as a learner and gets
/// its vote by itself once it has caught up. For a member that moved: changes its address.
#[utoipa::path(
    put,
    operation_id = "join_node",
    path = "/v1/cluster/nodes/{name}",
    tag = "cluster",
    params(
        ("name" = String, Path, description = "The node's name", min_length = 1, max_length = 128),
        WriteParams,
        Conditions,
    ),
    request_body = JoinBody,
    responses(
        (status = 200, description = "It is a member (with dry_run: it would be)", body = JoinAnswer),
        JoinRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn join(State(app): State<App>, path: NodePath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::WRITE)?;
    let if_index = request::condition(request.headers())?;
    let name = request::named("path.name", path, NodeName::parse)?;
    let peer = cluster::join(request::object(request).await?)?;
    let dry_run = query.mode == Mode::Validate;
    let wish = Join { name: name.clone(), peer: peer.clone(), if_index, dry_run };
    let change = app.cluster.join(wish).await?;
    if dry_run {
        return writes::validated(change.index);
    }
    let body = Joined {
        index: change.index.0,
        name: name.to_string(),
        id: change.id.to_string(),
        role: if change.voter { RoleBody::Follower } else { RoleBody::Learner },
        peer: peer.to_string(),
    };
    Ok(with_etag(decided(change.index, &body), change.index))
}

/// Let a node leave
///
/// A leader hands leadership over first. The node goes on running until it is stopped; it says on `/readyz` that it
/// was removed.
#[utoipa::path(
    delete,
    operation_id = "remove_node",
    path = "/v1/cluster/nodes/{name}",
    tag = "cluster",
    params(
        ("name" = String, Path, description = "The node's name", min_length = 1, max_length = 128),
        WriteParams,
        Conditions,
    ),
    responses(
        (status = 200, description = "It is no member (with dry_run: it would be none)", body = WriteAnswer),
        LeaveRefusals,
        RemoveRefusals,
    ),
)]
pub(super) async fn leave(State(app): State<App>, path: NodePath, uri: Uri, headers: HeaderMap) -> Answer {
    let query = request::query(&uri, Param::WRITE)?;
    let if_index = request::condition(&headers)?;
    let name = request::named("path.name", path, NodeName::parse)?;
    let change = app.cluster.leave(name, if_index, query.mode).await?;
    match query.mode {
        Mode::Validate => writes::validated(change.index),
        Mode::Commit => {
            Ok(decided(change.index, &Written { index: change.index.0, unchanged: false, visible: None }))
        }
    }
}

impl From<MemberError> for Fault {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Refused(refusal) => Problem::from(&refusal).into(),
            MemberError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
