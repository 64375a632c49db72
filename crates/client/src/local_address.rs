//! Under which address this machine is known to the routers: the one from which it would talk to them.
//!
//! The kernel is asked, by a datagram socket that is connected and never used: nothing is sent. Where there is
//! address translation between here and the routers the answer is of no use to them, and somebody who knows better
//! must say it.

use crate::{Error, Url, error::Silence, tasks};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::net::{UdpSocket, lookup_host};

/// For one router; finding its address may take a question to a name server.
const LIMIT: Duration = Duration::from_secs(5);

/// Towards the first of `routers` that there is a way to.
pub async fn towards(routers: &[Url]) -> Result<IpAddr, Error> {
    let mut silent = Vec::new();
    for router in routers {
        let why = match tasks::within(LIMIT, towards_one(router)).await {
            Some(Ok(address)) => return Ok(address),
            Some(Err(e)) => e.to_string(),
            None => format!("its name was not resolved within {LIMIT:?}"),
        };
        silent.push(Silence { node: router.to_string(), why });
    }
    Err(Error::Unreachable(silent))
}

async fn towards_one(router: &Url) -> io::Result<IpAddr> {
    let host = router.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = router.port_or_known_default().unwrap_or(80);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in lookup_host((host, port)).await? {
        match from_here(address).await {
            Ok(ip) => return Ok(ip),
            Err(e) => failed = e,
        }
    }
    Err(failed)
}

async fn from_here(to: SocketAddr) -> io::Result<IpAddr> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}
