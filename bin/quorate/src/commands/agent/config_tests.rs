use super::super::service::{How, Place};
use super::*;

fn load(args: AgentArgs, file: &str, surroundings: &Surroundings) -> Result<Config, Vec<String>> {
    let file = ConfigFile { path: "a.yaml".into(), text: file.into() };
    Config::load(&args, Some(&file), surroundings)
        .map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
}

fn of_file(text: &str) -> Config {
    load(AgentArgs::default(), text, &Surroundings::default()).expect("valid")
}

fn wrong(text: &str) -> Vec<String> {
    load(AgentArgs::default(), text, &Surroundings::default()).expect_err("wrong")
}

#[test]
fn without_a_word_it_looks_for_the_usual_services() {
    let config = Config::load(&AgentArgs::default(), None, &Surroundings::default()).expect("valid");
    assert_eq!(config.routers[0].as_str(), "http://127.0.0.1:9090/");
    let seconds = [config.detect_interval, config.detect_timeout, config.drain_timeout].map(|d| d.as_secs());
    assert_eq!((seconds, config.ttl, &config.identity), ([10, 2, 30], None, &Identity::Host));
    let checks = config.services.iter().map(|service| service.check(&config.detect_host).expect("a URL"));
    let checks: Vec<_> = checks.map(|check| check.to_string()).collect();
    let ports = [8103, 8102, 8100, 8108, 8104, 8101, 8000, 8105];
    assert_eq!(checks, ports.map(|port| format!("http://127.0.0.1:{port}/health")));
}

