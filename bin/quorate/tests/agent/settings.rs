//! What the agent is told, and what it says about it without registering anything.

use crate::{
    fences,
    service::Service,
    support::{
        free_address,
        node::{quorate, ran},
    },
};
use serde_json::{Map, Value, json};

const PAGE: &str = include_str!("../../../../docs/agent.md");

#[test]
fn every_mistake_of_the_file_is_told_at_once_with_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("agent.yaml");
    std::fs::write(&file, "server: 10.0.0.1:9090\nservice:\n- upload\nservices:\n- name: mine\n")
        .expect("written");
    let file = file.to_str().expect("UTF-8");
    let ran = ran(quorate(&["agent", "--config", file, "--detect-interval", "10"]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    for part in [
        "error: the configuration is wrong\nerror: --detect-interval: `10` is not allowed here".to_owned(),
        format!("\nerror: server ({file}, line 1): `10.0.0.1:9090`"),
        format!("\nerror: service ({file}, line 2): there is no such key"),
        format!("\nerror: services[0].port ({file}, line 5): is missing"),
    ] {
        assert!(ran.err.contains(&part), "{part}\n{}", ran.err);
    }
}

#[test]
fn a_file_that_is_not_there_is_code_2() {
    for args in [["--config", "/no/such/file.yaml"], ["--state-file", "/no/such/folder/id"]] {
        let ran = ran(quorate(&["agent", args[0], args[1], "--once"]));
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains(args[1]), "{}", ran.err);
    }
}

#[test]
fn once_it_says_what_it_finds_and_would_register() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start();
    let (there, absent) = (service.address.port(), free_address().port());
    let file = folder.path().join("agent.yaml");
    let text = format!(
        "id: m1\nservices:\n- {{name: upload, port: {there}, version: '2'}}\n- {{name: db, port: {absent}, check: tcp}}\n"
    );
    std::fs::write(&file, text).expect("written");
    let once = |format: &str| {
        ran(quorate(&["agent", "--once", "--config", file.to_str().expect("UTF-8"), "--output", format]))
    };
    let table = once("table");
    assert_eq!((table.code, table.err.as_str()), (Some(0), ""));
    let lines: Vec<Vec<_>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let check = format!("http://127.0.0.1:{there}/health");
    assert_eq!(lines[0], ["SERVICE", "FOUND", "VERSION", "CHECK", "WHY"]);
    assert_eq!(lines[1], ["upload", "yes", "2", &check, "-"]);
    assert_eq!(lines[2][..3], ["db", "no", "-"]);

    let told: Value = serde_json::from_str(&once("json").out).expect("JSON");
    assert_eq!(told["id"], "m1");
    let expected = json!([{"name": "upload", "version": "2", "url": format!("http://127.0.0.1:{there}")}]);
    assert_eq!(told["registration"]["services"], expected);
    assert_eq!(told["registration"]["capabilities"]["worker_type"].as_str().map(str::len), Some(3));
    assert_eq!((&told["checks"][0]["found"], &told["checks"][1]["found"]), (&json!(true), &json!(false)));
    let yaml: Value = serde_saphyr::from_str(&once("yaml").out).expect("YAML");
    assert_eq!(yaml["registration"]["services"], expected);
}

#[test]
fn once_tells_the_id_of_a_state_file_and_draws_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let state_file = folder.path().join("id");
    let once = || {
        let mut command = quorate(&["agent", "--once", "--output", "json", "--state-file"]);
        command.arg(&state_file);
        let ran = ran(command);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let told: Value = serde_json::from_str(&ran.out).expect("JSON");
        (told["id"].clone(), ran.err)
    };
    let (id, said) = once();
    assert!(id.is_null() && said.contains("the first start draws one"), "{id} {said}");
    assert!(!state_file.exists(), "whoever only looks leaves nothing behind");
    std::fs::write(&state_file, "m-1\n").expect("written");
    assert_eq!(once(), ("m-1".into(), String::new()));
}

/// The page's file must be taken as it stands, and leave no key out.
#[test]
fn the_file_of_the_page_is_taken_and_has_every_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("agent.yaml");
    let (_, _, text) = fences::fenced(PAGE).find(|(_, kind, _)| *kind == "yaml").expect("the page has one");
    // Looking at a service by TLS takes the system's certificates, which a machine of tests need not have.
    let text = text.replace("https://search.internal", "http://127.0.0.1:1");
    let once = |text: &str| {
        std::fs::write(&file, text).expect("written");
        ran(quorate(&["agent", "--once", "--output", "json", "--config", file.to_str().expect("UTF-8")]))
    };
    let taken = once(&text);
    assert_eq!(taken.code, Some(0), "{}", taken.err);
    let told: Value = serde_json::from_str(&taken.out).expect("JSON");
    assert_eq!((&told["id"], &told["registration"]["ttl"]), (&json!("machine-7"), &json!("30s")));
    let labels = json!({"delegate_url": "http://10.0.0.7:7947", "group": "gpu-machines", "zone": "a"});
    assert_eq!(
        (&told["registration"]["labels"], &told["registration"]["wants_delegate"]),
        (&labels, &json!(true))
    );

    let page: Map<String, Value> = serde_saphyr::from_str(&text).expect("YAML");
    let allowed = |said: &str, key: &str| {
        let line = said.lines().find(|line| line.contains(key)).expect("the key is refused");
        let list = line.split("allowed: ").nth(1).expect("what is allowed");
        let mut keys: Vec<_> = list.split(", ").map(str::to_owned).collect();
        keys.sort_unstable();
        keys
    };
    let refused = once("no_such_key: 1\nservices:\n- {name: upload, no_such_inner: 1}\n").err;
    let mut shown: Vec<_> = page.keys().cloned().collect();
    shown.sort_unstable();
    assert_eq!(allowed(&refused, "no_such_key"), shown);
    let services = page["services"].as_array().expect("a list");
    let mut shown: Vec<_> =
        services.iter().filter_map(Value::as_object).flat_map(Map::keys).cloned().collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(allowed(&refused, "no_such_inner"), shown);
}

#[test]
fn the_page_shows_the_usual_services() {
    let once = ran(quorate(&["agent", "--once", "--output", "json"]));
    let told: Value = serde_json::from_str(&once.out).expect("JSON");
    let checks = told["checks"].as_array().expect("a list");
    assert_eq!(checks.len(), 8);
    for check in checks {
        let name = check["service"].as_str().expect("a name");
        let port = check["check"].as_str().and_then(|url| url.strip_prefix("http://127.0.0.1:"));
        let port = port.and_then(|rest| rest.strip_suffix("/health")).expect("a port");
        assert!(PAGE.contains(&format!("| {name} | {port} |")), "{name} at {port}");
    }
}
