//! An attempt on a connection that is shared with other requests.

use super::{
    Arrived, Forwarding, Line, Source,
    error::{Error, Failed},
};
use crate::{
    http1::{RequestBody, WireError},
    http2::upstream::{
        self, Broken, Got, Links, Opened, Place, Turn,
        exchange::speak_http2,
        links::{Dial, More},
        tunnel::{self, ask_for_tunnel},
    },
};
use http::{Request, uri::Scheme};
use quorate_model::Scheme as Registered;
use quorate_routing::retry::{Connection, Failure};
use quorate_rt::time::timeout;
use quorate_telemetry::label::UpstreamUse;
use std::sync::Arc;

impl Forwarding<'_> {
    /// What an attempt is made on: a place on a shared connection where the worker speaks HTTP/2, else one of its own.
    pub(super) async fn line(&self, source: Source) -> Result<(Line, Connection), Failed> {
        let links = self.to.endpoint.links();
        let links = links.filter(|links| match &self.upgrade {
            None => true,
            Some(wanted) => wanted.is_websocket && links.may_tunnel(),
        });
        if let Some(links) = links {
            // A shared one may always have been about to end.
            let connection = if source == Source::Any { Connection::Pooled } else { Connection::Fresh };
            let got = match links.take(self.past) {
                Some(Got::Place(place)) => {
                    self.client.core.counters.upstream(UpstreamUse::Reused);
                    Got::Place(place)
                }
                Some(got) => got,
                // Boxed: it is rare, and its state would be part of each connection's.
                None => Box::pin(self.turn(links, connection)).await?,
            };
            match got {
                Got::Place(place) if self.upgrade.is_none() => return Ok((Line::Shared(place), connection)),
                Got::Place(place) => {
                    if let Some(place) = place.for_tunnel() {
                        return Ok((Line::Tunnel(place), connection));
                    }
                }
                Got::Own(upstream) => return Ok((Line::Own(upstream), Connection::Fresh)),
                Got::Http1 => {}
            }
        }
        let (upstream, connection) = self.connect(source).await?;
        Ok((Line::Own(upstream), connection))
    }

    /// Waits for a place on one of the worker's connections, within its own time and the request's.
    async fn turn(&self, links: &Arc<Links>, connection: Connection) -> Result<Got, Failed> {
        let refused = |error| Failed { failure: Failure::Refused, connection: Connection::Fresh, error };
        let authority = || self.to.endpoint.authority.clone();
        let limits = &self.client.core.config.limits;
        let waiting = match links.turn(self.past, self.shared_room()) {
            Turn::Got(got) => return Ok(got),
            Turn::Wait(waiting) => waiting,
            Turn::WaitAndDial(waiting, dial) => {
                self.dial(dial);
                waiting
            }
            Turn::Full(waiting_max) => {
                return Err(refused(Error::Crowded { authority: authority(), waiting_max }));
            }
        };
        let after = limits.worker_waiting_timeout;
        let waiting = self.client.watch.bound(timeout(after, waiting));
        // Where there is no connection yet, it is the worker that is waited for.
        let came = if links.is_open() { self.in_line(waiting).await } else { waiting.await };
        match came {
            Some(Ok(Ok(Ok(got)))) => Ok(got),
            Some(Ok(Ok(Err(error)))) => Err(refused(Error::Unreachable(error))),
            // The connection that it waited for is gone.
            Some(Ok(Err(_))) => Err(Failed {
                failure: Failure::Unsent,
                connection,
                error: Error::Closed { authority: authority() },
            }),
            Some(Err(_)) => Err(refused(Error::NoRoom { authority: authority(), after })),
            None => Err(Failed {
                failure: Failure::TimedOut,
                connection: Connection::Fresh,
                error: self.timed_out(),
            }),
        }
    }

    /// Dials in the background, for all who wait.
    fn dial(&self, mut dial: Dial) {
        let (core, endpoint) = (self.client.core.clone(), self.to.endpoint.clone());
        let connections_max = self.connections_max();
        quorate_rt::spawn(async move {
            loop {
                let dialled = core.dialer.dial_shared(&endpoint, connections_max).await;
                let used = if dialled.is_ok() { UpstreamUse::Opened } else { UpstreamUse::Failed };
                core.counters.upstream(used);
                if dial.done(dialled, core.deadlines.now()) == More::Enough {
                    return;
                }
            }
        });
    }

    pub(super) async fn share(&mut self, place: Place, connection: Connection) -> Result<Arrived, Failed> {
        let mut request = self.request(connection)?;
        speak_http2(&mut request, self.scheme());
        match upstream::exchange(place, request, self.client).await {
            Ok(response) => Ok(Arrived::Shared(response)),
            Err(broken) => Err(self.broke(broken, connection)),
        }
    }

    fn request(&mut self, connection: Connection) -> Result<Request<RequestBody>, Failed> {
        let request = self.outbound.request(&self.to, self.attempts);
        request.map_err(|error| Failed { failure: Failure::TimedOut, connection, error })
    }

    /// The same for a WebSocket.
    pub(super) async fn open_tunnel(
        &mut self,
        place: Place,
        connection: Connection,
    ) -> Result<Arrived, Failed> {
        let mut request = self.request(connection)?.map(drop);
        if !ask_for_tunnel(&mut request, self.scheme()) {
            return Err(Failed { failure: Failure::Refused, connection, error: Error::BadTarget });
        }
        match tunnel::open(place, request, self.client).await {
            Ok(Opened::Tunnel(response)) => Ok(Arrived::Tunnel(response)),
            Ok(Opened::Declined(response)) => Ok(Arrived::Shared(response)),
            Err(broken) => Err(self.broke(broken, connection)),
        }
    }

    /// Whether an upgrade was asked for in HTTP/1.1 because there is none in the HTTP/2 that the worker speaks.
    pub(super) fn is_without_tunnel(&self) -> bool {
        self.upgrade.is_some() && self.to.endpoint.links().is_some_and(|links| !links.is_http1())
    }

    fn scheme(&self) -> Scheme {
        match self.to.endpoint.address.scheme() {
            Registered::Http => Scheme::HTTP,
            Registered::Https => Scheme::HTTPS,
        }
    }

    fn broke(&mut self, broken: Broken, connection: Connection) -> Failed {
        // A worker that refuses has enough for now, and says nothing of its connection. Otherwise the connection is not
        // to be trusted, and no other that was open at the same time.
        let is_refused = matches!(&broken, Broken::Unprocessed(error) if error.is_reset());
        if let Some(links) = self.to.endpoint.links().filter(|_| !is_refused) {
            self.past = links.opened();
        }
        let authority = self.to.endpoint.authority.clone();
        // A partition has one owner, whose conduct nobody watches: there is nobody else to send it to.
        let connection = if self.to.care.is_some() { blamed(&broken, connection) } else { connection };
        let (failure, error) = match broken {
            Broken::Unsent | Broken::Unprocessed(_) if !self.outbound.is_whole() => {
                (Failure::Died, Error::Closed { authority })
            }
            Broken::Unsent => (Failure::Unsent, Error::Closed { authority }),
            Broken::Unprocessed(source) => {
                (Failure::Unsent, Error::Stream { authority, source: source.into() })
            }
            Broken::Died(source) => (Failure::Died, Error::Stream { authority, source: source.into() }),
            Broken::Upload(source) => {
                (Failure::Died, Error::Died { authority, source: WireError::Upload(source) })
            }
            Broken::TimedOut => (Failure::TimedOut, self.timed_out()),
        };
        Failed { failure, connection, error }
    }
}

/// What a failure on a shared connection says about the worker. The connection was alive when the request got its place,
/// so a reset, or the connection's end, is the worker's doing, and counts. Only what the worker has not looked at is
/// like what went into an idle connection that had died.
fn blamed(broken: &Broken, connection: Connection) -> Connection {
    match broken {
        Broken::Unsent | Broken::Unprocessed(_) => connection,
        Broken::Died(_) | Broken::Upload(_) | Broken::TimedOut => Connection::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h2::Reason;

    #[test]
    fn what_a_worker_may_have_looked_at_is_its_own_failure() {
        let blamed = |broken| blamed(&broken, Connection::Pooled);
        assert_eq!(blamed(Broken::Unsent), Connection::Pooled);
        assert_eq!(blamed(Broken::Unprocessed(Reason::REFUSED_STREAM.into())), Connection::Pooled);
        assert_eq!(blamed(Broken::Died(Reason::INTERNAL_ERROR.into())), Connection::Fresh);
        assert_eq!(blamed(Broken::TimedOut), Connection::Fresh);
    }
}
