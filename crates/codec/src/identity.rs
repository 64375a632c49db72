//! Who a data folder belongs to: a small JSON file that people may read, with a checksum.
//!
//! The format number is read first and alone, so that a node of today says "this folder is from a newer version"
//! instead of "this file is broken".

use crate::error::DecodeError;
use quorate_model::{ClusterId, FeatureLevel, NodeId, NodeName};
use serde::{Deserialize, Serialize};

const WHAT: &str = "the identity file";

/// The newest format of data folders that is known here.
pub const FORMAT: u32 = 1;

/// Who a data folder belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's stable name.
    pub name: NodeName,
    /// Made when the folder was empty.
    pub id: NodeId,
    /// The cluster, once the node belongs to one.
    pub cluster: Option<ClusterId>,
    /// The cluster's level as the node saw it last: a binary that can less must not touch the folder.
    pub level: FeatureLevel,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

/// Ids are text: JSON numbers lose their last digits in many tools.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    node_name: String,
    node_id: String,
    cluster_id: Option<String>,
    /// Only where the cluster has left the first level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature_level: Option<u16>,
    crc32c: String,
}

impl Stored {
    fn checksum(&self) -> u32 {
        let Self { format, node_name, node_id, cluster_id, feature_level, crc32c: _ } = self;
        let cluster = cluster_id.as_deref().unwrap_or("none");
        let level = feature_level.map_or_else(String::new, |level| format!("\n{level}"));
        crc32c::crc32c(format!("{format}\n{node_name}\n{node_id}\n{cluster}{level}").as_bytes())
    }
}

/// The file's content.
pub fn encode(identity: &Identity) -> Vec<u8> {
    let Identity { name, id, cluster, level } = identity;
    let mut stored = Stored {
        format: FORMAT,
        node_name: name.to_string(),
        node_id: format!("{:016x}", id.0),
        cluster_id: cluster.map(|c| c.to_string()),
        feature_level: (*level > FeatureLevel::FIRST).then_some(level.get()),
        crc32c: String::new(),
    };
    stored.crc32c = format!("{:08x}", stored.checksum());
    let mut text = serde_json::to_vec_pretty(&stored).expect("a struct of strings always serialises");
    text.push(b'\n');
    text
}

/// Reads the file's content.
pub fn decode(bytes: &[u8]) -> Result<Identity, DecodeError> {
    let Format { format } = serde_json::from_slice(bytes).map_err(|e| DecodeError::malformed(WHAT, e))?;
    if format != FORMAT {
        return Err(DecodeError::UnknownVersion { what: WHAT, got: format, known: FORMAT });
    }
    let stored: Stored = serde_json::from_slice(bytes).map_err(|e| DecodeError::malformed(WHAT, e))?;
    let got = stored.checksum();
    let want = u32::from_str_radix(&stored.crc32c, 16).map_err(|e| DecodeError::malformed(WHAT, e))?;
    if got != want {
        return Err(DecodeError::Checksum { what: WHAT, part: "the file".into(), got, want });
    }
    let id = u64::from_str_radix(&stored.node_id, 16).map_err(|e| DecodeError::malformed(WHAT, e))?;
    let cluster = stored.cluster_id.map(|c| c.parse()).transpose().map_err(DecodeError::invalid(WHAT))?;
    let name = NodeName::parse(&stored.node_name).map_err(DecodeError::invalid(WHAT))?;
    let level =
        stored.feature_level.map(FeatureLevel::new).transpose().map_err(DecodeError::invalid(WHAT))?;
    Ok(Identity { name, id: NodeId(id), cluster, level: level.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            name: NodeName::parse("n1").unwrap(),
            id: NodeId(0xfeed),
            cluster: Some(ClusterId(7)),
            level: FeatureLevel::FIRST,
        }
    }

    #[test]
    fn an_identity_reads_back() {
        for cluster in [None, Some(ClusterId(u128::MAX))] {
            let identity = Identity { cluster, ..identity() };
            assert_eq!(decode(&encode(&identity)), Ok(identity));
        }
        let later = Identity { level: FeatureLevel::NEWEST, ..identity() };
        assert_eq!(decode(&encode(&later)), Ok(later));
    }

    #[test]
    fn a_newer_format_is_told_from_a_broken_file() {
        let newer = br#"{"format": 2, "who_knows": []}"#;
        assert_eq!(decode(newer), Err(DecodeError::UnknownVersion { what: WHAT, got: 2, known: 1 }));
        assert!(matches!(decode(b"{"), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn no_flipped_bit_gives_another_identity() {
        let good = encode(&identity());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                if let Ok(read) = decode(&bad) {
                    // White space between fields, or the case of a digit, carries nothing.
                    assert_eq!(read, identity(), "bit {bit} of byte {at}");
                }
            }
        }
    }
}
