//! What is malformed or ambiguous is refused before anything is decided on it.
//!
//! hyper has refused by now what breaks the framing: a bad or repeated `Content-Length`, a `Transfer-Encoding`
//! that does not end in `chunked`, folded lines, NUL, spaces before a colon. (Where a request has both framings,
//! `Transfer-Encoding` counts, `Content-Length` is dropped and the connection is closed.) Here is what hyper
//! leaves to us: [`quorate_routing::malformed`] has the rules.

use crate::{Limits, answer, answer::Own};
use http::{HeaderValue, Request, Uri, Version};
use quorate_routing::malformed::{self, Malformed, is_authority};

/// A request that may be decided on.
pub(crate) struct Admitted {
    /// The host that it asks for; `None`: an HTTP/1.0 client did not say.
    pub host: Option<HeaderValue>,
    /// How often it went through a router before.
    pub hops: u8,
}

/// Checks a request's head, and puts its target into origin form.
pub(crate) fn admit<B>(request: &mut Request<B>, limits: &Limits) -> Result<Admitted, Own> {
    admitted(request, limits).map_err(answer::malformed)
}

fn admitted<B>(request: &mut Request<B>, limits: &Limits) -> Result<Admitted, Malformed> {
    malformed::method(request.method())?;
    let bytes_max = limits.uri_bytes_max;
    if target_length(request.uri()) > bytes_max {
        return Err(Malformed::TooLong { bytes_max });
    }
    let host = malformed::host(request.headers())?.cloned();
    if host.is_none() && request.version() != Version::HTTP_10 {
        return Err(Malformed::NoHost);
    }
    if request.uri().authority().is_some() {
        to_origin_form(request, host.as_ref())?;
    }
    malformed::path(request.method(), request.uri().path())?;
    Ok(Admitted { host, hops: malformed::hops(request.headers())? })
}

fn target_length(uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |a| a.as_str().len());
    authority + uri.path_and_query().map_or(0, |p| p.as_str().len())
}

/// `GET http://host/path`: legal, and an invitation to say two hosts at once.
fn to_origin_form<B>(request: &mut Request<B>, host: Option<&HeaderValue>) -> Result<(), Malformed> {
    let uri = request.uri();
    let authority = uri.authority().map_or("", |a| a.as_str());
    let same = host.is_none_or(|h| h.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    match uri.scheme_str() {
        Some("http" | "https") if same && is_authority(authority.as_bytes()) => {}
        Some("http" | "https") => return Err(Malformed::TwoHosts),
        Some(_) => return Err(Malformed::Scheme),
        None => return Err(Malformed::NoPath),
    }
    let path = uri.path_and_query().cloned();
    // `http://host` is `/`; a path that was part of a valid target is a valid target.
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;

    fn check(line: &str, hosts: &[&'static str], expected: Result<(&str, Option<&str>), (u16, &str)>) {
        let (method, target) = line.split_once(' ').unwrap();
        let (target, version) = match target.strip_suffix(" HTTP/1.0") {
            Some(target) => (target, Version::HTTP_10),
            None => (target, Version::HTTP_11),
        };
        let mut request = Request::builder().method(method).uri(target).version(version).body(()).unwrap();
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_static(host));
        }
        let limits = Limits { uri_bytes_max: 64, ..Limits::default() };
        let got = admit(&mut request, &limits);
        let shown = got.map(|a| a.host.map(|h| h.to_str().unwrap().to_owned()));
        match (shown, expected) {
            (Ok(host), Ok((target, expected))) => {
                assert_eq!(
                    (request.uri().to_string().as_str(), host.as_deref()),
                    (target, expected),
                    "{line}"
                );
            }
            (Err(own), Err((status, part))) => {
                assert_eq!(own.status.as_u16(), status, "{line}");
                let client_sees = format!("{:?}", own.body());
                assert!(client_sees.contains(part), "{line}: {client_sees}");
                assert_eq!(own.connection, answer::After::Close, "{line}");
            }
            (got, expected) => panic!("{line}: {:?}, not {expected:?}", got.map_err(|own| own.status)),
        }
    }

    #[test]
    fn ordinary_requests_pass() {
        check("GET /a?b=c", &["r:8080"], Ok(("/a?b=c", Some("r:8080"))));
        check("GET /", &["[::1]:80"], Ok(("/", Some("[::1]:80"))));
        check("OPTIONS *", &["r"], Ok(("*", Some("r"))));
        check("GET /a HTTP/1.0", &[], Ok(("/a", None)));
    }

    #[test]
    fn an_absolute_target_must_name_the_same_host() {
        check("GET http://R.example/a?b", &["r.EXAMPLE"], Ok(("/a?b", Some("r.EXAMPLE"))));
        check("GET http://r", &["r"], Ok(("/", Some("r"))));
        check("GET http://other/a", &["r"], Err((400, "different hosts")));
        check("GET http://user@r/a", &["r"], Err((400, "different hosts")));
        check("GET ftp://r/a", &["r"], Err((400, "http or https")));
    }

    #[test]
    fn there_is_one_host() {
        check("GET /", &[], Err((400, "No Host")));
        check("GET /", &["a", "a"], Err((400, "More than one Host")));
        for bad in ["", "a@b", "a, b", "a/b", "a b", "a?b", "a\\b", "a#b"] {
            check("GET /", &[bad], Err((400, "must be a host")));
        }
    }

    #[test]
    fn what_is_not_routed_is_refused() {
        check("CONNECT r:443", &["r:443"], Err((405, "CONNECT is not routed")));
        check("TRACE /", &["r"], Err((405, "TRACE is not routed")));
        check("GET *", &["r"], Err((400, "must be a path")));
        check("GET r:80", &["r:80"], Err((400, "must be a path")));
        check(&format!("GET /{}", "a".repeat(64)), &["r"], Err((414, "at most 64 bytes")));
    }
}
