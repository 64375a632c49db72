//! Which way a heartbeat goes. No clock, no chance, no socket: the tests are all there is.
//!
//! A worker goes by a delegate only while the last router that it heard names one. Whatever goes wrong sends it back to
//! the routers, and their answer decides anew. What went wrong decides for how long that delegate is left alone: one
//! that refuses for the moment, for one heartbeat; one that is silent, for a TTL or so, since each question takes time;
//! one that is somebody else, or has let this worker expire, until the role has a new epoch.

use crate::Url;

/// So many heartbeats in a row go by the delegate alone; the next one is sent to the routers as well. Three TTLs or so:
/// often enough to notice another process under the same id, a new fencing token, or a delegate that lies; seldom
/// enough that the routers hear of a group of many little more than its delegate.
const ALONE_MAX: u32 = 9;

/// So many heartbeats after one that a delegate did not answer go to the routers alone.
const SILENT_FOR: u32 = 3;

/// Who has the role, as routers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delegate {
    pub worker: String,
    /// `None`: it can't be reached by us.
    pub url: Option<Url>,
    pub epoch: u64,
}

/// Where a heartbeat goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the routers.
    Direct,
    /// To the delegate.
    Delegate,
    /// To the delegate, and then to the routers as well.
    Both,
}

/// What went wrong with a delegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It says that it can't just now.
    NotNow,
    /// It did not answer.
    Silent,
    /// It says that its role is over, it is somebody who does not know what we speak of, or it did not pass on what it
    /// said that it had.
    Useless,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shunned {
    For(u32),
    Ever,
}

/// What is known about delegates.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Named by the last router that was heard, and not found wanting since.
    named: Option<Delegate>,
    /// The newest epoch that was heard of.
    newest: u64,
    shunned: Option<(u64, Shunned)>,
    alone: u32,
}

impl Route {
    /// A router was heard, and names this delegate.
    pub fn told(&mut self, named: Option<Delegate>) {
        self.alone = 0;
        // A node that lags names one whose time is over.
        self.named = named.filter(|delegate| delegate.epoch >= self.newest);
        if let Some(delegate) = &self.named {
            self.newest = delegate.epoch;
        }
    }

    /// No router could be heard, while the delegate goes on passing heartbeats: they are asked again in their turn.
    pub fn unheard(&mut self) {
        self.alone = 0;
    }

    /// Which way the next heartbeat goes.
    pub fn next(&mut self) -> Way {
        let Some(named) = &self.named else { return Way::Direct };
        match self.shunned.filter(|(epoch, _)| *epoch == named.epoch) {
            Some((_, Shunned::Ever)) => return Way::Direct,
            Some((epoch, Shunned::For(beats))) if beats > 0 => {
                self.shunned = Some((epoch, Shunned::For(beats - 1)));
                return Way::Direct;
            }
            Some((_, Shunned::For(_))) | None => self.shunned = None,
        }
        if self.alone >= ALONE_MAX { Way::Both } else { Way::Delegate }
    }

    /// Who is to be asked.
    pub fn delegate(&self) -> Option<&Delegate> {
        self.named.as_ref()
    }

    /// The delegate has passed a heartbeat on.
    pub fn passed(&mut self) {
        self.alone = self.alone.saturating_add(1);
    }

    /// The delegate of this epoch has not.
    pub fn failed(&mut self, epoch: u64, failure: Failure) {
        let shunned = match failure {
            Failure::NotNow => Shunned::For(0),
            Failure::Silent => Shunned::For(SILENT_FOR),
            Failure::Useless => Shunned::Ever,
        };
        self.shunned = Some((epoch, shunned));
        self.named = None;
    }

    /// A router has revived this worker: it had expired. If a delegate said all the while that it was heard, it lied.
    pub fn revived(&mut self) {
        if self.alone > 0
            && let Some(Delegate { epoch, .. }) = self.named
        {
            self.failed(epoch, Failure::Useless);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delegate(epoch: u64) -> Option<Delegate> {
        Some(Delegate { worker: format!("d{epoch}"), url: "http://d:1".parse().ok(), epoch })
    }

    fn named(epoch: u64) -> Route {
        let mut route = Route::default();
        route.told(delegate(epoch));
        route
    }

    /// How the next heartbeats go, each of which arrives, with a router that names `epoch` when it is asked.
    fn ways(route: &mut Route, epoch: u64, count: usize) -> String {
        let mut ways = String::new();
        for _ in 0..count {
            let way = route.next();
            if way != Way::Delegate {
                route.told(delegate(epoch));
            }
            if way != Way::Direct {
                route.passed();
            }
            ways.push(match way {
                Way::Direct => 'r',
                Way::Delegate => 'd',
                Way::Both => 'b',
            });
        }
        ways
    }

    #[test]
    fn without_a_delegate_every_heartbeat_goes_to_the_routers() {
        let mut route = Route::default();
        assert_eq!(route.next(), Way::Direct);
        route.told(None);
        assert_eq!(route.next(), Way::Direct);
    }

    #[test]
    fn every_so_often_one_goes_to_the_routers_as_well() {
        assert_eq!(ways(&mut named(7), 7, 22), "dddddddddbddddddddbddd");
    }

    #[test]
    fn one_that_reaches_its_delegate_alone_does_not_ask_the_routers_each_time() {
        let mut route = named(7);
        assert_eq!(ways(&mut route, 7, 9), "ddddddddd");
        assert_eq!(route.next(), Way::Both);
        route.passed();
        route.unheard();
        assert_eq!(ways(&mut route, 7, 10), "dddddddddb");
    }

    #[test]
    fn what_went_wrong_decides_for_how_long_a_delegate_is_left_alone() {
        for (failure, expected) in
            [(Failure::NotNow, "rdddd"), (Failure::Silent, "rrrrddd"), (Failure::Useless, "rrrrrrrrrrrrrrr")]
        {
            let mut route = named(7);
            route.failed(7, failure);
            assert_eq!(ways(&mut route, 7, expected.len()), expected, "{failure:?}");
        }
    }

    #[test]
    fn a_new_epoch_is_a_new_delegate() {
        let mut route = named(7);
        route.failed(7, Failure::Useless);
        assert_eq!(ways(&mut route, 7, 3), "rrr");
        assert_eq!(ways(&mut route, 8, 3), "rdd");
    }

    #[test]
    fn a_node_that_lags_brings_no_old_delegate_back() {
        let mut route = named(7);
        route.told(delegate(8));
        route.told(delegate(7));
        assert_eq!(route.delegate(), None);
        assert_eq!(route.next(), Way::Direct);
        route.told(delegate(8));
        assert_eq!(route.next(), Way::Delegate);
    }

    #[test]
    fn one_who_let_a_worker_expire_while_it_said_otherwise_is_not_believed_again() {
        let mut route = named(7);
        route.revived();
        assert_eq!(route.next(), Way::Delegate, "it had said nothing yet");
        route.passed();
        route.revived();
        route.told(delegate(7));
        assert_eq!(route.next(), Way::Direct);
        route.told(delegate(8));
        assert_eq!(route.next(), Way::Delegate);
    }
}
