use super::*;
use expect_test::expect;

/// In each row: may look, and has a token; may look, and has none; may not look, with and without one.
#[test]
fn the_whole_table() {
    use {Budget::*, Failure::*, Lookup::*};
    let mut table = String::new();
    for failure in [Refused, Unsent, Died, TimedOut, TryTimedOut, BadAnswer] {
        for connection in [Connection::Pooled, Connection::Fresh] {
            for replay in [Replay::Safe, Replay::Unsafe] {
                let row =
                    [(Once, Left), (Once, Spent), (Again, Left), (Again, Spent)].map(|(lookup, budget)| {
                        format!("{:?}", next(Case { failure, connection, replay, lookup, budget }))
                    });
                table += &format!("{failure:?} {connection:?} {replay:?}: {}\n", row.join(", "));
            }
        }
    }
    expect![[r#"
        Refused Pooled Safe: Reconnect, Reconnect, Reconnect, Reconnect
        Refused Pooled Unsafe: Reconnect, Reconnect, Reconnect, Reconnect
        Refused Fresh Safe: LookAgain, LookAgain, GiveUp(Tried), GiveUp(Tried)
        Refused Fresh Unsafe: LookAgain, LookAgain, GiveUp(Tried), GiveUp(Tried)
        Unsent Pooled Safe: Reconnect, Reconnect, Reconnect, Reconnect
        Unsent Pooled Unsafe: Reconnect, Reconnect, Reconnect, Reconnect
        Unsent Fresh Safe: LookAgain, LookAgain, GiveUp(Tried), GiveUp(Tried)
        Unsent Fresh Unsafe: LookAgain, LookAgain, GiveUp(Tried), GiveUp(Tried)
        Died Pooled Safe: Reconnect, Reconnect, Reconnect, Reconnect
        Died Pooled Unsafe: GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable)
        Died Fresh Safe: LookAgain, GiveUp(BudgetSpent), GiveUp(Tried), GiveUp(Tried)
        Died Fresh Unsafe: GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable)
        TimedOut Pooled Safe: GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue)
        TimedOut Pooled Unsafe: GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue)
        TimedOut Fresh Safe: GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue)
        TimedOut Fresh Unsafe: GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue), GiveUp(Overdue)
        TryTimedOut Pooled Safe: LookAgain, GiveUp(BudgetSpent), GiveUp(Tried), GiveUp(Tried)
        TryTimedOut Pooled Unsafe: GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable)
        TryTimedOut Fresh Safe: LookAgain, GiveUp(BudgetSpent), GiveUp(Tried), GiveUp(Tried)
        TryTimedOut Fresh Unsafe: GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable)
        BadAnswer Pooled Safe: LookAgain, GiveUp(BudgetSpent), GiveUp(Tried), GiveUp(Tried)
        BadAnswer Pooled Unsafe: GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable)
        BadAnswer Fresh Safe: LookAgain, GiveUp(BudgetSpent), GiveUp(Tried), GiveUp(Tried)
        BadAnswer Fresh Unsafe: GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable), GiveUp(Unrepeatable)
    "#]].assert_eq(&table);
}

#[test]
fn only_who_was_burdened_is_waited_for() {
    let policy = Policy::default();
    let longest = |failure| [0, 1, 2].map(|nth| policy.wait_ms(failure, nth, u64::MAX));
    assert_eq!(longest(Failure::Refused), [0, 0, 0]);
    assert_eq!(longest(Failure::Unsent), [0, 0, 0]);
    assert_eq!(longest(Failure::Died), [100, 200, 400]);
    assert_eq!(longest(Failure::BadAnswer), [100, 200, 400]);
    assert_eq!(longest(Failure::TryTimedOut), [100, 200, 400]);
}

#[test]
fn a_policy_says_what_is_worth_a_retry() {
    let policy = Policy { on: [502, 503, 504].into(), ..Policy::default() };
    assert_eq!(
        [500, 502, 503, 504, 505].map(|status| policy.lists(status)),
        [false, true, true, true, false]
    );
    assert!(!Policy::default().lists(503), "today's services: whatever was answered is the answer");
    assert!(policy.repeats(&http::Method::GET) && !policy.repeats(&http::Method::POST));
    let all = Policy { repeat: Repeat::All, ..policy };
    assert!(all.repeats(&http::Method::POST));
}

#[test]
fn the_time_to_try_again_comes_from_the_lease() {
    let table = [(30, 2, 10), (90, 2, 30), (6, 2, 2), (3, 1, 1), (1, 1, 1), (100_000, 2, 33_334)];
    for (ttl, live, suspect) in table {
        let ttl = Duration::from_secs(ttl);
        assert_eq!(retry_after(ttl, Others::Live), live, "{ttl:?}");
        assert_eq!(retry_after(ttl, Others::SuspectOnly), suspect, "{ttl:?}");
    }
}

#[test]
fn a_post_is_not_idempotent() {
    for (method, is) in [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)] {
        assert_eq!(is_idempotent(&method.parse().expect("a method")), is, "{method}");
    }
    assert!(!is_idempotent(&"FROBNICATE".parse().expect("a method")), "the unknown is not safe");
}
