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
//! | [`rule`] | the sandbox's rule that leads there |

mod carry;
mod dial;
mod hanging;
pub mod rule;
#[cfg(test)]
mod tests;

use crate::{Url, backoff, tasks};
use dial::{Dialler, Dialled, NotDialled};
use hanging::{Hanging, Parted};
use std::{collections::BTreeSet, future::Future, time::Duration};

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

/// A round of all nodes has this long between its end and the next one, at least once in a while.
const ROUND_LIMIT: u32 = 6;
/// Nodes that are told to be left are not asked again for so long.
const LEFT_FOR: Duration = Duration::from_secs(30);

/// The nodes that it may hang on.
struct Ring {
    all: Vec<Url>,
    next: usize,
    /// One that is about to end, and since when.
    left: Option<(Url, Duration)>,
}

impl Tunnel {
    /// Keeps the tunnel open until `stop` resolves, or it can't be.
    pub async fn run(self, mut tell: impl FnMut(News), stop: impl Future<Output = ()>) -> Result<(), Error> {
        let dialler = Dialler::new(&self)?;
        tokio::pin!(stop);
        let mut ring = Ring::new(self.nodes.clone());
        // Those that were left and still finish something.
        let mut leaving = Vec::new();
        let mut failures = 0;
        loop {
            let node = ring.next();
            let dialled = tokio::select! {
                biased;
                () = &mut stop => break,
                dialled = dialler.dial(&node) => dialled,
            };
            match dialled {
                Ok(dialled) => {
                    failures = 0;
                    let hung = self.hang((&dialler, &node, dialled), &mut ring, &mut tell);
                    let (hanging, parted) = tokio::select! {
                        biased;
                        () = &mut stop => break,
                        parted = hung => parted,
                    };
                    leaving.retain(|one: &Hanging| !one.is_over());
                    match parted {
                        Parted::Replaced if !self.takeover => {
                            return Err(Error::Replaced { name: self.name });
                        }
                        Parted::Draining => {
                            tell(News::MustGo { node: node.to_string() });
                            ring.leave(node);
                            leaving.push(hanging);
                        }
                        Parted::Replaced => failures = ROUND_LIMIT,
                        Parted::Fenced | Parted::Gone(_) => failures = 1,
                    }
                    if let Some(why) = parted.why() {
                        tell(News::Lost { node: ring.last().to_string(), why });
                    }
                }
                Err(NotDialled::Never(source)) => {
                    return Err(Error::Refused { node: node.to_string(), source });
                }
                Err(NotDialled::Now(why)) => {
                    failures += 1;
                    tell(News::NotTaken { node: node.to_string(), why });
                }
            }
            // One silent node is no reason to wait: the next one is asked at once.
            let rounds = failures.div_ceil(u32::try_from(ring.all.len()).unwrap_or(u32::MAX).max(1));
            let is_round = failures > 0 && ring.is_round(failures);
            if is_round {
                let pause = backoff::delay(rounds.min(ROUND_LIMIT), tasks::random());
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = tasks::sleep(pause) => {}
                }
            }
        }
        for hanging in &leaving {
            hanging.finish();
        }
        Ok(())
    }

    /// Hangs on a node until it has to part. Dropped meanwhile, the connection ends with what is under way on it.
    async fn hang(
        &self,
        (dialler, node, dialled): (&Dialler, &Url, Dialled),
        ring: &mut Ring,
        tell: &mut impl FnMut(News),
    ) -> (Hanging, Parted) {
        tell(News::Hangs { node: node.to_string(), epoch: dialled.epoch });
        let mut hanging = Hanging::start(dialled.socket, self.to.clone());
        let parted = {
            let learn = async {
                if let Some(others) = dialler.learn(node).await {
                    ring.learn(others);
                }
                std::future::pending().await
            };
            tokio::select! {
                parted = hanging.parted() => parted,
                () = learn => Parted::Fenced,
            }
        };
        if matches!(parted, Parted::Draining) {
            hanging.finish();
        }
        (hanging, parted)
    }
}

impl Ring {
    fn new(all: Vec<Url>) -> Self {
        Self { all, next: 0, left: None }
    }

    /// Whom to ask. Not one that is about to end, while there are others.
    fn next(&mut self) -> Url {
        let count = self.all.len();
        let is_left = |url: &Url| {
            self.left.as_ref().is_some_and(|(left, at)| left == url && tasks::now() - *at < LEFT_FOR)
        };
        let places = (0..count).map(|step| (self.next + step) % count);
        let mut places = places.filter(|at| !is_left(&self.all[*at]));
        let at = places.next().unwrap_or(self.next % count);
        self.next = at + 1;
        self.all[at].clone()
    }

    /// The one that was asked last.
    fn last(&self) -> &Url {
        let count = self.all.len();
        &self.all[(self.next + count - 1) % count]
    }

    fn is_round(&self, failures: u32) -> bool {
        (failures as usize).is_multiple_of(self.all.len()) || failures == 1 && self.all.len() == 1
    }

    fn leave(&mut self, node: Url) {
        self.left = Some((node, tasks::now()));
    }

    /// Nodes of the cluster, as one of them names them.
    fn learn(&mut self, others: Vec<Url>) {
        let known: BTreeSet<String> = self.all.iter().map(|url| key(url)).collect();
        self.all.extend(others.into_iter().filter(|url| !known.contains(&key(url))));
    }
}

fn key(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}
