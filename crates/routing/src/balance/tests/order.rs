//! Who is asked at all, and before whom.

use super::*;

#[test]
fn the_suspect_and_the_reserve_wait_for_their_turn() {
    for strategy in ALL {
        let members = vec![
            Member { rank: Rank::SuspectReserve, weight: 0, ..member(3) },
            Member { rank: Rank::Suspect, weight: 1_000, ..member(2) },
            Member { rank: Rank::LiveReserve, weight: 0, ..member(1) },
            Member { rank: Rank::Live, weight: 1, ..member(0) },
        ];
        let mut core = Core::new(members, options(strategy));
        // However busy and slow it is.
        core.in_flight = RefCell::new([(0, 1_000)].into());
        core.latency = [(0, 10_000_000), (1, 1), (2, 1), (3, 1)].into();
        for expected in [Some(0), Some(1), Some(2), Some(3), None] {
            assert!((0..50).all(|_| core.pick() == expected), "{strategy:?}: {expected:?}");
            core.out.extend(expected);
        }
    }
}

#[test]
fn those_in_reserve_share_evenly() {
    for strategy in ALL {
        let members =
            (0..4).map(|nth| Member { rank: Rank::LiveReserve, weight: 0, ..member(nth) }).collect();
        let shares = Core::new(members, options(strategy)).shares(20_000);
        assert!(shares.values().all(|share| near(*share, 5_000, 8)), "{strategy:?}: {shares:?}");
    }
}

#[test]
fn who_has_failed_is_not_asked_again_and_all_others_are() {
    for strategy in ALL {
        for count in [1, 2, 3, 30, 300] {
            let mut core = Core::even(count, strategy);
            let key = key::hash(b"one request");
            for nth in 0..count {
                let who = core.pick_by(key).expect("somebody is left");
                assert!(!core.out.contains(&who), "{strategy:?}: {who} for the second time, as number {nth}");
                core.out.push(who);
            }
            assert_eq!(core.pick_by(key), None, "{strategy:?}");
        }
    }
}

#[test]
fn nobody_is_there() {
    for strategy in ALL {
        assert_eq!(Core::even(0, strategy).pick(), None);
    }
}

#[test]
fn the_ejected_get_nothing_but_in_a_panic() {
    for strategy in ALL {
        let mut core = Core::even(10, strategy);
        core.ejected = (0..5).collect();
        assert_eq!(core.table.mode(5), Mode::Calm, "half of them");
        let shares = core.shares(10_000);
        assert!(shares.keys().all(|who| *who >= 5) && shares.len() == 5, "{strategy:?}: {shares:?}");
        assert!(shares.values().all(|share| near(*share, 2_000, 15)), "{strategy:?}: {shares:?}");
        core.ejected.push(5);
        assert_eq!(core.table.mode(6), Mode::Panic);
        core.mode = Mode::Panic;
        let shares = core.shares(10_000);
        assert!(
            shares.values().all(|share| near(*share, 1_000, 20)) && shares.len() == 10,
            "{strategy:?}: {shares:?}"
        );
        // Who has failed this very request stays out.
        core.out = vec![3];
        assert!(!core.shares(1_000).contains_key(&3));
    }
}

/// Both kinds of ejection count together: that of the checks, which all nodes share, and the core's own.
#[test]
fn verdicts_count_for_the_panic_too() {
    for strategy in ALL {
        let verdict = |nth| if nth < 4 { Verdict::Unhealthy } else { Verdict::Healthy };
        let members = (0..10).map(|nth| Member { verdict: verdict(nth), ..member(nth) }).collect();
        let mut core = Core::new(members, options(strategy));
        assert_eq!(
            (core.table.unwell(), core.table.mode(1), core.table.mode(2)),
            (4, Mode::Calm, Mode::Panic)
        );
        assert!(core.shares(2_000).keys().all(|who| *who >= 4), "{strategy:?}");
        core.mode = Mode::Panic;
        assert_eq!(core.shares(5_000).len(), 10, "{strategy:?}");
    }
}

/// A pick never returns to what the table no longer has: state of an older table is not used.
#[test]
fn state_of_another_table_is_made_anew() {
    let mut core = Core::even(10, Strategy::RoundRobin);
    core.shares(25);
    core.table = Table::new((0..3).map(member).collect(), options(Strategy::RoundRobin));
    assert_eq!(core.shares(30), [(0, 10), (1, 10), (2, 10)].into());
}
