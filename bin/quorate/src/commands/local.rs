//! `quorate sandboxes local`: the requests of a key come to this machine, or those of a local workload.

use crate::{
    args::{LocalArgs, Remote},
    failure::Failure,
    output::{print, printable, say},
    signals::Signals,
};
use quorate_client::{
    Operator, Url,
    tunnel::{Error, News, Tunnel, rule::Rule},
};
use quorate_model::{DnsLabel, ObjectId, Resource};
use std::{future::Future, time::Duration};
use tokio::sync::{Notify, oneshot};

/// The sandbox is given its time anew when a quarter of it is over, within these bounds.
const KEEP_EVERY_MIN: Duration = Duration::from_secs(60);
const KEEP_EVERY_MAX: Duration = Duration::from_secs(3_600);
/// Longest name of a tunnel that is made of the key and the service.
const NAME_BYTES_MAX: usize = 100;

pub async fn run(operator: &Operator, remote: &Remote, args: &LocalArgs) -> Result<(), Failure> {
    let to = target(&args.to)?;
    let Some(key) = &args.key else {
        let workload = workload(args.workload.as_deref().unwrap_or_default())?;
        return answer_for((operator, remote), (&workload, to), args.takeover).await;
    };
    let name = args.name.clone().unwrap_or_else(|| name_of(key, args.service.as_deref()));
    let ttl = quorate_api::duration::parse(&args.ttl).ok_or_else(|| {
        Failure::Usage(format!("--ttl is `{}`; allowed: 300s to 604800s, such as 24h", args.ttl))
    })?;
    let mut signals = Signals::listen()?;
    let nodes = nodes(operator, remote).await?;
    let operator = Operator::new(nodes.clone(), remote.token.clone())?;
    let rule =
        Rule { key: key.clone(), service: args.service.clone(), tunnel: name.clone(), ttl: args.ttl.clone() };
    let tunnel = Tunnel { name, to: to.clone(), nodes, token: remote.token.clone(), takeover: args.takeover };
    let (hung, first) = oneshot::channel();
    let stop = Notify::new();
    let running = tunnel.run(teller(&to, hung), stop.notified());
    tokio::pin!(running);
    let serving = serve(&operator, &rule, (first, &to), ttl, signals.next());
    let served = tokio::select! {
        biased;
        // Whoever has taken the name over needs the rule that leads there: it stays.
        ended = &mut running => return ended.map_err(failure),
        served = serving => served,
    };
    stop.notify_one();
    let ended = running.await.map_err(failure);
    served.and(ended)
}

