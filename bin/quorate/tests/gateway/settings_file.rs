//! The sandbox proxy's `config.yaml`, given to `quorate serve` as it stands; and a file that changes while the node runs.

use crate::{
    grpc::{CLIENT, SERVER},
    origins::python,
    support::{
        eventually, free_address,
        http::{Ask, Connection},
        machine_shared,
        node::{quorate, ran},
        worker::Worker,
    },
    tools,
};
use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// As the sandbox proxy's own page has it. Of it only ports and addresses are others here, since those are taken or not
/// there.
const AS_IT_STANDS: &str = include_str!("../../../../crates/node/src/config/fixtures/sandbox-proxy.yaml");

/// A node that has nothing but its file. Dropping it kills it.
struct Served {
    http: SocketAddr,
    grpc: SocketAddr,
    management: SocketAddr,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone, where it ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- its log:\n{}", self.log());
        }
    }
}

impl Served {
    fn planned() -> Self {
        let (http, grpc, management) = (free_address(), free_address(), free_address());
        Self { http, grpc, management, folder: tempfile::tempdir().expect("a folder"), child: None }
    }

    /// The file as it stands, with this node's ports.
    fn file(&self, targets: &[(&str, String)]) -> String {
        let ports = [("8080", self.http), ("8081", self.grpc), ("9090", self.management)];
        let text = ports.iter().fold(AS_IT_STANDS.to_owned(), |text, (was, is)| {
            text.replace(&format!("Port: {was}\n"), &format!("Port: {}\n", is.port()))
        });
        targets.iter().fold(text, |text, (was, is)| text.replace(was, is))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// In one piece, as editors and `kubectl` do it.
    fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(new, self.path()).expect("renamed");
    }

    fn start(&mut self, environment: &[(&str, &str)]) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = serve(&self.path(), &self.folder.path().join("data"));
        command.envs(environment.iter().copied()).arg("--until-stdin-closes").stdin(Stdio::piped());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        self.child = Some(command.spawn().expect("it starts"));
        eventually("it is ready", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("ours"));
            assert!(ended.is_none(), "it has ended: {ended:?}");
            Ask::get("/readyz").send(self.management).ok().filter(|answer| answer.status == 200)
        });
    }

    fn hang_up(&self) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().expect("a kill").success());
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Who answers, by the name of the worker.
    fn who(&self, ask: &Ask) -> String {
        let answer = ask.send(self.http).expect("an answer");
        if answer.status == 200 { answer.worker() } else { format!("{} {}", answer.status, answer.text()) }
    }

    fn becomes(&self, what: &str, ask: &Ask, who: &str) {
        eventually(what, || (self.who(ask) == who).then_some(()));
    }

    fn metric(&self, series: &str) -> u64 {
        let text = Ask::get("/metrics").send(self.management).expect("an answer").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().expect("a number")
    }
}

fn serve(config: &Path, data: &Path) -> Command {
    let mut command = quorate(&["serve", "--node-name", "n1", "--threads", "1", "--peer", "127.0.0.1:0"]);
    command.arg("--config").arg(config).arg("--data-dir").arg(data);
    command
}

fn keyed(path: &str, key: &str) -> Ask {
    Ask::get(path).header("x-route-key", key)
}

