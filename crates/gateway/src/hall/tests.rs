use super::*;
use crate::{
    fakes::to,
    rig::{Table, user},
    settings::QueueLimits,
};
use quorate_model::NodeName;

struct Scene {
    hall: Arc<Hall>,
    mailbox: Arc<Mailbox>,
}

impl Scene {
    fn new() -> Self {
        let table = Arc::new(Table::default());
        let presence = table.presence(&NodeName::parse("n1").expect("a good name"));
        let limits = QueueLimits { messages_max: 3, bytes_max: 1 << 20 };
        let hall = Hall::new(presence, Arc::default(), SlowConsumer::Close);
        Self { hall, mailbox: Arc::new(Mailbox::new(limits)) }
    }

    fn waiting(&self) -> Vec<String> {
        std::iter::from_fn(|| self.mailbox.queue.take()).map(|message| message.content.to_string()).collect()
    }
}

/// The log has the session, and its gateway does not know its epoch yet: another node may ask for it in between.
#[tokio::test]
async fn messages_for_one_who_is_coming_wait_in_their_order_and_only_for_the_epoch_that_comes() {
    let scene = Scene::new();
    let seat = scene.hall.expect(&user("bob"), &scene.mailbox);
    let (first, other, any) = (
        scene.hall.take(Some(7), to("bob", "first")),
        scene.hall.take(Some(6), to("bob", "of an older session")),
        scene.hall.take(None, to("bob", "any")),
    );
    assert!(scene.waiting().is_empty());
    seat.arrive(Epoch(7));
    assert_eq!(first.await, Taken::Delivered);
    assert!(matches!(other.await, Taken::NotHere { .. }));
    assert_eq!(any.await, Taken::Delivered);
    assert_eq!(scene.waiting(), ["first", "any"]);
    assert_eq!(scene.hall.count(), 1);
}

#[tokio::test]
async fn messages_for_one_who_does_not_come_are_answered() {
    let scene = Scene::new();
    let seat = scene.hall.expect(&user("bob"), &scene.mailbox);
    let waits = scene.hall.take(Some(7), to("bob", "x"));
    drop(seat);
    assert!(matches!(waits.await, Taken::NotHere { .. }));
    assert!(matches!(scene.hall.take(Some(7), to("bob", "x")).await, Taken::NotHere { .. }));
    assert_eq!(scene.hall.count(), 0);
}

#[tokio::test]
async fn whoever_has_lost_an_epoch_is_not_found_by_it_and_found_by_the_next() {
    let scene = Scene::new();
    let seat = scene.hall.expect(&user("bob"), &scene.mailbox);
    seat.arrive(Epoch(7));
    seat.be_away();
    assert!(matches!(scene.hall.take(Some(7), to("bob", "x")).await, Taken::NotHere { .. }));
    assert_eq!(scene.hall.count(), 0);
    seat.rise();
    let waits = scene.hall.take(Some(9), to("bob", "y"));
    seat.arrive(Epoch(9));
    assert_eq!(waits.await, Taken::Delivered);
    assert_eq!((scene.waiting(), scene.hall.count()), (vec!["y".to_owned()], 1));
}

#[tokio::test]
async fn an_older_seat_that_is_left_takes_nothing_from_a_newer_one() {
    let scene = Scene::new();
    let older = scene
        .hall
        .expect(&user("bob"), &Arc::new(Mailbox::new(QueueLimits { messages_max: 1, bytes_max: 1 })));
    older.arrive(Epoch(7));
    let newer = scene.hall.expect(&user("bob"), &scene.mailbox);
    newer.arrive(Epoch(8));
    drop(older);
    assert_eq!(scene.hall.take(Some(8), to("bob", "x")).await, Taken::Delivered);
    assert_eq!((scene.waiting(), scene.hall.count()), (vec!["x".to_owned()], 1));
}

