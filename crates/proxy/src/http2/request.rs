//! A request, as HTTP/1.1 would have said it.
//!
//! What is said in one place only there must not be said twice here either: what `:authority` and a `Host` field say
//! is compared where requests are admitted, like an absolute target and its `Host` field.

use http::{HeaderMap, HeaderValue, Request, Version, header};

/// Makes of an HTTP/2 request what an HTTP/1.1 client would have sent. Others stay as they are.
pub(crate) fn prepare<B>(request: &mut Request<B>) {
    if request.version() != Version::HTTP_2 {
        return;
    }
    // The host is beside the headers; an authority is always a legal value.
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    join_cookies(request.headers_mut());
}

/// HTTP/2 may say cookies in several fields; in HTTP/1.1 there is one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(b"; ".as_slice())) {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_said_where_http1_says_it() {
        let host = |version, fields: &[&'static str]| {
            let mut request =
                Request::builder().version(version).uri("https://a.example:1/x").body(()).unwrap();
            for field in fields {
                request.headers_mut().append(header::HOST, HeaderValue::from_static(field));
            }
            prepare(&mut request);
            let said = request.headers().get_all(header::HOST).iter();
            said.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(host(Version::HTTP_2, &[]), ["a.example:1"]);
        assert_eq!(host(Version::HTTP_2, &["b"]), ["b"], "which is refused later");
        assert_eq!(host(Version::HTTP_11, &[]), [""; 0]);
    }

    #[test]
    fn cookies_that_came_in_parts_are_one_field() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3; d=4"]);
        join_cookies(&mut headers);
        assert_eq!(headers[header::COOKIE], "a=1; b=2; c=3; d=4");
        headers.remove(header::COOKIE);
        join_cookies(&mut headers);
        assert!(headers.is_empty());
    }
}
