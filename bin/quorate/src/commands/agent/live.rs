//! The agent's process, from its start to its signal.

use super::{
    config::Config,
    delegate,
    machine::{Machine, Sources},
    mark::Mark,
    presence::Change,
    survey::{Offer, Seen, Survey, told},
    tunnels::Tunnels,
    unknown_variables,
};
use crate::{failure::Failure, parent, signals::Signals, supervisor::say};
use quorate_client::{DrawnBack, Duty, HeartbeatWay, OwnDrain, WorkerClient, WorkerHandle, WorkerState};
use quorate_model::WorkerId;
use quorate_node::config::LogFormat;
use quorate_telemetry::log;
use std::{convert::Infallible, path::Path, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

/// Longer files are no token.
const TOKEN_BYTES_MAX: u64 = 16 << 10;
/// Between two questions under which address this machine is known, while there is no network.
const NETWORK_PAUSE: Duration = Duration::from_secs(1);
/// What the end may take besides the wait for requests in flight.
const CLOSING: Duration = Duration::from_secs(20);

/// Until a signal. Fails only for what a person must put right.
pub async fn run(config: Config, host_name: &str, until_stdin_closes: bool) -> Result<(), Failure> {
    let format = match config.log_format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    log::init(format, &config.log_level).map_err(|e| Failure::Usage(e.to_string()))?;
    for name in unknown_variables() {
        tracing::warn!(variable = name, "no setting has this name: it is ignored");
    }
    let token = match &config.token_file {
        Some(path) if config.token.is_none() => Some(token_of(path)?),
        Some(_) | None => config.token.clone(),
    };
    let id = config.identity.resolve(host_name)?;
    let mut signals = Signals::listen()?;
    let mark = config.state_file.as_deref().map(|path| Mark::beside(path, &id));
    let mut agent = Agent {
        config: &config,
        survey: Survey::of(&config, &id)?,
        tunnels: Tunnels::new(&config, token.clone()),
        beginning: Some(Beginning { id: id.clone(), mark: mark.clone() }),
    };
    let offer = tokio::select! {
        biased;
        () = asked_to_end(&mut signals, until_stdin_closes) => return Ok(()),
        offer = agent.first_offer() => offer,
    };
    tracing::info!(worker = %id, address = offer.address, routers = told(&config.routers), "registering");
    // Not cut off by a signal: what was sent may be carried out, and is then drawn back below.
    let worker = agent.register(&id, token, &offer).await?;
    let told = [tokio::spawn(tell(worker.states())), tokio::spawn(tell_ways(worker.heartbeat_ways()))];
    say(vec!["READY=1".into()]).await;
    tokio::select! {
        biased;
        () = asked_to_end(&mut signals, until_stdin_closes) => {}
        never = agent.keep(&worker, offer) => match never {},
    }
    told.iter().for_each(JoinHandle::abort);
    tracing::info!(drain_timeout = ?config.drain_timeout, "ending: no new requests, waiting for those in flight");
    let extension = (config.drain_timeout + CLOSING).as_micros();
    say(vec!["STOPPING=1".into(), format!("EXTEND_TIMEOUT_USEC={extension}")]).await;
    tokio::select! {
        biased;
        number = signals.next() => Err(Failure::Signal(number)),
        () = async {
            let keep = move |drain| keep(mark.as_ref(), drain);
            tell_end(worker.draw_back_marked(config.drain_timeout, keep).await);
            // Requests that are under way come by them.
            agent.tunnels.close().await;
        } => Ok(()),
    }
}

fn keep(mark: Option<&Mark>, drain: OwnDrain) {
    if let Some(mark) = mark {
        mark.keep(drain);
    }
}

async fn asked_to_end(signals: &mut Signals, until_stdin_closes: bool) {
    let parent_gone =
        async { if until_stdin_closes { parent::gone().await } else { std::future::pending().await } };
    tokio::select! {
        biased;
        _ = signals.next() => {}
        () = parent_gone => {}
    }
}

fn token_of(path: &Path) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("token_file {}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| wrong(&e.to_string()))?.len();
    if size > TOKEN_BYTES_MAX {
        return Err(wrong(&format!("{size} bytes; allowed: at most {TOKEN_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e.to_string()))?;
    match text.trim() {
        "" => Err(wrong("is empty")),
        token => Ok(token.into()),
    }
}

struct Agent<'a> {
    config: &'a Config,
    survey: Survey<'a>,
    tunnels: Tunnels,
    /// Until the duty was looked at.
    beginning: Option<Beginning>,
}

/// What is to be known about the worker's duty, once it is registered.
struct Beginning {
    id: WorkerId,
    mark: Option<Mark>,
}

impl Beginning {
    /// Whether it is done; asked again otherwise.
    async fn look_at_duty(&self, worker: &WorkerHandle) -> bool {
        if !matches!(worker.state(), WorkerState::Registered { .. }) {
            return false;
        }
        let own = self.mark.as_ref().filter(|mark| mark.stands());
        let duty = match own {
            Some(_) => worker.take_drain_back().await,
            None => worker.duty().await,
        };
        let Ok(duty) = duty else { return false };
        if let Some(mark) = own {
            mark.keep(OwnDrain::IsOver);
        }
        if duty == Duty::InService {
            if own.is_some() {
                tracing::info!("the last end was cut short: its drain is taken back");
            }
        } else {
            let mend = format!("quorate workers resume {}", self.id);
            tracing::warn!(?duty, mend, "registered, and gets no requests: it was taken out of service");
        }
        true
    }
}

impl Agent<'_> {
    /// Looks once, and waits for a network where it takes one to say where this machine is.
    async fn first_offer(&mut self) -> Offer {
        self.look().await;
        loop {
            match self.survey.offer().await {
                Ok(offer) => {
                    self.tunnels.open(&offer.tunnels).await;
                    return offer;
                }
                Err(error) => tracing::warn!(%error, "this machine has no address that routers know yet"),
            }
            sleep(NETWORK_PAUSE).await;
        }
    }

    async fn register(
        &self,
        id: &WorkerId,
        token: Option<String>,
        offer: &Offer,
    ) -> Result<WorkerHandle, Failure> {
        let config = self.config;
        let machine = Machine::read(&Sources::real(&config.storage_path)).await;
        let mut builder = WorkerClient::builder(config.routers.clone(), id.as_str(), &offer.address)
            .services(offer.services.iter().cloned())
            .labels(config.labels.clone())
            .capabilities(machine.capabilities(offer.host.as_deref(), &config.capabilities));
        if let Some(ttl) = config.ttl {
            builder = builder.ttl(ttl);
        }
        if let Some(weight) = config.weight {
            builder = builder.weight(weight);
        }
        if let Some(offer) = delegate::offer(config, offer.host.as_deref()).await? {
            builder = builder.delegate(offer);
        }
        if let Some(token) = token {
            builder = builder.token(token);
        }
        Ok(builder.start().await?)
    }

    /// Looks again and again, and reports what has changed.
    async fn keep(&mut self, worker: &WorkerHandle, mut reported: Offer) -> Infallible {
        loop {
            if let Some(beginning) = &self.beginning
                && beginning.look_at_duty(worker).await
            {
                self.beginning = None;
            }
            sleep(self.config.detect_interval).await;
            self.look().await;
            match self.survey.offer().await {
                Ok(offer) if offer != reported => {
                    // Before anybody is sent there.
                    self.tunnels.open(&offer.tunnels).await;
                    worker.set_services(&offer.address, offer.services.iter().cloned()).await;
                    reported = offer;
                }
                // What was said last stands.
                Ok(_) | Err(_) => {}
            }
            self.take_over(worker).await;
        }
    }

    /// Two processes under one id must not take it from each other for ever: the one that lost it waits until the
    /// other is gone.
    async fn take_over(&self, worker: &WorkerHandle) {
        let lost = matches!(worker.state(), WorkerState::Superseded | WorkerState::Displaced);
        if lost && worker.id_is_free().await.is_ok_and(|free| free) {
            tracing::info!("nobody holds this id any more: registering again");
            worker.register_again().await;
        }
    }

    async fn look(&mut self) {
        for Seen { service, check, found, change } in self.survey.look().await {
            let why = found.err().map_or_else(String::new, |absent| absent.to_string());
            let service = service.name.as_str();
            match change {
                Change::None => {}
                Change::Found => tracing::info!(service, %check, "found"),
                Change::Missed => tracing::info!(service, %check, why, "missed once; still offered"),
                Change::Gone => tracing::warn!(service, %check, why, "gone: withdrawn"),
            }
        }
    }
}

async fn tell(mut states: watch::Receiver<WorkerState>) {
    loop {
        let state = states.borrow_and_update().clone();
        match state {
            WorkerState::Registered { epoch } => tracing::info!(epoch, "registered"),
            WorkerState::Reconnecting => tracing::warn!("no router can take what is to be said; trying on"),
            WorkerState::Refused { code, detail } => tracing::error!(code, detail, "refused; trying on"),
            WorkerState::Displaced | WorkerState::Superseded => tracing::error!(
                "another process has registered under this id; resting until it is gone. Give each machine an id of its own"
            ),
            WorkerState::Stopped => return,
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

async fn tell_ways(mut ways: watch::Receiver<HeartbeatWay>) {
    // They begin as those of everybody.
    while ways.changed().await.is_ok() {
        match ways.borrow_and_update().clone() {
            HeartbeatWay::Direct => tracing::info!("heartbeats go to the routers"),
            HeartbeatWay::ByDelegate { worker, epoch } => {
                tracing::info!(worker, epoch, "heartbeats go by the delegate of the group");
            }
            HeartbeatWay::OnBehalf { epoch } => {
                tracing::info!(epoch, "delegate: heartbeats of the group are sent from here");
            }
        }
    }
}

fn tell_end(drawn: DrawnBack) {
    match drawn {
        DrawnBack::Idle => tracing::info!("ended: no request was in flight"),
        DrawnBack::Busy { in_flight } => {
            let in_flight = in_flight.map_or_else(|| "unknown".into(), |count| count.to_string());
            tracing::warn!(in_flight, "ended: the time was over before all requests were");
        }
        DrawnBack::NotDrained { why } => tracing::warn!(why, "ended without a drain"),
        DrawnBack::NotRegistered => tracing::info!("ended: there was no registration to draw back"),
    }
}
