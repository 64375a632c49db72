//! Why a request goes where it goes.

use crate::{
    Wrong,
    fields::{Fields, any_text, list, named, text},
    route::ValuesBody,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use quorate_model::{Invalid, limit, shown_key};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, net::IpAddr};
use utoipa::ToSchema;

/// Most headers of a request that is asked about.
const HEADERS_MAX: usize = 100;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;

/// `POST /v1/explain`: a request that is asked about. Nothing is sent anywhere.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPut {
    /// Its method; GET if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What is asked for: `http://host/path?query`, or only a path.
    #[schema(examples("http://api.example.com/v1/items?page=2"))]
    pub url: String,
    /// Its headers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub headers: BTreeMap<String, ValuesBody>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("10.0.0.9"))]
    pub client_ip: Option<String>,
}

/// A request that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Path and query, with the host where it is an absolute one.
    pub uri: Uri,
    /// Its headers; `host` is among them where the URL names one.
    pub headers: HeaderMap,
    /// Who asks, if it was said.
    pub client: Option<IpAddr>,
}

/// Reads a request that is asked about.
pub fn asked(body: Map<String, Value>) -> Result<Asked, Wrong> {
    let mut fields = Fields::of_body(body);
    let method = fields.optional("method", crate::route::method).unwrap_or(Method::GET);
    let uri = fields.required("url", URL, text(URL, url));
    let headers = fields.optional("headers", named(HEADERS_MAX, header_values)).unwrap_or_default();
    let client = fields.optional("client_ip", text(IP, ip));
    let wrong = fields.finish();
    match uri {
        Some(uri) if wrong.is_empty() => {
            let mut map: HeaderMap = headers.into_iter().flatten().collect();
            let host = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
            if let Some(host) = host {
                // As a client would send it.
                map.entry(header::HOST).or_insert(host);
            }
            Ok(Asked { method, uri, headers: map, client })
        }
        Some(_) | None => Err(wrong),
    }
}

/// Why a request goes where it goes, by one View. Nothing was sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExplainBody {
    /// The routing key that it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyBody>,
    /// What becomes of it. Where chance has a part, one possible answer.
    pub decision: DecisionBody,
    /// The rules, in the order in which they were tried; those behind the one that decides were not.
    pub rules: Vec<TriedRuleBody>,
    /// How many routes are not told of, because they are for another path or host, or stand behind the one that decides.
    pub rules_left_out: u64,
    /// The log index of the View that decided.
    pub index: u64,
}

/// A routing key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyBody {
    /// The key.
    pub key: String,
    /// Where the request says it, such as `header x-route-key`.
    pub form: String,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct DecisionBody {
    /// `forward`, `redirect` or `answer`: it is answered by the node.
    pub action: String,
    /// In a sentence.
    pub why: String,
    /// The key of the sandbox that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Why it goes, or when it would go, where it would go without its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The route that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The service that it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The keyspace that its workspace is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyspace: Option<String>,
    /// The workspace that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Where that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Which of the route's destinations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<ChosenBody>,
    /// Who may get it, the first in rank first; at most 100.
    pub endpoints: Vec<CandidateBody>,
    /// How many more there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints_left_out: Option<u64>,
    /// The status of an answer that the node makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Where a redirect leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Who may get a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
}

/// One of a route's destinations.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChosenBody {
    /// Its place in the list, from 0.
    pub nth: u64,
    /// Such as `service upload`.
    pub target: String,
    /// Its weight.
    pub weight: u32,
    /// All weights together.
    pub total_weight: u64,
    /// Which step of a ramp says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<String>,
    /// What keeps the request there, such as `header x-user`; null: chance.
    #[schema(required)]
    pub by: Option<String>,
}

/// Who may get a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CandidateBody {
    /// The worker; null: an address that a route names.
    #[schema(required)]
    pub worker: Option<String>,
    /// Where it is reached.
    pub url: String,
    /// How it is: as its service says it, `departed`, `static` for an address that a route names, or `not_held` for a
    /// tunnel that it names and nobody holds.
    pub status: String,
    /// Whether it may get the request.
    pub serves: bool,
}

/// A rule that was tried.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TriedRuleBody {
    /// `sandbox`, `route`, `service`, `workspace` or `default`.
    pub kind: String,
    /// Of a rule of a sandbox: the key and its place, from 0. Of a route: its name. Of a service or a workspace: which one, if the request names one.
    #[schema(required)]
    pub name: Option<String>,
    /// Whether it is the one that decides.
    pub matched: bool,
    /// Why it is not.
    pub reasons: Vec<ReasonBody>,
}

