//! Bad input, in containers beside a cluster that works: one clear line, the right exit code, never a second cluster.
//!
//! That there is no second cluster, and that the first one and its clients notice nothing, is watched all the while
//! (`watch`, `ledger`).

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::clock::{eventually, now, sleep};
use super::cluster::{Cluster, get};
use super::compose;
use super::image;
use super::machine::PATIENCE;
use super::service::Endpoint;
use crate::workspace::Failure;

/// The configuration's error has a head line.
const LINES_MAX: usize = 2;
/// How long a second node of one name is looked at.
const TWIN_LOOKED_AT: Duration = Duration::from_secs(8);
const SECRET: &str = "QUORATE_CLUSTER_SECRET_FILE";
const PEERS: &str = "QUORATE_PEERS";
const NAME: &str = "QUORATE_NODE_NAME";

pub fn run(cluster: &Cluster<'_>, folder: &Path) -> Result<(), Failure> {
    secrets(cluster, folder)?;
    volumes(cluster, folder)?;
    peers(cluster)?;
    lists_that_differ(cluster)?;
    twin_with_a_volume_of_its_own(cluster)
}

/// A node that is to end by itself.
struct Bad<'a> {
    variables: &'a [(&'a str, &'a str)],
    /// A volume or a folder of this machine.
    data: &'a str,
    more: &'a [String],
    code: i64,
    words: &'a [&'a str],
}

impl Bad<'_> {
    fn ends(&self, cluster: &Cluster<'_>) -> Result<(), Failure> {
        let service = changed(cluster.compose.service("n1")?, self.variables);
        let place = [&cluster.place("n9", self.data)[..], self.more].concat();
        let ended = cluster.engine.run_to_end("n9", &service.run(image::NAME, &place)?)?;
        // A log line is no message to the one who started it; the message has `error:`.
        let lines: Vec<_> = ended.said.lines().filter(|line| !line.starts_with('{')).collect();
        let told = lines.join("\n");
        let clear = lines.len() <= LINES_MAX && self.words.iter().all(|word| told.contains(word));
        if ended.code == self.code && clear {
            eprintln!("containers:   {}: {told}", ended.code);
            return Ok(());
        }
        let expected = format!("{} and {:?} in at most {LINES_MAX} lines", self.code, self.words);
        Err(Failure::Check(format!("ended with {} and `{told}`; expected: {expected}", ended.code)))
    }
}

/// Without a restart policy: who ends must be seen to end.
fn changed(service: compose::Service, variables: &[(&str, &str)]) -> compose::Service {
    let service = service.without("restart");
    variables.iter().fold(service, |service, (name, value)| service.with_variable(name, value))
}

fn secrets(cluster: &Cluster<'_>, folder: &Path) -> Result<(), Failure> {
    let bad = Bad { variables: &[], data: "n9", more: &[], code: 2, words: &[] };
    let words = ["--cluster-secret-file /run/secrets/absent", "No such file", "quorate cluster secret new"];
    let variables = [(SECRET, "/run/secrets/absent")];
    Bad { variables: &variables, words: &words, ..bad }.ends(cluster)?;

    let unreadable = folder.join("unreadable");
    write(&unreadable, "0123456789012345678901234567890123456789\n")?;
    let more = [format!("--volume={}:/run/secrets/unreadable:ro", unreadable.display())];
    let variables = [(SECRET, "/run/secrets/unreadable")];
    let words = ["--cluster-secret-file /run/secrets/unreadable", "Permission denied"];
    Bad { variables: &variables, more: &more, words: &words, ..bad }.ends(cluster)?;

    let words = ["is not on loopback, and there is no cluster secret", "--cluster-secret-file"];
    Bad { variables: &[(SECRET, "")], words: &words, ..bad }.ends(cluster)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written =
        fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)));
    written.map_err(|e| Failure::Check(format!("{}: {e}", path.display())))
}

fn volumes(cluster: &Cluster<'_>, folder: &Path) -> Result<(), Failure> {
    // Root's, as a folder of the host is when Docker makes it.
    let roots = folder.join("roots");
    fs::create_dir(&roots).map_err(|e| Failure::Check(format!("{}: {e}", roots.display())))?;
    let data = roots.display().to_string();
    let own = [(NAME, "n1")];
    let words = ["the data folder /var/lib/quorate can't be used", "Permission denied", "read and write"];
    Bad { variables: &own, data: &data, more: &[], code: 2, words: &words }.ends(cluster)?;

    // The volume of a node that left and was stopped.
    let words = ["belongs to node `n5`, this node is `n1`", "mount the right folder"];
    Bad { variables: &own, data: "n5", more: &[], code: 2, words: &words }.ends(cluster)?;

    let words = ["/var/lib/quorate is in use by another process"];
    Bad { variables: &own, data: "n1", more: &[], code: 2, words: &words }.ends(cluster)
}

