//! Settings of the WebSocket gateway, but for its listener.

use super::{
    DefaultValue::{Computed, Nothing, Text},
    Setting, setting,
};

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        "gateway-threads",
        "COUNT",
        Computed("one per two cores"),
        "Threads of the WebSocket gateway; 1 to 1024.",
    ),
    setting(
        "gateway-second-login",
        "replace|reject|many",
        Text("replace"),
        "What becomes of a user of the WebSocket gateway who logs in a second time: the new session takes the place of the old one, or is refused, or both stand.",
    ),
    setting(
        "gateway-ping-timeout",
        "DURATION",
        Text("90s"),
        "A WebSocket whose last ping is older is closed; 1s to 1h.",
    ),
    setting("gateway-ping-check", "DURATION", Text("30s"), "How often that is looked at; 1s to 1h."),
    setting(
        "gateway-queue-messages",
        "COUNT",
        Text("1024"),
        "Messages that wait for one client of the gateway; 1 to 1000000.",
    ),
    setting(
        "gateway-queue-bytes",
        "BYTES",
        Text("4194304"),
        "The same in bytes; one message has room always; 1024 to 1073741824.",
    ),
    setting(
        "gateway-slow-consumer",
        "close|refuse",
        Text("close"),
        "What becomes of a client with as many: it is sent away with 1013, or stays. Whoever writes to it is told that it failed.",
    ),
    setting(
        "gateway-message-bytes",
        "BYTES",
        Text("1048576"),
        "Largest message of a client of the gateway; 1024 to 8388608. Beyond it its connection is closed with 1009.",
    ),
    setting("gateway-frame-bytes", "BYTES", Text("1048576"), "The same of one frame; 1024 to 8388608."),
    setting(
        "gateway-fragments",
        "COUNT",
        Text("1024"),
        "Most frames of one message; 1 to 1000000. Beyond it its connection is closed with 1008.",
    ),
    setting(
        "gateway-frame-rate",
        "PER_SECOND:BURST",
        Text("1000:2000"),
        "Frames of one client of the gateway; each 1 to 1000000.",
    ),
    setting(
        "gateway-flood",
        "throttle|close",
        Text("throttle"),
        "What becomes of a client that sends more: it is read from more slowly, or sent away with 1008.",
    ),
    setting(
        "gateway-connections",
        "COUNT",
        Text("100000"),
        "WebSockets of this node; 1 to 10000000. Beyond it new ones are answered 503.",
    ),
    setting(
        "gateway-connections-per-address",
        "COUNT",
        Nothing,
        "The same of one address; 1 to 10000000. Beyond it new ones are answered 429.",
    ),
    setting(
        "gateway-accept-rate",
        "PER_SECOND:BURST",
        Text("5000:10000"),
        "New WebSockets of this node; each 1 to 1000000. Beyond it they are answered 503.",
    ),
    setting(
        "gateway-origins",
        "ORIGIN,...",
        Nothing,
        "Where pages may come from that connect to the gateway, such as https://example.com or https://*.example.com. Without it from anywhere.",
    ),
    setting(
        "gateway-token-key",
        "FILE",
        Nothing,
        "Clients of the gateway must prove who they are by a JSON Web Token that this key has signed: a shared secret of at least 32 bytes, or a public key in PEM. Read at the start.",
    ),
    setting(
        "gateway-token-signature",
        "HS256|RS256|ES256",
        Text("HS256"),
        "How these tokens are signed: by a shared secret, by RSA, by ECDSA.",
    ),
    setting("gateway-token-issuer", "TEXT", Nothing, "Whose these tokens must be (`iss`)."),
    setting("gateway-token-audience", "TEXT", Nothing, "Whom these tokens must be for (`aud`)."),
    setting(
        "gateway-drain-spread",
        "DURATION",
        Text("5s"),
        "Over how long the gateway's WebSockets are closed when the node ends; 0s to 1h.",
    ),
    setting("gateway-drain-limit", "DURATION", Text("10s"), "How long that may take altogether; 0s to 1h."),
    setting(
        "gateway-resume-window",
        "DURATION",
        Text("30s"),
        "How long a session of quorate.v1 outlives its socket, so that its client can have it back; 0s to 1h.",
    ),
    setting(
        "gateway-replay-messages",
        "COUNT",
        Text("1024"),
        "Deliveries to one client of quorate.v1 that are kept until it acknowledges them; 1 to 1000000.",
    ),
    setting("gateway-replay-bytes", "BYTES", Text("1048576"), "The same in bytes; 1024 to 4194304."),
    setting(
        "gateway-broadcasts",
        "off|everybody",
        Text("off"),
        "Who may say something to all users, in quorate.v1.",
    ),
    setting(
        "gateway-detached",
        "COUNT",
        Text("20000"),
        "Sessions of quorate.v1 without a socket on this node; 0 to 10000000. Beyond it they end with their sockets.",
    ),
];