#[test]
fn the_sandbox_proxys_file_is_served_as_it_stands_on_both_ports() {
    let _shared = machine_shared();
    let mut node = Served::planned();
    let (base, a, b) = (Worker::start("base"), Worker::start("a"), Worker::start("b"));
    node.write(&node.file(&[
        ("default-service", base.address.to_string()),
        ("service-a.sandbox-123.svc.cluster.local", a.address.to_string()),
        ("service-b.sandbox-456.svc.cluster.local", b.url()),
    ]));
    node.start(&[]);
    let json = |ask: Ask| ask.header("content-type", "application/json");
    for address in [node.http, node.grpc] {
        let mut connection = Connection::open(address).expect("it listens");
        let mut ask = |ask: Ask| connection.exchange(&ask).expect("an answer").ok().json();
        let head = |answer: &serde_json::Value| answer["head"].to_string();
        let sandboxed = ask(keyed("/api/v1/x?a=b", "sandbox-123").header("x-environment", "none"));
        assert_eq!(sandboxed["worker"], "a");
        let told = head(&sandboxed);
        assert!(
            told.contains("get /api/v1/x?a=b http/1.1") && told.contains("x-environment: sandbox"),
            "{told}"
        );
        assert!(!told.contains("x-environment: none") && told.contains("x-route-key: sandbox-123"), "{told}");
        assert_eq!(ask(json(keyed("/api/v2/x", "sandbox-456")))["worker"], "b");
        for other in [
            Ask::get("/api/v1/x?a=b"),
            keyed("/api/v1/x?a=b", "sandbox-789"),
            keyed("/api/v2/x?a=b", "sandbox-123"),
            keyed("/api/v2/x?a=b", "sandbox-456"),
        ] {
            let answer = ask(other);
            assert_eq!(answer["worker"], "base");
            assert!(!head(&answer).contains("x-environment") && head(&answer).contains("?a=b"), "{answer}");
        }
    }
    assert_eq!(node.metric("proxy_requests_total{path=\"{default}\",status_code=\"200\"}"), 8);
    assert_eq!(node.metric("proxy_requests_total{path=\"{sandbox}\",status_code=\"200\"}"), 4);
    assert!(std::net::TcpStream::connect(("127.0.0.1", node.management.port())).is_ok(), "on loopback");
    let explained = |method_and_url: &[&str]| {
        let mut command = quorate(&[&["explain"], method_and_url].concat());
        command.env("QUORATE_SERVER", format!("http://{}", node.management));
        ran(command).out
    };
    let told = explained(&["GET", "http://x/api/v1/y", "-H", "x-route-key: sandbox-123"]);
    assert!(
        told.contains("rule 0 of the sandbox sandbox-123 in this node's file names the address"),
        "{told}"
    );
    let told = explained(&["GET", "http://x/y", "-H", "x-route-key: sandbox-123"]);
    assert!(
        told.contains("nothing else is for it: the default target of this node names the address"),
        "{told}"
    );
}

/// grpcio on both sides, without a word about HTTP/2 in the file.
#[test]
fn calls_of_grpc_reach_the_default_target_by_both_ports() {
    let Some(interpreter) = tools::python() else { return };
    let _shared = machine_shared();
    let mut node = Served::planned();
    let address = free_address();
    let server = python("server", node.folder.path(), interpreter, SERVER, &[&address.to_string()]);
    eventually("the server listens", || server.log().contains("listening").then_some(()));
    node.write(&node.file(&[("default-service", address.to_string())]));
    node.start(&[]);
    for (name, port) in [("on-http", node.http), ("on-grpc", node.grpc)] {
        let folder = node.folder.path().join(name);
        fs::create_dir(&folder).expect("made");
        let arguments = [&port.to_string(), "-", "calls,turns,metadata,statuses"];
        let mut client = python("client", &folder, interpreter, CLIENT, &arguments);
        let said = client.ended_well();
        assert!(said.contains("all well"), "{said}");
    }
    assert!(node.metric("proxy_grpc_requests_total{method=\"{default}\",code=\"OK\"}") > 0);
    assert!(node.metric("proxy_grpc_requests_total{method=\"{default}\",code=\"NOT_FOUND\"}") > 0);
}

fn one_rule(node: &Served, key: &str, target: SocketAddr, default: SocketAddr) -> String {
    let (http, management) = (node.http.port(), node.management.port());
    format!(
        "request_timeout: 10m\nserver: {{httpPort: {http}, metricsPort: {management}}}\nrouting:\n  defaultTarget: {default}\n  rules:\n    \
         - {{routeKey: kept, targetService: {default}}}\n    - {{routeKey: {key}, targetService: {target}}}\n"
    )
}

