//! The command line, as scripts and people meet it: exit codes, where output goes, what is refused and how.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

#[path = "cli/config.rs"]
mod config;
#[path = "cli/connect.rs"]
mod connect;
#[path = "support/offset.rs"]
mod offset;
#[path = "cli/presence.rs"]
mod presence;
#[path = "cli/routes.rs"]
mod routes;
#[path = "cli/sandboxes.rs"]
mod sandboxes;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/services.rs"]
mod services;
#[path = "cli/tunnels.rs"]
mod tunnels;

use offset::free_offset;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

fn quorate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    // Only what a test says: neither the developer's settings nor their terminal.
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn ran(mut command: Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: status.code().expect("it ends by itself"), out: text(stdout), err: text(stderr) }
}

fn run(args: &[&str]) -> Ran {
    ran(quorate(args))
}

/// A server that gives each request the answer that `say` has for its first line.
fn server(say: impl Fn(&str) -> (u16, Value) + Send + 'static) -> SocketAddr {
    server_with("", say)
}

/// The same, with a header line of its own in each answer.
fn server_with(line: &'static str, say: impl Fn(&str) -> (u16, Value) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.expect("a connection");
            let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
            while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
                match tcp.read(&mut chunk) {
                    Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let (status, body) = say(text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1"));
            let body = body.to_string();
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} x\r\n{line}content-length: {length}\r\nconnection: close\r\n\r\n");
            // A client that went away is the test's business.
            let _ = tcp.write_all((head + &body).as_bytes());
        }
    });
    address
}

/// A cluster of two nodes with two workers.
fn cluster(line: &str) -> (u16, Value) {
    let w1 = json!({"id": "w1", "address": "http://h:1", "status": "live", "epoch": 4, "keyspace": "default", "partitions": [0, 1, 2, 5]});
    let w2 = json!({"id": "w2", "address": "http://h:2", "status": "expired", "epoch": 5, "keyspace": "default", "partitions": []});
    let missing =
        (404, json!({"code": "worker_unknown", "detail": "worker w9 is not registered", "status": 404}));
    match line {
        "GET /v1/workers?limit=1000" => (200, json!({"items": [w1, w2], "next_cursor": null, "index": 9})),
        "GET /v1/workers/w1" => (200, w1),
        "DELETE /v1/workers/w1" => (200, json!({"index": 10})),
        "GET /v1/workers/w9" | "DELETE /v1/workers/w9" => missing,
        "GET /v1/cluster" => (
            200,
            json!({"cluster_id": "c0ffee", "node": "n1", "leader": "n2", "term": 3, "applied_index": 9, "status": "degraded", "reason": "no leader is heard",
                "quorum": {"held": false, "voters": 2, "reachable": 1}, "nodes": [
                {"name": "n1", "id": 1, "role": "follower", "peer": "a:7070", "management": "a:9090", "applied_index": 9, "reachable": true},
                {"name": "n2", "id": 2, "role": "leader", "peer": "b:7070", "management": "b:9090", "applied_index": null, "reachable": false}]}),
        ),
        "GET /v1/keyspaces?limit=1000" => (
            200,
            json!({"items": [{"name": "default", "partitions": 12, "source": "static"}], "next_cursor": null, "index": 9}),
        ),
        "GET /v1/keyspaces/default/partitions?limit=1000" => (
            200,
            json!({"items": [{"partition": 0, "owner": "w1", "epoch": 4, "status": "live"}, {"partition": 1, "owner": null, "epoch": null, "status": "unowned"}], "next_cursor": null}),
        ),
        "GET /v1/leases?limit=1000" => (
            200,
            json!({"items": [{"holder": "w1", "epoch": 4, "ttl": "30s", "status": "live", "remaining": "21s"}], "next_cursor": null}),
        ),
        _ => (503, json!({"code": "no_quorum", "detail": "there is no leader", "status": 503})),
    }
}

fn asked(args: &[&str]) -> Ran {
    let address = server(cluster);
    ran({
        let mut command = quorate(args);
        command.env("QUORATE_SERVER", format!("http://{address}"));
        command
    })
}

