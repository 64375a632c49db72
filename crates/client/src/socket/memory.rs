//! What a client remembers from socket to socket: pure, a frame in, and what it means out.

use super::{Caller, Dialect, Heard, Say, Token, UNAVAILABLE};
use crate::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a client remembers.
#[derive(Debug)]
pub(super) struct Memory {
    user: String,
    dialect: Dialect,
    /// By which the session is had back.
    token: Option<Token>,
    /// The last delivery that was processed.
    seq: u64,
    next_id: u64,
    /// What was said and not answered, the oldest first.
    open: BTreeMap<u64, Say>,
    /// What a new session must be told again.
    rooms: BTreeSet<String>,
    watched: BTreeSet<String>,
    /// Where it has not been told yet that it is in.
    entering: Entering,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entering {
    New,
    Again,
    /// The gateway could not give it its session back, for this reason.
    Anew,
    In,
}

/// What a frame means.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Meaning {
    /// For whoever listens.
    pub heard: Vec<Heard>,
    /// For the gateway.
    pub answers: Vec<String>,
    /// The gateway does not let the user in.
    pub not_let_in: Option<Problem>,
    /// The user has logged in elsewhere.
    pub replaced: bool,
    /// A sign of life.
    pub pong: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    seq: Option<u64>,
    from: String,
    content: String,
    room: String,
    user: String,
    token: Option<String>,
    ok: bool,
    reason: String,
    refused: u64,
    error: String,
    code: String,
    online: Vec<String>,
    offline: Vec<String>,
}

impl Memory {
    pub fn new(caller: &Caller) -> Self {
        let (user, dialect) = (caller.user.clone(), caller.dialect);
        Self {
            user,
            dialect,
            token: None,
            seq: 0,
            next_id: 1,
            open: BTreeMap::new(),
            rooms: BTreeSet::new(),
            watched: BTreeSet::new(),
            entering: Entering::New,
        }
    }

    /// The first frame on a new socket.
    pub fn hello(&mut self) -> String {
        match &self.token {
            Some(token) => {
                self.entering = Entering::Again;
                json!({"type": "resume", "userId": self.user, "token": token.reveal(), "seq": self.seq})
                    .to_string()
            }
            None => {
                self.entering = Entering::New;
                json!({"type": "register", "userId": self.user}).to_string()
            }
        }
    }

    /// Whether the gateway has let it in on this socket.
    pub fn is_in(&self) -> bool {
        self.entering == Entering::In
    }

    /// The socket is gone.
    pub fn lost(&mut self) {
        self.entering = Entering::New;
    }

    /// What was said and not answered is nobody's any more.
    pub fn forget(&mut self) -> impl Iterator<Item = Say> + use<> {
        std::mem::take(&mut self.open).into_values()
    }

    /// Whether everything that was said is answered.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// The frame for something that is said; or why it can't be.
    pub fn say(&mut self, say: Say) -> Result<String, String> {
        if self.dialect == Dialect::Legacy {
            return match &say {
                Say::Message { .. } => Ok(frame(&say, None).to_string()),
                _ => Err("only messages to users can be sent with --legacy".into()),
            };
        }
        let id = self.next_id;
        self.next_id += 1;
        let text = frame(&say, Some(id)).to_string();
        match &say {
            Say::Join { room } => drop(self.rooms.insert(room.clone())),
            Say::Leave { room } => drop(self.rooms.remove(room)),
            Say::Who { users } => self.watched.extend(users.iter().cloned()),
            Say::Message { .. } | Say::Broadcast { .. } | Say::RoomMessage { .. } => {}
        }
        self.open.insert(id, say);
        Ok(text)
    }

