//! The rule of a sandbox that leads to a tunnel: put in before what others have put there, kept, and taken out again.
//!
//! A sandbox may be several people's. So each write names the state of it that was read, and is made again on a newer
//! one; its time only ever gets longer, since somebody may have been promised more; and what is taken away at the end is
//! our rule, and the sandbox with it only where nothing else is left.
//!
//! The rule leads to whoever holds the tunnel's name. Whoever holds it no more takes away nothing that its holder needs:
//! one with the same rule goes on with it. Where the name says what the tunnel is for ([`Rule::is_named_by_it`]), that is
//! always so. Else the holder's own write of the rule, which comes after its tunnel, is waited for; without one it is a
//! machine for something else, and the rule is taken out, so that it leads nobody there.

mod found;

use crate::{Error, Operator, tasks};
use found::{Clock, Found, ends_ms, ttl};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Others change the sandbox at the same time so often at most.
const TRIES: usize = 8;
/// Whoever has taken the name for the same requests has put its rule in by then: so many looks, and the time between.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An extension is not worth a log entry that gives less than this, or a quarter of the time.
const GAIN_MS: u64 = 3_600_000;
/// What a sandbox can be extended by.
const SPAN_MS_MIN: u64 = 300_000;
/// See [`SPAN_MS_MIN`].
const SPAN_MS_MAX: u64 = 604_800_000;

/// Which requests are to come.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The sandbox's key.
    pub key: String,
    /// The service that they would go to without it; `None`: whatever it is.
    pub service: Option<String>,
    /// The tunnel's name.
    pub tunnel: String,
    /// Whether nobody opens a tunnel of this name for another key or service.
    pub is_named_by_it: bool,
    /// How long the sandbox stands at least, counted from each time that it is kept.
    pub ttl: Duration,
}

/// What became of putting it in.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// There was no such sandbox, and now there is.
    pub is_new: bool,
    /// What the node said of the sandbox.
    pub told: Value,
}

/// How the rule is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is there.
    Stands {
        /// Whether no request comes to it: a wider one stands before it.
        is_silenced: bool,
    },
    /// Somebody has taken it out.
    RuleGone,
    /// There is no such sandbox any more.
    SandboxGone,
}

/// What became of it at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing else was in the sandbox: it is gone, too.
    WithSandbox,
    /// The sandbox has other rules.
    Out,
    /// It was not there any more.
    WasGone,
    /// Another machine holds the tunnel and goes on with the rule, which stays.
    ToItsHolder,
    /// Another machine holds the tunnel, for something else: the rule is out.
    FromItsHolder,
}

/// Keeps a rule.
pub struct Keeper<'a> {
    operator: &'a Operator,
    rule: Rule,
    clock: Clock,
}

impl<'a> Keeper<'a> {
    /// Nothing is put in yet.
    pub fn new(operator: &'a Operator, rule: Rule) -> Self {
        Self { operator, rule, clock: Clock::default() }
    }

    /// Puts the rule in, before all others.
    pub async fn put(&mut self) -> Result<Put, Error> {
        for _ in 1..TRIES {
            match self.try_put().await {
                Err(error) if is_changed(&error) => {}
                done => return done,
            }
        }
        self.try_put().await
    }

    async fn try_put(&mut self) -> Result<Put, Error> {
        let (key, span) = (self.rule.key.clone(), self.span_ms());
        let Some(mut found) = Found::standing(self.operator, &key).await? else {
            let body = json!({"rules": [self.rule.shown()], "ttl": ttl(span)});
            let told = self.operator.set_sandbox(&key, &body, Some(0)).await?;
            self.clock.learn(&told, span);
            return Ok(Put { is_new: true, told });
        };
        let mut rules = std::mem::take(&mut found.rules);
        rules.retain(|rule| !self.rule.is_it(rule));
        rules.insert(0, self.rule.shown());
        let told = self.set(rules, &found).await?;
        Ok(Put { is_new: false, told })
    }

    /// Other rules for a sandbox, whose time begins anew with that: what is missing of the time that it had is given
    /// back.
    async fn set(&mut self, rules: Vec<Value>, found: &Found) -> Result<Value, Error> {
        let (key, body) = (&self.rule.key, found.body(rules));
        let mut told = self.operator.set_sandbox(key, &body, Some(found.changed)).await?;
        if let Some(span) = found.span_ms() {
            self.clock.learn(&told, span);
        }
        let Some(had) = found.ends else { return Ok(told) };
        let is_less = |told: &Value| ends_ms(told).is_none_or(|ends| had > ends);
        if is_less(&told) && self.clock.now_ms().is_none() {
            // It has no time of its own, and somebody gave it some: what time it is only an extension tells.
            self.extend(&mut told, self.span_ms()).await?;
        }
        if let Some(now) = self.clock.now_ms().filter(|_| is_less(&told)) {
            let left = had.saturating_sub(now).clamp(SPAN_MS_MIN, SPAN_MS_MAX);
            self.extend(&mut told, left).await?;
        }
        Ok(told)
    }

