//! The head of an answer: its status line and fields, and what they say about its body (RFC 9112, 4, 5 and 6.3).
//!
//! Whatever two readers could read differently is refused: a line that does not end in CR LF (2.2), a folded line
//! (5.2), a space before a colon (5.1), lengths that differ (6.3), a coding that nobody asked for (6.1).

use super::WireError;
use crate::headers::tokens;
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;
use std::mem::MaybeUninit;

/// Most fields of a head, or after a body.
const FIELDS_MAX: usize = 100;
/// Room for the fields that we add to an answer.
const SPARE: usize = 8;

/// A whole head.
pub(super) struct Head {
    pub response: Response<()>,
    pub framing: Framing,
    /// Whether the worker will take another request on the connection.
    pub goes_on: bool,
}

/// How the end of what follows a head is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// An interim answer: another head follows.
    Interim,
    /// The worker speaks another protocol from here on.
    Switched,
    /// Nothing follows.
    Empty,
    /// So many bytes, more than none.
    Length(u64),
    Chunked,
    /// The connection's end.
    UntilClose,
}

/// Whether an end of a head may be in `more`, the bytes since the last look and a few before.
pub(super) fn may_end(more: &[u8]) -> bool {
    more.windows(2).any(|two| two == b"\n\n") || more.windows(3).any(|three| three == b"\n\r\n")
}

/// Takes a head from the beginning of `input`. `None`: it is not all there. `to_head`: it answers a HEAD.
pub(super) fn take(input: &mut Bytes, to_head: bool, bytes_max: usize) -> Result<Option<Head>, WireError> {
    let too_large = WireError::HeadTooLarge { bytes_max };
    let all = input.clone();
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, &all, &mut fields);
    let length = match parsed.map_err(WireError::Garbled)? {
        httparse::Status::Complete(length) if length > bytes_max => return Err(too_large),
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if all.len() > bytes_max => return Err(too_large),
        httparse::Status::Partial => return Ok(None),
    };
    // The parser takes a bare LF for a line's end, and skips empty lines before the first: one of these could make up for
    // a CR that is missing elsewhere.
    if all.starts_with(b"\r") || all.starts_with(b"\n") {
        return Err(WireError::LineEnd);
    }
    check_line_ends(&all[..length], answer.headers.len() + 2)?;
    let status = StatusCode::from_u16(answer.code.unwrap_or_default());
    let status = status.map_err(|_| WireError::BadField { field: "status" })?;
    let is_new = answer.version == Some(1);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if is_new { Version::HTTP_11 } else { Version::HTTP_10 };
    if let Some(reason) = answer.reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    let told = read_fields(&all, answer.headers, response.headers_mut())?;
    let framing = told.framing(status, to_head, is_new)?;
    if told.lengths > 1
        && let Some(length) = told.length
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    let goes_on = told.goes_on(is_new)
        && !matches!(framing, Framing::Switched | Framing::UntilClose)
        && !(status == StatusCode::NO_CONTENT && told.has_body());
    input.advance(length);
    Ok(Some(Head { response, framing, goes_on }))
}

/// Takes the fields after the last chunk from the beginning of `input`, and the empty line that ends them. `None`: they
/// are not all there.
pub(super) fn take_trailers(input: &mut Bytes) -> Result<Option<HeaderMap>, WireError> {
    let all = input.clone();
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let (length, fields) = match httparse::parse_headers(&all, &mut fields).map_err(WireError::Garbled)? {
        httparse::Status::Complete(parsed) => parsed,
        httparse::Status::Partial => return Ok(None),
    };
    check_line_ends(&all[..length], fields.len() + 1)?;
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let (name, value) = shared(&all, field)?;
        trailers.append(name, value);
    }
    input.advance(length);
    Ok(Some(trailers))
}

