//! Where log lines go: stderr, one line each, as text for people or as JSON for machines.
//!
//! What is logged is decided where events are declared ([`crate::events`]); secrets have no event that carries
//! them, and request paths are logged without their query.

use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured only on a terminal, and never when `NO_COLOR` is set.
    Text,
    /// One object per line, fields at its top level.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("log level `{filter}`: {problem}; allowed: error, warn, info, debug, trace, or target=level,...")]
    BadFilter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else in this process logs already.
    #[error("logging was already started")]
    AlreadyStarted,
}

/// Starts logging for the whole process. `filter` is a level (`info`) or directives (`info,quorate_proxy=debug`).
pub fn init(format: Format, filter: &str) -> Result<(), Error> {
    let subscriber = subscriber(format, filter, colour(), std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::AlreadyStarted)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    On,
    Off,
}

fn colour() -> Colour {
    // https://no-color.org: present and not empty, whatever its value.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    if !refused && std::io::stderr().is_terminal() { Colour::On } else { Colour::Off }
}

fn subscriber<W>(
    format: Format,
    filter: &str,
    colour: Colour,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| Error::BadFilter { filter: filter.to_owned(), problem: e.to_string() })?;
    let registry = tracing_subscriber::registry().with(filter);
    Ok(match format {
        Format::Text => Box::new(registry.with(text_layer(colour).with_writer(writer))),
        Format::Json => Box::new(
            registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer)),
        ),
    })
}

fn text_layer<S>(colour: Colour) -> tracing_subscriber::fmt::Layer<S>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    tracing_subscriber::fmt::layer().with_ansi(colour == Colour::On)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Metrics,
        events::{self, WorkerFailed},
        label::Outcome,
    };
    use quorate_model::{Event, LogIndex, RoutingKey};
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, colour: Colour) -> String {
        let failed = WorkerFailed {
            outcome: Outcome::Timeout,
            method: "GET",
            path: "/v1/x",
            worker: "http://10.0.0.7:80",
            attempts: 2,
            error: &"too late",
        };
        captured((format, filter, colour), || failed.emit())
    }

    fn captured((format, filter, colour): (Format, &str, Colour), emit: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, filter, colour, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, emit);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_has_its_fields_at_the_top_level() {
        let line = logged(Format::Json, "info", Colour::Off);
        let value: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        assert_eq!(value["level"], "WARN");
        assert_eq!(value["message"], "worker failed");
        assert_eq!((&value["outcome"], &value["attempts"]), (&"timeout".into(), &2.into()));
        assert_eq!(value["error"], "too late");
        assert!(value["timestamp"].is_string());
    }

    #[test]
    fn text_has_colours_only_when_told_so() {
        let plain = logged(Format::Text, "info", Colour::Off);
        assert!(plain.contains("worker failed") && plain.contains("attempts=2"), "{plain}");
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        assert!(logged(Format::Text, "info", Colour::On).contains('\u{1b}'));
    }

    #[test]
    fn a_filter_silences() {
        assert_eq!(logged(Format::Text, "error", Colour::Off), "");
        assert_eq!(logged(Format::Text, "info,quorate_telemetry=off", Colour::Off), "");
    }

    /// A key is what people send: whoever reads the log need not know it.
    #[test]
    fn a_routing_key_is_in_no_line() {
        let key = RoutingKey::parse("dev-of-anna").expect("a key");
        let all = [Event::SandboxChanged { key: key.clone() }, Event::SandboxEnded { key }];
        let metrics = Metrics::new();
        let emit = || events::applied(metrics.control(), LogIndex(7), &all);
        let lines = captured((Format::Text, "trace", Colour::Off), emit);
        assert!(lines.contains("sandbox changed") && lines.contains("sandbox ended"), "{lines}");
        assert!(lines.contains("index=7") && !lines.contains("anna"), "{lines}");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = init(Format::Text, "loud=really").expect_err("no such level");
        assert!(error.to_string().contains("`loud=really`"), "{error}");
    }
}
