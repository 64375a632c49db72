//! What the agent is told, and what it says about it without registering anything.

use crate::{
    service::Service,
    support::{
        free_address,
        node::{quorate, ran},
    },
};
use serde_json::{Value, json};

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
        "error: the configuration is wrong\n--detect-interval: `10` is not allowed here".to_owned(),
        format!("\nserver ({file}, line 1): `10.0.0.1:9090`"),
        format!("\nservice ({file}, line 2): there is no such key"),
        format!("\nservices[0].port ({file}, line 5): is missing"),
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
    let service = Service::start_at(free_address());
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
fn the_id_of_a_state_file_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("id");
    let id = || {
        let mut command = quorate(&["agent", "--once", "--output", "json", "--state-file"]);
        command.arg(&file).env("QUORATE_SERVER", "http://127.0.0.1:9090");
        let told: Value = serde_json::from_str(&ran(command).out).expect("JSON");
        told["id"].as_str().expect("an id").to_owned()
    };
    let first = id();
    assert_eq!(id(), first);
    assert_eq!(std::fs::read_to_string(&file).expect("written").trim(), first);
}
