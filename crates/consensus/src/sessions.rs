//! Users of the WebSocket gateway at this node: their comings and goings on their way into the log.
//!
//! There may be tens of thousands in a second. So what comes while a command is under way gathers, and goes together in
//! the next one: a lone user waits for nobody, and a crowd shares. There is one such command at a time, so what one asks
//! for after the other happens in that order.
//!
//! The log's order is the only one that counts: a gateway's clock says nothing.

use crate::{
    consensus::Consensus,
    forward::Unavailable,
    gateway::OpenTunnelError,
    holdings::{Opened, SessionHold},
    options::{ANSWER_WITHIN, TICK},
};
use quorate_model::{
    Command, ConnectionId, Epoch, PresenceCommand, Refusal, Reply, SecondLogin, SessionChange,
    SessionOutcome, UserId, limit::SESSION_CHANGES_MAX,
};
use quorate_rt::{shutdown::Shutdown, time};
use tokio::sync::{mpsc, oneshot};

/// Comings and goings that wait. More: whoever asks waits for a place.
const QUEUE: usize = 4 * SESSION_CHANGES_MAX;
/// Goodbyes of orphans that go with one command.
const ORPHANS_AT_ONCE: usize = 1_000;
/// A lease that ends while sessions are opened by it is opened anew this often.
const TRIES: usize = 3;

/// Why a session was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenSessionError {
    /// The user is connected already, and was not to be let in a second time.
    #[error("{0} is connected already")]
    Taken(UserId),
    /// There is no room: so many stand, of the user or of all.
    #[error("no room for another session: {stand} stand")]
    Full {
        /// How many.
        stand: u32,
    },
    /// The cluster refuses the node.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster can't be changed now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<OpenTunnelError> for OpenSessionError {
    fn from(error: OpenTunnelError) -> Self {
        match error {
            OpenTunnelError::Refused(refusal) => Self::Refused(refusal),
            OpenTunnelError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

type OpenAnswer = oneshot::Sender<Result<SessionHold, OpenSessionError>>;

struct Open {
    user: UserId,
    connection: ConnectionId,
    second: SecondLogin,
    answer: OpenAnswer,
}

struct Close {
    hold: SessionHold,
    answer: oneshot::Sender<Result<(), Unavailable>>,
}

/// What comes in, one by one.
enum Asked {
    Open(Open),
    Close(Close),
}

/// The way in for comings and goings at this node.
#[derive(Clone)]
pub(crate) struct Turnstile {
    queue: mpsc::Sender<Asked>,
}

/// The other end of it.
pub(crate) struct Turning {
    queue: mpsc::Receiver<Asked>,
}

impl Turnstile {
    pub(crate) fn new() -> (Self, Turning) {
        let (queue, asked) = mpsc::channel(QUEUE);
        (Self { queue }, Turning { queue: asked })
    }

    /// Asks, and waits for the answer; not for ever.
    async fn ask<T>(&self, asked: Asked, answer: oneshot::Receiver<T>) -> Result<T, Unavailable> {
        let asking = async {
            self.queue.send(asked).await.map_err(|_| Unavailable::ShuttingDown)?;
            answer.await.map_err(|_| Unavailable::ShuttingDown)
        };
        // A command may wait for the one before it as long as for its own answer.
        time::timeout(ANSWER_WITHIN * 2, asking).await.unwrap_or(Err(Unavailable::Unknown))
    }
}

impl Consensus {
    /// Registers a user's connection to this node. Answers once that is applied here.
    pub async fn open_session(
        &self,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> Result<SessionHold, OpenSessionError> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::Open(Open { user, connection, second, answer });
        self.shared().turnstile.ask(asked, answered).await?
    }

    /// Says goodbye for a session; answers once that is in the log. Void if it is lost.
    pub async fn close_session(&self, hold: SessionHold) -> Result<(), Unavailable> {
        if hold.is_lost().is_some() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.shared().turnstile.ask(Asked::Close(Close { hold, answer }), answered).await?
    }
}

/// Takes what gathers to the log, until the shutdown.
pub(crate) async fn run(consensus: Consensus, turning: Turning, mut shutdown: Shutdown) {
    tokio::select! {
        biased;
        () = shutdown.wait() => {}
        () = turn(&consensus, turning) => {}
    }
}

async fn turn(consensus: &Consensus, Turning { mut queue }: Turning) {
    let holdings = consensus.holdings().clone();
    let mut asked = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = queue.recv_many(&mut asked, SESSION_CHANGES_MAX - ORPHANS_AT_ONCE) => {
                if count == 0 {
                    return;
                }
            }
            () = holdings.session_orphaned() => {}
        }
        let orphans = holdings.take_session_orphans(ORPHANS_AT_ONCE);
        let left_over = Batch::of(asked.drain(..), orphans).carry(consensus).await;
        if let Some((gateway, orphans)) = left_over {
            // Tried again, and not at once.
            time::sleep(TICK).await;
            holdings.put_back_sessions(gateway, orphans);
        }
    }
}

/// What goes in one command: first those who go, so that whoever comes again finds nobody there.
#[derive(Default)]
struct Batch {
    orphans: Vec<Epoch>,
    closes: Vec<Close>,
    opens: Vec<Open>,
}

