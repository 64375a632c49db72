//! How a client comes in, or comes back.
//!
//! The node may end meanwhile. Whatever can be given up is, at this socket's turn. A session that has begun to move here
//! can't be: it is in no other place. It is had first, and leaves as every other one does.

use super::{
    asked::{self, Cannot, Had},
    extended::Extended,
    life::{self, Finish, Life, closing},
    refusal::Refusal,
    said::{self, Said, Standing},
    token::{Secret, Token},
    told::{self, NotResumed, Told},
};
use crate::{
    cluster::OpenError,
    desk::Desk,
    dialect::Caller,
    session::Session,
    wire::{End, Wire},
};
use quorate_model::UserId;
use quorate_rt::rng;
use quorate_telemetry::gateway::Resumed;
use std::sync::Arc;

/// Another socket has the session.
const RESUMED_ELSEWHERE: u16 = 4002;

/// Speaks with one client until the end of its socket.
pub async fn converse(mut wire: Wire, desk: Arc<Desk>, caller: Caller) -> End {
    let mut life = match enter(&mut wire, &desk, &caller).await {
        Ok(life) => life,
        Err(end) => {
            wire.finish(&end).await;
            return end;
        }
    };
    life.forget_overflow();
    match life.attached(&mut wire).await {
        Finish::Wire(end) => {
            quorate_rt::spawn(life.detached(None));
            wire.finish(&end).await;
            end
        }
        Finish::Asked(ask) => {
            quorate_rt::spawn(life.detached(Some(ask)));
            let end = End::Refused(closing(RESUMED_ELSEWHERE, "resumed elsewhere"));
            wire.finish(&end).await;
            end
        }
        Finish::Draining => {
            life.flush(&mut wire).await;
            let end = End::Draining;
            // The client may be back elsewhere before the session has moved: its holder is asked for it there.
            tokio::join!(life.move_away(), wire.finish(&end));
            end
        }
        Finish::Over(end) => {
            if end == End::Replaced {
                // The close says it, too.
                let _ = wire.say(Told::Replaced.text()).await;
            }
            // First: whoever hears that the session is over finds nobody in presence.
            life.end().await;
            wire.finish(&end).await;
            end
        }
    }
}

async fn enter(wire: &mut Wire, desk: &Arc<Desk>, caller: &Caller) -> Result<Life, End> {
    let turn = desk.drain.clone().turn();
    tokio::pin!(turn);
    loop {
        let heard = until(&mut turn, wire.hear()).await?;
        let text = std::str::from_utf8(heard.bytes()).map_err(|_| (None, Refusal::Format));
        let said = match text.and_then(|text| said::read(text, Standing::Stranger)) {
            Ok(said) => said,
            Err((id, refusal)) => {
                until(&mut turn, wire.say(told::error(id.as_ref(), &refusal))).await?;
                continue;
            }
        };
        let entered = match said {
            Said::Ping => {
                wire.pinged();
                until(&mut turn, wire.say(Told::Pong.text())).await?;
                continue;
            }
            Said::Bye => return Err(End::Refused(closing(1000, "bye"))),
            Said::Register { user } => until(&mut turn, register(wire, desk, caller, user)).await?,
            Said::Resume { user, token, seq } => {
                let back = Back { user, token, seq };
                // Apart: a connection at rest holds what its task may ever need.
                match Box::pin(come_back(wire, desk, caller, &back, &mut turn)).await? {
                    CameBack::In(life) => Some(*life),
                    CameBack::Refused => None,
                    CameBack::Anew => until(&mut turn, register(wire, desk, caller, back.user)).await?,
                }
            }
            // A stranger's are refused when they are read.
            _ => None,
        };
        if let Some(life) = entered {
            wire.pinged();
            return Ok(life);
        }
    }
}

/// Gives something up when the socket's turn to leave comes.
async fn until<T>(
    turn: &mut (impl Future<Output = ()> + Unpin),
    work: impl Future<Output = Result<T, End>>,
) -> Result<T, End> {
    tokio::select! {
        biased;
        () = turn => Err(End::Draining),
        done = work => done,
    }
}

fn may_be(caller: &Caller, user: &UserId) -> bool {
    caller.proved.as_ref().is_none_or(|proved| proved == user)
}

