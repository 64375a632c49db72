//! The sessions that are here, and what others bring for them.
//!
//! A session is in the log before it is in this hall: whoever sends to it in between finds it in the View, and asks here
//! for an epoch that nobody has yet. Such a message waits with the one who is coming, in its order, and is decided when
//! that one's epoch is known.
//!
//! A message by no epoch, as ways bring it that know none, is for all of a user's sessions, those that are coming
//! included: each gets it once.
//!
//! A place is left by the session that has it, and by nobody else: the end of an older socket never takes away a newer one
//! of the same user.

mod coming;

use crate::{
    backplane::{Inbox, Message, Recipient, Taken},
    cluster::Presence,
    extension::rooms::Rooms,
    queue::{Offer, Queue},
    settings::SlowConsumer,
};
use coming::{Coming, Load, Parked, best, first_taken};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use quorate_model::{Epoch, UserId};
use quorate_telemetry::gateway::{Delivered, GatewayCounters};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// All of them.
pub struct Hall {
    presence: Arc<dyn Presence>,
    counters: Arc<GatewayCounters>,
    slow: SlowConsumer,
    guests: Mutex<Guests>,
    /// How many seats there were.
    seats: AtomicU64,
    rooms: Mutex<Rooms>,
    /// Answers what other gateways ask about sessions.
    concierge: OnceLock<Concierge>,
}

/// Answers what other gateways ask about sessions.
pub(crate) type Concierge = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

#[derive(Default)]
struct Guests {
    by_user: BTreeMap<UserId, Vec<Guest>>,
    /// How many have an epoch.
    here: usize,
    /// What waits for those who are coming.
    load: Load,
}

struct Guest {
    seat: u64,
    stage: Stage,
    mailbox: Arc<Mailbox>,
}

enum Stage {
    /// The log is being asked; messages for it wait.
    Coming(Coming),
    Here(Epoch),
    /// It has none, and does not ask for one now.
    Away,
}

/// What others bring for one session.
#[derive(Debug)]
pub struct Mailbox {
    /// What waits for it.
    pub queue: Queue,
    /// Given once there was no room, where such a client is sent away.
    pub overflowed: Notify,
    /// How many messages there was no room for.
    pub refused: AtomicU64,
}

/// A place in the hall, left by dropping it.
pub struct Seat {
    hall: Arc<Hall>,
    user: UserId,
    /// Which of the user's: the next one of the same user must not be taken for it.
    seat: u64,
}

impl Hall {
    /// Nobody is here.
    pub fn new(presence: Arc<dyn Presence>, counters: Arc<GatewayCounters>, slow: SlowConsumer) -> Arc<Self> {
        Arc::new(Self {
            presence,
            counters,
            slow,
            guests: Mutex::default(),
            seats: AtomicU64::new(0),
            rooms: Mutex::default(),
            concierge: OnceLock::new(),
        })
    }

    /// A place for one who is about to come.
    pub fn expect(self: &Arc<Self>, user: &UserId, mailbox: &Arc<Mailbox>) -> Seat {
        let seat = self.seats.fetch_add(1, Ordering::Relaxed);
        let guest = Guest { seat, stage: Stage::Coming(Coming::default()), mailbox: mailbox.clone() };
        self.lock().by_user.entry(user.clone()).or_default().push(guest);
        Seat { hall: self.clone(), user: user.clone(), seat }
    }

    /// How many are registered.
    pub fn count(&self) -> usize {
        self.lock().here
    }

    /// Who hears which room.
    pub(crate) fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on other gateways are answered.
    pub(crate) fn answer_by(&self, concierge: Concierge) {
        // There is one desk, and it says so once.
        let _ = self.concierge.set(concierge);
    }

    fn put(&self, mailbox: &Mailbox, message: Arc<Message>) -> Taken {
        match mailbox.queue.offer(message) {
            Offer::Taken => {
                self.counters.count_delivered(Delivered::Taken);
                Taken::Delivered
            }
            Offer::Full => {
                self.counters.count_delivered(Delivered::Full);
                mailbox.refused.fetch_add(1, Ordering::Relaxed);
                if self.slow == SlowConsumer::Close {
                    mailbox.overflowed.notify_one();
                }
                Taken::Full
            }
            Offer::Stale | Offer::Closed => self.not_here(),
        }
    }

    fn not_here(&self) -> Taken {
        self.counters.count_delivered(Delivered::NotHere);
        Taken::NotHere { index: self.presence.index() }
    }

