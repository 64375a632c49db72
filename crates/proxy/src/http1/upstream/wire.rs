//! One connection, on which one request is exchanged for one answer after the other (RFC 9112).
//!
//! It has no task and no channels: whoever wants something of it polls it. What it has read and not handed on is a
//! [`Bytes`], so that heads, fields and bodies are parts of what the socket gave. Between requests it holds no memory
//! but itself.

use super::{
    WireError,
    chunks::{self, Chunks},
    head::{self, Framing, Head},
    request::Ask,
    sending::Sending,
};
use bytes::{Bytes, BytesMut};
use http::{Method, Response};
use hyper::body::{Body, Frame, SizeHint};
use std::{
    io,
    mem::{self, MaybeUninit},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The first read of an answer, on the stack. Most answers are smaller.
const FIRST: usize = 4 << 10;
/// What comes in large pieces is read in such: 64 KiB with a head before it are one.
const LARGEST: usize = 68 << 10;
/// Most interim answers before the final one.
const INTERIM_MAX: u8 = 32;

/// A connection.
pub(super) struct Wire<S, B> {
    socket: S,
    sending: Sending<B>,
    /// What was read and not handed on.
    input: Bytes,
    /// How much is read at once, by what the worker sent before.
    reads: usize,
    at: At,
    to_head: bool,
    /// Whether there may be another request after this one.
    goes_on: bool,
    header_bytes_max: usize,
}

/// What is to be read next.
enum At {
    /// Nothing: no request is under way.
    Rest,
    /// There is a request; nothing of it was written.
    Asked,
    /// After so many interim ones. What was `looked` at already has no end of it.
    Head {
        interim: u8,
        looked: usize,
    },
    Length {
        left: u64,
    },
    Chunks(Chunks),
    UntilClose,
    /// Nothing: the answer is over, and the connection too.
    Over,
    /// Nothing: what comes is another protocol's.
    Switched,
    /// Nothing: it has gone wrong.
    Broken,
}

/// Why there is no head of an answer.
pub(super) enum NoHead {
    /// The connection had ended before anything was written.
    Unsent,
    Died(WireError),
}

impl<S, B> Wire<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    pub fn new(socket: S, header_bytes_max: usize) -> Self {
        Self {
            socket,
            sending: Sending::default(),
            input: Bytes::new(),
            reads: FIRST,
            at: At::Rest,
            to_head: false,
            goes_on: true,
            header_bytes_max,
        }
    }

    /// Takes a request; [`Wire::poll_head`] sends it.
    pub fn ask(&mut self, ask: &Ask<'_>, body: B) {
        debug_assert!(self.is_idle(), "one request at a time");
        self.to_head = *ask.method == Method::HEAD;
        self.sending = Sending::new(ask, body);
        self.at = At::Asked;
    }

    /// Takes the body back of a request of which nothing was written.
    pub fn take_body(&mut self) -> Option<B> {
        self.sending.take_body()
    }

    /// Sends, and reads the head of the final answer.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, NoHead>> {
        if matches!(self.at, At::Asked) {
            // Its end, or bytes that nobody asked for (RFC 9112, 9.2): this is the last moment to see it.
            if self.poll_stray(cx).is_ready() {
                self.at = At::Broken;
                return Poll::Ready(Err(NoHead::Unsent));
            }
            self.at = At::Head { interim: 0, looked: 0 };
        }
        let polled = self.poll_exchange(cx);
        if let Poll::Ready(Err(_)) = polled {
            self.at = At::Broken;
        }
        polled.map_err(NoHead::Died)
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, WireError>> {
        let sent = match self.sending.poll(&mut self.socket, cx) {
            // The worker may have answered before it closed; or there is nothing to wait for.
            Poll::Ready(Err(WireError::Write(error))) => {
                self.stop_sending();
                Some(WireError::Write(error))
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        match self.poll_final_head(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(sent.unwrap_or(error))),
            Poll::Pending => sent.map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
        }
    }

    fn poll_final_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, WireError>> {
        loop {
            let At::Head { looked, .. } = self.at else { return Poll::Ready(Err(WireError::NoAnswer)) };
            // What was there before ends no head, and a line's end may have come in parts.
            let is_news = looked == 0 || head::may_end(&self.input[looked.saturating_sub(2)..]);
            let is_too_large = self.input.len() > self.header_bytes_max;
            if !self.input.is_empty()
                && (is_news || is_too_large)
                && let Some(head) = head::take(&mut self.input, self.to_head, self.header_bytes_max)?
            {
                if let Some(response) = self.begin_body(head)? {
                    return Poll::Ready(Ok(response));
                }
                continue;
            }
            if let At::Head { looked, .. } = &mut self.at {
                *looked = self.input.len();
            }
            if ready!(self.poll_first(cx)).map_err(WireError::Read)? == 0 {
                return Poll::Ready(Err(WireError::NoAnswer));
            }
        }
    }

    /// What comes after a head. `None`: another head.
    fn begin_body(&mut self, head: Head) -> Result<Option<Response<()>>, WireError> {
        let At::Head { interim, .. } = self.at else { return Ok(None) };
        self.goes_on &= head.goes_on || head.framing == Framing::Interim;
        match head.framing {
            Framing::Interim if interim == INTERIM_MAX => {
                return Err(WireError::TooManyInterim { max: INTERIM_MAX });
            }
            Framing::Interim => {
                self.at = At::Head { interim: interim + 1, looked: 0 };
                return Ok(None);
            }
            Framing::Switched => self.at = At::Switched,
            Framing::Empty => self.end(),
            Framing::Length(left) => self.at = At::Length { left },
            Framing::Chunked => self.at = At::Chunks(Chunks::new()),
            Framing::UntilClose => self.at = At::UntilClose,
        }
        Ok(Some(head.response))
    }

    /// The answer's body, if all of it is there already and its length was said.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        match self.at {
            At::Rest | At::Over => Some(Bytes::new()),
            At::Length { left } if left <= self.input.len() as u64 => {
                let whole = self.input.split_to(left as usize);
                self.end();
                Some(whole)
            }
            _ => None,
        }
    }

    /// The answer's body as it comes; the request is sent on meanwhile.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            self.at = At::Broken;
            return Poll::Ready(Some(Err(error)));
        }
        self.poll_read_frame(cx)
    }

    /// Sends on. An answer may follow to what the worker did not want to hear all of.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        match ready!(self.sending.poll(&mut self.socket, cx)) {
            Err(WireError::Write(_)) => {
                self.stop_sending();
                Poll::Ready(Ok(()))
            }
            sent => Poll::Ready(sent),
        }
    }

    /// The same body, while somebody else sends.
    pub fn poll_read_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        let polled = self.poll_body(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            self.at = At::Broken;
        }
        polled
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        loop {
            if let Some(frame) = self.decode()? {
                return Poll::Ready(Some(Ok(frame)));
            }
            if !matches!(self.at, At::Length { .. } | At::Chunks(_) | At::UntilClose) {
                return Poll::Ready(None);
            }
            if ready!(self.poll_more(cx)).map_err(WireError::Read)? == 0 {
                if !matches!(self.at, At::UntilClose) {
                    return Poll::Ready(Some(Err(WireError::Cut)));
                }
                self.end();
            }
        }
    }

    /// A piece of the body, of what is there.
    fn decode(&mut self) -> Result<Option<Frame<Bytes>>, WireError> {
        match &mut self.at {
            _ if self.input.is_empty() => Ok(None),
            At::Length { left } => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= length as u64;
                let (piece, is_last) = (self.input.split_to(length), *left == 0);
                if is_last {
                    self.end();
                }
                Ok(Some(Frame::data(piece)))
            }
            At::UntilClose => Ok(Some(Frame::data(mem::take(&mut self.input)))),
            At::Chunks(chunks) => {
                let frame = match chunks.read(&mut self.input)? {
                    chunks::Read::Nothing => return Ok(None),
                    chunks::Read::End => None,
                    chunks::Read::Trailers(trailers) => Some(Frame::trailers(trailers)),
                    // If nothing but the end is behind it, that is known at once.
                    chunks::Read::Data(piece) if self.input.starts_with(b"\r\n0\r\n\r\n") => {
                        chunks.read(&mut self.input)?;
                        Some(Frame::data(piece))
                    }
                    chunks::Read::Data(piece) => return Ok(Some(Frame::data(piece))),
                };
                self.end();
                Ok(frame)
            }
            At::Rest | At::Asked | At::Head { .. } | At::Over | At::Switched | At::Broken => Ok(None),
        }
    }

    /// The answer was read to its end.
    fn end(&mut self) {
        let rests = self.goes_on && self.input.is_empty() && self.sending.is_done();
        self.at = if rests { At::Rest } else { At::Over };
        // What came beyond it is nobody's (RFC 9112, 6.3).
        self.input = Bytes::new();
    }

    /// The rest of the request is not sent, so there can't be another one.
    fn stop_sending(&mut self) {
        self.sending = Sending::default();
        self.goes_on = false;
    }

    /// Whether it could take a request now.
    pub fn is_idle(&self) -> bool {
        matches!(self.at, At::Rest)
    }

    /// Whether some of the request is still to be written.
    pub fn is_sending(&self) -> bool {
        !self.sending.is_done()
    }

    /// Whether the answer was read to its end.
    pub fn is_over(&self) -> bool {
        matches!(self.at, At::Rest | At::Over)
    }

    /// Whether anything came of itself: the end, or what nobody asked for.
    pub fn poll_stray(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0];
        Pin::new(&mut self.socket).poll_read(cx, &mut ReadBuf::new(&mut space)).map(|_| ())
    }

    pub fn size_hint(&self) -> SizeHint {
        match self.at {
            At::Rest | At::Over => SizeHint::with_exact(0),
            At::Length { left } => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }

    /// The socket, and what was read beyond a 101.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.socket, self.input)
    }

    #[cfg(test)]
    pub fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// How much memory it holds beside itself.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.input.len() + self.sending.held()
    }

    /// Reads what an answer begins with. Where those before it were large, the body comes along with the head.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.reads > FIRST && self.input.is_empty() {
            self.poll_large(cx, self.reads)
        } else {
            self.poll_little(cx)
        }
    }

    /// Reads on in a body: the more the more there was the last time, in this answer or an earlier one.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let size = match self.at {
            At::Length { left } => usize::try_from(left).unwrap_or(LARGEST).min(self.reads),
            _ => self.reads,
        };
        // Something is left only of what stands between pieces.
        if size <= FIRST || !self.input.is_empty() { self.poll_little(cx) } else { self.poll_large(cx, size) }
    }

    /// Reads a little; memory is taken only for what comes.
    fn poll_little(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; FIRST];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
        let more = buf.filled();
        self.input = match mem::take(&mut self.input) {
            none if none.is_empty() => Bytes::copy_from_slice(more),
            some => {
                let mut all = some.try_into_mut().unwrap_or_else(|some| BytesMut::from(&*some));
                all.extend_from_slice(more);
                all.freeze()
            }
        };
        if more.len() == FIRST {
            self.reads = self.reads.max(4 * FIRST);
        }
        Poll::Ready(Ok(more.len()))
    }

    /// Reads up to `size` bytes, where nothing is left of what was read before. The room for it is given back while
    /// nothing comes: a stream that is quiet holds no memory, and to take it again costs next to nothing.
    fn poll_large(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        let mut room = BytesMut::with_capacity(size);
        let length = ready!(pin!(self.socket.read_buf(&mut room)).poll(cx))?;
        // Else it would hold much more memory than it is.
        self.input = if length < size / 2 { Bytes::copy_from_slice(&room) } else { room.freeze() };
        // What a worker has sent before says what it will send; the end of a body says nothing.
        if length >= size {
            self.reads = (4 * self.reads).min(LARGEST);
        } else if length < size / 4 {
            self.reads = (self.reads / 4).max(FIRST);
        }
        Poll::Ready(Ok(length))
    }
}
