use super::*;
use quorate_model::Milli;
use std::collections::BTreeMap;

const TIER: i64 = 20 * POINT;

fn candidate(rank: Rank, weight: u32, standing: i64, who: &'static str) -> Candidate<&'static str> {
    Candidate::new(rank, weight, standing, None).named(who)
}

/// `name`: live, of weight 100 and an ordinary machine.
fn plain(who: &'static str) -> Candidate<&'static str> {
    candidate(Rank::Live, 100, TIER, who)
}

/// How often each is picked, of `draws` requests, one after the other.
fn shares(
    candidates: &Candidates<&'static str>,
    draws: u64,
    outstanding: impl Fn(&&'static str) -> u32,
    tried: &[&str],
) -> BTreeMap<&'static str, u64> {
    let mut shares = BTreeMap::new();
    for nth in 0..draws {
        let ask = Ask { entropy: nth.wrapping_mul(0xd134_2543_de82_ef95), model: None };
        let picked = candidates.pick(ask, &outstanding, |who| tried.contains(who));
        *shares.entry(picked.map_or("nobody", |picked| picked.who)).or_default() += 1;
    }
    shares
}

fn only(
    candidates: &Candidates<&'static str>,
    outstanding: impl Fn(&&'static str) -> u32,
    tried: &[&str],
    expected: &str,
) {
    let shares = shares(candidates, 200, outstanding, tried);
    assert_eq!(shares.keys().copied().collect::<Vec<_>>(), [expected], "{shares:?}");
}

#[test]
fn equals_share_evenly() {
    let candidates = Candidates::new(["a", "b", "c", "d"].map(plain).into());
    let shares = shares(&candidates, 40_000, |_| 0, &[]);
    // Binomial, n = 40,000, p = 1/4: the deviation is 87; the draws are always the same ones.
    assert!(shares.values().all(|share| share.abs_diff(10_000) < 500), "{shares:?}");
}

#[test]
fn weights_divide_the_requests() {
    let weights = [("a", 100), ("b", 50), ("c", 25)];
    let candidates = weights.map(|(who, weight)| candidate(Rank::Live, weight, TIER, who));
    let shares = shares(&Candidates::new(candidates.into()), 35_000, |_| 0, &[]);
    for (who, weight) in weights {
        assert!(shares[who].abs_diff(u64::from(weight) * 200) < 500, "{shares:?}");
    }
}

/// What was given and is not done counts against a worker in proportion to its weight.
#[test]
fn a_burst_spreads_by_weight() {
    let candidates =
        [("big", 300), ("small", 100)].map(|(who, weight)| candidate(Rank::Live, weight, TIER, who));
    let candidates = Candidates::new(candidates.into());
    let given = std::cell::RefCell::new(BTreeMap::<&str, u32>::new());
    for entropy in 0..400 {
        let outstanding = |who: &&'static str| given.borrow().get(who).copied().unwrap_or(0);
        let ask = Ask { entropy, model: None };
        let who = candidates.pick(ask, outstanding, |_| false).expect("somebody").who;
        *given.borrow_mut().entry(who).or_default() += 1;
    }
    let given = given.into_inner();
    assert!(given["big"].abs_diff(300) <= 3 && given["small"].abs_diff(100) <= 3, "{given:?}");
}

#[test]
fn the_suspect_and_the_reserve_wait_for_their_turn() {
    let candidates = Candidates::new(vec![
        candidate(Rank::SuspectReserve, 0, 30 * POINT, "suspect reserve"),
        candidate(Rank::Suspect, 100, 30 * POINT, "suspect"),
        candidate(Rank::LiveReserve, 0, 30 * POINT, "reserve"),
        candidate(Rank::Live, 100, 10 * POINT, "live"),
    ]);
    // However busy it is.
    only(&candidates, |_| 1_000, &[], "live");
    only(&candidates, |_| 0, &["live"], "reserve");
    only(&candidates, |_| 0, &["live", "reserve"], "suspect");
    only(&candidates, |_| 0, &["live", "reserve", "suspect"], "suspect reserve");
    only(&candidates, |_| 0, &["live", "reserve", "suspect", "suspect reserve"], "nobody");
}

#[test]
fn a_higher_score_gets_the_request_until_it_is_busy() {
    let candidates = Candidates::new(vec![
        candidate(Rank::Live, 100, 30 * POINT, "gpu"),
        candidate(Rank::Live, 100, 20 * POINT, "cpu"),
    ]);
    only(&candidates, |_| 0, &[], "gpu");
    // 30 - 5 against 20: equals, and the idle one is taken.
    only(&candidates, |who| u32::from(*who == "gpu"), &[], "cpu");
    // 30 - 15 against 20 - 5: equals, and the one with fewer requests is taken.
    only(&candidates, |who| if *who == "gpu" { 3 } else { 1 }, &[], "cpu");
    only(&candidates, |who| if *who == "gpu" { 3 } else { 4 }, &[], "gpu");
}

#[test]
fn near_scores_are_equals_and_the_least_busy_of_them_is_taken() {
    let candidates = Candidates::new(vec![
        candidate(Rank::Live, 100, TIER, "a"),
        candidate(Rank::Live, 100, TIER - NEAR, "b"),
        candidate(Rank::Live, 100, TIER - NEAR - 1, "c"),
    ]);
    let shares = shares(&candidates, 10_000, |_| 0, &[]);
    assert!(shares["a"].abs_diff(5_000) < 300 && !shares.contains_key("c"), "{shares:?}");
    only(&candidates, |who| u32::from(*who == "a"), &["c"], "b");
}

fn name() -> ServiceName {
    ServiceName::parse("upload").expect("valid")
}

#[test]
fn the_formula_is_the_contracts() {
    let check = |tier, load: Load, outstanding, model, points: i64| {
        let load = Arc::new(load);
        let standing = standing(tier, &name(), Some(&load));
        let candidate = Candidate::new(Rank::Live, 100, standing, Some(&load));
        assert_eq!(candidate.score(outstanding, model), points * POINT, "{tier:?} {load:?}");
    };
    let idle = Load::default;
    check(Tier::Gpu, idle(), 0, None, 30);
    check(Tier::Cpu, idle(), 0, None, 20);
    check(Tier::Storage, idle(), 0, None, 10);
    check(Tier::Cpu, Load { load: Milli::of(0.5), ..idle() }, 0, None, 5);
    check(Tier::Gpu, Load { gpu: Milli::ONE, ..idle() }, 0, None, 10);
    // What it says of a GPU that it hasn't got is no reason.
    check(Tier::Cpu, Load { gpu: Milli::ONE, ..idle() }, 0, None, 20);
    check(Tier::Cpu, idle(), 3, None, 5);
    check(Tier::Cpu, Load { active: 2, ..idle() }, 1, None, 10);
    check(Tier::Cpu, Load { active: 2, ..idle() }, 3, None, 5);
    check(Tier::Cpu, Load { specialization: Some("upload".into()), ..idle() }, 0, None, 70);
    let loaded = || Load { models: vec!["m1".into()], ..idle() };
    check(Tier::Cpu, loaded(), 0, Some("m1"), 120);
    check(Tier::Cpu, loaded(), 0, Some("m2"), 20);
    check(Tier::Cpu, loaded(), 0, None, 20);
    check(Tier::Cpu, Load { specialization: Some("m1".into()), ..loaded() }, 0, Some("m1"), 170);
}

/// Beyond the bound not all are looked at: the choice stays even, and the best are not missed.
#[test]
fn of_very_many_the_best_are_found_and_share_evenly() {
    let many = |count: usize, standing| {
        (0..count).map(move |who| Candidate::new(Rank::Live, 100, standing, None).named((standing, who)))
    };
    let candidates = Candidates::new(many(1_000, TIER).chain(many(3, 30 * POINT)).collect());
    let mut shares = BTreeMap::<_, u64>::new();
    for entropy in 0..3_000u64 {
        let ask = Ask { entropy, model: None };
        *shares.entry(candidates.pick(ask, |_| 0, |_| false).expect("somebody").who).or_default() += 1;
    }
    assert_eq!(shares.len(), 3, "those with a GPU: {shares:?}");
    assert!(shares.values().all(|share| share.abs_diff(1_000) < 150), "{shares:?}");
    // They are busy: the others are found, each of them.
    let mut shares = BTreeMap::<_, u64>::new();
    for entropy in 0..50_000u64 {
        let ask = Ask { entropy, model: None };
        let outstanding = |who: &(i64, usize)| if who.0 > TIER { 9 } else { 0 };
        *shares.entry(candidates.pick(ask, outstanding, |_| false).expect("somebody").who).or_default() += 1;
    }
    assert_eq!(shares.len(), 1_000);
    // Poisson of mean 50: beyond 8 deviations.
    assert!(shares.values().all(|share| share.abs_diff(50) < 56), "{shares:?}");
}

/// Scenario: of eleven thousand workers three have the model, one of them suspect. A random part would miss them nearly
/// always, and each miss has a worker load the model.
#[test]
fn of_very_many_those_with_the_model_are_found() {
    let with = |model: &str| Load { models: vec![model.into()], ..Load::default() };
    let best_at = |model: &str| Load { specialization: Some(model.into()), ..Load::default() };
    let one = |rank, load: Load, who| Candidate::new(rank, 100, TIER, Some(&Arc::new(load))).named(who);
    let mut all: Vec<_> = (0..10_000).map(|_| one(Rank::Live, with("m0"), "other")).collect();
    all.extend((0..1_000).map(|_| one(Rank::Suspect, Load::default(), "late")));
    all.insert(7_000, one(Rank::Live, with("m1"), "a"));
    all.insert(3_000, one(Rank::Live, with("m1"), "b"));
    all.insert(1_000, one(Rank::Suspect, with("m1"), "suspect"));
    all.insert(2_000, one(Rank::Live, best_at("m2"), "best"));
    let candidates = Candidates::new(all);
    let picked = |model, tried: &[&str], busy: u32| {
        let mut shares = BTreeMap::<_, u32>::new();
        for entropy in 0..1_000 {
            let ask = Ask { entropy, model: Some(model) };
            let outstanding = |who: &&str| if ["a", "b"].contains(who) { busy } else { 0 };
            let picked = candidates.pick(ask, outstanding, |who| tried.contains(who));
            *shares.entry(picked.expect("somebody").who).or_default() += 1;
        }
        shares
    };
    let shares = picked("m1", &[], 0);
    assert!(shares.len() == 2 && shares["a"].abs_diff(500) < 80, "{shares:?}");
    assert!(picked("m1", &[], 50).contains_key("other"), "they are busy");
    assert!(picked("m1", &["a", "b", "other", "best"], 0).keys().eq(&["suspect"]));
    assert!(picked("m2", &[], 0).keys().eq(&["best"]));
    assert!(picked("m0", &[], 0).keys().eq(&["other"]), "nearly all have it");
    assert!(picked("m3", &[], 0).contains_key("other"), "nobody has it");
}

/// A request looks at as many as it may, however the parts are filled.
#[test]
fn what_one_part_does_not_fill_the_other_one_takes() {
    for (tops, rest) in [(1, 1_000), (1_000, 1), (40, 30), (32, 33), (1_000, 1_000), (10, 55), (65, 0)] {
        let many = |count: usize, standing| {
            (0..count).map(move |who| Candidate::new(Rank::Live, 100, standing, None).named((standing, who)))
        };
        let candidates = Candidates::new(many(tops, 30 * POINT).chain(many(rest, TIER)).collect());
        let seen = std::cell::RefCell::new(Vec::new());
        let looked = |who: &(i64, usize)| {
            seen.borrow_mut().push(*who);
            0
        };
        candidates.pick(Ask { entropy: 1, model: None }, looked, |_| false).expect("somebody");
        let seen = seen.into_inner();
        assert_eq!(seen.len(), LOOKED_AT, "{tops} and {rest}");
        let of_tops = seen.iter().filter(|who| who.0 > TIER).count();
        let expected = tops.min(LOOKED_AT - rest.min(LOOKED_AT / 2));
        assert_eq!(of_tops, expected, "{tops} and {rest}");
    }
}

#[test]
fn a_model_is_named_by_its_header() {
    let mut headers = HeaderMap::new();
    assert_eq!(wanted_model(&headers), None);
    headers.insert(MODEL, http::HeaderValue::from_static(" m1 "));
    assert_eq!(wanted_model(&headers), Some("m1"));
    headers.insert(MODEL, http::HeaderValue::from_static(""));
    assert_eq!(wanted_model(&headers), None);
}
