use super::*;
use http::HeaderValue;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        // As bytes: some cases are no text.
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

fn told(forms: &KeyForms, fields: &[(&str, &str)], query: &str) -> String {
    let headers = map(fields);
    let found = forms.find(&headers, query);
    let key = found.key.map_or_else(|| "none".into(), |key| format!("{} by {}", key.text, key.form));
    if found.invalid > 0 { format!("{key}; {} invalid", found.invalid) } else { key }
}

fn check(fields: &[(&str, &str)], expected: &str) {
    assert_eq!(told(&KeyForms::default(), fields, ""), expected, "{fields:?}");
}

#[test]
fn a_key_is_found_in_each_of_its_forms() {
    let forms: &[(&[(&str, &str)], &str)] = &[
        (&[("x-route-key", "k1")], "k1 by header x-route-key"),
        (&[("X-Route-Key", "k1")], "k1 by header x-route-key"),
        (&[("x-routing-key", "k1")], "k1 by header x-routing-key"),
        (&[("baggage", "route-key=k1")], "k1 by baggage member route-key"),
        (&[("baggage", "a=1, route-key = k1 ;ttl=3, b=2")], "k1 by baggage member route-key"),
        (&[("baggage", "a=1"), ("baggage", "route-key=k1")], "k1 by baggage member route-key"),
        (&[("baggage", "x-route-key=k1")], "k1 by baggage member x-route-key"),
        (&[("tracestate", "route-key=k1")], "k1 by tracestate member route-key"),
        (&[("tracestate", "rojo=00f067, route-key=k1;2")], "k1;2 by tracestate member route-key"),
        (&[("tracestate", "a=1"), ("tracestate", "route-key=k1")], "k1 by tracestate member route-key"),
        (&[("uberctx-route-key", "k1")], "k1 by header uberctx-route-key"),
        (&[("uberctx-x-route-key", "k1")], "k1 by header uberctx-x-route-key"),
        (&[("ot-baggage-route-key", "k1")], "k1 by header ot-baggage-route-key"),
        (&[("ot-baggage-x-route-key", "k1")], "k1 by header ot-baggage-x-route-key"),
    ];
    for (fields, expected) in forms {
        check(fields, expected);
    }
}

/// All forms at once: with each that is taken away the next one counts.
#[test]
fn the_first_form_counts() {
    let all = [
        ("x-route-key", "k0"),
        ("x-routing-key", "k1"),
        ("baggage", "x-route-key=k3,route-key=k2"),
        ("baggage", "x-route-key=k3"),
        ("tracestate", "route-key=k4"),
        ("uberctx-route-key", "k5"),
        ("uberctx-x-route-key", "k6"),
        ("ot-baggage-route-key", "k7"),
        ("ot-baggage-x-route-key", "k8"),
    ];
    for first in 0..all.len() {
        // In another order than that of precedence: as they come must not matter.
        let left: Vec<_> = all[first..].iter().rev().copied().collect();
        let told = told(&KeyForms::default(), &left, "");
        let key = told.split(' ').next();
        assert_eq!(key, Some(format!("k{first}").as_str()), "{left:?}");
    }
}

#[test]
fn what_is_no_key_is_as_if_it_were_not_there() {
    let (longest, long) = ("k".repeat(256), "k".repeat(257));
    check(&[("x-route-key", &longest)], &format!("{longest} by header x-route-key"));
    check(&[("x-route-key", &long)], "none; 1 invalid");
    check(&[("x-route-key", "!~")], "!~ by header x-route-key");
    check(&[("x-route-key", "a b")], "none; 1 invalid");
    check(&[("x-route-key", "a\tb")], "none; 1 invalid");
    check(&[("x-route-key", "schl\u{fc}ssel")], "none; 1 invalid");
    check(&[("x-route-key", " k1 ")], "k1 by header x-route-key");
    check(&[("x-route-key", "")], "none");
    check(&[("x-route-key", "  ")], "none");
    check(&[("x-route-key", ""), ("x-routing-key", "k2")], "k2 by header x-routing-key");
    check(&[("x-route-key", &long), ("x-routing-key", "k2")], "k2 by header x-routing-key; 1 invalid");
    check(
        &[("x-route-key", "a b"), ("baggage", "route-key=%20"), ("tracestate", "route-key=k4")],
        "k4 by tracestate member route-key; 2 invalid",
    );
    check(&[], "none");
    check(&[("traceparent", TRACE), ("user-agent", "x-route-key"), ("accept", "*/*")], "none");
}

#[test]
fn of_several_headers_of_one_name_the_first_counts() {
    check(&[("x-route-key", "k1"), ("x-route-key", "k2")], "k1 by header x-route-key");
    check(&[("x-route-key", "a b"), ("x-route-key", "k2")], "none; 1 invalid");
}

