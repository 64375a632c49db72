//! A user with one client, or two for a moment: it loses its socket, comes back to any node, speaks, and sometimes leaves.

use super::{
    ledger::{Ledger, Phase},
    memory::Memory,
};
use crate::{
    scenario::sockets::ledger::Login,
    world::{
        RESUME_WINDOW,
        socket::{Heard, Socket},
    },
};
use madsim::{
    rand::{Rng, thread_rng},
    task::spawn,
};
use quorate_rt::time::{Duration, sleep, timeout};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};

pub const USERS: usize = 6;
/// Users who never leave by themselves, nor come a second time: if they lose a session, it is the cluster's doing.
const FAITHFUL: usize = 3;
pub const NODES: usize = 3;
/// Who hears nothing for so long, though it asks, gives its socket up.
const SILENCE_TURNS: u32 = 12;
/// Between two things that a user does, at most.
const TURN_MS: u64 = 800;
/// The log is asked, and the node that has the session.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// A socket whose session is elsewhere is closed by then.
const CLOSED_WITHIN_TURNS: u32 = 90;

pub type Shared = Arc<Mutex<Ledger>>;

pub fn book(ledger: &Shared) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no panic while held")
}

pub fn name(user: usize) -> String {
    format!("u{user}")
}

/// Until the simulation ends.
pub async fn live(user: usize, ledger: Shared) {
    let mut left = Left::default();
    loop {
        sleep(left.away).await;
        left = match enter(user, left.memory, &ledger).await {
            Entered::In(client) => client.stay().await,
            Entered::Not(memory) => Left::back(memory, 100..1_500),
        };
    }
}

/// Between two sockets.
#[derive(Default)]
struct Left {
    memory: Option<Memory>,
    /// Before the next one.
    away: Duration,
}

impl Left {
    fn back(memory: Option<Memory>, ms: std::ops::Range<u64>) -> Self {
        Self { memory, away: Duration::from_millis(thread_rng().gen_range(ms)) }
    }
}

enum Entered {
    In(Client),
    /// With what it still has.
    Not(Option<Memory>),
}

/// A new session, or the one that it had.
async fn enter(user: usize, had: Option<Memory>, ledger: &Shared) -> Entered {
    let node = thread_rng().gen_range(0..NODES);
    let asked = book(ledger).asks(user);
    let Some(mut socket) = Socket::open_as(node, Some("quorate.v1")).await else {
        book(ledger).not_asked(asked);
        return Entered::Not(had);
    };
    let mut had = had;
    let words = match &had {
        Some(memory) => memory.resume(),
        None => json!({"type": "register", "userId": name(user)}),
    };
    let entering = let_in(&mut socket, words, (user, asked, node), &mut had, ledger);
    if !matches!(timeout(ANSWERED_WITHIN, entering).await, Ok(true)) {
        book(ledger).unanswered(asked);
        return Entered::Not(had);
    }
    match had {
        Some(memory) => {
            let ledger = ledger.clone();
            Entered::In(Client { user, socket, memory, ledger, has_had_last_word: false })
        }
        None => Entered::Not(None),
    }
}

/// False: it is not.
async fn let_in(
    socket: &mut Socket,
    words: Value,
    (user, asked, node): (usize, Login, usize),
    had: &mut Option<Memory>,
    ledger: &Shared,
) -> bool {
    if !socket.send(&words).await {
        return false;
    }
    loop {
        let text = match socket.hear().await {
            Heard::Text(text) => text,
            Heard::Alive => continue,
            Heard::Over(_) => return false,
        };
        match (text["type"].as_str().unwrap_or_default(), &had) {
            ("registered", None) => {
                let mut memory = Memory::new(user, asked, &text, ledger);
                // In vain where the socket is gone already: it is said again on the next one.
                socket.send(&memory.watches()).await;
                *had = Some(memory);
                return true;
            }
            ("resumed", Some(memory)) if text["ok"] == true => {
                book(ledger).resumed(asked, memory.login, node);
                memory.resumed(text["seq"].as_u64().unwrap_or_default());
                for word in memory.again() {
                    if !socket.send(&word).await {
                        break;
                    }
                }
                return true;
            }
            ("resumed", Some(memory)) => {
                book(ledger).over(memory.login, text["reason"].as_str().unwrap_or_default());
                *had = None;
            }
            // It is not let in now.
            ("error", _) => return false,
            _ => book(ledger).breaks(format!("u{user} asks to be let in, and is told {text}")),
        }
    }
}

struct Client {
    user: usize,
    socket: Socket,
    memory: Memory,
    ledger: Shared,
    has_had_last_word: bool,
}

enum Next {
    Stays,
    /// It looks for another socket.
    Breaks,
    /// It has another one before this one is closed.
    Moves,
    /// And never has this session again.
    StaysAway,
    SaysBye,
    /// It comes a second time, as somebody new.
    Doubles,
}

