//! The command line about what operators declare.

use super::{Remote, ramp::RampWord};
use clap::{Args, Subcommand};

/// `quorate routes`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate routes list
  quorate routes get web --output yaml > web.yaml
  quorate routes put web -f web.yaml
  quorate routes ramp web --pause
  quorate routes delete web

What `get` prints can be put again. It then replaces only the route that was shown, not a newer one.")]
pub struct RoutesArgs {
    #[command(subcommand)]
    pub verb: RoutesVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with routes.
#[derive(Debug, Subcommand)]
pub enum RoutesVerb {
    /// All routes
    List,
    /// One route, whole
    Get {
        /// Its name
        name: String,
    },
    /// Set a route as a whole
    Put {
        /// Its name
        name: String,
        /// YAML or JSON; - is stdin
        #[arg(long, short, value_name = "FILE")]
        file: String,
    },
    /// Show how far a route's ramp is, or pause, resume or abort it
    Ramp {
        /// The route's name
        name: String,
        #[command(flatten)]
        word: RampWord,
    },
    /// Take a route away
    Delete {
        /// Its name
        name: String,
    },
}

/// `quorate explain`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate explain GET http://api.example.com/v1/items
  quorate explain POST /upload -H 'Host: api.example.com' -H 'X-User: 7'")]
pub struct ExplainArgs {
    /// The request's method
    pub method: String,
    /// What it asks for: a URL, or a path
    pub url: String,
    /// A header of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// Who asks
    #[arg(long, value_name = "IP")]
    pub client_ip: Option<std::net::IpAddr>,
    #[command(flatten)]
    pub remote: Remote,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("allowed: `Name: value`")?;
    match name.trim() {
        "" => Err("allowed: `Name: value`".into()),
        name => Ok((name.to_owned(), value.trim().to_owned())),
    }
}
