//! One request, from head to answer.

use crate::{
    admit::admit,
    answer::{self, Own},
    client::Client,
    core::Stage,
    decide::{Patience, Verdict, decide},
    forward::{Forwarded, Forwarding},
    headers::{Dialect, Stamped},
    hold,
    http1::AnswerBody,
    key_trace::{AnsweredAt, Draft, Tracer},
    keys,
    routes::Finish,
    websocket::Handshake,
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use quorate_routing::grpc;
use quorate_rt::time::Instant;
use quorate_telemetry::{
    OpenCall, ServiceCounters,
    events::{Abandoned, Answered, Refused},
    label::{CallCode, Label as _, Outcome, PathTemplate, ServiceResult},
};
use std::sync::Arc;

/// What becomes of a call, where its answer says so.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Answers a request: by itself, or by the worker that it is for.
pub(crate) async fn serve(client: &Arc<Client>, request: Request<Incoming>) -> Response<AnswerBody> {
    let mut record = Record::begin(client);
    let core = &client.core;
    let by_path = Dialect::of(request.uri().path());
    let is_call = is_call(&request);
    let Forwarded { answer, index, finish } = route(client, request, (is_call, &mut record)).await;
    client.answering();
    let (ended, mut response) = match answer {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            ((Outcome::Upgraded, response.status()), response)
        }
        Ok(response) => ((Outcome::Forwarded, response.status()), response),
        Err(own) if is_call => {
            let own = if client.is_too_late() { own.too_late() } else { own };
            ((own.outcome, own.status), own.into_grpc(client))
        }
        Err(own) => ((own.outcome, own.status), own.into_response(client)),
    };
    if core.is(Stage::Leaving) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let dialect = match finish {
        Finish::ByPath => by_path,
        Finish::AsItIs | Finish::ByRoute(_) => Dialect::Route,
    };
    record.traced(&mut response, ended.1, &finish);
    if let Some(call) = record.call.take() {
        follow(call, &mut response);
    }
    core.stamp.put(response.headers_mut(), Stamped { index, dialect, freshness: &core.freshness });
    finish.finish(response.headers_mut());
    record.end(ended);
    response
}

/// Whether it is a call of gRPC, whose failures HTTP calls a success. To whoever wants a WebSocket of HTTP/2 that would
/// be an open tunnel, whatever content type he claims.
fn is_call<B>(request: &Request<B>) -> bool {
    grpc::is_call(request.headers()) && request.extensions().get::<Handshake>().is_none()
}

async fn route(
    client: &Arc<Client>,
    mut request: Request<Incoming>,
    (is_call, record): (bool, &mut Record<'_>),
) -> Forwarded {
    let core = &client.core;
    let time = if is_call { grpc::time_of(request.headers()) } else { Ok(None) };
    let admitted = match time.map_err(answer::malformed).and_then(|time| {
        client.asked(time);
        admit(&mut request, &core.config.limits)
    }) {
        Ok(admitted) => admitted,
        Err(own) => {
            record.begins(is_call, (record.path, None));
            return refused(own, &request, (core.desk.index(), Finish::ByPath));
        }
    };
    record.hop = Tracer::begin(core, &request);
    keys::take(core, &mut request);
    let mut decided = decide(client, &request, Patience::Fresh);
    if let Verdict::Hold(held) = decided.verdict {
        // Boxed: it is rare, and its state would be part of each connection's.
        decided = Box::pin(hold::wait(client, &request, held)).await;
    }
    record.service = decided.service;
    record.begins(is_call, (decided.path, decided.finish.call()));
    match decided.verdict {
        Verdict::Forward(to) => {
            if let Some(hop) = &mut record.hop {
                hop.sent(&to);
            }
            Forwarding::new(client, request, admitted, (to, decided.index)).run().await
        }
        Verdict::Answer(own) => refused(own, &request, (decided.index, decided.finish)),
        // Whoever has waited is told what there is.
        Verdict::Hold(_) => refused(answer::failed_to_route(), &request, (decided.index, decided.finish)),
    }
}

/// A call is counted by what becomes of it: its code is in the head of the answer, or behind its body.
fn follow(mut call: OpenCall, response: &mut Response<AnswerBody>) {
    match response.headers().get(GRPC_STATUS) {
        Some(status) => call.says(CallCode::of(status.as_bytes())),
        None => response.body_mut().follow(call),
    }
}

fn refused(own: Own, request: &Request<Incoming>, (index, finish): (HeaderValue, Finish)) -> Forwarded {
    if !matches!(own.outcome, Outcome::Preflight | Outcome::Redirected) {
        Refused {
            outcome: own.outcome,
            method: request.method().as_str(),
            path: request.uri().path(),
            reason: &own.status,
        }
        .emit();
    }
    Forwarded { answer: Err(own), index, finish }
}

/// Sees to it that each request is counted once, also the one whose client went away.
struct Record<'a> {
    client: &'a Client,
    began: Instant,
    ended: Option<Answered>,
    /// Of the service that it is for.
    service: Option<Arc<ServiceCounters>>,
    /// For those who follow a routing key.
    hop: Option<Box<Draft>>,
    /// What decides it.
    path: PathTemplate,
    /// It is a call.
    call: Option<OpenCall>,
}

impl<'a> Record<'a> {
    fn begin(client: &'a Client) -> Self {
        let (path, began) = (PathTemplate::Other, Instant::now());
        Self { client, began, ended: None, service: None, hop: None, path, call: None }
    }

    /// What is noted of its answer, as its worker gave it.
    fn traced(&mut self, response: &mut Response<AnswerBody>, status: StatusCode, finish: &Finish) {
        let Some(hop) = &mut self.hop else { return };
        if let Some(AnsweredAt(endpoint)) = response.extensions_mut().remove() {
            hop.arrived(&endpoint);
        }
        hop.answered(status, finish);
    }

    /// It is decided.
    fn begins(&mut self, is_call: bool, (path, method): (PathTemplate, Option<&str>)) {
        self.path = path;
        if is_call {
            let counters = self.client.core.counters.calls(method.unwrap_or(path.as_str()));
            self.call = Some(OpenCall::new(counters));
        }
    }

    /// With the status that the answer has, or would have if it were not to a call.
    fn end(mut self, (outcome, status): (Outcome, StatusCode)) {
        let (path, elapsed) = (self.path, self.began.elapsed());
        self.ended = Some(Answered { outcome, path, status: status.as_u16(), elapsed });
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if let (Some(service), Some(answered)) = (&self.service, &self.ended) {
            service.ended(match answered.outcome {
                Outcome::Forwarded | Outcome::Upgraded => ServiceResult::Answered,
                Outcome::NoWorker | Outcome::Overloaded => ServiceResult::Unserved,
                _ => ServiceResult::Failed,
            });
        }
        if let Some(hop) = self.hop.take() {
            let core = &self.client.core;
            core.tracer.end(*hop, core.deadlines.now());
        }
        match self.ended {
            Some(answered) => answered.emit(&self.client.core.counters),
            None => Abandoned.emit(&self.client.core.counters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use hyper::ext::Protocol;

    #[test]
    fn what_wants_a_websocket_is_no_call() {
        let mut request = Request::builder().method(Method::CONNECT).uri("https://a/chat").body(()).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        assert!(is_call(&request));
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        assert!(crate::websocket::prepare(&mut request));
        assert!(!is_call(&request));
    }
}
