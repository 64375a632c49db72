//! A user with one client, or two for a moment: it connects anywhere, speaks to the others, moves, leaves and comes back.

use super::ledger::{Ledger, Login, Said};
use crate::world::socket::{Heard, Socket};
use madsim::{
    rand::{Rng, thread_rng},
    task::spawn,
};
use quorate_rt::time::{Duration, sleep, timeout};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};

pub const USERS: usize = 6;
const NODES: usize = 3;
/// Who hears nothing for so long, though it asks, gives its connection up.
const SILENCE_TURNS: u32 = 12;
/// Between two things that a user does, at most.
const TURN_MS: u64 = 1_000;
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);

pub type Shared = Arc<Mutex<Ledger>>;

pub fn book(ledger: &Shared) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no panic while held")
}

pub fn name(user: usize) -> String {
    format!("u{user}")
}

/// Until the simulation ends.
pub async fn live(user: usize, ledger: Shared) {
    let mut next = None;
    loop {
        let client = match next.take() {
            Some(client) => Some(client),
            None => Client::login(user, &ledger).await,
        };
        match client {
            Some(client) => next = client.stay().await,
            None => sleep(Duration::from_millis(thread_rng().gen_range(100..1_500))).await,
        }
    }
}

struct Client {
    user: usize,
    login: Login,
    socket: Socket,
    ledger: Shared,
    said: u32,
    has_had_last_word: bool,
}

impl Client {
    async fn login(user: usize, ledger: &Shared) -> Option<Self> {
        let mut socket = Socket::open(thread_rng().gen_range(0..NODES)).await?;
        socket.send(&json!({"type": "register", "userId": name(user)})).await.then_some(())?;
        let answer = async {
            loop {
                match socket.hear().await {
                    Heard::Text(text) => return Some(text),
                    Heard::Alive => {}
                    Heard::Over(_) => return None,
                }
            }
        };
        let answer = timeout(ANSWERED_WITHIN, answer).await.ok()??;
        (answer["type"] == "registered").then_some(())?;
        let login = book(ledger).registered(user, &socket.connection);
        Some(Self { user, login, socket, ledger: ledger.clone(), said: 0, has_had_last_word: false })
    }

    /// Stays until it leaves, is cut off, or moves: then with the next one.
    async fn stay(mut self) -> Option<Self> {
        let mut silent = 0;
        loop {
            let turn = Duration::from_millis(thread_rng().gen_range(10..TURN_MS));
            match timeout(turn, self.socket.hear()).await {
                Ok(Heard::Over(code)) => return self.over(code),
                Ok(Heard::Text(text)) => {
                    silent = 0;
                    self.hears(&text);
                }
                Ok(Heard::Alive) => silent = 0,
                Err(_) => {
                    silent += 1;
                    if silent > SILENCE_TURNS {
                        return self.over(None);
                    }
                    if !self.socket.send(&json!({"type": "ping"})).await {
                        return self.over(None);
                    }
                    match self.act().await {
                        Next::Stays(client) => self = client,
                        Next::Left(next) => return next,
                    }
                }
            }
        }
    }

    async fn act(mut self) -> Next {
        let (is_quiet, is_last_word) = {
            let ledger = book(&self.ledger);
            (ledger.is_quiet, ledger.is_last_word)
        };
        if is_last_word && !self.has_had_last_word {
            self.has_had_last_word = true;
            let user = self.user;
            for to in (0..USERS).filter(|to| *to != user) {
                let said = self.says(to).await;
                book(&self.ledger).awaits(to, said);
            }
        }
        match thread_rng().gen_range(0..100) {
            0..70 => {
                let to = thread_rng().gen_range(0..USERS);
                for _ in 0..thread_rng().gen_range(1..4) {
                    self.says(to).await;
                }
                Next::Stays(self)
            }
            70..75 if !is_quiet => {
                let Self { socket, ledger, login, .. } = self;
                // From here on it counts on nothing, also while the gateway still speaks to it.
                book(&ledger).over(login, None);
                socket.close().await;
                Next::Left(None)
            }
            // Without a word.
            75..78 if !is_quiet => Next::Left(self.over(None)),
            78..84 if !is_quiet => {
                let next = Self::login(self.user, &self.ledger).await;
                if next.is_none() {
                    return Next::Stays(self);
                }
                // The old one stays until it is closed.
                spawn(self.fade());
                Next::Left(next)
            }
            _ => Next::Stays(self),
        }
    }

    /// An old connection of a user that is elsewhere: it has to be closed by the gateway.
    async fn fade(mut self) {
        let mut silent = 0;
        loop {
            match timeout(Duration::from_millis(TURN_MS), self.socket.hear()).await {
                Ok(Heard::Over(code)) => break drop(self.over(code)),
                Ok(Heard::Text(text)) => {
                    silent = 0;
                    self.hears(&text);
                }
                Ok(Heard::Alive) => silent = 0,
                Err(_) => {
                    silent += 1;
                    if silent > SILENCE_TURNS || !self.socket.send(&json!({"type": "ping"})).await {
                        break drop(self.over(None));
                    }
                }
            }
        }
    }

    async fn says(&mut self, to: usize) -> Said {
        self.said += 1;
        let said = Said { by: self.login, nth: self.said };
        // What can't be sent is noticed when nothing comes.
        self.socket.send(&json!({"type": "message", "to": name(to), "content": said.content()})).await;
        said
    }

    fn hears(&self, text: &Value) {
        if text["type"] == "message"
            && let Some(said) = text["content"].as_str().and_then(Said::parse)
        {
            book(&self.ledger).got(self.login, said);
        }
    }

    fn over(self, code: Option<u16>) -> Option<Self> {
        book(&self.ledger).over(self.login, code);
        None
    }
}

enum Next {
    Stays(Client),
    Left(Option<Client>),
}
