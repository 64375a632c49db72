//! `/v1/explain`: why a request goes where it goes. The rules are those that requests meet; nothing is sent.

use crate::{
    answer::{Answer, decided},
    document::{BodyRefusals, ObjectParams},
    native::reads,
    request,
    server::App,
};
use axum::extract::{Request, State};
use http::header;
use quorate_api::{
    Param,
    explain::{
        self, Asked, CandidateBody, ChosenBody, DecisionBody, ExplainBody, ExplainPut, KeyBody, ReasonBody,
        TriedRuleBody,
    },
};
use quorate_model::Scheme;
use quorate_routing::{
    RequestHead,
    explain::{Chosen, EndpointFacts, Explanation, Reason, Result as Decided, Tried, explain_in},
    local::{Local, Sight},
    sandbox::key::KeyForms,
};
use quorate_rt::rng;
use quorate_state::{Loads, View};

/// Percent of a million.
const PER_PERCENT: f64 = 10_000.0;

/// Explain where a request would go
///
/// By this node's View, with every rule that was tried and why it did or did not match. Nothing is sent.
#[utoipa::path(
    post,
    operation_id = "explain",
    path = "/v1/explain",
    tag = "routes",
    params(ObjectParams),
    request_body = ExplainPut,
    responses((status = 200, description = "Why", body = ExplainBody), BodyRefusals),
)]
pub(super) async fn post(State(app): State<App>, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::OBJECT)?;
    let asked = explain::asked(request::object(request).await?)?;
    let view = reads::view(&app, &query).await?;
    let (index, loads, forms) = (view.index(), app.cluster.loads(), app.config.key_forms.clone());
    let local = app.config.local.get();
    // A path can be one of many routes, and a service one of many workers: more than other requests shall wait for.
    let body = quorate_rt::blocking(move || body(explained((&view, &local), &asked, (&loads, &forms)))).await;
    Ok(decided(index, &body))
}

fn explained((view, local): (&View, &Local), asked: &Asked, known: (&Loads, &KeyForms)) -> Explanation {
    let host = asked.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let source = asked.client.map(|client| client.to_string()).unwrap_or_default();
    let head = RequestHead {
        method: &asked.method,
        path: asked.uri.path(),
        query: asked.uri.query().unwrap_or_default(),
        host,
        scheme: if asked.uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http },
        source: &source,
        headers: &asked.headers,
        key: None,
        entropy: rng::random_u64(),
    };
    explain_in(Sight { view, local: Some(local) }, &head, known)
}

fn body(Explanation { index, key, tried, left_out, result }: Explanation) -> ExplainBody {
    ExplainBody {
        key: key.map(|(key, form)| KeyBody { key, form }),
        decision: decision(result),
        rules: tried.into_iter().map(rule).collect(),
        rules_left_out: left_out as u64,
        index: index.0,
    }
}

fn rule(Tried { kind, name, decides, reasons }: Tried) -> TriedRuleBody {
    let reason = |Reason { field, wanted, found }| ReasonBody { field, wanted, found };
    TriedRuleBody {
        kind: kind.into(),
        name,
        matched: decides,
        reasons: reasons.into_iter().map(reason).collect(),
    }
}

fn decision(result: Decided) -> DecisionBody {
    let left_out = result.endpoints_left_out as u64;
    DecisionBody {
        action: result.action.into(),
        why: result.why,
        sandbox: result.sandbox,
        fallback: result.fallback,
        route: result.route,
        service: result.service,
        keyspace: result.keyspace,
        workspace: result.workspace,
        partition: result.partition,
        destination: result.destination.map(chosen),
        endpoints: result.endpoints.into_iter().map(candidate).collect(),
        endpoints_left_out: (left_out > 0).then_some(left_out),
        status: result.status,
        location: result.location,
        mirror: result.mirror.map(|(target, per_million)| {
            format!("{target}, {} % of the requests", f64::from(per_million) / PER_PERCENT)
        }),
    }
}

fn chosen(Chosen { nth, target, weight, total, ramp, by }: Chosen) -> ChosenBody {
    ChosenBody { nth: nth as u64, target, weight, total_weight: total, ramp, by }
}

fn candidate(EndpointFacts { worker, address, rank, status }: EndpointFacts) -> CandidateBody {
    CandidateBody { worker, url: address, status: status.into(), serves: rank.is_some() }
}
