//! Sessions that are elsewhere, and what other gateways ask about those that are here.

use super::{
    extended::Extended,
    handover::{ASKED_FOR, Answer, Question},
    life::Life,
    shared::Ask,
    token::Token,
};
use crate::{
    backplane::BackplaneError,
    cluster::{Place, Whom},
    desk::Desk,
    session::Session,
};
use futures_util::FutureExt;
use quorate_model::{NodeName, SecondLogin, UserId};
use quorate_rt::{
    shutdown::Shutdown,
    time::{self, Duration, Instant},
};
use quorate_telemetry::gateway::Resumed;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// A session answers within this time, and so does its node.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// One that moves already is waited for so long.
const MOVING_FOR: Duration = Duration::from_secs(12);
const _: () = assert!(MOVING_FOR.as_secs() > ASKED_FOR.as_secs(), "whoever moves it has it, or has given up");
/// Whether a session may move is asked for so long: nothing has begun, and its client waits.
const PREPARED_WITHIN: Duration = Duration::from_secs(6);
/// That a session is here is told for so long.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(4);
/// The first try to ask is given up after this time, each next one after twice the time of the one before.
const FIRST_TRY: Duration = Duration::from_secs(3);
/// And the next one begins so much later.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// A node that says that it has no such session is believed after this time: presence may have been behind.
const BEHIND_FOR: Duration = Duration::from_secs(1);
/// And looked for so often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a session can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cannot {
    /// There is none, or the token is somebody else's.
    Unknown,
    /// Its node can't be asked.
    Unreachable,
    /// It is elsewhere, and this node is about to end: it stays where it is.
    Ending,
}

/// A session, and how it was had.
pub struct Had {
    /// The session.
    pub life: Box<Life>,
    /// From this node, or from another one.
    pub how: Resumed,
}

type Found = Result<Had, Cannot>;

/// The session of a token, wherever it is. To be brought to its end: what has begun to move is nowhere else.
pub async fn have(desk: &Arc<Desk>, user: &UserId, token: &Token) -> Found {
    let until = Instant::now() + MOVING_FOR;
    loop {
        if let Some(found) = try_have(desk, user, token).await {
            return found;
        }
        if desk.drain.has_begun() {
            return Err(Cannot::Ending);
        }
        if Instant::now() >= until {
            return Err(Cannot::Unreachable);
        }
        time::sleep(LOOK_EVERY).await;
    }
}

/// `None`: it moves just now.
async fn try_have(desk: &Arc<Desk>, user: &UserId, token: &Token) -> Option<Found> {
    if let Some(life) = claim(desk, user, token).await {
        return Some(Ok(Had { life, how: Resumed::Here }));
    }
    let places = desk.presence.find(user);
    let Some(place) = places.into_iter().find(|place| place.connection == token.connection) else {
        return Some(Err(Cannot::Unknown));
    };
    if place.node == desk.node {
        // It is here, and was not given: the token is somebody else's, or it is just being moved.
        return if desk.extension.find_of(user, token).is_some() { None } else { Some(Err(Cannot::Unknown)) };
    }
    let arrival = desk.extension.arrive(token.connection)?;
    let found = fetch(desk, user, token, &place).await;
    // What is looked at from here on needs no secret: it must hold up nobody who has the right one.
    drop(arrival);
    match found {
        Some(Err(Cannot::Unknown)) if has_moved_on(desk, user, &place).await => None,
        found => found,
    }
}

/// Whether presence was only behind when it named this place: a client that moves on at once may be faster than the log.
async fn has_moved_on(desk: &Desk, user: &UserId, place: &Place) -> bool {
    let until = Instant::now() + BEHIND_FOR;
    while desk.presence.find(user).contains(place) {
        if Instant::now() >= until {
            return false;
        }
        time::sleep(LOOK_EVERY).await;
    }
    true
}