/// Holds the tunnel of a local workload. Its rules are the cluster's to make.
async fn answer_for(
    (operator, remote): (&Operator, &Remote),
    (workload, to): (&ObjectId, String),
    takeover: bool,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    // Whoever has mistyped it is told, and not left waiting for requests.
    said_of(operator, workload).await?;
    let nodes = nodes(operator, remote).await?;
    let operator = Operator::new(nodes.clone(), remote.token.clone())?;
    let name = workload.tunnel().to_string();
    let tunnel = Tunnel { name, to: to.clone(), nodes, token: remote.token.clone(), takeover };
    let (hung, first) = oneshot::channel();
    let stop = Notify::new();
    let running = tunnel.run(teller(&to, hung), stop.notified());
    tokio::pin!(running);
    let told = async {
        // An error says that the tunnel has ended, which is told elsewhere.
        if first.await.is_ok() {
            let said = said_of(&operator, workload).await?;
            print(&printable(&format!("{}/{}: {said}\n", workload.namespace, workload.name)))?;
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    let ended = tokio::select! {
        biased;
        ended = &mut running => return ended.map_err(failure),
        _ = signals.next() => Ok(()),
        failed = told => failed,
    };
    stop.notify_one();
    ended.and(running.await.map_err(failure))
}

/// Who is led to a local workload, as the cluster says it.
async fn said_of(operator: &Operator, workload: &ObjectId) -> Result<String, Failure> {
    let (namespace, name) = (workload.namespace.as_str(), workload.name.as_str());
    let found = operator.local_workload(namespace, name).await?;
    let missing = || Failure::NotFound(format!("there is no local workload {namespace}/{name}"));
    let told = found.ok_or_else(missing)?.value;
    Ok(told.ready().map_or_else(|| "it is there".into(), |ready| ready.message.clone()))
}

/// Puts the rule in once the tunnel hangs, keeps it, and takes it out at a signal.
async fn serve(
    operator: &Operator,
    rule: &Rule,
    (first, to): (oneshot::Receiver<()>, &str),
    ttl: Duration,
    signal: impl Future<Output = u8>,
) -> Result<(), Failure> {
    tokio::pin!(signal);
    tokio::select! {
        biased;
        _ = &mut signal => return Ok(()),
        // An error says that the tunnel has ended, which is told elsewhere.
        hung = first => if hung.is_err() { std::future::pending().await },
    }
    let made = rule.put(operator).await?;
    let what = rule.service.as_ref().map_or_else(String::new, |service| format!(" for {service}"));
    let sandbox = if made { "a new sandbox" } else { "a sandbox that was there" };
    print(&printable(&format!("requests{what} with the key {} come to {to} ({sandbox})\n", rule.key)))?;
    let every = (ttl / 4).clamp(KEEP_EVERY_MIN, KEEP_EVERY_MAX);
    loop {
        tokio::select! {
            biased;
            _ = &mut signal => break,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = rule.keep(operator).await {
            say(&printable(&format!("the sandbox could not be extended: {error}; trying again")));
        }
    }
    let is_gone = rule.take_out(operator).await?;
    let left = if is_gone { "the sandbox is gone" } else { "the sandbox has other rules, and stays" };
    say(&format!("took the rule of {} out: {left}", printable(&rule.key)));
    Ok(())
}

/// Tells people what happens to the tunnel, and us when it hangs for the first time.
fn teller(to: &str, hung: oneshot::Sender<()>) -> impl FnMut(News) + use<> {
    let (mut hung, to) = (Some(hung), to.to_owned());
    move |news| {
        let line = match news {
            News::Hangs { node, epoch } => {
                if let Some(hung) = hung.take() {
                    // Nobody waits where a signal came first.
                    let _ = hung.send(());
                }
                format!("the tunnel to {to} hangs on {node} (epoch {epoch})")
            }
            News::MustGo { node } => format!("{node} is about to end: hanging on another node"),
            News::Lost { node, why } => format!("the tunnel on {node} is gone: {why}; dialling again"),
            News::NotTaken { node, why } => format!("{node} did not take the tunnel: {why}"),
        };
        say(&printable(&line));
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Replaced { .. } => Failure::Failed(error.to_string()),
        Error::Refused { node, source } => match Failure::from(source) {
            Failure::Failed(why) => Failure::Failed(format!("{node}: {why}")),
            other => other,
        },
        Error::Setup(source) => source.into(),
    }
}

/// Those that were named, and those that they name: the tunnel and its sandbox outlive each of them.
async fn nodes(operator: &Operator, remote: &Remote) -> Result<Vec<Url>, Failure> {
    let mut nodes = quorate_client::routers(&remote.server)
        .map_err(|e| Failure::Usage(format!("--server (or QUORATE_SERVER): {e}")))?;
    let cluster = operator.cluster().await?.value;
    let scheme = nodes.first().map_or("http", |url| url.scheme()).to_owned();
    let others = cluster.nodes.into_iter().filter_map(|node| node.management).filter(|at| !at.is_empty());
    for other in others.filter_map(|at| Url::parse(&format!("{scheme}://{at}")).ok()) {
        if !nodes.contains(&other) && nodes.len() < 64 {
            nodes.push(other);
        }
    }
    Ok(nodes)
}

/// `NAMESPACE/NAME`
fn workload(text: &str) -> Result<ObjectId, Failure> {
    let wrong = || {
        let allowed = "NAMESPACE/NAME, each of 1 to 63 lower-case letters, digits and dashes";
        Failure::Usage(format!("--workload is `{text}`; allowed: {allowed}"))
    };
    let (namespace, name) = text.split_once('/').ok_or_else(wrong)?;
    let label = |text| DnsLabel::parse(text).map_err(|_| wrong());
    let (resource, namespace, name) = (Resource::LocalWorkloads, label(namespace)?, label(name)?);
    Ok(ObjectId { resource, namespace, name })
}

/// `host:port`, or a port of this machine.
fn target(text: &str) -> Result<String, Failure> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').unwrap_or(("localhost", bare));
    let is_host =
        !host.is_empty() && !host.contains(['/', '@', ' ']) && (!host.contains(':') || host.starts_with('['));
    if is_host && port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Ok(format!("{host}:{port}"));
    }
    Err(Failure::Usage(format!(
        "--to is `{text}`; allowed: host:port such as localhost:3000, or a port of this machine"
    )))
}

/// A tunnel's name that says what it is for. Keys have letters that names have not: those differ by a number.
fn name_of(key: &str, service: Option<&str>) -> String {
    plain_name(&service.map_or_else(|| key.to_owned(), |service| format!("{service}.{key}")))
}

/// A tunnel's name for something that may have other letters.
pub(super) fn plain_name(whole: &str) -> String {
    let plain =
        |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c) { c } else { '-' };
    let mut name: String = whole.chars().map(plain).take(NAME_BYTES_MAX).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, 'k');
    }
    if name == whole { name } else { format!("{name}-{:08x}", fnv(whole)) }
}

/// FNV-1a: the same name for the same key, on every machine and in every version.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_the_end_is_a_host_and_a_port() {
        for (text, wanted) in [
            ("3000", "localhost:3000"),
            ("localhost:3000", "localhost:3000"),
            ("http://10.0.0.1:80/", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(target(text).ok().as_deref(), Some(wanted), "{text}");
        }
        for bad in
            ["", "localhost", "localhost:0", "localhost:x", ":80", "::1:80", "https://h:1", "h:1/x", "u@h:1"]
        {
            let Err(Failure::Usage(why)) = target(bad) else { panic!("{bad}") };
            assert!(why.contains("--to") && why.contains("allowed:"), "{why}");
        }
    }

    #[test]
    fn a_workload_is_a_namespace_and_a_name() {
        let id = workload("team-a/laptop").expect("valid");
        assert_eq!(id.tunnel().as_str(), "team-a.laptop");
        for bad in ["", "laptop", "/laptop", "team-a/", "a/b/c", "A/b", "a/b.c"] {
            let Err(Failure::Usage(why)) = workload(bad) else { panic!("{bad}") };
            assert!(why.contains("--workload") && why.contains("allowed:"), "{why}");
        }
    }

    #[test]
    fn a_name_is_made_of_key_and_service() {
        assert_eq!(name_of("dev-1", Some("upload")), "upload.dev-1");
        assert_eq!(name_of("dev-1", None), "dev-1");
        let (a, b) = (name_of("Dev=1", None), name_of("Dev;1", None));
        assert!(a.starts_with("-ev-1-") || a.starts_with("k-ev-1-"), "{a}");
        assert_ne!(a, b, "two keys, two names");
        for key in ["é", "=", "_x", &"x".repeat(256)] {
            let name = name_of(key, Some("S"));
            assert!(name.len() <= 128 && name.as_bytes()[0].is_ascii_alphanumeric(), "{name}");
        }
    }
}
