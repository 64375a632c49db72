//! `quorate serve`: one node, until a signal.

use super::secret;
use crate::{
    backplane,
    failure::Failure,
    kafka::KafkaTopic,
    parent,
    serve_args::{Lifetime, ServeArgs},
    signals::{Hangups, Signals},
    supervisor::Supervisor,
};
use quorate_node::{
    Node, Platform, StartError,
    config::{Config, ConfigFile, LogFormat, LogTo, Machine, Sources, is_unknown_variable},
    partition_source::PartitionSource,
    settings_file,
    tunnels::Tokens,
};
use quorate_rt::tls;
use quorate_storage::FolderDisk;
use quorate_telemetry::log;
use std::{collections::BTreeMap, io::IsTerminal as _, path::Path, pin::pin, sync::Arc, time::Duration};

/// Consensus and management need no more; the data plane has threads of its own.
const CONTROL_THREADS_MAX: usize = 4;
/// Blocking work that is still under way when the node is done, such as a name being resolved, is left behind.
const LEFTOVERS_LIMIT: Duration = Duration::from_secs(1);

/// Runs a node until a signal.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let sources = sources(args.flags.clone(), args.config.as_deref())?;
    let mut config = checked(&sources)?;
    // From a pipe it is read once.
    config.reload = args.config.as_deref().filter(|path| path.is_file()).map(|_| Arc::new(sources.clone()));
    let format = match config.log_format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    log::init(format, &filter(&config.log_level)).map_err(|e| Failure::Usage(e.to_string()))?;
    for name in sources.env.keys().filter(|name| is_unknown_variable(name)) {
        tracing::warn!(variable = name, "no setting has this name: it is ignored");
    }
    let secret = config.cluster_secret_file.as_deref().map(secret::read).transpose()?;
    let detour = backplane::detour(&config)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.min(CONTROL_THREADS_MAX))
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|e| Failure::failed("cannot start", e))?;
    let ended = runtime.block_on(async {
        let identity =
            FolderDisk::peek(&config.data_dir, &config.node_name).map_err(|e| not_started(&e.into()))?;
        if let Some(identity) = identity {
            // Before the folder is opened: a refused one must stay as it is, byte for byte.
            quorate_node::refuse_other_cluster(&config, &identity, secret.clone())
                .await
                .map_err(|e| not_started(&e))?;
        }
        let disk =
            FolderDisk::open(&config.data_dir, &config.node_name).map_err(|e| not_started(&e.into()))?;
        let partition_source = partition_source(&config);
        let platform = Platform { disk: Arc::new(disk), partition_source, secret, detour };
        live(config, platform, args.lifetime).await
    });
    runtime.shutdown_timeout(LEFTOVERS_LIMIT);
    ended
}

/// Settings, and the files that they name, as far as they can be checked before anything is opened or written. Every
/// mistake of both is told at once.
fn checked(sources: &Sources) -> Result<Config, Failure> {
    let (config, files) = (Config::load(sources), Config::files(sources));
    let mut wrong = Vec::new();
    if let Err(errors) = &config {
        wrong.push(format!("the configuration is wrong\n{errors}"));
    }
    // Without a listener for TLS its certificate is not asked for.
    let has_tls = config.as_ref().map_or(true, |config| config.https.is_some());
    if let Some((certificate, key)) = files.tls.filter(|_| has_tls) {
        wrong.extend(check_certificate("tls", (&certificate, &key), tls::Alpn::Either).err());
    }
    let has_gateway = config.as_ref().map_or(true, |config| config.gateway.address().is_some());
    if let Some((certificate, key)) = files.gateway_tls.filter(|_| has_gateway) {
        wrong.extend(check_certificate("gateway-tls", (&certificate, &key), tls::Alpn::Http1).err());
    }
    if let Some(file) = files.tunnel_tokens {
        wrong.extend(check_tokens(&file).err());
    }
    if let Some(Err(Failure::Usage(why))) = files.cluster_secret.as_deref().map(secret::check) {
        wrong.push(why);
    }
    match config {
        Ok(config) if wrong.is_empty() => Ok(config),
        Ok(_) | Err(_) => Err(Failure::Usage(wrong.join("\n"))),
    }
}

