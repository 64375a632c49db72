//! A route can not be dodged by another spelling of its path.

use crate::{check, found, table};
use quorate_model::route::PathMatch;

#[test]
fn another_spelling_meets_the_same_route() {
    let table = table(&["all:", "admin: prefix=/admin", "cafe: exact=/caf%C3%a9"]);
    for path in ["/admin", "/%61dmin/x", "/adm%69n/", "/%61%64%6D%69%6e"] {
        check(&table, &format!("GET r{path}"), "admin");
    }
    check(&table, "GET r/caf%c3%A9", "cafe");
    check(&table, "GET r/%2561dmin", "all");
}

#[test]
fn a_path_that_reads_as_another_route_is_refused() {
    for routes in
        [&["admin: prefix=/admin"][..], &["all:", "admin: prefix=/admin"], &["admin: exact=/admin/x"]]
    {
        let table = table(routes);
        for path in [
            "/x/../admin/x",
            "/x/%2e%2E/admin/x",
            "/x/..;a=b/admin/x",
            "/./admin/x",
            "//admin/x",
            "/admin//x/../x",
            "/x%2F..%2Fadmin/x",
            "/%2Fadmin/x",
            "/\\admin/x",
            "/%5cadmin/x",
            "/a//../admin/x",
            "/admin/../admin/x",
        ] {
            check(&table, &format!("GET r{path}"), "ambiguous");
        }
    }
    // What decides may also be what stands before the dots.
    check(&table(&["a: prefix=/a"]), "GET r/a/../b", "ambiguous");
    check(&table(&["x: prefix=/a/b h:x=1", "all:"]), "GET r/a/%2e/b x:1", "ambiguous");
}

#[test]
fn what_no_route_is_for_is_left_to_the_rules_behind() {
    let table = table(&["a: prefix=/a", "host: host=other"]);
    for path in ["/v1/workspaces/a%2Fb", "//workspaces/w1//", "/x/../y", "/x%00"] {
        check(&table, &format!("GET r{path}"), "none");
    }
}

#[test]
fn one_route_for_every_reading_gets_the_request() {
    let table = table(&["pkg: prefix=/pkg", "all: host=h"]);
    check(&table, "GET r/pkg/@scope%2Fname", "pkg");
    check(&table, "GET r/pkg//x/", "pkg");
    check(&table, "GET h/a%5Cb//c", "all");
    // But dots lead out of what a destination puts before them.
    check(&table, "GET h/a/../../b", "ambiguous");
    check(&table, "GET h/a%0d%0ab", "ambiguous");
}

/// Servers that take parameters off serve `/admin/secret` to who asks for `/admin;x/secret`.
#[test]
fn parameters_of_a_segment_dodge_no_route() {
    for routes in [&["all:", "admin: prefix=/admin"][..], &["admin: prefix=/admin"]] {
        let table = table(routes);
        for path in [
            "/admin;x/secret",
            "/admin;/secret",
            "/admin%3bx=1",
            "/;x/admin/secret",
            "/a%2F;x",
            "/admin;x%2Fy",
        ] {
            let expected = match path {
                "/a%2F;x" if routes.len() == 2 => "all",
                "/a%2F;x" => "none",
                _ => "ambiguous",
            };
            check(&table, &format!("GET r{path}"), expected);
        }
        check(&table, "GET r/admin/file;v=2", "admin");
    }
    check(&table(&["a: prefix=/a"]), "GET r/b;x/c", "none");
}

/// Else it would be for nothing.
#[test]
fn a_route_that_names_parameters_is_for_them() {
    let table = table(&[
        "all:",
        "exact: exact=/a;v=1",
        "prefix: prefix=/b;v=1",
        "inner: prefix=/b;v=1/c",
        "regex: regex=/c;v=[0-9]+",
    ]);
    check(&table, "GET r/a;v=1", "exact");
    check(&table, "GET r/a%3Bv=1", "exact");
    check(&table, "GET r/b;v=1/x", "prefix");
    check(&table, "GET r/c;v=12", "regex");
    // Parameters that it does not name lead elsewhere.
    check(&table, "GET r/b;v=1/c;x", "ambiguous");
    check(&table, "GET r/b;v=1/../x", "ambiguous");
}

/// A server that takes one hidden slash for one need not take the other.
#[test]
fn each_kind_of_hidden_slash_is_opened_alone() {
    let table = table(&["all:", "one: exact=/a/b%5Cc", "other: exact=/d%2Fe/f"]);
    for path in ["/a%2Fb%5Cc", "/d%2Fe%5Cf", "/d%2Fe\\f"] {
        check(&table, &format!("GET r{path}"), "ambiguous");
    }
    check(&table, "GET r/x%2Fy%5Cz", "all");
}

/// What is refused where routes are declared is refused for a reason: a request that spells the path as the route does
/// is not the route's, and one for a path that may be declared is. (A star is a letter like any other here; it is refused
/// there because it looks like a wildcard.)
#[test]
fn only_paths_that_a_request_can_have_are_declared() {
    for path in [
        "/t/../x",
        "/a/./b",
        "/a/..",
        "/%2e%2E/x",
        "/a/..;v=1/b",
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%0a",
        "/a%7F/b",
        "/a",
        "/a/",
        "/a/...",
        "/.well-known/x",
        "/a;v=1/b",
        "/;v=1/b",
        "/%2A/b",
        "/caf%C3%A9",
        "/100%25",
        "/a%",
        "/a%252f",
        "/a%252e",
    ] {
        let is_declared = PathMatch::declared_exact(path).is_ok();
        let found_exact = found(&table(&[&format!("r: exact={path}")]), &format!("GET r{path}"));
        assert_eq!(found_exact == "r", is_declared, "{path}: {found_exact}");
        let below = format!("{path}/x");
        let is_declared = PathMatch::declared_prefix(path).is_ok();
        let found_below = found(&table(&[&format!("r: prefix={path}")]), &format!("GET r{below}"));
        if !path.ends_with('/') {
            assert_eq!(found_below == "r", is_declared, "{below}: {found_below}");
        }
    }
}
