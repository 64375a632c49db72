//! The rule while the tunnel is open: put in once it hangs, looked at every few seconds, taken out at a signal.
//!
//! A rule that somebody has taken out is put in again, and people are told. Most of the time nobody has meant this
//! machine: a sandbox is over, `apply --prune` has run, an older state was brought back. Whoever does mean it ends this
//! program, or its token. `--once` ends in the place of putting it in again.

use super::Hold;
use crate::{
    args::{Format, LocalArgs},
    commands::sandboxes::overlaps,
    failure::Failure,
    output::{printable, say, show_or},
    signals::Signals,
};
use quorate_client::{
    Operator,
    tunnel::rule::{Keeper, Left, Look, Put, Rule},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;

/// Whoever takes the rule out is answered so soon.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A rule that is kept.
pub struct Kept<'a> {
    keeper: Keeper<'a>,
    rule: Rule,
    to: &'a str,
    format: Format,
    ends_without_it: bool,
    /// Whether it may be there.
    is_in: bool,
    is_silenced: bool,
    /// Whether people know that the cluster can't be asked.
    is_blind: bool,
    /// The tunnel that was lost to another machine, where people know what became of the rule.
    lost: Option<u64>,
}

impl<'a> Kept<'a> {
    pub fn new(
        operator: &'a Operator,
        rule: Rule,
        (args, to, format): (&LocalArgs, &'a str, Format),
    ) -> Self {
        Self {
            keeper: Keeper::new(operator, rule.clone()),
            rule,
            to,
            format,
            ends_without_it: args.once,
            is_in: false,
            is_silenced: false,
            is_blind: false,
            lost: None,
        }
    }

    /// Until a signal, or the rule's end.
    pub async fn serve(
        &mut self,
        hold: &mut watch::Receiver<Hold>,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            // An error says that the tunnel has ended, which is told elsewhere.
            hung = hold.wait_for(|hold| matches!(hold, Hold::At(_))) => if hung.is_err() {
                std::future::pending::<()>().await;
            }
        }
        self.is_in = true;
        let put = self.keeper.put().await?;
        self.tell(&put)?;
        loop {
            let now = *hold.borrow_and_update();
            match now {
                Hold::NotYet => {}
                Hold::At(_) => self.look().await?,
                Hold::Taken(epoch) => self.was_taken(epoch).await,
            }
            tokio::select! {
                biased;
                _ = signals.next() => break,
                Ok(()) = hold.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let last = *hold.borrow();
        tokio::select! {
            biased;
            left = self.leave(last) => left,
            number = signals.next() => {
                say(&printable(&format!("the rule of {} may still be there", self.rule.key)));
                Err(Failure::Signal(number))
            }
        }
    }

    fn tell(&self, put: &Put) -> Result<(), Failure> {
        let Rule { key, service, tunnel, .. } = &self.rule;
        let what = service.as_ref().map_or_else(String::new, |service| format!(" for {service}"));
        let (sandbox, word) =
            if put.is_new { ("a new sandbox", "new") } else { ("a sandbox that was there", "joined") };
        let ends = put.told.get("ends_at").cloned().unwrap_or(Value::Null);
        let told = json!({"key": key, "service": service, "tunnel": tunnel, "to": self.to, "sandbox": word, "ends_at": ends});
        show_or(
            self.format,
            &told,
            &format!("requests{what} with the key {key} come to {} ({sandbox})", self.to),
        )?;
        overlaps(&put.told);
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Failure> {
        self.lost = None;
        let key = printable(&self.rule.key);
        let gone = match self.keeper.look().await {
            Ok(Look::Stands { is_silenced }) => {
                if is_silenced && !self.is_silenced {
                    say(&format!(
                        "no request comes to the rule of {key} any more: a wider one stands before it"
                    ));
                }
                (self.is_silenced, self.is_blind) = (is_silenced, false);
                return Ok(());
            }
            Ok(Look::RuleGone) => format!("the rule was taken out of sandbox {key}"),
            Ok(Look::SandboxGone) => {
                format!("sandbox {key} is gone: it was taken away, or its time was over")
            }
            Err(error) => {
                self.say_blind(&error);
                return Ok(());
            }
        };
        if self.ends_without_it {
            self.is_in = false;
            return Err(Failure::Failed(gone));
        }
        match self.keeper.put().await {
            Ok(put) => {
                say(&format!("{gone}; put it in again"));
                overlaps(&put.told);
                self.is_blind = false;
            }
            Err(error) => self.say_blind(&format!("{gone}; {error}")),
        }
        Ok(())
    }

    /// Once, until it goes well again.
    fn say_blind(&mut self, why: &impl ToString) {
        if !self.is_blind {
            let (key, why) = (&self.rule.key, why.to_string());
            say(&printable(&format!("the rule of {key} can't be kept now: {why}; trying again")));
        }
        self.is_blind = true;
    }

    /// Another machine has the tunnel, which is to be taken back.
    async fn was_taken(&mut self, epoch: u64) {
        if self.lost == Some(epoch) {
            return;
        }
        match self.keeper.leave(epoch).await {
            Ok(left) => {
                self.lost = Some(epoch);
                self.say_left(left);
            }
            Err(error) => self.say_blind(&error),
        }
    }

    /// At the end: what was put in is taken out, as far as it is nobody else's.
    pub async fn leave(&mut self, hold: Hold) -> Result<(), Failure> {
        let (Hold::At(epoch) | Hold::Taken(epoch)) = hold else { return Ok(()) };
        if self.is_in {
            let left = self.keeper.leave(epoch).await?;
            self.say_left(left);
        }
        Ok(())
    }

    fn say_left(&self, left: Left) {
        let Rule { key, tunnel, .. } = &self.rule;
        let line = match left {
            Left::WithSandbox => format!("took the rule of {key} out: the sandbox is gone"),
            Left::Out => format!("took the rule of {key} out: the sandbox has other rules, and stays"),
            Left::WasGone => format!("the rule of {key} was not there any more"),
            Left::ToItsHolder => {
                format!("another machine holds the tunnel {tunnel}: the rule of {key} stays, and leads there")
            }
            Left::FromItsHolder => {
                format!(
                    "another machine holds the tunnel {tunnel} for something else: took the rule of {key} out"
                )
            }
        };
        say(&printable(&line));
    }
}
