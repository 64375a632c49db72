//! Who of the users of the WebSocket gateway is connected where.
//!
//! A *session* is one registered connection of one user. Whatever is said of it names the epoch that it was granted in
//! the log's order, so that what comes late never hits one that came since.

use crate::{
    limit,
    name::{Invalid, excerpt},
    number::{Epoch, LogTime},
    presence::Gateway,
};
use std::{fmt, str::FromStr, sync::Arc};

/// Who a client of the WebSocket gateway says it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Parses; the error is about the field `userId`. Spaces are letters like others: the original takes whatever is not
    /// empty.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let problem = match text {
            "" => "is empty".to_owned(),
            text if text.len() > limit::USER_ID_BYTES_MAX => format!("is {} bytes long", text.len()),
            text if text.chars().any(char::is_control) => {
                format!("{} has a control character", excerpt(text))
            }
            text => return Ok(Self(text.into())),
        };
        let allowed = format!("1 to {} bytes without control characters", limit::USER_ID_BYTES_MAX);
        Err(Invalid::new("userId", problem, allowed))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::borrow::Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A connection to a gateway: a UUID of version 4 (RFC 9562), made by the gateway.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u128);

impl ConnectionId {
    /// Of random bits; version and variant are put in their places.
    pub fn from_random(random: u128) -> Self {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0x3 << 62;
        Self(random & !VERSION & !VARIANT | 0x4 << 76 | 0x2 << 62)
    }

    /// As a number, as it was made of.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// As a number.
    pub fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConnectionId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let dashes = [8, 13, 18, 23];
        let is_uuid = text.len() == 36
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
        let bits = is_uuid.then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok()).flatten();
        bits.map(Self).ok_or_else(|| {
            Invalid::new(
                "connection",
                format!("is {}", excerpt(text)),
                "a UUID such as 8 hex digits, -, 4, -, 4, -, 4, -, 12",
            )
        })
    }
}

/// What becomes of a user's sessions when the user logs in again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondLogin {
    /// The new one takes the place of all others.
    #[default]
    Replace,
    /// The new one is refused.
    Reject,
    /// They stand side by side.
    Many,
}

/// One registered connection of one user. It never changes: whoever logs in again has another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: UserId,
    /// The lease by which it is there, and the node that it hangs on.
    pub gateway: Arc<Gateway>,
    /// Which connection of that node.
    pub connection: ConnectionId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Since when.
    pub since: LogTime,
}

impl Session {
    /// About how many bytes it keeps in memory by itself.
    pub fn weight(&self) -> usize {
        const EACH: usize = size_of::<Session>() + 5 * size_of::<usize>();
        EACH + self.user.as_str().len()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, gateway, connection, epoch, since } = self;
        write!(f, "{user:?} {epoch} on {}/{} as {connection} since {since:?}", gateway.node, gateway.epoch)
    }
}

/// What happens to one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// A user registers.
    Open {
        /// Who.
        user: UserId,
        /// By which connection. One that is registered already takes its own place, whatever the policy: it never
        /// stands in its own way.
        connection: ConnectionId,
        /// What becomes of the user's other sessions.
        second: SecondLogin,
    },
    /// A connection is gone.
    Close {
        /// Which session it was; void unless it hangs on the gateway that says so.
        epoch: Epoch,
    },
}

/// What came of a change of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutcome {
    /// It is registered.
    Opened {
        /// Its fencing token.
        epoch: Epoch,
    },
    /// The user is connected already, and was not to be let in a second time.
    Taken,
    /// There is no room.
    Full {
        /// How many sessions stand: of the user, or of all.
        stand: u32,
    },
    /// It is gone.
    Closed,
    /// It was gone before.
    Void,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_called_what_the_original_takes_within_bounds() {
        for good in ["alice", " ", "a b", "ü", &"x".repeat(limit::USER_ID_BYTES_MAX)] {
            assert_eq!(UserId::parse(good).expect("good").as_str(), good);
        }
        for bad in ["", "a\nb", "\u{7f}", &"x".repeat(limit::USER_ID_BYTES_MAX + 1)] {
            let error = UserId::parse(bad).expect_err("bad");
            assert!(error.to_string().contains("userId"), "{error}");
        }
    }

    #[test]
    fn connections_are_called_by_uuids_of_version_4() {
        let id = ConnectionId::from_random(u128::MAX);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse::<ConnectionId>(), Ok(id));
        assert_eq!(ConnectionId::from_random(0).to_string(), "00000000-0000-4000-8000-000000000000");
        for bad in [
            "",
            "ffffffff-ffff-4fff-bfff-fffffffffff",
            "ffffffffffff-4fff-bfff-ffffffffffff+",
            "gfffffff-ffff-4fff-bfff-ffffffffffff",
        ] {
            assert!(bad.parse::<ConnectionId>().is_err(), "{bad}");
        }
    }
}