/// A session from its beginning. `None`: it is not let in, and told so.
async fn register(
    wire: &mut Wire,
    desk: &Arc<Desk>,
    caller: &Caller,
    user: UserId,
) -> Result<Option<Life>, End> {
    let refused = told::error(None, &Refusal::Register);
    if !may_be(caller, &user) {
        wire.say(refused).await?;
        return Ok(None);
    }
    let random = u128::from(rng::random_u64()) << 64 | u128::from(rng::random_u64());
    let token = Token { connection: caller.connection, secret: Secret::from_random(random) };
    let second = desk.settings.second_login;
    wire.charge_registration();
    let opened = Session::open(desk, user.clone(), caller.connection, second).await;
    let session = match opened {
        Ok(session) => session,
        Err(error) => {
            tracing::debug!(connection = %caller.connection, %error, "not registered");
            wire.say(told::error(None, &not_registered(&error))).await?;
            return Ok(None);
        }
    };
    let Some(entry) = desk.extension.enlist(&user, &token) else {
        // Nobody else has this connection's id.
        wire.say(refused).await?;
        return Ok(None);
    };
    let epoch = session.epoch().map_or(0, |epoch| epoch.0);
    let extended = Extended::new(user, token, desk.settings.extension.replay);
    let life = Life::new(desk, session, extended, entry);
    let window = desk.settings.extension.window;
    match wire.say(told::registered(caller.connection, epoch, token.reveal(), window)).await {
        Ok(()) => Ok(Some(life)),
        // The client does not know its token: nobody comes back for it.
        Err(end) => {
            life.end().await;
            Err(end)
        }
    }
}

/// What the cluster has decided is told apart from what it could not: only the latter is worth another try.
fn not_registered(error: &OpenError) -> Refusal {
    match error {
        OpenError::Taken(_) | OpenError::Full(_) => Refusal::Register,
        OpenError::Unavailable(_) => Refusal::Unavailable,
    }
}

/// What a client shows to have its session back.
struct Back {
    user: UserId,
    token: Token,
    seq: u64,
}

enum CameBack {
    In(Box<Life>),
    /// It may not be that user, and was told so.
    Refused,
    /// The session can't be had, and it was told so: it gets a new one.
    Anew,
}

/// The session that the client had.
async fn come_back(
    wire: &mut Wire,
    desk: &Arc<Desk>,
    caller: &Caller,
    back: &Back,
    turn: &mut (impl Future<Output = ()> + Unpin),
) -> Result<CameBack, End> {
    if !may_be(caller, &back.user) {
        desk.counters.count_resumed(Resumed::Refused);
        until(turn, wire.say(told::error(None, &Refusal::Register))).await?;
        return Ok(CameBack::Refused);
    }
    wire.charge_registration();
    let (outcome, why) = match asked::have(desk, &back.user, &back.token).await {
        Ok(Had { mut life, how }) => match life.resume(back.seq) {
            Ok(frames) => {
                desk.counters.count_resumed(how);
                return go_on(wire, life, frames, turn).await.map(CameBack::In);
            }
            Err(_) => {
                life.end().await;
                (Resumed::Seq, NotResumed::Elsewhere)
            }
        },
        Err(Cannot::Unknown) => (Resumed::Unknown, NotResumed::Unknown),
        Err(Cannot::Unreachable) => (Resumed::Unreachable, NotResumed::Unreachable),
        // It is asked for by another node.
        Err(Cannot::Ending) => {
            desk.counters.count_resumed(Resumed::Drain);
            return Err(End::Draining);
        }
    };
    desk.counters.count_resumed(outcome);
    until(turn, wire.say(told::not_resumed(why))).await?;
    Ok(CameBack::Anew)
}

/// What the client missed. Where it can't be written the session stays, or leaves with this node.
async fn go_on(
    wire: &mut Wire,
    mut life: Box<Life>,
    frames: Vec<Arc<str>>,
    turn: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Box<Life>, End> {
    if let Err(end) = until(turn, life::write(wire, frames)).await {
        quorate_rt::spawn(life.detached(None));
        return Err(end);
    }
    let looked = life.look_at_all();
    if let Err(end) = until(turn, life::write(wire, looked)).await {
        quorate_rt::spawn(life.detached(None));
        return Err(end);
    }
    Ok(life)
}
