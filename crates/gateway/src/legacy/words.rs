//! What the original's clients say, and what they are told: JSON, byte for byte.
//!
//! Read as the original reads: names of fields whatever their case, `null` as if it were not there, unknown fields passed
//! over, the last of several counts. A field of another kind than text makes the whole message invalid.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::fmt;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What a client says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub kind: String,
    pub user_id: String,
    pub to: String,
    pub content: String,
}

/// It is not JSON, or not of the right kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUnderstood;

impl Said {
    pub fn parse(bytes: &[u8]) -> Result<Self, NotUnderstood> {
        // `null` is a message that says nothing.
        serde_json::from_slice::<Option<Self>>(bytes)
            .map(Option::unwrap_or_default)
            .map_err(|_| NotUnderstood)
    }

    fn field(&mut self, name: &str) -> Option<&mut String> {
        let fields = [
            ("type", &mut self.kind),
            ("userId", &mut self.user_id),
            ("to", &mut self.to),
            ("content", &mut self.content),
        ];
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, field)| field)
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
                let mut said = Said::default();
                while let Some(name) = map.next_key::<String>()? {
                    match said.field(&name) {
                        Some(field) => {
                            if let Some(text) = map.next_value::<Option<String>>()? {
                                *field = text;
                            }
                        }
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(said)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[derive(Debug, Default, Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    from: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    content: &'a str,
}

/// A message from `from`.
pub(super) fn message(from: &str, content: &str) -> Utf8Bytes {
    let told = Told { kind: "message", from, content };
    // Texts have no keys that could not be written.
    serde_json::to_string(&told).unwrap_or_default().into()
}

/// What a client is told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Registered,
    Pong,
    InvalidFormat,
    UserIdRequired,
    FailedToRegister,
    NotRegistered,
    RecipientRequired,
    FailedToSend,
    UnknownType,
}

impl Answer {
    pub const fn text(self) -> &'static str {
        match self {
            Self::Registered => r#"{"type":"registered","content":"Successfully registered"}"#,
            Self::Pong => r#"{"type":"pong"}"#,
            Self::InvalidFormat => r#"{"type":"error","error":"Invalid message format"}"#,
            Self::UserIdRequired => r#"{"type":"error","error":"UserID is required for registration"}"#,
            Self::FailedToRegister => r#"{"type":"error","error":"Failed to register"}"#,
            Self::NotRegistered => r#"{"type":"error","error":"Not registered"}"#,
            Self::RecipientRequired => r#"{"type":"error","error":"Recipient is required"}"#,
            Self::FailedToSend => r#"{"type":"error","error":"Failed to send message"}"#,
            Self::UnknownType => r#"{"type":"error","error":"Unknown message type"}"#,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_read_as_the_original_reads_them() {
        let said = |kind: &str, user_id: &str, to: &str, content: &str| Said {
            kind: kind.into(),
            user_id: user_id.into(),
            to: to.into(),
            content: content.into(),
        };
        for (text, expected) in [
            (r#"{"type":"ping"}"#, Ok(said("ping", "", "", ""))),
            (r#" {"userId":"a","type":"register","x":[1,{"to":2}]} "#, Ok(said("register", "a", "", ""))),
            (r#"{"TYPE":"message","To":"b","content":null}"#, Ok(said("message", "", "b", ""))),
            (r#"{"type":"ping","type":"message"}"#, Ok(said("message", "", "", ""))),
            (r#"{"content":"\u00fc\n"}"#, Ok(said("", "", "", "ü\n"))),
            ("null", Ok(Said::default())),
            ("{}", Ok(Said::default())),
            ("", Err(NotUnderstood)),
            ("ping", Err(NotUnderstood)),
            ("[]", Err(NotUnderstood)),
            (r#""ping""#, Err(NotUnderstood)),
            (r#"{"type":"ping"} x"#, Err(NotUnderstood)),
            (r#"{"type":"ping"}{}"#, Err(NotUnderstood)),
            (r#"{"type":1}"#, Err(NotUnderstood)),
            (r#"{"content":{"a":"b"}}"#, Err(NotUnderstood)),
        ] {
            assert_eq!(Said::parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Said::parse(b"{\"type\":\"\xff\"}"), Err(NotUnderstood));
    }

    #[test]
    fn what_is_empty_is_left_out() {
        assert_eq!(message("alice", "hi").as_str(), r#"{"type":"message","from":"alice","content":"hi"}"#);
        assert_eq!(message("alice", "").as_str(), r#"{"type":"message","from":"alice"}"#);
        assert_eq!(message("a\"b", "ü\n").as_str(), r#"{"type":"message","from":"a\"b","content":"ü\n"}"#);
    }
}
