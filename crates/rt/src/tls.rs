//! TLS towards workers and clients: rustls over any of our sockets, on tokio and in simulation alike.
//!
//! The crypto provider is passed in, never taken from the process: with two providers switched on by feature
//! unification, rustls' default panics at the first handshake, which is long after every test of ours has passed.

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName,
    pem::{self, PemObject},
};
use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// A TLS connection that we opened.
pub type Stream<S> = tokio_rustls::client::TlsStream<S>;

/// What is offered to speak (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/2, else HTTP/1.1.
    Either,
}

impl Alpn {
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
            Self::Either => &[b"h2", b"http/1.1"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// Opens TLS connections. Cloning is cheap; sessions are resumed across clones.
#[derive(Clone)]
pub struct Connector(tokio_rustls::TlsConnector);

/// A TLS connection that a client opened.
pub type Accepted<S> = tokio_rustls::server::TlsStream<S>;

/// Accepts TLS connections. Cloning is cheap.
#[derive(Clone)]
pub struct Acceptor(tokio_rustls::TlsAcceptor);

/// Why there is no [`Connector`] or [`Acceptor`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of additional authorities can't be read or is no PEM.
    #[error("certificate authorities in {path}: {problem}")]
    AuthorityFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate or its key can't be read or is no PEM.
    #[error("the {what} in {path}: {problem}")]
    Identity {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key belongs to another certificate, or is of a kind that is not supported.
    #[error("the certificate in {certificate} and the key in {key}: {source}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// Neither the system nor the configuration names an authority to trust.
    #[error("no certificate authorities: the system has none ({problem}) and no file names any")]
    NoAuthorities {
        /// What the system said.
        problem: String,
    },
    /// rustls refused the settings.
    #[error("TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

impl Connector {
    /// Trusts the system's authorities and, where given, those in a PEM file. Reads
    /// files: call it off the async threads.
    pub fn new(authorities: Option<&Path>) -> Result<Self, Error> {
        let native = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A system store may hold certificates from before the standards: those are skipped, not fatal.
        roots.add_parsable_certificates(native.certs);
        if let Some(path) = authorities {
            add_file(&mut roots, path)?;
        }
        if roots.is_empty() {
            let problem =
                native.errors.first().map_or_else(|| "its store is empty".to_owned(), ToString::to_string);
            return Err(Error::NoAuthorities { problem });
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config).into()))
    }

    /// Shakes hands over `io` with the server `host`: a DNS name (sent as SNI) or an IP address. What the server chose
    /// of `alpn` is told by the stream. No deadline of its own. An error of kind `InvalidInput` is about the name.
    pub async fn connect<S>(&self, host: &str, io: S, alpn: Alpn) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.0.with_alpn(alpn.names()).connect(name, io).await
    }
}

/// Larger files are neither a certificate nor a key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The bytes of a certificate's file and of its key's, or why there are none.
pub struct PairFiles {
    certificate: (PathBuf, Result<Vec<u8>, String>),
    key: (PathBuf, Result<Vec<u8>, String>),
}

impl PairFiles {
    /// Reads both: call it off the async threads.
    pub fn read(certificate: &Path, key: &Path) -> Self {
        let bytes = |path: &Path| (path.to_owned(), file_bytes(path).map_err(|e| e.to_string()));
        Self { certificate: bytes(certificate), key: bytes(key) }
    }

    /// Differs where what was read does.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key).hash(&mut hasher);
        hasher.finish()
    }
}

fn file_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("is larger than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

/// Without a byte of the file, which may be a key: the library's own words quote the line that it stumbles over.
fn pem_problem(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end: is the file cut short?".into(),
        pem::Error::IllegalSectionStart { .. } => "the first line of a section is not as in PEM".into(),
        pem::Error::Base64Decode(_) => "what is between the first and the last line is not base64".into(),
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("holds no {what} in PEM"),
        pem::Error::SectionTooLarge => "a section is too large".into(),
        _ => "is not PEM".into(),
    }
}

impl Acceptor {
    /// With a certificate and those that lead to its authority, and the key: PEM files. What is spoken is agreed on by
    /// ALPN; a client that takes no part in it is accepted. Reads files: call it off the async threads.
    pub fn new(certificate: &Path, key: &Path, speaks: Alpn) -> Result<Self, Error> {
        Self::of(&PairFiles::read(certificate, key), speaks)
    }

    /// The same of files that were read.
    pub fn of(PairFiles { certificate, key }: &PairFiles, speaks: Alpn) -> Result<Self, Error> {
        let wrong = |what, path: &Path, problem: String| Error::Identity { what, path: path.into(), problem };
        let (certificate, chain) = certificate;
        let chain = chain.as_ref().map_err(|why| wrong("certificate", certificate, why.clone()))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|e| wrong("certificate", certificate, pem_problem(&e, "certificate")))?;
        if chain.is_empty() {
            return Err(wrong("certificate", certificate, "holds no certificate".into()));
        }
        let (key, secret) = key;
        let secret = secret.as_ref().map_err(|why| wrong("key", key, why.clone()))?;
        let secret =
            PrivateKeyDer::from_pem_slice(secret).map_err(|e| wrong("key", key, pem_problem(&e, "key")))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|source| Error::Pair { certificate: certificate.clone(), key: key.clone(), source })?;
        config.alpn_protocols = speaks.names();
        Ok(Self(Arc::new(config).into()))
    }

    /// Shakes hands over `io`. No deadline of its own.
    pub async fn accept<S>(&self, io: S) -> io::Result<Accepted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.0.accept(io).await
    }
}

/// The protocol that was agreed on by ALPN, where the client took part in it.
pub fn agreed_protocol<S>(stream: &Accepted<S>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let wrong = |problem: String| Error::AuthorityFile { path: path.to_owned(), problem };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|e| wrong(e.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".into()));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    Ok(())
}
