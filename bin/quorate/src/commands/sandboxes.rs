//! `quorate sandboxes`

use super::{
    block_on,
    document::Document,
    key_trace::{self, How},
    operator,
    ramps::{done_to, mark, print_ramps},
};
use crate::{
    args::{Format, SandboxesArgs, SandboxesVerb},
    failure::Failure,
    output::{Rows, done, or_dash, print, say, show, yaml},
};
use quorate_client::operator::{
    Operator, RampOrder, RampRecord, SandboxRecord, SandboxRuleRecord, SandboxTargetRecord,
};
use serde_json::Value;

pub fn run(args: &SandboxesArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            SandboxesVerb::Local(local) => super::local::run(&operator, &args.remote, local).await,
            SandboxesVerb::List { ends_within } => {
                let told = operator.sandboxes(ends_within.as_deref()).await?;
                show(format, &told.json, || rows(&told.value))
            }
            SandboxesVerb::Get { key } => {
                let told = operator.sandbox(key).await?;
                match format {
                    // A sandbox has too much in it for a row.
                    Format::Table => print(&yaml(&told.json)?),
                    Format::Json | Format::Yaml => show(format, &told.json, || Rows::new([])),
                }
            }
            SandboxesVerb::Put { key, file } => {
                let mut document = Document::read(file)?;
                let shown =
                    document.take_shown("sandbox", ("key", key), &["ends_at", "overlaps", "ramps"])?;
                let told = operator.set_sandbox(key, &document.value, shown).await;
                let told = told.map_err(|error| document.failure(error))?;
                done(format, &told, &format!("set sandbox {key}{}", until(&told)))?;
                overlaps(&told);
                Ok(())
            }
            SandboxesVerb::Delete { key } => {
                let told = operator.delete_sandbox(key).await?;
                done(format, &told, &format!("took sandbox {key} away"))
            }
            SandboxesVerb::Trace { key, span, follow, now } => {
                let how = match (follow, now) {
                    (_, true) => How::Now,
                    (true, false) => How::AsTheyCome(*span),
                    (false, false) => How::AtTheEnd(*span),
                };
                key_trace::show_trace(&operator, key, (how, format)).await
            }
            SandboxesVerb::Ramp { key, rule, word } => {
                ramp(&operator, (key, *rule), (word.order(), format)).await
            }
            SandboxesVerb::Extend { key, ttl } => {
                let told = operator.extend_sandbox(key, ttl).await?;
                done(format, &told, &format!("extended sandbox {key}{}", until(&told)))
            }
        }
    })
}

/// One of a sandbox's ramps, or all that it has.
async fn ramp(
    operator: &Operator,
    (key, rule): (&str, Option<u16>),
    (order, format): (Option<RampOrder>, Format),
) -> Result<(), Failure> {
    let SandboxRecord { mut ramps, rules, .. } = operator.sandbox(key).await?.value;
    if let Some(rule) = rule.filter(|rule| usize::from(*rule) >= rules.len()) {
        let last = rules.len().saturating_sub(1);
        let problem = format!("sandbox {key} has no rule {rule}; allowed: its rules are 0 to {last}");
        return Err(Failure::NotFound(problem));
    }
    ramps.retain(|ramp| rule.is_none() || ramp.rule == rule);
    if ramps.is_empty() {
        let of = rule.map_or_else(String::new, |rule| format!("rule {rule} of "));
        return Err(Failure::Failed(format!("{of}sandbox {key} has no ramp")));
    }
    let Some(order) = order else {
        return print_ramps(format, &ramps, |ramp, nth| {
            let rule = rules.get(usize::from(ramp.rule?))?;
            let several = rule.targets.get(usize::from(nth)).map(|one| one.target.clone());
            several.or_else(|| rule.target.clone())
        });
    };
    let [one] = &ramps[..] else {
        let rules: Vec<_> = ramps.iter().filter_map(|ramp| Some(ramp.rule?.to_string())).collect();
        let problem = format!("--rule is missing; rules of {key} with a ramp: {}", rules.join(", "));
        return Err(Failure::Usage(problem));
    };
    let rule = one.rule.unwrap_or_default();
    let told = operator.order_sandbox_ramp(key, rule, order).await?;
    done(format, &told, &format!("{} the ramp of rule {rule} of sandbox {key}", done_to(order)))
}

/// When it ends, if the answer says.
fn until(told: &Value) -> String {
    let ends = told.get("ends_at").and_then(Value::as_str);
    ends.map_or_else(String::new, |ends| format!(" until {ends}"))
}

/// Rules that no request comes to: most likely they stand in the wrong order.
pub(super) fn overlaps(told: &Value) {
    for overlap in told.get("overlaps").and_then(Value::as_array).into_iter().flatten() {
        let place = |name: &str| overlap.get(name).and_then(Value::as_u64);
        if let (Some(rule), Some(by)) = (place("rule"), place("by")) {
            say(&format!(
                "warning: no request comes to rules[{rule}]: all that meet it meet rules[{by}] first"
            ));
        }
    }
}

fn rows(sandboxes: &[SandboxRecord]) -> Rows {
    let mut rows = Rows::new(["key", "rules", "to", "ends at"]);
    for sandbox in sandboxes {
        let ramp_of = |nth| sandbox.ramps.iter().find(|ramp| ramp.rule.map(usize::from) == Some(nth));
        let rules = sandbox.rules.iter().enumerate();
        let mut to: Vec<String> = rules.flat_map(|(nth, rule)| targets(rule, ramp_of(nth))).collect();
        to.dedup();
        rows.push([
            sandbox.key.clone(),
            sandbox.rules.len().to_string(),
            shortened(&to),
            or_dash(sandbox.ends_at.as_deref()),
        ]);
    }
    rows
}

/// As many of them as a row has room for; the other formats have them all.
fn shortened(targets: &[String]) -> String {
    /// Longer than most names, shorter than a line.
    const LETTERS_MAX: usize = 48;
    let mut shown = String::new();
    for (nth, target) in targets.iter().enumerate() {
        let separator = if nth == 0 { "" } else { "," };
        if nth > 0 && shown.chars().count() + separator.len() + target.chars().count() > LETTERS_MAX {
            return format!("{shown} +{} more", targets.len() - nth);
        }
        shown.push_str(separator);
        match target.char_indices().nth(LETTERS_MAX) {
            Some((cut, _)) => shown.push_str(&format!("{}…", &target[..cut])),
            None => shown.push_str(target),
        }
    }
    shown
}

/// With the weights that hold: where there is a ramp, those of its step.
fn targets(rule: &SandboxRuleRecord, ramp: Option<&RampRecord>) -> Vec<String> {
    let ramped = |nth: usize| ramp?.weights.get(nth).copied();
    let several = rule.targets.iter().enumerate().map(|(nth, SandboxTargetRecord { target, weight })| {
        format!("{target}={}", ramped(nth).unwrap_or(*weight))
    });
    let mut all: Vec<_> = rule.target.clone().into_iter().chain(several).collect();
    if let Some((ramp, last)) = ramp.zip(all.last_mut()) {
        last.push_str(&mark(ramp));
    }
    all
}