    /// A frame of the gateway at `gateway`.
    pub fn hear(&mut self, text: &str, gateway: &str) -> Meaning {
        let Ok(frame) = serde_json::from_str::<Frame>(text) else {
            let why = "the gateway said something that is no message".to_owned();
            return Meaning::heard(Heard::Refused { said: None, why });
        };
        let Some(seq) = frame.seq.filter(|_| frame.kind != "resumed") else {
            return self.meaning(frame, gateway);
        };
        let mut meaning = if seq > self.seq { self.meaning(frame, gateway) } else { Meaning::default() };
        // One that comes again is not heard again, and acknowledged: the ack got lost.
        self.seq = self.seq.max(seq);
        meaning.answers.push(ack(self.seq));
        meaning
    }

    fn meaning(&mut self, frame: Frame, gateway: &str) -> Meaning {
        let Frame { id, from, content, room, user, online, offline, .. } = frame;
        match frame.kind.as_str() {
            "registered" => self.registered(frame.token, gateway),
            "resumed" if frame.ok => self.resumed(frame.seq.unwrap_or(self.seq), frame.refused, gateway),
            "resumed" => self.not_resumed(&frame.reason, gateway),
            "pong" => Meaning { pong: true, ..Meaning::default() },
            "ack" => Meaning {
                heard: self.answered(id).map(Heard::Done).into_iter().collect(),
                ..Meaning::default()
            },
            "error" if self.entering != Entering::In => {
                Meaning { not_let_in: Some(not_let_in(frame.error, &frame.code)), ..Meaning::default() }
            }
            "error" if self.dialect == Dialect::Legacy => {
                let why = format!("{} (the original's dialect does not tell what was meant)", frame.error);
                Meaning::heard(Heard::Refused { said: None, why })
            }
            "error" => Meaning::heard(Heard::Refused { said: self.answered(id), why: frame.error }),
            "message" => Meaning::heard(Heard::Message { from, content }),
            "broadcast" => Meaning::heard(Heard::Broadcast { from, content }),
            "room_message" => Meaning::heard(Heard::RoomMessage { room, from, content }),
            "presence" => {
                let done = self.answered(id).map(Heard::Done);
                let told = Heard::Presence { online, offline };
                Meaning { heard: [told].into_iter().chain(done).collect(), ..Meaning::default() }
            }
            "joined" => Meaning::heard(Heard::Joined { user }),
            "left" => Meaning::heard(Heard::Left { user }),
            "replaced" => Meaning { replaced: true, ..Meaning::default() },
            // A newer gateway may say more.
            _ => Meaning::default(),
        }
    }

    fn registered(&mut self, token: Option<String>, gateway: &str) -> Meaning {
        self.token = token.map(Token::from);
        self.seq = 0;
        let was = std::mem::replace(&mut self.entering, Entering::In);
        let gateway = gateway.to_owned();
        let heard = if was == Entering::Anew { None } else { Some(Heard::Registered { gateway }) };
        // Without a session to have back, what was under way is in nobody's memory.
        let unknown = self.forget().map(Heard::Unknown);
        let heard = heard.into_iter().chain(unknown).collect();
        let answers = if was == Entering::Anew { self.said_anew() } else { Vec::new() };
        Meaning { heard, answers, ..Meaning::default() }
    }

    fn said_anew(&self) -> Vec<String> {
        let joins = self.rooms.iter().map(|room| Say::Join { room: room.clone() });
        let users: Vec<_> = self.watched.iter().cloned().collect();
        let who = (!users.is_empty()).then_some(Say::Who { users });
        joins.chain(who).map(|say| frame(&say, None).to_string()).collect()
    }

    fn resumed(&mut self, sent: u64, refused: u64, gateway: &str) -> Meaning {
        self.entering = Entering::In;
        let (gateway, missed) = (gateway.to_owned(), sent.saturating_sub(self.seq));
        // Said again under their ids: what was done is acknowledged, and not done twice.
        let answers = self.open.iter().map(|(id, say)| frame(say, Some(*id)).to_string()).collect();
        Meaning { heard: vec![Heard::Resumed { gateway, missed, refused }], answers, ..Meaning::default() }
    }

    fn not_resumed(&mut self, reason: &str, gateway: &str) -> Meaning {
        self.entering = Entering::Anew;
        Meaning::heard(Heard::NotResumed { gateway: gateway.to_owned(), reason: reason.to_owned() })
    }

