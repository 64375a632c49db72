use super::*;
use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RsaEncoding,
    },
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};

/// Whoever forgets to name the signature of a public key would let everybody in who has it.
#[test]
fn a_key_in_pem_is_no_shared_secret() {
    let pem =
        b"\n-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
    assert!(matches!(Verifier::new(Signature::Hs256, pem), Err(NotAKey::Pem)));
    assert!(Verifier::new(Signature::Hs256, &[b'x'; SECRET_BYTES_MIN]).is_ok());
    assert!(matches!(Verifier::new(Signature::Hs256, b"x"), Err(NotAKey::Short(1))));
}

/// Somebody who signs. Tokens are made by hand, so that what is tested is not tested by itself.
enum Issuer {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
}

fn rsa() -> Issuer {
    Issuer::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key"))
}

fn ec() -> Issuer {
    Issuer::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
}

impl Issuer {
    fn signature(&self) -> Signature {
        match self {
            Self::Rsa(_) => Signature::Rs256,
            Self::Ec(_) => Signature::Es256,
        }
    }

    fn name(&self) -> String {
        self.signature().to_string()
    }

    /// As `openssl pkey -pubout` writes it.
    fn public(&self) -> String {
        let der = match self {
            Self::Rsa(pair) => pair.public_key().as_der().expect("a key").as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_der().expect("a key").as_ref().to_vec(),
        };
        pem("PUBLIC KEY", &der)
    }

    fn private(&self) -> String {
        let der = match self {
            Self::Rsa(pair) => {
                AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(pair).expect("a key").as_ref().to_vec()
            }
            Self::Ec(pair) => pair.to_pkcs8v1().expect("a key").as_ref().to_vec(),
        };
        pem("PRIVATE KEY", &der)
    }

    fn token(&self, claims: &str) -> String {
        token(&self.name(), claims, |signed| match self {
            Self::Rsa(pair) => rsa_signed(pair, &RSA_PKCS1_SHA256, signed),
            Self::Ec(pair) => pair.sign(&SystemRandom::new(), signed).expect("it signs").as_ref().to_vec(),
        })
    }

    fn verifier(&self) -> Verifier {
        let verifier = Verifier::new(self.signature(), self.public().as_bytes()).expect("a public key");
        verifier.from_issuer(Some("us".into())).for_audience(Some("chat".into()))
    }
}

fn rsa_signed(pair: &rsa::KeyPair, padding: &'static dyn RsaEncoding, signed: &[u8]) -> Vec<u8> {
    let mut tag = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), signed, &mut tag).expect("it signs");
    tag
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

fn token(algorithm: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let head = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let signed = format!("{}.{}", encode(&head), encode(claims));
    let tag = BASE64_URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{tag}")
}

/// From now, in seconds.
fn at(seconds: i64) -> i64 {
    i64::try_from(time::wall_ms() / 1_000).expect("the clock is right") + seconds
}

