//! `quorate connect`

mod line;
mod shown;

use super::block_on;
use crate::{
    args::ConnectArgs,
    failure::Failure,
    output::{print, say},
    signals::Signals,
};
use line::Line;
use quorate_client::socket::{self, Caller, Dialect, Heard, Listener, Talker};
use shown::Shown;
use std::{io::BufRead as _, path::Path};
use tokio::sync::mpsc;

/// Lines that were read and not taken.
const LINES_MAX: usize = 16;

pub fn run(args: &ConnectArgs) -> Result<(), Failure> {
    if args.user.is_empty() {
        return Err(Failure::Usage("--user: is empty; allowed: 1 to 256 bytes".into()));
    }
    let gateways = socket::gateways(&args.gateway)
        .map_err(|e| Failure::Usage(format!("--gateway (or QUORATE_GATEWAYS): {e}")))?;
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let dialect = if args.legacy { Dialect::Legacy } else { Dialect::Quorate };
    let caller = Caller { user: args.user.clone(), gateways, token: token.map(Into::into), dialect };
    block_on(async {
        let mut signals = Signals::listen()?;
        let (talker, listener) = tokio::select! {
            biased;
            connected = caller.connect() => connected?,
            _ = signals.next() => return Ok(()),
        };
        let talk = Talk { args, talker, listener, to: args.to.clone(), has_failed: false, is_leaving: false };
        talk.run(signals).await
    })
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--token-file {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then(|| token.to_owned()).ok_or_else(|| wrong("its first line is no token".into()))
}

/// stdin can't be waited for together with other things, so a thread reads it; the program ends without it.
fn lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

struct Talk<'a> {
    args: &'a ConnectArgs,
    talker: Talker,
    listener: Listener,
    /// Whom lines without a name go to.
    to: Option<String>,
    /// Something that was said was refused.
    has_failed: bool,
    is_leaving: bool,
}

impl Talk<'_> {
    async fn run(mut self, mut signals: Signals) -> Result<(), Failure> {
        let (mut lines, mut has_input) = (lines(), true);
        loop {
            tokio::select! {
                biased;
                heard = self.listener.next() => match heard? {
                    Some(heard) => self.show(&heard)?,
                    None => return self.outcome(),
                },
                signal = signals.next() => {
                    // The second one insists.
                    if self.is_leaving {
                        return Err(Failure::Signal(signal));
                    }
                    self.leave().await;
                }
                line = lines.recv(), if has_input && !self.is_leaving => match line {
                    Some(line) => self.read(&line).await,
                    None => {
                        has_input = false;
                        if !self.args.listen {
                            self.leave().await;
                        }
                    }
                },
            }
        }
    }

    fn outcome(&self) -> Result<(), Failure> {
        match self.has_failed {
            false => Ok(()),
            true => Err(Failure::Failed("not everything that was said has arrived".into())),
        }
    }

    async fn leave(&mut self) {
        self.is_leaving = true;
        self.talker.leave().await;
    }

    async fn read(&mut self, line: &str) {
        match line::read(line, self.to.as_deref()) {
            Ok(Line::Say(said)) => {
                // One that nobody takes has ended, which is heard next.
                let _ = self.talker.say(said).await;
            }
            Ok(Line::To(to)) => self.to = Some(to),
            Ok(Line::Quit) => self.leave().await,
            Ok(Line::Empty) => {}
            Err(why) => {
                self.has_failed = true;
                say(&why);
            }
        }
    }

    fn show(&mut self, heard: &Heard) -> Result<(), Failure> {
        self.has_failed |= matches!(heard, Heard::Refused { .. } | Heard::Unknown(_));
        match if self.args.json { shown::json(heard) } else { shown::text(heard) } {
            Shown::Data(line) => print(&format!("{line}\n")),
            Shown::Talk(line) => {
                say(&line);
                Ok(())
            }
            Shown::Nothing => Ok(()),
        }
    }
}
