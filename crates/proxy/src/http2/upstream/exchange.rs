//! One request on a shared connection, until the head of the answer.

use super::{
    Answer, Place,
    upload::{Halt, Upload},
};
use crate::{client::Client, http1::RequestBody};
use h2::Reason;
use http::{Request, Response, Uri, Version, header, uri::Scheme};
use hyper::body::Body;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Why there is no answer.
pub(crate) enum Broken {
    /// The connection takes no more requests.
    Unsent,
    /// It was sent, and the worker says that it has not looked at it (RFC 9113, 8.7).
    Unprocessed(h2::Error),
    /// It may have been looked at.
    Died(h2::Error),
    /// The client broke its body off.
    Upload(hyper::Error),
    /// No head of an answer in time.
    TimedOut,
}

/// Sends a request and waits for the head of its answer, or until the client's deadline is over. Whoever drops it
/// resets the stream.
pub(crate) async fn exchange(
    place: Place,
    request: Request<RequestBody>,
    client: &Client,
) -> Result<Response<Answer>, Broken> {
    let Some(mut sender) = place.link.sender() else { return Err(Broken::Unsent) };
    let (head, body) = request.into_parts();
    let is_bare = body.is_end_stream();
    let sent = sender.send_request(Request::from_parts(head, ()), is_bare);
    // A connection with a spare sender never closes by itself.
    drop(sender);
    let (mut answer, stream) = sent.map_err(|error| broken(&place, error))?;
    let mut upload = (!is_bare).then(|| Upload::new(body, stream));
    let answered = poll_fn(|cx| {
        match upload.as_mut().map(|upload| upload.poll(cx)) {
            Some(Poll::Ready(Err(Halt::Client(error)))) => return Poll::Ready(Err(Broken::Upload(error))),
            Some(Poll::Ready(Ok(()) | Err(Halt::Worker))) => upload = None,
            Some(Poll::Pending) | None => {}
        }
        match Pin::new(&mut answer).poll(cx) {
            Poll::Ready(answered) => Poll::Ready(answered.map_err(|error| broken(&place, error))),
            Poll::Pending if client.watch.is_due() => Poll::Ready(Err(Broken::TimedOut)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await?;
    place.link.heard(client.core.deadlines.now());
    let core = &client.core;
    let upload = upload.map(|upload| upload.detach(core.deadlines.clone(), core.spans.stall));
    Ok(answered.map(|body| Answer::new(body, place, upload)))
}

/// A stream is said to be ended by the worker's GOAWAY only if it comes after the last one that the worker looked at.
pub(super) fn broken(place: &Place, error: h2::Error) -> Broken {
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if is_refused {
        place.link.refused();
    }
    if error.is_remote() && (is_refused || error.is_go_away()) {
        Broken::Unprocessed(error)
    } else {
        Broken::Died(error)
    }
}

/// Puts a request's head as HTTP/2 has it: an absolute target, and nothing about the connection (RFC 9113, 8.2.2 and
/// 8.3.1).
pub(crate) fn speak_http2<B>(request: &mut Request<B>, scheme: Scheme) {
    let headers = request.headers_mut();
    for name in [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let host = headers.get(header::HOST);
    let authority = host.and_then(|host| http::uri::Authority::try_from(host.as_bytes()).ok());
    // What is no authority goes on as the header that it came as, which is allowed for what began as HTTP/1.1.
    let Some(authority) = authority else { return };
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    (target.scheme, target.authority) = (Some(scheme), Some(authority));
    if let Ok(target) = Uri::from_parts(target) {
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(header::HOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_put_as_http2_has_it() {
        let mut request = Request::builder()
            .uri("/a/b?c=d")
            .header("host", "r.example:8080")
            .header("connection", "Upgrade")
            .header("upgrade", "x")
            .header("te", "trailers")
            .body(())
            .unwrap();
        speak_http2(&mut request, Scheme::HTTPS);
        assert_eq!(request.uri(), "https://r.example:8080/a/b?c=d");
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.headers().keys().collect::<Vec<_>>(), ["te"]);
        let mut options = Request::options("*").header("host", "h").body(()).unwrap();
        speak_http2(&mut options, Scheme::HTTP);
        assert_eq!(options.uri().path_and_query().map(|target| target.as_str()), Some("*"));
    }
}
