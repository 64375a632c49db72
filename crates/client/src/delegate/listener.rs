//! The delegate's endpoint: one path, one method, small bodies, and an answer that waits for the routers'.

use super::{
    beat::{Beat, Declined, PATH},
    desk::Desk,
};
use crate::tasks;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// More members wait until one has gone; they beat to the routers meanwhile.
const CONNECTIONS_MAX: usize = 4_096;
/// Larger heartbeats are refused.
const BODY_BYTES_MAX: usize = 4 << 10;
/// A body that is not there by then is none.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// A connection that is idle for longer is closed.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// After a connection could not be accepted, as where files run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Until it is dropped; its connections end with it.
pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((tcp, _)) => {
                let desk = desk.clone();
                connections.spawn(async move {
                    connection(tcp, &desk).await;
                    drop(place);
                });
            }
            Err(_) => tasks::sleep(PAUSE).await,
        }
    }
}

async fn connection(tcp: TcpStream, desk: &Arc<Desk>) {
    // Answers are one small write each.
    let _ = tcp.set_nodelay(true);
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request, desk).await) });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    // An error is the other side going away. A heartbeat of it that waits is dropped, and not passed on.
    let _ = server.serve_connection(TokioIo::new(tcp), service).await;
}

async fn answer(request: Request<Incoming>, desk: &Desk) -> Response<Full<Bytes>> {
    let refuse = |status, code: &str, detail: &str| said(status, &json!({"code": code, "detail": detail}));
    if !request.uri().path().split('/').skip(1).eq(PATH) {
        return refuse(StatusCode::NOT_FOUND, "not_found", "a delegate takes heartbeats, and nothing else");
    }
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "allowed: POST");
    }
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let body = match tasks::within(BODY_WITHIN, body).await {
        Some(Ok(body)) => body.to_bytes(),
        Some(Err(_)) | None => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "the body is too long, or did not come",
            );
        }
    };
    let beat: Beat = match serde_json::from_slice(&body) {
        Ok(beat) => beat,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, "invalid_request", &error.to_string()),
    };
    match desk.take(&beat).await {
        Ok(passed) => said(StatusCode::OK, &passed),
        Err(declined) => declines(declined),
    }
}

fn declines(declined: Declined) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(declined.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    said(status, &json!({"code": declined.code(), "detail": "beat to the routers"}))
}

fn said(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).expect("texts and numbers are JSON");
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
