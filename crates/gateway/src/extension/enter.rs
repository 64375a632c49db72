//! How a client comes in, or comes back.

use super::{
    asked::{self, Cannot},
    extended::Extended,
    life::{self, Finish, Life, closing},
    refusal::Refusal,
    said::{self, Said, Standing},
    token::{Secret, Token},
    told::{self, NotResumed, Told},
};
use crate::{
    desk::Desk,
    dialect::Caller,
    session::Session,
    wire::{End, Wire},
};
use quorate_model::UserId;
use quorate_rt::rng;
use std::sync::Arc;

/// Another socket has the session.
const RESUMED_ELSEWHERE: u16 = 4002;

/// Speaks with one client until the end of its socket.
pub async fn converse(mut wire: Wire, desk: Arc<Desk>, caller: Caller) -> End {
    let turn = desk.drain.clone().turn();
    let entered = tokio::select! {
        biased;
        () = turn => Err(End::Draining),
        entered = enter(&mut wire, &desk, &caller) => entered,
    };
    let mut life = match entered {
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
    loop {
        let heard = wire.hear().await?;
        let text = std::str::from_utf8(heard.bytes()).map_err(|_| (None, Refusal::Format));
        let said = match text.and_then(|text| said::read(text, Standing::Stranger)) {
            Ok(said) => said,
            Err((id, refusal)) => {
                wire.say(told::error(id.as_ref(), &refusal)).await?;
                continue;
            }
        };
        let entered = match said {
            Said::Ping => {
                wire.pinged();
                wire.say(Told::Pong.text()).await?;
                continue;
            }
            Said::Bye => return Err(End::Refused(closing(1000, "bye"))),
            Said::Register { user } => register(wire, desk, caller, user).await?,
            Said::Resume { user, token, seq } => resume(wire, desk, caller, (user, token, seq)).await?,
            // A stranger's are refused when they are read.
            _ => None,
        };
        if let Some(life) = entered {
            wire.pinged();
            return Ok(life);
        }
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
    let opened = Session::open(desk, user.clone(), caller.connection, second).await;
    let session = match opened {
        Ok(session) => session,
        Err(error) => {
            tracing::debug!(connection = %caller.connection, %error, "not registered");
            wire.say(refused).await?;
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

/// The session that the client had. Where it can't be had, the client is told, and gets a new one.
async fn resume(
    wire: &mut Wire,
    desk: &Arc<Desk>,
    caller: &Caller,
    (user, token, seq): (UserId, Token, u64),
) -> Result<Option<Life>, End> {
    if !may_be(caller, &user) {
        wire.say(told::error(None, &Refusal::Register)).await?;
        return Ok(None);
    }
    let why = match asked::have(desk, &user, &token).await {
        Ok(mut life) => match life.resume(seq) {
            Ok(frames) => {
                let sent = life::write(wire, frames).await;
                if let Err(end) = sent {
                    quorate_rt::spawn(life.detached(None));
                    return Err(end);
                }
                let looked = life.look_at_all();
                // What is numbered is kept, whether or not it is written.
                let _ = life::write(wire, looked).await;
                return Ok(Some(*life));
            }
            Err(_) => {
                life.end().await;
                NotResumed::Elsewhere
            }
        },
        Err(Cannot::Unknown) => NotResumed::Unknown,
        Err(Cannot::Unreachable) => NotResumed::Unreachable,
    };
    wire.say(told::not_resumed(why)).await?;
    register(wire, desk, caller, user).await
}
