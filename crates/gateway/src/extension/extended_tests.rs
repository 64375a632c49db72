use super::{
    extended::{Broadcasts, Do, Extended},
    handover::{Answer, Question},
    limit,
    replay::{Bounds, Elsewhere},
    said::{self, Standing},
    token::{Secret, Token},
    watched::Presence::{self, Offline, Online},
};
use crate::{
    backplane::{Message, MessageId, Recipient},
    delivery::Outcome,
};
use quorate_model::{ConnectionId, NodeName, UserId};
use std::sync::Arc;

const BOUNDS: Bounds = Bounds { messages: 3, bytes: 4_096 };

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a user")
}

fn token() -> Token {
    Token { connection: ConnectionId::from_random(1), secret: Secret::from_random(2) }
}

fn alice() -> Extended {
    Extended::new(user("alice"), token(), BOUNDS)
}

fn hear(session: &mut Extended, text: &str) -> Vec<Do> {
    match said::read(text, Standing::Registered) {
        Ok(said) => session.hear(said, Broadcasts::Off),
        Err((id, refusal)) => panic!("{id:?} {refusal:?}"),
    }
}

fn one_told(todo: &[Do]) -> &str {
    match todo {
        [Do::Tell(text)] => text,
        other => panic!("{other:?}"),
    }
}

fn one_brought(todo: Vec<Do>) -> Arc<Message> {
    match &todo[..] {
        [Do::Bring(message)] => message.clone(),
        other => panic!("{other:?}"),
    }
}

fn said(from: &str, to: Recipient, content: &str) -> Message {
    Message { from: user(from), to, content: content.into(), id: None, nth: 0 }
}

fn to_alice(content: &str) -> Message {
    said("bob", Recipient::User(user("alice")), content)
}

