use super::*;
use crate::fakes::{Broadcasts, Stage, lock, named, node, place, to};

fn courier(stage: &Arc<Stage>) -> Courier {
    Courier::new(node("n1"), stage.clone(), stage.clone(), stage.clone())
}

/// What becomes of a message, with presence and answers as given, and what was done for it.
fn run(
    message: Arc<Message>,
    places: Vec<Vec<Place>>,
    answers: Vec<Result<Taken, BackplaneError>>,
) -> (Outcome, Vec<String>) {
    let stage = Stage::with(places, answers);
    let outcome = courier(&stage).deliver(message).now_or_never().expect("everything is answered at once");
    (outcome, stage.told())
}

fn unanswered() -> Result<Taken, BackplaneError> {
    Err(BackplaneError::Unreachable("n2".into(), "the link broke".into()))
}

fn not_sent() -> Result<Taken, BackplaneError> {
    Err(BackplaneError::NotSent("n2".into(), "refused".into()))
}

const HERE: Result<Taken, BackplaneError> = Ok(Taken::Delivered);
const NOT_HERE: Result<Taken, BackplaneError> = Ok(Taken::NotHere { index: 40 });

#[test]
fn a_session_of_this_node_gets_it_without_a_way() {
    let (outcome, told) = run(to("bob", "hi"), vec![vec![place("n1", 9)]], vec![HERE]);
    assert_eq!((outcome, told), (Outcome::Delivered, vec!["here/9 hi".into()]));
}

#[test]
fn a_session_of_another_node_gets_it_by_its_epoch() {
    let (outcome, told) = run(to("bob", "hi"), vec![vec![place("n2", 9)]], vec![HERE]);
    assert_eq!((outcome, told), (Outcome::Delivered, vec!["n2/9 hi".into()]));
}

#[test]
fn who_is_not_there_is_looked_for_once_more_as_of_the_owners_index() {
    let places = vec![vec![place("n2", 9)], vec![place("n3", 12)]];
    let (outcome, told) = run(to("bob", "hi"), places, vec![NOT_HERE, HERE]);
    let expected = ["n2/9 hi", "wait for 40", "n3/12 hi"].map(String::from).to_vec();
    assert_eq!((outcome, told), (Outcome::Delivered, expected));
}

#[test]
fn there_is_no_third_try() {
    let places = vec![vec![place("n2", 9)], vec![place("n3", 12)], vec![place("n2", 15)]];
    let (outcome, told) = run(to("bob", "hi"), places, vec![NOT_HERE, NOT_HERE]);
    assert_eq!((outcome, told.len()), (Outcome::Nobody, 3));
}

#[test]
fn who_has_left_is_nobody() {
    let (outcome, told) = run(to("bob", "hi"), vec![vec![place("n2", 9)], vec![]], vec![NOT_HERE]);
    assert_eq!(outcome, Outcome::Nobody);
    assert_eq!(told.last().map(String::as_str), Some("outside hi"));
}

/// Clients of the original tell messages apart by nothing: a repeat would be read twice.
#[test]
fn what_was_sent_and_not_answered_is_not_sent_again() {
    let (outcome, told) = run(to("bob", "hi"), vec![vec![place("n2", 9)]], vec![unanswered()]);
    assert_eq!((outcome, told.len()), (Outcome::Unknown, 1));
    assert!(!outcome.is_sent());
}

#[test]
fn a_message_with_a_name_is_sent_again() {
    let places = vec![vec![place("n2", 9)], vec![place("n3", 12)]];
    let (outcome, told) = run(named("bob", "hi"), places, vec![unanswered(), HERE]);
    assert_eq!((outcome, told), (Outcome::Delivered, vec!["n2/9 hi".into(), "n3/12 hi".into()]));
}

#[test]
fn what_was_not_sent_is_tried_once_more_and_then_failed() {
    let (outcome, told) = run(to("bob", "hi"), vec![vec![place("n2", 9)]], vec![not_sent(), not_sent()]);
    assert_eq!((outcome, told.len()), (Outcome::Unreachable, 2));
    let places = vec![vec![place("n2", 9)], vec![place("n1", 12)]];
    let (outcome, told) = run(to("bob", "hi"), places, vec![not_sent(), HERE]);
    assert_eq!((outcome, told), (Outcome::Delivered, vec!["n2/9 hi".into(), "here/12 hi".into()]));
}

