//! What users of `quorate.v1` did and were told, and what must never be among it.

use super::{
    user::USERS,
    watching::{By, Presence, Watching},
};
use crate::{
    scenario::sockets::ledger::{Login, Said},
    trace,
    world::{RESUME_WINDOW, now_ms},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A session that its client takes for lost may still be there, and take messages, for this long: its window, or what a
/// node does not know that is cut off or stands still.
const LINGERS: Duration = Duration::from_secs(RESUME_WINDOW.as_secs() + 50);

/// A session, as its client sees it.
#[derive(Clone, Debug)]
struct Session {
    user: usize,
    connection: String,
    /// When it was asked for.
    from_ms: u128,
    fate: Fate,
    /// By each session that speaks to it, the latest that came.
    latest: BTreeMap<Login, u32>,
    watching: Watching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its client waits for an answer.
    Asked,
    /// The node was not reached, or gave the client the session that it had.
    Never,
    Open,
    /// Its client was told that it is lost, or has left it. Or it was never answered, and is perhaps nobody's.
    Over(u128),
}

/// A message, as its sender sees it.
#[derive(Clone, Debug)]
struct Word {
    to: usize,
    said_ms: u128,
    /// Among all that was ever said: when it was said first, and last.
    first: u64,
    last: u64,
    answer: Option<Answer>,
    /// The sessions in which it came.
    got: BTreeSet<Login>,
}

/// How a gateway answers for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The recipient has it, at this time at the latest.
    Acked(u128),
    /// The recipient does not have it.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What users may do to themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Anything.
    #[default]
    Storm,
    /// Nothing.
    Calm,
    /// Their sockets break and they move, and no session may be lost.
    Moves,
}

/// All that clients saw.
#[derive(Debug, Default)]
pub struct Ledger {
    sessions: Vec<Session>,
    words: BTreeMap<Said, Word>,
    said: u64,
    resumed: usize,
    /// Said once there was peace, and not come yet.
    awaited: BTreeSet<Said>,
    /// The first promise that was broken.
    broken: Option<String>,
    pub phase: Phase,
    /// No node is ill, and none was of late.
    pub is_peace: bool,
    /// Everybody speaks to everybody once.
    pub is_last_word: bool,
}

impl Ledger {
    /// A client asks for a session, or for the one that it had.
    pub fn asks(&mut self, user: usize) -> Login {
        let login = Login::try_from(self.sessions.len()).unwrap_or(Login::MAX);
        let (connection, latest, watching) = (String::new(), BTreeMap::new(), Watching::default());
        let (from_ms, fate) = (now_ms(), Fate::Asked);
        self.sessions.push(Session { user, connection, from_ms, fate, latest, watching });
        login
    }

    /// It has one.
    pub fn registered(&mut self, login: Login, connection: &str) {
        let session = self.session(login);
        (session.fate, session.connection) = (Fate::Open, connection.to_owned());
        let user = session.user;
        trace::event(|| format!("u{user} has session {login} by {connection}"));
    }

    /// It has the one that it had.
    pub fn resumed(&mut self, asked: Login, login: Login, node: usize) {
        self.resumed += 1;
        self.session(asked).fate = Fate::Never;
        let user = self.session(login).user;
        trace::event(|| format!("u{user} has session {login} again at n{}", node + 1));
    }

    /// The node was not even reached.
    pub fn not_asked(&mut self, login: Login) {
        self.session(login).fate = Fate::Never;
    }

    /// There was no answer: perhaps it has one.
    pub fn unanswered(&mut self, login: Login) {
        self.session(login).fate = Fate::Over(now_ms());
    }

    /// The session is lost, or left. `told`: by whom or what.
    pub fn over(&mut self, login: Login, told: &str) {
        let session = self.session(login);
        session.fate = Fate::Over(now_ms());
        let user = session.user;
        trace::event(|| format!("u{user}: session {login} is over: {told}"));
        if self.is_peace {
            self.breaks(format!("u{user} loses session {login} in peace: {told}"));
        }
    }

    pub fn says(&mut self, said: Said, to: usize) {
        self.said += 1;
        let (first, last) = (self.said, self.said);
        let word = Word { to, said_ms: now_ms(), first, last, answer: None, got: BTreeSet::new() };
        self.words.insert(said, word);
        if self.is_last_word {
            self.awaited.insert(said);
        }
    }

    /// The same under the same id.
    pub fn says_again(&mut self, said: Said) {
        self.said += 1;
        let last = self.said;
        self.word(said).last = last;
    }

    /// What its sender is told of a message.
    pub fn answered(&mut self, said: Said, answer: Answer) {
        let word = self.word(said);
        if word.answer == Some(Answer::Refused) {
            self.breaks(format!("{} is refused, and answered with {answer:?}", said.content()));
        } else if word.answer.is_none_or(|answer| answer == Answer::Unknown) {
            word.answer = Some(answer);
        }
        trace::event(|| format!("{}: {answer:?}", said.content()));
        self.check_refused(said);
    }

