//! Where tunnels come in, as the management API wants it.

use super::{
    Guard, Holding,
    hall::{NoHook, TUNNELS_MAX},
    tokens::Stranger,
};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_consensus::{OpenTunnelError, Unavailable as Lost};
use quorate_management::{
    Unavailable,
    tunnel::{Asked, NotOpened, Opened, TunnelDoor},
};
use quorate_model::{LogIndex, TunnelName};
use std::sync::Arc;

/// Says in management's words why the cluster can't be changed.
pub(crate) type Say = Arc<dyn Fn(&Lost) -> Unavailable + Send + Sync>;

/// Lets tunnels in.
pub(crate) struct Door {
    pub guard: Guard,
    pub holding: Holding,
    pub say: Say,
}

impl TunnelDoor for Door {
    fn open(&self, asked: Asked) -> BoxFuture<'_, Result<Opened, NotOpened>> {
        async move {
            let Asked { name, token, from } = asked;
            self.guard
                .admit(name.as_str(), token.as_deref(), from)
                .map_err(|stranger| not_opened(stranger, &name))?;
            let hook = self.holding.hall().hook(name.as_str()).map_err(|why| match why {
                NoHook::Closed => NotOpened::Leaving,
                NoHook::Full => NotOpened::Full { max: TUNNELS_MAX },
            })?;
            let pass = self.guard.pass(&name, token);
            let standing = self.holding.open(&name, (hook, pass)).await.map_err(|error| match error {
                OpenTunnelError::Refused(refusal) => NotOpened::Refused(refusal),
                OpenTunnelError::Unavailable(lost) => NotOpened::Unavailable((self.say)(&lost)),
            })?;
            let index = LogIndex(standing.epoch().0);
            let hold = Box::new(move |stream| {
                quorate_rt::spawn(standing.hold(stream));
            });
            Ok(Opened { index, hold })
        }
        .boxed()
    }
}

fn not_opened(stranger: Stranger, name: &TunnelName) -> NotOpened {
    match stranger {
        Stranger::Unknown => NotOpened::NoToken,
        Stranger::OtherNames(allowed) => NotOpened::OtherNames { name: name.clone(), allowed },
        Stranger::Closed => NotOpened::Closed,
    }
}
