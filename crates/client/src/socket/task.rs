//! The task of a connection: one socket after the other, and what goes over them.

use super::{
    Caller, Dialect, Heard, Order,
    dial::{self, Dialler, NotDialled, Socket},
    entrance::{REPLACED, enter, hinted},
    memory::{Meaning, Memory},
    plain,
};
use crate::{Error, Problem, backoff, error::Silence, tasks};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

/// How often a client says that it lives: the contract's.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A gateway that says nothing for so long, though it was asked, is given up.
const SILENT_LIMIT: Duration = Duration::from_secs(45);
/// What is sent is taken by then.
const SENT_WITHIN: Duration = Duration::from_secs(20);
/// However long a gateway asks to wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A goodbye takes no longer.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// A connection.
pub(super) struct Connection {
    caller: Caller,
    dialler: Dialler,
    memory: Memory,
    orders: mpsc::Receiver<Order>,
    tell: mpsc::Sender<Heard>,
    /// The socket, and the gateway that it leads to.
    socket: Socket,
    gateway: String,
    /// Where the next dial begins.
    next: usize,
    /// The moment of the last sign of life.
    heard_at: Duration,
    leaving: Leaving,
}

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Not,
    /// As soon as everything is answered.
    Soon,
    /// The original answers nothing: a ping is, and it comes behind what was said.
    Pinged,
    Now,
}

/// How a socket ended.
enum Ended {
    /// As it was told to.
    Left,
    /// Dial again, not before so long.
    Lost(String, Option<Duration>),
    /// For good.
    Never(Error),
}

impl Connection {
    /// Tries each gateway once.
    pub async fn open(
        caller: Caller,
        orders: mpsc::Receiver<Order>,
        tell: mpsc::Sender<Heard>,
    ) -> Result<Self, Error> {
        let (dialler, mut memory) = (Dialler::new(&caller)?, Memory::new(&caller));
        let (mut silent, mut refused) = (Vec::new(), None);
        for (at, url) in caller.gateways.iter().enumerate() {
            let entered = match dialler.dial(url).await {
                Ok(socket) => enter(socket, &mut memory, &dial::name(url)).await,
                Err(not) => Err(not),
            };
            match entered {
                Ok((socket, heard)) => {
                    let gateway = dial::name(url);
                    let next = at;
                    let (heard_at, leaving) = (tasks::now(), Leaving::Not);
                    let mut connection = Self {
                        caller,
                        dialler,
                        memory,
                        orders,
                        tell,
                        socket,
                        gateway,
                        next,
                        heard_at,
                        leaving,
                    };
                    connection.tell_all(heard).await;
                    return Ok(connection);
                }
                Err(NotDialled::Never(error)) => return Err(error),
                Err(NotDialled::Later(problem, _)) => refused = Some(problem),
                Err(NotDialled::Silent(silence)) => silent.push(silence),
            }
        }
        Err(refused.map_or(Error::Unreachable(silent), Error::Refused))
    }

