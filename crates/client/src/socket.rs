//! A client of the WebSocket gateway that stays connected: through lost sockets, ended nodes and new ones.
//!
//! By default it speaks `quorate.v1`: what it says is acknowledged, what it missed while it had no socket follows when it
//! is back, and nothing comes twice. With [`Dialect::Legacy`] it speaks as clients of the original do, which know
//! neither: what is sent while the socket breaks may be lost.

mod dial;
mod entrance;
mod memory;
mod plain;
mod task;
mod token;

use crate::{Error, Url, tasks};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::{Notify, mpsc};

pub use token::Token;

/// What is said and not taken yet; then [`Talker::say`] waits.
const SAYING_MAX: usize = 64;
/// What was heard and not taken yet; then nothing is read from the socket.
const HEARD_MAX: usize = 256;
/// The code of a problem that passes by itself: the cluster can't decide now who is let in.
pub const UNAVAILABLE: &str = "unavailable";
/// More gateways are refused.
const GATEWAYS_MAX: usize = 64;

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `quorate.v1`.
    #[default]
    Quorate,
    /// As the original's clients.
    Legacy,
}

/// Who connects, and where.
#[derive(Clone)]
pub struct Caller {
    /// Who one says one is.
    pub user: String,
    /// Any gateways, `ws://host:port/ws`; the first that answers is taken.
    pub gateways: Vec<Url>,
    /// Shown to the gateway as bearer token.
    pub token: Option<Token>,
    /// What is spoken.
    pub dialect: Dialect,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// To one user.
    Message {
        /// Whom.
        to: String,
        /// What.
        content: String,
    },
    /// To all.
    Broadcast {
        /// What.
        content: String,
    },
    /// Into a room.
    RoomMessage {
        /// Which.
        room: String,
        /// What.
        content: String,
    },
    /// Let me hear a room.
    Join {
        /// Which.
        room: String,
    },
    /// No more of it.
    Leave {
        /// Which.
        room: String,
    },
    /// Who of these is there, from now on.
    Who {
        /// Whom.
        users: Vec<String>,
    },
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It is connected, as a new session.
    Registered {
        /// To which gateway.
        gateway: String,
    },
    /// It is connected again, and nothing is lost.
    Resumed {
        /// To which gateway.
        gateway: String,
        /// How many deliveries follow that it missed.
        missed: u64,
        /// How many messages the gateway refused to their senders meanwhile, for want of room.
        refused: u64,
    },
    /// It is connected again, as a new session: what came meanwhile is lost.
    NotResumed {
        /// To which gateway.
        gateway: String,
        /// Why, in one word.
        reason: String,
    },
    /// The socket is gone. It dials again by itself.
    Lost {
        /// What happened.
        why: String,
    },
    /// It has dialled once more, and in vain.
    StillLost {
        /// What happened.
        why: String,
    },
    /// From one user to this one.
    Message {
        /// Who.
        from: String,
        /// What.
        content: String,
    },
    /// From one user to all.
    Broadcast {
        /// Who.
        from: String,
        /// What.
        content: String,
    },
    /// From one user to a room.
    RoomMessage {
        /// Which.
        room: String,
        /// Who.
        from: String,
        /// What.
        content: String,
    },
    /// Who of those that were asked for is there.
    Presence {
        /// These are.
        online: Vec<String>,
        /// These are not.
        offline: Vec<String>,
    },
    /// Somebody came.
    Joined {
        /// Who.
        user: String,
    },
    /// Somebody went.
    Left {
        /// Who.
        user: String,
    },
    /// What was said has been done.
    Done(Say),
    /// The gateway refused something.
    Refused {
        /// What was said, where that can be told.
        said: Option<Say>,
        /// Why.
        why: String,
    },
    /// Whether this was done nobody knows: the socket broke, and the session is another one now.
    Unknown(Say),
    /// This was never sent: it was given up before.
    Unsaid(Say),
}

/// Says.
#[derive(Clone, Debug)]
pub struct Talker {
    orders: mpsc::Sender<Order>,
    give_up: Arc<Notify>,
}

/// Hears.
#[derive(Debug)]
pub struct Listener {
    heard: mpsc::Receiver<Heard>,
    ended: Option<tokio::sync::oneshot::Receiver<Result<(), Error>>>,
}

/// What the task is told.
#[derive(Debug)]
enum Order {
    Say(Say),
    /// Wait until everything that was said is answered, and go.
    Leave,
}

