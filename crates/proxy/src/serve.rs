//! One request, from head to answer.

use crate::{
    admit::admit,
    answer::Own,
    client::Client,
    core::Stage,
    decide::Verdict,
    forward::{Forwarded, Forwarding},
    headers::Stamped,
    http1::AnswerBody,
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use quorate_routing::RequestHead;
use quorate_rt::time::Instant;
use quorate_telemetry::{
    events::{Abandoned, Answered, Refused},
    label::Outcome,
};
use std::sync::Arc;

/// Answers a request: by itself, or by the worker that owns its partition.
pub(crate) async fn serve(client: &Arc<Client>, mut request: Request<Incoming>) -> Response<AnswerBody> {
    let record = Record::begin(client);
    let core = &client.core;
    let Forwarded { answer, index } = match admit(&mut request, &core.config.limits) {
        Err(own) => refused(own, &request, core.desk.index()),
        Ok(admitted) => {
            let head = RequestHead {
                method: request.method(),
                path: request.uri().path(),
                headers: request.headers(),
                entropy: 0, // the desk's to draw
            };
            let decided = core.desk.decide(head, core.deadlines.now());
            match decided.verdict {
                Verdict::Answer(own) => refused(own, &request, decided.index),
                Verdict::Forward(endpoint) => {
                    Forwarding::new(client, request, admitted, (endpoint, decided.index)).run().await
                }
            }
        }
    };
    client.answering();
    let (outcome, mut response) = match answer {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => (Outcome::Upgraded, response),
        Ok(response) => (Outcome::Forwarded, response),
        Err(own) => (own.outcome, own.into_response(client)),
    };
    if core.is(Stage::Leaving) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    core.stamp.put(response.headers_mut(), Stamped { index, freshness: &core.freshness });
    record.end(outcome, response.status());
    response
}

fn refused(own: Own, request: &Request<Incoming>, index: HeaderValue) -> Forwarded {
    if own.outcome != Outcome::Preflight {
        Refused {
            outcome: own.outcome,
            method: request.method().as_str(),
            path: request.uri().path(),
            reason: &own.status,
        }
        .emit();
    }
    Forwarded { answer: Err(own), index }
}

/// Sees to it that each request is counted once, also the one whose client went away.
struct Record<'a> {
    client: &'a Client,
    began: Instant,
    ended: Option<Answered>,
}

impl<'a> Record<'a> {
    fn begin(client: &'a Client) -> Self {
        Self { client, began: Instant::now(), ended: None }
    }

    fn end(mut self, outcome: Outcome, status: StatusCode) {
        self.ended = Some(Answered { outcome, status: status.as_u16(), elapsed: self.began.elapsed() });
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        match self.ended {
            Some(answered) => answered.emit(&self.client.core.counters),
            None => Abandoned.emit(&self.client.core.counters),
        }
    }
}
