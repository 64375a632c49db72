//! What is malformed or ambiguous is refused before anything is decided on it.
//!
//! A request names one host, and the same everywhere; its target is a path, its method one that makes sense towards a
//! worker; and it does not go in circles. Which of these the proxy refuses, `explain` tells: both ask here.

use crate::{
    RequestHead, grpc,
    hops::{HOPS_MAX, hops_so_far},
};
use http::{HeaderMap, HeaderValue, Method, header};

/// Why nothing is decided on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `CONNECT` and `TRACE`: neither makes sense towards a worker.
    #[error("{0} is not routed")]
    Method(&'static str),
    /// The target has more bytes than it may.
    #[error("The request target may have at most {bytes_max} bytes")]
    TooLong {
        /// How many that are.
        bytes_max: usize,
    },
    /// The target is neither a path nor, for `OPTIONS`, `*`.
    #[error("The request target must be a path")]
    NoPath,
    /// The target names a scheme that is none of ours.
    #[error("The request target's scheme must be http or https")]
    Scheme,
    /// A client that has to name a host names none.
    #[error("No Host header")]
    NoHost,
    /// It names two.
    #[error("More than one Host header")]
    ManyHosts,
    /// What it names is none.
    #[error("The Host header must be a host and an optional port")]
    BadHost,
    /// It names one in the target and another one in the header.
    #[error("The request target and the Host header name different hosts")]
    TwoHosts,
    /// A call of gRPC says in no known form how long it may take.
    #[error("grpc-timeout must be a number of one to eight digits and a unit: H, M, S, m, u or n")]
    CallTime,
    /// It went through routers too often.
    #[error(
        "The request went through routers {0} times, as its header x-quorate-hops says, and {HOPS_MAX} is the end: \
         the address of a worker or of a service points at the router itself, or the client sent that header, which \
         routers write"
    )]
    Loop(u8),
}

impl Malformed {
    /// How it is answered.
    pub fn status(self) -> u16 {
        match self {
            Self::Method(_) => 405,
            Self::TooLong { .. } => 414,
            Self::Loop(_) => 508,
            Self::NoPath
            | Self::Scheme
            | Self::NoHost
            | Self::ManyHosts
            | Self::BadHost
            | Self::TwoHosts
            | Self::CallTime => 400,
        }
    }
}

/// All that a head shows by itself. How long a target may be is a setting of each node, and a client of HTTP/1.0 may
/// name no host.
pub fn check(head: &RequestHead<'_>) -> Result<(), Malformed> {
    if grpc::is_call(head.headers) {
        grpc::time_of(head.headers)?;
    }
    method(head.method)?;
    host(head.headers)?;
    path(head.method, head.path)?;
    hops(head.headers).map(drop)
}

/// Whether there is anybody to send such a method to.
pub fn method(method: &Method) -> Result<(), Malformed> {
    match *method {
        Method::CONNECT => Err(Malformed::Method("CONNECT")),
        Method::TRACE => Err(Malformed::Method("TRACE")),
        _ => Ok(()),
    }
}

/// The one host that is named in the header, if one is.
pub fn host(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Malformed> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Err(Malformed::ManyHosts),
        (Some(host), None) if !is_authority(host.as_bytes()) => Err(Malformed::BadHost),
        (host, _) => Ok(host),
    }
}

/// Whether a target is a path.
pub fn path(method: &Method, path: &str) -> Result<(), Malformed> {
    let names_a_path = path.starts_with('/') || (path == "*" && *method == Method::OPTIONS);
    if names_a_path { Ok(()) } else { Err(Malformed::NoPath) }
}

/// How often it went through a router before.
pub fn hops(headers: &HeaderMap) -> Result<u8, Malformed> {
    let hops = hops_so_far(headers);
    if hops >= HOPS_MAX { Err(Malformed::Loop(hops)) } else { Ok(hops) }
}

/// A name or address and a port, by their characters: no user, no path, no list, no space.
pub fn is_authority(host: &[u8]) -> bool {
    let allowed = |b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'~' | b'%')
    };
    !host.is_empty() && host.iter().all(allowed)
}