    /// Whoever holds the session of this epoch; without one: all of the user's.
    fn bring(&self, user: &UserId, epoch: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        let mut guests = self.lock();
        let Guests { by_user, load, .. } = &mut *guests;
        let Some(those) = by_user.get_mut(user) else { return ready(self.not_here()).boxed() };
        let (mut taken, mut waits) = (None, Vec::new());
        for guest in those.iter() {
            let Stage::Here(of) = guest.stage else { continue };
            if epoch.is_none_or(|epoch| epoch == of.0) {
                let now = self.put(&guest.mailbox, message.clone());
                taken = Some(best(taken, now));
            }
        }
        // Who is coming can't have the epoch of one who is here.
        let is_found = epoch.is_some() && taken.is_some();
        for guest in those.iter_mut().filter(|_| !is_found) {
            let Stage::Coming(coming) = &mut guest.stage else { continue };
            match coming.park(load, guest.mailbox.queue.limits(), epoch, message.clone()) {
                Some(answer) => waits.push(answer),
                None => {
                    self.counters.count_delivered(Delivered::Full);
                    taken = Some(best(taken, Taken::Full));
                }
            }
        }
        if waits.is_empty() {
            return ready(taken.unwrap_or_else(|| self.not_here())).boxed();
        }
        let gone = Taken::NotHere { index: self.presence.index() };
        first_taken(taken, waits, gone).boxed()
    }

    /// The one who was coming has this epoch; or none, and does not come.
    fn settle(&self, user: &UserId, seat: u64, epoch: Option<Epoch>) {
        let mut guests = self.lock();
        let Guests { by_user, here, load } = &mut *guests;
        let those = by_user.get_mut(user).into_iter().flatten();
        let Some(guest) = those.into_iter().find(|guest| guest.seat == seat) else { return };
        let stage = epoch.map_or(Stage::Away, Stage::Here);
        let former = std::mem::replace(&mut guest.stage, stage);
        *here += usize::from(epoch.is_some());
        *here -= usize::from(matches!(former, Stage::Here(_)));
        self.counters.set_sessions(*here);
        let Stage::Coming(coming) = former else { return };
        for Parked { epoch: wanted, message, answer } in coming.decided(load) {
            let is_meant = epoch.is_some_and(|epoch| wanted.is_none_or(|wanted| wanted == epoch.0));
            let taken = if is_meant { self.put(&guest.mailbox, message) } else { self.not_here() };
            // Whoever sent it may have given up.
            let _ = answer.send(taken);
        }
    }

    fn leave(&self, user: &UserId, seat: u64) {
        self.settle(user, seat, None);
        let mut guests = self.lock();
        if let Some(those) = guests.by_user.get_mut(user) {
            those.retain(|guest| guest.seat != seat);
            if those.is_empty() {
                guests.by_user.remove(user);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// It is known now by this epoch.
    pub fn arrive(&self, epoch: Epoch) {
        self.hall.settle(&self.user, self.seat, Some(epoch));
    }

    /// The epoch that it had is over, and it tries to get another one.
    pub fn rise(&self) {
        self.be_away();
        let mut guests = self.hall.lock();
        let those = guests.by_user.get_mut(&self.user).into_iter().flatten();
        for guest in those.filter(|guest| guest.seat == self.seat) {
            guest.stage = Stage::Coming(Coming::default());
        }
    }

    /// It has no epoch, and does not ask for one now: whoever waits for it waits in vain.
    pub fn be_away(&self) {
        self.hall.settle(&self.user, self.seat, None);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hall.leave(&self.user, self.seat);
    }
}

impl Inbox for Hall {
    fn take(&self, epoch: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        match &message.to {
            Recipient::User(user) => {
                let user = user.clone();
                self.bring(&user, epoch, message)
            }
            Recipient::All | Recipient::Room(_) => {
                self.take_broadcast(message);
                ready(Taken::Delivered).boxed()
            }
        }
    }

    fn take_broadcast(&self, message: Arc<Message>) {
        if let Recipient::Room(room) = &message.to {
            for mailbox in self.rooms().members(room) {
                self.put(mailbox, message.clone());
            }
            return;
        }
        let guests = self.lock();
        for guest in guests.by_user.values().flatten() {
            if matches!(guest.stage, Stage::Here(_)) {
                self.put(&guest.mailbox, message.clone());
            }
        }
    }

    fn give_up(&self) {
        self.counters.count_delivered(Delivered::GivenUp);
    }

    fn asked(&self, question: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        match self.concierge.get() {
            Some(concierge) => concierge(question),
            // Nobody can be asked yet: no answer means that.
            None => ready(Vec::new()).boxed(),
        }
    }
}

#[cfg(test)]
mod tests;
