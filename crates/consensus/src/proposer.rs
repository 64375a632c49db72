//! Group commit: the commands of a moment become one proposal message, one log entry, one fsync.
//!
//! A batch is what has gathered while the batches before it are under way, so a lone command waits for nobody and
//! a crowd shares. Each command keeps an origin of its own, so that a batch may be sent again through a leader
//! change without applying anything twice.

use crate::{
    forward::{Forwarder, Tried, Unavailable},
    observer::Applied,
    options::{ANSWER_WITHIN, BATCHES_MAX, ENTRY_BYTES_MAX, QUEUE_MAX, TRY_WITHIN},
    peer::{path, wire},
    room::Gauge,
    types::Raft,
};
use openraft::{
    ServerState,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, RaftError},
};
use quorate_codec::proposal::encoded_len;
use quorate_model::{
    BootId, Command, Entry, LogIndex, LogTime, Origin, Proposal, Reply, limit::PROPOSALS_PER_ENTRY_MAX,
};
use quorate_rt::time;
use quorate_storage::LogEntry;
use quorate_telemetry::{Control, label::CommandStage};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// A command that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where.
    pub index: LogIndex,
    /// With what result.
    pub reply: Reply,
}

struct Waiting {
    proposal: Proposal,
    deadline: time::Instant,
    answer: oneshot::Sender<Result<Committed, Unavailable>>,
}

/// The way in for commands of this node.
#[derive(Clone)]
pub struct Proposer {
    queue: mpsc::Sender<Waiting>,
    raft: Raft,
    boot: BootId,
    sequence: Arc<AtomicU64>,
    control: Arc<Control>,
    room: Gauge,
}

/// What a batch needs on its way.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) forwarder: Forwarder,
    pub(crate) applied: Arc<Applied>,
}

impl Proposer {
    /// Starts the batching task.
    pub(crate) fn start(boot: BootId, route: Route) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX - BATCHES_MAX);
        let (raft, control) = (route.forwarder.raft.clone(), route.applied.control().clone());
        let room = route.forwarder.room.clone();
        quorate_rt::spawn(gather(waiting, route));
        Self { queue, raft, boot, sequence: Arc::new(AtomicU64::new(0)), control, room }
    }

    /// Each command gets an origin of its own, by which a repeat is recognised.
    fn with_origin(&self, command: Command) -> Proposal {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Proposal { origin: Origin { boot: self.boot, sequence }, command }
    }

    /// Proposes a command; answers after it is applied on this node.
    pub async fn propose(&self, command: Command) -> Result<Committed, Unavailable> {
        let proposal = self.with_origin(command);
        require_room(&proposal)?;
        let (answer, answered) = oneshot::channel();
        let deadline = time::Instant::now() + ANSWER_WITHIN;
        self.queue.try_send(Waiting { proposal, deadline, answer }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => {
                self.control.count_commands(CommandStage::TurnedAway, 1);
                Unavailable::Busy // clients see 503 with Retry-After
            }
            mpsc::error::TrySendError::Closed(_) => Unavailable::ShuttingDown,
        })?;
        self.control.count_commands(CommandStage::Proposed, 1);
        match time::timeout(ANSWER_WITHIN, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Unavailable::ShuttingDown)),
            // Its batch may still be under way.
            Err(_) => Err(Unavailable::Unknown),
        }
    }
}

impl Proposer {
    /// Proposes a command that only makes sense while this node leads: it is never forwarded, and not tried twice.
    pub(crate) async fn propose_here(&self, command: Command) -> Result<(), Unavailable> {
        let proposal = self.with_origin(command);
        self.control.count_commands(CommandStage::Proposed, 1);
        match write((&self.raft, &self.room), &[proposal], TRY_WITHIN).await {
            Tried::Done((_, replies)) => {
                count_replies(&self.control, &replies);
                Ok(())
            }
            Tried::NotLeader => Err(Unavailable::NoLeader),
            Tried::Busy => Err(Unavailable::Busy),
            Tried::Unsure => Err(Unavailable::Unknown),
            Tried::DiskFull => Err(Unavailable::DiskFull),
        }
    }
}