#[test]
fn a_message_is_brought_once_and_acknowledged_as_often_as_it_is_said() {
    let mut alice = alice();
    let text = r#"{"type":"message","id":"1","to":"bob","content":"hi"}"#;
    let todo = hear(&mut alice, text);
    let [Do::Bring(message)] = &todo[..] else { panic!("{todo:?}") };
    assert_eq!((message.from.as_str(), &*message.content), ("alice", "hi"));
    assert_eq!(hear(&mut alice, text), [], "it is under way");
    let ack = alice.ended(message, Outcome::Delivered).expect("a word");
    assert_eq!(&*ack, r#"{"type":"ack","id":"1"}"#);
    assert_eq!(one_told(&hear(&mut alice, text)), &*ack);
}

#[test]
fn a_message_that_failed_may_be_said_again_under_its_id() {
    let mut alice = alice();
    let text = r#"{"type":"message","id":"1","to":"bob","content":"hi"}"#;
    let message = one_brought(hear(&mut alice, text));
    let error = alice.ended(&message, Outcome::Nobody).expect("a word");
    assert_eq!(
        &*error,
        r#"{"type":"error","error":"Failed to send message","code":"not_delivered","id":"1"}"#
    );
    let again = one_brought(hear(&mut alice, text));
    assert_eq!(again.id, message.id, "whoever has it already can tell");
    let error = alice.ended(&again, Outcome::Unknown).expect("a word");
    assert!(error.contains("unknown_outcome"), "{error}");
}

#[test]
fn success_without_an_id_is_silence() {
    let mut alice = alice();
    let message = one_brought(hear(&mut alice, r#"{"type":"message","to":"bob","content":"hi"}"#));
    assert_eq!(alice.ended(&message, Outcome::Published), None);
    assert!(alice.ended(&message, Outcome::Full).is_some());
}

#[test]
fn only_members_speak_in_a_room_and_only_who_may_broadcasts() {
    let mut alice = alice();
    let say = r#"{"type":"room_message","id":"1","room":"r","content":"hi"}"#;
    assert!(one_told(&hear(&mut alice, say)).contains("not_a_member"));
    assert!(matches!(
        &hear(&mut alice, r#"{"type":"join","id":"2","room":"r"}"#)[..],
        [Do::Join(_), Do::Tell(_)]
    ));
    assert!(matches!(&hear(&mut alice, say)[..], [Do::Bring(..)]));
    assert!(matches!(&hear(&mut alice, r#"{"type":"leave","room":"r"}"#)[..], [Do::Leave(_)]));
    assert!(one_told(&hear(&mut alice, say)).contains("not_a_member"));
    let shout = r#"{"type":"broadcast","content":"hi"}"#;
    assert!(one_told(&hear(&mut alice, shout)).contains("broadcast_not_allowed"));
    let said = said::read(shout, Standing::Registered).expect("said");
    assert!(matches!(&alice.hear(said, Broadcasts::Everybody)[..], [Do::Bring(_)]));
}

#[test]
fn a_session_is_in_as_many_rooms_as_it_may() {
    let mut alice = alice();
    for room in 0..limit::ROOMS_MAX {
        hear(&mut alice, &format!(r#"{{"type":"join","room":"{room}"}}"#));
    }
    assert!(one_told(&hear(&mut alice, r#"{"type":"join","room":"more"}"#)).contains("too_many_rooms"));
    assert!(matches!(&hear(&mut alice, r#"{"type":"join","room":"0"}"#)[..], [Do::Join(_)]));
}

#[test]
fn a_full_buffer_is_told_each_time_that_it_fills_up() {
    let mut alice = alice();
    for content in ["a", "b", "c"] {
        assert!(alice.has_room() && alice.full_notice().is_none());
        alice.deliver(&to_alice(content));
    }
    let notice = alice.full_notice().expect("told");
    assert!(notice.contains("replay_full"), "{notice}");
    assert_eq!(alice.full_notice(), None);
    hear(&mut alice, r#"{"type":"ack","seq":1}"#);
    assert!(alice.has_room() && alice.full_notice().is_none());
    alice.deliver(&to_alice("e"));
    assert!(alice.full_notice().is_some());
    let frames = alice.resume(1, 3, Some(7)).expect("kept");
    let connection = alice.token().connection;
    let resumed = format!(
        r#"{{"type":"resumed","ok":true,"seq":4,"connection":"{connection}","epoch":7,"refused":3}}"#
    );
    assert_eq!(&*frames[0], resumed);
    assert_eq!(frames.len(), 5);
    assert!(frames[4].contains("replay_full"), "a new socket is told, too: {}", frames[4]);
}

#[test]
fn a_client_that_has_no_such_number_is_told_so() {
    let mut alice = alice();
    alice.deliver(&to_alice("a"));
    assert!(one_told(&hear(&mut alice, r#"{"type":"ack","seq":2}"#)).contains("never_sent"));
    assert_eq!(alice.resume(2, 0, None), Err(Elsewhere::NeverSent));
    hear(&mut alice, r#"{"type":"ack","seq":1}"#);
    assert_eq!(alice.resume(0, 0, None), Err(Elsewhere::LetGo));
}

fn look(users: &[(&str, Presence)]) -> Vec<(UserId, Presence)> {
    users.iter().map(|(name, presence)| (user(name), *presence)).collect()
}

#[test]
fn a_watcher_is_told_of_each_difference_once_and_of_what_had_no_room_later() {
    let mut alice = alice();
    let todo = hear(&mut alice, r#"{"type":"subscribe","id":"s","users":["bob","carol"]}"#);
    assert!(matches!(&todo[..], [Do::Watch(Some(_), users)] if users.len() == 2));
    let told = alice.looked_first(Some(&"s".into()), 5, &look(&[("bob", Online), ("carol", Offline)]));
    assert_eq!(&*told, r#"{"type":"presence","id":"s","index":5,"online":["bob"],"offline":["carol"]}"#);
    let left = alice.looked(6, &look(&[("bob", Offline)]));
    assert_eq!(
        left.iter().map(|frame| &**frame).collect::<Vec<_>>(),
        [r#"{"type":"left","seq":1,"user":"bob","index":6}"#]
    );
    assert_eq!(alice.looked(6, &look(&[("bob", Offline)])).len(), 0, "twice");
    assert_eq!(alice.looked(5, &look(&[("bob", Online)])).len(), 0, "late");
    for content in ["a", "b"] {
        alice.deliver(&to_alice(content));
    }
    assert_eq!(alice.looked(7, &look(&[("bob", Online)])).len(), 0, "no room");
    assert_eq!(hear(&mut alice, r#"{"type":"ack","seq":1}"#), [Do::LookAgain]);
    assert_eq!(alice.looked(8, &look(&[("bob", Online)])).len(), 1);
    hear(&mut alice, r#"{"type":"unsubscribe","users":["bob"]}"#);
    assert_eq!(alice.looked(9, &look(&[("bob", Offline)])).len(), 0);
}

#[test]
fn a_session_goes_on_elsewhere_as_it_was() {
    let mut alice = alice();
    hear(&mut alice, r#"{"type":"join","room":"r"}"#);
    let message = one_brought(hear(&mut alice, r#"{"type":"message","id":"1","to":"bob","content":"hi"}"#));
    alice.ended(&message, Outcome::Delivered);
    alice.looked_first(None, 5, &look(&[("bob", Offline)]));
    alice.deliver(&to_alice("a"));
    alice.deliver(&said("bob", Recipient::Room("r".into()), "b"));
    hear(&mut alice, r#"{"type":"ack","seq":1}"#);
    let bytes = Answer::Given(Box::new(alice.hand_over(0))).write();
    let Ok(Answer::Given(handed)) = Answer::read(&bytes) else { panic!("no session") };
    assert_eq!(*handed, alice.hand_over(0));
    let mut next = Extended::taken_over(*handed, BOUNDS).expect("one run");
    assert_eq!(next.token(), alice.token());
    assert_eq!(next.resume(1, 0, None), alice.resume(1, 0, None));
    assert!(one_told(&hear(&mut next, r#"{"type":"message","id":"1","to":"bob"}"#)).contains("ack"));
    assert_eq!(next.looked(6, &look(&[("bob", Online)])).len(), 1);
    assert_eq!(next.rooms().count(), 1);
    let frame = next.deliver(&to_alice("c")).expect("new");
    assert!(frame.contains(r#""seq":4"#), "the numbers go on: {frame}");
}

#[test]
fn a_message_that_comes_on_two_ways_comes_once() {
    let (mut alice, session) = (alice(), ConnectionId::from_random(9));
    let named = |name: &str| Message { id: Some(MessageId { session, name: name.into() }), ..to_alice("a") };
    assert!(alice.deliver(&named("1")).is_some());
    assert!(alice.deliver(&named("1")).is_none());
    let Ok(Answer::Given(handed)) = Answer::read(&Answer::Given(Box::new(alice.hand_over(0))).write()) else {
        panic!("no session")
    };
    let mut next = Extended::taken_over(*handed, BOUNDS).expect("one run");
    assert!(next.deliver(&named("1")).is_none(), "also after a move");
    assert!(next.deliver(&named("2")).is_some());
    assert!(
        next.deliver(&to_alice("a")).is_some() && next.deliver(&to_alice("a")).is_some(),
        "without a name"
    );
}

#[test]
fn questions_and_answers_are_read_back() {
    let node = NodeName::parse("n1").expect("a name");
    for question in [
        Question::Prepare(token(), node.clone()),
        Question::Give(token(), node.clone(), 7),
        Question::Forget(token(), node.clone(), 7),
        Question::Adopt(user("a"), token(), node),
    ] {
        assert_eq!(Question::read(&question.write()), Ok(question));
    }
    for answer in [
        Answer::Prepared(vec![]),
        Answer::Adopted,
        Answer::Forgotten,
        Answer::Unknown,
        Answer::Not("x".into()),
    ] {
        assert_eq!(Answer::read(&answer.clone().write()), Ok(answer));
    }
}

#[test]
fn a_document_of_another_version_is_refused_by_its_number() {
    let error = Question::read(br#"{"v":2,"ask":"prepare","token":5}"#).expect_err("newer");
    assert!(error.to_string().contains("version 2"), "{error}");
    for bad in ["", "{}", r#"{"v":1,"ask":"x"}"#, r#"{"v":1,"ask":"prepare","token":"x"}"#] {
        assert!(Question::read(bad.as_bytes()).is_err(), "{bad}");
    }
}
