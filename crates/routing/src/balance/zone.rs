//! Zone preference: requests stay in the node's own zone for as long as it can carry them.
//!
//! The zone is the label `zone`, of a node and of a worker. A zone carries its fair share, the weight of all
//! divided by the number of zones. It is taken to carry 1.4 times what it has, so all stay at home while at least
//! 71 % of a fair share is there; with less, that part of the requests stays, and the rest spreads over all other
//! zones by weight. So there is no edge at which a zone with few endpoints left is suddenly given everything, or
//! nothing. (Envoy's numbers.)
//!
//! What hashes a key has no preference: a key belongs to one endpoint on every node, in whatever zone the node is.

use super::ramp::WHOLE;

/// How much more than its own a zone can carry, in thousandths.
const OVERPROVISIONED: u64 = 1_400;

/// How many of a thousand requests stay, where the own zone has the weight `own` of those that may be asked, and
/// `all` is what is there in all of `zones` zones, well or not.
pub(super) fn share_that_stays(own: u64, all: u64, zones: usize) -> u32 {
    if all == 0 {
        return WHOLE;
    }
    let carried =
        (u128::from(own) * u128::from(OVERPROVISIONED)).saturating_mul(zones as u128) / u128::from(all);
    carried.min(u128::from(WHOLE)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_carries_a_little_more_than_its_share() {
        // Three zones of 300: all here, 2/3 here, 1/3 here, none here.
        assert_eq!([300, 200, 100, 0].map(|own| share_that_stays(own, 900, 3)), [1_000, 933, 466, 0]);
        assert_eq!(share_that_stays(215, 900, 3), 1_000, "72 % of a share is enough");
        assert_eq!(share_that_stays(100, 100, 1), 1_000);
        assert_eq!(share_that_stays(0, 0, 0), 1_000);
        assert_eq!(share_that_stays(u64::MAX, u64::MAX, usize::MAX), 1_000, "no overflow");
    }
}