/// Whether it fits a log entry. Each other command is far below by the bounds of its parts.
fn require_room(proposal: &Proposal) -> Result<(), Unavailable> {
    const MAX: usize = quorate_codec::proposal::ENTRY_BYTES_MAX;
    if !matches!(proposal.command, Command::Configure { .. } | Command::PutSandbox { .. }) {
        return Ok(());
    }
    let bytes = encoded_len(proposal);
    if bytes > MAX { Err(Unavailable::TooLarge { bytes, max: MAX }) } else { Ok(()) }
}

async fn gather(mut waiting: mpsc::Receiver<Waiting>, route: Route) {
    let places = Arc::new(Semaphore::new(BATCHES_MAX));
    let mut held = VecDeque::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        if held.is_empty() {
            let mut arrived = Vec::new();
            if waiting.recv_many(&mut arrived, PROPOSALS_PER_ENTRY_MAX).await == 0 {
                return;
            }
            held.extend(arrived);
        }
        let batch = next_batch(&mut held);
        let route = route.clone();
        quorate_rt::spawn(async move {
            carry(batch, route).await;
            drop(place);
        });
    }
}

/// As many as fit one entry, but never two about one record: they would change it at one log index, and
/// `If-Match` could not tell them apart. A document may be about any record, so it goes alone.
fn next_batch(held: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let (mut batch, mut bytes, mut subjects) = (Vec::new(), 0, BTreeSet::new());
    while let Some(next) = held.front() {
        let is_document = matches!(next.proposal.command, Command::Configure { .. });
        if is_document {
            if batch.is_empty() {
                batch.extend(held.pop_front());
            }
            break;
        }
        bytes += encoded_len(&next.proposal);
        let about_the_same =
            next.proposal.command.subject().is_some_and(|s| !subjects.insert(format!("{s:?}")));
        if about_the_same || (bytes > ENTRY_BYTES_MAX && !batch.is_empty()) {
            break;
        }
        batch.extend(held.pop_front());
    }
    batch
}

/// Takes one batch to the leader and brings each command its answer.
async fn carry(batch: Vec<Waiting>, route: Route) {
    let now = time::Instant::now();
    let (late, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|w| w.deadline <= now);
    for waiting in late {
        // Stood behind a batch that found no leader: nothing of it was sent.
        let _ = waiting.answer.send(Err(Unavailable::NoLeader));
    }
    // Of the youngest, so that an old command does not take a fresh one with it; each gives up at its own.
    let Some(deadline) = batch.iter().map(|w| w.deadline).max() else { return };
    let (proposals, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.proposal, w.answer)).unzip();
    match submit(&proposals, deadline, &route).await {
        Ok((index, replies)) => {
            count_replies(route.applied.control(), &replies);
            let view = route.applied.view().get();
            for ((answer, proposal), reply) in answers.into_iter().zip(&proposals).zip(replies) {
                // A repeat is answered by a later entry than the one that carried it out.
                let index = view.carried_out_at(proposal.origin).unwrap_or(index);
                // The client may be gone; its command stands all the same.
                let _ = answer.send(Ok(Committed { index, reply }));
            }
        }
        Err(e) => {
            for answer in answers {
                let _ = answer.send(Err(e.clone()));
            }
        }
    }
}

/// Counted here and not where a client waits: it may have gone.
fn count_replies(control: &Control, replies: &[Reply]) {
    let refused = replies.iter().filter(|reply| matches!(reply, Reply::Refused(_))).count();
    control.count_commands(CommandStage::Refused, refused as u64);
    control.count_commands(CommandStage::Applied, (replies.len() - refused) as u64);
}

async fn submit(
    proposals: &[Proposal],
    deadline: time::Instant,
    route: &Route,
) -> Result<(LogIndex, Vec<Reply>), Unavailable> {
    let message = wire::encode_proposals(proposals);
    let Forwarder { raft, room, .. } = &route.forwarder;
    let here = |left| write((raft, room), proposals, left);
    let (index, replies) =
        route.forwarder.at_leader(deadline, here, (path::PROPOSE, &message), wire::decode_proposed).await?;
    let left = deadline.saturating_duration_since(time::Instant::now());
    // Whoever got an answer must find it on the node that gave it.
    if route.applied.wait_for(index, left).await { Ok((index, replies)) } else { Err(Unavailable::Unknown) }
}