#[test]
fn a_changed_file_takes_effect_while_the_node_runs_and_a_bad_one_does_not() {
    let _shared = machine_shared();
    let mut node = Served::planned();
    let (base, a, b) = (Worker::start("base"), Worker::start("a"), Worker::start("b"));
    node.write(&one_rule(&node, "k1", a.address, base.address));
    node.start(&[]);
    assert_eq!(node.who(&keyed("/x", "k1")), "a");
    // Streams of this rule and of the other one stay through all that follows.
    let held: Vec<_> = ["k1", "kept"]
        .iter()
        .map(|key| {
            let mut stream = Connection::open(node.http).expect("it listens");
            stream.send(&keyed("/held", key)).expect("sent");
            stream
        })
        .collect();
    eventually("both are held", || (a.held() + base.held() == 2).then_some(()));

    node.write(&one_rule(&node, "k1", b.address, base.address));
    node.becomes("the new rule holds", &keyed("/x", "k1"), "b");
    assert_eq!(node.metric("quorate_config_reload_failures_total"), 0);
    assert!(node.metric("quorate_config_reloads_total") >= 1);

    // As a whole: what is right in a wrong file does not count either.
    let wrong = one_rule(&node, "k1", a.address, base.address) + "    - {routeKy: k3, targetService: x}\n";
    node.write(&wrong);
    eventually("it is told", || {
        let place = "routing.rules[2].routeKy (";
        let line = node.log().lines().find(|line| line.contains(place)).map(str::to_owned);
        line.filter(|line| line.contains("line 8, column 8") && line.contains("did you mean `routeKey`?"))
    });
    assert!(node.metric("quorate_config_reload_failures_total") >= 1);
    assert_eq!(node.who(&keyed("/x", "k1")), "b");
    fs::remove_file(node.path()).expect("removed");
    eventually("it is missed", || node.log().contains("No such file").then_some(()));
    assert_eq!(node.who(&keyed("/x", "k1")), "b");
    // Cut off, or emptied before it is written: nobody has said that the rules are to go.
    node.write("# soon\n");
    eventually("it is told", || node.log().contains("it says nothing; allowed: settings").then_some(()));
    assert_eq!(node.who(&keyed("/x", "k1")), "b");

    // Gone from the file, gone; and what can't change while it runs is named.
    node.write(&(one_rule(&node, "k2", a.address, b.address) + "worker_ttl: 45s\n"));
    node.becomes("the key's rules are gone", &keyed("/x", "k1"), "b");
    node.becomes("another key's are there", &keyed("/x", "k2"), "a");
    eventually("what needs a restart is named", || {
        let log = node.log();
        let line = log.lines().find(|line| line.contains("these settings have changed since the start"));
        line.filter(|line| line.contains("worker-ttl")).map(drop)
    });
    a.let_go();
    base.let_go();
    for (mut stream, who) in held.into_iter().zip(["a", "base"]) {
        assert_eq!(stream.answer().expect("nobody has dropped it").worker(), who);
    }
}

/// A ConfigMap is changed by a link that is turned to another folder; the file in it is a link through that.
#[test]
fn a_turned_link_is_noticed_and_so_is_a_hangup() {
    let _shared = machine_shared();
    let mut node = Served::planned();
    let (a, b) = (Worker::start("a"), Worker::start("b"));
    let mounted = node.folder.path().join("mounted");
    fs::create_dir(&mounted).expect("made");
    let turn = |version: &str, text: &str| {
        let folder = mounted.join(version);
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("config.yaml"), text).expect("written");
        std::os::unix::fs::symlink(version, mounted.join("..tmp")).expect("linked");
        fs::rename(mounted.join("..tmp"), mounted.join("..data")).expect("turned");
    };
    turn("..1", &one_rule(&node, "k1", a.address, a.address));
    std::os::unix::fs::symlink("..data/config.yaml", mounted.join("config.yaml")).expect("linked");
    std::os::unix::fs::symlink("mounted/config.yaml", node.path()).expect("linked");
    node.start(&[]);
    assert_eq!(node.who(&keyed("/x", "k1")), "a");
    turn("..2", &one_rule(&node, "k1", b.address, a.address));
    node.becomes("the link is followed", &keyed("/x", "k1"), "b");
    // Whoever asks is told, also where nothing has changed.
    let before = node.metric("quorate_config_reloads_total");
    node.hang_up();
    eventually("it is read again", || (node.metric("quorate_config_reloads_total") > before).then_some(()));
    assert_eq!(node.who(&keyed("/x", "k1")), "b");
}

#[test]
fn a_sidecar_sends_everything_to_its_application_but_what_a_key_leads_elsewhere() {
    let _shared = machine_shared();
    let mut node = Served::planned();
    let (app, other) = (Worker::start("app"), Worker::start("other"));
    node.write(&one_rule(&node, "k1", other.address, app.address));
    node.start(&[("PROXY_MODE", "sidecar")]);
    for path in ["/x", "/v1/workspaces/w1/x", "/api/service/upload/x"] {
        assert_eq!(node.who(&Ask::get(path)), "app", "{path}");
    }
    assert_eq!(node.who(&keyed("/x", "k1")), "other");
    let answer = keyed("/x", "k9").send(node.http).expect("an answer").ok().json();
    assert!(answer["worker"] == "app" && answer["head"].to_string().contains("x-route-key: k9"), "{answer}");
    let refused = |name: &str, value: &str, text: &str| {
        let file = node.folder.path().join("other.yaml");
        fs::write(&file, text).expect("written");
        let mut command = serve(&file, &node.folder.path().join("none"));
        command.env(name, value);
        let ran = ran(command);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        ran.err
    };
    let wrong = refused("PROXY_MODE", "mesh", "");
    assert!(wrong.contains("PROXY_MODE: `mesh` is not allowed here; allowed: gateway or sidecar"), "{wrong}");
    let wrong = refused("QUORATE_PROXY_MODE", "sidecar", "server: {httpPort: 0}\n");
    assert!(wrong.contains("--default-target (not given): a sidecar has no application"), "{wrong}");
    assert!(!node.folder.path().join("none").exists(), "nothing was written");
}
