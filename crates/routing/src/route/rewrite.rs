//! Another path or host than the one that was asked for: for the destination, or for the client to ask again.

use super::host::{bare, port};
use crate::decide::RequestHead;
use quorate_model::{
    Scheme,
    route::{PathMatch, PathRewrite, Redirect, Route},
};
use std::borrow::Cow;

/// What a destination is asked for: path and query. `None`: what the client asked for.
pub fn target(route: &Route, rewrite: Option<&PathRewrite>, head: &RequestHead<'_>) -> Option<String> {
    let path = path(route, rewrite?, head.path);
    Some(with_query(&path, head.query))
}

/// Where a client is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The value of `Location`.
    pub location: String,
}

/// Where a redirect leads.
pub fn redirection(route: &Route, redirect: &Redirect, head: &RequestHead<'_>) -> Redirection {
    let path = match &redirect.path {
        Some(rewrite) => path(route, rewrite, head.path),
        None => Cow::Borrowed(head.path),
    };
    let target = with_query(&path, head.query);
    let host = redirect.host.as_deref().map_or_else(|| bare(head.host), Cow::Borrowed);
    let location = if host.is_empty() {
        // A client that names no host. Two slashes at the beginning would make one of the path.
        format!("/{}", target.trim_start_matches('/'))
    } else {
        let scheme = redirect.scheme.unwrap_or(head.scheme);
        let asked =
            if redirect.scheme.is_none_or(|scheme| scheme == head.scheme) { port(head.host) } else { None };
        let (name, usual) = match scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        match redirect.port.or(asked).filter(|port| *port != usual) {
            Some(port) => format!("{name}://{host}:{port}{target}"),
            None => format!("{name}://{host}{target}"),
        }
    };
    Redirection { status: redirect.status, location }
}

/// Whether a redirect leads where the request came from. Without a host nobody can tell, but that it says nothing new.
pub fn leads_back(route: &Route, redirect: &Redirect, head: &RequestHead<'_>) -> bool {
    let is_named = !head.host.is_empty();
    let says_nothing = redirect.host.is_none() && redirect.scheme.is_none_or(|scheme| scheme == head.scheme);
    let none = Redirect { status: redirect.status, scheme: None, host: None, port: None, path: None };
    (is_named || says_nothing)
        && redirection(route, redirect, head).location == redirection(route, &none, head).location
}

fn path<'h>(route: &Route, rewrite: &'h PathRewrite, path: &'h str) -> Cow<'h, str> {
    match (rewrite, &route.matches.path) {
        (PathRewrite::Full(full), _) => Cow::Borrowed(full),
        (PathRewrite::Prefix(new), PathMatch::Prefix(old)) => {
            let rest = behind(old, path);
            match (&**new, rest) {
                ("", "") => Cow::Borrowed("/"),
                (new, rest) => Cow::Owned(format!("{new}{rest}")),
            }
        }
        // A route is not made like that.
        (PathRewrite::Prefix(_), _) => Cow::Borrowed(path),
    }
}

/// What follows a prefix in a path that begins with it: by whole segments, since the client may have spelt them
/// otherwise than the route does.
fn behind<'h>(prefix: &str, path: &'h str) -> &'h str {
    let segments = prefix.bytes().filter(|byte| *byte == b'/').count();
    let slash = path.match_indices('/').nth(segments);
    slash.map_or("", |(at, _)| &path[at..])
}

fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};
    use quorate_model::{
        RouteName,
        route::{Action, RouteMatch, RouteParts},
    };

    fn route(path: PathMatch, action: Action) -> Route {
        let matches = RouteMatch { path, ..RouteMatch::default() };
        RouteParts { matches, action, priority: 0 }
            .validate(RouteName::parse("r").expect("a name"))
            .expect("valid")
    }

    fn redirect() -> Redirect {
        Redirect {
            status: 308,
            scheme: None,
            host: None,
            port: None,
            path: PathRewrite::full("f", "/x").ok(),
        }
    }

    fn prefixed(prefix: &str) -> Route {
        route(PathMatch::prefix(prefix).expect("a prefix"), Action::Redirect(redirect()))
    }

    fn check(prefix: &str, to: PathRewrite, asked: &str, expected: &str) {
        let headers = HeaderMap::new();
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let head = RequestHead { query, ..RequestHead::of(&Method::GET, path, &headers) };
        let got = target(&prefixed(prefix), Some(&to), &head);
        assert_eq!(got.as_deref(), Some(expected), "{prefix} {to:?} {asked}");
    }

    #[test]
    fn a_path_is_rewritten() {
        let prefix = |to| PathRewrite::prefix("f", to).expect("a path");
        check("/api", prefix("/v2"), "/api/a/b?c=d", "/v2/a/b?c=d");
        check("/api", prefix("/v2"), "/api", "/v2");
        check("/api", prefix("/v2"), "/api/", "/v2/");
        check("/api", prefix("/"), "/api/a", "/a");
        check("/api", prefix("/"), "/api", "/");
        check("/api", prefix("/"), "/api?x", "/?x");
        check("/", prefix("/v2"), "/a/b", "/v2/a/b");
        check("/", prefix("/v2"), "/", "/v2/");
        // The client's own spelling is recognised, and what follows is left as it came.
        check("/a%20b", prefix("/x"), "/%61%20b/c%20d", "/x/c%20d");
        check("/api", prefix("/x"), "/%61pi/y", "/x/y");
        let full = |to| PathRewrite::full("f", to).expect("a path");
        check("/api", full("/one"), "/api/a?b", "/one?b");
    }

    fn located(redirect: Redirect, host: &str, asked: &str) -> String {
        let headers = HeaderMap::new();
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let head = RequestHead { query, host, ..RequestHead::of(&Method::GET, path, &headers) };
        redirection(&prefixed("/old"), &redirect, &head).location
    }

    #[test]
    fn a_redirect_to_where_the_request_is_leads_back() {
        let none = || Redirect { path: None, ..redirect() };
        let https = || Redirect { scheme: Some(Scheme::Https), ..none() };
        let headers = HeaderMap::new();
        for (redirect, scheme, host, path, expected) in [
            (https(), Scheme::Https, "r.example:8443", "/old", true),
            (https(), Scheme::Http, "r.example:8443", "/old", false),
            (https(), Scheme::Http, "", "/old", false),
            (Redirect { port: Some(443), ..https() }, Scheme::Https, "r", "/old", true),
            (redirect(), Scheme::Http, "r", "/x", true),
            (redirect(), Scheme::Http, "r", "/old", false),
            (redirect(), Scheme::Http, "", "/x", true),
            (Redirect { host: Some("n.example".into()), ..none() }, Scheme::Http, "N.example", "/old", true),
            (Redirect { host: Some("n.example".into()), ..none() }, Scheme::Http, "r", "/old", false),
        ] {
            let head = RequestHead { scheme, host, ..RequestHead::of(&Method::GET, path, &headers) };
            assert_eq!(leads_back(&prefixed("/old"), &redirect, &head), expected, "{scheme:?} {host} {path}");
        }
    }

    #[test]
    fn a_redirect_changes_what_it_names() {
        let none = || Redirect { path: None, ..redirect() };
        let host = |to: &str| Some(Box::from(to));
        for (redirect, host, asked, expected) in [
            (redirect(), "r.example:8080", "/old/a?b", "http://r.example:8080/x?b"),
            (
                Redirect { host: host("n.example"), ..none() },
                "r:8080",
                "/old/a?b",
                "http://n.example:8080/old/a?b",
            ),
            (Redirect { scheme: Some(Scheme::Https), ..none() }, "R:8080", "/old", "https://r/old"),
            (
                Redirect { scheme: Some(Scheme::Https), port: Some(8443), ..none() },
                "r",
                "/",
                "https://r:8443/",
            ),
            (Redirect { port: Some(80), ..none() }, "r:8080", "/old", "http://r/old"),
            (
                Redirect { path: PathRewrite::prefix("f", "/new").ok(), ..none() },
                "r",
                "/old/a",
                "http://r/new/a",
            ),
            (redirect(), "", "/old", "/x"),
            (none(), "", "//evil.example/x", "/evil.example/x"),
        ] {
            assert_eq!(located(redirect, host, asked), expected, "{host} {asked}");
        }
    }
}
