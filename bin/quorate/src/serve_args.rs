//! The flags of `serve`, made from the node's table of settings, so that neither can know what the other does not.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};
use quorate_node::config::{DefaultValue, SETTINGS, Setting};
use std::{collections::BTreeMap, path::PathBuf};

const CONFIG: &str = "config";
const UNTIL_STDIN_CLOSES: &str = "until-stdin-closes";

const AFTER: &str =
    "Each flag is also an environment variable, QUORATE_<NAME>, and a key of the file of --config. \
A flag wins over the environment, the environment over the file.

Examples:
  quorate serve
  quorate serve --config /etc/quorate/node.yaml
  quorate serve --node-name n1 --peers n1=10.0.0.1:7070,n2=10.0.0.2:7070,n3=10.0.0.3:7070 \\
      --management 0.0.0.0:9090 --cluster-secret-file /etc/quorate/secret";

/// Who may end the node, besides a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Nobody.
    OwnMaster,
    /// The process at the other end of stdin, by ending.
    Child,
}

/// What the command line says.
#[derive(Debug)]
pub struct ServeArgs {
    /// The file to read.
    pub config: Option<PathBuf>,
    /// Settings that were given, by name.
    pub flags: BTreeMap<String, String>,
    /// Who may end the node.
    pub lifetime: Lifetime,
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE.yaml")
            .value_parser(clap::value_parser!(PathBuf))
            .env("QUORATE_CONFIG")
            .help("Read settings from this file");
        let child = Arg::new(UNTIL_STDIN_CLOSES)
            .long(UNTIL_STDIN_CLOSES)
            .action(ArgAction::SetTrue)
            .hide(true)
            .help("End when stdin does");
        command.arg(config).arg(child).args(SETTINGS.iter().map(arg)).after_help(AFTER)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let default = match setting.default {
        DefaultValue::Nothing => String::new(),
        DefaultValue::Text(text) | DefaultValue::Computed(text) => format!(" [default: {text}]"),
    };
    Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value)
        .help(format!("{}{default}", setting.meaning))
        .allow_hyphen_values(true)
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |setting: &Setting| {
            let text = matches.get_one::<String>(setting.name)?;
            Some((setting.name.to_owned(), text.clone()))
        };
        let lifetime =
            if matches.get_flag(UNTIL_STDIN_CLOSES) { Lifetime::Child } else { Lifetime::OwnMaster };
        Ok(Self {
            config: matches.get_one::<PathBuf>(CONFIG).cloned(),
            flags: SETTINGS.iter().filter_map(given).collect(),
            lifetime,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
