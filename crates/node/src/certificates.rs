//! Certificates that were renewed are taken up while the node runs.
//!
//! Their files are looked at again and again: whoever renews them need not know of the node, and a secret of Kubernetes is
//! renewed by a symbolic link that is turned, which tells nobody. Whoever knows of it can ask for a look at once.

use quorate_gateway::gateway::Gateway;
use quorate_proxy::Proxy;
use quorate_rt::{
    certificate::{Certificate, Look},
    shutdown::Shutdown,
    time,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Those that this node shows.
pub(crate) fn of(proxy: &Proxy, gateway: Option<&Gateway>) -> Vec<Certificate> {
    let gateway = gateway.and_then(Gateway::certificate);
    proxy.certificate().into_iter().chain(gateway).cloned().collect()
}

/// Keeps up with their files until the shutdown. Whoever wants a look at once tells what this returns.
pub(crate) fn keep_up(proxy: &Proxy, gateway: Option<&Gateway>, shutdown: &Shutdown) -> Arc<Notify> {
    let certificates = of(proxy, gateway);
    let asked = Arc::new(Notify::new());
    if !certificates.is_empty() {
        quorate_rt::spawn(watch(certificates, asked.clone(), shutdown.clone()));
    }
    asked
}

async fn watch(mut certificates: Vec<Certificate>, asked: Arc<Notify>, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            // Whoever asks wants to be told, whatever was said before.
            () = asked.notified() => certificates.iter_mut().for_each(Certificate::forget),
            () = time::sleep(LOOK_EVERY) => {}
        }
        for certificate in &mut certificates {
            look(certificate).await;
        }
    }
}

async fn look(certificate: &mut Certificate) {
    let look = certificate.look().await;
    let (path, key) = (certificate.path().display(), certificate.key_path().display());
    match look {
        Look::Same => {}
        Look::Taken => {
            tracing::info!(%path, %key, "new connections are shown the certificate as it is now")
        }
        Look::Refused(error) => tracing::error!(
            %path, %key, %error,
            "the certificate can't be used: new connections are shown the one from before"
        ),
    }
}
