//! Files: those that settings name, and the settings file as a whole.

use super::{Config, Sources, Yaml, parse, reader::Reader};
use std::path::PathBuf;

/// Files that settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// A certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The same of the WebSocket gateway.
    pub gateway_tls: Option<(PathBuf, PathBuf)>,
    /// What peers prove to each other.
    pub cluster_secret: Option<PathBuf>,
    /// Who may open tunnels.
    pub tunnel_tokens: Option<PathBuf>,
}

impl Config {
    /// Whether a settings file is empty, or has nothing but comments.
    pub fn says_nothing(text: &str) -> bool {
        matches!(Yaml::read(text), Ok(Yaml::Null))
    }

    /// Files that settings name, as far as they can be read: what is wrong with those can be told together with what is
    /// wrong with the settings.
    pub fn files(sources: &Sources) -> NamedFiles {
        let mut r = Reader::new(sources);
        let mut path = |name| r.optional(name, |text, _| parse::path(text));
        NamedFiles {
            tls: path("tls-cert").zip(path("tls-key")),
            gateway_tls: path("gateway-tls-cert").zip(path("gateway-tls-key")),
            cluster_secret: path("cluster-secret-file"),
            tunnel_tokens: path("tunnel-token-file"),
        }
    }
}