impl Batch {
    fn of(asked: impl Iterator<Item = Asked>, orphans: Vec<Epoch>) -> Self {
        let mut batch = Self { orphans, ..Self::default() };
        for asked in asked {
            match asked {
                // Its asker has gone.
                Asked::Open(open) if open.answer.is_closed() => {}
                Asked::Open(open) => batch.opens.push(open),
                Asked::Close(close) => batch.closes.push(close),
            }
        }
        batch
    }

    /// Takes it to the log and brings each its answer. Answers with the orphans that could not be closed, and whose
    /// lease they are by.
    async fn carry(mut self, consensus: &Consensus) -> Option<(Epoch, Vec<Epoch>)> {
        for tried in 1.. {
            let gateway = match self.gateway(consensus).await {
                Ok(gateway) => gateway,
                Err(error) => {
                    self.refuse(&error);
                    consensus.holdings().standing()
                }
            };
            let Some(gateway) = gateway else {
                // Everything went with the lease.
                self.say_goodbye();
                return None;
            };
            self.let_go_of_others(gateway);
            if self.is_empty() {
                return None;
            }
            let asked = self.opens.iter().map(|open| (open.user.clone(), open.connection)).collect();
            let openings = consensus.holdings().begin_sessions(consensus.view(), asked);
            let command = PresenceCommand::Sessions { gateway, changes: self.changes() };
            match consensus.propose(Command::Presence(command)).await.map(|committed| committed.reply) {
                Ok(Reply::Sessions(outcomes)) => {
                    let gone = self.orphans.len() + self.closes.len();
                    let opened = openings.answered(gateway, outcomes.get(gone..).unwrap_or_default());
                    self.say_goodbye();
                    self.answer(opened);
                    return None;
                }
                Ok(Reply::Refused(Refusal::GatewayEnded { epoch })) if tried < TRIES => {
                    consensus.holdings().let_go_of(epoch);
                    self.say_goodbye();
                }
                Ok(Reply::Refused(refusal)) => {
                    self.refuse(&refusal.into());
                    return Some((gateway, self.fail(&Unavailable::Unknown)));
                }
                // No state answers so to sessions: as good as not known.
                Ok(Reply::Done | Reply::Unchanged | Reply::Registered { .. }) => {
                    return Some((gateway, self.fail(&Unavailable::Unknown)));
                }
                Err(error) => return Some((gateway, self.fail(&error))),
            }
        }
        None
    }

    /// The lease that all of it is by; `None`: there is none, and nobody needs one.
    async fn gateway(&self, consensus: &Consensus) -> Result<Option<Epoch>, OpenSessionError> {
        if self.opens.is_empty() {
            return Ok(consensus.holdings().standing());
        }
        Ok(Some(consensus.open_gateway().await?))
    }

    /// What was held by another lease went with that.
    fn let_go_of_others(&mut self, gateway: Epoch) {
        for close in self.closes.extract_if(.., |close| close.hold.gateway() != gateway) {
            // Whoever asked may have gone.
            let _ = close.answer.send(Ok(()));
        }
    }

    fn is_empty(&self) -> bool {
        self.orphans.is_empty() && self.closes.is_empty() && self.opens.is_empty()
    }

    fn changes(&self) -> Vec<SessionChange> {
        let orphans = self.orphans.iter().copied();
        let gone = orphans.chain(self.closes.iter().map(|close| close.hold.epoch()));
        let opens = self.opens.iter().map(|open| SessionChange::Open {
            user: open.user.clone(),
            connection: open.connection,
            second: open.second,
        });
        gone.map(|epoch| SessionChange::Close { epoch }).chain(opens).collect()
    }

    /// All who went are gone.
    fn say_goodbye(&mut self) {
        self.orphans.clear();
        for Close { hold, answer } in self.closes.drain(..) {
            drop(hold);
            let _ = answer.send(Ok(()));
        }
    }

    fn answer(self, opened: Vec<Opened>) {
        for (Open { user, answer, .. }, opened) in self.opens.into_iter().zip(opened) {
            // Dropped with the answer where nobody waits for it: it is closed then.
            let _ = answer.send(opened.map_err(|outcome| match outcome {
                SessionOutcome::Taken => OpenSessionError::Taken(user),
                SessionOutcome::Full { stand } => OpenSessionError::Full { stand },
                // No state answers so to an opening: as good as not known.
                SessionOutcome::Opened { .. } | SessionOutcome::Closed | SessionOutcome::Void => {
                    Unavailable::Unknown.into()
                }
            }));
        }
    }

    fn refuse(&mut self, error: &OpenSessionError) {
        for Open { answer, .. } in self.opens.drain(..) {
            let _ = answer.send(Err(error.clone()));
        }
    }

    /// Nobody knows what came of it, or nothing did. What is to be closed is closed later.
    fn fail(mut self, error: &Unavailable) -> Vec<Epoch> {
        self.refuse(&error.clone().into());
        for Close { hold, answer } in self.closes.drain(..) {
            drop(hold);
            let _ = answer.send(Err(error.clone()));
        }
        self.orphans
    }
}
