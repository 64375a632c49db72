//! What clients and workers do, over simulated HTTP.

use super::{World, node::ip, worker};
use crate::trace;
use bytes::Bytes;
use http::{Request, Response};
use quorate_rt::{http as rt_http, time};
use serde_json::{Value, json};
use std::{io, time::Duration};

/// An answer takes at most this long, or the node broke its promise never to hang.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Got {
    /// An answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// `X-Quorate-Index`, or 0.
        index: u64,
        /// Whether it carried `X-Quorate-Stale`.
        stale: bool,
        /// JSON, or a text.
        body: Value,
    },
    /// No connection: the node never saw the request.
    NotReached,
    /// The connection broke, or no answer came in time.
    NoAnswer,
}

impl Got {
    /// HTTP status; 0: none.
    pub fn status(&self) -> u16 {
        if let Self::Answer { status, .. } = self { *status } else { 0 }
    }

    /// The index of the View that decided, or 0.
    pub fn index(&self) -> u64 {
        if let Self::Answer { index, .. } = self { *index } else { 0 }
    }

    /// A body that is no JSON.
    pub fn text(&self) -> &str {
        if let Self::Answer { body, .. } = self { body.as_str().unwrap_or_default() } else { "" }
    }
}

/// One request to port `port` of machine `i`.
async fn request(
    port: u16,
    i: usize,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Value,
) -> Got {
    let authority = format!("{}:{port}", ip(i + 1));
    let mut builder = Request::builder().method(method).uri(path).header("host", &authority);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = builder.header("content-type", "application/json").body(rt_http::full(bytes));
    let request = request.expect("our own names and values are valid");
    match time::timeout(ANSWER_WITHIN, rt_http::request_once(&authority, request, 1 << 20)).await {
        Ok(Ok(answer)) => got(&answer),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Got::NotReached,
        Ok(Err(_)) => Got::NoAnswer,
        Err(_) => {
            trace::event(|| format!("n{} did not answer {method} {path}", i + 1));
            Got::NoAnswer
        }
    }
}

fn got(answer: &Response<Bytes>) -> Got {
    let index = answer.headers().get("x-quorate-index").and_then(|v| v.to_str().ok()?.parse().ok());
    let text = || Value::String(String::from_utf8_lossy(answer.body()).into_owned());
    Got::Answer {
        status: answer.status().as_u16(),
        index: index.unwrap_or(0),
        stale: answer.headers().contains_key("x-quorate-stale"),
        body: serde_json::from_slice(answer.body()).unwrap_or_else(|_| text()),
    }
}

/// A management request made by a client machine.
pub async fn manage_raw(world: &World, i: usize, method: &'static str, path: String, body: Value) -> Got {
    let call = async move { request(9090, i, (method, &path), &[], body).await };
    world.clients.spawn(call).await.unwrap_or(Got::NoAnswer)
}

/// The same: status and body of an answer.
pub async fn manage(
    world: &World,
    i: usize,
    method: &'static str,
    path: String,
    body: Value,
) -> Option<(u16, Value)> {
    match manage_raw(world, i, method, path, body).await {
        Got::Answer { status, body, .. } => Some((status, body)),
        Got::NotReached | Got::NoAnswer => None,
    }
}

/// A management request that must be answered with 200 within a bounded number of tries: a cluster that has just formed
/// may not know everything yet.
pub async fn persist(world: &World, method: &'static str, path: &str, body: &Value) -> Result<(), String> {
    let mut last = None;
    for _ in 0..100 {
        last = manage(world, world.any(), method, path.to_owned(), body.clone()).await;
        if last.as_ref().is_some_and(|(status, _)| *status == 200) {
            return Ok(());
        }
        time::sleep(Duration::from_millis(500)).await;
    }
    Err(format!("{method} {path} is refused for good: {last:?}"))
}

/// Registers a worker through machine `i`; the epoch if it was acknowledged.
pub async fn register(world: &World, i: usize, number: usize, partitions: &[i32]) -> Option<u64> {
    let id = format!("w{number}");
    let body = json!({"address": format!("http://{}", worker::address(number)), "partitions": partitions, "ttl": "600s"});
    let answer = manage(world, i, "PUT", format!("/v1/workers/{id}"), body).await;
    trace::event(|| {
        format!("register {id} {partitions:?} at n{}: {:?}", i + 1, answer.as_ref().map(|a| a.0))
    });
    let epoch = answer.filter(|(status, _)| *status == 200)?.1["lease"]["id"].as_u64()?;
    world.acknowledged.borrow_mut().push((id, epoch));
    Some(epoch)
}

/// Routes a request of `workspace` through machine `i`.
pub async fn route_raw(world: &World, i: usize, workspace: String) -> Got {
    let call =
        async move { request(8080, i, ("GET", "/x"), &[("x-workspace-id", &workspace)], Value::Null).await };
    world.clients.spawn(call).await.unwrap_or(Got::NoAnswer)
}

/// The same: status and body of an answer.
pub async fn route(world: &World, i: usize, workspace: String) -> Option<(u16, String)> {
    match route_raw(world, i, workspace).await {
        Got::Answer { status, body, .. } => Some((status, body.as_str().unwrap_or_default().to_owned())),
        Got::NotReached | Got::NoAnswer => None,
    }
}

/// A request for the service `s` through machine `i`.
pub async fn serve_raw(world: &World, i: usize, method: &'static str, body: Value) -> Got {
    let call = async move { request(8080, i, (method, "/api/service/s/x"), &[], body).await };
    world.clients.spawn(call).await.unwrap_or(Got::NoAnswer)
}

/// A linearizable read on machine `i`.
pub async fn barrier(world: &World, i: usize) -> Result<(), String> {
    for _ in 0..20 {
        let answer = manage(world, i, "GET", "/v1/workers?consistent=true".into(), Value::Null).await;
        if answer.is_some_and(|(status, _)| status == 200) {
            return Ok(());
        }
    }
    Err(format!("n{} gives no linearizable read in a whole cluster", i + 1))
}

/// Every node must send every workspace to the same worker, and get its answer.
pub async fn routes_agree(world: &World, workspaces: usize) -> Result<(), String> {
    for n in 0..workspaces {
        let mut first: Option<(u16, String)> = None;
        for i in world.member_numbers() {
            let answer = route(world, i, format!("workspace-{n}"))
                .await
                .ok_or(format!("n{} does not route", i + 1))?;
            if answer.0 != 200 {
                return Err(format!("n{} answers {answer:?} for workspace-{n}", i + 1));
            }
            if first.as_ref().is_some_and(|f| *f != answer) {
                return Err(format!(
                    "workspace-{n} goes to {first:?} and, through n{}, to {answer:?}",
                    i + 1
                ));
            }
            first = Some(answer);
        }
    }
    trace::event(|| format!("{workspaces} workspaces go the same way on all nodes"));
    Ok(())
}
