//! Tunnels of the agent: how the nodes reach a machine that they can't dial.
//!
//! Each place where a service of this machine listens has a tunnel of its own, since a tunnel carries bytes to one place.
//! A tunnel stays open for as long as the agent lives, also while its service is away: who offers what is the
//! registration's to say. It never gives up, as the agent doesn't; and it does not fight: where another machine has taken
//! the name, it waits until that one is gone.

use super::{
    super::local::plain_name,
    config::Config,
    service::{Place, in_url},
};
use crate::output::printable;
use quorate_client::{
    Operator, Url,
    tunnel::{Error, News, Tunnel},
};
use quorate_model::WorkerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Before a tunnel is opened again that was refused, or a name is asked for that somebody else has.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// What is registered ought to be there. After so long it is registered nevertheless.
const HUNG_WITHIN: Duration = Duration::from_secs(10);

/// One tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub name: String,
    /// `host:port`, as this machine knows it.
    pub to: String,
}

/// The tunnel to a place; `None`: the nodes reach it without one.
pub fn way(id: &WorkerId, here: &str, place: &Place) -> Option<Way> {
    let id = id.as_str();
    match place {
        Place::Url(_) => None,
        Place::Here { port } => {
            Some(Way { name: plain_name(&format!("{id}.{port}")), to: format!("{}:{port}", in_url(here)) })
        }
        Place::Container { name, port } => {
            let to = format!("{}:{port}", in_url(name));
            Some(Way { name: plain_name(&format!("{id}.{port}.{name}")), to })
        }
    }
}

/// Those that are open.
pub struct Tunnels {
    nodes: Vec<Url>,
    token: Option<String>,
    open: BTreeMap<String, Open>,
    stop: watch::Sender<bool>,
}

struct Open {
    hung: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Tunnels {
    pub fn new(config: &Config, token: Option<String>) -> Self {
        Self { nodes: config.routers.clone(), token, open: BTreeMap::new(), stop: watch::Sender::new(false) }
    }

    /// Opens those that are not open yet, and waits until they hang somewhere, or had the time to. One that had it before is
    /// not waited for again: what else there is to report would be late for its sake.
    pub async fn open(&mut self, wanted: &BTreeMap<String, String>) {
        let mut opened = BTreeSet::new();
        for (name, to) in wanted {
            if self.open.contains_key(name) {
                continue;
            }
            let tunnel = Tunnel {
                name: name.clone(),
                to: to.clone(),
                nodes: self.nodes.clone(),
                token: self.token.clone(),
                takeover: false,
            };
            let (told, hung) = watch::channel(false);
            let task = tokio::spawn(keep(tunnel, told, self.stop.subscribe()));
            self.open.insert(name.clone(), Open { hung, task });
            opened.insert(name);
        }
        let opened = self.open.iter_mut().filter(|(name, _)| opened.contains(name));
        let all = async {
            for (_, one) in opened {
                // An error says that it has panicked: it will not hang any more.
                let _ = one.hung.wait_for(|hung| *hung).await;
            }
        };
        if timeout(HUNG_WITHIN, all).await.is_err() {
            tracing::warn!(
                "some tunnels hang on no node yet: what is registered is not reached before they do"
            );
        }
    }

    /// Closes all of them, and waits for what is under way.
    pub async fn close(self) {
        self.stop.send_replace(true);
        for one in self.open.into_values() {
            // An error says that it has panicked; it is over either way.
            let _ = one.task.await;
        }
    }
}

/// Keeps one open until it is told to stop.
async fn keep(tunnel: Tunnel, hung: watch::Sender<bool>, stop: watch::Receiver<bool>) {
    let operator = Operator::new(tunnel.nodes.clone(), tunnel.token.clone());
    loop {
        let running = tunnel.clone().run(teller(&tunnel.name, &hung), stopped(stop.clone()));
        let Err(error) = running.await else { return };
        tracing::error!(
            tunnel = tunnel.name,
            error = printable(&error.to_string()),
            "the tunnel is closed; trying on"
        );
        let is_replaced = matches!(error, Error::Replaced { .. });
        let again = async {
            loop {
                sleep(REFUSED_PAUSE).await;
                let is_held = match &operator {
                    Ok(operator) if is_replaced => is_held(operator, &tunnel.name).await,
                    Ok(_) | Err(_) => false,
                };
                if !is_held {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = stopped(stop.clone()) => return,
            () = again => {}
        }
    }
}

/// Whether somebody has the name; also while nobody knows.
async fn is_held(operator: &Operator, name: &str) -> bool {
    match operator.tunnel(name).await {
        Err(quorate_client::Error::Refused(problem)) => problem.code != "tunnel_unknown",
        Ok(_) | Err(_) => true,
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error says that nobody is there who could stop it: the agent is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn teller(name: &str, hung: &watch::Sender<bool>) -> impl FnMut(News) + use<> {
    let (name, hung) = (name.to_owned(), hung.clone());
    move |news| match news {
        News::Hangs { node, epoch } => {
            hung.send_replace(true);
            tracing::info!(tunnel = name, node, epoch, "the tunnel hangs");
        }
        News::MustGo { node } => {
            tracing::info!(tunnel = name, node, "the node is about to end: to another one")
        }
        News::Lost { node, why } => {
            tracing::warn!(tunnel = name, node, why = printable(&why), "the tunnel is gone; dialling again");
        }
        News::Taken { node } => tracing::warn!(tunnel = name, node, "another machine has opened the tunnel"),
        News::NotAnswered { why, count } => {
            tracing::warn!(
                tunnel = name,
                why = printable(&why),
                count,
                "nothing answers at the end of the tunnel"
            );
        }
        News::NotTaken { node, why } => {
            tracing::warn!(tunnel = name, node, why = printable(&why), "the node did not take the tunnel");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_this_machine_has_a_tunnel_and_a_url_has_none() {
        let id = WorkerId::parse("m1").expect("an id");
        let to = |place: &Place| way(&id, "127.0.0.1", place).map(|way| (way.name, way.to));
        let told = |name: &str, to: &str| Some((name.to_owned(), to.to_owned()));
        assert_eq!(to(&Place::Here { port: 8_103 }), told("m1.8103", "127.0.0.1:8103"));
        let container = |name: &str| Place::Container { name: name.into(), port: 80 };
        assert_eq!(to(&container("rag")), told("m1.80.rag", "rag:80"));
        assert_eq!(to(&Place::Url("http://h".into())), None);
        let v6 = way(&id, "::1", &Place::Here { port: 1 }).expect("a tunnel");
        assert_eq!(v6.to, "[::1]:1");
        let other =
            WorkerId::parse("M/1 ").map(|id| way(&id, "h", &Place::Here { port: 1 }).expect("one").name);
        let other = other.unwrap_or_else(|_| plain_name("M/1.1"));
        assert!(quorate_model::TunnelName::parse(&other).is_ok(), "{other}");
    }
}
