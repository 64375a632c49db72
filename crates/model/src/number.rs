//! Numbers that must not be mixed up: log indexes, epochs, log time, random ids.

use crate::{limit, name::Invalid};
use std::{fmt, str::FromStr, time::Duration};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// Position in the replicated log; the first entry is 1, 0 means "nothing applied yet".
    LogIndex(u64)
);
number!(
    /// The fencing token of a lease: the log index at which a worker was registered or revived, moved up where
    /// one entry grants several, so that a later grant is always larger than every earlier one.
    Epoch(u64)
);
number!(
    /// Milliseconds since 1970-01-01 UTC as the leader's clock said, made monotonic by `apply`. For display and
    /// retention only, never to order writes.
    LogTime(u64)
);
number!(
    /// A random id that a node makes when its disk is empty.
    NodeId(u64)
);
number!(
    /// A random id that a node makes at each start, so that its proposals of two lives never meet.
    BootId(u64)
);
number!(
    /// A random id of one restore from a backup, so that the steps of two of them never mix.
    RestoreId(u64)
);
number!(
    /// A partition of a keyspace. Signed, since the original dialect accepts any 32-bit number.
    Partition(i32)
);

/// A random id of the whole cluster, made once by the node that forms it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClusterId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("cluster_id", crate::name::excerpt(text), "32 hexadecimal digits");
        if text.len() != 32 {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| wrong())
    }
}

/// How long a lease lasts after its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u64);

impl Ttl {
    /// Checks the bounds ([`limit::TTL_MS_MIN`], [`limit::TTL_MS_MAX`]).
    pub fn new(duration: Duration) -> Result<Self, Invalid> {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if (limit::TTL_MS_MIN..=limit::TTL_MS_MAX).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(Invalid::new("ttl", format!("is {ms} ms"), "1s to 24h"))
        }
    }

    /// In milliseconds.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// As a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_reads_back() {
        let id = ClusterId(0xfeed_0000_0000_0000_0000_0000_0000_0001);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("xyz".parse::<ClusterId>().is_err());
    }

    #[test]
    fn a_ttl_has_bounds() {
        assert!(Ttl::new(Duration::from_millis(999)).is_err());
        assert!(Ttl::new(Duration::from_secs(1)).is_ok());
        assert!(Ttl::new(Duration::from_secs(86_401)).is_err());
    }
}
