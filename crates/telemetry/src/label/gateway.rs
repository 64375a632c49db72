//! Of the WebSocket gateway.

use super::Label;

label! {
    /// Why somebody was not let in.
    TurnedAway as "reason" {
        /// It is no WebSocket handshake, or not of a version that is spoken.
        Handshake = "handshake",
        /// Its page comes from elsewhere.
        Origin = "origin",
        /// It has no token, or not a good one.
        Token = "token",
        /// Too many connections of its address.
        Address = "address",
        /// Too many connections of this node.
        Full = "full",
        /// Too many new ones at once.
        Rate = "rate",
        /// The node is about to end.
        Drain = "drain",
    }
}

label! {
    /// Why a WebSocket ended.
    Closed as "reason" {
        /// Its client said goodbye.
        Client = "client",
        /// The connection broke.
        Reset = "reset",
        /// Its client broke the rules of WebSockets, or sent text that is none.
        Protocol = "protocol",
        /// A message was too large, or had too many parts.
        TooLarge = "too_large",
        /// Too many frames.
        Flood = "flood",
        /// No ping for too long.
        NoPing = "no_ping",
        /// Its client took its messages too slowly.
        Slow = "slow",
        /// Its user has logged in elsewhere.
        Replaced = "replaced",
        /// The node ended.
        Drain = "drain",
        /// Its dialect refused to go on.
        Refused = "refused",
    }
}

label! {
    /// What the cluster said to somebody who asked to be registered.
    Registered as "result" {
        /// The session is open.
        Opened = "opened",
        /// The user is connected already, and only one may be.
        Taken = "taken",
        /// There is no room.
        Full = "full",
        /// The cluster could not be asked.
        Unavailable = "unavailable",
    }
}

label! {
    /// How it ended that a client of `quorate.v1` came back for its session.
    Resumed as "outcome" {
        /// It has it; the session was on this node.
        Here = "resumed",
        /// It has it; the session was on another node.
        Moved = "moved",
        /// There is no such session any more, or the token is another one's.
        Unknown = "unknown",
        /// It was acknowledged further than the client is, or never sent so far.
        Seq = "seq",
        /// The node that has it could not be asked.
        Unreachable = "unreachable",
        /// The token of the handshake is somebody else's.
        Refused = "refused",
        /// It was on another node, and stays there: this one was about to end.
        Drain = "drain",
    }
}

label! {
    /// How a client's message ended.
    MessageOutcome as "outcome" {
        /// It has come as far as its recipient's queue, or was published.
        Delivered = "delivered",
        /// It has not.
        Failed = "failed",
        /// Whoever sent it had not said who it is.
        NotRegistered = "not_registered",
    }
}

label! {
    /// What became of a message for a client of this node.
    Delivered as "result" {
        /// It waits for its client.
        Taken = "taken",
        /// There was no room.
        Full = "full",
        /// Nobody of that name and epoch is here.
        NotHere = "not_here",
    }
}
