//! Who may speak to the peer listener: whoever knows the cluster's secret, proved once per connection.
//!
//! Whoever reaches a peer listener could otherwise rewrite the cluster with one vote of a high term. So on each
//! connection both sides show that they know the secret, before anything else is heard or said:
//!
//! ```text
//! dialler  → listener   introduction: ids, cluster, nonce
//! listener → dialler    challenge: id, cluster, nonce          (nothing is shown yet)
//! dialler  → listener   HMAC-SHA256(secret, "dialler"  + all of the above)
//! listener → dialler    HMAC-SHA256(secret, "listener" + all of the above), or 401
//! ```
//!
//! Both nonces are new for each connection, so a recording is worth nothing on another one. The label of the side
//! keeps a proof from being sent back to its maker, the ids keep it from being used at or by another node, and
//! what each side said of its cluster is bound as well: nobody can strip it on the way. The dialler goes first,
//! so that a stranger who merely connects is given nothing to guess against.
//!
//! What this is not: encryption. It keeps strangers out who can reach the port; it does not keep out somebody who
//! sits on the path between two nodes and takes over a connection after its proof. Peers speak over a network
//! that only they are on.

use super::wire::{Challenge, Introduction, Mac, Nonce};
use aws_lc_rs::hmac;
use quorate_model::ClusterId;
use quorate_rt::rng;
use std::fmt;

/// Shorter secrets can be guessed.
pub const SECRET_BYTES_MIN: usize = 32;
/// The version of what is proved over; a new shape is a new label.
const LABEL: &[u8] = b"quorate peer proof v1\0";

/// What all nodes of a cluster know, and nobody else. It never travels, and `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A secret that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got} bytes; allowed: at least {SECRET_BYTES_MIN} bytes")]
pub struct TooShort {
    /// How many bytes there were.
    pub got: usize,
}

/// Which side of a connection proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that dialled.
    Dialler,
    /// The one that listens.
    Listener,
}

/// What two nodes told each other on one connection: what they prove over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What the dialler said.
    pub introduction: Introduction,
    /// What the listener said.
    pub challenge: Challenge,
}

/// The proof was made with another secret, for another side or another exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not fit our cluster secret")]
pub struct WrongProof;

impl Secret {
    /// From the secret's bytes, which must be at least [`SECRET_BYTES_MIN`].
    pub fn new(bytes: &[u8]) -> Result<Self, TooShort> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(TooShort { got: bytes.len() });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Shows that `side` knows the secret.
    pub fn prove(&self, side: Side, exchange: &Exchange) -> Mac {
        let tag = hmac::sign(&self.0, &transcript(side, exchange));
        tag.as_ref().try_into().expect("SHA-256 makes 32 bytes")
    }

    /// Whether `mac` shows that `side` knows the secret; takes the same time whatever is wrong with it.
    pub fn verify(&self, side: Side, exchange: &Exchange, mac: &Mac) -> Result<(), WrongProof> {
        hmac::verify(&self.0, &transcript(side, exchange), mac).map_err(|_| WrongProof)
    }
}

/// A new nonce.
pub fn nonce() -> Nonce {
    let mut nonce = Nonce::default();
    for chunk in nonce.chunks_mut(8) {
        chunk.copy_from_slice(&rng::random_u64().to_le_bytes());
    }
    nonce
}

/// Every part has a fixed length, so that no two exchanges have one transcript.
fn transcript(side: Side, exchange: &Exchange) -> Vec<u8> {
    let Exchange { introduction, challenge } = exchange;
    let mut bytes = LABEL.to_vec();
    bytes.push(match side {
        Side::Dialler => 1,
        Side::Listener => 2,
    });
    bytes.extend(introduction.from.0.to_le_bytes());
    bytes.extend(challenge.id.0.to_le_bytes());
    bytes.extend(optional(introduction.to.map(|to| u128::from(to.0))));
    bytes.extend(optional(introduction.cluster.map(|c| c.0)));
    bytes.extend(optional(challenge.cluster.map(|c| c.0)));
    bytes.extend(introduction.nonce);
    bytes.extend(challenge.nonce);
    bytes
}

