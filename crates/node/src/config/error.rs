//! What is wrong with a configuration, told so that it can be put right without reading anything else: where the
//! value came from, the value, and what is allowed there.

use std::fmt;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A command line flag, without its dashes.
    Flag(String),
    /// An environment variable, `QUORATE_<NAME>`.
    Env(String),
    /// An environment variable of a system that Quorate replaces. Some spell values in their own way.
    LegacyEnv(&'static str),
    /// A key of the configuration file.
    Key {
        /// As in the file; nested keys are joined by dots.
        key: String,
        /// The file.
        file: String,
        /// From 1.
        line: u64,
        /// From 1, where it is known.
        column: Option<u64>,
    },
    /// The file as a whole could not be read as YAML.
    File(String),
    /// Nobody gave a value; the flag that would set it, without its dashes.
    Default(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Env(name) => f.write_str(name),
            Self::LegacyEnv(name) => f.write_str(name),
            Self::Key { key, file, line, column: None } => write!(f, "{key} ({file}, line {line})"),
            Self::Key { key, file, line, column: Some(column) } => {
                write!(f, "{key} ({file}, line {line}, column {column})")
            }
            Self::File(file) => f.write_str(file),
            Self::Default(name) => write!(f, "--{name} (not given)"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}; allowed: {allowed}")]
pub struct ConfigError {
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong with it.
    pub problem: String,
    /// What is allowed, or what to do.
    pub allowed: String,
}

/// Everything that is wrong, so that nobody has to start a node once per mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, error) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// What a parser says about a text, before anybody knows where the text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong with it.
    pub problem: String,
    /// What is allowed, or what to do.
    pub allowed: String,
}

impl Wrong {
    /// Of the two sentences.
    pub fn new(problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { problem: problem.into(), allowed: allowed.into() }
    }

    /// The usual case: the text is none of what is allowed.
    pub fn value(text: &str, allowed: impl Into<String>) -> Self {
        Self::new(format!("{} is not allowed here", quoted(text)), allowed)
    }

    /// The whole error, once it is known where the text came from.
    pub fn at(self, origin: Origin) -> ConfigError {
        ConfigError { origin, problem: self.problem, allowed: self.allowed }
    }
}

impl From<quorate_model::Invalid> for Wrong {
    fn from(invalid: quorate_model::Invalid) -> Self {
        Self { problem: invalid.problem, allowed: invalid.allowed }
    }
}

/// At most 64 characters of a refused value, printable.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let more = if text.chars().nth(64).is_some() { "…" } else { "" };
    format!("`{shown}{more}`")
}
