use super::*;
use crate::{
    backplane::Taken,
    fakes::{Broadcasts, Stage, lock, node, place, to},
};

fn lanes(stage: &Arc<Stage>, limits: LaneLimits) -> Lanes {
    let courier = Courier::new(node("n1"), stage.clone(), stage.clone(), stage.clone());
    Lanes::new(courier, limits)
}

fn next(lanes: &mut Lanes) -> Option<String> {
    lanes.next().now_or_never().map(|decided| decided.message.content.to_string())
}

/// The first one is answered late and not here, and must be tried again: without lanes the second would overtake it.
#[test]
fn of_one_recipient_one_is_under_way_and_a_second_try_is_not_overtaken() {
    let stage = Stage::with(vec![vec![place("n2", 9)], vec![place("n3", 12)]], vec![]);
    let mut lanes = lanes(&stage, LaneLimits::default());
    for content in ["1", "2"] {
        assert!(lanes.push(to("bob", content)).is_ok());
    }
    assert_eq!(stage.told(), ["n2/9 1"]);
    assert_eq!(next(&mut lanes), None);
    stage.decide("n2/9 1", Ok(Taken::NotHere { index: 40 }));
    assert_eq!(next(&mut lanes), None);
    stage.decide("n3/12 1", Ok(Taken::Delivered));
    assert_eq!(next(&mut lanes).as_deref(), Some("1"));
    stage.decide("n3/12 2", Ok(Taken::Delivered));
    assert_eq!(next(&mut lanes).as_deref(), Some("2"));
    assert_eq!(stage.told(), ["n2/9 1", "wait for 40", "n3/12 1", "n3/12 2"]);
    assert!(lanes.is_empty());
}

#[test]
fn recipients_do_not_wait_for_each_other_up_to_a_bound() {
    let stage = Stage::with(vec![vec![place("n2", 9)]], vec![]);
    let mut lanes = lanes(&stage, LaneLimits { under_way: 2, ..LaneLimits::default() });
    for (recipient, content) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")] {
        assert!(lanes.push(to(recipient, content)).is_ok());
    }
    assert_eq!(stage.told(), ["n2/9 1", "n2/9 2"]);
    stage.decide("n2/9 2", Ok(Taken::Delivered));
    assert_eq!(next(&mut lanes).as_deref(), Some("2"), "which was decided first");
    assert_eq!(stage.told(), ["n2/9 1", "n2/9 2", "n2/9 3"], "who waits longest is next");
    stage.decide("n2/9 1", Ok(Taken::Delivered));
    stage.decide("n2/9 3", Ok(Taken::Delivered));
    while next(&mut lanes).is_some() {}
    stage.decide("n2/9 4", Ok(Taken::Delivered));
    assert_eq!(next(&mut lanes).as_deref(), Some("4"));
    assert!(lanes.is_empty());
}

#[test]
fn what_is_not_decided_is_bounded_in_messages_and_bytes() {
    let stage = Stage::with(vec![vec![place("n2", 9)]], vec![]);
    let limits = LaneLimits { messages: 2, bytes: 10, under_way: 8 };
    let mut few = lanes(&stage, limits);
    assert!(few.push(to("bob", "1")).is_ok());
    assert!(few.push(to("bob", "2")).is_ok());
    let refused = few.push(to("bob", "3")).expect_err("full");
    assert_eq!((&*refused.content, few.len()), ("3", 2));
    let mut large = lanes(&stage, limits);
    assert!(large.push(to("bob", "a long one alone")).is_ok(), "else it could never be sent");
    assert!(large.push(to("ann", "x")).is_err());
    stage.decide("n2/9 a long one alone", Ok(Taken::Full));
    assert_eq!(large.next().now_or_never().map(|decided| decided.outcome), Some(Outcome::Full));
    assert!(large.push(to("ann", "x")).is_ok(), "there is room again");
}

/// A gateway that stands still would hold up the whole room, one message after the other.
#[test]
fn what_is_for_many_does_not_wait_for_what_was_said_before_and_keeps_its_order() {
    let stage = Stage::with(vec![vec![place("n2", 9)]], vec![]);
    *lock(&stage.broadcasts) = Broadcasts::Wait;
    let mut lanes = lanes(&stage, LaneLimits { under_way: 2, ..LaneLimits::default() });
    let room = Recipient::Room("lobby".into());
    for content in ["1", "2", "3"] {
        let message = Message { to: room.clone(), ..Message::clone(&to("bob", content)) };
        assert!(lanes.push(Arc::new(message)).is_ok());
    }
    assert_eq!(stage.told(), ["here all 1", "all 1", "here all 2", "all 2"], "up to the bound");
    stage.decide("all 2", Ok(Taken::Delivered));
    assert_eq!(next(&mut lanes).as_deref(), Some("2"), "whichever is decided first");
    assert_eq!(stage.told()[4..], ["here all 3", "all 3"]);
    for content in ["all 1", "all 3"] {
        stage.decide(content, Ok(Taken::Delivered));
        assert!(next(&mut lanes).is_some());
    }
    assert!(lanes.is_empty() && lanes.waiting.is_empty() && lanes.turns.is_empty());
}
