//! What one session may take up.

use std::time::Duration;

/// Longest id of a request.
pub const ID_BYTES_MAX: usize = 64;
/// Longest name of a room.
pub const ROOM_BYTES_MAX: usize = 128;
/// Rooms that a session may be in.
pub const ROOMS_MAX: usize = 64;
/// Users that a session may watch.
pub const WATCHED_MAX: usize = 1_000;
/// Ids of requests that are remembered, so that one that comes again is not done again.
pub const IDS_MAX: usize = 256;
/// Deliveries that a replay buffer holds, unless the gateway's settings say otherwise.
pub const REPLAY_MESSAGES: usize = 1_024;
/// Their bytes.
pub const REPLAY_BYTES: usize = 1 << 20;
/// How long a session outlives its socket, unless the gateway's settings say otherwise.
pub const RESUME_WINDOW: Duration = Duration::from_secs(30);
/// Sessions without a socket on one node, unless the gateway's settings say otherwise.
pub const DETACHED_MAX: usize = 20_000;
