//! Which of several routes it is.

use crate::{check, table};

#[test]
fn an_exact_path_then_the_longest_prefix() {
    let table = table(&["all:", "a: prefix=/a", "ab: prefix=/a/b", "x: exact=/a/b", "slash: exact=/a/b/"]);
    for (path, expected) in [
        ("/", "all"),
        ("/ab", "all"),
        ("/a", "a"),
        ("/a/", "a"),
        ("/a/bc", "a"),
        ("/a/b", "x"),
        ("/a/b/", "slash"),
        ("/a/b/c", "ab"),
        ("/A", "all"),
    ] {
        check(&table, &format!("GET r{path}"), expected);
    }
}

#[test]
fn a_prefix_is_of_whole_segments_however_it_is_written() {
    for prefix in ["/a", "/a/", "/a/*"] {
        let table = table(&[&format!("p: prefix={prefix}")]);
        for (path, expected) in [("/a", "p"), ("/a/", "p"), ("/a/b", "p"), ("/ab", "none"), ("/", "none")] {
            check(&table, &format!("GET r{path}"), expected);
        }
    }
}

#[test]
fn an_expression_stands_where_its_beginning_would() {
    let table = table(&[
        "api: prefix=/api",
        "v: regex=/api/v[0-9]+/.*",
        "v1: prefix=/api/v1",
        "end: regex=.*/end",
        "none: regex=/zzz",
    ]);
    check(&table, "GET r/api/x", "api");
    check(&table, "GET r/api/v2/x", "v");
    check(&table, "GET r/api/v1/x", "v1");
    check(&table, "GET r/api/v2/end", "v");
    check(&table, "GET r/other/end", "end");
    check(&table, "GET r/api/end", "api");
    check(&table, "GET r/other", "none");
    check(&table, "GET r/zzz/", "none");
}

#[test]
fn the_path_decides_before_the_host_and_the_host_before_headers() {
    let table = table(&[
        "any: prefix=/a h:x=1 h:y=1",
        "wide: prefix=/a host=*.example.com",
        "narrow: prefix=/a host=*.b.example.com",
        "one: prefix=/a host=a.b.example.com",
        "exact: exact=/a/x",
    ]);
    check(&table, "GET a.b.example.com/a x:1 y:1", "one");
    check(&table, "GET A.B.Example.com:8080/a", "one");
    check(&table, "GET z.b.example.com/a", "narrow");
    check(&table, "GET y.z.b.example.com/a", "narrow");
    check(&table, "GET z.example.com/a", "wide");
    check(&table, "GET example.com/a x:1 y:1", "any");
    check(&table, "GET example.com/a x:1", "none");
    check(&table, "GET a.b.example.com/a/x", "exact");
    check(&table, "GET evilexample.com/a", "none");
}

#[test]
fn more_headers_then_age() {
    let table = table(&[
        "old: prefix=/a",
        "young: prefix=/a",
        "one: prefix=/a h:x=1",
        "two: prefix=/a h:x=1 q:p=2",
        "present: prefix=/a h:z=*",
        "methods: prefix=/b method=GET method=PUT",
        "rest: prefix=/b",
    ]);
    check(&table, "GET r/a", "old");
    check(&table, "GET r/a x:1", "one");
    check(&table, "GET r/a?p=2 x:1", "two");
    check(&table, "GET r/a?q=1&p=%32 x:0 x:1", "two");
    check(&table, "GET r/a?p=3 x:2", "old");
    check(&table, "GET r/a z:", "present");
    // A method is not counted: the older one goes first, whatever methods it names.
    check(&table, "GET r/b", "methods");
    check(&table, "POST r/b", "rest");
}

#[test]
fn a_priority_goes_before_everything() {
    let table = table(&[
        "exact: exact=/a",
        "first: prefix=/ h:x=1 priority=5",
        "last: exact=/b priority=-1",
        "all: prefix=/",
    ]);
    check(&table, "GET r/a", "exact");
    check(&table, "GET r/a x:1", "first");
    check(&table, "GET r/b", "all");
}

#[test]
fn grpc_is_known_by_its_content_type() {
    let table =
        table(&["svc: grpc=pkg.S", "get: grpc=pkg.S/Get", "path: exact=/pkg.S/Get", "rest: prefix=/pkg.S"]);
    check(&table, "POST r/pkg.S/Get content-type:application/grpc", "get");
    check(&table, "POST r/pkg.S/Get content-type:application/grpc+proto", "get");
    check(&table, "POST r/pkg.S/Put content-type:Application/GRPC", "svc");
    check(&table, "POST r/pkg.S/Get content-type:application/json", "path");
    check(&table, "POST r/pkg.S/Put content-type:application/grpcx", "rest");
    check(&table, "POST r/pkg.S.Other/Put content-type:application/grpc", "none");
}

#[test]
fn hosts_are_compared_as_names() {
    let table = table(&["v6: host=[::1]", "name: host=api.example.com", "none:priority=-1 method=PUT"]);
    check(&table, "GET [::1]:8080/x", "v6");
    check(&table, "GET api.example.com./x", "name");
    check(&table, "GET /x", "none");
    check(&table, "PUT /x", "none");
}

#[test]
fn options_is_a_routes_only_if_it_says_so() {
    let table = table(&["all:", "o: prefix=/o method=OPTIONS"]);
    check(&table, "OPTIONS r/x", "none");
    check(&table, "OPTIONS r/o", "o");
    check(&table, "GET r/o", "all");
}