impl Client {
    /// Until it has no socket any more.
    async fn stay(mut self) -> Left {
        let mut silent = 0;
        loop {
            let turn = Duration::from_millis(thread_rng().gen_range(10..TURN_MS));
            match timeout(turn, self.socket.hear()).await {
                Ok(Heard::Over(code)) => return self.closed(code),
                Ok(Heard::Text(text)) => {
                    silent = 0;
                    if !self.hears(&text).await {
                        return Left::back(Some(self.memory), 0..500);
                    }
                }
                Ok(Heard::Alive) => silent = 0,
                Err(_) => {
                    silent += 1;
                    if silent > SILENCE_TURNS || !self.socket.send(&json!({"type": "ping"})).await {
                        return Left::back(Some(self.memory), 0..500);
                    }
                    match self.act().await {
                        Next::Stays => {}
                        next => return self.leave(next).await,
                    }
                }
            }
        }
    }

    async fn hears(&mut self, text: &Value) -> bool {
        match self.memory.hears(text) {
            Some(answer) => self.socket.send(&answer).await,
            None => true,
        }
    }

    fn closed(self, code: Option<u16>) -> Left {
        match code {
            // The user has logged in elsewhere.
            Some(4001) => {
                book(&self.ledger).over(self.memory.login, "replaced");
                Left::back(None, 500..3_000)
            }
            // The node ends, and says when to come again: some moment within 3 s.
            Some(1012) => Left::back(Some(self.memory), 0..3_000),
            _ => Left::back(Some(self.memory), 0..1_000),
        }
    }

    async fn act(&mut self) -> Next {
        let (phase, is_last_word) = {
            let ledger = book(&self.ledger);
            (ledger.phase, ledger.is_last_word)
        };
        if is_last_word && !self.has_had_last_word {
            self.has_had_last_word = true;
            let user = self.user;
            for to in (0..USERS).filter(|to| *to != user) {
                self.says(to).await;
            }
        }
        let is_fickle = self.user >= FAITHFUL && phase == Phase::Storm;
        match thread_rng().gen_range(0..100) {
            0..60 if !is_last_word => {
                let to = thread_rng().gen_range(0..USERS);
                for _ in 0..thread_rng().gen_range(1..5) {
                    self.says(to).await;
                }
                Next::Stays
            }
            60..66 if phase != Phase::Calm => Next::Breaks,
            66..72 if phase != Phase::Calm => Next::Moves,
            79..81 => {
                // How it is may be asked for again at any time.
                let words = self.memory.watches();
                self.socket.send(&words).await;
                Next::Stays
            }
            72..74 if is_fickle => Next::StaysAway,
            74..76 if is_fickle => Next::SaysBye,
            76..79 if is_fickle => Next::Doubles,
            _ => Next::Stays,
        }
    }

    async fn says(&mut self, to: usize) {
        let word = self.memory.says(to);
        // What can't be sent is said again on the next socket.
        self.socket.send(&word).await;
    }

    async fn leave(self, next: Next) -> Left {
        let Self { user, mut socket, memory, ledger, has_had_last_word } = self;
        match next {
            Next::Stays | Next::Breaks => Left::back(Some(memory), 0..2_000),
            Next::Moves => {
                spawn(fade(socket, memory.login, ledger));
                Left::back(Some(memory), 0..20)
            }
            Next::StaysAway => {
                let window_ms = u64::try_from(RESUME_WINDOW.as_millis()).unwrap_or(0);
                Left::back(Some(memory), window_ms - 3_000..window_ms + 5_000)
            }
            Next::SaysBye => {
                socket.send(&json!({"type": "bye"})).await;
                book(&ledger).over(memory.login, "bye");
                spawn(fade(socket, memory.login, ledger));
                Left::back(None, 0..3_000)
            }
            Next::Doubles => {
                let old = Self { user, socket, memory, ledger, has_had_last_word };
                spawn(old.is_replaced());
                Left::default()
            }
        }
    }

    /// It goes on hearing what comes until it is told that another one has its place.
    async fn is_replaced(mut self) {
        let mut silent = 0;
        loop {
            let heard = timeout(Duration::from_millis(TURN_MS), self.socket.hear()).await;
            let is_over = match heard {
                Ok(Heard::Over(_)) => true,
                Ok(Heard::Text(text)) => {
                    silent = 0;
                    !self.hears(&text).await
                }
                Ok(Heard::Alive) => false,
                Err(_) => {
                    silent += 1;
                    silent > SILENCE_TURNS || !self.socket.send(&json!({"type": "ping"})).await
                }
            };
            if is_over {
                return book(&self.ledger).over(self.memory.login, "left for another one");
            }
        }
    }
}

/// An old socket of a session that is elsewhere, or over: nobody listens, and the gateway closes it.
async fn fade(mut socket: Socket, login: Login, ledger: Shared) {
    let (mut silent, mut turns) = (0, 0);
    loop {
        match timeout(Duration::from_secs(1), socket.hear()).await {
            Ok(Heard::Over(_)) => return,
            Ok(Heard::Text(_) | Heard::Alive) => silent = 0,
            Err(_) => {
                (silent, turns) = (silent + 1, turns + 1);
                if silent > SILENCE_TURNS || !socket.send(&json!({"type": "ping"})).await {
                    return;
                }
                if turns > CLOSED_WITHIN_TURNS {
                    return book(&ledger).breaks(format!("an old socket of session {login} is never closed"));
                }
            }
        }
    }
}
