//! Where this node listens: nobody registers there, or requests would go in circles.

use crate::config::Config;
use quorate_model::OwnAddresses;
use std::net::SocketAddr;

/// The listeners, under each name by which others know this machine.
pub(crate) fn own_addresses(config: &Config, (management, peer): (SocketAddr, SocketAddr)) -> OwnAddresses {
    let bound = [config.routing, management, peer].into_iter();
    let all = bound.chain(config.https.as_ref().map(|https| https.listen)).chain(config.grpc);
    // Whoever asks for any port has none yet.
    let listeners: Vec<_> = all.filter(|listener| listener.port() != 0).collect();
    let mut hosts = [config.advertised_peer(peer), config.advertised_management(management)]
        .map(|address| address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).to_owned());
    hosts.iter_mut().for_each(|host| *host = host.trim_matches(['[', ']']).to_owned());
    let wildcards = listeners.iter().filter(|listener| listener.ip().is_unspecified());
    let advertised = wildcards.flat_map(|at| hosts.iter().map(|host| (host.as_str().into(), at.port())));
    OwnAddresses { advertised: advertised.collect(), listeners }
}