    /// Until it is told to leave or to give up, or can't come back.
    pub async fn run(&mut self, give_up: &Notify) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = give_up.notified() => {}
            ended = self.go_on() => return ended,
        }
        self.give_up().await;
        Ok(())
    }

    /// Goes as it is, and says what it leaves undone.
    async fn give_up(&mut self) {
        self.orders.close();
        if self.memory.is_in() {
            // A socket that takes nothing keeps nobody here.
            let _ = tasks::within(GOODBYE_WITHIN, self.leave()).await;
        }
        let unknown = self.memory.forget().map(Heard::Unknown).collect();
        self.tell_all(unknown).await;
        while let Some(order) = self.orders.recv().await {
            if let Order::Say(say) = order {
                self.tell_all(vec![Heard::Unsaid(say)]).await;
            }
        }
    }

    async fn go_on(&mut self) -> Result<(), Error> {
        loop {
            let (why, not_before) = match self.talk().await {
                Ended::Left => return Ok(()),
                Ended::Never(error) => return Err(error),
                Ended::Lost(why, not_before) => (why, not_before),
            };
            self.memory.lost();
            self.tell_all(vec![Heard::Lost { why }]).await;
            self.come_back(not_before).await?;
            if self.leaving == Leaving::Pinged {
                // That ping is answered by nobody any more.
                self.leaving = Leaving::Soon;
            }
        }
    }

    async fn tell_all(&mut self, heard: Vec<Heard>) {
        for heard in heard {
            // Nobody may be listening any more.
            let _ = self.tell.send(heard).await;
        }
    }

    /// On one socket.
    async fn talk(&mut self) -> Ended {
        let mut ping_at = tasks::now() + PING_EVERY;
        loop {
            let is_last = self.leaving == Leaving::Soon && self.memory.is_quiet();
            if is_last && let Some(ended) = self.last_words().await {
                return ended;
            }
            let now = tasks::now();
            if now.saturating_sub(self.heard_at) > SILENT_LIMIT {
                return Ended::Lost(format!("{} says nothing", self.gateway), None);
            }
            let step = tokio::select! {
                biased;
                // First: whoever hears much must be heard, too.
                () = tasks::sleep(ping_at.saturating_sub(now)) => Step::Ping,
                frame = self.socket.next() => Step::Frame(frame),
                order = self.orders.recv(), if self.leaving == Leaving::Not => Step::Order(order),
            };
            let done = match step {
                Step::Frame(frame) => self.frame(frame).await,
                Step::Order(order) => self.order(order).await,
                Step::Ping => {
                    ping_at = tasks::now() + PING_EVERY;
                    self.send(PING.into()).await
                }
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    /// Everything is answered. `None`: there is a word to wait for.
    async fn last_words(&mut self) -> Option<Ended> {
        if self.caller.dialect == Dialect::Legacy {
            self.leaving = Leaving::Pinged;
            return self.send(PING.into()).await.err();
        }
        Some(self.leave().await)
    }

    async fn leave(&mut self) -> Ended {
        if self.caller.dialect == Dialect::Quorate {
            // In vain only where the socket breaks now; then the session's window ends it.
            let _ = self.send(r#"{"type":"bye"}"#.into()).await;
        }
        let _ = tasks::within(GOODBYE_WITHIN, async {
            self.socket.close(None).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<_, tungstenite::Error>(())
        })
        .await;
        Ended::Left
    }

    async fn order(&mut self, order: Option<Order>) -> Result<(), Ended> {
        let say = match order {
            Some(Order::Say(say)) => say,
            Some(Order::Leave) | None => {
                self.leaving = Leaving::Soon;
                return Ok(());
            }
        };
        match self.memory.say(say.clone()) {
            Ok(text) => {
                let sent = self.send(text).await;
                if sent.is_err() && self.caller.dialect == Dialect::Legacy {
                    // Nobody remembers it to say it again.
                    self.tell_all(vec![Heard::Unknown(say)]).await;
                }
                sent
            }
            Err(why) => {
                self.tell_all(vec![Heard::Refused { said: Some(say), why }]).await;
                Ok(())
            }
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        let lost = |why: String| Ended::Lost(why, None);
        match tasks::within(SENT_WITHIN, self.socket.send(Message::text(text))).await {
            Some(Ok(())) => Ok(()),
            Some(Err(e)) => Err(lost(format!("{}: {}", self.gateway, plain::broken(&e)))),
            None => Err(lost(format!("{} takes nothing", self.gateway))),
        }
    }

    async fn frame(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Result<(), Ended> {
        self.heard_at = tasks::now();
        match frame {
            Some(Ok(Message::Text(text))) => {
                let meaning = self.memory.hear(&text, &self.gateway);
                self.carry_out(meaning).await
            }
            Some(Ok(Message::Close(close))) => Err(self.closed(close.as_ref())),
            Some(Ok(_)) => Ok(()),
            Some(Err(e)) => Err(Ended::Lost(format!("{}: {}", self.gateway, plain::broken(&e)), None)),
            None => Err(Ended::Lost(format!("{} has closed the connection", self.gateway), None)),
        }
    }

    async fn carry_out(&mut self, meaning: Meaning) -> Result<(), Ended> {
        let Meaning { heard, answers, not_let_in, replaced, pong } = meaning;
        // Whoever listens has it before the gateway may forget it.
        self.tell_all(heard).await;
        for answer in answers {
            self.send(answer).await?;
        }
        if replaced {
            return Err(Ended::Never(self.replaced()));
        }
        if let Some(why) = not_let_in {
            return Err(Ended::Lost(format!("{}: {}", self.gateway, why.detail), None));
        }
        if pong && self.leaving == Leaving::Pinged {
            self.leaving = Leaving::Now;
            return Err(self.leave().await);
        }
        Ok(())
    }

    /// Whoever does not listen just now misses nothing by it: there will be another one.
    fn still_lost(&self, why: String) {
        let _ = self.tell.try_send(Heard::StillLost { why });
    }

    fn closed(&self, close: Option<&CloseFrame>) -> Ended {
        let Some(close) = close else {
            return Ended::Lost(format!("{} has closed the connection", self.gateway), None);
        };
        let code = u16::from(close.code);
        if code == REPLACED {
            return Ended::Never(self.replaced());
        }
        let why = format!("{} has closed the connection: {code} {}", self.gateway, close.reason);
        Ended::Lost(why.trim_end().to_owned(), hinted(&close.reason))
    }

    fn replaced(&self) -> Error {
        let detail = format!("{} has logged in elsewhere", self.caller.user);
        Error::Refused(Problem { status: REPLACED, code: "replaced".into(), detail, errors: Vec::new() })
    }

    /// One gateway after the other, until one lets it in.
    async fn come_back(&mut self, mut not_before: Option<Duration>) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            failures += 1;
            let wait = backoff::delay(failures, tasks::random());
            let wait = wait.max(not_before.take().unwrap_or_default().min(WAIT_MAX));
            if tasks::within(wait, self.tell.closed()).await.is_some() {
                let silence = Silence { node: self.gateway.clone(), why: "the connection is lost".into() };
                return Err(Error::Unreachable(vec![silence]));
            }
            self.next = (self.next + 1) % self.caller.gateways.len();
            let url = &self.caller.gateways[self.next];
            let entered = match self.dialler.dial(url).await {
                Ok(socket) => enter(socket, &mut self.memory, &dial::name(url)).await,
                Err(not) => Err(not),
            };
            match entered {
                Ok((socket, heard)) => {
                    (self.socket, self.gateway) = (socket, dial::name(url));
                    self.heard_at = tasks::now();
                    self.tell_all(heard).await;
                    return Ok(());
                }
                Err(NotDialled::Never(error)) => return Err(error),
                Err(NotDialled::Later(problem, after)) => {
                    not_before = after;
                    self.still_lost(problem.to_string());
                }
                Err(NotDialled::Silent(silence)) => self.still_lost(silence.to_string()),
            }
        }
    }
}

const PING: &str = r#"{"type":"ping"}"#;

enum Step {
    Frame(Option<Result<Message, tungstenite::Error>>),
    Order(Option<Order>),
    Ping,
}
