//! How two nodes prove to each other that they know the cluster's secret.

use crate::{
    error::DecodeError,
    v1::{VERSION, peer as frozen},
    wire,
};
use quorate_model::{ClusterId, NodeId};

/// Random bytes that are used once.
pub type Nonce = [u8; 32];
/// HMAC-SHA256 over what both sides said.
pub type Mac = [u8; 32];

/// The first thing that a node says on a connection that it dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Who dialled.
    pub from: NodeId,
    /// Whom it wants; `None`: whoever answers there.
    pub to: Option<NodeId>,
    /// The dialler's cluster, once it belongs to one.
    pub cluster: Option<ClusterId>,
    /// The dialler's nonce.
    pub nonce: Nonce,
}

/// The answer to an [`Introduction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Who answers.
    pub id: NodeId,
    /// The listener's cluster, once it belongs to one.
    pub cluster: Option<ClusterId>,
    /// The listener's nonce.
    pub nonce: Nonce,
}

/// Bytes of an introduction.
pub fn encode_introduction(introduction: &Introduction) -> Vec<u8> {
    let Introduction { from, to, cluster, nonce } = introduction;
    let (to, cluster) = (to.map(|id| id.0), cluster.map(|c| c.0));
    wire::encode(VERSION, &frozen::Introduction { from: from.0, to, cluster, nonce: *nonce })
}

/// See [`encode_introduction`].
pub fn decode_introduction(bytes: &[u8]) -> Result<Introduction, DecodeError> {
    let said: frozen::Introduction = wire::decode("an introduction", VERSION, bytes)?;
    Ok(Introduction {
        from: NodeId(said.from),
        to: said.to.map(NodeId),
        cluster: said.cluster.map(ClusterId),
        nonce: said.nonce,
    })
}

/// Bytes of a challenge.
pub fn encode_challenge(challenge: &Challenge) -> Vec<u8> {
    let Challenge { id, cluster, nonce } = challenge;
    wire::encode(VERSION, &frozen::Challenge { id: id.0, cluster: cluster.map(|c| c.0), nonce: *nonce })
}

/// See [`encode_challenge`].
pub fn decode_challenge(bytes: &[u8]) -> Result<Challenge, DecodeError> {
    let said: frozen::Challenge = wire::decode("a challenge", VERSION, bytes)?;
    Ok(Challenge { id: NodeId(said.id), cluster: said.cluster.map(ClusterId), nonce: said.nonce })
}

/// Bytes of a proof.
pub fn encode_proof(mac: &Mac) -> Vec<u8> {
    wire::encode(VERSION, &frozen::Proof { mac: *mac })
}

/// See [`encode_proof`].
pub fn decode_proof(bytes: &[u8]) -> Result<Mac, DecodeError> {
    Ok(wire::decode::<frozen::Proof>("a proof", VERSION, bytes)?.mac)
}
