//! A service that may run on this machine: how it is looked for, and where the nodes reach it.

use quorate_client::{ServiceOffer, Url, detect::Check};
use std::net::IpAddr;

/// What machines usually run, and where.
pub const USUAL: [(&str, u16); 8] = [
    ("upload", 8_103),
    ("rag", 8_102),
    ("notes", 8_100),
    ("ner", 8_108),
    ("doc-processor", 8_104),
    ("client-rag", 8_101),
    ("vllm", 8_000),
    ("ocr", 8_105),
];
/// Where a service says how it is.
pub const HEALTH_PATH: &str = "/health";

/// The port at which a service of this name usually listens.
pub fn usual_port(name: &str) -> Option<u16> {
    USUAL.iter().find(|(usual, _)| *usual == name).map(|(_, port)| *port)
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Under this URL, for the nodes as for us.
    Url(String),
    /// In a container of this name, for the nodes as for us.
    Container { name: String, port: u16 },
    /// On this machine, which the nodes know under another name.
    Here { port: u16 },
}

/// How it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    Tcp,
    Http { health_path: String },
}

/// One that may run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub version: Option<String>,
    pub place: Place,
    pub how: How,
}

impl Service {
    /// One of the usual ones.
    pub fn usual(name: &str, port: u16) -> Self {
        let how = How::Http { health_path: HEALTH_PATH.into() };
        Self { name: name.into(), version: None, place: Place::Here { port }, how }
    }

    /// How to look for it, on `here` where it is on this machine. An error: the host makes no URL.
    pub fn check(&self, here: &str) -> Result<Check, String> {
        let base = self.base(here);
        match &self.how {
            How::Http { health_path } => {
                let url = format!("{}{health_path}", base.trim_end_matches('/'));
                Ok(Check::Http(Url::parse(&url).map_err(|e| format!("{url} is no URL ({e})"))?))
            }
            How::Tcp => {
                let url = Url::parse(&base).map_err(|e| format!("{base} is no URL ({e})"))?;
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
                Ok(Check::Tcp { host, port: url.port_or_known_default().unwrap_or(80) })
            }
        }
    }

    /// What is registered of it, where this machine is known to the nodes as `here`.
    pub fn offer(&self, here: &str) -> ServiceOffer {
        ServiceOffer { name: self.name.clone(), version: self.version.clone(), url: Some(self.base(here)) }
    }

    fn base(&self, here: &str) -> String {
        match &self.place {
            Place::Url(url) => url.clone(),
            Place::Container { name, port } => base(name, *port),
            Place::Here { port } => base(here, *port),
        }
    }
}

/// `http://host:port`
fn base(host: &str, port: u16) -> String {
    format!("http://{}:{port}", in_url(host))
}

/// As hosts stand in URLs: IPv6 addresses in brackets.
pub fn in_url(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.into(),
    }
}

/// Whether nodes on other machines reach something else under this name, or nothing.
pub fn is_own_only(host: &str) -> bool {
    let unspecified_or_loopback = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(unspecified_or_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(place: Place, how: How) -> [String; 2] {
        let service = Service { name: "s".into(), version: None, place, how };
        let check = service.check("127.0.0.1").expect("a URL").to_string();
        [check, service.offer("fd00::7").url.expect("one")]
    }

    #[test]
    fn it_is_looked_for_here_and_registered_where_the_nodes_reach_it() {
        let health = || How::Http { health_path: HEALTH_PATH.into() };
        let here = Place::Here { port: 8_103 };
        assert_eq!(told(here.clone(), health()), ["http://127.0.0.1:8103/health", "http://[fd00::7]:8103"]);
        assert_eq!(told(here, How::Tcp), ["tcp://127.0.0.1:8103", "http://[fd00::7]:8103"]);
        let container = Place::Container { name: "rag".into(), port: 8_102 };
        assert_eq!(told(container, health()), ["http://rag:8102/health", "http://rag:8102"]);
        let url = || Place::Url("https://h/base/".into());
        assert_eq!(told(url(), health()), ["https://h/base/health", "https://h/base/"]);
        assert_eq!(told(url(), How::Tcp), ["tcp://h:443", "https://h/base/"]);
    }

    #[test]
    fn only_this_machine_understands_some_hosts() {
        for own in ["localhost", "LocalHost", "127.0.0.1", "127.3.2.1", "::1", "0.0.0.0"] {
            assert!(is_own_only(own), "{own}");
        }
        for known in ["10.0.0.7", "fd00::7", "host-1", "localhost.example.com"] {
            assert!(!is_own_only(known), "{known}");
        }
    }
}
