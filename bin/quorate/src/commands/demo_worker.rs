//! `quorate demo-worker`: answers with what it was asked, so that `quorate dev` and the compose file show who got
//! which request.

use super::block_on;
use crate::{args::DemoWorkerArgs, failure::Failure, output::say, parent, signals::Signals};
use hyper::{Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use quorate_client::{WorkerClient, WorkerState};
use quorate_rt::{
    http::{self, BoxBody, ServeLimits},
    shutdown,
};
use serde_json::json;
use std::convert::Infallible;
use tokio::sync::watch;

/// Larger bodies are answered 413.
const BODY_BYTES_MAX: usize = 1 << 20;

pub fn run(args: &DemoWorkerArgs) -> Result<(), Failure> {
    let routers = quorate_client::routers(&args.routers)?;
    block_on(async {
        let mut signals = Signals::listen()?;
        let listener = quorate_rt::net::bind(args.listen)
            .await
            .map_err(|e| Failure::failed(format!("cannot listen on {}", args.listen), e))?;
        let (trigger, stop) = shutdown::channel();
        let id = args.id.clone();
        let service = service_fn(move |request| echo(id.clone(), request));
        let server = tokio::spawn(http::serve(listener, service, ServeLimits::default(), stop));
        let address = args.address.clone().unwrap_or_else(|| format!("http://{}", args.listen));
        let worker = WorkerClient::builder(routers, &args.id, address)
            .partitions(args.partitions.iter().copied())
            .start()
            .await?;
        let told = tokio::spawn(tell(args.id.clone(), worker.states()));
        worker
            .run_until(async {
                tokio::select! {
                    biased;
                    _ = signals.next() => {}
                    () = parent::gone_if_it_watches() => {}
                }
            })
            .await;
        told.abort();
        trigger.fire();
        // Its own drain limit ends it.
        let _ = server.await;
        Ok(())
    })
}

async fn tell(id: String, mut states: watch::Receiver<WorkerState>) {
    loop {
        say(&format!("{id}: {:?}", *states.borrow_and_update()));
        if states.changed().await.is_err() {
            return;
        }
    }
}

async fn echo(id: String, request: Request<Incoming>) -> Result<Response<BoxBody>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = http::read_body(body, BODY_BYTES_MAX).await else {
        let mut refused = Response::new(http::full("the body is larger than 1 MiB or was cut off\n"));
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(refused);
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let json = json!({
        "worker": id,
        "method": head.method.as_str(),
        "path": path,
        "body": String::from_utf8_lossy(&body),
    });
    let mut answer = Response::new(http::full(format!("{json}\n")));
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(answer)
}
