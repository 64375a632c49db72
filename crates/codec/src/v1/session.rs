//! What came with users of the WebSocket gateway, at the seventh level.

use quorate_model as model;
use quorate_model::{ConnectionId, Epoch, Invalid, UserId, limit::SESSION_CHANGES_MAX};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

#[derive(Serialize, Deserialize)]
pub(crate) enum SessionChange {
    Open { user: User, connection: u128, second: SecondLogin },
    Close { epoch: u64 },
}

/// A user's id, written as text. Commands have thousands of them, and each is written and read several times on its way to
/// all disks: so it is not copied to be written, and read into its place at once.
pub(crate) struct User(Result<UserId, Invalid>);

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Only what was read can be wrong, and that is not written again.
        serializer.serialize_str(self.0.as_ref().map_or("", UserId::as_str))
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = User;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<User, E> {
                Ok(User(UserId::parse(text)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) enum SecondLogin {
    Replace,
    Reject,
    Many,
}

/// Also in the windows of snapshots.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionOutcome {
    Opened { epoch: u64 },
    Taken,
    Full { stand: u32 },
    Closed,
    Void,
}

/// No command has more changes than that: what answers to it is kept.
pub(super) fn require_few(count: usize) -> Result<(), Invalid> {
    if count <= SESSION_CHANGES_MAX {
        return Ok(());
    }
    Err(Invalid::new("changes", format!("are {count}"), format!("at most {SESSION_CHANGES_MAX}")))
}

impl From<&model::SessionChange> for SessionChange {
    fn from(change: &model::SessionChange) -> Self {
        match change {
            model::SessionChange::Open { user, connection, second } => Self::Open {
                user: User(Ok(user.clone())),
                connection: connection.bits(),
                second: match second {
                    model::SecondLogin::Replace => SecondLogin::Replace,
                    model::SecondLogin::Reject => SecondLogin::Reject,
                    model::SecondLogin::Many => SecondLogin::Many,
                },
            },
            model::SessionChange::Close { epoch } => Self::Close { epoch: epoch.0 },
        }
    }
}

impl TryFrom<SessionChange> for model::SessionChange {
    type Error = Invalid;

    fn try_from(change: SessionChange) -> Result<Self, Invalid> {
        Ok(match change {
            SessionChange::Open { user, connection, second } => Self::Open {
                user: user.0?,
                connection: ConnectionId::from_bits(connection),
                second: match second {
                    SecondLogin::Replace => model::SecondLogin::Replace,
                    SecondLogin::Reject => model::SecondLogin::Reject,
                    SecondLogin::Many => model::SecondLogin::Many,
                },
            },
            SessionChange::Close { epoch } => Self::Close { epoch: Epoch(epoch) },
        })
    }
}

impl From<model::SessionOutcome> for SessionOutcome {
    fn from(outcome: model::SessionOutcome) -> Self {
        use model::SessionOutcome as M;
        match outcome {
            M::Opened { epoch } => Self::Opened { epoch: epoch.0 },
            M::Taken => Self::Taken,
            M::Full { stand } => Self::Full { stand },
            M::Closed => Self::Closed,
            M::Void => Self::Void,
        }
    }
}

impl From<SessionOutcome> for model::SessionOutcome {
    fn from(outcome: SessionOutcome) -> Self {
        use SessionOutcome as C;
        match outcome {
            C::Opened { epoch } => Self::Opened { epoch: Epoch(epoch) },
            C::Taken => Self::Taken,
            C::Full { stand } => Self::Full { stand },
            C::Closed => Self::Closed,
            C::Void => Self::Void,
        }
    }
}
