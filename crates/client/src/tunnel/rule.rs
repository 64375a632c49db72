//! The rule of a sandbox that leads to a tunnel: put in beside what others have put there, kept, and taken out again.
//!
//! A sandbox may be several people's. So each write names the state of it that was read, and is made again on a newer
//! one; and what is taken away at the end is our rule, and the sandbox with it only where nothing else is left.

use crate::{Error, Operator};
use serde_json::{Map, Value, json};

/// Others change the sandbox at the same time so often at most.
const TRIES: usize = 8;

/// Which requests are to come.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The sandbox's key.
    pub key: String,
    /// The service that they would go to without it; `None`: whatever it is.
    pub service: Option<String>,
    /// The tunnel's name.
    pub tunnel: String,
    /// How long the sandbox stands, counted from each time that it is kept; such as `24h`.
    pub ttl: String,
}

impl Rule {
    /// Puts it in, before all others. `true`: there was no such sandbox, and now there is.
    pub async fn put(&self, operator: &Operator) -> Result<bool, Error> {
        for _ in 1..TRIES {
            match self.try_put(operator).await {
                Err(error) if is_changed(&error) => {}
                done => return done,
            }
        }
        self.try_put(operator).await
    }

    async fn try_put(&self, operator: &Operator) -> Result<bool, Error> {
        let Some(Found { mut rules, ttl, changed }) = find(operator, &self.key).await? else {
            let body = json!({"rules": [self.shown()], "ttl": self.ttl});
            return operator.set_sandbox(&self.key, &body, Some(0)).await.map(|_| true);
        };
        rules.retain(|rule| !self.is_ours(rule));
        rules.insert(0, self.shown());
        operator.set_sandbox(&self.key, &body(rules, ttl), Some(changed)).await.map(|_| false)
    }

    /// Gives the sandbox its time anew. Where it is gone, or the rule is, it is put in again.
    pub async fn keep(&self, operator: &Operator) -> Result<(), Error> {
        let found = find(operator, &self.key).await?;
        match found {
            Some(found) if found.rules.iter().any(|rule| self.is_ours(rule)) => {
                // One without an end is nobody's to end.
                if found.ttl.is_some() {
                    operator.extend_sandbox(&self.key, &self.ttl).await?;
                }
                Ok(())
            }
            Some(_) | None => self.put(operator).await.map(drop),
        }
    }

    /// Takes it out. `true`: nothing else was in the sandbox, and it is gone.
    pub async fn take_out(&self, operator: &Operator) -> Result<bool, Error> {
        for _ in 1..TRIES {
            match self.try_take_out(operator).await {
                Err(error) if is_changed(&error) => {}
                done => return done,
            }
        }
        self.try_take_out(operator).await
    }

    async fn try_take_out(&self, operator: &Operator) -> Result<bool, Error> {
        let Some(Found { mut rules, ttl, changed }) = find(operator, &self.key).await? else {
            return Ok(true);
        };
        let before = rules.len();
        rules.retain(|rule| !self.is_ours(rule));
        if rules.is_empty() {
            return match operator.delete_sandbox_at(&self.key, changed).await {
                Err(Error::Refused(problem)) if problem.code == "sandbox_unknown" => Ok(true),
                done => done.map(|_| true),
            };
        }
        if rules.len() < before {
            operator.set_sandbox(&self.key, &body(rules, ttl), Some(changed)).await?;
        }
        Ok(false)
    }

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

    fn is_ours(&self, rule: &Value) -> bool {
        let service = rule.get("service").and_then(Value::as_str);
        let target = rule.get("target").and_then(Value::as_str);
        target == Some(&*self.target()) && service == self.service.as_deref()
    }
}

/// A sandbox, as far as it is put back.
struct Found {
    rules: Vec<Value>,
    ttl: Option<Value>,
    changed: u64,
}

async fn find(operator: &Operator, key: &str) -> Result<Option<Found>, Error> {
    let told = match operator.sandbox(key).await {
        Ok(told) => told,
        Err(Error::Refused(problem)) if problem.code == "sandbox_unknown" => return Ok(None),
        Err(error) => return Err(error),
    };
    let rules = told.json.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(Some(Found { rules, ttl: told.json.get("ttl").cloned(), changed: told.value.changed_index }))
}

fn body(rules: Vec<Value>, ttl: Option<Value>) -> Value {
    let mut body = Map::new();
    body.insert("rules".into(), Value::Array(rules));
    if let Some(ttl) = ttl {
        body.insert("ttl".into(), ttl);
    }
    Value::Object(body)
}

/// Whether somebody else was faster.
fn is_changed(error: &Error) -> bool {
    error.problem().is_some_and(|problem| problem.code == "precondition_failed")
}
