use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn sources(flags: &[(&str, &str)], env: &[(&str, &str)], file: &str) -> Sources {
    let machine = Machine { host_name: "box".into(), cores: 4, log_to: LogTo::Machine };
    let file = Some(ConfigFile { path: "q.yaml".into(), text: file.into() });
    Sources { flags: map(flags), env: map(env), file, machine }
}

fn flags(flags: &[(&str, &str)]) -> Config {
    Config::load(&sources(flags, &[], "")).expect("valid")
}

fn env(env: &[(&str, &str)]) -> Config {
    Config::load(&sources(&[], env, "")).expect("valid")
}

fn errors(flags: &[(&str, &str)], env: &[(&str, &str)], file: &str) -> Vec<String> {
    let Err(ConfigErrors(errors)) = Config::load(&sources(flags, env, file)) else { return Vec::new() };
    errors.iter().map(ToString::to_string).collect()
}

fn error(flags: &[(&str, &str)]) -> String {
    let found = errors(flags, &[], "");
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

const SECRET: (&str, &str) = ("cluster-secret-file", "/secret");
const LOCAL: &str = "n1=127.0.0.1:7071,n2=localhost:7072,n3=[::1]:7073";

#[test]
fn without_any_source_the_documented_defaults_hold() {
    let c = flags(&[]);
    assert_eq!(c.node_name.as_str(), "box");
    assert_eq!(c.data_dir, PathBuf::from("./quorate-data"));
    assert_eq!(c.routing.to_string(), "0.0.0.0:8080");
    assert_eq!(c.management.to_string(), "127.0.0.1:9090");
    assert_eq!(c.gateway.listen, GatewayListener::IfFree("0.0.0.0:8082".parse().expect("an address")));
    assert_eq!(c.gateway.settings, quorate_gateway::settings::Settings::default());
    assert_eq!((c.gateway.threads, c.gateway.tokens.as_ref(), c.gateway.identity.as_ref()), (2, None, None));
    assert_eq!(c.peer.to_string(), "127.0.0.1:7070");
    assert!(c.peers.is_empty());
    assert_eq!(c.worker_ttl.as_duration(), Duration::from_secs(30));
    assert_eq!(c.coordinator_ttl.as_duration(), Duration::from_secs(90));
    assert_eq!(c.request_timeout, Duration::from_secs(30));
    assert_eq!(c.partitions.get(), 12);
    assert_eq!((c.kafka.clone(), c.keyspace_source()), (None, KeyspaceSource::Static));
    assert_eq!(c.heartbeat_interval, Duration::from_millis(100));
    assert_eq!(c.election_timeout, Duration::from_millis(500));
    assert_eq!(c.threads, 4);
    assert_eq!(c.snapshot_entries, 10_000);
    assert_eq!((c.drain_delay, c.drain_limit), (Duration::ZERO, Duration::from_secs(30)));
    assert_eq!((c.log_format, c.log_level.as_str()), (LogFormat::Json, "info"));
}

#[test]
fn the_management_address_is_found_whatever_else_is_wrong() {
    let of = |env: &[(&str, &str)], file: &str| {
        let found = Config::management_of(&sources(&[], env, file));
        found.map(|address| address.to_string()).map_err(|e| e.to_string())
    };
    assert_eq!(of(&[("QUORATE_PARTITIONS", "none")], "no_such_key: 1"), Ok("127.0.0.1:9090".into()));
    assert_eq!(of(&[("QUORATE_MANAGEMENT", "0.0.0.0:9191")], ""), Ok("0.0.0.0:9191".into()));
    assert_eq!(of(&[("MANAGEMENT_PORT", "9292")], "management: 10.0.0.1:1"), Ok("10.0.0.1:9292".into()));
    let wrong = of(&[("QUORATE_MANAGEMENT", "here")], "").expect_err("no address");
    assert!(wrong.contains("QUORATE_MANAGEMENT"), "{wrong}");
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let all = sources(&[("partitions", "1")], &[("QUORATE_PARTITIONS", "2")], "partitions: 3");
    assert_eq!(Config::load(&all).expect("valid").partitions.get(), 1);
    let two = sources(&[], &[("QUORATE_PARTITIONS", "2")], "partitions: 3");
    assert_eq!(Config::load(&two).expect("valid").partitions.get(), 2);
    let one = sources(&[], &[], "partitions: 3");
    assert_eq!(Config::load(&one).expect("valid").partitions.get(), 3);
}

#[test]
fn our_environment_names_win_over_legacy_ones_and_those_over_the_file() {
    let both = [("QUORATE_WORKER_TTL", "40s"), ("WORKER_HEARTBEAT_TIMEOUT", "50")];
    assert_eq!(env(&both).worker_ttl.as_ms(), 40_000);
    let legacy = sources(&[], &both[1..], "worker_ttl: 60s");
    assert_eq!(Config::load(&legacy).expect("valid").worker_ttl.as_ms(), 50_000);
}

#[test]
fn an_empty_variable_is_not_set() {
    assert_eq!(env(&[("QUORATE_PARTITIONS", ""), ("PORT", ""), ("KAFKA_BROKERS", "")]), flags(&[]));
}

#[test]
fn both_spellings_of_the_legacy_timeouts_are_read() {
    for text in ["45", "45s"] {
        let c = env(&[("WORKER_HEARTBEAT_TIMEOUT", text), ("REQUEST_TIMEOUT", text)]);
        assert_eq!(c.worker_ttl.as_duration(), Duration::from_secs(45));
        assert_eq!(c.request_timeout, Duration::from_secs(45));
    }
    assert!(error(&[("worker-ttl", "45")]).contains("`45` has no unit"));
}

#[test]
fn a_coordinators_lease_is_no_shorter_than_three_heartbeats_of_a_second() {
    assert_eq!(flags(&[("coordinator-ttl", "3s")]).coordinator_ttl.as_ms(), 3_000);
    for wrong in ["2999ms", "25h", "0s"] {
        let error = error(&[("coordinator-ttl", wrong)]);
        assert!(error.contains("--coordinator-ttl") && error.contains("3s to 24h"), "{wrong}: {error}");
    }
}

#[test]
fn legacy_host_and_ports_move_the_listeners() {
    let c = env(&[("HOST", "127.0.0.1"), ("PORT", "81"), ("MANAGEMENT_PORT", "91")]);
    assert_eq!(
        (c.routing.to_string().as_str(), c.management.to_string().as_str()),
        ("127.0.0.1:81", "127.0.0.1:91")
    );
    assert_eq!(env(&[("PORT", "81"), ("PROXY_PORT", "82")]).routing.to_string(), "0.0.0.0:82");
    assert_eq!(env(&[("PORT", "81"), ("QUORATE_ROUTING", "[::]:83")]).routing.to_string(), "[::]:83");
    let over_file = sources(&[], &[("PORT", "81")], "routing: 10.0.0.1:80");
    assert_eq!(Config::load(&over_file).expect("valid").routing.to_string(), "10.0.0.1:81");
    assert_eq!(
        errors(&[], &[("HOST", "my-laptop"), ("PORT", "http")], ""),
        [
            "HOST: `my-laptop` is not allowed here; allowed: an IP address or localhost",
            "PORT: `http` is not allowed here; allowed: a port, 0 to 65535"
        ]
    );
}

#[test]
fn kafka_brokers_make_kafka_the_source_of_the_count() {
    let c = env(&[("KAFKA_BROKERS", "a:9092, b:9092"), ("KAFKA_TOPIC", "events")]);
    assert_eq!(c.keyspace_source(), KeyspaceSource::Kafka);
    let brokers = vec!["a:9092".to_owned(), "b:9092".to_owned()];
    assert_eq!(c.kafka, Some(Kafka { brokers, topic: "events".into(), refresh: Duration::from_secs(60) }));
    assert!(error(&[("kafka-topic", "a b")]).contains("--kafka-topic: `a b`"));
    assert!(error(&[("kafka-brokers", "a:9092,")]).contains("HOST:PORT"));
}

#[test]
fn peers_are_names_with_addresses_and_include_the_node() {
    let c = flags(&[("peers", LOCAL), ("node-name", "n2")]);
    let peers: Vec<_> = c.peers.iter().map(|(name, address)| format!("{name}={address}")).collect();
    assert_eq!(peers.join(","), LOCAL);
    let e = error(&[("peers", LOCAL), ("node-name", "n9")]);
    assert!(e.starts_with("--peers: this node, n9, is not among n1, n2, n3;"), "{e}");
    for (bad, why) in [
        ("n1", "`n1` is not allowed here"),
        ("n1=127.0.0.1", "`127.0.0.1` is not"),
        ("n1=127.0.0.1:0", "`127.0.0.1:0` is not"),
        ("n1=127.0.0.1:+1", "`127.0.0.1:+1` is not"),
        ("n1=::1:70", "`::1:70` is not"),
        ("n1=127.0.0.1:1,n1=127.0.0.1:2", "n1 is given twice"),
        ("n1=127.0.0.1:1,n2=127.0.0.1:1", "n1 and n2 have one address"),
        ("=127.0.0.1:1", "is empty"),
        ("", "is not allowed here"),
    ] {
        let e = error(&[("peers", bad), ("node-name", "n1")]);
        assert!(e.starts_with("--peers: ") && e.contains(why), "{bad}: {e}");
    }
}

#[test]
fn without_a_secret_nothing_of_the_peers_leaves_loopback() {
    for peers in ["n1=127.0.0.9:1,n2=10.0.0.2:1", "n1=localhost:1,n2=router:1", "n1=[::1]:1,n2=[::]:1"] {
        let e = error(&[("peers", peers), ("node-name", "n1")]);
        assert!(e.contains("not on loopback") && e.contains("--cluster-secret-file"), "{e}");
        flags(&[("peers", peers), ("node-name", "n1"), SECRET]);
    }
    assert!(error(&[("peer", "0.0.0.0:7070")]).contains("--peer: 0.0.0.0:7070 is not on loopback"));
    flags(&[("peer", "0.0.0.0:7070"), SECRET]);
}

#[test]
fn the_peer_listener_opens_up_only_for_peers_that_prove_themselves() {
    let peers = ("peers", "n1=10.0.0.1:7070");
    let name = ("node-name", "n1");
    assert_eq!(flags(&[peers, name, SECRET]).peer.to_string(), "0.0.0.0:7070");
    assert_eq!(flags(&[("peers", LOCAL), name]).peer.to_string(), "127.0.0.1:7070");
    assert_eq!(flags(&[SECRET]).peer.to_string(), "127.0.0.1:7070");
}

#[test]
fn an_election_waits_for_three_heartbeats() {
    flags(&[("heartbeat-interval", "100ms"), ("election-timeout", "300ms")]);
    let e = error(&[("heartbeat-interval", "100ms"), ("election-timeout", "299ms")]);
    assert_eq!(
        e,
        "--election-timeout: 299ms is too short; allowed: at least three heartbeat intervals, 300ms"
    );
}

#[test]
fn two_listeners_never_share_a_port() {
    assert!(
        error(&[("management", "0.0.0.0:8080")]).contains("--management: 0.0.0.0:8080 is taken by --routing")
    );
    assert!(error(&[("peer", "127.0.0.1:9090")]).contains("taken by --management"));
    flags(&[("routing", "127.0.0.1:0"), ("management", "127.0.0.1:0"), ("peer", "127.0.0.1:0")]);
    flags(&[("routing", "127.0.0.1:80"), ("management", "127.0.0.2:80")]);
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let (cert, key) = (("tls-cert", "c.pem"), ("tls-key", "k.pem"));
    assert_eq!(flags(&[]).https, None);
    let https = flags(&[cert, key]).https.expect("on with a certificate");
    assert_eq!((https.listen.to_string().as_str(), https.key.to_str()), ("0.0.0.0:8443", Some("k.pem")));
    let https = flags(&[("https", "127.0.0.1:444"), cert, key]).https.expect("on");
    assert_eq!(https.listen.to_string(), "127.0.0.1:444");
    assert_eq!(flags(&[("https", "off"), cert, key]).https, None);
    assert_eq!(flags(&[("https", "off")]).https, None);
    let legacy = sources(&[], &[("ROUTER_TLS_CERT", "c.pem"), ("ROUTER_TLS_KEY", "k.pem")], "");
    assert!(Config::load(&legacy).expect("as before").https.is_some());
    for (given, expected) in [
        (&[cert][..], "--tls-cert: the certificate has no key; allowed: --tls-cert and --tls-key together"),
        (&[key], "--tls-key: the key has no certificate"),
        (&[("https", "127.0.0.1:444")], "--https: the listener has no certificate"),
        (&[("https", "on"), cert, key], "--https: `on` is not allowed here; allowed: off, or "),
        (&[("https", "0.0.0.0:8080"), cert, key], "--https: 0.0.0.0:8080 is taken by --routing"),
        (&[("management", "0.0.0.0:8443"), cert, key], "--management: 0.0.0.0:8443 is taken by --https"),
    ] {
        let told = error(given);
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn a_file_of_comments_says_nothing_and_one_that_takes_rules_away_does() {
    for (text, expected) in [
        ("", true),
        ("\n \n", true),
        ("# rules:\n", true),
        ("---\n", true),
        ("routing: {rules: []}\n", false),
        ("{}\n", false),
        ("a: [", false),
    ] {
        assert_eq!(Config::says_nothing(text), expected, "{text:?}");
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_origin() {
    let found = errors(
        &[("partitions", "0"), ("threads", "many"), ("snapshot-entries", "99")],
        &[("QUORATE_LOG_LEVEL", "loud"), ("REQUEST_TIMEOUT", "soon")],
        "data_dirr: x\nlog_format: xml\n",
    );
    let starts = [
        "data_dirr (q.yaml, line 1, column 1): there is no such key; did you mean `data_dir`?; allowed: the flags",
        "REQUEST_TIMEOUT: `soon` is not allowed here; allowed: a duration",
        "--partitions: `0` is not allowed here; allowed: 1 to 100000",
        "--snapshot-entries: `99` is not allowed here; allowed: a number, 100 to 1000000",
        "--threads: `many` is not allowed here; allowed: a number, 1 to 1024",
        "log_format (q.yaml, line 2, column 1): `xml` is not allowed here; allowed: text or json",
        "QUORATE_LOG_LEVEL: `loud` is not allowed here; allowed: error, warn",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (error, start) in found.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_lower_layer_that_is_not_used_is_not_judged() {
    let covered = sources(&[("partitions", "3")], &[("QUORATE_PARTITIONS", "x")], "");
    assert_eq!(Config::load(&covered).expect("the flag counts").partitions.get(), 3);
}

#[test]
fn what_this_version_cannot_do_is_refused_and_never_ignored() {
    let paths = errors(&[], &[], "routing:\n  management_paths: true");
    assert!(
        paths[0].starts_with("routing.management_paths (q.yaml, line 2, column 3): registration on"),
        "{paths:?}"
    );
    assert_eq!(errors(&[], &[], "routing:\n  management_paths: false"), [""; 0]);
}

#[test]
fn a_host_name_that_is_no_node_name_asks_for_one() {
    let mut none = sources(&[], &[], "");
    none.machine.host_name = String::new();
    let e = Config::load(&none).expect_err("no name").to_string();
    assert!(e.starts_with("--node-name (not given): is empty"), "{e}");
}

#[test]
fn what_is_advertised_can_be_dialled() {
    let bound = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let alone = flags(&[]);
    assert_eq!(alone.advertised_peer(bound("127.0.0.1:4000")), "127.0.0.1:4000");
    assert_eq!(alone.advertised_management(bound("0.0.0.0:9090")), "box:9090");
    let c = flags(&[("peers", "n1=r-0.routers:7070"), ("node-name", "n1"), SECRET]);
    assert_eq!(c.advertised_peer(bound("0.0.0.0:7070")), "r-0.routers:7070");
    assert_eq!(c.advertised_management(bound("0.0.0.0:9090")), "r-0.routers:9090");
    let given = flags(&[("advertise-management", "lb:80"), ("advertise-peer", "p:1")]);
    assert_eq!(given.advertised_management(bound("0.0.0.0:9090")), "lb:80");
    assert_eq!(given.advertised_peer(bound("0.0.0.0:9090")), "p:1");
}

#[test]
fn names_of_flags_variables_and_keys_are_unique() {
    let mut seen = std::collections::BTreeSet::new();
    for setting in SETTINGS {
        for name in [setting.name.to_owned(), setting.env(), setting.key()] {
            // `peer` is its own key.
            assert!(seen.insert(name.clone()) || name == setting.name, "{name} twice");
        }
    }
}

#[test]
fn a_variable_that_only_looks_like_a_setting_is_noticed() {
    for name in ["QUORATE_PEER_LIST", "QUORATE_DRAIN_DELY", "QUORATE_", "QUORATE_peers"] {
        assert!(is_unknown_variable(name), "{name}");
    }
    let sound =
        ["QUORATE_PEERS", "QUORATE_SERVER", "PORT", "QUORATE_SERVICE_HOST", "QUORATE_PORT_80_TCP_ADDR"];
    for name in sound {
        assert!(!is_unknown_variable(name), "{name}");
    }
}

#[test]
fn the_gateway_is_given_up_only_where_nobody_asked_for_it() {
    let listen = |pairs: &[(&str, &str)]| flags(pairs).gateway.listen;
    let at = |text: &str| text.parse().expect("an address");
    assert_eq!(listen(&[("routing", "0.0.0.0:8082")]), GatewayListener::IfFree(at("0.0.0.0:8082")));
    assert_eq!(listen(&[("gateway", ":81")]), GatewayListener::At(at("0.0.0.0:81")));
    assert_eq!(listen(&[("gateway", "off")]), GatewayListener::Off);
    let sidecar = [("proxy-mode", "sidecar"), ("default-target", "localhost:3000")];
    assert_eq!(listen(&sidecar), GatewayListener::Off, "the application may want the port");
    assert_eq!(listen(&[sidecar[0], sidecar[1], ("gateway", ":81")]), GatewayListener::At(at("0.0.0.0:81")));
    let taken = error(&[("routing", "0.0.0.0:81"), ("gateway", "127.0.0.1:81")]);
    assert!(taken.starts_with("--gateway: 127.0.0.1:81 is taken by --routing"), "{taken}");
}

#[test]
fn clients_are_told_a_gateway_that_they_can_dial() {
    let bound = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let told = |pairs: &[(&str, &str)], at: &str| flags(pairs).advertised_gateway(bound(at));
    let tls = [("gateway-tls-cert", "/c.pem"), ("gateway-tls-key", "/k.pem")];
    assert_eq!(told(&[], "0.0.0.0:8082"), "ws://box:8082/ws");
    assert_eq!(told(&tls, "[::1]:81"), "wss://[::1]:81/ws");
    assert_eq!(
        told(&[("advertise-gateway", "chat.example:443")], "0.0.0.0:8082"),
        "ws://chat.example:443/ws"
    );
    assert_eq!(
        told(&[("advertise-gateway", "wss://chat.example:443")], "0.0.0.0:8082"),
        "wss://chat.example:443/ws"
    );
    assert!(
        error(&[("advertise-gateway", "https://chat.example:443")]).contains("or ws:// or wss:// before it")
    );
    let peers = [("node-name", "n1"), ("peers", "n1=127.0.0.1:7071")];
    assert_eq!(told(&peers, "0.0.0.0:8082"), "ws://127.0.0.1:8082/ws");
}

#[test]
fn what_is_wrong_about_the_gateway_is_named_with_what_is_allowed() {
    for (name, value, allowed) in [
        ("gateway-second-login", "maybe", "replace, reject or many"),
        ("gateway-ping-timeout", "1ms", "1s to 1h"),
        ("gateway-queue-messages", "0", "a number, 1 to 1000000"),
        ("gateway-queue-bytes", "+2048", "a number, 1024 to 1073741824"),
        ("gateway-slow-consumer", "wait", "close or refuse"),
        ("gateway-message-bytes", "16777216", "a number, 1024 to 8388608"),
        ("gateway-register-rate", "0:5", "PER_SECOND:BURST, such as 1000:2000; each 1 to 1000000"),
        ("gateway-frame-rate", "10:0", "PER_SECOND:BURST, such as 1000:2000; each 1 to 1000000"),
        ("gateway-flood", "drown", "throttle or close"),
        ("gateway-connections-per-address", "none", "a number, 1 to 10000000"),
        ("gateway-origins", "https://a,b", "SCHEME://HOST[:PORT]"),
        ("gateway-token-signature", "none", "HS256, RS256 or ES256"),
        ("gateway-token-issuer", "us", "--gateway-token-key with it"),
        ("gateway-tls-cert", "/c.pem", "--gateway-tls-cert and --gateway-tls-key together"),
        ("gateway-tls-key", "/k.pem", "--gateway-tls-cert and --gateway-tls-key together"),
        ("gateway-drain-spread", "2h", "0s to 1h"),
    ] {
        let wrong = error(&[(name, value)]);
        assert!(wrong.starts_with(&format!("--{name}: ")) && wrong.contains(allowed), "{wrong}");
    }
    let longer = error(&[("gateway-ping-timeout", "10s")]);
    assert!(longer.contains("gateway-ping-check"), "{longer}");
}