    fn answered(&mut self, id: Option<String>) -> Option<Say> {
        self.open.remove(&id?.parse().ok()?)
    }
}

impl Meaning {
    fn heard(heard: Heard) -> Self {
        Self { heard: vec![heard], ..Self::default() }
    }
}

fn not_let_in(detail: String, code: &str) -> Problem {
    let (status, code) = if code == UNAVAILABLE { (503, UNAVAILABLE) } else { (409, "not_let_in") };
    Problem { status, code: code.into(), detail, errors: Vec::new() }
}

fn ack(seq: u64) -> String {
    json!({"type": "ack", "seq": seq}).to_string()
}

fn frame(say: &Say, id: Option<u64>) -> Value {
    let mut frame = match say {
        Say::Message { to, content } => json!({"type": "message", "to": to, "content": content}),
        Say::Broadcast { content } => json!({"type": "broadcast", "content": content}),
        Say::RoomMessage { room, content } => {
            json!({"type": "room_message", "room": room, "content": content})
        }
        Say::Join { room } => json!({"type": "join", "room": room}),
        Say::Leave { room } => json!({"type": "leave", "room": room}),
        Say::Who { users } => json!({"type": "subscribe", "users": users}),
    };
    if let Some(id) = id {
        frame["id"] = json!(id.to_string());
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(dialect: Dialect) -> Memory {
        Memory::new(&Caller { user: "alice".into(), gateways: Vec::new(), token: None, dialect })
    }

    fn hear(memory: &mut Memory, text: &str) -> Meaning {
        memory.hear(text, "g1")
    }

    fn to_bob(content: &str) -> Say {
        Say::Message { to: "bob".into(), content: content.into() }
    }

    fn registered(dialect: Dialect) -> Memory {
        let mut memory = memory(dialect);
        assert_eq!(memory.hello(), r#"{"type":"register","userId":"alice"}"#);
        let token = if dialect == Dialect::Quorate { r#","token":"t1""# } else { "" };
        let meaning = hear(&mut memory, &format!(r#"{{"type":"registered","content":"x"{token}}}"#));
        assert_eq!(meaning, Meaning::heard(Heard::Registered { gateway: "g1".into() }));
        memory
    }

    #[test]
    fn what_is_said_is_open_until_it_is_answered() {
        let mut memory = registered(Dialect::Quorate);
        let text = memory.say(to_bob("hi")).expect("said");
        assert_eq!(text, r#"{"content":"hi","id":"1","to":"bob","type":"message"}"#);
        assert!(!memory.is_quiet());
        let done = hear(&mut memory, r#"{"type":"ack","id":"1"}"#);
        assert_eq!(done, Meaning::heard(Heard::Done(to_bob("hi"))));
        assert!(memory.is_quiet());
        memory.say(to_bob("ho")).expect("said");
        let refused = hear(&mut memory, r#"{"type":"error","error":"Failed to send message","id":"2"}"#);
        let why = "Failed to send message".into();
        assert_eq!(refused, Meaning::heard(Heard::Refused { said: Some(to_bob("ho")), why }));
    }

    #[test]
    fn a_delivery_is_heard_once_and_acknowledged_as_often_as_it_comes() {
        let mut memory = registered(Dialect::Quorate);
        let delivery = r#"{"type":"message","seq":1,"from":"bob","content":"hi"}"#;
        let heard = hear(&mut memory, delivery);
        assert_eq!(heard.heard, [Heard::Message { from: "bob".into(), content: "hi".into() }]);
        assert_eq!(heard.answers, [ack(1)]);
        let again = hear(&mut memory, delivery);
        assert_eq!((again.heard, again.answers), (vec![], vec![ack(1)]));
    }

    #[test]
    fn a_session_that_is_had_back_goes_on_and_what_was_open_is_said_again() {
        let mut memory = registered(Dialect::Quorate);
        hear(&mut memory, r#"{"type":"joined","seq":1,"user":"bob","index":5}"#);
        let said = memory.say(to_bob("hi")).expect("said");
        memory.lost();
        let hello: Value = serde_json::from_str(&memory.hello()).expect("JSON");
        assert_eq!(hello, json!({"type": "resume", "userId": "alice", "token": "t1", "seq": 1}));
        let meaning = hear(&mut memory, r#"{"type":"resumed","ok":true,"seq":3}"#);
        let resumed = Heard::Resumed { gateway: "g1".into(), missed: 2, refused: 0 };
        assert_eq!((meaning.heard, meaning.answers), (vec![resumed], vec![said]));
        assert!(memory.is_in());
    }

    #[test]
    fn a_session_that_is_gone_is_told_and_what_was_open_is_unknown() {
        let mut memory = registered(Dialect::Quorate);
        memory.say(Say::Join { room: "r".into() }).expect("said");
        memory.say(Say::Who { users: vec!["bob".into()] }).expect("said");
        hear(&mut memory, r#"{"type":"ack","id":"1"}"#);
        hear(&mut memory, r#"{"type":"presence","id":"2","index":5,"online":[],"offline":["bob"]}"#);
        memory.say(to_bob("hi")).expect("said");
        memory.lost();
        memory.hello();
        let told = hear(&mut memory, r#"{"type":"resumed","ok":false,"reason":"unknown"}"#);
        let reason = "unknown".into();
        assert_eq!(told, Meaning::heard(Heard::NotResumed { gateway: "g1".into(), reason }));
        assert!(!memory.is_in());
        let new = hear(&mut memory, r#"{"type":"registered","token":"t2"}"#);
        assert_eq!(new.heard, [Heard::Unknown(to_bob("hi"))]);
        let answers = [r#"{"room":"r","type":"join"}"#, r#"{"type":"subscribe","users":["bob"]}"#];
        assert_eq!(new.answers, answers, "it is in its rooms again");
        assert!(memory.is_in());
        let delivery = hear(&mut memory, r#"{"type":"message","seq":1,"from":"bob","content":""}"#);
        assert_eq!(delivery.answers, [ack(1)], "the numbers begin anew");
    }

    #[test]
    fn legacy_gateways_hear_nothing_of_ids_and_rooms() {
        let mut memory = registered(Dialect::Legacy);
        assert_eq!(
            memory.say(to_bob("hi")).expect("said"),
            r#"{"content":"hi","to":"bob","type":"message"}"#
        );
        assert!(memory.is_quiet());
        assert!(memory.say(Say::Join { room: "r".into() }).is_err());
        let heard = hear(&mut memory, r#"{"type":"message","from":"bob","content":"hi"}"#);
        assert_eq!(heard.answers, [""; 0]);
        memory.lost();
        assert!(memory.hello().contains("register"), "there is nothing to have back");
    }

    #[test]
    fn an_error_before_one_is_in_means_that_one_is_not_let_in() {
        let mut memory = memory(Dialect::Quorate);
        memory.hello();
        let meaning = hear(&mut memory, r#"{"type":"error","error":"Failed to register"}"#);
        let problem = meaning.not_let_in.expect("not let in");
        assert_eq!(problem.to_string(), "Failed to register (not_let_in, 409)");
        let later = hear(&mut memory, r#"{"type":"error","error":"Try again","code":"unavailable"}"#);
        assert!(later.not_let_in.is_some_and(|problem| problem.code == UNAVAILABLE));
    }

    #[test]
    fn the_original_does_not_tell_what_an_error_is_about() {
        let mut memory = registered(Dialect::Legacy);
        memory.say(to_bob("hi")).expect("said");
        let meaning = hear(&mut memory, r#"{"type":"error","error":"Failed to send message"}"#);
        let why = "Failed to send message (the original's dialect does not tell what was meant)".into();
        assert_eq!(meaning, Meaning::heard(Heard::Refused { said: None, why }));
    }
}
