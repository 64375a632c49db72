//! What both ends of a tunnel say to each other before and beside its bytes (docs/tunnels.md).

/// What a connection is upgraded to.
pub const PROTOCOL: &str = "quorate-tunnel";
/// The header that says which version of it; of the request.
pub const VERSION_HEADER: &str = "quorate-tunnel-version";
/// The version that this is about.
pub const VERSION: &str = "1";
/// The header that tells the tunnel's epoch; of the 101.
pub const EPOCH: &str = "quorate-tunnel-epoch";
/// The header that says why a stream was refused, or why a node lets go.
pub const REASON: &str = "quorate-tunnel-reason";
/// The path of a node's parting word, by `POST`; any other stream is a `CONNECT`.
pub const GOODBYE: &str = "/goodbye";
