//! `POST /v1/tunnels/{name}`: a machine that nobody can dial dials us, and is asked by that connection from then on.

use crate::{
    answer::{Answer, Decided, Fault, text},
    document::LevelRefusals,
    front::Caller,
    request,
    server::App,
    tunnel::{Asked, NotOpened, Opened},
};
use axum::{
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use quorate_api::{
    Code, Problem,
    tunnel::{EPOCH, PROTOCOL, VERSION, VERSION_HEADER},
};
use quorate_model::TunnelName;
use quorate_rt::{
    duplex::upgraded,
    time::{self, Duration},
};

/// Whoever has been told that the connection is its own says something soon.
const UPGRADED_WITHIN: Duration = Duration::from_secs(10);

/// Open a tunnel
///
/// An upgrade of HTTP/1.1: after the 101 the connection speaks HTTP/2 with the roles turned round, the node asks and the
/// client answers. `CONNECT` stands for a new connection to what the tunnel is for. docs/tunnels.md tells the protocol.
/// The later of two that open a tunnel of one name holds it.
#[utoipa::path(
    post,
    operation_id = "open_tunnel",
    path = "/v1/tunnels/{name}",
    tag = "tunnels",
    params(
        ("name" = String, Path, description = "What it is called: 1 to 128 of a to z, 0 to 9, `.`, `_`, `-`, beginning with a letter or digit", min_length = 1, max_length = 128),
        ("Connection" = String, Header, description = "`Upgrade`"),
        ("Upgrade" = String, Header, description = "`quorate-tunnel`"),
        ("Quorate-Tunnel-Version" = String, Header, description = "`1`"),
        ("Authorization" = Option<String>, Header, description = "`Bearer` and a token of the node's --tunnel-token-file"),
    ),
    responses(
        (status = 101, description = "The tunnel is open; Quorate-Tunnel-Epoch tells which one of its name"),
        (status = 401, description = "No token, or one that is not known: `token_unknown`", body = Problem),
        (status = 403, description = "Not for this tunnel, or not from there: `tunnel_forbidden`", body = Problem),
        (status = 426, description = "It asks for no upgrade: `upgrade_required`", body = Problem),
        LevelRefusals,
    ),
)]
pub(super) async fn open(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    mut request: Request,
) -> Answer {
    request::query(request.uri(), &[])?;
    let name = request::named("path.name", path, TunnelName::parse)?;
    check(request.headers())?;
    let token = bearer(request.headers());
    let from = request.extensions().get::<Caller>().map(|caller| caller.remote);
    let Some(door) = app.cluster.tunnels() else { return Err(NotOpened::Closed.into()) };
    let Opened { index, hold } = door.open(Asked { name, token, from }).await?;
    let agreed = hyper::upgrade::on(&mut request);
    quorate_rt::spawn(async move {
        match time::timeout(UPGRADED_WITHIN, upgraded(agreed)).await {
            Ok(Ok(stream)) => hold(stream),
            Ok(Err(_)) | Err(_) => drop(hold),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(EPOCH, text(&index.to_string()));
    response.extensions_mut().insert(Decided(index));
    Ok(response)
}

/// That it asks for what it gets.
fn check(headers: &HeaderMap) -> Result<(), Fault> {
    let is = |name: &str, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(wanted))
    };
    if !is("connection", "upgrade") || !is("upgrade", PROTOCOL) {
        let detail = format!(
            "a tunnel is an upgrade of HTTP/1.1: it needs `Connection: Upgrade` and `Upgrade: {PROTOCOL}`; `quorate sandboxes local` opens one"
        );
        return Err(Fault::new(Code::UpgradeRequired, detail));
    }
    if !is(VERSION_HEADER, VERSION) {
        return Err(Problem::of_field("Quorate-Tunnel-Version", "is not known here", VERSION).into());
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

impl From<NotOpened> for Fault {
    fn from(why: NotOpened) -> Self {
        let detail = why.to_string();
        match why {
            NotOpened::NoToken => Self::new(Code::TokenUnknown, detail),
            NotOpened::OtherNames { .. } | NotOpened::Closed => Self::new(Code::TunnelForbidden, detail),
            NotOpened::Full { .. } => Self::new(Code::Busy, detail),
            NotOpened::Leaving => Self::new(Code::ShuttingDown, detail),
            NotOpened::Refused(refusal) => Problem::from(&refusal).into(),
            NotOpened::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
