//! A tunnel: a machine that nobody can dial is reached by a connection that it opens itself.
//!
//! [`Tunnel::run`] dials a node and hangs on it; requests for the tunnel's name come that way from every node. When the
//! connection breaks, or the node asks to go, it hangs on another one, which it learns of from the cluster itself. The
//! old connection is kept as long as something is under way on it, so a node that ends costs no request.
//!
//! Two with one name do not fight: the later one holds it, and the other ends ([`Error::Replaced`]), unless it was told
//! to take it back.
//!
//! | module | what |
//! |---|---|
//! | `dial` | asking a node for the connection |
//! | `hanging` | one connection, as long as it lives |
//! | `carry` | one stream of it |
//! | `unanswered` | streams that nothing answers |
//! | [`rule`] | the sandbox's rule that leads there |

mod carry;
mod dial;
mod hanging;
pub mod rule;
mod unanswered;

use crate::{Url, backoff, tasks};
use dial::{Dialler, NotDialled};
use hanging::{Hanging, Parted};
use std::{collections::BTreeSet, future::Future, time::Duration};
use unanswered::Unanswered;

pub use carry::answers;

/// What a tunnel is called, what is at its end, and where it may hang.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Its name: 1 to 128 of a to z, 0 to 9, `.`, `_` and `-`.
    pub name: String,
    /// `host:port` of what is reached by it.
    pub to: String,
    /// Management addresses of nodes; more are learnt from them.
    pub nodes: Vec<Url>,
    /// The bearer token.
    pub token: Option<String>,
    /// Whether it takes its name back from another one that took it.
    pub takeover: bool,
}

/// What happens to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It hangs on a node.
    Hangs {
        /// Where.
        node: String,
        /// Which one of its name it is.
        epoch: u64,
    },
    /// The node ends; what is under way finishes there.
    MustGo {
        /// Where it hung.
        node: String,
    },
    /// The connection is gone.
    Lost {
        /// Where it hung.
        node: String,
        /// Why.
        why: String,
    },
    /// Another machine has opened it. It is taken back, after a while.
    Taken {
        /// Where it hung.
        node: String,
    },
    /// Nothing answers at the tunnel's end. Told at once, and then seldom.
    NotAnswered {
        /// Why, the last time.
        why: String,
        /// How many requests have not been answered since that was told last.
        count: u64,
    },
    /// A node could not be had. Others are tried.
    NotTaken {
        /// Which.
        node: String,
        /// Why.
        why: String,
    },
}

/// Why a tunnel ended that nobody stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another machine opened a tunnel of this name.
    #[error("another machine has opened the tunnel {name}; --takeover takes it back")]
    Replaced {
        /// The name.
        name: String,
    },
    /// A node says that it will not be taken, there or elsewhere.
    #[error("{node}: {source}")]
    Refused {
        /// Which.
        node: String,
        /// Its words.
        source: crate::Error,
    },
    /// There is no way to make connections.
    #[error(transparent)]
    Setup(#[from] crate::Error),
}

/// More nodes than that are not learnt at once.
const NODES_MAX: usize = 64;
/// Nodes that are told to be left are not asked again for so long.
const LEFT_FOR: Duration = Duration::from_secs(30);
/// What is under way when the tunnel is stopped has so long to finish.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// Whoever takes its name back waits for as long as after so many failures: two that do so shall not spin.
const AFTER_LOSS_OF_NAME: u32 = 6;

/// The nodes that it may hang on.
struct Ring {
    /// Those that it was given, and behind them those that the cluster named last.
    all: Vec<Url>,
    given: usize,
    next: usize,
    /// One that is about to end, and since when.
    left: Option<(Url, Duration)>,
    /// Tries in vain since it hung last.
    failures: u32,
}

impl Tunnel {
    /// Keeps the tunnel open until `stop` resolves, or it can't be.
    pub async fn run(self, mut tell: impl FnMut(News), stop: impl Future<Output = ()>) -> Result<(), Error> {
        let dialler = Dialler::new(&self)?;
        // The one that it hangs by, and those that were left and still finish something.
        let mut open = Vec::new();
        let mut unanswered = Unanswered::default();
        let ended = {
            let keeping = self.keep(&dialler, (&mut open, &mut unanswered), &mut tell);
            tokio::select! {
                biased;
                () = stop => Ok(()),
                error = keeping => Err(error),
            }
        };
        let finished = open.iter_mut().map(Hanging::finished);
        tasks::within(FINISH_WITHIN, each(finished)).await;
        ended
    }

    async fn keep(
        &self,
        dialler: &Dialler,
        (open, unanswered): (&mut Vec<Hanging>, &mut Unanswered),
        tell: &mut impl FnMut(News),
    ) -> Error {
        let mut ring = Ring::new(self.nodes.clone());
        loop {
            let node = ring.turn();
            let pause = match dialler.dial(&node).await {
                Ok(dialled) => {
                    tell(News::Hangs { node: node.to_string(), epoch: dialled.epoch });
                    ring.failures = 0;
                    open.retain(|one| !one.is_over());
                    open.iter().for_each(Hanging::finish);
                    open.push(Hanging::start(dialled.socket, self.to.clone(), unanswered.teller()));
                    let hanging = hang(open, (dialler, &node), &mut ring);
                    let parted = unanswered.told_during(hanging, tell).await;
                    match self.after(parted, &node, (open, &mut ring), tell) {
                        Ok(pause) => pause,
                        Err(error) => return error,
                    }
                }
                Err(NotDialled::Never(source)) => return Error::Refused { node: node.to_string(), source },
                Err(NotDialled::Now(why)) => {
                    tell(News::NotTaken { node: node.to_string(), why });
                    ring.failed()
                }
            };
            tasks::sleep(pause).await;
        }
    }

