//! A health check's probe: a connection to a worker, and a question on it.

use crate::tunnel::{self, Tunnels};
use http::{Method, Request, StatusCode, Version, header};
use http_body_util::BodyExt;
use quorate_model::{Address, HealthCheck, HealthProbe, Protocol, Scheme};
use quorate_rt::{
    blocking,
    http::{full, http1_once, http2_once},
    net::TcpStream,
    time, tls,
};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// The most of an answer that is read. Health answers are a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// `SERVING` of `grpc.health.v1.HealthCheckResponse`.
const SERVING: u8 = 1;

/// What is probed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is. A path in it has no meaning here.
    pub address: Address,
    /// What it speaks.
    pub protocol: Option<Protocol>,
    /// What is asked.
    pub check: HealthCheck,
}

/// Probes endpoints. Clones share what TLS needs.
#[derive(Clone)]
pub struct Prober {
    tunnels: Arc<dyn Tunnels>,
    tls: Arc<OnceCell<tls::Connector>>,
}

/// Why an endpoint is not well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It took longer than the check allows.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There is nothing to check its certificate against.
    #[error("TLS: {0}")]
    Tls(#[from] tls::Error),
    /// Neither 2xx nor 3xx.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// The health service failed, or is not there.
    #[error("grpc-status {0}")]
    GrpcStatus(String),
    /// It says that it is not serving.
    #[error("its gRPC answer is not SERVING")]
    NotServing,
}

impl Prober {
    /// Those who dial us are reached by `tunnels`.
    pub fn new(tunnels: Arc<dyn Tunnels>) -> Self {
        Self { tunnels, tls: Arc::default() }
    }

    /// Whether the endpoint is well.
    pub async fn probe(&self, target: &Target) -> Result<(), Failure> {
        let limit = Duration::from_millis(target.check.timeout_ms.into());
        time::timeout(limit, self.ask(target)).await.map_err(|_| Failure::TooSlow(limit))?
    }

    async fn ask(&self, target: &Target) -> Result<(), Failure> {
        let address = &target.address;
        let socket: tunnel::Stream = match address.tunnel() {
            Some(name) => self.tunnels.open(name).await?,
            None => Box::new(TcpStream::connect(address.authority().as_str()).await?),
        };
        match &target.check.probe {
            HealthProbe::Tcp => Ok(()),
            HealthProbe::Http { path } => {
                let request = request(address, Method::GET, path).body(full("")).map_err(io::Error::other)?;
                let answer = self.send(socket, target, request).await?;
                match answer.status() {
                    status if (200..400).contains(&status.as_u16()) => Ok(()),
                    status => Err(Failure::Status(status)),
                }
            }
            HealthProbe::Grpc { service } => {
                let request = request(address, Method::POST, "/grpc.health.v1.Health/Check")
                    .version(Version::HTTP_2)
                    .header(header::CONTENT_TYPE, "application/grpc")
                    .header(header::TE, "trailers")
                    .body(full(question(service)))
                    .map_err(io::Error::other)?;
                is_serving(self.send(socket, target, request).await?).await
            }
        }
    }

    async fn send(
        &self,
        socket: tunnel::Stream,
        target: &Target,
        request: Request<quorate_rt::http::BoxBody>,
    ) -> Result<http::Response<hyper::body::Incoming>, Failure> {
        let speaks_http2 = matches!(target.protocol, Some(Protocol::H2c | Protocol::H2))
            || matches!(target.check.probe, HealthProbe::Grpc { .. });
        Ok(match (target.address.scheme(), speaks_http2) {
            (Scheme::Http, false) => http1_once(socket, request).await?,
            (Scheme::Http, true) => http2_once(socket, request).await?,
            (Scheme::Https, speaks_http2) => {
                let connector = self.tls.get_or_try_init(|| blocking(|| tls::Connector::new(None))).await?;
                let alpn = if speaks_http2 { tls::Alpn::Http2 } else { tls::Alpn::Http1 };
                let stream = connector.connect(target.address.host(), socket, alpn).await?;
                if speaks_http2 {
                    http2_once(stream, request).await?
                } else {
                    http1_once(stream, request).await?
                }
            }
        })
    }
}

fn request(address: &Address, method: Method, path: &str) -> http::request::Builder {
    let scheme = match address.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let authority = address.tunnel().map_or_else(|| address.authority(), str::to_owned);
    Request::builder()
        .method(method)
        .uri(format!("{scheme}://{authority}{path}"))
        .header(header::USER_AGENT, "quorate-health")
}

/// `HealthCheckRequest { service: 1 }` in one gRPC message.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, length-delimited. A service's name has at most 256 bytes, so its length takes one or two.
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed
}

async fn is_serving(answer: http::Response<hyper::body::Incoming>) -> Result<(), Failure> {
    if answer.status() != StatusCode::OK {
        return Err(Failure::Status(answer.status()));
    }
    let status = |headers: &http::HeaderMap| {
        let status = headers.get("grpc-status")?.to_str().ok()?;
        (status != "0").then(|| Failure::GrpcStatus(status.chars().take(8).collect()))
    };
    if let Some(failure) = status(answer.headers()) {
        return Err(failure);
    }
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
    let collected = body.collect().await.map_err(io::Error::other)?;
    if let Some(failure) = collected.trailers().and_then(status) {
        return Err(failure);
    }
    // One message: a flag, four bytes of length, then `status`, field 1, a varint.
    match collected.to_bytes().get(5..7) {
        Some([0x08, SERVING]) => Ok(()),
        _ => Err(Failure::NotServing),
    }
}

#[cfg(test)]
mod tests;