/// The parser accepts no CR but before LF, so there are as many CRs as lines, or some line has none.
fn check_line_ends(head: &[u8], lines: usize) -> Result<(), WireError> {
    let ends = head.iter().filter(|byte| **byte == b'\r').count();
    if ends == lines { Ok(()) } else { Err(WireError::LineEnd) }
}

/// A field whose value is a part of `all`.
fn shared(all: &Bytes, field: &httparse::Header<'_>) -> Result<(HeaderName, HeaderValue), WireError> {
    let name = HeaderName::from_bytes(field.name.as_bytes());
    let value = HeaderValue::from_maybe_shared(all.slice_ref(field.value));
    match (name, value) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Err(_), _) => Err(WireError::BadField { field: "field name" }),
        (_, Err(_)) => Err(WireError::BadField { field: "field value" }),
    }
}

/// What fields say about the body and the connection.
#[derive(Default)]
struct Told {
    length: Option<u64>,
    /// How often.
    lengths: u32,
    /// How many codings, and whether the one is `chunked`.
    codings: u32,
    is_chunked: bool,
    close: bool,
    keep_alive: bool,
}

fn read_fields(
    all: &Bytes,
    fields: &[httparse::Header<'_>],
    headers: &mut HeaderMap,
) -> Result<Told, WireError> {
    let mut told = Told::default();
    headers.reserve(fields.len() + SPARE);
    for field in fields {
        let (name, value) = shared(all, field)?;
        match name {
            header::CONTENT_LENGTH => told.add_length(&value)?,
            header::TRANSFER_ENCODING => told.add_codings(&value),
            header::CONNECTION => told.add_options(&value),
            _ => {}
        }
        headers.append(name, value);
    }
    Ok(told)
}

impl Told {
    /// Repeated ones must be the same (RFC 9110, 8.6).
    fn add_length(&mut self, value: &HeaderValue) -> Result<(), WireError> {
        const BAD: WireError = WireError::BadField { field: "Content-Length" };
        for one in value.as_bytes().split(|byte| *byte == b',') {
            let one = one.trim_ascii();
            if !one.iter().all(u8::is_ascii_digit) {
                return Err(BAD);
            }
            let one = std::str::from_utf8(one).ok().and_then(|one| one.parse().ok());
            if one.is_none() || self.length.is_some() && self.length != one {
                return Err(BAD);
            }
            self.length = one;
            self.lengths += 1;
        }
        Ok(())
    }

    fn add_codings(&mut self, value: &HeaderValue) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            self.codings += 1;
            self.is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        }
    }

    fn add_options(&mut self, value: &HeaderValue) {
        for option in tokens(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112, 6.3.
    fn framing(&self, status: StatusCode, to_head: bool, is_new: bool) -> Result<Framing, WireError> {
        Ok(match (status, self.length) {
            (StatusCode::SWITCHING_PROTOCOLS, _) => Framing::Switched,
            _ if status.is_informational() => Framing::Interim,
            _ if to_head => Framing::Empty,
            (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _) => Framing::Empty,
            // Nobody was asked for another coding, and one could not be passed on. HTTP/1.0 knows none (6.1).
            _ if self.codings > 0 && (self.codings > 1 || !self.is_chunked || !is_new) => {
                return Err(WireError::TransferEncoding);
            }
            _ if self.codings > 0 => Framing::Chunked,
            (_, Some(0)) => Framing::Empty,
            (_, Some(length)) => Framing::Length(length),
            (_, None) => Framing::UntilClose,
        })
    }

    /// Whether they announce a body. With a 204 there must be none (6.1, 6.2): whoever says so may send one all the same.
    fn has_body(&self) -> bool {
        self.codings > 0 || self.length.is_some_and(|length| length > 0)
    }

    /// RFC 9112, 9.3; and one that says its length in two ways is trusted with nothing more (6.3).
    fn goes_on(&self, is_new: bool) -> bool {
        !self.close && (is_new || self.keep_alive) && !(self.codings > 0 && self.lengths > 0)
    }
}
