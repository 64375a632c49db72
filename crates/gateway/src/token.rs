//! Proof of who somebody is: a JSON Web Token (RFC 7519) that names the user.
//!
//! The algorithm is the operator's choice and not the token's: a token that says that it is signed otherwise is refused,
//! or a public key could be used as a secret. Its end is compulsory. The clock is the node's, so that the simulator's counts.
//! Nothing of a token, of its key or of why it is refused is told to whoever sends it.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use quorate_model::UserId;
use quorate_rt::time;
use serde::Deserialize;
use std::fmt;

/// Clocks of different machines differ by less.
const LEEWAY_SECONDS: u64 = 30;
/// A shared secret that is shorter can be guessed (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// A shared secret.
    Hs256,
    /// RSA.
    Rs256,
    /// ECDSA over P-256.
    Es256,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        })
    }
}

/// Checks tokens.
pub struct Verifier {
    key: DecodingKey,
    rules: Validation,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Why a file holds no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// It is shorter than the signature's hash.
    #[error("a shared secret has at least {SECRET_BYTES_MIN} bytes; this one has {0}")]
    Short(usize),
    /// It is a key in PEM, and no secret.
    #[error("a key in PEM is no shared secret; for a public key name RS256 or ES256")]
    Pem,
    /// It is not a public key in PEM, or of another kind.
    #[error("it is no public key in PEM that goes with {0}")]
    NotPem(Signature),
}

/// A token does not prove anything. Why is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// It is not signed as it must be, or is no token.
    #[error("it is not signed by the key, or is no token")]
    Unsigned,
    /// Its time is over.
    #[error("its time is over")]
    Expired,
    /// Its time has not come.
    #[error("its time has not come")]
    Early,
    /// It is somebody else's word.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another audience")]
    Audience,
    /// It names nobody who could be a user.
    #[error("its subject can't be a user")]
    Subject,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// By a key as a file holds it: a secret's bytes, without an end of line, or a public key in PEM.
    pub fn new(signature: Signature, key: &[u8]) -> Result<Self, NotAKey> {
        let not_pem = |_| NotAKey::NotPem(signature);
        let (algorithm, key) = match signature {
            Signature::Hs256 => {
                let secret = key.trim_ascii_end();
                // Everybody has a public key: taken for a secret, it would let everybody in.
                if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
                    return Err(NotAKey::Pem);
                }
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(NotAKey::Short(secret.len()));
                }
                (Algorithm::HS256, DecodingKey::from_secret(secret))
            }
            Signature::Rs256 | Signature::Es256 if is_private(key) => {
                return Err(NotAKey::NotPem(signature));
            }
            Signature::Rs256 => (Algorithm::RS256, DecodingKey::from_rsa_pem(key).map_err(not_pem)?),
            Signature::Es256 => (Algorithm::ES256, DecodingKey::from_ec_pem(key).map_err(not_pem)?),
        };
        let mut rules = Validation::new(algorithm);
        // Times and names are checked below: the library reads the system's clock.
        rules.required_spec_claims.clear();
        (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
        Ok(Self { key, rules, issuer: None, audience: None })
    }

    /// Takes only tokens of this issuer.
    pub fn from_issuer(mut self, issuer: Option<String>) -> Self {
        self.issuer = issuer;
        self
    }

    /// Takes only tokens for this audience.
    pub fn for_audience(mut self, audience: Option<String>) -> Self {
        self.audience = audience;
        self
    }

    /// Whom a token proves its bearer to be.
    pub fn verify(&self, token: &str) -> Result<UserId, NotProved> {
        let now = time::wall_ms() / 1_000;
        let claims = decode::<Claims>(token, &self.key, &self.rules).map_err(|_| NotProved::Unsigned)?.claims;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have 31 bits, a float 53")]
        let (from, to) = ((now + LEEWAY_SECONDS) as f64, now.saturating_sub(LEEWAY_SECONDS) as f64);
        if claims.exp.is_none_or(|exp| exp <= to) {
            return Err(NotProved::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > from) {
            return Err(NotProved::Early);
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(NotProved::Issuer);
        }
        if let Some(audience) = &self.audience {
            let is_meant = match &claims.aud {
                None => false,
                Some(Audience::One(one)) => one == audience,
                Some(Audience::Many(many)) => many.contains(audience),
            };
            if !is_meant {
                return Err(NotProved::Audience);
            }
        }
        claims.sub.as_deref().and_then(|sub| UserId::parse(sub).ok()).ok_or(NotProved::Subject)
    }
}

/// The library takes some private keys, and then finds no token signed by them.
fn is_private(pem: &[u8]) -> bool {
    let label = b"PRIVATE KEY-----";
    pem.windows(label.len()).any(|window| window == label)
}

#[cfg(test)]
mod tests;