#[test]
fn all_sessions_of_a_user_get_it_and_one_is_enough() {
    let both = vec![place("n2", 9), place("n3", 12)];
    let (outcome, told) = run(to("bob", "hi"), vec![both.clone()], vec![Ok(Taken::Full), HERE]);
    assert_eq!((outcome, told), (Outcome::Delivered, vec!["n2/9 hi".into(), "n3/12 hi".into()]));
    let (outcome, told) = run(to("bob", "hi"), vec![both, vec![place("n3", 12)]], vec![NOT_HERE, HERE]);
    assert_eq!(outcome, Outcome::Delivered);
    assert_eq!(told.len(), 3, "who has it does not get it again: {told:?}");
}

/// A way that knows no epochs gives a message to all sessions of the user there: one sent for each of them is read as often.
#[test]
fn a_way_that_reaches_gateways_is_given_a_message_once_for_each() {
    let places = || vec![place("n2", 12), place("n1", 11), place("n2", 10), place("n3", 9), place("n1", 8)];
    let (mut first, again) = (places(), vec![place("n4", 20), place("n2", 19), place("n3", 18)]);
    first.push(place("n4", 7));
    // One of the gateways can't be reached at first. The others have it, whatever sessions they have by then.
    let answers =
        vec![Ok(Taken::Published), HERE, Ok(Taken::Published), HERE, not_sent(), Ok(Taken::Published)];
    let stage = Stage::with(vec![first, again], answers);
    let stage =
        Arc::new(Stage { reach: Reach::Gateway, ..Arc::into_inner(stage).expect("nobody else has it") });
    let outcome = courier(&stage).deliver(to("bob", "hi")).now_or_never();
    let expected = [
        "n2/12 hi of n2,n1,n3,n1,n4",
        "here/11 hi",
        "n3/9 hi of n2,n1,n3,n1,n4",
        "here/8 hi",
        "n4/7 hi of n2,n1,n3,n1,n4",
        // And of those that were given it before.
        "n4/20 hi of n4,n2,n1,n3,n1",
    ];
    assert_eq!((outcome, stage.told()), (Some(Outcome::Delivered), expected.map(String::from).to_vec()));
}

#[test]
fn who_is_too_slow_is_not_tried_again() {
    let (outcome, told) = run(to("bob", "hi"), vec![vec![place("n2", 9)]], vec![Ok(Taken::Full)]);
    assert_eq!((outcome, told.len()), (Outcome::Full, 1));
}

#[test]
fn who_is_on_no_gateway_of_the_cluster_is_looked_for_outside() {
    let stage = Arc::new(Stage { outside: Some(Taken::Published), ..Stage::default() });
    let outcome = courier(&stage).deliver(to("bob", "hi")).now_or_never();
    assert_eq!((outcome, stage.told()), (Some(Outcome::Published), vec!["outside hi".into()]));
}

#[test]
fn a_message_for_all_is_taken_here_and_sent_to_the_others() {
    let message = Arc::new(Message { to: Recipient::All, ..Message::clone(&to("bob", "hi")) });
    let (outcome, told) = run(message, vec![], vec![]);
    assert_eq!((outcome, told), (Outcome::Delivered, vec!["here all hi".into(), "all hi".into()]));
}

/// Those of this node have it already: nobody may say that it does not come.
#[test]
fn a_message_for_all_that_the_others_do_not_get_has_an_unknown_fate() {
    let message = Arc::new(Message { to: Recipient::Room("r".into()), ..Message::clone(&to("bob", "hi")) });
    for error in [not_sent(), unanswered()] {
        let stage = Stage::with(vec![], vec![]);
        *lock(&stage.broadcasts) = Broadcasts::Wait;
        let outcome = courier(&stage).deliver(message.clone());
        stage.decide("all hi", error.map(|_| Taken::Published));
        assert_eq!(outcome.now_or_never(), Some(Outcome::Unknown));
    }
}

/// The first try is made within the call: whoever polls late or first changes no order.
#[test]
fn the_first_try_is_made_in_the_order_of_the_calls() {
    let stage = Stage::with(vec![vec![place("n2", 9)]], vec![HERE, HERE]);
    let courier = courier(&stage);
    let (first, second) = (courier.deliver(to("bob", "1")), courier.deliver(to("bob", "2")));
    assert_eq!(second.now_or_never(), Some(Outcome::Delivered));
    assert_eq!(first.now_or_never(), Some(Outcome::Delivered));
    assert_eq!(stage.told(), ["n2/9 1", "n2/9 2"]);
}
