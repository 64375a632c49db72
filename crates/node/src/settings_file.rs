//! The settings file, read again while the node runs.
//!
//! It is looked at every second, by what is in it: a ConfigMap is changed by a symbolic link that is turned, which tells
//! nobody, and neither times nor inodes of the file tell of every change. What a look finds counts once the next one
//! finds the same: who writes a file in place may be half done, and half of a list of rules is a list of rules.
//! Whoever asks for a look (SIGHUP) has finished writing.
//!
//! A file that has become empty is none that says that its rules are to go: more likely whoever writes it was cut off, or
//! has emptied it first. `routing: {rules: []}` says it. At a start an empty file is a file without settings.
//!
//! A changed file is judged as at a start, with the flags and the environment around it. What is wrong changes nothing,
//! and is told once. What is right takes effect as far as it can: the rules and the default target, as a whole and at
//! once. What else has changed needs a restart, and is named.

use crate::config::{Config, ConfigErrors, ConfigFile, Sources};
use quorate_routing::local::{Local, Mode};
use quorate_rt::{blocking, published::Published, shutdown::Shutdown, time};
use quorate_telemetry::Control;
use std::{io::Read as _, path::Path, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A larger file is no configuration.
pub const BYTES_MAX: u64 = 1 << 20;

/// What the node alone was told, at its start.
pub(crate) fn local(config: &Config) -> Arc<Published<Local>> {
    let target = config.default_target.as_ref();
    Published::new(Arc::new(Local::default().replaced(config.mode, target, &config.rules)))
}

/// Keeps up with the file until the shutdown. Whoever wants a look at once tells what this returns.
pub(crate) fn keep_up(
    config: &Config,
    (local, control): (&Arc<Published<Local>>, &Arc<Control>),
    shutdown: &Shutdown,
) -> Arc<Notify> {
    let asked = Arc::new(Notify::new());
    if let Some(sources) = config.reload.clone()
        && let Some(file) = sources.file.clone()
    {
        let keeper = Keeper {
            seen: Seen::Text(file.text),
            path: file.path,
            mode: config.mode,
            sources,
            local: local.clone(),
            control: control.clone(),
        };
        quorate_rt::spawn(keeper.run(asked.clone(), shutdown.clone()));
    }
    asked
}

/// What a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    /// It can't be read, and why.
    Unreadable(String),
}

struct Keeper {
    path: String,
    /// What the node was started with.
    sources: Arc<Sources>,
    mode: Mode,
    /// What was judged last.
    seen: Seen,
    local: Arc<Published<Local>>,
    control: Arc<Control>,
}

/// Who wants a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Time.
    Due,
    /// Somebody, who wants to be told, whatever was said before.
    Asked,
}

impl Keeper {
    async fn run(mut self, asked: Arc<Notify>, mut shutdown: Shutdown) {
        let mut before = None;
        loop {
            let look = tokio::select! {
                biased;
                () = shutdown.wait() => return,
                () = asked.notified() => Look::Asked,
                () = time::sleep(LOOK_EVERY) => Look::Due,
            };
            let path = self.path.clone();
            let found = blocking(move || read(Path::new(&path))).await;
            let is_settled = look == Look::Asked || before.as_ref() == Some(&found);
            let is_known = look == Look::Due && found == self.seen;
            if is_settled && !is_known {
                self.judge(&found);
                self.seen = found.clone();
            }
            before = Some(found);
        }
    }

    fn judge(&self, found: &Seen) {
        let text = match found {
            Seen::Text(text) => text.clone(),
            Seen::Unreadable(why) => {
                self.control.config_not_reloaded();
                tracing::error!(path = %self.path, error = %why, "{REFUSED}");
                return;
            }
        };
        if Config::says_nothing(&text) {
            self.control.config_not_reloaded();
            tracing::error!(path = %self.path, error = EMPTY, "{REFUSED}");
            return;
        }
        let file = Some(ConfigFile { path: self.path.clone(), text });
        let sources = Sources { file, ..(*self.sources).clone() };
        match Config::load(&sources) {
            Ok(config) => self.take(&config, &sources),
            Err(errors) => self.refuse(&errors),
        }
    }

    fn take(&self, config: &Config, sources: &Sources) {
        // What it stands in front of is as it was at the start. A sidecar without a target would serve the whole cluster.
        if self.mode == Mode::Sidecar && config.default_target.is_none() {
            self.control.config_not_reloaded();
            tracing::error!(path = %self.path, error = "default_target: is missing; a sidecar needs one", "{REFUSED}");
            return;
        }
        let (target, rules) = (config.default_target.as_ref(), &config.rules);
        self.control.config_reloaded();
        self.local.store(Arc::new(self.local.get().replaced(self.mode, target, rules)));
        let target = if config.default_target.is_some() { "one" } else { "none" };
        tracing::info!(
            path = %self.path,
            keys = config.rules.len(),
            default_target = target,
            "the settings file has changed: its rules and its default target are in effect"
        );
        let restarts = Config::restarts(&self.sources, sources);
        if !restarts.is_empty() {
            tracing::warn!(
                path = %self.path,
                settings = restarts.join(", "),
                "these settings have changed since the start, and take effect at the next one"
            );
        }
    }

    fn refuse(&self, errors: &ConfigErrors) {
        /// A longer line helps nobody; `quorate serve` with the same file tells all.
        const TOLD_MAX: usize = 20;
        self.control.config_not_reloaded();
        let mut told: Vec<_> = errors.0.iter().take(TOLD_MAX).map(ToString::to_string).collect();
        if let Some(more) = errors.0.len().checked_sub(TOLD_MAX + 1) {
            told.push(format!("and {} more", more + 1));
        }
        // One look, one line: who counts lines counts looks.
        tracing::error!(path = %self.path, mistakes = errors.0.len(), error = told.join(" | "), "{REFUSED}");
    }
}

const EMPTY: &str =
    "it says nothing; allowed: settings, such as `routing: {rules: []}` if all of its rules are to go";

const REFUSED: &str = "the settings file can't be used: what it said before holds";

fn read(path: &Path) -> Seen {
    read_text(path).map_or_else(Seen::Unreadable, Seen::Text)
}

/// A settings file; the error says why it can't be one.
pub fn read_text(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    // One byte more than is allowed tells a file that is too large.
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("it is larger than {BYTES_MAX} bytes; allowed: at most {BYTES_MAX}"));
    }
    Ok(text)
}