/// A certificate that can't be used is bad configuration.
fn check_certificate(
    flags: &str,
    (certificate, key): (&Path, &Path),
    speaks: tls::Alpn,
) -> Result<(), String> {
    let acceptor = tls::Acceptor::new(certificate, key, speaks);
    let certificate = format!("--{flags}-cert {}", certificate.display());
    let key = format!("--{flags}-key {}", key.display());
    let why = match acceptor {
        Ok(_) => return Ok(()),
        Err(tls::Error::Identity { what: "key", problem, .. }) => format!("{key}: {problem}"),
        Err(tls::Error::Identity { problem, .. }) => format!("{certificate}: {problem}"),
        Err(tls::Error::Pair { source, .. }) => format!("{certificate} and {key}: {source}"),
        Err(other) => format!("{certificate} and {key}: {other}"),
    };
    let allowed = "PEM files: the certificate with those that lead to its authority, and its key";
    Err(format!("{why}; allowed: {allowed}"))
}

/// The same of the tokens for tunnels.
fn check_tokens(file: &Path) -> Result<(), String> {
    Tokens::read(file).map(drop).map_err(|wrong| format!("--tunnel-token-file {wrong}"))
}

/// A level alone is about what we say. What the libraries below tell of each of their steps helps only those who
/// look for it: `debug`, `trace`, and lists by module show it.
fn filter(level: &str) -> String {
    match level {
        // openraft warns of each try to reach a node that is away, some thirty times a second.
        "info" => "info,openraft=error,rskafka=warn".into(),
        other => other.into(),
    }
}

async fn live(config: Config, platform: Platform, lifetime: Lifetime) -> Result<(), Failure> {
    // From here on a signal ends the node in order, also while it still starts.
    let (mut signals, mut hangups) = (Signals::listen()?, Hangups::listen()?);
    let name = config.node_name.clone();
    let drain = config.drain_delay + config.drain_limit;
    let node = Node::start(config, platform).await.map_err(|e| not_started(&e))?;
    let mut supervisor = Supervisor::of(&node);
    tracing::info!(
        node = %name,
        routing = %node.routing_addr(),
        grpc = node.grpc_addr().map(tracing::field::display),
        https = node.https_addr().map(tracing::field::display),
        management = %node.management_addr(),
        gateway = node.gateway_addr().map(tracing::field::display),
        peer = %node.peer_addr(),
        "listening"
    );
    until_end(&node, (&mut signals, &mut hangups), lifetime).await?;
    if let Some(supervisor) = &mut supervisor {
        supervisor.stopping(drain).await;
    }
    tokio::select! {
        biased;
        number = signals.next() => Err(Failure::Signal(number)),
        () = node.shutdown() => Ok(()),
    }
}

/// Until somebody asks the node to end.
async fn until_end(
    node: &Node,
    (signals, hangups): (&mut Signals, &mut Hangups),
    lifetime: Lifetime,
) -> Result<(), Failure> {
    let (mut parent_gone, mut failed) = (pin!(parent_gone(lifetime)), pin!(node.failed()));
    loop {
        tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            () = &mut parent_gone => return Ok(()),
            why = &mut failed => return Err(Failure::failed("the node can't go on", why)),
            () = hangups.next() => node.reread(),
        }
    }
}

async fn parent_gone(lifetime: Lifetime) {
    match lifetime {
        Lifetime::OwnMaster => std::future::pending().await,
        Lifetime::Child => parent::gone().await,
    }
}

fn not_started(error: &StartError) -> Failure {
    if error.is_refusal() { Failure::Usage(error.to_string()) } else { Failure::Failed(error.to_string()) }
}

fn partition_source(config: &Config) -> Option<Arc<dyn PartitionSource>> {
    let kafka = config.kafka.as_ref()?;
    Some(Arc::new(KafkaTopic::new(kafka.brokers.clone(), kafka.topic.clone())))
}

/// What a node is told: by these flags, by this file, and by the environment of this process.
pub(super) fn sources(flags: BTreeMap<String, String>, file: Option<&Path>) -> Result<Sources, Failure> {
    Ok(Sources {
        flags,
        // Variables that are no Unicode can't be any of ours.
        env: std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect(),
        file: file.map(read).transpose()?,
        machine: machine(),
    })
}

pub(super) fn read(path: &Path) -> Result<ConfigFile, Failure> {
    let name = path.display().to_string();
    let wrong = |why: String| Failure::Usage(format!("--config {name}: {why}"));
    let text = settings_file::read_text(path).map_err(wrong)?;
    Ok(ConfigFile { path: name, text })
}

fn machine() -> Machine {
    Machine {
        host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        log_to: if std::io::stderr().is_terminal() { LogTo::Person } else { LogTo::Machine },
    }
}
