//! The command line of `quorate connect`.

use clap::Args;
use std::path::PathBuf;

/// `quorate connect`
#[derive(Args, Debug)]
#[command(after_help = "Each line is said:
  bob: hello          a message to bob
  hello               a message to whom --to names
  #lobby: hello       a message to those in a room that one has joined
  /to bob             whom lines without a name go to from now on
  /join lobby         hear a room
  /leave lobby        and no more
  /who alice bob      who of these is online, now and from now on
  /all hello          a message to everybody, where the gateway allows it
  /quit               go, as Ctrl-C

What others say goes to stdout, everything else to stderr. Ends when the input ends, once everything is answered.

A lost connection is dialled again, for ever, and from time to time it says that it still does; what was missed meanwhile
follows, and what was said and not acknowledged is said again. Ctrl-C, SIGTERM and /quit end that at once. Once the input
has ended, or more is said than can wait, it is dialled for 10 s more; then each line that was not sent is named, and it
ends with 3. So with a login that the cluster can't decide on now: tried for 10 s, or for ever at a terminal and with
--listen.

Exit codes: 0 done; 1 not let in, logged in elsewhere, what answers is no gateway (its address is ws://HOST:PORT/ws), or
something that was said was refused or not sent; 2 bad usage; 3 no gateway answers; 128 + N signal N, a second time.

Examples:
  quorate connect --user alice
  quorate connect --user alice --gateway ws://g1:8082/ws,ws://g2:8082/ws --to bob
  quorate connect --user alice --server http://n1:9090
  SSL_CERT_FILE=ca.pem quorate connect --user alice --gateway wss://g1:8082/ws
  echo 'bob: hello' | quorate connect --user alice
  quorate connect --user bob --listen --json < /dev/null")]
pub struct ConnectArgs {
    /// Who one is
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// Addresses of any gateways, separated by commas; the first that answers is taken, and the next when it is lost
    /// [default: those that --server tells, else ws://127.0.0.1:8082/ws]
    #[arg(long, value_name = "URL", env = "QUORATE_GATEWAYS")]
    pub gateway: Option<String>,
    /// Management addresses of any nodes, separated by commas: the cluster is asked where its gateways are, unless
    /// --gateway says it
    #[arg(long, value_name = "URL", env = "QUORATE_SERVER")]
    pub server: Option<String>,
    /// Whom lines without a name go to
    #[arg(long, value_name = "USER")]
    pub to: Option<String>,
    /// Speak as clients of the original do: no acknowledgements, nothing is had back after a lost connection
    #[arg(long)]
    pub legacy: bool,
    /// A file with the token that proves who one is; its first line is sent as bearer token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Go on listening when the input ends
    #[arg(long)]
    pub listen: bool,
    /// Print what others say, and who comes and goes, as one JSON object a line
    #[arg(long)]
    pub json: bool,
}
