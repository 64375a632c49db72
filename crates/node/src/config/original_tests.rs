//! The sandbox proxy's file, as it stands; and what is told of one that is wrong.

use super::*;
use quorate_model::RoutingKey;

/// Word for word what the sandbox proxy's own page shows.
const AS_IT_STANDS: &str = include_str!("fixtures/sandbox-proxy.yaml");

fn sources(flags: &[(&str, &str)], env: &[(&str, &str)], file: &str) -> Sources {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let machine = Machine { host_name: "box".into(), cores: 4, log_to: LogTo::Machine };
    let file = Some(ConfigFile { path: "config.yaml".into(), text: file.into() });
    Sources { flags: map(flags), env: map(env), file, machine }
}

fn load(file: &str) -> Config {
    Config::load(&sources(&[], &[], file)).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(flags: &[(&str, &str)], env: &[(&str, &str)], file: &str) -> Vec<String> {
    let Err(ConfigErrors(errors)) = Config::load(&sources(flags, env, file)) else { return Vec::new() };
    errors.iter().map(ToString::to_string).collect()
}

fn url(target: Option<&Target>) -> String {
    match target {
        Some(Target::Url { address, .. }) => address.as_str().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_sandbox_proxys_file_is_taken_as_it_stands() {
    let c = load(AS_IT_STANDS);
    assert_eq!(c.routing.to_string(), "0.0.0.0:8080");
    assert_eq!(c.grpc.map(|grpc| grpc.to_string()).as_deref(), Some("0.0.0.0:8081"));
    assert_eq!(c.management.to_string(), "127.0.0.1:9090", "whoever reaches it can take traffic");
    assert_eq!(url(c.default_target.as_ref()), "http://default-service");
    assert_eq!(c.key_forms, flags_of("x-route-key,x-routing-key"));
    let keys: Vec<_> = c.rules.keys().map(RoutingKey::as_str).collect();
    assert_eq!(keys, ["sandbox-123", "sandbox-456"]);
    let rule = |key: &str| c.rules[&RoutingKey::parse(key).expect("valid")].rules[0].clone();
    let first = rule("sandbox-123");
    assert_eq!(url(Some(&first.destinations[0].target)), "http://service-a.sandbox-123.svc.cluster.local");
    assert_eq!(first.path_prefixes, [Box::from("/api/v1")]);
    let (name, value) = &first.add_headers[0];
    assert_eq!((&**name, value.to_str().expect("text")), ("x-environment", "sandbox"));
    assert_eq!(rule("sandbox-456").headers, [("content-type".into(), "application/json".into())]);
}

fn flags_of(headers: &str) -> Arc<KeyForms> {
    parse::key_forms(headers).expect("valid")
}

/// The original has what the file says, and nothing more; here a flag and the environment lie over it, as over all.
#[test]
fn our_own_settings_stand_beside_the_originals_and_over_them() {
    let both = format!("{AS_IT_STANDS}node_name: n1\nworker_ttl: 45s\ngrpc: 127.0.0.1:8081\n");
    let c = load(&both);
    assert_eq!((c.node_name.as_str(), c.worker_ttl.as_ms()), ("n1", 45_000));
    assert_eq!(c.grpc.map(|grpc| grpc.to_string()).as_deref(), Some("127.0.0.1:8081"), "a port and its host");
    let flags = [("management", "0.0.0.0:9191"), ("default-target", "upload@v2")];
    let c = Config::load(&sources(&flags, &[("PORT", "80")], AS_IT_STANDS)).expect("valid");
    assert_eq!(
        (c.management.to_string(), c.routing.to_string()),
        ("0.0.0.0:9191".into(), "0.0.0.0:80".into())
    );
    assert!(matches!(c.default_target, Some(Target::Version { .. })));
    // In our own words a name is a service, in the original's a host.
    assert!(matches!(load("default_target: upload").default_target, Some(Target::Service(_))));
    assert_eq!(url(load("default_target: upload:80").default_target.as_ref()), "http://upload:80");
    let snake = "server:\n  http_port: 81\nrouting:\n  default_target: a\n  listen: 127.0.0.1:81\n";
    let c = load(snake);
    assert_eq!(
        (c.routing.to_string(), url(c.default_target.as_ref())),
        ("127.0.0.1:81".into(), "http://a".into())
    );
    assert_eq!(
        errors(&[], &[], "server:\n  httpPort: 80\nrouting: :81\n"),
        [
            "server.httpPort (config.yaml, line 2, column 3): contradicts `routing`, which says `:81`; allowed: one of the \
          two, or both alike"
        ]
    );
}

#[test]
fn another_header_stands_before_the_usual_ones() {
    let c = load("routing:\n  routeKeyHeader: X-Env\n");
    assert_eq!(c.key_forms, flags_of("x-env,x-route-key,x-routing-key"));
    assert_eq!(
        load("routing:\n  routeKeyHeader: x-routing-key\n").key_forms,
        flags_of("x-routing-key,x-route-key")
    );
}

#[test]
fn the_rules_of_a_key_stay_in_the_order_of_the_file() {
    let rule = |key: &str, target: &str| format!("  - {{routeKey: {key}, targetService: {target}}}\n");
    let c = load(&format!(
        "routing:\n  rules:\n{}{}{}",
        rule("b", "h1:1"),
        rule("a", "h2"),
        rule("b", "https://h3/x")
    ));
    let targets = |key: &str| -> Vec<String> {
        let sandbox = &c.rules[&RoutingKey::parse(key).expect("valid")];
        sandbox.rules.iter().map(|rule| url(Some(&rule.destinations[0].target))).collect()
    };
    assert_eq!(targets("b"), ["http://h1:1", "https://h3/x"]);
    assert_eq!(targets("a"), ["http://h2"]);
    assert!(
        load("routing:\n  rules:\n").rules.is_empty() && load("routing:\n  rules: []\n").rules.is_empty()
    );
}

/// Nobody has to start a node once per mistake.
#[test]
fn every_mistake_of_the_file_is_told_at_once_with_line_and_column() {
    let file = "\
server:
  httpPort: http
  grpcprt: 8081
routing:
  defaultTarget: ftp://x
  ruls: []
  rules:
    - routeKey: a b
      targetService: http://h:1
    - targetservice: h
      pathPrefixes: /api
    - routeKey: k
      target: [x]
      pathPrefixes: [api, /ok]
      headerMatchers: {Content Type: x, ok: [1]}
      additionalHeaders:
        Connection: close
    - k
    - {routeKey: k, targetService: a, target: b}
";
    let found = errors(&[], &[], file);
    let starts = [
        "server.grpcprt (config.yaml, line 3, column 3): there is no such key; did you mean `server.grpcPort`?; allowed: ",
        "routing.ruls (config.yaml, line 6, column 3): there is no such key; did you mean `routing.rules`?; allowed: ",
        "routing.rules[0].routeKey (config.yaml, line 8, column 7): `a b` has a letter that is not allowed; ",
        "routing.rules[1].targetservice (config.yaml, line 10, column 7): there is no such key; did you mean `targetService`?; \
         allowed: routeKey, targetService, ",
        "routing.rules[1].pathPrefixes (config.yaml, line 11, column 7): is no list; allowed: ",
        "routing.rules[1].targetService (config.yaml, line 10, column 7): is missing; allowed: ",
        "routing.rules[1].routeKey (config.yaml, line 10, column 7): is missing; allowed: ",
        "routing.rules[2].pathPrefixes[0] (config.yaml, line 14, column 22): ",
        "routing.rules[2].headerMatchers.Content Type (config.yaml, line 15, column 24): ",
        "routing.rules[2].headerMatchers.ok (config.yaml, line 15, column 41): is no text",
        "routing.rules[2].additionalHeaders.Connection (config.yaml, line 17, column 9): ",
        "routing.rules[2].target (config.yaml, line 13, column 7): is no text; allowed: a text",
        "routing.rules[3] (config.yaml, line 18, column 7): is no rule; allowed: a mapping with routeKey, ",
        "routing.rules[4].target (config.yaml, line 19, column 39): says once more where to; allowed: either",
        "server.httpPort (config.yaml, line 2, column 3): `http` is not allowed here; allowed: a port, 0 to 65535",
        "routing.defaultTarget (config.yaml, line 5, column 3): the scheme is `ftp`",
    ];
    for start in starts {
        assert!(found.iter().any(|error| error.starts_with(start)), "{start}\nis not in {found:#?}");
    }
    assert_eq!(found.len(), starts.len(), "{found:#?}");
}

#[test]
fn too_many_rules_of_a_key_and_too_many_paths_of_a_rule_are_refused() {
    let many = "  - {routeKey: k, targetService: a}\n".repeat(101);
    let found = errors(&[], &[], &format!("routing:\n  rules:\n{many}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("routing.rules[100] (config.yaml, line 103, column 5): is one rule too many"),
        "{found:?}"
    );
    let paths = "/a,".repeat(33);
    let found = errors(
        &[],
        &[],
        &format!("routing:\n  rules:\n  - {{routeKey: k, targetService: a, pathPrefixes: [{paths}]}}\n"),
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(
        "routing.rules[0].pathPrefixes (config.yaml, line 3, column 5): has 33; allowed: at most 32"
    ));
}

#[test]
fn a_sidecar_stands_in_front_of_an_application() {
    let sidecar = ("proxy-mode", "sidecar");
    let c = Config::load(&sources(&[sidecar, ("default-target", "localhost:3000")], &[], "")).expect("valid");
    assert_eq!((c.mode, url(c.default_target.as_ref())), (Mode::Sidecar, "http://localhost:3000".into()));
    assert_eq!(load("").mode, Mode::Gateway);
    assert_eq!(
        Config::load(&sources(&[], &[("PROXY_MODE", "gateway")], "")).expect("as before").mode,
        Mode::Gateway
    );
    let told = |flags: &[(&str, &str)], env: &[(&str, &str)]| errors(flags, env, "").join("\n");
    assert_eq!(
        told(&[], &[("PROXY_MODE", "sidecar")]),
        "--default-target (not given): a sidecar has no application to stand in front of; allowed: where the application \
         listens, such as localhost:3000"
    );
    assert_eq!(
        told(&[], &[("PROXY_MODE", "mesh")]),
        "PROXY_MODE: `mesh` is not allowed here; allowed: gateway or sidecar"
    );
    let wrong = told(&[sidecar, ("default-target", "a:b:c")], &[]);
    assert!(wrong.starts_with("--default-target: ") && !wrong.contains('\n'), "{wrong}");
}

/// Its APIs are for its neighbour, whoever may reach the application. What is said of them on purpose holds.
#[test]
fn host_moves_a_sidecars_application_and_not_its_apis() {
    let of = |mode: &str, more: &[(&str, &str)]| {
        let env = [("HOST", "10.0.0.1"), ("PROXY_MODE", mode)].into_iter().chain(more.iter().copied());
        let env: Vec<_> = env.collect();
        let c = Config::load(&sources(&[("default-target", "localhost:3000")], &env, "")).expect("valid");
        (c.routing.to_string(), c.management.to_string())
    };
    let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(of("gateway", &[]), both("10.0.0.1:8080", "10.0.0.1:9090"));
    assert_eq!(of("sidecar", &[]), both("10.0.0.1:8080", "127.0.0.1:9090"));
    assert_eq!(of("sidecar", &[("QUORATE_MANAGEMENT", ":9090")]), both("10.0.0.1:8080", "0.0.0.0:9090"));
}

#[test]
fn nobody_sends_requests_to_himself() {
    for target in ["localhost:8080", "http://127.0.0.1:8080/x", "[::1]:8080"] {
        let told = errors(&[("default-target", target)], &[], "").join("\n");
        assert!(told.contains("is this node's own --routing 0.0.0.0:8080"), "{target}: {told}");
    }
    let second = errors(&[("default-target", "127.0.0.1:81"), ("grpc", "127.0.0.1:81")], &[], "").join("\n");
    assert!(second.contains("is this node's own --grpc 127.0.0.1:81"), "{second}");
    for other in ["localhost:8081", "10.0.0.1:8080", "app:8080"] {
        assert_eq!(errors(&[("default-target", other)], &[], ""), [""; 0], "{other}");
    }
    let apart = [("routing", "10.0.0.1:8080"), ("default-target", "127.0.0.1:8080")];
    assert_eq!(errors(&apart, &[], ""), [""; 0], "another address");
}

#[test]
fn what_needs_a_restart_is_named() {
    let before = sources(&[], &[], "worker_ttl: 30s\nrouting:\n  defaultTarget: a\n");
    let after = |file: &str| Config::restarts(&before, &sources(&[], &[], file));
    assert_eq!(after("worker_ttl: 30s\nrouting:\n  defaultTarget: b\n  rules: []\n"), [""; 0]);
    assert_eq!(after("server:\n  grpcPort: 81\nthreads: 3\n"), ["worker-ttl", "threads", "grpc"]);
}
