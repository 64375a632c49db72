//! Which services are there, as far as the cluster is told.
//!
//! One that is found is offered at once. One that is offered is withdrawn after two looks in a row that did not find
//! it: a single slow answer must not take a working service out on every node.

/// Looks in a row that must fail before a service is withdrawn.
const MISSES_MAX: u32 = 2;

/// What a look has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is offered from now on.
    Found,
    /// It was missed, and is offered still.
    Missed,
    /// It is offered no more.
    Gone,
}

/// Of each service in the order of the settings, how often it was missed in a row; `None`: it is not offered.
#[derive(Clone, Debug)]
pub struct Presence(Vec<Option<u32>>);

impl Presence {
    /// None of `services` is there.
    pub fn of(services: usize) -> Self {
        Self(vec![None; services])
    }

    /// What a look at the service at `place` has found.
    pub fn observe(&mut self, place: usize, there: bool) -> Change {
        let misses = &mut self.0[place];
        let (now, change) = match (*misses, there) {
            (None, false) => (None, Change::None),
            (None, true) => (Some(0), Change::Found),
            (Some(_), true) => (Some(0), Change::None),
            (Some(before), false) if before + 1 >= MISSES_MAX => (None, Change::Gone),
            (Some(before), false) => (Some(before + 1), Change::Missed),
        };
        *misses = now;
        change
    }

    /// Whether it is offered.
    pub fn is_offered(&self, place: usize) -> bool {
        self.0[place].is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Found, Gone, Missed, None};

    fn check(looks: &str, expected: &[Change]) {
        let mut presence = Presence::of(2);
        let changes: Vec<_> = looks.chars().map(|look| presence.observe(1, look == '+')).collect();
        assert_eq!(changes, expected, "{looks}");
        assert!(!presence.is_offered(0), "nobody has looked at it");
    }

    #[test]
    fn one_look_finds_and_two_in_a_row_lose() {
        check("--", &[None, None]);
        check("++", &[Found, None]);
        check("+-+-+", &[Found, Missed, None, Missed, None]);
        check("+---+", &[Found, Missed, Gone, None, Found]);
    }
}
