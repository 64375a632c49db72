//! TLS to the routers, with the one cryptography provider of this project.
//!
//! The provider is passed explicitly: two providers switched on by other crates of a program would otherwise make
//! rustls panic when the first connection is made, far from the cause.

use crate::Error;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::sync::Arc;

/// Whether the system's certificates are worth reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Only cleartext routers: none are needed.
    None,
    /// What the operating system trusts.
    System,
}

pub(crate) fn config(roots: Roots) -> Result<ClientConfig, Error> {
    let mut store = RootCertStore::empty();
    if roots == Roots::System {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(Error::Setup(unread(named().as_deref(), &why)));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Setup(e.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(config)
}

/// The environment may name other certificates than the system's, which are then the only ones.
fn named() -> Option<String> {
    let set = |name: &str| Some(format!("{name}={}", std::env::var_os(name)?.to_string_lossy()));
    set("SSL_CERT_FILE").or_else(|| set("SSL_CERT_DIR"))
}

fn unread(named: Option<&str>, why: &str) -> String {
    match named {
        Some(named) => format!("{named} names no certificate that can be read: {why}"),
        None => format!("no certificate that the system trusts can be read: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_needs_no_default_provider_of_the_process() {
        let config = config(Roots::None).expect("no roots are needed");
        assert!(!config.crypto_provider().cipher_suites.is_empty());
    }
}
