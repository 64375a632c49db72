//! How requests are divided.

use super::*;

#[test]
fn equals_share_evenly_by_every_strategy() {
    for strategy in ALL {
        let shares = Core::even(10, strategy).shares(50_000);
        // Binomial, n = 50,000, p = 1/10: the deviation is 67, or 1.3 %; a hash table's slots differ by one in 6,553.
        assert!(
            shares.len() == 10 && shares.values().all(|share| near(*share, 5_000, 8)),
            "{strategy:?}: {shares:?}"
        );
    }
}

#[test]
fn weights_divide_the_requests_by_every_strategy() {
    let weights = [100, 50, 25, 200, 25];
    for strategy in ALL {
        let members =
            weights.iter().enumerate().map(|(nth, weight)| Member { weight: *weight, ..member(nth as u32) });
        let shares = Core::new(members.collect(), options(strategy)).shares(80_000);
        for (nth, weight) in weights.iter().enumerate() {
            assert!(near(shares[&(nth as u32)], weight * 200, 8), "{strategy:?}: {shares:?}");
        }
    }
}

/// Also where a choice among all is none any more.
#[test]
fn weights_divide_the_requests_among_many() {
    for strategy in ALL {
        let members =
            (0..1_000).map(|nth| Member { weight: if nth < 100 { 900 } else { 100 }, ..member(nth) });
        let shares = Core::new(members.collect(), options(strategy)).shares(30_000);
        let heavy: u32 = shares.range(..100).map(|(_, share)| share).sum();
        assert!(near(heavy, 15_000, 6), "{strategy:?}: {heavy}");
        assert!(shares.len() > 950, "{strategy:?}: {} of 1,000 are asked", shares.len());
    }
}

#[test]
fn a_burst_spreads_by_weight() {
    for strategy in [Strategy::RoundRobin, Strategy::LeastConnections, Strategy::PeakEwma] {
        let members =
            [300, 100, 200].into_iter().zip(0..).map(|(weight, nth)| Member { weight, ..member(nth) });
        let given = Core::new(members.collect(), options(strategy)).burst(6_000);
        for (nth, expected) in [(0, 3_000), (1, 1_000), (2, 2_000)] {
            assert!(near(given[&nth], expected, 2), "{strategy:?}: {given:?}");
        }
    }
}

/// What two choices are for: the most loaded one stays near the mean, where one choice leaves it far above.
#[test]
fn of_two_the_better_keeps_the_largest_near_the_mean() {
    let largest = |given: BTreeMap<Who, u32>| given.values().copied().max().expect("some");
    for (members, each) in [(100, 10), (100, 100), (1_000, 5)] {
        let p2c = largest(Core::even(members, Strategy::PeakEwma).burst(members * each));
        assert!(p2c <= each + 4, "{members} x {each}: {p2c}");
        let least = largest(Core::even(members, Strategy::LeastConnections).burst(members * each));
        assert!(least <= each + 1, "{members} x {each}: {least}");
        let mut chance = 3;
        let mut random = BTreeMap::<Who, u32>::new();
        for _ in 0..members * each {
            *random
                .entry(crate::pick::below(next_random(&mut chance), members as usize) as u32)
                .or_default() += 1;
        }
        assert!(largest(random) > p2c, "{members} x {each}: chance alone is worse");
    }
}

/// A closed loop: 30 clients, ten endpoints of which one takes ten times as long.
fn run(strategy: Strategy, slow_after: u64) -> BTreeMap<Who, u32> {
    let mut core = Core::even(10, strategy);
    let mut ewma = [ewma::PeakEwma::UNKNOWN; 10];
    let (mut open, mut done) = (Vec::<(u64, Who, u32)>::new(), BTreeMap::<Who, u32>::new());
    for now in 0..20_000u64 {
        core.now_ms = now;
        open.retain(|(until, who, took)| {
            if *until <= now {
                ewma[*who as usize].answered(*took, now);
                *core.in_flight.get_mut().entry(*who).or_default() -= 1;
                *done.entry(*who).or_default() += 1;
            }
            *until > now
        });
        core.latency = (0..).zip(&ewma).filter_map(|(who, ewma)| Some((who, ewma.read(now)?))).collect();
        while open.len() < 30 {
            let who = core.give();
            let ms = if who == 0 && now >= slow_after { 100 } else { 10 };
            open.push((now + ms, who, ms as u32 * 1_000));
        }
    }
    done
}

#[test]
fn a_slow_endpoint_gets_less() {
    let (rr, p2c) = (run(Strategy::RoundRobin, 0), run(Strategy::PeakEwma, 0));
    let total = |done: &BTreeMap<Who, u32>| done.values().sum::<u32>();
    assert!(near(rr[&0] * 10, total(&rr), 5), "in turn, the slow one holds all up: {rr:?}");
    assert!(p2c[&0] * 50 < total(&p2c), "a fifth of its share at most: {p2c:?}");
    assert!(total(&p2c) > 3 * total(&rr) / 2, "{} against {}", total(&p2c), total(&rr));
    // The others share evenly, and it is not forgotten.
    let others = (total(&p2c) - p2c[&0]) / 9;
    assert!((1..10).all(|who| near(p2c[&who], others, 10)) && p2c[&0] > 0, "{p2c:?}");
}

