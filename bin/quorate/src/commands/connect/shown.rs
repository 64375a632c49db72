//! What is printed of what is heard: what others say goes to stdout, talk about the connection to stderr.

use crate::output::{counted, printable};
use quorate_client::socket::{Heard, Say};
use serde_json::{Value, json};
use std::time::Duration;

/// A line to print.
#[derive(Debug, PartialEq)]
pub enum Shown {
    /// Data, for stdout.
    Data(String),
    /// Talk, for stderr.
    Talk(String),
    /// Nothing.
    Nothing,
}

/// For people.
pub fn text(heard: &Heard) -> Shown {
    let line = match heard {
        Heard::Message { from, content } => return data(&format!("{from}: {content}")),
        Heard::Broadcast { from, content } => return data(&format!("{from} to all: {content}")),
        Heard::RoomMessage { room, from, content } => return data(&format!("#{room} {from}: {content}")),
        Heard::Presence { online, offline } => {
            let all = |word: &str, users: &[String]| match users {
                [] => None,
                users => Some(format!("{word}: {}", users.join(", "))),
            };
            let said: Vec<_> = all("online", online).into_iter().chain(all("offline", offline)).collect();
            return data(&said.join("; "));
        }
        Heard::Joined { user } => return data(&format!("{user} is online")),
        Heard::Left { user } => return data(&format!("{user} is offline")),
        Heard::Done(Say::Join { room }) => format!("in #{room}"),
        Heard::Done(Say::Leave { room }) => format!("no more in #{room}"),
        Heard::Done(_) => return Shown::Nothing,
        Heard::Registered { gateway } => format!("connected to {gateway}"),
        Heard::Resumed { gateway, missed, refused } => resumed(gateway, *missed, *refused),
        Heard::NotResumed { gateway, reason } => {
            let why = match reason.as_str() {
                "unknown" => "the session is over",
                "unreachable" => "the node that had the session does not answer",
                "seq" => "the session is further",
                other => other,
            };
            format!("connected to {gateway} anew, {why}: what came meanwhile is lost")
        }
        Heard::Lost { why } => format!("{why}; dialling again"),
        Heard::Refused { said: Some(said), why } => format!("{why}: {}", spelt(said)),
        Heard::Refused { said: None, why } => why.clone(),
        // Whoever shows it knows for how long; see `still_lost`.
        Heard::StillLost { .. } => return Shown::Nothing,
        Heard::Unsaid(said) => unsaid(said),
        Heard::Unknown(said) => format!("nobody knows whether this arrived: {}", spelt(said)),
    };
    Shown::Talk(printable(&line))
}

/// For programs; talk stays talk.
pub fn json(heard: &Heard) -> Shown {
    let value = match heard {
        Heard::Message { from, content } => json!({"type": "message", "from": from, "content": content}),
        Heard::Broadcast { from, content } => json!({"type": "broadcast", "from": from, "content": content}),
        Heard::RoomMessage { room, from, content } => {
            json!({"type": "room_message", "room": room, "from": from, "content": content})
        }
        Heard::Presence { online, offline } => {
            json!({"type": "presence", "online": online, "offline": offline})
        }
        Heard::Joined { user } => json!({"type": "joined", "user": user}),
        Heard::Left { user } => json!({"type": "left", "user": user}),
        Heard::Registered { .. }
        | Heard::Resumed { .. }
        | Heard::NotResumed { .. }
        | Heard::Lost { .. }
        | Heard::StillLost { .. }
        | Heard::Unsaid(_)
        | Heard::Done(_)
        | Heard::Refused { .. }
        | Heard::Unknown(_) => Value::Null,
    };
    if value.is_null() { text(heard) } else { Shown::Data(value.to_string()) }
}

fn data(line: &str) -> Shown {
    Shown::Data(printable(line))
}

fn resumed(gateway: &str, missed: u64, refused: u64) -> String {
    let mut line = format!("connected to {gateway} again");
    if missed > 0 {
        line +=
            &format!("; {} follow", counted(missed, "missed delivery").replace("deliverys", "deliveries"));
    }
    if refused > 0 {
        line += &format!("; {} refused meanwhile, for want of room", counted(refused, "message"));
    }
    line
}

/// It was never sent.
pub fn unsaid(said: &Say) -> String {
    printable(&format!("not sent: {}", spelt(said)))
}

/// It has been dialling for so long.
pub fn still_lost(since: Duration, why: &str) -> String {
    printable(&format!("still dialling after {} s: {why}", since.as_secs()))
}

/// As it was typed, about.
fn spelt(said: &Say) -> String {
    match said {
        Say::Message { to, content } => format!("{to}: {content}"),
        Say::Broadcast { content } => format!("/all {content}"),
        Say::RoomMessage { room, content } => format!("#{room}: {content}"),
        Say::Join { room } => format!("/join {room}"),
        Say::Leave { room } => format!("/leave {room}"),
        Say::Who { users } => format!("/who {}", users.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_data_and_the_connection_is_talk() {
        let message = Heard::Message { from: "bob".into(), content: "a\u{1b}[2J".into() };
        assert_eq!(text(&message), Shown::Data("bob: a\u{fffd}[2J".into()));
        assert_eq!(
            json(&message),
            Shown::Data(r#"{"content":"a\u001b[2J","from":"bob","type":"message"}"#.into())
        );
        let resumed = Heard::Resumed { gateway: "ws://a/ws".into(), missed: 2, refused: 1 };
        let line = "connected to ws://a/ws again; 2 missed deliveries follow; 1 message refused meanwhile, for want of room";
        assert_eq!(text(&resumed), Shown::Talk(line.into()));
        assert_eq!(json(&resumed), Shown::Talk(line.into()));
        let said = Say::Message { to: "bob".into(), content: "hi".into() };
        assert_eq!(text(&Heard::Done(said.clone())), Shown::Nothing);
        let refused = Heard::Refused { said: Some(said), why: "Failed to send message".into() };
        assert_eq!(text(&refused), Shown::Talk("Failed to send message: bob: hi".into()));
        let presence = Heard::Presence { online: vec!["a".into(), "b".into()], offline: vec!["c".into()] };
        assert_eq!(text(&presence), Shown::Data("online: a, b; offline: c".into()));
    }
}
