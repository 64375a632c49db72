//! The command line about all that operators declare.

use super::{Remote, timeout};
use clap::{Args, Subcommand};
use std::time::Duration;

/// `quorate apply`
#[derive(Args, Debug)]
#[command(
    after_help = "The files have routes, sandboxes, services (their policies) and keyspaces, each by name:

  routes:
    web:
      match: {path_prefix: /api}
      destinations: [{service: upload}]
    old: null            # it is to go
  sandboxes:
    dev-1: {rules: [{target: upload@v2}], ttl: 24h}
  services:
    upload: {balancing: p2c, health: {http: {path: /healthz}}}

Prints what changes, field by field, and carries it out in one log entry, if nobody changes anything in between.

Examples:
  quorate apply -f gateway.yaml --dry-run
  quorate apply -f conf.d --prune --wait"
)]
pub struct ApplyArgs {
    /// YAML or JSON; a folder stands for its files *.yaml, *.yml and *.json; - is stdin. May be given several times
    #[arg(long = "file", short, value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// Take routes, sandboxes and policies away that no file names
    #[arg(long, alias = "replace")]
    pub prune: bool,
    /// With --prune: also if the files name none of them at all
    #[arg(long, requires = "prune")]
    pub allow_empty: bool,
    #[command(flatten)]
    pub how: HowArgs,
    #[command(flatten)]
    pub remote: Remote,
}

/// How a change of many objects is carried out.
#[derive(Args, Clone, Copy, Debug)]
pub struct HowArgs {
    /// Only if all that is declared has last changed at this index, as `quorate config` says it
    #[arg(long, value_name = "INDEX")]
    pub if_match: Option<u64>,
    /// Print what would change, and change nothing
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    /// End only once every node that answers serves it; 1ms to 1h [when given without a value: 30s]
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30s",
        value_parser = timeout,
    )]
    pub wait: Option<Duration>,
}

/// `quorate config`
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "Without a verb it is `get`. Prints YAML; with --output json, JSON. On stderr: the index of its last change.

Examples:
  quorate config > all.yaml
  quorate apply -f all.yaml --prune --if-match 57 --dry-run
  quorate config history
  quorate config diff 57
  quorate config rollback 57 --dry-run
  quorate config schema > quorate.schema.json"
)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub verb: Option<ConfigVerb>,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with all that is declared.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print all of it as one document that `apply` takes
    Get {
        /// As it stood after this log entry
        #[arg(long, value_name = "INDEX")]
        at: Option<u64>,
    },
    /// List which log entries changed it, the newest first
    History {
        /// How many
        #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Print what is otherwise than it was, field by field
    Diff {
        /// As it stood after this log entry
        from: u64,
        /// Against how it stood after this one; if not given, as it stands
        to: Option<u64>,
    },
    /// Bring all of it back as it stood after a log entry, in one entry; that can be undone in the same way
    Rollback {
        /// After which log entry
        to: u64,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Print the JSON Schema of the document, for editors; asks no node
    Schema,
}
