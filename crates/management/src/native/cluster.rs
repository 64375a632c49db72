//! `/v1/cluster`: the nodes, as the answering one sees them, and who leads.

use super::reads;
use crate::{
    answer::{Answer, Fault, decided, json},
    cluster::{MemberInfo, Readiness, Role, Standing, TransferError},
    document::{BodyRefusals, ObjectParams, ReadRefusals, WriteParams},
    request,
    server::App,
};
use axum::extract::{Request, State};
use http::{StatusCode, Uri};
use quorate_api::{
    Code, Param, Problem,
    answer::Validated,
    cluster::{self, ClusterBody, NodeBody, QuorumBody, RoleBody, TransferAnswer, TransferBody, Transferred},
    query::Mode,
};
use quorate_model::{FeatureLevel, NodeName};

/// Show the cluster
#[utoipa::path(
    get,
    operation_id = "show_cluster",
    path = "/v1/cluster",
    tag = "cluster",
    params(ObjectParams),
    responses(
        (status = 200, description = "As this node sees it", body = ClusterBody),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    reads::view(&app, &query).await?;
    let standing = app.cluster.standing();
    let body = ClusterBody {
        cluster_id: standing.cluster.map(|id| id.to_string()),
        node: standing.node.to_string(),
        leader: standing.leader.as_ref().map(|leader| leader.name.to_string()),
        term: standing.term,
        applied_index: standing.applied_index.0,
        feature_level: standing.feature_level.get(),
        changed_index: standing.changed_index.0,
        status: standing.readiness.word().into(),
        reason: standing.readiness.reason().map(str::to_owned),
        quorum: quorum(&standing),
        gateway: app.config.gateway.clone(),
        nodes: standing.members.iter().map(shown).collect(),
    };
    Ok(decided(standing.applied_index, &body))
}

fn quorum(standing: &Standing) -> QuorumBody {
    let voters = || standing.members.iter().filter(|member| member.role != Role::Learner);
    let reachable = voters().filter(|member| member.reachable).count();
    let all = voters().count();
    // One that was removed knows the membership of that day, itself among them.
    let held = 2 * reachable > all && standing.readiness != Readiness::Removed;
    QuorumBody { held, voters: all as u64, reachable: reachable as u64 }
}

fn shown(member: &MemberInfo) -> NodeBody {
    NodeBody {
        name: member.name.to_string(),
        id: member.id.to_string(),
        role: match member.role {
            Role::Leader => RoleBody::Leader,
            Role::Follower => RoleBody::Follower,
            Role::Learner => RoleBody::Learner,
        },
        peer: member.peer.to_string(),
        management: member.management.to_string(),
        applied_index: member.applied_index.map(|index| index.0),
        reachable: member.reachable,
        feature_level_max: member.feature_level_max.map(FeatureLevel::get),
    }
}

/// Hand over leadership
///
/// To a node that is named, or to any other. The body may be left out. Answers once it has happened.
#[utoipa::path(
    post,
    operation_id = "transfer_leader",
    path = "/v1/cluster/transfer-leader",
    tag = "cluster",
    params(WriteParams),
    request_body = Option<TransferBody>,
    responses(
        (status = 200, description = "Who leads now (with dry_run: nothing has happened)", body = TransferAnswer),
        (
            status = 404,
            description = "There is no such node",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 422,
            description = "The node can't lead",
            body = Problem,
            content_type = "application/problem+json",
        ),
        BodyRefusals,
    ),
)]
pub(super) async fn transfer_leader(State(app): State<App>, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::WRITE)?;
    let to = cluster::transfer(request::object_or_nothing(request).await?)?;
    match query.mode {
        Mode::Validate => validate(&app, to),
        Mode::Commit => {
            let leader = app.cluster.transfer_leader(to).await?;
            Ok(json(StatusCode::OK, &Transferred { leader: leader.to_string() }))
        }
    }
}

fn validate(app: &App, to: Option<NodeName>) -> Answer {
    let standing = app.cluster.standing();
    if let Some(name) = to {
        match standing.members.iter().find(|member| member.name == name).map(|member| member.role) {
            None => return Err(TransferError::UnknownNode { name }.into()),
            Some(Role::Learner) => {
                return Err(TransferError::NotEligible { name, why: "it is a learner".into() }.into());
            }
            Some(Role::Leader | Role::Follower) => {}
        }
    }
    let index = standing.applied_index;
    Ok(decided(index, &Validated { dry_run: true, index: index.0 }))
}

impl From<TransferError> for Fault {
    fn from(error: TransferError) -> Self {
        let detail = error.to_string();
        match error {
            TransferError::UnknownNode { .. } => Self::new(Code::NodeUnknown, detail),
            TransferError::NotEligible { .. } => Self::new(Code::NodeNotEligible, detail),
            TransferError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
