//! What an operator may decide, with what holds otherwise.
//!
//! Whatever a stranger can make grow has a bound here, and each bound says what happens when it is reached.

pub use crate::extension::{extended::Broadcasts, replay::Bounds, shared::ExtensionSettings};
use crate::origin::Origins;
use quorate_model::SecondLogin;
use quorate_rt::time::Duration;

/// Of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of a user who logs in a second time.
    pub second_login: SecondLogin,
    /// A socket whose last ping is older is closed.
    pub ping_timeout: Duration,
    /// How often that is looked at.
    pub ping_check: Duration,
    /// What waits for a client to take it.
    pub queue: QueueLimits,
    /// What becomes of a client whose queue is full.
    pub slow: SlowConsumer,
    /// Of one frame, without its head. Beyond it: close 1009.
    pub frame_bytes_max: usize,
    /// Of one message, whatever the number of its frames. Beyond it: close 1009.
    pub message_bytes_max: usize,
    /// Of one message. Beyond it: close 1008.
    pub fragments_max: u32,
    /// Frames of one connection.
    pub frames: Rate,
    /// Registrations of one connection that the cluster is asked about: each is a change of the log, and a disk write on
    /// each node.
    pub registers: Rate,
    /// What becomes of a client that sends more of either.
    pub flood: Flood,
    /// Connections of this node. Beyond it: 503.
    pub connections_max: usize,
    /// Connections of one address; `None`: as many as there may be at all. Beyond it: 429.
    pub connections_per_address_max: Option<usize>,
    /// New connections of this node. Beyond it: 503.
    pub accept: Rate,
    /// Where pages may come from that connect; `None`: from anywhere.
    pub origins: Option<Origins>,
    /// Over how long sockets are closed when the node ends.
    pub drain_spread: Duration,
    /// How long that may take altogether.
    pub drain_limit: Duration,
    /// What holds for clients of `quorate.v1`.
    pub extension: ExtensionSettings,
}

/// Bounds of what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// So many messages.
    pub messages_max: usize,
    /// So many bytes; one message has room always.
    pub bytes_max: usize,
}

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a rest.
    pub burst: u32,
}

/// What becomes of a client that takes its messages too slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumer {
    /// It is sent away with 1013. Whoever sends to it is told that it failed.
    #[default]
    Close,
    /// It stays. Whoever sends to it is told that it failed.
    Refuse,
}

/// What becomes of a client that sends too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flood {
    /// Nothing is read from it for as long as it takes.
    #[default]
    Throttle,
    /// It is sent away with 1008.
    Close,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            second_login: SecondLogin::Replace,
            ping_timeout: Duration::from_secs(90),
            ping_check: Duration::from_secs(30),
            queue: QueueLimits { messages_max: 1_024, bytes_max: 4 << 20 },
            slow: SlowConsumer::Close,
            frame_bytes_max: 1 << 20,
            message_bytes_max: 1 << 20,
            fragments_max: 1_024,
            frames: Rate { per_second: 1_000, burst: 2_000 },
            registers: Rate { per_second: 10, burst: 5 },
            flood: Flood::Throttle,
            connections_max: 100_000,
            connections_per_address_max: None,
            accept: Rate { per_second: 5_000, burst: 10_000 },
            origins: None,
            drain_spread: Duration::from_secs(5),
            drain_limit: Duration::from_secs(10),
            extension: ExtensionSettings::default(),
        }
    }
}