#[test]
fn lists_are_read_as_their_standards_have_them() {
    // Percent-encoded in baggage, as it is in tracestate.
    check(&[("baggage", "route-key=pr%2D12%2Fx")], "pr-12/x by baggage member route-key");
    check(&[("baggage", "route-key=a%2Cb%3D")], "a,b= by baggage member route-key");
    check(&[("baggage", "route-key=a+b")], "a+b by baggage member route-key");
    check(&[("baggage", "route-key=%zz")], "%zz by baggage member route-key");
    check(&[("tracestate", "route-key=pr%2D12")], "pr%2D12 by tracestate member route-key");
    check(&[("uberctx-route-key", "pr%2D12")], "pr-12 by header uberctx-route-key");
    check(&[("ot-baggage-route-key", "pr%2D12")], "pr%2D12 by header ot-baggage-route-key");
    // Names are told apart by case, and are not parts of others.
    check(&[("baggage", "Route-Key=k1")], "none");
    check(&[("baggage", "my-route-key=k1,route-key-2=k2,route-key")], "none");
    check(&[("tracestate", "x-route-key=k1,v@route-key=k2")], "none");
    // Of several members the first right one.
    check(&[("baggage", "route-key=%20,route-key=k2,route-key=k3")], "k2 by baggage member route-key");
    check(&[("baggage", "route-key=,x-route-key=k2")], "k2 by baggage member x-route-key");
    check(&[("tracestate", "route-key=k1,route-key=k2")], "k1 by tracestate member route-key");
    // Garbage that is none of ours garbles nothing.
    check(&[("baggage", ",,;=,=x,\u{fc}=1,route-key=k1,")], "k1 by baggage member route-key");
    check(&[("baggage", "route-key=%ff")], "none; 1 invalid");
    check(&[("baggage", "a=1"), ("tracestate", "rojo=1")], "none");
}

#[test]
fn a_query_has_a_key_only_in_a_handshake() {
    const WS: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let socket = [("connection", "Upgrade"), ("upgrade", "websocket"), WS];
    let check = |fields: &[(&str, &str)], query: &str, expected: &str| {
        assert_eq!(told(&KeyForms::default(), fields, query), expected, "{fields:?} {query}");
    };
    check(&socket, "x-route-key=k1", "k1 by query parameter x-route-key");
    check(&socket, "a=b&x%2Droute-key=pr%2D1&x-route-key=k2", "pr-1 by query parameter x-route-key");
    check(&[("upgrade", "WebSocket"), WS], "x-route-key=k1", "k1 by query parameter x-route-key");
    // Any request may say `Upgrade`: without its key it is no handshake, and nothing is upgraded.
    check(&[("connection", "Upgrade"), ("upgrade", "websocket")], "x-route-key=k1", "none");
    check(&[WS], "x-route-key=k1", "none");
    check(&socket, "x-route-key=a+b", "none; 1 invalid");
    check(&socket, "x-route-key=&route-key=k1&x-route-keys=k2", "none");
    check(&socket, "", "none");
    check(&[], "x-route-key=k1", "none");
    check(&[("upgrade", "h2c"), WS], "x-route-key=k1", "none");
    // The last of all forms.
    let both = [("upgrade", "websocket"), WS, ("ot-baggage-x-route-key", "k2")];
    check(&both, "x-route-key=k1", "k2 by header ot-baggage-x-route-key");
}

#[test]
fn a_node_can_be_told_of_other_headers() {
    let names = [
        "x-env",
        "x-routing-key",
        "x-a-name-that-is-longer-than-all-the-lengths-which-are-told-apart-by-place",
    ];
    let forms = KeyForms::new(names.map(|name| HeaderName::from_bytes(name.as_bytes()).expect("a name")));
    let check = |fields: &[(&str, &str)], expected: &str| assert_eq!(told(&forms, fields, ""), expected);
    check(&[("x-env", "k1"), ("x-routing-key", "k2")], "k1 by header x-env");
    check(&[(names[2], "k3")], &format!("k3 by header {}", names[2]));
    check(&[("x-routing-key", "k2"), ("baggage", "route-key=k1")], "k2 by header x-routing-key");
    check(&[("x-route-key", "k1")], "none");
    check(&[("x-route-key", "k1"), ("baggage", "route-key=k2")], "k2 by baggage member route-key");
    assert_eq!(forms.headers().collect::<Vec<_>>(), names);
}

#[test]
fn what_may_be_a_key_is_what_a_sandbox_may_have() {
    let texts = (0..=0x2ff_u32).filter_map(char::from_u32).map(String::from);
    for text in texts.chain([String::new(), "k".repeat(256), "k".repeat(257)]) {
        assert_eq!(is_key(&text), quorate_model::RoutingKey::parse(&text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_list_of_headers_is_checked() {
    let named = |text: &str| KeyForms::named(text.split(','));
    let names = |forms: &KeyForms| forms.headers().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(named("x-route-key,x-routing-key"), Ok(KeyForms::default()));
    assert_eq!(names(&named(" X-Env , x-route-key").expect("right")), ["x-env", "x-route-key"]);
    let many = (0..17).map(|nth| format!("x-{nth}")).collect::<Vec<_>>().join(",");
    for bad in
        ["", "x-a,", "a b", "x-a,X-A", "baggage", "tracestate", "connection", "host", "x-quorate-hops", &many]
    {
        let wrong = named(bad).expect_err(bad);
        assert_eq!(wrong.field, "route-key-headers", "{bad}");
    }
}

/// Who follows a key wants to know of each form that it is in, whichever counts.
#[test]
fn all_forms_are_told() {
    let headers = map(&[
        ("x-route-key", "k1"),
        ("baggage", "a=1,route-key=k2"),
        ("tracestate", "route-key=a b"),
        ("uberctx-route-key", "k%2D3"),
        ("accept", "k4"),
    ]);
    let forms = KeyForms::default();
    let all: Vec<_> =
        forms.all(&headers, "").iter().map(|key| format!("{} {}", key.form.word(), key.text)).collect();
    assert_eq!(all, ["x-route-key k1", "baggage k2", "uberctx-route-key k-3"]);
    assert_eq!(forms.all(&map(&[("accept", "k4")]), "x-route-key=k1"), []);
}