/// Parses the addresses of gateways, separated by commas. `http` and `https` are taken as `ws` and `wss`.
pub fn gateways(text: &str) -> Result<Vec<Url>, Error> {
    let gateways: Result<Vec<_>, _> = text.split(',').map(str::trim).map(gateway).collect();
    let gateways = gateways?;
    if gateways.len() > GATEWAYS_MAX {
        return Err(Error::Invalid(format!("{} gateways; allowed: 1 to {GATEWAYS_MAX}", gateways.len())));
    }
    Ok(gateways)
}

fn gateway(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| {
        Error::Invalid(format!("`{text}` {why}; allowed: a ws or wss URL such as ws://127.0.0.1:8082/ws"))
    };
    let http = match text.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("http" | "https", _)) => text.to_owned(),
        Some(_) => return Err(wrong("is neither ws nor wss")),
        None => return Err(wrong("is no URL")),
    };
    let url = Url::parse(&http).map_err(|e| wrong(&format!("is no URL ({e})")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("names a user"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a fragment"));
    }
    Ok(url)
}

/// Without the queries of the gateways: they may be where the token stands.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, gateways, token, dialect } = self;
        let gateways: Vec<_> = gateways.iter().map(dial::name).collect();
        f.debug_struct("Caller")
            .field("user", user)
            .field("gateways", &gateways)
            .field("token", token)
            .field("dialect", dialect)
            .finish()
    }
}

impl Caller {
    /// Connects. An error where no gateway lets one in; once it was in, it comes back by itself.
    pub async fn connect(self) -> Result<(Talker, Listener), Error> {
        let (say, orders) = mpsc::channel(SAYING_MAX);
        let (tell, heard) = mpsc::channel(HEARD_MAX);
        let (end, ended) = tokio::sync::oneshot::channel();
        let mut connection = task::Connection::open(self, orders, tell).await?;
        let give_up = Arc::new(Notify::new());
        let talker = Talker { orders: say, give_up: give_up.clone() };
        tasks::spawn(async move {
            // Nobody may be listening any more.
            let _ = end.send(connection.run(&give_up).await);
        });
        Ok((talker, Listener { heard, ended: Some(ended) }))
    }
}

impl Talker {
    /// Says something. `false`: nobody listens any more. Waits while too much is said already; where it is dropped
    /// before, nothing is said.
    pub async fn say(&self, say: Say) -> bool {
        self.orders.send(Order::Say(say)).await.is_ok()
    }

    /// Goes, once everything that was said is answered.
    pub async fn leave(&self) {
        // One that has ended by itself is gone, too.
        let _ = self.orders.send(Order::Leave).await;
    }

    /// Goes at once. What is left undone by it is still heard: [`Heard::Unknown`] and [`Heard::Unsaid`].
    pub fn give_up(&self) {
        self.give_up.notify_one();
    }
}

impl Listener {
    /// The next thing; `None` once it has ended as it was told to. An error ends it: the user is connected elsewhere, or
    /// is not let in any more. Nothing is lost if it is dropped.
    pub async fn next(&mut self) -> Result<Option<Heard>, Error> {
        if let Some(heard) = self.heard.recv().await {
            return Ok(Some(heard));
        }
        let gone = || Error::Setup("the task of the connection has ended".into());
        match self.ended.take() {
            Some(ended) => ended.await.unwrap_or_else(|_| Err(gone())).map(|()| None),
            None => Ok(None),
        }
    }
}

/// How long a gateway may take to answer a dial.
const DIALLED_WITHIN: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_shown() {
        let caller = Caller {
            user: "alice".into(),
            gateways: gateways("ws://a/ws?token=hunter2").expect("valid"),
            token: Some("hunter2".to_owned().into()),
            dialect: Dialect::Quorate,
        };
        let dialler = dial::Dialler::new(&caller).expect("valid");
        let mut memory = memory::Memory::new(&caller);
        memory.hello();
        let meaning = memory.hear(r#"{"type":"registered","token":"hunter2"}"#, "ws://a/ws");
        assert!(memory.hello().contains("hunter2"), "it has one, and says it to the gateway only");
        let shown = format!("{caller:?} {dialler:?} {memory:?} {meaning:?}");
        assert!(shown.contains("Caller") && shown.contains("Memory"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn gateways_are_ws_urls_separated_by_commas() {
        let urls = gateways("ws://a:8082/ws, wss://b/prefix/ws?x=1").expect("valid");
        let texts: Vec<_> = urls.iter().map(Url::as_str).collect();
        assert_eq!(texts, ["http://a:8082/ws", "https://b/prefix/ws?x=1"]);
        for bad in ["", "a:8082", "ftp://a", "ws://u:p@a/ws", "ws://a/ws#x", "ws://a,"] {
            let error = gateways(bad).expect_err(bad).to_string();
            assert!(error.contains("allowed: a ws or wss URL"), "{error}");
        }
    }
}
