//! The dialect of the original: `register`, `ping`, `message`, and nothing else.
//!
//! Success of a message is silence, so a client can tell it from a failure only by what comes next. Whatever a frame is
//! answered with therefore comes in the order of the frames: a `pong` says that all messages before the `ping` are decided.
//! Messages to different recipients are under way at the same time nevertheless; only their answers wait for each other.

mod answers;
mod standing;
mod words;

use crate::{
    backplane::{Message, Recipient},
    cluster::Lost,
    desk::Desk,
    dialect::Caller,
    hall::Mailbox,
    lanes::{Decided, LaneLimits, Lanes},
    returning::Asked,
    session::Session,
    wire::{End, Heard, Wire},
};
use answers::Answers;
use quorate_model::UserId;
use quorate_rt::time::{self, Duration};
use quorate_telemetry::gateway::MessageOutcome;
use standing::Standing;
use std::sync::Arc;
use words::{Answer, Said};

/// Messages of one client that are under way at once, each to another recipient.
const UNDER_WAY_MAX: usize = 64;
/// Messages that are written before the next frame is looked at.
const BATCH: usize = 64;
/// What was said is brought to its end within this time though its client has left.
const DECIDED_WITHIN: Duration = Duration::from_secs(5);
/// What waits for a client that is sent away in order is sent within this time.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);

/// Speaks with one client until the end.
pub(crate) async fn converse(wire: Wire, desk: Arc<Desk>, caller: Caller) -> End {
    // What waits is bounded by the answers that it waits for.
    let limits = LaneLimits { under_way: UNDER_WAY_MAX, messages: usize::MAX, bytes: usize::MAX };
    let lanes = Lanes::new(desk.courier.clone(), limits);
    let (standing, answers) = (Standing::Nobody, Answers::default());
    let mut talk = Talk { wire, desk, caller, standing, lanes, answers };
    let end = talk.run().await;
    // Apart, as whatever is rare: a connection at rest holds what its task may ever need.
    Box::pin(talk.end(&end)).await;
    end
}

struct Talk {
    wire: Wire,
    desk: Arc<Desk>,
    caller: Caller,
    standing: Standing,
    lanes: Lanes,
    answers: Answers,
}

enum Step {
    Decided(Decided),
    Heard(Heard),
    Deliver(Arc<Message>),
    Lost(Lost),
    Back(Box<Session>, Asked),
}

