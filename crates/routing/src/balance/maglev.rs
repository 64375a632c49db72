//! Which endpoint a key belongs to: Maglev's table (Eisenbud and others, NSDI 2016).
//!
//! Each member has an order of preference over all slots, which only its id decides. The members take slots in turn,
//! each time the first free one of its order, until none is left. So a table depends on nothing but ids and weights:
//! every node that has them makes the same one, in whatever order they came. When a member goes, its slots are
//! divided among the others, and those keep nearly all that they had: about one key in n moves.
//!
//! The number of slots must not depend on the number of members, or all keys would move when a service grows past
//! a step. So it is 65,537 for up to 32,768 of them; only beyond lies one step. A slot is as narrow as the number of
//! members allows: 64 KiB for a service of up to 256.
//!
//! How many slots each gets is reckoned beforehand, by weight and largest remainder. The original has each take one
//! per round, or skip it by weight, which takes very long where one weight is a million and ten thousand are one.

/// A prime, so that each step of a permutation visits all slots.
const SLOTS: u64 = 65_537;
const MEMBERS_MAX: usize = 32_768;
/// Beyond.
const SLOTS_OF_MANY: u64 = 1_048_573;

/// Who owns each slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Maglev {
    Narrow(Box<[u8]>),
    Middle(Box<[u16]>),
    Wide(Box<[u32]>),
}

/// What decides a member's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The hash of its id.
    pub id: u64,
    /// Not 0.
    pub weight: u32,
}

impl Maglev {
    /// Of at least one member. The order of the claims matters to nobody but the caller, who gets places in it.
    pub fn new(claims: &[Claim]) -> Self {
        let slots = fill(claims);
        if claims.len() <= 1 << 8 {
            Self::Narrow(slots.iter().map(|owner| *owner as u8).collect())
        } else if claims.len() <= 1 << 16 {
            Self::Middle(slots.iter().map(|owner| *owner as u16).collect())
        } else {
            Self::Wide(slots.into())
        }
    }

    /// Whose slot a key falls into.
    pub fn owner(&self, key: u64) -> usize {
        let of = |slots: usize| ((u128::from(key) * slots as u128) >> 64) as usize;
        match self {
            Self::Narrow(slots) => slots[of(slots.len())].into(),
            Self::Middle(slots) => slots[of(slots.len())].into(),
            Self::Wide(slots) => slots[of(slots.len())] as usize,
        }
    }
}

/// A member while slots are handed out.
struct Claimant {
    nth: u32,
    /// The next slot of its order, and how far the one after that is.
    at: u32,
    step: u32,
    /// How many it is to have, and how many it has.
    quota: u32,
    has: u32,
}

fn fill(claims: &[Claim]) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let count = if claims.len() <= MEMBERS_MAX { SLOTS } else { SLOTS_OF_MANY };
    let mut claimants = claimants(claims, count);
    let mut slots = vec![FREE; count as usize];
    let rounds = (count / claims.len() as u64).max(1);
    for round in 1..=rounds {
        for claimant in &mut claimants {
            let due = (u64::from(claimant.quota) * round / rounds) as u32;
            while claimant.has < due {
                while slots[claimant.at as usize] != FREE {
                    claimant.walk(count as u32);
                }
                slots[claimant.at as usize] = claimant.nth;
                claimant.has += 1;
            }
        }
    }
    slots
}

impl Claimant {
    fn walk(&mut self, count: u32) {
        self.at += self.step;
        if self.at >= count {
            self.at -= count;
        }
    }
}

/// In the order of their ids' hashes, with their quotas.
fn claimants(claims: &[Claim], count: u64) -> Vec<Claimant> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by_key(|nth| claims[*nth].id);
    let total: u128 = claims.iter().map(|claim| u128::from(claim.weight)).sum();
    let share = |nth: usize| u128::from(count) * u128::from(claims[nth].weight);
    let mut claimants: Vec<Claimant> = order
        .iter()
        .map(|nth| {
            let id = claims[*nth].id;
            Claimant {
                nth: *nth as u32,
                at: ((id >> 32) % count) as u32,
                step: ((id & 0xffff_ffff) % (count - 1) + 1) as u32,
                quota: (share(*nth) / total) as u32,
                has: 0,
            }
        })
        .collect();
    let given: u64 = claimants.iter().map(|claimant| u64::from(claimant.quota)).sum();
    // Largest remainder first; of equal ones the order decides, which all nodes share.
    let mut by_rest: Vec<usize> = (0..claimants.len()).collect();
    by_rest.sort_by_key(|at| std::cmp::Reverse(share(order[*at]) % total));
    for at in by_rest.into_iter().take((count - given) as usize) {
        claimants[at].quota += 1;
    }
    claimants
}
