//! The whole life of a lease in one table: what each event makes of each lifecycle, at 9 s.

mod support;

use expect_test::expect;
use quorate_model::{LeaseEvent, Lifecycle, LogTime};
use quorate_state::apply::leases::next;
use support::picture;

#[test]
fn every_event_in_every_state() {
    let at = LogTime(1_000);
    let lifecycles = [
        Lifecycle::Live,
        Lifecycle::Suspect { since: at },
        Lifecycle::Expired { at },
        Lifecycle::Displaced { at },
        Lifecycle::Unregistered { at },
    ];
    let events = [LeaseEvent::Suspected, LeaseEvent::Recovered, LeaseEvent::Expired, LeaseEvent::Revived];
    let mut table = String::new();
    for lifecycle in &lifecycles {
        for event in events {
            let then = next(lifecycle, event, LogTime(9_000));
            let then = then.map_or("-".into(), |l| picture::lifecycle(&l));
            table.push_str(&format!("{:<20} {event:<10?} {then}\n", picture::lifecycle(lifecycle)));
        }
    }
    expect![[r#"
        live                 Suspected suspect since 9s
        live                 Recovered -
        live                 Expired expired at 9s
        live                 Revived -
        suspect since 1s     Suspected -
        suspect since 1s     Recovered live
        suspect since 1s     Expired expired at 9s
        suspect since 1s     Revived -
        expired at 1s        Suspected -
        expired at 1s        Recovered -
        expired at 1s        Expired -
        expired at 1s        Revived live
        displaced at 1s      Suspected -
        displaced at 1s      Recovered -
        displaced at 1s      Expired -
        displaced at 1s      Revived -
        unregistered at 1s   Suspected -
        unregistered at 1s   Recovered -
        unregistered at 1s   Expired -
        unregistered at 1s   Revived -
    "#]]
    .assert_eq(&table);
}