#[test]
fn the_version_is_printed() {
    let ran = run(&["--version"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, concat!("quorate ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn help_is_as_documented() {
    expect_test::expect_file!["help/quorate.txt"].assert_eq(&run(&["--help"]).out);
    expect_test::expect_file!["help/serve.txt"].assert_eq(&run(&["serve", "--help"]).out);
    expect_test::expect_file!["help/dev.txt"].assert_eq(&run(&["dev", "--help"]).out);
    expect_test::expect_file!["help/agent.txt"].assert_eq(&run(&["agent", "--help"]).out);
    expect_test::expect_file!["help/connect.txt"].assert_eq(&run(&["connect", "--help"]).out);
    expect_test::expect_file!["help/healthcheck.txt"].assert_eq(&run(&["healthcheck", "--help"]).out);
    expect_test::expect_file!["help/apply.txt"].assert_eq(&run(&["apply", "--help"]).out);
    expect_test::expect_file!["help/config.txt"].assert_eq(&run(&["config", "--help"]).out);
    expect_test::expect_file!["help/sandboxes.txt"].assert_eq(&run(&["sandboxes", "--help"]).out);
    expect_test::expect_file!["help/workers.txt"].assert_eq(&run(&["workers", "--help"]).out);
}

#[test]
fn bad_usage_is_code_2_and_talks_on_stderr() {
    for args in [
        &[][..],
        &["fly"],
        &["workers"],
        &["workers", "get"],
        &["workers", "remove"],
        &["keyspaces", "set", "default"],
        &["status", "--output", "xml"],
        &["status", "--server", "127.0.0.1:9090"],
        &["status", "--server", "ftp://h"],
        &["workers", "get", ".."],
        &["serve", "--no-such-flag", "1"],
        &["dev", "--base-port-offset", "60000"],
        &["completions", "cmd.exe"],
        &["healthcheck", "--timeout", "0s"],
        &["healthcheck", "--timeout", "2"],
        &["healthcheck", "--server", "http://127.0.0.1:1,http://127.0.0.1:2"],
        &["healthcheck", "--config", "/no/such/file.yaml"],
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        assert!(!ran.err.is_empty(), "{args:?}");
    }
}

#[test]
fn nobody_there_is_code_3() {
    let ran = run(&["workers", "list", "--server", "http://127.0.0.1:1,http://127.0.0.1:2"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(
        ran.err.contains("http://127.0.0.1:1/") && ran.err.contains("http://127.0.0.1:2/"),
        "{}",
        ran.err
    );
}

#[test]
fn no_such_thing_is_code_4() {
    for verb in ["get", "remove"] {
        let ran = asked(&["workers", verb, "w9"]);
        assert_eq!((ran.code, ran.out.as_str()), (4, ""));
        assert_eq!(ran.err, "error: worker w9 is not registered (worker_unknown, 404)\n");
    }
}

#[test]
fn a_refusal_is_code_1() {
    let ran = asked(&["keyspaces", "set", "default", "--partitions", "8"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "error: there is no leader (no_quorum, 503)\n"));
}

#[test]
fn tables_are_for_people() {
    assert_eq!(
        asked(&["workers", "list"]).out,
        "ID  STATUS   EPOCH  KEYSPACE  PARTITIONS  ADDRESS\n\
         w1  live     4      default   0-2,5       http://h:1\n\
         w2  expired  5      default   -           http://h:2\n"
    );
    assert_eq!(
        asked(&["cluster", "list"]).out,
        "NAME  ROLE      REACHABLE  APPLIED  PEER    MANAGEMENT\n\
         n1    follower  yes        9        a:7070  a:9090\n\
         n2    leader    no         -        b:7070  b:9090\n"
    );
    assert_eq!(
        asked(&["keyspaces", "partitions"]).out,
        "PARTITION  OWNER  EPOCH  STATUS\n0          w1     4      live\n1          -      -      unowned\n"
    );
    assert_eq!(
        asked(&["leases", "list"]).out,
        "HOLDER  STATUS  REMAINING  TTL  EPOCH\nw1      live    21s        30s  4\n"
    );
    assert_eq!(
        asked(&["status"]).out,
        "WHAT         IS\n\
         cluster      c0ffee\n\
         answered by  n1 at index 9\n\
         status       degraded: no leader is heard\n\
         quorum       lost, 1 of 2 voters reachable: nothing can be changed\n\
         leader       n2 in term 3\n\
         node         n1, follower, reachable\n\
         node         n2, leader, not reachable\n\
         workers      1 live, 0 suspect, 1 expired\n\
         keyspace     default, 12 partitions, static\n"
    );
}

#[test]
fn a_list_of_nodes_says_on_stderr_that_the_quorum_is_lost() {
    let ran = asked(&["cluster", "list"]);
    assert_eq!(
        ran.err,
        "n1: quorum lost, 1 of 2 voters reachable: nothing can be changed\nn1: degraded: no leader is heard\n"
    );
}

#[test]
fn json_is_the_servers_answer_with_everything_in_it() {
    let ran = asked(&["workers", "get", "w1", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).expect("JSON"), cluster("GET /v1/workers/w1").1);
    let ran = asked(&["--output", "json", "workers", "list"]);
    assert_eq!(ran.code, 2, "flags of a command stand behind it");
    let ran = asked(&["workers", "--output", "json", "list"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).expect("JSON")["items"][1]["id"], "w2");
}

#[test]
fn yaml_is_the_servers_answer_too() {
    let ran = asked(&["workers", "get", "w1", "-o", "yaml"]);
    let told: Value = serde_saphyr::from_str(&ran.out).expect("YAML");
    assert_eq!(told, cluster("GET /v1/workers/w1").1, "{}", ran.out);
}

#[test]
fn talk_about_a_write_goes_to_stderr() {
    let ran = asked(&["workers", "remove", "w1"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", "removed worker w1 at index 10\n"));
    let ran = asked(&["workers", "remove", "w1", "--output", "json"]);
    assert_eq!(ran.out, "{\n  \"index\": 10\n}\n");
}

#[test]
fn the_first_server_that_answers_is_used_and_a_flag_wins_over_the_environment() {
    let address = server(cluster);
    let servers = format!("http://127.0.0.1:1, http://{address}");
    let mut command = quorate(&["workers", "list", "--server", &servers]);
    command.env("QUORATE_SERVER", "http://127.0.0.1:2");
    assert_eq!(ran(command).code, 0);
}

#[test]
fn completions_are_scripts() {
    for (shell, part) in
        [("bash", "_quorate()"), ("zsh", "#compdef quorate"), ("fish", "complete -c quorate")]
    {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains(part), "{shell}");
    }
}

#[test]
fn a_bad_configuration_is_code_2_and_lists_every_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.yaml");
    std::fs::write(&file, "worker_ttl: 30s\nworkerttl: 40s\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let mut command = quorate(&["serve", "--config", file, "--partitions", "0", "--tls-cert", "c.pem"]);
    command.args(["--tunnel-token-file", "no-tokens", "--cluster-secret-file", "no-secret"]);
    command.env("REQUEST_TIMEOUT", "soon").current_dir(folder.path());
    let ran = ran(command);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    for part in [
        &format!("workerttl ({file}, line 2, column 1): there is no such key; did you mean `worker_ttl`?"),
        "--partitions: `0` is not allowed here; allowed: 1 to 100000",
        "REQUEST_TIMEOUT: `soon` is not allowed here",
        "--tls-cert: the certificate has no key; allowed: --tls-cert and --tls-key together",
        "\nerror: --tunnel-token-file no-tokens: ",
        "\nerror: --cluster-secret-file no-secret: ",
    ] {
        assert!(ran.err.contains(part), "{part} in {}", ran.err);
    }
    assert!(!folder.path().join("quorate-data").exists(), "nothing was touched");
}

#[test]
fn a_configuration_file_that_is_not_there_is_code_2() {
    let ran = run(&["serve", "--config", "/no/such/file.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--config /no/such/file.yaml: "), "{}", ran.err);
}

#[test]
fn peers_beyond_loopback_need_a_secret() {
    let ran = run(&["serve", "--node-name", "n1", "--peers", "n1=10.0.0.1:7070,n2=10.0.0.2:7070"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--peers: n1=10.0.0.1:7070 is not on loopback"), "{}", ran.err);
    assert!(ran.err.contains("--cluster-secret-file FILE"), "{}", ran.err);
}

#[test]
fn a_port_that_is_taken_ends_dev_before_it_starts_anything() {
    let offset = free_offset();
    let port = 8_081 + offset;
    let _taken = TcpListener::bind(("127.0.0.1", port)).expect("it is ours");
    let ran = run(&["dev", "--base-port-offset", &offset.to_string()]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains(&format!("port {port}")) && ran.err.contains("--base-port-offset"),
        "{}",
        ran.err
    );
}
