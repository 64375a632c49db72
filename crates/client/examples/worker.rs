//! A worker that serves three partitions until Ctrl-C. The README shows this file.

use quorate_client::{Error, WorkerClient, routers};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let nodes = routers("http://127.0.0.1:9091,http://127.0.0.1:9092,http://127.0.0.1:9093")?;
    // Serve HTTP at this address before registering it: requests come at once.
    let worker = WorkerClient::builder(nodes, "worker-1", "http://127.0.0.1:8104")
        .partitions([0, 1, 2])
        .start()
        .await?;
    worker.run_until(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
    Ok(())
}
