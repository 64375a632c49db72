//! What comes in: bodies within bounds, query parameters, conditions, names in paths.

use crate::answer::Fault;
use axum::extract::{Path, Query as Pairs, Request, rejection::PathRejection};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use quorate_api::{Code, Param, Problem, Query, Wrong, fields};
use quorate_model::{Invalid, LogIndex};
use quorate_rt::{http::read_body, time};
use serde_json::{Map, Value};
use std::{fmt, io, time::Duration};

/// Largest body. Larger: 413.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest document of many objects, several times smaller than a log entry may be. Larger: 413.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// A body has this long to arrive. Longer: 408.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum NoBody {
    /// It has more bytes than this.
    TooLarge(usize),
    TooSlow,
    /// The connection broke, or the framing is wrong.
    Broken(io::Error),
}

/// The body's bytes.
pub(crate) async fn bytes(request: Request) -> Result<Bytes, NoBody> {
    bytes_within(request, BODY_BYTES_MAX).await
}

async fn bytes_within(request: Request, max: usize) -> Result<Bytes, NoBody> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > max as u64) {
        return Err(NoBody::TooLarge(max));
    }
    match time::timeout(BODY_WITHIN, read_body(request.into_body(), max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => Err(NoBody::TooLarge(max)),
        Ok(Err(error)) => Err(NoBody::Broken(error)),
        Err(_) => Err(NoBody::TooSlow),
    }
}

impl NoBody {
    /// Of an answer that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// As the dialects say it.
impl fmt::Display for NoBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(f, "body: has more than {max} bytes"),
            Self::TooSlow => write!(f, "body: did not arrive within {BODY_WITHIN:?}"),
            Self::Broken(error) => write!(f, "body: broke off ({error})"),
        }
    }
}

impl From<NoBody> for Fault {
    fn from(no_body: NoBody) -> Self {
        match no_body {
            NoBody::TooLarge(max) => {
                Self::new(Code::BodyTooLarge, format!("the body has more than {max} bytes"))
            }
            NoBody::TooSlow => {
                Self::new(Code::BodyTimeout, format!("the body did not arrive within {BODY_WITHIN:?}"))
            }
            NoBody::Broken(error) => Self::new(Code::BodyNotJson, format!("the body broke off: {error}")),
        }
    }
}

/// The body of a native request: a JSON object.
pub(crate) async fn object(request: Request) -> Result<Map<String, Value>, Fault> {
    require_json(request.headers())?;
    parsed(&bytes(request).await?)
}

/// The same where it names many objects.
pub(crate) async fn large_object(request: Request) -> Result<Map<String, Value>, Fault> {
    require_json(request.headers())?;
    parsed(&bytes_within(request, DOCUMENT_BYTES_MAX).await?)
}

/// The same where it may be left out, content type and all.
pub(crate) async fn object_or_nothing(request: Request) -> Result<Map<String, Value>, Fault> {
    let json = require_json(request.headers());
    let named = request.headers().contains_key(header::CONTENT_TYPE);
    let bytes = bytes(request).await?;
    if bytes.is_empty() && !named {
        return Ok(Map::new());
    }
    json?;
    // Null is what some clients send for nothing.
    if matches!(bytes.trim_ascii(), b"" | b"null") { Ok(Map::new()) } else { parsed(&bytes) }
}

fn parsed(bytes: &Bytes) -> Result<Map<String, Value>, Fault> {
    fields::object(bytes)
        .map_err(|e| Fault::new(Code::BodyNotJson, format!("the body is no JSON object: {}", e.0)))
}

/// Also what keeps a web page of somebody else's from posting here: a browser asks before it sends JSON.
fn require_json(headers: &HeaderMap) -> Result<(), Fault> {
    let named = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let media_type =
        named.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    {
        return Ok(());
    }
    let shown: String = media_type.chars().take(64).collect();
    let problem = if shown.is_empty() {
        "no content type is named".into()
    } else {
        format!("the content type is {shown}")
    };
    Err(Fault::new(Code::ContentTypeUnsupported, format!("{problem}; allowed: application/json")))
}

/// The query parameters.
pub(crate) fn query(uri: &Uri, known: &[Param]) -> Result<Query, Fault> {
    let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri).map_err(|e| {
        Problem::of_field("query", e.body_text(), "name=value, percent-encoded, separated by &")
    })?;
    Ok(Query::read(&pairs, known)?)
}

/// A name in the path.
pub(crate) fn named<T>(
    field: &str,
    path: Result<Path<String>, PathRejection>,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, Fault> {
    Ok(name(field, path, parse)?)
}

/// The same for those that have more to say about the request.
pub(crate) fn name<T>(
    field: &str,
    path: Result<Path<String>, PathRejection>,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, Wrong> {
    let allowed = "percent-encoded UTF-8";
    let Path(text) = path.map_err(|e| vec![Invalid::new(field, e.body_text(), allowed)])?;
    parse(&text).map_err(|e| vec![e.renamed(field)])
}

/// `cursor` of a list, which is where the page before ended.
pub(crate) fn cursor<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Fault> {
    let wrong = || Problem::of_field("query.cursor", "is no cursor", "next_cursor of a page");
    Ok(parse(text).ok_or_else(wrong)?)
}

/// `If-Match: <index>`, or `If-None-Match: *`, which is index 0: it must not exist.
pub(crate) fn condition(headers: &HeaderMap) -> Result<Option<LogIndex>, Fault> {
    const ALLOWED: &str = "one log index, such as \"57\"";
    let if_match = single(headers, header::IF_MATCH, "If-Match")?;
    let if_none_match = single(headers, header::IF_NONE_MATCH, "If-None-Match")?;
    match (if_match, if_none_match) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(Problem::of_field("If-None-Match", "is there with If-Match", "one of the two").into())
        }
        (None, Some(value)) if value == "*" => Ok(Some(LogIndex(0))),
        (None, Some(_)) => Err(Problem::of_field("If-None-Match", "is no such condition", "*").into()),
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default().trim();
            let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            match text.parse() {
                Ok(index) if digits => Ok(Some(LogIndex(index))),
                Ok(_) | Err(_) => Err(Problem::of_field("If-Match", "is no log index", ALLOWED).into()),
            }
        }
    }
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: HeaderName,
    shown: &str,
) -> Result<Option<&'a HeaderValue>, Fault> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Problem::of_field(shown, "is there twice", "once").into()),
    }
}