impl Talk {
    async fn run(&mut self) -> End {
        let turn = self.desk.drain.clone().turn();
        tokio::pin!(turn);
        loop {
            let step = tokio::select! {
                biased;
                () = &mut turn => return End::Draining,
                step = self.next() => step,
            };
            let done = match step {
                Ok(step) => tokio::select! {
                    biased;
                    // A write may stand still for long; its client need not.
                    end = cut(self.standing.mailbox()) => Err(end),
                    done = self.take(step) => done,
                },
                Err(end) => Err(end),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Nothing is lost if nobody waits any more.
    async fn next(&mut self) -> Result<Step, End> {
        let has_room = self.answers.has_room();
        let mailbox = self.standing.mailbox();
        tokio::select! {
            biased;
            end = cut(mailbox.clone()) => Err(end),
            step = self.standing.changes() => Ok(step),
            decided = self.lanes.next() => Ok(Step::Decided(decided)),
            // Before what waits for it: a client that is sent much must not be taken for one that does not ping. It can't
            // be too much, since frames are bounded by time.
            heard = self.wire.hear(), if has_room => heard.map(Step::Heard),
            message = delivery(mailbox) => Ok(Step::Deliver(message)),
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Decided(decided) => self.decide(&decided).await,
            Step::Heard(heard) => self.hear(&heard).await,
            Step::Deliver(first) => self.deliver(first).await,
            Step::Lost(Lost::Replaced) => Err(End::Replaced),
            Step::Lost(Lost::LeaseOver) => {
                self.standing.lapse();
                Ok(())
            }
            Step::Back(session, asked) => self.standing.back(session, asked),
        }
    }

    async fn decide(&mut self, decided: &Decided) -> Result<(), End> {
        self.count(decided);
        self.answers.decide(decided);
        while let Some(answer) = self.answers.next() {
            self.wire.add(answer.text()).await?;
        }
        self.wire.flush().await
    }

    fn count(&self, Decided { outcome, .. }: &Decided) {
        let outcome = if outcome.is_sent() { MessageOutcome::Delivered } else { MessageOutcome::Failed };
        self.desk.counters.count_message(outcome);
    }

    /// As much as is there, and then it is sent on its way at once.
    async fn deliver(&mut self, first: Arc<Message>) -> Result<(), End> {
        let mailbox = self.standing.mailbox();
        let mut next = Some(first);
        let mut left = BATCH;
        while let Some(message) = next {
            self.wire.add(words::message(message.from.as_str(), &message.content)).await?;
            left -= 1;
            next = mailbox.as_ref().filter(|_| left > 0).and_then(|mailbox| mailbox.queue.take());
        }
        self.wire.flush().await
    }

    /// The order of the checks is the contract's.
    async fn hear(&mut self, heard: &Heard) -> Result<(), End> {
        let Ok(said) = Said::parse(heard.bytes()) else { return self.answer(Answer::InvalidFormat).await };
        match said.kind.as_str() {
            "ping" => {
                self.wire.pinged();
                self.answer(Answer::Pong).await
            }
            "register" if said.user_id.is_empty() => self.answer(Answer::UserIdRequired).await,
            "register" => {
                // What was said before is said by whoever it was then.
                while !self.lanes.is_empty() {
                    let decided = self.lanes.next().await;
                    self.decide(&decided).await?;
                }
                let answer = Box::pin(self.register(&said.user_id)).await;
                self.wire.pinged();
                self.wire.say(answer.text()).await
            }
            "message" => self.message(said).await,
            _ => self.answer(Answer::UnknownType).await,
        }
    }

    /// At once, unless frames before it are not answered.
    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        if self.answers.is_empty() {
            return self.wire.say(answer.text()).await;
        }
        self.answers.wait(answer);
        Ok(())
    }

    async fn message(&mut self, said: Said) -> Result<(), End> {
        let outcome = |outcome| self.desk.counters.count_message(outcome);
        let Some(from) = self.standing.user().cloned() else {
            outcome(MessageOutcome::NotRegistered);
            return self.answer(Answer::NotRegistered).await;
        };
        if said.to.is_empty() {
            return self.answer(Answer::RecipientRequired).await;
        }
        // Nobody is called what nobody may be called.
        let to = UserId::parse(&said.to).ok().filter(|_| self.standing.is_registered());
        let Some(to) = to else {
            outcome(MessageOutcome::Failed);
            return self.answer(Answer::FailedToSend).await;
        };
        let to = Recipient::User(to);
        let message = Arc::new(Message { from, to, content: said.content.into(), id: None, nth: 0 });
        self.answers.expect(&message);
        // Has room always, by the limits above.
        drop(self.lanes.push(message));
        Ok(())
    }

    /// A second one on the same socket: of the same user it changes nothing; of another one the socket is that one's from
    /// then on, as in the original, and the former is no longer here, which the original forgets.
    async fn register(&mut self, user_id: &str) -> Answer {
        let Ok(user) = UserId::parse(user_id) else { return Answer::FailedToRegister };
        if self.caller.proved.as_ref().is_some_and(|proved| *proved != user) {
            return Answer::FailedToRegister;
        }
        if self.standing.is_registered() && self.standing.user() == Some(&user) {
            return Answer::Registered;
        }
        self.wire.charge_registration();
        let second = self.desk.settings.second_login;
        match Session::open(&self.desk, user, self.caller.connection, second).await {
            Ok(session) => {
                if let Some(mut former) = self.standing.registered(session) {
                    former.end().await;
                }
                Answer::Registered
            }
            Err(error) => {
                tracing::debug!(connection = %self.caller.connection, %error, "not registered");
                Answer::FailedToRegister
            }
        }
    }

    /// The log is told, what was said is decided, what waits is sent where there is somebody to take it, and the socket is
    /// closed.
    async fn end(self, end: &End) {
        let is_orderly = matches!(end, End::Draining | End::Replaced);
        let Self { mut wire, mut standing, mut lanes, mut answers, .. } = self;
        let decided = time::timeout(DECIDED_WITHIN, async {
            while !lanes.is_empty() {
                answers.decide(&lanes.next().await);
            }
        });
        if !is_orderly {
            // Nobody is there to be told.
            let _ = tokio::join!(standing.end(), decided, wire.finish(end));
            return;
        }
        let _ = tokio::join!(standing.end(), decided);
        let mailbox = standing.mailbox();
        let flushed = async {
            while let Some(answer) = answers.next() {
                wire.add(answer.text()).await?;
            }
            while let Some(message) = mailbox.as_ref().and_then(|mailbox| mailbox.queue.take()) {
                wire.add(words::message(message.from.as_str(), &message.content)).await?;
            }
            wire.flush().await
        };
        let _ = time::timeout(FLUSHED_WITHIN, flushed).await;
        wire.finish(end).await;
    }
}

/// Resolves once there was no room for a message, where such a client is sent away.
async fn cut(mailbox: Option<Arc<Mailbox>>) -> End {
    match mailbox {
        Some(mailbox) => mailbox.overflowed.notified().await,
        None => std::future::pending().await,
    }
    End::Slow
}

async fn delivery(mailbox: Option<Arc<Mailbox>>) -> Arc<Message> {
    match mailbox {
        Some(mailbox) => mailbox.queue.next().await,
        None => std::future::pending().await,
    }
}
