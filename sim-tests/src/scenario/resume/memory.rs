//! What a client of `quorate.v1` remembers from socket to socket.

use super::{
    ledger::Answer,
    user::{Shared, USERS, book, name},
    watching::{By, Presence},
};
use crate::{
    scenario::sockets::ledger::{Login, Said},
    world::now_ms,
};
use madsim::rand::{Rng, thread_rng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A session.
pub struct Memory {
    user: usize,
    pub login: Login,
    token: String,
    /// The last delivery that was processed.
    seq: u64,
    said: u32,
    /// What was said and is not answered: to whom.
    open: BTreeMap<u32, usize>,
    /// It has asked who is there, and was not told yet.
    is_asking: bool,
    ledger: Shared,
}

impl Memory {
    /// `registered`: what the gateway has said.
    pub fn new(user: usize, login: Login, registered: &Value, ledger: &Shared) -> Self {
        let text = |name: &str| registered[name].as_str().unwrap_or_default().to_owned();
        book(ledger).registered(login, &text("connection"));
        let (token, open) = (text("token"), BTreeMap::new());
        Self { user, login, token, seq: 0, said: 0, open, is_asking: false, ledger: ledger.clone() }
    }

    pub fn resume(&self) -> Value {
        json!({"type": "resume", "userId": name(self.user), "token": self.token, "seq": self.seq})
    }

    /// The gateway says how far the session was sent.
    pub fn resumed(&self, sent: u64) {
        if sent < self.seq {
            let (login, seq) = (self.login, self.seq);
            book(&self.ledger)
                .breaks(format!("session {login} has the deliveries up to {seq}, of {sent} that were sent"));
        }
    }

    /// What was said and not answered, once more.
    pub fn again(&self) -> Vec<Value> {
        let again = |(nth, to): (&u32, &usize)| {
            book(&self.ledger).says_again(self.named(*nth));
            self.message(*nth, *to)
        };
        let asks = self.is_asking.then(|| self.subscription());
        self.open.iter().map(again).chain(asks).collect()
    }

    /// Asks who of the others is there, and to be told from then on.
    pub fn watches(&mut self) -> Value {
        self.is_asking = true;
        self.subscription()
    }

    fn subscription(&self) -> Value {
        let users: Vec<_> = (0..USERS).filter(|user| *user != self.user).map(name).collect();
        json!({"type": "subscribe", "id": "who", "users": users})
    }

    pub fn says(&mut self, to: usize) -> Value {
        self.said += 1;
        book(&self.ledger).says(self.named(self.said), to);
        self.open.insert(self.said, to);
        self.message(self.said, to)
    }

    /// What is said to what was heard.
    pub fn hears(&mut self, text: &Value) -> Option<Value> {
        match text["type"].as_str().unwrap_or_default() {
            "message" | "joined" | "left" => self.gets(text),
            "presence" => {
                self.is_asking = false;
                self.looks(text);
                None
            }
            "ack" => {
                self.answered(text, Answer::Acked(now_ms()));
                None
            }
            "error" => self.refused(text),
            _ => None,
        }
    }

    fn gets(&mut self, text: &Value) -> Option<Value> {
        let seq = text["seq"].as_u64().unwrap_or_default();
        let mut ledger = book(&self.ledger);
        if seq > self.seq + 1 {
            ledger.gap(self.login, self.seq, seq);
        }
        if seq > self.seq {
            self.seq = seq;
            let said = text["content"].as_str().and_then(Said::parse);
            let (user, index) = (text["user"].as_str(), text["index"].as_u64().unwrap_or_default());
            match (text["type"].as_str().unwrap_or_default(), said, user) {
                ("message", Some(said), _) => ledger.got(self.login, said, seq),
                ("joined", _, Some(user)) => {
                    ledger.sees(self.login, user, (Presence::Online, index, By::Change));
                }
                ("left", _, Some(user)) => {
                    ledger.sees(self.login, user, (Presence::Offline, index, By::Change));
                }
                _ => ledger.breaks(format!("session {} gets {text}", self.login)),
            }
        }
        // What is not acknowledged now is with a later one, or comes again.
        thread_rng().gen_bool(0.8).then(|| self.ack())
    }

    fn looks(&self, text: &Value) {
        let (mut ledger, index) = (book(&self.ledger), text["index"].as_u64().unwrap_or_default());
        for (list, presence) in [("online", Presence::Online), ("offline", Presence::Offline)] {
            for user in text[list].as_array().into_iter().flatten().filter_map(Value::as_str) {
                ledger.sees(self.login, user, (presence, index, By::Answer));
            }
        }
    }

    fn ack(&self) -> Value {
        json!({"type": "ack", "seq": self.seq})
    }

    fn refused(&mut self, text: &Value) -> Option<Value> {
        match text["code"].as_str().unwrap_or_default() {
            "replay_full" => return Some(self.ack()),
            "not_delivered" => drop(self.answered(text, Answer::Refused)),
            "unknown_outcome" => {
                let (nth, to) = self.answered(text, Answer::Unknown)?;
                if thread_rng().gen_bool(0.5) {
                    book(&self.ledger).says_again(self.named(nth));
                    self.open.insert(nth, to);
                    return Some(self.message(nth, to));
                }
            }
            "busy" => drop(self.answered(text, Answer::Unknown)),
            _ => book(&self.ledger).breaks(format!("session {} is told {text}", self.login)),
        }
        None
    }

    fn answered(&mut self, text: &Value, answer: Answer) -> Option<(u32, usize)> {
        let nth = text["id"].as_str()?.parse().ok()?;
        // What was said twice may be answered twice.
        let to = self.open.remove(&nth)?;
        book(&self.ledger).answered(self.named(nth), answer);
        Some((nth, to))
    }

    fn named(&self, nth: u32) -> Said {
        Said { by: self.login, nth }
    }

    fn message(&self, nth: u32, to: usize) -> Value {
        let content = self.named(nth).content();
        json!({"type": "message", "id": nth.to_string(), "to": name(to), "content": content})
    }
}
