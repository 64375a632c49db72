//! Finds each setting's value in the layers, parses it, and keeps every error under the name where the value
//! came from. A wrong value is replaced by the default for the rest of the reading, so that one mistake is one
//! error and hides no other.

use super::{
    ConfigError, DefaultValue, Origin, SETTINGS, Setting, Sources,
    duration::Bare,
    error::Wrong,
    file, parse,
    parse::Bounds,
    setting::{UNAVAILABLE, find},
};
use quorate_routing::local::Rules;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

struct Given {
    text: String,
    origin: Origin,
}

pub(super) struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    given: BTreeMap<&'static str, Given>,
    rules: Rules,
    errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// Lays flags over environment over file.
    pub fn new(sources: &'a Sources) -> Self {
        let mut reader =
            Self { env: &sources.env, given: BTreeMap::new(), rules: Rules::new(), errors: Vec::new() };
        if let Some(file) = &sources.file {
            let file::Read { values, rules, errors } = file::read(&file.path, &file.text);
            (reader.rules, reader.errors) = (rules, errors);
            for value in values {
                reader.put(value.setting, value.text, value.origin);
            }
        }
        for setting in SETTINGS {
            reader.lay_environment(setting);
            if let Some(text) = sources.flags.get(setting.name) {
                reader.put(setting, text.clone(), Origin::Flag(setting.name.into()));
            }
        }
        reader.refuse_unavailable();
        reader
    }

    /// The rules of the file.
    pub fn rules(&mut self) -> Rules {
        std::mem::take(&mut self.rules)
    }

    /// What is said of each setting, by whoever has the last word.
    pub fn texts(&self) -> BTreeMap<&'static str, &str> {
        self.given.iter().map(|(name, given)| (*name, given.text.as_str())).collect()
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.errors.len()
    }

    pub fn finish(self) -> Vec<ConfigError> {
        self.errors
    }

    /// A value with a default of its own.
    pub fn value<T>(&mut self, name: &'static str, parse: impl Fn(&str, Bare) -> Result<T, Wrong>) -> T {
        let DefaultValue::Text(default) = setting(name).default else {
            panic!("{name} has no default text in the table");
        };
        self.value_or(name, default, parse)
    }

    /// A value whose default the machine decides. If that default can't be parsed, somebody must give a value.
    pub fn value_or<T>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl Fn(&str, Bare) -> Result<T, Wrong>,
    ) -> T {
        if let Some(value) = self.optional(name, &parse) {
            return value;
        }
        parse(default, Bare::Refused).unwrap_or_else(|wrong| {
            self.errors.push(wrong.at(Origin::Default(name.into())));
            parse("localhost", Bare::Refused).expect("only names have a default that can be wrong")
        })
    }

    /// A value that may be absent.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str, Bare) -> Result<T, Wrong>,
    ) -> Option<T> {
        let given = self.given.get(setting(name).name)?;
        let bare = match given.origin {
            Origin::LegacyEnv(_) => Bare::Seconds,
            _ => Bare::Refused,
        };
        parse(&given.text, bare).map_err(|wrong| self.errors.push(wrong.at(given.origin.clone()))).ok()
    }

    /// A duration within bounds.
    pub fn duration(&mut self, name: &'static str, bounds: &Bounds) -> Duration {
        self.value(name, |text, bare| parse::bounded(text, bare, bounds))
    }

    /// A listener whose host and port the original systems set apart, by `host` and by one of `ports`. They lie
    /// over the file and under `QUORATE_<NAME>`.
    pub fn legacy_listener(
        &mut self,
        name: &'static str,
        (host, ports): (Option<&'static str>, &[&'static str]),
    ) -> SocketAddr {
        let mut address: SocketAddr = self.value(name, |text, _| parse::listener(text));
        if matches!(self.given.get(name), Some(Given { origin: Origin::Flag(_) | Origin::Env(_), .. })) {
            return address;
        }
        if let Some(host) = host.and_then(|host| self.legacy(host, parse::listener_host)) {
            address.set_ip(host);
        }
        let port = ports.iter().find(|name| self.env_text(name).is_some());
        if let Some(port) = port.and_then(|name| self.legacy(name, parse::listener_port)) {
            address.set_port(port);
        }
        address
    }

    /// Whether what is said of a setting is wrong.
    pub fn has_errors_about(&self, name: &str) -> bool {
        let given = self.given.get(name).map(|given| &given.origin);
        given.is_some_and(|origin| self.errors.iter().any(|error| error.origin == *origin))
    }

    /// An error about a value that was read well but does not fit the others.
    pub fn refuse(&mut self, name: &'static str, problem: String, allowed: impl Into<String>) {
        let given = self.given.get(name).map(|given| given.origin.clone());
        let origin = given.unwrap_or_else(|| Origin::Default(name.into()));
        self.errors.push(Wrong::new(problem, allowed).at(origin));
    }

    fn put(&mut self, setting: &'static Setting, text: String, origin: Origin) {
        self.given.insert(setting.name, Given { text, origin });
    }

    fn lay_environment(&mut self, setting: &'static Setting) {
        let own = setting.env();
        if let Some(text) = self.env_text(&own) {
            self.put(setting, text.into(), Origin::Env(own));
        } else if let Some((name, text)) =
            setting.legacy.iter().find_map(|name| Some((*name, self.env_text(name)?)))
            && !is_listener_part(name)
        {
            self.put(setting, text.into(), Origin::LegacyEnv(name));
        }
    }

    fn legacy<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let origin = Origin::LegacyEnv(name);
        let result = parse(self.env_text(name)?);
        // HOST is read for two listeners and is wrong only once.
        result
            .map_err(|wrong| {
                let error = wrong.at(origin);
                if !self.errors.contains(&error) {
                    self.errors.push(error);
                }
            })
            .ok()
    }

    /// An empty variable says nothing, as is usual.
    fn env_text(&self, name: &str) -> Option<&'a str> {
        self.env.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn refuse_unavailable(&mut self) {
        for (name, what) in UNAVAILABLE {
            // To say that it is off is to say what is the case.
            if let Some(given) = self.given.get(name).filter(|given| given.text != "false") {
                let problem = format!("{what} is not available in this version");
                self.errors.push(Wrong::new(problem, "to leave it out").at(given.origin.clone()));
            }
        }
    }
}

/// Parts of an address are no address: [`Reader::legacy_listener`] puts them together.
fn is_listener_part(name: &str) -> bool {
    matches!(name, "HOST" | "PORT" | "PROXY_PORT" | "MANAGEMENT_PORT")
}

fn setting(name: &str) -> &'static Setting {
    find(name).expect("the code asks for settings of the table only; a test reads them all")
}
