//! Ramps of routes and sandboxes: an operator's word about one.

use super::writes;
use crate::{
    answer::{Answer, Fault},
    document::{Conditions, DeclaredRefusals, RecordWriteParams},
    request,
    server::App,
};
use axum::extract::{Path, State, rejection::PathRejection};
use http::{HeaderMap, Uri};
use quorate_api::{Param, Problem, Query, answer::WriteAnswer, ramp};
use quorate_model::{Command, Invalid, RampCommand, RampSubject, RouteName, RoutingKey, limit};

/// Order a route's ramp
///
/// `pause`: it stays where it is, and its clock stands still. `resume`: it goes on with the rest of its step's time.
/// `abort`: its destinations have their own weights again, for good; also after the last step.
#[utoipa::path(
    post,
    operation_id = "order_route_ramp",
    path = "/v1/routes/{name}/ramp/{order}",
    tag = "routes",
    params(
        ("name" = String, Path, description = "The route's name", min_length = 1, max_length = 128),
        ("order" = String, Path, description = "pause, resume or abort"),
        RecordWriteParams,
        Conditions,
    ),
    responses(
        (status = 200, description = "It is so (with dry_run: it would be); unchanged: it was so before, and no log entry was written", body = WriteAnswer),
        (status = 404, description = "There is no such route, or it has no ramp", body = Problem, content_type = "application/problem+json"),
        DeclaredRefusals,
    ),
)]
pub(super) async fn of_route(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let query = request::query(&uri, Param::RECORD_WRITE)?;
    let Path((name, order)) = parts(path)?;
    let name = read("path.name", RouteName::parse(&name))?;
    give(&app, (RampSubject::Route(name), &order), (&query, &headers)).await
}

/// Order the ramp of a sandbox's rule
///
/// As that of a route.
#[utoipa::path(
    post,
    operation_id = "order_sandbox_ramp",
    path = "/v1/sandboxes/{key}/rules/{rule}/ramp/{order}",
    tag = "sandboxes",
    params(
        ("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256),
        ("rule" = u16, Path, description = "The rule's place, from 0", maximum = 99),
        ("order" = String, Path, description = "pause, resume or abort"),
        RecordWriteParams,
        Conditions,
    ),
    responses(
        (status = 200, description = "It is so (with dry_run: it would be)", body = WriteAnswer),
        (status = 404, description = "There is no such sandbox, or its rule has no ramp", body = Problem, content_type = "application/problem+json"),
        DeclaredRefusals,
    ),
)]
pub(super) async fn of_rule(
    State(app): State<App>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let query = request::query(&uri, Param::RECORD_WRITE)?;
    let Path((key, rule, order)) = parts(path)?;
    let key = read("path.key", RoutingKey::parse(&key))?;
    let is_digits = !rule.is_empty() && rule.bytes().all(|byte| byte.is_ascii_digit());
    let most = limit::RULES_PER_SANDBOX_MAX - 1;
    let number = rule.parse::<u16>().ok().filter(|rule| is_digits && usize::from(*rule) <= most);
    let wrong = || Invalid::new("rule", "is no place of a rule", format!("0 to {most}"));
    let rule = read("path.rule", number.ok_or_else(wrong))?;
    give(&app, (RampSubject::Rule { key, rule }, &order), (&query, &headers)).await
}

fn parts<T>(path: Result<Path<T>, PathRejection>) -> Result<Path<T>, Fault> {
    path.map_err(|error| Problem::of_field("path", error.body_text(), "percent-encoded UTF-8").into())
}

fn read<T>(field: &str, read: Result<T, Invalid>) -> Result<T, Fault> {
    read.map_err(|wrong| vec![wrong.renamed(field)].into())
}

async fn give(
    app: &App,
    (subject, order): (RampSubject, &str),
    (query, headers): (&Query, &HeaderMap),
) -> Answer {
    let if_index = request::condition(headers)?;
    let order = read("path.order", ramp::order(order))?;
    let command = Command::Ramp(RampCommand::Order { subject, order, if_index });
    let (outcome, visible) = writes::write_unless_so(app, command, query).await?;
    writes::set(outcome, visible)
}
