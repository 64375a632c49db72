//! What is spoken on a connection.
//!
//! The seam between a socket and what is said on it: a dialect is given a [`Wire`], the [`Desk`] and who calls, and speaks
//! until either side ends it. Frames, limits and closing are the wire's; who is where and bringing messages the desk's. A
//! dialect may keep its [`Session`](crate::session::Session) when its wire is gone.

use crate::{
    desk::Desk,
    extension, legacy,
    wire::{End, Wire},
};
use http::{HeaderMap, header};
use quorate_model::{ConnectionId, UserId};
use std::{net::IpAddr, sync::Arc};

/// How a client that offers a token among its subprotocols marks it.
const BEARER: &str = "quorate.bearer.";

/// What can be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The original's.
    #[default]
    Legacy,
    /// `quorate.v1`.
    Extended,
}

/// By what names a client asks for them (`Sec-WebSocket-Protocol`).
const NAMES: &[(&str, Dialect)] =
    &[("quorate.v0", Dialect::Legacy), (extension::SUBPROTOCOL, Dialect::Extended)];

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its connection.
    pub connection: ConnectionId,
    /// Where it comes from.
    pub address: IpAddr,
    /// Who it is, where it has proved that: it can register as nobody else.
    pub proved: Option<UserId>,
}

impl Dialect {
    /// The first of those that a client offers which is spoken here, and its name for the answer. Where none is, the
    /// original's is spoken, without a name, as the original does.
    pub fn choose(headers: &HeaderMap) -> (Self, Option<&'static str>) {
        let known = |name: &str| NAMES.iter().find(|(known, _)| *known == name);
        match offered(headers).find_map(known) {
            Some((name, dialect)) => (*dialect, Some(name)),
            None => (Self::default(), None),
        }
    }

    /// Speaks until the end.
    pub async fn converse(self, wire: Wire, desk: Arc<Desk>, caller: Caller) -> End {
        match self {
            Self::Legacy => legacy::converse(wire, desk, caller).await,
            // Apart: else a client of the one would take the room of the other.
            Self::Extended => Box::pin(extension::converse(wire, desk, caller)).await,
        }
    }
}

/// A token that a client offers among its subprotocols: a page has no other way to send one that is not in the URL.
pub(crate) fn offered_token(headers: &HeaderMap) -> Option<&str> {
    offered(headers).find_map(|name| name.strip_prefix(BEARER))
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(offered: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for list in offered {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static(list));
        }
        headers
    }

    #[test]
    fn a_client_that_asks_for_nothing_we_speak_gets_the_original_without_a_name() {
        for offered in [&[][..], &["chat"], &["quorate.v", "quorate.v00"]] {
            assert_eq!(Dialect::choose(&headers(offered)), (Dialect::Legacy, None), "{offered:?}");
        }
        for offered in [&["quorate.v0"][..], &["chat, quorate.v0"], &["chat", "quorate.bearer.x ,quorate.v0"]]
        {
            assert_eq!(
                Dialect::choose(&headers(offered)),
                (Dialect::Legacy, Some("quorate.v0")),
                "{offered:?}"
            );
        }
    }

    #[test]
    fn a_token_among_the_subprotocols_is_found() {
        assert_eq!(offered_token(&headers(&["quorate.v0, quorate.bearer.a.b.c"])), Some("a.b.c"));
        assert_eq!(offered_token(&headers(&["quorate.v0"])), None);
    }
}