    /// How long to wait before it hangs elsewhere.
    fn after(
        &self,
        parted: Parted,
        node: &Url,
        (open, ring): (&mut Vec<Hanging>, &mut Ring),
        tell: &mut impl FnMut(News),
    ) -> Result<Duration, Error> {
        let node_told = node.to_string();
        if parted == Parted::Draining {
            tell(News::MustGo { node: node_told });
            ring.leave(node.clone());
            // All clients of the node are told at one moment, and it has time: they need not come at one moment.
            return Ok(backoff::delay(1, tasks::random()).mul_f64(tasks::random()));
        }
        let former = open.pop();
        match parted {
            Parted::Draining => {}
            Parted::Replaced if !self.takeover => {
                open.extend(former);
                return Err(Error::Replaced { name: self.name.clone() });
            }
            Parted::Replaced => {
                tell(News::Taken { node: node_told });
                return Ok(backoff::delay(AFTER_LOSS_OF_NAME, tasks::random()));
            }
            Parted::Fenced => {
                tell(News::Lost { node: node_told, why: "the node has lost its cluster".into() });
                ring.leave(node.clone());
            }
            // Another node may not know it yet; each will, and then says so.
            Parted::Revoked => {
                tell(News::Lost { node: node_told, why: "its token is not good any more".into() });
            }
            Parted::Gone(why) => tell(News::Lost { node: node_told, why }),
        }
        Ok(backoff::delay(1, tasks::random()))
    }
}

/// Until the newest of the connections is not the tunnel's any more. Meanwhile the node tells which others there are.
async fn hang(open: &mut [Hanging], (dialler, node): (&Dialler, &Url), ring: &mut Ring) -> Parted {
    let Some(hanging) = open.last_mut() else { return Parted::Gone("it never hung".into()) };
    let others = dialler.learn(node);
    tokio::pin!(others);
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            parted = hanging.parted() => return parted,
            others = &mut others, if !is_told => {
                is_told = true;
                ring.learn(others.unwrap_or_default());
            }
        }
    }
}

async fn each(all: impl Iterator<Item = impl Future<Output = ()>>) {
    for one in all {
        one.await;
    }
}

impl Ring {
    fn new(all: Vec<Url>) -> Self {
        Self { given: all.len(), all, next: 0, left: None, failures: 0 }
    }

    /// Whom to ask. Not one that is about to end, while there are others.
    fn turn(&mut self) -> Url {
        let count = self.all.len();
        let is_left = |url: &Url| {
            self.left
                .as_ref()
                .is_some_and(|(left, at)| left == url && tasks::now().saturating_sub(*at) < LEFT_FOR)
        };
        let mut places = (0..count).map(|step| (self.next + step) % count);
        let at = places.find(|at| !is_left(&self.all[*at])).unwrap_or(self.next % count);
        self.next = at + 1;
        self.all[at].clone()
    }

    /// One did not take it: how long to wait. The next one is asked at once, until all were.
    fn failed(&mut self) -> Duration {
        self.failures += 1;
        let count = u32::try_from(self.all.len()).unwrap_or(u32::MAX).max(1);
        if self.failures.is_multiple_of(count) {
            backoff::delay(self.failures / count, tasks::random())
        } else {
            Duration::ZERO
        }
    }

    fn leave(&mut self, node: Url) {
        self.left = Some((node, tasks::now()));
    }

    /// Nodes of the cluster, as one of them names them; in the place of those that were named before. None: nothing was
    /// learnt.
    fn learn(&mut self, others: Vec<Url>) {
        if others.is_empty() {
            return;
        }
        self.all.truncate(self.given);
        let mut known: BTreeSet<String> = self.all.iter().map(key).collect();
        self.all.extend(others.into_iter().filter(|url| known.insert(key(url))).take(NODES_MAX));
    }
}

fn key(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| Url::parse(text).expect("a URL")).collect()
    }

    fn all(ring: &Ring) -> Vec<&str> {
        ring.all.iter().map(Url::as_str).collect()
    }

    /// Scenario: a tunnel stays open for weeks while pods come and go. Cause: each address that was ever named was kept,
    /// and asked in turn.
    #[test]
    fn nodes_that_are_not_named_any_more_are_forgotten_and_those_given_are_not() {
        let mut ring = Ring::new(urls(&["http://a:1"]));
        ring.learn(urls(&["http://a:1/", "http://b:1", "http://b:1", "http://c:1"]));
        assert_eq!(all(&ring), ["http://a:1/", "http://b:1/", "http://c:1/"]);
        for nth in 0..1_000 {
            ring.turn();
            ring.learn(urls(&[&format!("http://p{nth}:1"), "http://c:1"]));
        }
        assert_eq!(all(&ring), ["http://a:1/", "http://p999:1/", "http://c:1/"]);
        ring.learn(Vec::new());
        assert_eq!(ring.all.len(), 3, "nobody was asked: they stay");
        let many: Vec<_> = (0..1_000).map(|nth| format!("http://m{nth}:1")).collect();
        ring.learn(urls(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(ring.all.len(), 1 + NODES_MAX);
    }
}