/// Takes it from a task of this node.
async fn claim(desk: &Desk, user: &UserId, token: &Token) -> Option<Box<Life>> {
    let asks = desk.extension.find_of(user, token)?;
    let (claim, mut claimed) = oneshot::channel();
    asks.send(Ask::Claim(claim)).await.ok()?;
    if let Ok(life) = time::timeout(ANSWERED_WITHIN, &mut claimed).await {
        return life.ok();
    }
    // From here on it can't be sent any more; one that was sent just now would be nowhere.
    claimed.close();
    claimed.try_recv().ok()
}

/// Takes it from another node.
async fn fetch(desk: &Arc<Desk>, user: &UserId, token: &Token, place: &Place) -> Option<Found> {
    let me = desk.node.clone();
    let prepare = Question::Prepare(*token, me.clone());
    let rooms = match ask(desk, &place.node, &prepare, PREPARED_WITHIN).await {
        Some(Answer::Prepared(rooms)) => rooms,
        Some(Answer::Not(_)) => return None,
        Some(Answer::Unknown) => return Some(Err(Cannot::Unknown)),
        Some(Answer::Given(_) | Answer::Adopted | Answer::Forgotten) | None => {
            return Some(Err(Cannot::Unreachable));
        }
    };
    if desk.drain.has_begun() {
        return Some(Err(Cannot::Ending));
    }
    // Where one login is let in, this is that one.
    let second = match desk.settings.second_login {
        SecondLogin::Many => SecondLogin::Many,
        SecondLogin::Replace | SecondLogin::Reject => SecondLogin::Replace,
    };
    let entry = desk.extension.enlist(user, token)?;
    let Ok(mut session) = Session::open(desk, user.clone(), token.connection, second).await else {
        return Some(Err(Cannot::Unreachable));
    };
    for room in &rooms {
        desk.hall.rooms().join(room, token.connection, session.mailbox());
    }
    let index = desk.presence.index();
    let given = ask(desk, &place.node, &Question::Give(*token, me.clone(), index), ASKED_FOR).await;
    let handed = match given {
        Some(Answer::Given(handed)) if handed.user == *user && handed.token == *token => handed,
        other => {
            for room in &rooms {
                desk.hall.rooms().leave(room, token.connection, session.mailbox());
            }
            session.end().await;
            let cannot = if other.is_some() { Cannot::Unknown } else { Cannot::Unreachable };
            return Some(Err(cannot));
        }
    };
    let refused = handed.refused;
    session.mailbox().queue.remember(&handed.latest);
    let Ok(extended) = Extended::taken_over(*handed, desk.settings.extension.replay) else {
        session.end().await;
        return Some(Err(Cannot::Unknown));
    };
    let life = Life::new(desk, session, extended, entry);
    life.add_refused(refused);
    let (desk, node, forget) = (desk.clone(), place.node.clone(), Question::Forget(*token, me, index));
    // In vain only where that node can't be asked; then it forgets by itself.
    quorate_rt::spawn(async move { ask(&desk, &node, &forget, FORGOTTEN_WITHIN).await });
    Some(Ok(Had { life: Box::new(life), how: Resumed::Moved }))
}

/// Asks until there is an answer: whoever is asked again answers as before.
async fn ask(desk: &Desk, node: &NodeName, question: &Question, within: Duration) -> Option<Answer> {
    let (bytes, until) = (question.write(), Instant::now() + within);
    let mut patience = FIRST_TRY;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        match desk.backplane.ask(node.clone(), bytes.clone(), patience.min(left)).await {
            // One that can't be read is another version's, or says that nobody is there: so is the next.
            Ok(answer) => return Answer::read(&answer).ok(),
            // Nothing has begun, and its client need not wait for a node that may be dead.
            Err(BackplaneError::NotSent(..)) if matches!(question, Question::Prepare(..)) => return None,
            Err(error) => tracing::debug!(%node, %error, "no answer about a session"),
        }
        patience = (patience * 2).min(within);
        time::sleep(AGAIN_AFTER).await;
    }
}

/// From now on other gateways are answered.
pub fn answer_by(desk: &Arc<Desk>) {
    let weak = Arc::downgrade(desk);
    desk.hall.answer_by(Box::new(move |question: Vec<u8>| {
        let desk = weak.upgrade();
        async move {
            let answer = match (desk, Question::read(&question)) {
                (Some(desk), Ok(question)) => answer(&desk, question).await,
                (Some(_), Err(error)) => Answer::Not(error.to_string()),
                (None, _) => Answer::Not("the gateway has ended".into()),
            };
            answer.write()
        }
        .boxed()
    }));
}

