//! The one way from a frozen struct to bytes and back: a version byte, then bincode.
//!
//! `bincode::{serialize, deserialize}` are banned by clippy. Plain `deserialize` drops an unknown trailing field
//! in silence; a node that read an entry of a newer version so would apply less than the others did, and the
//! replicas would differ from there on. Here trailing bytes are an error, and a struct never changes: a new shape
//! is a new version.

use crate::error::DecodeError;
use bincode::{DefaultOptions, Options};
use serde::{Serialize, de::DeserializeOwned};

/// Most bytes of one message or record; larger ones are refused unread. Whoever makes entries keeps them well
/// below ([`crate::proposal::ENTRY_BYTES_MAX`]), since an entry that can't be read back stops every node.
pub const BYTES_MAX: usize = 64 << 20;

fn options() -> impl Options {
    DefaultOptions::new().with_fixint_encoding().with_limit(BYTES_MAX as u64).reject_trailing_bytes()
}

/// `version`, then the value.
pub(crate) fn encode<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![version];
    // Without the limit: encoding never fails, so that no caller has to invent what a lost message means. The
    // reader enforces the limit, and whoever makes messages keeps away from it.
    options()
        .with_no_limit()
        .serialize_into(&mut bytes, value)
        .expect("plain structs of numbers, strings and lists always serialise into memory");
    bytes
}

/// Reads what [`encode`] wrote, if it is of version `known`. `what` names it in errors.
pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    known: u8,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let (&got, body) = bytes.split_first().ok_or(DecodeError::Empty { what })?;
    if got != known {
        return Err(DecodeError::UnknownVersion { what, got: got.into(), known: known.into() });
    }
    if body.len() > BYTES_MAX {
        return Err(DecodeError::malformed(
            what,
            format!("it has {} bytes; at most {BYTES_MAX} are read", body.len()),
        ));
    }
    options().deserialize(body).map_err(|e| DecodeError::malformed(what, e))
}

/// [`decode`], then into the model's type, which checks every value again.
pub(crate) fn decode_into<W, T>(what: &'static str, known: u8, bytes: &[u8]) -> Result<T, DecodeError>
where
    W: DeserializeOwned,
    T: TryFrom<W, Error = quorate_model::Invalid>,
{
    T::try_from(decode::<W>(what, known, bytes)?).map_err(DecodeError::invalid(what))
}

/// How many bytes [`encode`] makes of the value, the version apart.
pub(crate) fn len<T: Serialize>(value: &T) -> usize {
    let bytes = options().with_no_limit().serialized_size(value);
    usize::try_from(bytes.expect("plain structs of numbers, strings and lists have a size"))
        .unwrap_or(usize::MAX)
}
