use super::*;
use expect_test::{Expect, expect};

const TRACE: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn lines(headers: &HeaderMap) -> String {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}\n", value.to_str().unwrap_or("?"));
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

fn check(key: &str, fields: &[(&str, &str)], expected: Expect) {
    let (mut headers, forms) = (map(fields), KeyForms::default());
    propagate(&mut headers, key, &forms);
    expected.assert_eq(&lines(&headers));
    // The next router finds the same key by each of them alone, and adds nothing.
    for (name, value) in &headers {
        let alone = HeaderMap::from_iter([(name.clone(), value.clone())]);
        let found = forms.find(&alone, "").key;
        assert!(found.is_none_or(|found| found.text == key), "{name} says another key");
    }
    let before = headers.clone();
    propagate(&mut headers, key, &forms);
    assert_eq!(headers, before, "said twice");
}

#[test]
fn a_key_is_said_in_all_forms() {
    check(
        "k1",
        &[],
        expect![[r#"
            baggage: route-key=k1
            ot-baggage-route-key: k1
            uberctx-route-key: k1
            x-route-key: k1
            x-routing-key: k1
        "#]],
    );
    check(
        "pr-1/a,b=c",
        &[TRACE],
        expect![[r#"
            baggage: route-key=pr-1%2Fa%2Cb%3Dc
            ot-baggage-route-key: pr-1/a,b=c
            traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
            uberctx-route-key: pr-1%2Fa%2Cb%3Dc
            x-route-key: pr-1/a,b=c
            x-routing-key: pr-1/a,b=c
            x-span-id: 00f067aa0ba902b7
            x-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736
        "#]],
    );
}

#[test]
fn what_came_stays_and_lists_are_merged() {
    check(
        "k1",
        &[
            ("x-route-key", "k1"),
            ("baggage", "user=7;p=1"),
            ("baggage", "route-key=old, region=eu"),
            TRACE,
            ("tracestate", "rojo=1,route-key=old,congo=2"),
            ("x-trace-id", "mine"),
        ],
        expect![[r#"
            baggage: user=7;p=1,region=eu,route-key=k1
            ot-baggage-route-key: k1
            traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
            tracestate: route-key=k1,rojo=1,congo=2
            uberctx-route-key: k1
            x-route-key: k1
            x-routing-key: k1
            x-span-id: 00f067aa0ba902b7
            x-trace-id: mine
        "#]],
    );
    check(
        "k1",
        &[("baggage", "a=1, route-key=k1;ttl=3 , b=2"), ("tracestate", "rojo=1")],
        expect![[r#"
            baggage: a=1, route-key=k1;ttl=3 , b=2
            ot-baggage-route-key: k1
            tracestate: rojo=1
            uberctx-route-key: k1
            x-route-key: k1
            x-routing-key: k1
        "#]],
    );
}

fn said(key: &str, fields: &[(&str, &str)], name: &str) -> String {
    let mut headers = map(fields);
    propagate(&mut headers, key, &KeyForms::default());
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    values.join(" | ")
}

#[test]
fn a_header_is_never_changed() {
    let fields = [("x-route-key", "k1"), ("x-route-key", "k2"), ("x-routing-key", "other")];
    assert_eq!(said("k1", &fields, "x-route-key"), "k1 | k2");
    assert_eq!(said("k1", &fields, "x-routing-key"), "other");
    assert_eq!(said("k1", &[("x-span-id", "s")], "x-span-id"), "s");
}

#[test]
fn a_list_that_is_full_is_left_alone() {
    let full = |count: usize| (0..count).map(|nth| format!("m{nth}=1")).collect::<Vec<_>>().join(",");
    let baggage = |list: &str| said("k1", &[("baggage", list)], "baggage");
    assert_eq!(baggage(&full(63)), full(63) + ",route-key=k1");
    assert_eq!(baggage(&full(64)), full(64));
    let long = |bytes: usize| format!("m={}", "v".repeat(bytes - 2));
    let ours = ",route-key=k1".len();
    assert_eq!(baggage(&long(8_192 - ours)).len(), 8_192);
    assert_eq!(baggage(&long(8_193 - ours)), long(8_193 - ours));
    let tracestate = |list: &str| said("k1", &[TRACE, ("tracestate", list)], "tracestate");
    assert_eq!(tracestate(&full(31)), "route-key=k1,".to_owned() + &full(31));
    assert_eq!(tracestate(&full(32)), full(32));
    assert_eq!(tracestate(&long(512 - ours)).len(), 512);
    assert_eq!(tracestate(&long(513 - ours)), long(513 - ours));
    // Its own member takes its own place.
    let own = full(63) + ",route-key=old";
    assert_eq!(baggage(&own), full(63) + ",route-key=k1");
}

#[test]
fn a_trace_that_is_none_says_nothing() {
    for bad in
        ["", "00-4bf92f-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"]
    {
        let fields = [("traceparent", bad), ("tracestate", "rojo=1")];
        assert_eq!(said("k1", &fields, "x-trace-id"), "");
        assert_eq!(said("k1", &fields, "tracestate"), "rojo=1");
    }
}

#[test]
fn the_headers_that_a_node_is_told_of_are_said_too() {
    let forms = KeyForms::new([HeaderName::from_static("x-env")]);
    let mut headers = HeaderMap::new();
    propagate(&mut headers, "k1", &forms);
    let said =
        ["x-env", "x-route-key", "x-routing-key"].map(|name| headers.get(name).map(HeaderValue::as_bytes));
    assert_eq!(said, [Some(&b"k1"[..]); 3]);
}