/// Writes one entry, if this node leads and has room for it.
pub(crate) async fn write(
    (raft, room): (&Raft, &Gauge),
    proposals: &[Proposal],
    limit: Duration,
) -> Tried<(LogIndex, Vec<Reply>)> {
    if !room.may_lead() {
        // It hands leadership over if somebody else has room: a later try finds that one.
        return Tried::DiskFull;
    }
    let entry = Entry { at: LogTime(time::wall_ms()), proposals: proposals.to_vec() };
    match time::timeout(limit, raft.client_write(LogEntry(entry))).await {
        Ok(Ok(written)) => Tried::Done((LogIndex(written.log_id.index), written.data.replies)),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
            // Also what a leader says that lost its place while the entry was under way.
            Tried::Unsure
        }
        Ok(Err(_)) | Err(_) => Tried::Unsure,
    }
}

/// Whether this node leads, as far as it knows.
pub(crate) fn leads(raft: &Raft) -> bool {
    raft.metrics().borrow_watched().state == ServerState::Leader
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{
        Config, ConfigMode, RouteName, RouteParts, limit,
        route::{Action, PathMatch, Redirect, RouteMatch},
    };

    fn waiting(command: Command) -> Waiting {
        let proposal = Proposal { origin: Origin { boot: BootId(1), sequence: 1 }, command };
        Waiting { proposal, deadline: time::Instant::now(), answer: oneshot::channel().0 }
    }

    fn delete(route: &str) -> Command {
        Command::DeleteRoute { name: RouteName::parse(route).expect("valid"), if_index: None }
    }

    fn configure() -> Command {
        Command::Configure { config: Box::new(Config::default()), mode: ConfigMode::Merge, if_index: None }
    }

    /// As many objects as a document may name, each with as long a path as there is.
    #[test]
    fn a_document_beyond_what_an_entry_may_have_is_refused() {
        let redirect = Redirect { status: 302, scheme: None, host: Some("h".into()), port: None, path: None };
        let route = |nth: usize| {
            let name = RouteName::parse(&format!("r{nth}")).expect("valid");
            let path = format!("/{}", "x".repeat(limit::PATH_BYTES_MAX - 1));
            let matches =
                RouteMatch { path: PathMatch::exact(&path).expect("valid"), ..RouteMatch::default() };
            let action = Action::Redirect(redirect.clone());
            let parts = RouteParts { matches, action, priority: 0 };
            (name.clone(), Some(parts.validate(name).expect("valid")))
        };
        let document = |count| {
            let config = Config { routes: (0..count).map(&route).collect(), ..Config::default() };
            let command =
                Command::Configure { config: Box::new(config), mode: ConfigMode::Merge, if_index: None };
            waiting(command).proposal
        };
        assert_eq!(require_room(&document(1_000)), Ok(()));
        let dense = document(limit::CONFIG_OBJECTS_MAX);
        let (bytes, max) = (encoded_len(&dense), quorate_codec::proposal::ENTRY_BYTES_MAX);
        assert_eq!(require_room(&dense), Err(Unavailable::TooLarge { bytes, max }));
        assert!(bytes > max);
    }

    /// How many commands each entry has.
    fn batches(commands: Vec<Command>) -> Vec<usize> {
        let mut held: VecDeque<_> = commands.into_iter().map(waiting).collect();
        std::iter::from_fn(|| Some(next_batch(&mut held).len()).filter(|count| *count > 0)).collect()
    }

    /// Two changes of a record at one log index: `If-Match` with that index would let the second writer overwrite
    /// what it has never seen.
    #[test]
    fn no_two_commands_of_an_entry_are_about_one_record() {
        assert_eq!(batches(vec![delete("a"), delete("b"), delete("a"), delete("c")]), [2, 2]);
        assert_eq!(batches(vec![delete("a"), configure(), delete("b"), delete("c")]), [1, 1, 2]);
        assert_eq!(batches(vec![configure(), configure()]), [1, 1]);
    }
}