fn peers(cluster: &Cluster<'_>) -> Result<(), Failure> {
    let variables = [(NAME, "n9")];
    let words = [PEERS, "n9"];
    Bad { variables: &variables, data: "n9", more: &[], code: 2, words: &words }.ends(cluster)?;
    let variables = [(NAME, "n9"), (PEERS, "n9=n9:7070,n2=n2:7070,n2=n3:7070")];
    let words = [PEERS, "n2"];
    Bad { variables: &variables, data: "n9", more: &[], code: 2, words: &words }.ends(cluster)
}

/// Three new nodes of which one was told another list: each says so and waits, since the one may be started again
/// with the right list.
fn lists_that_differ(cluster: &Cluster<'_>) -> Result<(), Failure> {
    let (right, wrong) = ("b1=b1:7070,b2=b2:7070,b3=b3:7070", "b1=b1:7070,b2=b2:7070,b3=b3:7070,b4=b4:7070");
    let lists = [("b1", right), ("b2", right), ("b3", wrong)];
    let mut nodes = Vec::new();
    for (node, list) in lists {
        nodes.push(start(cluster, node, node, &[(NAME, node), (PEERS, list)])?);
    }
    for endpoint in &nodes {
        let node = &endpoint.node;
        eventually(&format!("{node} says that the lists differ"), PATIENCE, || {
            let said = cluster.engine.logs(node);
            if said.contains("was started with other --peers") { Ok(()) } else { Err(said) }
        })?;
        let view = get(endpoint, "/v1/cluster").and_then(|answer| answer.json()).map_err(Failure::Check)?;
        let ready = get(endpoint, "/readyz").map_err(Failure::Check)?;
        if !view["cluster_id"].is_null() || ready.status != 503 {
            let what = format!("{node} formed a cluster though the lists differ: {view}; {}", ready.text());
            return Err(Failure::Check(what));
        }
    }
    lists.iter().try_for_each(|(node, _)| cluster.remove(node))
}

/// Starts a node that goes on until it is removed.
fn start(
    cluster: &Cluster<'_>,
    container: &str,
    volume: &str,
    variables: &[(&str, &str)],
) -> Result<Endpoint, Failure> {
    let service = changed(cluster.compose.service("n1")?, variables);
    let ip: IpAddr = cluster.new_address();
    let mut place = cluster.place(container, volume);
    place.push(format!("--ip={ip}"));
    let head = ["run", "--detach", "--name", container].map(str::to_owned);
    cluster.engine.docker([&head[..], &service.run(image::NAME, &place)?].concat())?;
    Ok(Endpoint { node: container.to_owned(), ip })
}

/// A second `n2` with an empty volume while the first one lives: it says so, and must not get its place.
fn twin_with_a_volume_of_its_own(cluster: &Cluster<'_>) -> Result<(), Failure> {
    let before = cluster.view("n1")?["nodes"].clone();
    let twin = start(cluster, "twin", "twin", &[(NAME, "n2")])?;
    let start = now();
    let line = "another process answers as n2 at n2:7070: two have this name; stop the wrong one";
    eventually("the second n2 says that there are two", PATIENCE, || {
        let said = cluster.engine.logs("twin");
        if said.contains(line) { Ok(()) } else { Err(said) }
    })?;
    while start.elapsed() < TWIN_LOOKED_AT {
        if get(&twin, "/readyz").is_ok_and(|answer| answer.status == 200) {
            return Err(Failure::Check("a second n2 is ready while the first one lives".to_owned()));
        }
        sleep(Duration::from_millis(250));
    }
    cluster.remove("twin")?;
    let after = cluster.view("n1")?["nodes"].clone();
    let ids = |nodes: &serde_json::Value| {
        let nodes = nodes.as_array().into_iter().flatten();
        nodes.map(|node| node["id"].to_string()).collect::<Vec<_>>()
    };
    if ids(&before) == ids(&after) {
        return Ok(());
    }
    Err(Failure::Check(format!("a second n2 changed the members from {before} to {after}")))
}