#[tokio::test]
async fn a_full_queue_is_said_and_its_owner_told() {
    let scene = Scene::new();
    let seat = scene.hall.expect(&user("bob"), &scene.mailbox);
    seat.arrive(Epoch(7));
    for nth in 0..3 {
        assert_eq!(scene.hall.take(Some(7), to("bob", &nth.to_string())).await, Taken::Delivered);
    }
    assert_eq!(scene.hall.take(Some(7), to("bob", "3")).await, Taken::Full);
    scene.mailbox.overflowed.notified().await;
    scene.mailbox.queue.close();
    assert!(matches!(scene.hall.take(Some(7), to("bob", "4")).await, Taken::NotHere { .. }));
}

/// A user of many sessions: one that is in the log may not have heard of it yet.
#[tokio::test]
async fn a_message_by_no_epoch_reaches_each_session_once_also_those_that_are_coming() {
    let scene = Scene::new();
    let limits = QueueLimits { messages_max: 3, bytes_max: 1 << 20 };
    let (second, third) = (Arc::new(Mailbox::new(limits)), Arc::new(Mailbox::new(limits)));
    let here = scene.hall.expect(&user("bob"), &scene.mailbox);
    here.arrive(Epoch(7));
    let seats = [&second, &third].map(|mailbox| scene.hall.expect(&user("bob"), mailbox));
    assert_eq!(scene.hall.take(None, to("bob", "any")).await, Taken::Delivered, "one has it already");
    let exact = scene.hall.take(Some(9), to("bob", "for the third"));
    seats[0].arrive(Epoch(8));
    seats[1].arrive(Epoch(9));
    assert_eq!(exact.await, Taken::Delivered);
    let contents = |mailbox: &Mailbox| {
        std::iter::from_fn(|| mailbox.queue.take()).map(|m| m.content.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(scene.waiting(), ["any"]);
    assert_eq!(
        (contents(&second), contents(&third)),
        (vec!["any".into()], vec!["any".into(), "for the third".into()])
    );
}

#[tokio::test]
async fn what_waits_for_one_who_is_coming_is_bounded_and_counted() {
    let scene = Scene::new();
    let seat = scene.hall.expect(&user("bob"), &scene.mailbox);
    let waits: Vec<_> = (0..3).map(|nth| scene.hall.take(None, to("bob", &nth.to_string()))).collect();
    assert_eq!(scene.hall.take(None, to("bob", "3")).await, Taken::Full, "as its queue would be");
    seat.arrive(Epoch(7));
    for wait in waits {
        assert_eq!(wait.await, Taken::Delivered);
    }
    assert_eq!(scene.waiting(), ["0", "1", "2"]);
    assert_eq!(scene.hall.lock().load, Load::default());
}

/// Anybody may begin to register: what waits for all of them together must not grow without an end.
#[tokio::test]
async fn what_waits_for_all_who_are_coming_is_bounded_and_given_back() {
    let scene = Scene::new();
    let limits = QueueLimits { messages_max: 3, bytes_max: 1 << 20 };
    let large = to("anybody", &"x".repeat(coming::BYTES_MAX / 3));
    let names: Vec<_> = (0..4).map(|nth| user(&format!("u{nth}"))).collect();
    let mailboxes: Vec<_> = names.iter().map(|_| Arc::new(Mailbox::new(limits))).collect();
    let seats: Vec<_> =
        names.iter().zip(&mailboxes).map(|(name, mailbox)| scene.hall.expect(name, mailbox)).collect();
    let take = |name: &UserId| {
        let to = Recipient::User(name.clone());
        scene.hall.take(None, Arc::new(Message { to, ..Message::clone(&large) })).now_or_never()
    };
    assert_eq!([0, 1, 2, 3].map(|nth| take(&names[nth])), [None, None, Some(Taken::Full), Some(Taken::Full)]);
    seats[0].arrive(Epoch(7));
    assert_eq!(take(&names[3]), None, "there is room again");
    drop(seats);
    assert_eq!(scene.hall.lock().load, Load::default());
}
