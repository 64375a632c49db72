//! What users of the WebSocket gateway did and saw, and what must never be among it.

use crate::trace;
use std::collections::{BTreeMap, BTreeSet};

/// A user's connection that was registered, in the order in which clients heard so.
pub type Login = u32;

/// A message, as its content names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    pub by: Login,
    pub nth: u32,
}

impl Said {
    pub fn content(self) -> String {
        format!("{}.{}", self.by, self.nth)
    }

    pub fn parse(content: &str) -> Option<Self> {
        let (by, nth) = content.split_once('.')?;
        Some(Self { by: by.parse().ok()?, nth: nth.parse().ok()? })
    }
}

/// A login, as its client sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub user: usize,
    pub connection: String,
    pub is_open: bool,
    /// By each login, the last message that came.
    last: BTreeMap<Login, u32>,
}

/// All that clients saw.
#[derive(Debug, Default)]
pub struct Ledger {
    logins: Vec<Seen>,
    /// Who has got which message.
    got: BTreeMap<(usize, Said), Login>,
    /// Said once there was peace: to whom, and that it has not come yet.
    awaited: BTreeSet<(usize, Said)>,
    /// The first promise that was broken.
    broken: Option<String>,
    /// Nobody moves or leaves any more.
    pub is_quiet: bool,
    /// Everybody speaks to everybody once.
    pub is_last_word: bool,
}

impl Ledger {
    pub fn registered(&mut self, user: usize, connection: &str) -> Login {
        let login = Login::try_from(self.logins.len()).unwrap_or(Login::MAX);
        trace::event(|| format!("u{user} is registered as {login} by {connection}"));
        let connection = connection.to_owned();
        self.logins.push(Seen { user, connection, is_open: true, last: BTreeMap::new() });
        login
    }

    pub fn over(&mut self, login: Login, code: Option<u16>) {
        let Some(seen) = self.logins.get_mut(login as usize) else { return };
        trace::event(|| format!("u{}: login {login} is over: {code:?}", seen.user));
        seen.is_open = false;
    }

    /// Order holds for each sender and recipient, and nothing comes twice.
    pub fn got(&mut self, login: Login, said: Said) {
        let Some(seen) = self.logins.get_mut(login as usize) else { return };
        let user = seen.user;
        trace::event(|| format!("u{user} gets {} by login {login}", said.content()));
        let last = seen.last.insert(said.by, said.nth);
        if let Some(last) = last.filter(|last| *last >= said.nth) {
            self.breaks(format!("login {login} gets {} after {last}", said.content()));
        }
        if let Some(other) = self.got.insert((user, said), login) {
            self.breaks(format!("u{user} gets {} by login {other} and by {login}", said.content()));
        }
        self.awaited.remove(&(user, said));
    }

    pub fn awaits(&mut self, user: usize, said: Said) {
        self.awaited.insert((user, said));
    }

    /// What was said in peace and has not come.
    pub fn awaited(&self) -> &BTreeSet<(usize, Said)> {
        &self.awaited
    }

    /// Of each user the connections that its clients take for registered.
    pub fn open(&self) -> BTreeMap<usize, BTreeSet<String>> {
        let mut open: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for seen in self.logins.iter().filter(|seen| seen.is_open) {
            open.entry(seen.user).or_default().insert(seen.connection.clone());
        }
        open
    }

    pub fn count(&self) -> (usize, usize) {
        (self.logins.len(), self.got.len())
    }

    pub fn check(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }
}