async fn answer(desk: &Arc<Desk>, question: Question) -> Answer {
    match question {
        Question::Prepare(token, by) => pass_on(desk, &token, |answer| Ask::Prepare(by, answer)).await,
        Question::Give(token, by, index) => {
            pass_on(desk, &token, |answer| Ask::Give(by, index, answer)).await
        }
        Question::Forget(token, by, index) => {
            pass_on(desk, &token, |answer| Ask::Forget(by, index, answer)).await
        }
        Question::Adopt(user, token, from) => {
            // On a task of its own: what has begun is brought to its end though nobody waits for the answer.
            let (desk, (answer, answered)) = (desk.clone(), oneshot::channel());
            quorate_rt::spawn(async move {
                let _ = answer.send(adopt(&desk, &user, &token, &from).await);
            });
            answered.await.unwrap_or(Answer::Unknown)
        }
    }
}

async fn pass_on(desk: &Desk, token: &Token, ask: impl FnOnce(oneshot::Sender<Answer>) -> Ask) -> Answer {
    let Some(asks) = desk.extension.find(token) else { return Answer::Unknown };
    let (answer, answered) = oneshot::channel();
    if asks.send(ask(answer)).await.is_err() {
        return Answer::Unknown;
    }
    match time::timeout(ANSWERED_WITHIN, answered).await {
        Ok(Ok(answer)) => answer,
        // It went before it answered.
        Ok(Err(_)) => Answer::Unknown,
        Err(_) => Answer::Not("it does not answer".into()),
    }
}

/// Another node ends, and asks this one to take a session.
async fn adopt(desk: &Arc<Desk>, user: &UserId, token: &Token, from: &NodeName) -> Answer {
    let until = Instant::now() + MOVING_FOR;
    let _arrival = loop {
        // Asked again while the first time goes on, it waits for how that ends.
        match desk.extension.arrive(token.connection) {
            Some(arrival) => break arrival,
            None if Instant::now() < until => time::sleep(LOOK_EVERY).await,
            None => return Answer::Not("it moves already".into()),
        }
    };
    if desk.extension.is_here(token) {
        return Answer::Adopted;
    }
    // Not before: what has begun here goes on all the same.
    if desk.drain.has_begun() {
        return Answer::Not("this node ends, too".into());
    }
    let Some(place) = find_at(desk, user, token, from).await else { return Answer::Unknown };
    match fetch(desk, user, token, &place).await {
        Some(Ok(had)) => {
            quorate_rt::spawn(had.life.detached(None));
            Answer::Adopted
        }
        Some(Err(_)) | None => Answer::Unknown,
    }
}

/// The session's place on that node; presence may be behind with a session that came there just now.
async fn find_at(desk: &Desk, user: &UserId, token: &Token, node: &NodeName) -> Option<Place> {
    let until = Instant::now() + BEHIND_FOR;
    loop {
        let places = desk.presence.find(user);
        let found =
            places.into_iter().find(|place| place.connection == token.connection && place.node == *node);
        if found.is_some() || Instant::now() >= until {
            return found;
        }
        time::sleep(LOOK_EVERY).await;
    }
}

/// Tells sessions whose users' presence may have changed, until the gateway ends.
pub async fn tell_changes(desk: Weak<Desk>, mut stopped: Shutdown) {
    let mut after = 0;
    loop {
        let Some(touched) = desk.upgrade().map(|desk| desk.presence.touched(after)) else { return };
        let touched = tokio::select! {
            biased;
            () = stopped.wait() => return,
            touched = touched => touched,
        };
        let Some(desk) = desk.upgrade() else { return };
        after = touched.index;
        // Whoever looks now must see it.
        let _ = desk.presence.caught_up(after).await;
        match touched.users {
            Whom::These(users) => desk.extension.changed(&users),
            Whom::Any => desk.extension.changed_all(),
        }
    }
}
