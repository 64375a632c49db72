//! Where keys belong.

use super::*;

const KEYS: u64 = 20_000;

fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|nth| key::hash(format!("user-{nth}").as_bytes()))
}

fn owners(members: Vec<Member<Who>>) -> Vec<Who> {
    let mut core = Core::new(members, options(Strategy::ConsistentHash));
    keys().map(|key| core.pick_by(key).expect("somebody")).collect()
}

/// Members of some weights.
fn mixed(count: u32) -> Vec<Member<Who>> {
    (0..count).map(|nth| Member { weight: [100, 50, 300][nth as usize % 3], ..member(nth) }).collect()
}

#[test]
fn every_node_sends_a_key_to_the_same_endpoint() {
    for count in [1, 2, 3, 10, 300] {
        let expected = owners(mixed(count));
        let mut turned = mixed(count);
        turned.reverse();
        turned.rotate_left(count as usize / 3);
        assert_eq!(owners(turned), expected, "{count}: whatever the order they come in");
    }
    // Whatever the core has seen: neither its rotation nor its load nor its randomness counts.
    let (mut a, mut b) = (Core::even(10, Strategy::SourceIp), Core::even(10, Strategy::SourceIp));
    b.chance = 99;
    b.state = State::new(77);
    b.burst(100);
    assert!(keys().all(|key| a.pick_by(key) == b.pick_by(key)));
}

/// The promise: about one key in n moves, and hardly one that had no reason to.
#[test]
fn when_one_of_n_goes_about_one_key_in_n_moves() {
    for count in [2, 3, 10, 100] {
        let before = owners((0..count).map(member).collect());
        let after = owners((0..count).filter(|nth| *nth != 1).map(member).collect());
        let (mut had_to, mut moved) = (0, 0);
        for (before, after) in before.iter().zip(&after) {
            had_to += u64::from(*before == 1);
            moved += u64::from(before != after);
        }
        assert!(had_to * u64::from(count) < KEYS * 5 / 4, "{count}: its share was {had_to}");
        assert!(moved - had_to < KEYS / 40, "{count}: {moved} moved, {had_to} had to");
        assert!((moved - had_to) < KEYS / u64::from(count), "{count}: {moved} moved, {had_to} had to");
    }
}

#[test]
fn when_one_comes_it_takes_from_all() {
    let before = owners((0..10).map(member).collect());
    let after = owners((0..11).map(member).collect());
    let mut from = BTreeMap::<Who, u32>::new();
    let (mut to_it, mut between_others) = (0u32, 0u32);
    for (before, after) in before.into_iter().zip(after).filter(|(before, after)| before != after) {
        if after == 10 {
            to_it += 1;
            *from.entry(before).or_default() += 1;
        } else {
            between_others += 1;
        }
    }
    assert!(near(to_it, KEYS as u32 / 11, 15), "{to_it}");
    assert!(from.len() == 10 && from.values().all(|share| near(*share, to_it / 10, 60)), "{from:?}");
    assert!(u64::from(between_others) < KEYS / 40, "{between_others}");
}

/// One that is out for a moment: its keys spread over all others, the same on every node, and nobody else's move.
#[test]
fn the_keys_of_one_that_is_out_spread_and_come_back() {
    let (mut all, mut without) =
        (Core::even(10, Strategy::ConsistentHash), Core::even(10, Strategy::ConsistentHash));
    without.ejected = vec![4];
    let mut heirs = BTreeMap::<Who, u32>::new();
    for key in keys() {
        let (before, after) = (all.pick_by(key).expect("all"), without.pick_by(key).expect("others"));
        if before == 4 {
            *heirs.entry(after).or_default() += 1;
        } else {
            assert_eq!(before, after, "it had no reason to move");
        }
    }
    assert!(heirs.len() == 9 && heirs.values().all(|share| near(*share, KEYS as u32 / 90, 40)), "{heirs:?}");
    without.ejected.clear();
    assert!(keys().all(|key| all.pick_by(key) == without.pick_by(key)));
}

/// A heavy one gets slots by its weight however small the others are, and the table is made in reasonable time.
#[test]
fn extreme_weights_do_not_take_for_ever() {
    let weight = |nth| if nth == 0 { 1_000_000 } else { 1 };
    let claims: Vec<_> = (0..10_000).map(|nth| Claim { id: member(nth).id, weight: weight(nth) }).collect();
    let table = Maglev::new(&claims);
    let owned = keys().filter(|key| table.owner(*key) == 0).count() as u32;
    assert!(near(owned, KEYS as u32 * 100 / 101, 1), "{owned}");
}

/// A table is as wide as it has to be, and every member has a slot.
#[test]
fn every_member_has_a_slot() {
    for count in [1, 256, 257, 5_000] {
        let claims: Vec<_> = (0..count).map(|nth| Claim { id: member(nth).id, weight: 100 }).collect();
        let table = Maglev::new(&claims);
        assert_eq!(matches!(table, Maglev::Narrow(_)), count <= 256);
        let mut slots = vec![0u32; count as usize];
        // Each slot once: keys at even distances.
        (0..65_537u128).for_each(|nth| slots[table.owner((((nth << 64) + (1 << 63)) / 65_537) as u64)] += 1);
        let even = 65_537 / count;
        assert!(slots.iter().all(|slots| *slots == even || *slots == even + 1), "{count}");
    }
}

/// Frozen: a node of another version has to send keys to the same endpoints while a cluster is upgraded.
#[test]
fn the_tables_are_frozen() {
    let first = |count: u32| -> Vec<Who> {
        let mut core = Core::new(mixed(count), options(Strategy::ConsistentHash));
        keys().take(16).filter_map(|key| core.pick_by(key)).collect()
    };
    assert_eq!(first(3), FROZEN_3);
    assert_eq!(first(100), FROZEN_100);
}

const FROZEN_3: [Who; 16] = [0, 2, 0, 0, 2, 2, 2, 0, 2, 0, 2, 2, 1, 1, 0, 2];
const FROZEN_100: [Who; 16] = [26, 56, 41, 87, 38, 89, 75, 46, 11, 32, 95, 72, 8, 78, 53, 26];