#[test]
fn every_key_of_the_file_is_read() {
    let config = of_file(
        "server: [http://a:9090, http://b:9090]\nid: w-1\naddress: http://h:1\nadvertise_host: 10.0.0.7\n\
         detect_host: fd00::7\ndetect_interval: 1s\ndetect_timeout: 300ms\ndrain_timeout: 0s\nttl: 15s\nweight: 50\n\
         group: gpu\nlabels: {zone: a}\ncapabilities: {has_storage: true, cpu_cores: 2, storage_type: ssd, ram: }\n\
         storage_path: /data\ntoken_file: /t\nlog_format: json\nlog_level: debug\n\
         delegate: {listen: '0.0.0.0:7947', url: 'http://10.0.0.7:7947', report_down: false}\n\
         services:\n  - upload\n  - name: rag\n    container: rag-1\n    version: \"2.10\"\n  - name: db\n    port: 5432\n    check: tcp\n  \
         - name: far\n    url: https://far:444/base\n    health_path: /up?now=1\n",
    );
    assert_eq!(
        config.routers.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["http://a:9090/", "http://b:9090/"]
    );
    assert_eq!(config.identity, Identity::Given(WorkerId::parse("w-1").expect("an id")));
    assert_eq!((config.weight, config.ttl), (Some(50), Some(15 * SECOND)));
    assert_eq!(config.labels, BTreeMap::from([("group".into(), "gpu".into()), ("zone".into(), "a".into())]));
    let facts = json!({"has_storage": true, "cpu_cores": 2, "storage_type": "ssd", "ram": null});
    assert_eq!(json!(config.capabilities), facts);
    let delegate = config.delegate.expect("there is one");
    assert_eq!((delegate.listen.port(), delegate.url.as_deref()), (7_947, Some("http://10.0.0.7:7947")));
    assert_eq!(delegate.when_silent, quorate_client::WhenSilent::Wait);
    let [upload, rag, db, far] = &config.services[..] else { panic!("{:?}", config.services) };
    assert_eq!(upload, &Service::usual("upload", 8_103));
    assert_eq!(rag.place, Place::Container { name: "rag-1".into(), port: 8_102 });
    assert_eq!(rag.version.as_deref(), Some("2.10"));
    assert_eq!((&db.place, &db.how), (&Place::Here { port: 5_432 }, &How::Tcp));
    assert_eq!(far.place, Place::Url("https://far:444/base".into()));
    assert_eq!(far.check("").expect("a URL").to_string(), "https://far:444/base/up?now=1");
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let told = wrong(
        "server: 10.0.0.1:9090\ndetect_intervall: 10s\nttl: 30\nservices:\n  - name: upload\n    port: 70000\n  \
         - port: 1\n  - name: mine\n  - name: rag\n    check: udp\n    health_path: health\n  - name: rag\n    url: http://h\n    \
         port: 1\n  - name: ocr\n    check: tcp\n    health_path: /health\n    tll: 1\nlabels: [a]\n",
    );
    let expected = [
        "server (a.yaml, line 1): `10.0.0.1:9090` ",
        "detect_intervall (a.yaml, line 2): there is no such key; allowed: ",
        "ttl (a.yaml, line 3): `30` is not allowed here; allowed: a duration such as 500ms, 30s, 1m30s or 1.5h, 1s to 24h",
        "services[0].port (a.yaml, line 6): `70000` is not allowed here; allowed: 1 to 65535",
        "services[1].name (a.yaml, line 7): is missing; allowed: the service's name",
        "services[2].port (a.yaml, line 8): is missing, and `mine` has no usual one; allowed: 1 to 65535, or a url",
        "services[3].check (a.yaml, line 10): `udp` is not allowed here; allowed: tcp or http",
        "services[3].health_path (a.yaml, line 11): `health` is not allowed here; allowed: a path such as /health",
        "services[4].port (a.yaml, line 12): stands beside url; allowed: either url, or port and container",
        "services[5].health_path (a.yaml, line 15): is of no use with check: tcp; allowed: a path only with check: http",
        "services[5].tll (a.yaml, line 18): there is no such key; allowed: name, version, url, container, port, check, health_path",
        "labels (a.yaml, line 19): is no mapping; allowed: ",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn lists_and_bounds_are_checked() {
    for (text, part) in [
        ("services: []\n", "services (a.yaml, line 1): has 0 items; allowed: 1 to 256 services"),
        ("services: upload\n", "services (a.yaml, line 1): is no list"),
        ("services:\n- ~\n", "services[0].name (a.yaml, line 2): is missing"),
        (
            "services:\n- upload\n- name: upload\n",
            "services[1].name (a.yaml, line 3): `upload` is on line 2 already",
        ),
        (
            "services:\n- name: a/b\n  port: 1\n",
            "services[0].name (a.yaml, line 2): `a/b` can't be named by the path of a request",
        ),
        (
            "services:\n- name: ' a'\n  port: 1\n",
            "services[0].name (a.yaml, line 2): ` a` has spaces around it",
        ),
        ("services:\n- name: a\n  url: h:1\n", "services[0].url (a.yaml, line 3): "),
        (
            "services:\n- name: a\n  port: 1\n  container: a b\n",
            "services[0].container (a.yaml, line 4): `a b`",
        ),
        (
            "detect_host: http://h\n",
            "detect_host (a.yaml, line 1): `http://h` is not allowed here; allowed: a host name",
        ),
        ("detect_host: h:80\n", "detect_host (a.yaml, line 1): `h:80` is not allowed here"),
        ("weight: -1\n", "weight (a.yaml, line 1): `-1` is not allowed here; allowed: 0 to 1000000"),
        ("capabilities:\n  a: [1]\n", "capabilities.a (a.yaml, line 2): is no text; allowed: true, false"),
        ("- a\n", "a.yaml: is no mapping of keys to values"),
        ("a: [", "a.yaml: is no valid YAML"),
        ("server: []\n", "server (a.yaml, line 1): "),
    ] {
        let told = wrong(text);
        assert!(told.len() == 1 && told[0].starts_with(part), "{told:?}\n{part}");
    }
    let long = "x".repeat(257);
    for (text, place) in [
        (
            format!("labels:\n  a: {long}\n"),
            "labels.a (a.yaml, line 2): is too long; allowed: names and values of at most 256 bytes",
        ),
        (format!("services:\n- name: ocr\n  version: {long}\n"), "services[0].version (a.yaml, line 3): "),
    ] {
        let told = wrong(&text);
        assert!(told.len() == 1 && told[0].starts_with(place), "{told:?}");
    }
    let many: String = (0..65).map(|nth| format!("  l{nth}: a\n")).collect();
    let told = wrong(&format!("labels:\n{many}"));
    assert!(told.len() == 1 && told[0].starts_with("labels in a.yaml: "), "{told:?}");
}

#[test]
fn a_delegate_says_where_it_listens() {
    for (text, part) in [
        ("delegate: yes\n", "delegate (a.yaml, line 1): is no mapping"),
        (
            "delegate: {}\n",
            "delegate.listen (a.yaml, line 1): is missing; allowed: an address such as 0.0.0.0:7947",
        ),
        ("tunnel: 1\n", "tunnel (a.yaml, line 1): `1` is not allowed here; allowed: true or false"),
        (
            "tunnel: true\naddress: http://h:1\n",
            "address in a.yaml: stands beside tunnel: true; allowed: either an address",
        ),
        (
            "delegate: {listen: '0.0.0.0:0'}\n",
            "delegate.listen (a.yaml, line 1): `0.0.0.0:0` is not allowed here; allowed: an IP address and a port",
        ),
        (
            "delegate:\n  listen: 10.0.0.7:1\n  url: https://h\n",
            "delegate.url (a.yaml, line 3): `https://h` is not allowed here; allowed: an http URL",
        ),
        (
            "delegate:\n  listen: 10.0.0.7:1\n  report_down: maybe\n",
            "delegate.report_down (a.yaml, line 3): `maybe` is not allowed here; allowed: true or false",
        ),
        (
            "delegate:\n  listen: 10.0.0.7:1\n  urls: a\n",
            "delegate.urls (a.yaml, line 3): there is no such key; allowed: listen, url, report_down",
        ),
    ] {
        let told = wrong(text);
        assert!(told.len() == 1 && told[0].starts_with(part), "{told:?}\n{part}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let surroundings =
        Surroundings { coordinator_url: Some("http://old:8080".into()), ..Surroundings::default() };
    let first =
        |args: AgentArgs, file: &str| load(args, file, &surroundings).expect("valid").routers[0].to_string();
    assert_eq!(first(AgentArgs::default(), "server: http://file:1\n"), "http://old:8080/");
    let flags =
        AgentArgs { server: vec!["http://flag:1".into(), "http://b:2".into()], ..AgentArgs::default() };
    assert_eq!(first(flags, "server: http://file:1\n"), "http://flag:1/");

    let flags = AgentArgs { id: Some("flag".into()), ttl: Some("1ms".into()), ..AgentArgs::default() };
    let told = load(flags, "id: file\nttl: 30s\n", &Surroundings::default()).expect_err("wrong");
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("--ttl: `1ms` is not allowed here"), "{told:?}");

    let bad = Surroundings { coordinator_url: Some("old".into()), ..Surroundings::default() };
    let told = load(AgentArgs::default(), "", &bad).expect_err("wrong");
    assert!(told[0].starts_with("COORDINATOR_URL: `old`"), "{told:?}");
}
