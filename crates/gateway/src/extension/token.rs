//! What a client shows to have its session back: the session's connection and 128 random bits.
//!
//! It stays the same for as long as the session lives, on whichever node: an answer that gets lost on the way back does
//! not leave the client with a token that is void. It is void with the session.

use quorate_model::ConnectionId;
use std::{fmt, hint::black_box, str::FromStr};

/// 128 bits that only the client and the session's gateway know.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

impl Secret {
    /// Of random bits.
    pub fn from_random(random: u128) -> Self {
        Self(random.to_be_bytes())
    }

    /// As hexadecimal digits: for the token and for another gateway, never for a log.
    pub fn reveal(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Takes the same time wherever they differ: the time of an answer must not tell how much of a guess was right.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let differing =
            self.0.iter().zip(&other.0).fold(0, |all, (one, other)| black_box(all | (one ^ other)));
        black_box(differing) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// No token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no resume token")]
pub struct NoToken;

impl FromStr for Secret {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self::from_random).ok_or(NoToken)
    }
}

/// `CONNECTION.SECRET`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which session.
    pub connection: ConnectionId,
    /// That it is one's own.
    pub secret: Secret,
}

impl Token {
    /// For the client.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.connection, self.secret.reveal())
    }
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let (connection, secret) = text.split_once('.').ok_or(NoToken)?;
        Ok(Self { connection: connection.parse().map_err(|_| NoToken)?, secret: secret.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        let token =
            Token { connection: ConnectionId::from_random(7), secret: Secret::from_random(u128::MAX - 5) };
        let text = token.reveal();
        assert_eq!(text.parse(), Ok(token));
        for bad in
            ["", ".", &text[1..], &text[..text.len() - 1], &format!("{text}0"), &text.replace('.', "-")]
        {
            assert_eq!(bad.parse::<Token>(), Err(NoToken), "{bad}");
        }
        assert!("+1234567890123456789012345678901".parse::<Secret>().is_err());
    }

    #[test]
    fn each_bit_of_a_secret_counts() {
        let secret = Secret::from_random(0);
        assert_eq!(secret, Secret::from_random(0));
        for bit in 0..128 {
            assert_ne!(secret, Secret::from_random(1 << bit));
        }
    }

    #[test]
    fn a_secret_has_no_debug_output() {
        let token = Token { connection: ConnectionId::from_random(7), secret: Secret::from_random(0xabcdef) };
        assert!(!format!("{token:?}").contains("abcdef"));
    }
}