/// Scenario: it answers well for ten seconds, and then it does not. What it was is soon forgotten.
#[test]
fn an_endpoint_that_becomes_slow_loses_its_share() {
    let (always, late) = (run(Strategy::PeakEwma, 0), run(Strategy::PeakEwma, 10_000));
    let (whole, never) = (late[&1], always[&0]);
    assert!(late[&0] < whole / 2 + whole / 10 + never, "{late:?}");
}

/// Two of one speed, one of them a hair faster: weights still decide.
#[test]
fn a_hairs_breadth_of_latency_decides_nothing() {
    let mut core = Core::even(2, Strategy::PeakEwma);
    core.latency = [(0, 10_000), (1, 11_000)].into();
    let shares = core.shares(20_000);
    assert!(near(shares[&0], 10_000, 5), "{shares:?}");
    core.latency = [(0, 10_000), (1, 20_000)].into();
    assert_eq!(core.shares(1_000), [(0, 1_000)].into(), "twice as slow is no hair");
}

#[test]
fn a_fresh_endpoint_begins_with_a_tenth() {
    for strategy in [Strategy::RoundRobin, Strategy::LeastConnections, Strategy::PeakEwma] {
        for count in
            [2u32, 5, 70].into_iter().filter(|count| *count < 65 || strategy != Strategy::LeastConnections)
        {
            let mut members: Vec<_> = (0..count).map(member).collect();
            members[0].since_ms = Some(1_000_000);
            let mut core = Core::new(members, Options { slow_start_ms: 10_000, ..options(strategy) });
            let mut before = 0;
            for (after, permille) in [(0, 100u64), (5_000, 550), (10_000, 1_000), (60_000, 1_000)] {
                core.now_ms = 1_000_000 + after;
                let requests = count * 2_000;
                let share = core.shares(requests).get(&0).copied().unwrap_or(0);
                let weight = permille;
                let expected = u64::from(requests) * weight / (u64::from(count - 1) * 1_000 + weight);
                assert!(
                    near(share, expected as u32, 25),
                    "{strategy:?}, {count}, {after}: {share}, not {expected}"
                );
                assert!(share + share / 4 > before, "it never shrinks");
                before = share;
            }
        }
    }
}

/// All are fresh after a rollout: they share as ever.
#[test]
fn where_all_are_fresh_none_is() {
    for strategy in ALL {
        let members = (0..4).map(|nth| Member { since_ms: Some(1_000_000), ..member(nth) }).collect();
        let mut core = Core::new(members, Options { slow_start_ms: 60_000, ..options(strategy) });
        let shares = core.shares(20_000);
        assert!(shares.values().all(|share| near(*share, 5_000, 8)), "{strategy:?}: {shares:?}");
        if strategy == Strategy::PeakEwma {
            let given = core.burst(4_000);
            assert!(given.values().all(|given| near(*given, 1_000, 1)), "two are compared: {given:?}");
        }
    }
}

#[test]
fn requests_stay_in_their_zone_while_it_can_carry_them() {
    let (home, away, third) = (Some(1), Some(2), Some(3));
    let zones = |own: u32| {
        let at_home = (0..own).map(|nth| Member { zone: home, ..member(nth) });
        let others = (10..13).map(|nth| Member { zone: away, ..member(nth) });
        at_home
            .chain(others)
            .chain((20..23).map(|nth| Member { zone: third, ..member(nth) }))
            .collect::<Vec<_>>()
    };
    for strategy in [Strategy::RoundRobin, Strategy::LeastConnections, Strategy::PeakEwma] {
        let at_home = |own| {
            let mut core = Core::new(zones(own), Options { zone: home, ..options(strategy) });
            let shares = core.shares(20_000);
            shares.range(..10).map(|(_, share)| share).sum::<u32>()
        };
        assert_eq!(at_home(3), 20_000, "{strategy:?}");
        // One of seven, and three zones: 3/7 of a share, times 1.4.
        assert!(near(at_home(1), 12_000, 5), "{strategy:?}: {}", at_home(1));
        assert_eq!(at_home(0), 0);
        // Those at home fail one after the other: the others take over.
        let mut core = Core::new(zones(3), Options { zone: home, ..options(strategy) });
        core.out = vec![0, 1, 2];
        assert!(core.pick().is_some_and(|who| who >= 10));
        // Nobody prefers anything.
        let shares = Core::new(zones(3), options(strategy)).shares(9_000);
        assert!(shares.values().all(|share| near(*share, 1_000, 15)), "{strategy:?}: {shares:?}");
    }
    // A key belongs to one endpoint, wherever it is asked for.
    let mut here = Core::new(zones(3), Options { zone: home, ..options(Strategy::ConsistentHash) });
    let mut there = Core::new(zones(3), Options { zone: away, ..options(Strategy::ConsistentHash) });
    assert!((0..1_000).map(|nth| key::hash(&[nth as u8])).all(|key| here.pick_by(key) == there.pick_by(key)));
}
