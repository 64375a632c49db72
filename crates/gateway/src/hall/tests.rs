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
