//! What clients and workers do, over simulated HTTP.

use super::{World, node::ip, worker};
use crate::trace;
use bytes::Bytes;
use http::{Request, Response};
use quorate_rt::{http as rt_http, time};
use serde_json::{Value, json};
use std::time::Duration;

/// An answer takes at most this long, or the node broke its promise never to hang.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// One request to port `port` of machine `i`; `None`: no connection.
async fn request(
    port: u16,
    i: usize,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Value,
) -> Option<Response<Bytes>> {
    let authority = format!("{}:{port}", ip(i + 1));
    let mut builder = Request::builder().method(method).uri(path).header("host", &authority);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = builder.header("content-type", "application/json").body(rt_http::full(bytes)).ok()?;
    match time::timeout(ANSWER_WITHIN, rt_http::request_once(&authority, request, 1 << 20)).await {
        Ok(answer) => answer.ok(),
        Err(_) => {
            trace::event(|| format!("n{} did not answer {method} {path}", i + 1));
            None
        }
    }
}

/// A management request made by a client machine.
pub async fn manage(
    world: &World,
    i: usize,
    method: &'static str,
    path: String,
    body: Value,
) -> Option<(u16, Value)> {
    let call = async move { request(9090, i, (method, &path), &[], body).await };
    let answer = world.clients.spawn(call).await.ok().flatten()?;
    let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    Some((answer.status().as_u16(), body))
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

/// Routes a request of `workspace` through machine `i`: status and body.
pub async fn route(world: &World, i: usize, workspace: String) -> Option<(u16, String)> {
    let call =
        async move { request(8080, i, ("GET", "/x"), &[("x-workspace-id", &workspace)], Value::Null).await };
    let answer = world.clients.spawn(call).await.ok().flatten()?;
    Some((answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned()))
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
        for i in 0..world.machines.len() {
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
