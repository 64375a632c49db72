//! That a member and its delegate know the same token, without either of them saying it.
//!
//! The token is for routers, or for whatever stands before them. A delegate is another worker, whose address came from
//! outside: to send it the token would be to give it away. So both sides prove by an HMAC over what they say that they
//! know it. A proof is good for one heartbeat: it covers the role's epoch, the lease and the sequence, and sequences
//! must grow, so a recorded one keeps nobody alive. Where a token is configured, what comes without a proof counts for
//! nothing, on either side; without one the group's network is trusted, as it is by routers.

use aws_lc_rs::hmac;
use std::{fmt::Write as _, sync::Arc};

/// How what a member says is told apart from what a delegate answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Member,
    Delegate,
}

/// What both sides speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub worker: &'a str,
    pub epoch: u64,
    pub lease: u64,
    pub sequence: u64,
    /// The member's interval, or when the delegate wants to hear it again.
    pub ms: u64,
}

/// Makes proofs and checks them. Without a key nothing is proven, and nothing asked for.
#[derive(Clone)]
pub(super) struct Prover(Option<Arc<hmac::Key>>);

impl Prover {
    pub fn of(token: Option<&str>) -> Self {
        Self(token.map(|token| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()))))
    }

    pub(super) fn prove(&self, side: Side, said: Said<'_>) -> Option<String> {
        self.0.as_ref().map(|key| hex(hmac::sign(key, &transcript(side, said)).as_ref()))
    }

    /// Whether `proof` is good for `said`.
    pub(super) fn accepts(&self, side: Side, said: Said<'_>, proof: Option<&str>) -> bool {
        let Some(key) = &self.0 else { return true };
        let proof = proof.and_then(unhex);
        proof.is_some_and(|proof| hmac::verify(key, &transcript(side, said), &proof).is_ok())
    }
}

/// Each field with its length or of fixed length: no two things that may be said have one transcript.
fn transcript(side: Side, said: Said<'_>) -> Vec<u8> {
    let title: &[u8; 20] = match side {
        Side::Member => b"quorate delegate v1m",
        Side::Delegate => b"quorate delegate v1d",
    };
    let mut bytes = title.to_vec();
    let length = said.worker.len() as u64;
    for number in [said.epoch, said.lease, said.sequence, said.ms, length] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(said.worker.as_bytes());
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Said<'static> = Said { worker: "m1", epoch: 7, lease: 3, sequence: 9, ms: 500 };

    #[test]
    fn a_proof_is_good_for_one_side_and_what_was_said_alone() {
        let prover = Prover::of(Some("secret"));
        let proof = prover.prove(Side::Member, SAID).expect("there is a token");
        let accepts = |side, said| prover.accepts(side, said, Some(&proof));
        assert!(accepts(Side::Member, SAID));
        assert!(!accepts(Side::Delegate, SAID));
        for other in [
            Said { worker: "m2", ..SAID },
            Said { epoch: 8, ..SAID },
            Said { lease: 4, ..SAID },
            Said { sequence: 10, ..SAID },
            Said { ms: 501, ..SAID },
        ] {
            assert!(!accepts(Side::Member, other), "{other:?}");
        }
        assert!(!Prover::of(Some("other")).accepts(Side::Member, SAID, Some(&proof)));
    }

    #[test]
    fn with_a_token_what_is_not_proven_counts_for_nothing() {
        let prover = Prover::of(Some("secret"));
        for bad in [None, Some(""), Some("zz"), Some("é0"), Some("abc")] {
            assert!(!prover.accepts(Side::Member, SAID, bad), "{bad:?}");
        }
        assert!(Prover::of(None).accepts(Side::Member, SAID, None));
        assert_eq!(Prover::of(None).prove(Side::Member, SAID), None);
    }
}
