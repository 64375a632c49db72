//! `/v1/watch`: what becomes of a watcher that does not take what it is sent.

use crate::{
    fake::Fake,
    watching::{Watcher, grow, registration},
};

#[tokio::test]
async fn a_slow_watcher_gets_a_last_word_and_is_closed() {
    let fake = Fake::formed();
    let mut slow = Watcher::on(&fake, "?from=1").await;
    // Until the pieces that may be on their way are full and the history has run past it. Each piece takes about
    // twenty changes of these.
    for nth in 0..1_000 {
        fake.apply(registration(&format!("w{nth}-{}", "x".repeat(200)), 0));
        tokio::task::yield_now().await;
    }
    let (mut last, mut before) = (None, 0);
    while let Some(event) = slow.next().await {
        assert!(last.is_none(), "nothing follows the last word");
        if event.kind == "reset" {
            assert_eq!(event.data["reason"], "behind");
            assert_eq!(event.id.as_deref(), Some(""), "a browser forgets where it was, and begins anew");
            last = Some(event);
        } else if event.kind != "synced" {
            before += 1;
        }
    }
    assert!(last.is_some(), "it is told before the stream ends");
    // Each registration but the first takes the partition from the one before, who then is gone: three changes.
    assert!(before < 1_500, "{before} of about 3000: what it did not take was not kept for it");
}

#[tokio::test]
async fn whoever_is_too_slow_to_begin_does_not_hold_the_state_of_then() {
    let fake = Fake::formed();
    fake.apply(grow(1_000));
    for nth in 0..1_000 {
        fake.apply(registration(&format!("w{nth}-{}", "x".repeat(200)), nth));
    }
    let mut slow = Watcher::on(&fake, "").await;
    tokio::task::yield_now().await;
    // The pieces on their way are full; now the history runs past where it began.
    for count in 0..400 {
        fake.apply(grow(1_001 + count));
    }
    let mut told = 0;
    let last = loop {
        let event = slow.next().await.expect("a last word");
        match (event.kind.as_str(), event.data["reason"].as_str()) {
            ("reset", Some("behind")) => break event,
            _ => told += 1,
        }
    };
    assert_eq!(last.id.as_deref(), Some(""), "it begins anew");
    assert!(told < 900, "{told} of about 1000");
    assert!(slow.next().await.is_none(), "nothing follows");
}