/// What a rule asks for and the request does not have.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReasonBody {
    /// Which field of the rule.
    pub field: String,
    /// What it asks for.
    pub wanted: String,
    /// What the request has; values of headers are not shown.
    pub found: String,
}

const URL: &str = "an http or https URL, or a path that begins with a slash";
const IP: &str = "an IP address";

fn url(text: &str) -> Result<Uri, Invalid> {
    let is_right = |uri: &Uri| {
        let is_path = uri.authority().is_none() && text.starts_with('/');
        let is_absolute = matches!(uri.scheme_str(), Some("http" | "https"));
        // A password is not echoed, and no request has one.
        (is_path || is_absolute) && uri.authority().is_none_or(|host| !host.as_str().contains('@'))
    };
    let uri = Some(text).filter(|text| text.len() <= URL_BYTES_MAX).and_then(|text| text.parse().ok());
    let problem = || match text.contains('@') {
        true => "is no such URL".to_owned(),
        false => format!("is `{}`", shown_key(text)),
    };
    uri.filter(is_right).ok_or_else(|| Invalid::new("", problem(), URL))
}

fn ip(text: &str) -> Result<IpAddr, Invalid> {
    text.parse().map_err(|_| Invalid::new("", "is no IP address", IP))
}

fn header_values(name: &str, value: Value) -> Result<Vec<(HeaderName, HeaderValue)>, Wrong> {
    let wrong = |problem: &str, allowed: &str| vec![Invalid::new("", problem, allowed)];
    let name = HeaderName::from_bytes(name.as_bytes());
    let name = name.map_err(|_| wrong("is no name of a header", "letters, digits and -"))?;
    let one = |value| {
        let text = any_text(value)?;
        let value = HeaderValue::from_str(&text).ok().filter(|_| text.len() <= URL_BYTES_MAX);
        value.ok_or_else(|| wrong("is no value of a header", "printable text"))
    };
    let values = match value {
        Value::Array(_) => list(limit::MATCH_VALUES_MAX, one)(value)?,
        value => vec![one(value)?],
    };
    Ok(values.into_iter().map(|value| (name.clone(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<Asked, Vec<String>> {
        asked(body.as_object().expect("an object").clone())
            .map_err(|wrong| wrong.into_iter().map(|one| one.field).collect())
    }

    #[test]
    fn a_request_is_asked_about_as_a_client_would_send_it() {
        let asked = read(json!({
            "method": "post", "url": "http://api.example.com:81/v1/x?q=1", "client_ip": "10.0.0.9",
            "headers": {"X-A": "1", "x-b": ["2", "3"]},
        }))
        .expect("valid");
        assert_eq!((asked.method, asked.uri.path(), asked.uri.query()), (Method::POST, "/v1/x", Some("q=1")));
        assert_eq!(asked.headers["host"], "api.example.com:81");
        assert_eq!(
            (asked.headers["x-a"].as_bytes(), asked.headers.get_all("x-b").iter().count()),
            (&b"1"[..], 2)
        );
        assert_eq!(asked.client, "10.0.0.9".parse().ok());
        let told = url("h/rc").expect_err("no URL").to_string();
        assert!(told.contains("is `h/rc`"), "{told}");
        let path = read(json!({"url": "/x", "headers": {"Host": "h"}})).expect("valid");
        assert_eq!((path.method, path.headers["host"].as_bytes()), (Method::GET, &b"h"[..]));
    }

    #[test]
    fn a_request_that_nobody_can_send_is_refused() {
        for (body, fields) in [
            (json!({}), vec!["url"]),
            (json!({"url": "x"}), vec!["url"]),
            (json!({"url": "ftp://h/"}), vec!["url"]),
            (json!({"url": "http://user:secret@h/"}), vec!["url"]),
            (json!({"url": "/", "method": "a b", "client_ip": "h"}), vec!["method", "client_ip"]),
            (json!({"url": "/", "headers": {"x": "a\n", "a b": "v"}}), vec!["headers[\"a b\"]", "headers.x"]),
            (json!({"url": "/", "body": ""}), vec!["body"]),
        ] {
            assert_eq!(read(body.clone()).expect_err("wrong"), fields, "{body}");
        }
    }
}
