//! How a client is let in: the first words on a new socket.

use super::{
    Heard,
    dial::{NotDialled, Socket},
    memory::Memory,
    plain,
};
use crate::{Error, Problem, error::Silence, tasks};
use futures_util::{SinkExt as _, StreamExt as _};
use std::{collections::VecDeque, time::Duration};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

/// A gateway lets one in by then, or does not.
const LET_IN_WITHIN: Duration = Duration::from_secs(15);
/// The user has logged in elsewhere.
pub(super) const REPLACED: u16 = 4001;

/// Says who it is, and waits until it is let in.
pub(super) async fn enter(
    socket: Socket,
    memory: &mut Memory,
    gateway: &str,
) -> Result<(Socket, Vec<Heard>), NotDialled> {
    let silent = |why: String| NotDialled::Silent(Silence { node: gateway.to_owned(), why });
    let entered = tasks::within(LET_IN_WITHIN, let_in(socket, memory, gateway)).await;
    entered.unwrap_or_else(|| Err(silent("it says neither yes nor no".into())))
}

async fn let_in(
    mut socket: Socket,
    memory: &mut Memory,
    gateway: &str,
) -> Result<(Socket, Vec<Heard>), NotDialled> {
    let silent = |why: String| NotDialled::Silent(Silence { node: gateway.to_owned(), why });
    let broken = |e: tungstenite::Error| silent(plain::broken(&e));
    socket.send(Message::text(memory.hello())).await.map_err(broken)?;
    let (mut told, mut answers) = (Vec::new(), VecDeque::new());
    while !memory.is_in() {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(Some(close)))) => return Err(later(&close)),
            Some(Ok(Message::Close(None))) | None => {
                return Err(silent("it has closed the connection".into()));
            }
            Some(Ok(_)) => continue,
            Some(Err(e)) => return Err(broken(e)),
        };
        let meaning = memory.hear(&text, gateway);
        if let Some(why) = meaning.not_let_in {
            return Err(NotDialled::Later(
                Problem { detail: format!("{gateway}: {}", why.detail), ..why },
                None,
            ));
        }
        told.extend(meaning.heard);
        answers.extend(meaning.answers);
    }
    for answer in answers {
        socket.send(Message::text(answer)).await.map_err(broken)?;
    }
    Ok((socket, told))
}

fn later(close: &CloseFrame) -> NotDialled {
    let detail = format!("closed: {}", close.reason);
    let problem =
        Problem { status: u16::from(close.code), code: "closed".into(), detail, errors: Vec::new() };
    if problem.status == REPLACED {
        return NotDialled::Never(Error::Refused(problem));
    }
    NotDialled::Later(problem, hinted(&close.reason))
}

/// `reconnect in 1500 ms`
pub(super) fn hinted(reason: &str) -> Option<Duration> {
    let ms = reason.strip_prefix("reconnect in ")?.strip_suffix(" ms")?;
    ms.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_ends_says_when_to_come_again() {
        assert_eq!(hinted("reconnect in 1500 ms"), Some(Duration::from_millis(1_500)));
        for other in ["", "reconnect", "reconnect in  ms", "reconnect in -1 ms"] {
            assert_eq!(hinted(other), None, "{other}");
        }
    }
}