fn optional(value: Option<u128>) -> [u8; 17] {
    let mut bytes = [0; 17];
    if let Some(value) = value {
        bytes[0] = 1;
        bytes[1..].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Whether both sides know their cluster and it is not one.
pub fn clusters_differ(ours: Option<ClusterId>, theirs: Option<ClusterId>) -> bool {
    matches!((ours, theirs), (Some(ours), Some(theirs)) if ours != theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::NodeId;

    fn secret(byte: u8) -> Secret {
        Secret::new(&[byte; SECRET_BYTES_MIN]).expect("long enough")
    }

    fn exchange() -> Exchange {
        let cluster = Some(ClusterId(9));
        Exchange {
            introduction: Introduction { from: NodeId(1), to: Some(NodeId(2)), cluster, nonce: [3; 32] },
            challenge: Challenge { id: NodeId(2), cluster, nonce: [4; 32] },
        }
    }

    /// Everything that is bound, each changed alone.
    fn others() -> Vec<(&'static str, Exchange)> {
        let changed = |what, change: fn(&mut Exchange)| {
            let mut other = exchange();
            change(&mut other);
            (what, other)
        };
        vec![
            changed("sender", |e| e.introduction.from = NodeId(5)),
            changed("recipient", |e| e.challenge.id = NodeId(5)),
            changed("wanted recipient", |e| e.introduction.to = None),
            changed("sender's cluster", |e| e.introduction.cluster = None),
            changed("recipient's cluster", |e| e.challenge.cluster = Some(ClusterId(8))),
            changed("sender's nonce", |e| e.introduction.nonce[31] ^= 1),
            changed("recipient's nonce", |e| e.challenge.nonce[0] ^= 1),
        ]
    }

    #[test]
    fn the_right_proof_is_taken() {
        for side in [Side::Dialler, Side::Listener] {
            let mac = secret(1).prove(side, &exchange());
            assert_eq!(secret(1).verify(side, &exchange(), &mac), Ok(()));
        }
    }

    #[test]
    fn a_proof_by_another_secret_or_for_the_other_side_is_refused() {
        let mac = secret(1).prove(Side::Dialler, &exchange());
        assert_eq!(secret(2).verify(Side::Dialler, &exchange(), &mac), Err(WrongProof));
        assert_eq!(secret(1).verify(Side::Listener, &exchange(), &mac), Err(WrongProof));
    }

    #[test]
    fn a_proof_for_anything_else_is_refused() {
        let mac = secret(1).prove(Side::Dialler, &exchange());
        for (what, other) in others() {
            assert_eq!(secret(1).verify(Side::Dialler, &other, &mac), Err(WrongProof), "{what}");
        }
    }

    #[test]
    fn a_damaged_proof_is_refused() {
        let mac = secret(1).prove(Side::Dialler, &exchange());
        for at in 0..mac.len() {
            let mut damaged = mac;
            damaged[at] ^= 1;
            assert_eq!(secret(1).verify(Side::Dialler, &exchange(), &damaged), Err(WrongProof), "byte {at}");
        }
    }

    #[test]
    fn the_proof_of_version_1_is_frozen() {
        let hex = |mac: Mac| mac.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let macs = [Side::Dialler, Side::Listener].map(|side| hex(secret(1).prove(side, &exchange())));
        expect_test::expect![[r#"
            1a02eb59b4cce4016d72f1b993363fcb56025e59338d6725854a5fed8f02cb01
            aaf7f86c68421ea03cbacc4d1118ef4f58fb28513257b9e989f092dad44c5b11"#]]
        .assert_eq(&macs.join("\n"));
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        assert_eq!(Secret::new(&[7; 31]).map(|_| ()), Err(TooShort { got: 31 }));
        assert_eq!(format!("{:?}", secret(7)), "Secret(..)");
    }
}