    /// Gives time to a sandbox that is as `told` says, if it still is.
    async fn extend(&mut self, told: &mut Value, span: u64) -> Result<(), Error> {
        let index = told.get("index").and_then(Value::as_u64);
        match self.operator.extend_sandbox_at(&self.rule.key, &ttl(span), index).await {
            Ok(extended) => {
                self.clock.learn(&extended, span);
                for field in ["index", "ends_at"] {
                    told[field] = extended.get(field).cloned().unwrap_or(Value::Null);
                }
                Ok(())
            }
            // Whoever was faster has set its time.
            Err(error) if is_changed(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether it is there, and the sandbox's time with it: one that has an end gets more while it is kept, never less.
    pub async fn look(&mut self) -> Result<Look, Error> {
        let key = self.rule.key.clone();
        let mut found = Found::find(self.operator, &key).await?;
        if self.place(found.as_ref()).is_none() {
            // A node that is behind says so, too.
            found = Found::standing(self.operator, &key).await?;
        }
        match (self.place(found.as_ref()), &found) {
            (_, None) => Ok(Look::SandboxGone),
            (None, Some(_)) => Ok(Look::RuleGone),
            (Some(place), Some(found)) => {
                self.keep(found).await?;
                Ok(Look::Stands { is_silenced: found.silenced.contains(&place) })
            }
        }
    }

    async fn keep(&mut self, found: &Found) -> Result<(), Error> {
        // One without an end is nobody's to end.
        let Some(ends) = found.ends else { return Ok(()) };
        let span = self.span_ms();
        let Some(now) = self.clock.now_ms() else {
            // Somebody gave it an end. The write tells what time it is, and takes none away.
            return self.try_put().await.map(drop).or_else(|error| match is_changed(&error) {
                true => Ok(()),
                false => Err(error),
            });
        };
        if now + span <= ends + GAIN_MS.min(span / 4) {
            return Ok(());
        }
        // If it was changed, the next look will see it.
        self.extend(&mut json!({"index": found.changed}), span).await
    }

    /// The end of it. `epoch` is that of the tunnel by which we held the name last.
    pub async fn leave(&mut self, epoch: u64) -> Result<Left, Error> {
        for _ in 1..TRIES {
            match self.try_leave(epoch).await {
                Err(error) if is_changed(&error) => {}
                done => return done,
            }
        }
        self.try_leave(epoch).await
    }

    async fn try_leave(&mut self, epoch: u64) -> Result<Left, Error> {
        // In this order: whoever opens the tunnel later changes the sandbox later, and is noticed by that.
        let found = Found::standing(self.operator, &self.rule.key).await?;
        let Some(found) = found.filter(|found| self.place(Some(found)).is_some()) else {
            return Ok(Left::WasGone);
        };
        match self.operator.standing_tunnel(&self.rule.tunnel).await? {
            Some(holder) if holder.epoch != epoch => self.give_way(holder.epoch).await,
            Some(_) | None => self.take_out(found).await,
        }
    }

    /// Another machine holds the tunnel since this index.
    async fn give_way(&mut self, since: u64) -> Result<Left, Error> {
        if self.rule.is_named_by_it {
            return Ok(Left::ToItsHolder);
        }
        for left in (0..LOOKS).rev() {
            let found = Found::standing(self.operator, &self.rule.key).await?;
            let Some(found) = found.filter(|found| self.place(Some(found)).is_some()) else {
                return Ok(Left::WasGone);
            };
            // Whoever goes on with our rule has put it in first; another one of that tunnel is for something else.
            let first = found.rules.iter().find(|rule| self.rule.leads_alike(rule));
            let is_of_others = first.is_some_and(|rule| !self.rule.is_it(rule));
            if found.changed > since && !is_of_others {
                return Ok(Left::ToItsHolder);
            }
            if left == 0 || is_of_others {
                return match self.take_out(found).await {
                    Ok(_) => Ok(Left::FromItsHolder),
                    Err(error) if is_changed(&error) => Ok(Left::ToItsHolder),
                    Err(error) => Err(error),
                };
            }
            tasks::sleep(LOOK_EVERY).await;
        }
        Ok(Left::ToItsHolder)
    }

    async fn take_out(&mut self, mut found: Found) -> Result<Left, Error> {
        let mut rules = std::mem::take(&mut found.rules);
        rules.retain(|rule| !self.rule.is_it(rule));
        if !rules.is_empty() {
            return self.set(rules, &found).await.map(|_| Left::Out);
        }
        match self.operator.delete_sandbox_at(&self.rule.key, found.changed).await {
            Err(Error::Refused(problem)) if problem.code == "sandbox_unknown" => Ok(Left::WasGone),
            done => done.map(|_| Left::WithSandbox),
        }
    }

    fn place(&self, found: Option<&Found>) -> Option<u64> {
        let at = found?.rules.iter().position(|rule| self.rule.is_it(rule))?;
        u64::try_from(at).ok()
    }

    fn span_ms(&self) -> u64 {
        u64::try_from(self.rule.ttl.as_millis()).unwrap_or(u64::MAX).min(SPAN_MS_MAX)
    }
}

impl Rule {
    fn target(&self) -> String {
        format!("tunnel://{}", self.tunnel)
    }

    fn shown(&self) -> Value {
        let mut rule = Map::new();
        if let Some(service) = &self.service {
            rule.insert("service".into(), json!(service));
        }
        rule.insert("target".into(), json!(self.target()));
        Value::Object(rule)
    }

    fn leads_alike(&self, rule: &Value) -> bool {
        rule.get("target").and_then(Value::as_str) == Some(&*self.target())
    }

    /// One that asks for more is somebody else's, wherever it leads.
    fn is_it(&self, rule: &Value) -> bool {
        let asks_for_more =
            ["path_prefixes", "paths_exact", "headers"].iter().any(|field| rule.get(field).is_some());
        let service = rule.get("service").and_then(Value::as_str);
        !asks_for_more && self.leads_alike(rule) && service == self.service.as_deref()
    }
}

/// Whether somebody else was faster.
fn is_changed(error: &Error) -> bool {
    error.problem().is_some_and(|problem| problem.code == "precondition_failed")
}
