//! What objects say.

use crate::{
    Wrong,
    fields::{Fields, any_text, entries, list, named, nested, number_in, text},
};
use quorate_model::{
    DnsLabel, Invalid, Resource, RoutingKey, SandboxRule, SandboxTtl, ServiceName, limit,
    object::{GroupRoute, LocalWorkloadSpec, ObjectSpec, RouteGroupSpec, SandboxSpec},
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// Most values of any list or map that has no bound of its own.
const VALUES_MAX: usize = limit::MATCH_VALUES_MAX;
/// Longest text that the cluster does nothing by, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
const KEY: &str = "1 to 256 bytes of printable ASCII without spaces";
const LABEL: &str = "1 to 63 lower-case letters, digits and dashes";
const NAME: &str = "the name of a service";
const PORT: std::ops::RangeInclusive<u64> = 1..=65_535;
/// In seconds.
const TIMEOUT: std::ops::RangeInclusive<u64> = 1..=86_400;

/// Reads a spec. `None`: it is wrong, and listed.
pub(super) fn read(resource: Resource, fields: &mut Fields) -> Option<ObjectSpec> {
    match resource {
        Resource::Sandboxes => Some(ObjectSpec::Sandbox(sandbox(fields))),
        Resource::RouteGroups => Some(ObjectSpec::RouteGroup(group(fields))),
        Resource::LocalWorkloads => workload(fields).map(ObjectSpec::LocalWorkload),
    }
}

fn sandbox(fields: &mut Fields) -> SandboxSpec {
    let ttl = fields.optional("ttl", ttl);
    fields.optional("labels", strings);
    let routing_key = fields.optional("routingKey", text(KEY, RoutingKey::parse));
    let services = fields.optional("services", services).unwrap_or_default();
    fields.optional("resources", |value| {
        nested(value, |fields| {
            fields.optional("cpu", quantity);
            fields.optional("memory", quantity);
            Some(())
        })
    });
    SandboxSpec { ttl, routing_key, services }
}

fn ttl(value: Value) -> Result<SandboxTtl, Wrong> {
    let bounds = limit::SANDBOX_TTL_MS_MIN / 1_000..=limit::SANDBOX_TTL_MS_MAX / 1_000;
    let seconds = number_in(bounds)(value)?;
    SandboxTtl::new(Duration::from_secs(seconds)).map_err(|wrong| vec![wrong])
}

fn services(value: Value) -> Result<Vec<ServiceName>, Wrong> {
    let names = list(limit::SERVICES_PER_OBJECT_MAX, service)(value)?;
    let mut seen = BTreeSet::new();
    let twice = |(nth, name): (usize, &ServiceName)| {
        let is_twice = !seen.insert(name.clone());
        is_twice.then(|| Invalid::new(format!("[{nth}].name"), format!("{name} is there twice"), "each once"))
    };
    let wrong: Wrong = names.iter().enumerate().filter_map(twice).collect();
    if wrong.is_empty() { Ok(names) } else { Err(wrong) }
}

fn service(value: Value) -> Result<ServiceName, Wrong> {
    nested(value, |fields| {
        let name = fields.required("name", NAME, text(NAME, ServiceName::parse_offered));
        fields.optional("targetRef", |value| {
            nested(value, |fields| {
                fields.required("kind", "such as Deployment", some_text);
                fields.required("name", "of what runs it", some_text);
                Some(())
            })
        });
        fields.optional("containers", list(VALUES_MAX, container));
        name
    })
}

fn container(value: Value) -> Result<(), Wrong> {
    nested(value, |fields| {
        fields.required("name", "of the container", some_text);
        fields.optional("image", some_text);
        fields.optional(
            "env",
            list(limit::LABELS_PER_OBJECT_MAX, |value| {
                nested(value, |fields| {
                    fields.required("name", "of the variable", some_text);
                    fields.optional("value", any_text);
                    fields.optional("valueFrom", |value| entries(Ok)(value).map(drop));
                    Some(())
                })
            }),
        );
        Some(())
    })
}

fn group(fields: &mut Fields) -> RouteGroupSpec {
    fields.optional("selector", |value| {
        nested(value, |fields| {
            fields.optional("matchLabels", super::labels::labels);
            Some(())
        })
    });
    let default_key = fields.optional("defaultRoutingKey", text(KEY, RoutingKey::parse));
    let header = "the name of a header";
    let header = fields.optional("routingKeyHeader", text(header, |name| RouteGroupSpec::header("", name)));
    let routes = fields.optional("routes", list(limit::ROUTES_PER_GROUP_MAX, route)).unwrap_or_default();
    RouteGroupSpec { default_key, header, routes }
}

fn route(value: Value) -> Result<GroupRoute, Wrong> {
    enum Path {
        Prefix(Box<str>),
        Exact(Box<str>),
    }
    let path = |value| {
        nested(value, |fields| {
            let read = |text: &str| SandboxRule::path("", text);
            let said = "a path that begins with a slash";
            fields.one_of(["prefix", "exact"]);
            let prefix = fields.optional("prefix", text(said, read)).map(Path::Prefix);
            prefix.or(fields.optional("exact", text(said, read)).map(Path::Exact))
        })
    };
    let added = |name: &str, value: Value| SandboxRule::added_header("", name, &any_text(value)?);
    nested(value, |fields| {
        let key = fields.required("routingKey", KEY, text(KEY, RoutingKey::parse));
        let target = fields.required("targetSandbox", LABEL, text(LABEL, DnsLabel::parse));
        let paths = fields.optional("paths", list(VALUES_MAX, path)).unwrap_or_default();
        let add_headers = fields.optional("additionalHeaders", named(VALUES_MAX, added)).unwrap_or_default();
        let (mut path_prefixes, mut paths_exact) = (Vec::new(), Vec::new());
        for path in paths {
            match path {
                Path::Prefix(prefix) => path_prefixes.push(prefix),
                Path::Exact(exact) => paths_exact.push(exact),
            }
        }
        let route = GroupRoute { key: key?, target: target?, path_prefixes, paths_exact, add_headers };
        // Only what is about several of its parts together: the rule of one service stands for that of each.
        let service = ServiceName::parse("any").ok()?;
        let wrong = route.rule(&service, true, None).mistakes();
        let is_right = wrong.is_empty();
        fields.add_inside(wrong.into_iter().map(|one| {
            let field = one.field.replacen("add_headers", "additionalHeaders", 1);
            one.renamed(field)
        }));
        is_right.then_some(route)
    })
}

fn workload(fields: &mut Fields) -> Option<LocalWorkloadSpec> {
    let sandbox = fields.required("sandboxRef", "which sandbox", |value| {
        nested(value, |fields| fields.required("name", LABEL, text(LABEL, DnsLabel::parse)))
    });
    let service = fields.required("service", "what it is", |value| {
        nested(value, |fields| {
            let name = fields.required("name", NAME, text(NAME, ServiceName::parse_offered));
            fields.optional("ports", list(VALUES_MAX, port));
            name
        })
    });
    fields.optional("connection", |value| {
        nested(value, |fields| {
            fields.optional("target", some_text);
            fields.optional("timeout", number_in(TIMEOUT));
            Some(())
        })
    });
    Some(LocalWorkloadSpec { sandbox: sandbox?, service: service? })
}

fn port(value: Value) -> Result<(), Wrong> {
    nested(value, |fields| {
        fields.optional("name", some_text);
        fields.required("containerPort", "1 to 65535", number_in(PORT));
        fields.optional("localPort", number_in(PORT));
        Some(())
    })
}

/// A map of texts that the cluster does nothing by.
fn strings(value: Value) -> Result<(), Wrong> {
    named(limit::LABELS_PER_OBJECT_MAX, |_, value| some_text(value))(value).map(drop)
}

/// A text that the cluster does nothing by.
pub(super) fn some_text(value: Value) -> Result<String, Wrong> {
    let text = any_text(value)?;
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(text);
    }
    let problem = format!("is {} bytes long", text.len());
    Err(vec![Invalid::new("", problem, format!("at most {TEXT_BYTES_MAX}"))])
}

/// As Kubernetes counts: `500m`, `2Gi`, or a number.
fn quantity(value: Value) -> Result<(), Wrong> {
    const ALLOWED: &str = "a quantity, such as 500m, 2, or 1.5Gi";
    let text = match &value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_suffix = matches!(
        &text[digits.len()..],
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"
    );
    let is_number = !digits.is_empty()
        && digits.len() <= 32
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.parse::<f64>().is_ok();
    if is_number && is_suffix { Ok(()) } else { Err(vec![Invalid::new("", "is none", ALLOWED)]) }
}
