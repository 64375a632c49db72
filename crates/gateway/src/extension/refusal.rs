//! Why a request of a client was refused. Errors never close the socket.

use super::limit;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no JSON object, or a field has another JSON type.
    Format,
    /// Nobody knows its type.
    Type,
    /// `register` and `resume` name a user.
    UserRequired,
    /// The user can't be let in.
    Register,
    /// The cluster can't decide now whether the user is let in.
    Unavailable,
    /// This socket has said who it is already.
    RegisteredAlready,
    /// Only those who have said who they are.
    NotRegistered,
    /// A message names a recipient.
    RecipientRequired,
    /// The recipient is not there, or takes nothing any more; it does not have the message.
    NotDelivered,
    /// Whether it arrived nobody knows.
    Unknown,
    /// A field can't be so.
    Field {
        /// Which.
        field: &'static str,
        /// How it can be.
        allowed: String,
    },
    /// Only members of a room speak in it.
    NotAMember,
    /// The session is in as many rooms as it may.
    TooManyRooms,
    /// The session watches as many users as it may.
    TooManyWatched,
    /// This gateway lets nobody broadcast.
    BroadcastNotAllowed,
    /// The session has too much under way.
    Busy,
    /// An ack of something that was never sent.
    NeverSent,
    /// What is not acked fills the replay buffer: messages to this session wait in its queue, and are refused to their
    /// senders when that is full too.
    ReplayFull,
}

impl Refusal {
    /// For programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format => "invalid_format",
            Self::Type => "unknown_type",
            Self::UserRequired => "user_required",
            Self::Register => "register_failed",
            Self::Unavailable => "unavailable",
            Self::RegisteredAlready => "registered_already",
            Self::NotRegistered => "not_registered",
            Self::RecipientRequired => "recipient_required",
            Self::NotDelivered => "not_delivered",
            Self::Unknown => "unknown_outcome",
            Self::Field { .. } => "invalid_field",
            Self::NotAMember => "not_a_member",
            Self::TooManyRooms => "too_many_rooms",
            Self::TooManyWatched => "too_many_watched",
            Self::BroadcastNotAllowed => "broadcast_not_allowed",
            Self::Busy => "busy",
            Self::NeverSent => "never_sent",
            Self::ReplayFull => "replay_full",
        }
    }

    /// For people: the contract's words where it has some.
    pub fn text(&self) -> String {
        match self {
            Self::Format => "Invalid message format".into(),
            Self::Type => "Unknown message type".into(),
            Self::UserRequired => "UserID is required for registration".into(),
            Self::Register => "Failed to register".into(),
            Self::Unavailable => "The cluster can't decide now: try again".into(),
            Self::RegisteredAlready => "Already registered".into(),
            Self::NotRegistered => "Not registered".into(),
            Self::RecipientRequired => "Recipient is required".into(),
            Self::NotDelivered | Self::Unknown => "Failed to send message".into(),
            Self::Field { field, allowed } => format!("{field}: allowed: {allowed}"),
            Self::NotAMember => "Not a member of this room".into(),
            Self::TooManyRooms => format!("In {} rooms already", limit::ROOMS_MAX),
            Self::TooManyWatched => format!("Watches {} users already", limit::WATCHED_MAX),
            Self::BroadcastNotAllowed => "Broadcasts are not allowed".into(),
            Self::Busy => "Too much is under way".into(),
            Self::NeverSent => "No such delivery was sent".into(),
            Self::ReplayFull => "Acknowledge what you have: until then messages to you wait, and beyond your queue they are refused".into(),
        }
    }
}
