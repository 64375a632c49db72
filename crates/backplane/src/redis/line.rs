//! The connection to Redis by which commands go, dialled anew when it breaks.

use super::inlet::{Inlet, Level};
use crate::RESTS;
use quorate_rt::{
    net::{TcpStream, give_up_after},
    rest::Rest,
    time::{self, Instant},
};
use redis::{
    AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisError, Value,
    aio::{MultiplexedConnection, PubSub},
};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// A connection is there by then, or there is none.
const DIALLED_WITHIN: Duration = Duration::from_secs(2);
/// A command is answered by then, or the connection is given up.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// The system ends a connection whose other side is gone without a word after this long.
const SILENCE: Duration = Duration::from_secs(10);

/// Where Redis is.
#[derive(Clone)]
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// Its password, if it wants one.
    pub password: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a command brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no connection: nothing was sent.
    #[error("{0}")]
    NotSent(String),
    /// The connection broke, or was too slow.
    #[error("{0}")]
    Unknown(String),
}

impl Server {
    async fn dial(&self) -> io::Result<(RedisConnectionInfo, TcpStream)> {
        let stream = TcpStream::connect(self.address.as_str()).await?;
        stream.set_nodelay(true)?;
        give_up_after(&stream, SILENCE)?;
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let info = match &self.password {
            Some(password) => info.set_password(password),
            None => info,
        };
        Ok((info, stream))
    }

    /// A connection that hears what is published.
    pub(super) async fn listen(&self, channels: &[String]) -> Result<(PubSub, Arc<Level>), String> {
        let dialled = async {
            let (info, stream) = self.dial().await.map_err(|error| error.to_string())?;
            let (inlet, level) = Inlet::new(stream);
            let mut listener = PubSub::new(&info, inlet).await.map_err(|error| said(&error))?;
            listener.subscribe(channels).await.map_err(|error| said(&error))?;
            Ok((listener, level))
        };
        let late = |_| Err(format!("no connection within {DIALLED_WITHIN:?}"));
        time::timeout(DIALLED_WITHIN, dialled).await.unwrap_or_else(late)
    }

    async fn open(&self) -> Result<MultiplexedConnection, String> {
        let dialled = async {
            let (info, stream) = self.dial().await.map_err(|error| error.to_string())?;
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWERED_WITHIN));
            let opened = MultiplexedConnection::new_with_config(&info, stream, config);
            // The proof of the password is among what is sent first, and awaits the driver.
            let (connection, driver) = opened.await.map_err(|error| said(&error))?;
            quorate_rt::spawn(driver);
            Ok(connection)
        };
        let late = |_| Err(format!("no connection within {DIALLED_WITHIN:?}"));
        time::timeout(DIALLED_WITHIN, dialled).await.unwrap_or_else(late)
    }
}

/// An error's words. Those of a refused password hold none.
fn said(error: &RedisError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// See the module.
pub(crate) struct Line {
    server: Server,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connection: Option<MultiplexedConnection>,
    /// After a dial that failed nothing is dialled for a while, and fails at once.
    failed: Option<(Instant, String)>,
    rest: Rest,
}

impl Line {
    /// Not dialled yet.
    pub fn new(server: Server) -> Self {
        Self { server, open: Mutex::default() }
    }

    /// Where it leads.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Each command's own answer. After an error the next call dials anew.
    pub async fn run(&self, pipeline: &mut Pipeline) -> Result<Vec<Value>, Failure> {
        let mut connection = self.connection().await?;
        pipeline.ignore_errors();
        match pipeline.query_async::<Vec<Value>>(&mut connection).await {
            Ok(answers) if answers.len() == pipeline.len() => Ok(answers),
            Ok(answers) => {
                self.open.lock().await.connection = None;
                Err(Failure::Unknown(format!("{} answers to {} commands", answers.len(), pipeline.len())))
            }
            Err(error) => {
                self.open.lock().await.connection = None;
                Err(Failure::Unknown(said(&error)))
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &open.connection {
            return Ok(connection.clone());
        }
        if let Some((_, why)) = open.failed.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(Failure::NotSent(why.clone()));
        }
        match self.server.open().await {
            Ok(connection) => {
                open.failed = None;
                open.rest.over();
                Ok(open.connection.insert(connection).clone())
            }
            Err(why) => {
                let until = Instant::now() + open.rest.next(RESTS);
                open.failed = Some((until, why.clone()));
                Err(Failure::NotSent(why))
            }
        }
    }
}
