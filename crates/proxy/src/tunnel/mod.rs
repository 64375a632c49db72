//! Tunnels: how a request gets to a machine that nobody can dial.
//!
//! The machine dials a node instead, and the connection is turned round: the node asks on it, by HTTP/2, for one stream
//! for each connection that it would have dialled. A stream carries bytes, whatever they are, so all that speaks to
//! workers works as before: pools, HTTP/1.1, HTTP/2 in the clear, WebSockets. What is new here ends with the dial.
//!
//! Which node a tunnel hangs on is not this crate's to know: [`Tunnels`] leads there, wherever it is.
//!
//! | module | what |
//! |---|---|
//! | [`line`] | a tunnel's connection, at the node that it hangs on |
//! | `bytes` | one stream of HTTP/2, as bytes both ways |

pub(crate) mod bytes;
pub mod line;

pub use quorate_rt::duplex::Stream;
use std::{future::Future, io, pin::Pin};

/// A connection that is being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send + 'a>>;

/// The way to whatever hangs on a tunnel.
pub trait Tunnels: Send + Sync + 'static {
    /// A new connection to it. An error says that there is none: nothing was sent. No deadline of its own.
    fn open<'a>(&'a self, name: &'a str) -> Opening<'a>;
}

/// Where there are no tunnels.
#[derive(Clone, Copy, Debug)]
pub struct NoTunnels;

impl Tunnels for NoTunnels {
    fn open<'a>(&'a self, name: &'a str) -> Opening<'a> {
        Box::pin(async move { Err(not_held(name)) })
    }
}

/// Nobody holds it: as if nobody listened.
pub fn not_held(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("no tunnel {name} is open"))
}