    /// Nothing comes twice to a session, and what one session says to another comes in order. What is said again may come
    /// behind what was said meanwhile.
    pub fn got(&mut self, login: Login, said: Said, seq: u64) {
        let user = self.session(login).user;
        trace::event(|| format!("u{user} gets {} as {seq} of session {login}", said.content()));
        let Some(word) = self.words.get_mut(&said) else {
            return self.breaks(format!("session {login} gets {}, which nobody said", said.content()));
        };
        let (to, last, is_new) = (word.to, word.last, word.got.insert(login));
        if to != user {
            self.breaks(format!("u{user} gets {}, which was said to u{to}", said.content()));
        }
        if !is_new {
            self.breaks(format!("session {login} gets {} twice", said.content()));
        }
        let latest = self.session(login).latest.entry(said.by).or_insert(said.nth);
        let before = Said { by: said.by, nth: *latest };
        *latest = said.nth.max(*latest);
        if before.nth > said.nth && self.words.get(&before).is_some_and(|before| before.first > last) {
            self.breaks(format!("session {login} gets {} after {}", said.content(), before.content()));
        }
        self.check_refused(said);
        self.awaited.remove(&said);
    }

    /// "It does not have the message", by none of its tries.
    fn check_refused(&mut self, said: Said) {
        let word = self.word(said);
        if word.answer == Some(Answer::Refused) && !word.got.is_empty() {
            self.breaks(format!("{} was refused, and came", said.content()));
        }
    }

    /// A client is told whether somebody is there.
    pub fn sees(&mut self, login: Login, user: &str, (presence, index, by): (Presence, u64, By)) {
        let told = self.session(login).watching.told(user, presence, index, by);
        trace::event(|| format!("session {login} is told: {user} {presence:?} as of {index}"));
        if let Err(why) = told {
            self.breaks(format!("session {login}: {why}"));
        }
    }

    /// Whom somebody still takes for offline, or does not know of, though everybody is there.
    fn missed(&self) -> Vec<String> {
        let open = self.sessions.iter().filter(|session| session.fate == Fate::Open);
        let missed = open.filter_map(|session| {
            let (offline, known) = (session.watching.offline(), session.watching.len());
            let is_wrong = !offline.is_empty() || known < USERS - 1;
            is_wrong.then(|| format!("u{} knows of {known}, and takes {offline:?} for offline", session.user))
        });
        missed.collect()
    }

    /// Deliveries have no gap.
    pub fn gap(&mut self, login: Login, has: u64, seq: u64) {
        self.breaks(format!("session {login} has the deliveries up to {has}, and gets {seq}"));
    }

    /// Some other promise.
    pub fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    pub fn check(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// What was acknowledged to its sender has come, if no session of its recipient was lost that may have had it. Once
    /// everybody has had time to hear what is there for them.
    pub fn acked_has_come(&self) -> Result<(), String> {
        for (said, word) in self.words.iter().filter(|(_, word)| word.got.is_empty()) {
            let Some(Answer::Acked(acked_ms)) = word.answer else { continue };
            let those =
                |session: &&Session| session.user == word.to && session.may_take(word.said_ms, acked_ms);
            let fates: Vec<_> = self.sessions.iter().filter(those).map(|session| session.fate).collect();
            if !fates.iter().any(|fate| matches!(fate, Fate::Over(_))) {
                let (content, to) = (said.content(), word.to);
                return Err(format!(
                    "{content} was acknowledged, and u{to} has lost no session, but not got it"
                ));
            }
        }
        Ok(())
    }

    /// Of each user the connections of the sessions that its clients take for theirs.
    pub fn open(&self) -> BTreeMap<usize, BTreeSet<String>> {
        let mut open: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for session in self.sessions.iter().filter(|session| session.fate == Fate::Open) {
            open.entry(session.user).or_default().insert(session.connection.clone());
        }
        open
    }

    /// What was said in peace and has not come, and whom somebody has not seen.
    pub fn not_yet(&self) -> (BTreeSet<Said>, Vec<String>) {
        (self.awaited.clone(), self.missed())
    }

    /// For the trace.
    pub fn summary(&self) -> String {
        let count = |is: fn(&Word) -> bool| self.words.values().filter(|word| is(word)).count();
        let acked = count(|word| matches!(word.answer, Some(Answer::Acked(_))));
        let lost = count(|word| matches!(word.answer, Some(Answer::Acked(_))) && word.got.is_empty());
        let sessions = self.sessions.iter().filter(|session| !session.connection.is_empty()).count();
        let (resumed, words) = (self.resumed, self.words.len());
        format!(
            "{sessions} sessions, {resumed} times resumed, {words} messages, {acked} acknowledged, {lost} lost with sessions"
        )
    }

    fn session(&mut self, login: Login) -> &mut Session {
        &mut self.sessions[login as usize]
    }

    fn word(&mut self, said: Said) -> &mut Word {
        self.words.get_mut(&said).expect("its sender has said it")
    }
}

impl Session {
    /// Whether it may have been there within this time.
    fn may_take(&self, from_ms: u128, upto_ms: u128) -> bool {
        let upto = match self.fate {
            Fate::Never => return false,
            Fate::Asked | Fate::Open => u128::MAX,
            Fate::Over(at) => at + LINGERS.as_millis(),
        };
        self.from_ms <= upto_ms && from_ms <= upto
    }
}
