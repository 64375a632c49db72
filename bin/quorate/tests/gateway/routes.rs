//! Routes as operators write them, in one document that is told to one node: what each field asks for and does, seen by
//! clients of every node, and said by `explain` there.

use crate::{
    router::{Router, counted},
    support::{
        cluster::Cluster,
        eventually,
        http::{Answer, Ask, Connection},
        machine_shared,
        node::{Node, Ran, quorate, ran},
        worker::Worker,
    },
};
use serde_json::{Map, Value, json};

/// Requests where chance decides. Half of them are 150, give or take 8.7; three quarters 225, give or take 7.5.
const MANY: u64 = 300;
/// Seven deviations: the machine breaks before that.
const OFF: u64 = 60;

/// A request, and the route that it is for.
struct Case {
    method: &'static str,
    host: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    route: &'static str,
}

const fn case(
    (method, host, target): (&'static str, &'static str, &'static str),
    headers: &'static [(&'static str, &'static str)],
    route: &'static str,
) -> Case {
    Case { method, host, target, headers, route }
}

const CALL: (&str, &str) = ("content-type", "application/grpc+proto");

/// Each way to tell requests apart, met and missed by a little.
const CASES: [Case; 24] = [
    case(("GET", "shop.example.com", "/"), &[], "host"),
    case(("GET", "SHOP.example.com:81", "/"), &[], "host"),
    case(("GET", "a.b.example.com", "/"), &[], "below"),
    case(("GET", "example.com", "/"), &[], "rest"),
    case(("GET", "h", "/x"), &[], "exact"),
    case(("GET", "h", "/x/"), &[], "prefix"),
    case(("GET", "h", "/x/z"), &[], "prefix"),
    case(("GET", "h", "/x/y/z"), &[], "longer"),
    case(("GET", "h", "/xy"), &[], "rest"),
    case(("GET", "h", "/v12/a"), &[], "regex"),
    case(("GET", "h", "/v/a"), &[], "rest"),
    case(("PUT", "h", "/m"), &[], "method"),
    case(("GET", "h", "/m"), &[], "rest"),
    case(("GET", "h", "/h"), &[("x-plan", "gold"), ("x-tenant", "t12"), ("x-any", "1")], "headers"),
    case(("GET", "h", "/h"), &[("x-plan", "gold"), ("x-tenant", "t12")], "header"),
    case(("GET", "h", "/h"), &[("x-plan", "gold"), ("x-tenant", "t12x"), ("x-any", "1")], "header"),
    case(("GET", "h", "/h"), &[("x-plan", "silver")], "rest"),
    case(("GET", "h", "/q?v=2&u=a%20b"), &[], "query"),
    case(("GET", "h", "/q?v=22&u=a%20b"), &[], "rest"),
    case(("POST", "h", "/pkg.S/M"), &[CALL], "grpc-method"),
    case(("POST", "h", "/pkg.S/N"), &[CALL], "grpc-service"),
    case(("POST", "h", "/pkg.S/M"), &[], "rest"),
    case(("GET", "h", "/first/x"), &[], "first"),
    case(("GET", "low.example.com", "/x"), &[], "exact"),
];

impl Case {
    fn ask(&self, node: &Node) -> Answer {
        let ask = Ask::new(self.method, self.target).header("host", self.host);
        let ask = self.headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        ask.send(node.routing).expect("it answers")
    }

    /// The route that decides, as `explain` has it.
    fn explained(&self, node: &Node) -> Value {
        let headers: Map<_, _> =
            self.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let url = format!("http://{}{}", self.host, self.target);
        let body = json!({"method": self.method, "url": url, "headers": headers});
        let told = node.ask(&Ask::json("POST", "/v1/explain", &body)).ok().json();
        let last = told["rules"].as_array().and_then(|rules| rules.last()).expect("rules were tried");
        assert_eq!((&last["name"], &last["matched"]), (&told["decision"]["route"], &json!(true)), "{told}");
        told["decision"]["route"].clone()
    }
}

/// What requests must be to belong to each route. It answers with its own name.
fn matching() -> [(&'static str, Value); 14] {
    [
        ("host", json!({"host": "shop.example.com"})),
        ("below", json!({"host": "*.example.com"})),
        ("exact", json!({"path_exact": "/x"})),
        ("prefix", json!({"path_prefix": "/x"})),
        ("longer", json!({"path_prefix": "/x/y"})),
        ("regex", json!({"path_regex": "/v[0-9]+/.*"})),
        ("method", json!({"path_prefix": "/m", "methods": ["PUT"]})),
        (
            "headers",
            json!({"path_prefix": "/h", "headers": {
                "x-plan": "gold", "x-tenant": {"regex": "t[0-9]+"}, "x-any": {"present": true}}}),
        ),
        ("header", json!({"path_prefix": "/h", "headers": {"x-plan": "gold"}})),
        ("query", json!({"path_prefix": "/q", "query": {"v": "2", "u": "a b"}})),
        ("grpc-method", json!({"grpc_service": "pkg.S", "grpc_method": "M"})),
        ("grpc-service", json!({"grpc_service": "pkg.S"})),
        ("first", json!({"path_prefix": "/first"})),
        ("rest", json!({})),
    ]
}

/// All routes of the test.
fn document([a, b]: [&Worker; 2]) -> Value {
    let to_a = json!([{"url": a.url()}]);
    let to_both =
        |of_a: u32, of_b: u32| json!([{"url": a.url(), "weight": of_a}, {"url": b.url(), "weight": of_b}]);
    let named = |name: &str, matching: &Value| json!({"match": matching, "destinations": to_a, "response_headers": {"set": {"x-route": name}}});
    let mut routes: Map<_, _> =
        matching().iter().map(|(name, matching)| ((*name).to_owned(), named(name, matching))).collect();
    // One of many conditions, and an exact path, that go behind a priority.
    routes["first"]["priority"] = 1.into();
    routes["rest"]["priority"] = (-1).into();
    let by = |path: &str| json!({"path_prefix": path});
    let others = [
        ("first-exact", json!({"match": {"path_exact": "/first/x"}, "destinations": to_a})),
        (
            "edited",
            json!({
                "match": by("/old"), "destinations": [{"url": format!("{}/base", a.url())}],
                "rewrite": {"path_prefix": "/new", "host": "inner.example.com"},
                "request_headers": {"set": {"x-env": "prod"}, "add": {"x-tag": ["2", "3"]}, "remove": ["x-secret"]},
                "response_headers": {"add": {"x-more": "1"}, "remove": ["content-type"]},
            }),
        ),
        (
            "moved",
            json!({"match": by("/gone"), "redirect": {"status": 308, "host": "new.example.com", "path_prefix": "/here"}}),
        ),
        (
            "browsers",
            json!({
                "match": by("/c"), "destinations": to_a,
                "cors": {"allowed_origins": ["https://*.example.com"], "allowed_methods": ["PUT"], "max_age": "10m"},
            }),
        ),
        (
            "slow",
            json!({"match": by("/slow"), "destinations": to_a, "rewrite": {"path": "/held"}, "timeout": "300ms"}),
        ),
        ("shared", json!({"match": by("/w"), "destinations": to_both(750_000, 250_000)})),
        ("nothing", json!({"match": by("/n"), "destinations": to_both(0, 1)})),
        ("sticky", json!({"match": by("/s"), "destinations": to_both(1, 1), "sticky": {"trace": true}})),
        (
            "copied",
            json!({"match": by("/copied"), "destinations": to_a, "mirror": {"url": b.url(), "percent": 50}}),
        ),
    ];
    routes.extend(others.map(|(name, route)| (name.to_owned(), route)));
    json!({"routes": routes})
}

/// What operators do: the document is a file, and what came of it is printed.
fn apply(node: &Node, document: &Value) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gateway.json");
    std::fs::write(&file, format!("{document:#}")).expect("written");
    let mut command = quorate(&["apply", "--wait", "-o", "json", "-f"]);
    command.arg(&file).env("QUORATE_SERVER", format!("http://{}", node.management));
    ran(command)
}

/// Three nodes; all routes were told to one of them, in one log entry.
struct Routed {
    cluster: Cluster,
    workers: [Worker; 2],
}

impl Routed {
    fn ready() -> Self {
        let routed = Self { cluster: Cluster::formed(), workers: ["a", "b"].map(Worker::start) };
        let node = &routed.cluster.nodes[routed.cluster.followers()[0]];
        let document = document(routed.workers.each_ref());
        let applied = apply(node, &document);
        assert_eq!(applied.code, Some(0), "{}", applied.err);
        let done: Value = serde_json::from_str(&applied.out).expect("the answer");
        let (told, meant) = (done["changes"].as_array(), document["routes"].as_object());
        assert_eq!(told.map(Vec::len), meant.map(Map::len), "{done}");
        routed.cluster.catch_up();
        // One entry.
        let listed = node.get("/v1/routes?limit=1000");
        let routes = listed["items"].as_array().expect("a list");
        assert!(routes.iter().all(|route| route["changed_index"] == done["index"]), "{listed}");
        routed
    }

    fn each(&self, check: impl Fn(&Node)) {
        self.cluster.running().for_each(check);
    }

    /// What each of many requests on one connection is answered.
    fn many(node: &Node, ask: &Ask) -> Vec<Answer> {
        let mut connection = Connection::open(node.routing).expect("it listens");
        (0..MANY).map(|_| connection.exchange(ask).expect("it answers").ok()).collect()
    }
}

fn near(count: usize, expected: u64) -> bool {
    (count as u64).abs_diff(expected) < OFF
}

/// The lines of a request's head that the worker heard.
fn heard(answer: &Answer) -> Vec<String> {
    let lines = answer.json()["head"].as_array().expect("a head").clone();
    lines.iter().map(|line| line.as_str().expect("text").to_owned()).collect()
}

#[test]
fn requests_belong_to_the_routes_that_ask_for_them_on_every_node() {
    let _shared = machine_shared();
    let routed = Routed::ready();
    routed.each(|node| {
        for case in &CASES {
            let (asked, answer) = (format!("{} {}{}", case.method, case.host, case.target), case.ask(node));
            assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
            assert_eq!(answer.header("x-route"), Some(case.route), "{asked} on {}", node.name);
            assert_eq!(
                case.explained(node),
                case.route,
                "{asked} on {}: explain says something else",
                node.name
            );
        }
    });
}

#[test]
fn what_becomes_of_requests_is_as_their_route_says_on_every_node() {
    let _shared = machine_shared();
    let routed = Routed::ready();
    routed.each(|node| {
        let ask = |ask: Ask| ask.send(node.routing).expect("it answers");
        let edited =
            Ask::get("/old/a%20b?c=d").header("x-secret", "1").header("x-env", "dev").header("x-tag", "1");
        let answer = ask(edited).ok();
        let lines = heard(&answer);
        assert_eq!(lines[0], "get /base/new/a%20b?c=d http/1.1");
        for line in [
            "host: inner.example.com",
            "x-forwarded-host: test",
            "x-env: prod",
            "x-tag: 1",
            "x-tag: 2",
            "x-tag: 3",
        ] {
            assert!(lines.iter().any(|heard| heard == line), "{line}: {lines:?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("x-secret") || line == "x-env: dev"), "{lines:?}");
        assert_eq!((answer.header("x-more"), answer.header("content-type")), (Some("1"), None));

        let answer = ask(Ask::get("/gone/x?y=z"));
        let to = answer.header("location");
        assert_eq!((answer.status, to), (308, Some("http://new.example.com/here/x?y=z")));

        let preflight = |method| {
            let asked = Ask::new("OPTIONS", "/c/x").header("origin", "https://app.example.com");
            ask(asked.header("access-control-request-method", method))
        };
        let (put, delete) = (preflight("PUT"), preflight("DELETE"));
        let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
        assert_eq!((put.status, allowed(&put)), (204, Some("https://app.example.com".into())));
        assert_eq!((put.header("access-control-max-age"), allowed(&delete)), (Some("600"), None));

        let answer = ask(Ask::get("/slow"));
        assert_eq!((answer.status, answer.text().as_str()), (504, "Backend service request timeout"));
    });
}

#[test]
fn shares_keys_and_copies_are_as_the_routes_say() {
    let _shared = machine_shared();
    let routed = Routed::ready();
    let of_a = |answers: &[Answer]| answers.iter().filter(|answer| answer.worker() == "a").count();
    let node = &routed.cluster.nodes[0];
    let seen = of_a(&Routed::many(node, &Ask::get("/w")));
    assert!(near(seen, MANY * 3 / 4), "{seen} of {MANY}: three quarters");
    assert_eq!(of_a(&Routed::many(node, &Ask::get("/n"))), 0, "its weight is 0");

    // A trace is at one destination, through whichever node it comes and whatever else it asks for.
    let mut places = [0_u64; 2];
    for nth in 1..=60_u32 {
        let all = routed.cluster.running().map(|node| {
            let trace = format!("00-{nth:032x}-{:016x}-01", u64::from(nth) + 7);
            let ask = Ask::get(&format!("/s/{}", node.name)).header("traceparent", &trace);
            ask.send(node.routing).expect("it answers").worker()
        });
        let all: Vec<_> = all.collect();
        assert!(all.iter().all(|worker| *worker == all[0]), "trace {nth}: {all:?}");
        places[usize::from(all[0] == "b")] += 1;
    }
    // The hash is fixed: it is so always or never.
    assert!(places.iter().all(|count| *count > 15), "{places:?}");

    let copies = || counted(node, "quorate_proxy_mirrored_total", "answered");
    assert_eq!(of_a(&Routed::many(node, &Ask::get("/copied"))) as u64, MANY, "a copy answers nobody");
    eventually("half of them were copied", || (copies() + OFF > MANY / 2).then_some(()));
    assert!(copies() < MANY / 2 + OFF, "{}", copies());
}

/// All of the mistakes are told at once, and nothing of the document is carried out, not even what is right.
#[test]
fn a_document_with_mistakes_is_refused_whole_with_the_place_of_each() {
    let _shared = machine_shared();
    let router = Router::ready();
    let to = json!([{"service": "s"}]);
    router.route("rest", &json!({"match": {}, "destinations": to}));
    let before = router.node.get("/v1/config");
    let wrong = json!({"routes": {
        "right": {"match": {"path_exact": "/right"}, "destinations": to},
        "rest": {"match": {"path_exact": "/rest"}, "destinations": to},
        "unknown": {"match": {}, "desinations": to, "destinations": to},
        "empty": {"match": {}, "destinations": []},
        "negative": {"match": {}, "destinations": [{"service": "s"}, {"service": "t", "weight": -1}]},
        "zeros": {"match": {}, "destinations": [{"service": "s", "weight": 0}, {"service": "t", "weight": 0}]},
        "regex": {"match": {"path_regex": "/(", "headers": {"x-a": {"regex": "["}}}, "destinations": to},
        "slash": {"match": {"path_prefix": "api"}, "destinations": to},
        "twice": {"match": {"methods": ["GET", "POST"]}, "destinations": to, "retries": {"max": 1}},
    }});
    for method in ["PATCH", "PUT"] {
        let answer = router.node.ask(&Ask::json(method, "/v1/config", &wrong));
        let told = answer.json();
        let errors = told["errors"].as_array().expect("a list");
        let mut places: Vec<_> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
        places.sort_unstable();
        let expected = [
            "routes.empty.destinations",
            "routes.negative.destinations[1].weight",
            "routes.regex.match.headers.x-a.regex",
            "routes.regex.match.path_regex",
            "routes.slash.match.path_prefix",
            "routes.twice.retries",
            "routes.unknown.desinations",
            "routes.zeros.destinations",
        ];
        assert_eq!((answer.status, places.as_slice()), (400, expected.as_slice()), "{method}: {told}");
        assert_eq!(router.node.get("/v1/config")["routes"], before["routes"], "{method}");
        let applied = apply(&router.node, &wrong);
        assert_eq!(applied.code, Some(1), "{}", applied.err);
        for place in expected {
            // Where in the file, and which field.
            let is_told =
                |line: &str| line.contains("gateway.json:") && line.contains(&format!(": {place}: "));
            assert!(applied.err.lines().any(is_told), "{place}: {}", applied.err);
        }
        assert_eq!(router.node.get("/v1/config")["routes"], before["routes"], "by a file");
    }
    // One of them, said right.
    let retries = json!({"max": 1, "retry_non_idempotent": true});
    let right = json!({"match": {"methods": ["POST"]}, "destinations": to, "retries": retries});
    router.route("twice", &right);
}