fn claims(exp: i64, more: &str) -> String {
    format!(r#"{{"sub":"alice","exp":{},"iss":"us","aud":"chat"{more}}}"#, at(exp))
}

#[test]
fn tokens_are_taken_that_the_key_has_signed() {
    for issuer in [rsa(), ec()] {
        let (verifier, name) = (issuer.verifier(), issuer.name());
        let good = [
            claims(3_600, ""),
            // Clocks may differ.
            claims(-10, ""),
            claims(3_600, &format!(r#","nbf":{},"iat":{}"#, at(10), at(10))),
            claims(3_600, "").replace(r#""chat""#, r#"["mail","chat"]"#),
        ];
        for claims in good {
            assert_eq!(verifier.verify(&issuer.token(&claims)), Ok(user("alice")), "{name}: {claims}");
        }
        // With the lines ended as on Windows.
        let lines = issuer.public().replace('\n', "\r\n");
        let verifier = Verifier::new(issuer.signature(), lines.as_bytes()).expect("a public key");
        assert_eq!(verifier.verify(&issuer.token(&claims(3_600, ""))), Ok(user("alice")), "{name}");
    }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a good name")
}

#[test]
fn what_a_good_key_has_signed_still_has_to_be_meant_for_us_and_now() {
    for issuer in [rsa(), ec()] {
        let (verifier, name) = (issuer.verifier(), issuer.name());
        let bad = [
            (claims(-60, ""), NotProved::Expired),
            (claims(3_600, "").replace("exp", "expires"), NotProved::Expired),
            (claims(3_600, &format!(r#","nbf":{}"#, at(60))), NotProved::Early),
            (claims(3_600, "").replace("us", "them"), NotProved::Issuer),
            (claims(3_600, "").replace(r#""iss":"us","#, ""), NotProved::Issuer),
            (claims(3_600, "").replace("chat", "mail"), NotProved::Audience),
            (claims(3_600, "").replace(r#""chat""#, r#"["mail"]"#), NotProved::Audience),
            (claims(3_600, "").replace(r#","aud":"chat""#, ""), NotProved::Audience),
            (claims(3_600, "").replace(r#""sub":"alice","#, ""), NotProved::Subject),
        ];
        for (claims, why) in bad {
            assert_eq!(verifier.verify(&issuer.token(&claims)), Err(why), "{name}: {claims}");
        }
    }
}

/// The classics: whoever may say how a token is signed signs it with what everybody has, or not at all.
#[test]
fn how_a_token_is_signed_is_not_the_tokens_choice() {
    let (rsa, ec) = (rsa(), ec());
    for (issuer, other) in [(&rsa, &ec), (&ec, &rsa)] {
        let (verifier, claims) = (issuer.verifier(), claims(3_600, ""));
        let public = issuer.public();
        let by_secret = |secret: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            token("HS256", &claims, |signed| hmac::sign(&key, signed).as_ref().to_vec())
        };
        let good = issuer.token(&claims);
        let (head, tag) = (good.split('.').next().expect("a head"), good.rsplit('.').next().expect("a tag"));
        let bob = BASE64_URL_SAFE_NO_PAD.encode(claims.replace("alice", "bob"));
        let bad = [
            ("the public key as a secret", by_secret(public.as_bytes())),
            ("the same without the end of its last line", by_secret(public.trim_end().as_bytes())),
            ("no signature asked for", token("none", &claims, |_| Vec::new())),
            ("the same, spelt otherwise", token("None", &claims, |_| Vec::new())),
            ("no signature", token(&issuer.name(), &claims, |_| Vec::new())),
            ("another way to sign", other.token(&claims)),
            ("said to be ours", token(&issuer.name(), &claims, |_| vec![0; 256])),
            ("somebody else in it", format!("{head}.{bob}.{tag}")),
            ("two signatures", format!("{good}.{tag}")),
        ];
        for (what, token) in bad {
            assert_eq!(verifier.verify(&token), Err(NotProved::Unsigned), "{}: {what}", issuer.name());
        }
    }
    let (Issuer::Rsa(pair), claims) = (&rsa, claims(3_600, "")) else { return };
    let longer = token("RS512", &claims, |signed| rsa_signed(pair, &RSA_PKCS1_SHA512, signed));
    let padded = token("PS256", &claims, |signed| rsa_signed(pair, &RSA_PSS_SHA256, signed));
    for token in [longer, padded] {
        assert_eq!(rsa.verifier().verify(&token), Err(NotProved::Unsigned), "by the same key");
    }
    for (mine, theirs) in [(rsa, self::rsa()), (ec, self::ec())] {
        let stranger = theirs.token(&claims);
        assert_eq!(mine.verifier().verify(&stranger), Err(NotProved::Unsigned), "{}", mine.name());
    }
}

/// A file that could never prove anything must not be taken: every client would be turned away, and nobody told why.
#[test]
fn only_a_public_key_of_the_right_kind_is_taken() {
    let (rsa, ec) = (rsa(), ec());
    for (signature, files) in [
        (Signature::Rs256, [ec.public(), rsa.private(), pem("RSA PRIVATE KEY", &[0x30, 0]), String::new()]),
        (Signature::Es256, [rsa.public(), ec.private(), pem("EC PRIVATE KEY", &[0x30, 0]), "key".into()]),
    ] {
        for file in files {
            let taken = Verifier::new(signature, file.as_bytes());
            assert_eq!(taken.err(), Some(NotAKey::NotPem(signature)), "{file}");
        }
    }
}
