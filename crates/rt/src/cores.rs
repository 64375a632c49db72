//! One single-threaded runtime per core, for the data plane.
//!
//! A request then never crosses threads: its sockets, its upstream pool and its counters belong to the core that
//! accepted it. In simulation there is one core, and it is an ordinary task.

use std::{future::Future, io, sync::Arc};

/// The running cores.
pub struct Cores {
    running: Vec<tokio::sync::oneshot::Receiver<()>>,
}

impl Cores {
    /// Starts `count` cores (at least one; in simulation exactly one), each running `main(core)` to its end.
    pub fn start<M, F>(count: usize, name: &str, main: M) -> io::Result<Self>
    where
        M: Fn(usize) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let main = Arc::new(main);
        let mut running = Vec::new();
        for core in 0..actual(count) {
            let (done, wait) = tokio::sync::oneshot::channel();
            let main = main.clone();
            start_one(&format!("{name}-{core}"), move || async move {
                main(core).await;
                let _ = done.send(());
            })?;
            running.push(wait);
        }
        Ok(Self { running })
    }

    /// Waits until each core's main has ended (or panicked).
    pub async fn join(self) {
        for core in self.running {
            let _ = core.await;
        }
    }
}

/// How many cores [`Cores::start`] really starts.
pub fn actual(count: usize) -> usize {
    if cfg!(madsim) { 1 } else { count.max(1) }
}

#[cfg(not(madsim))]
fn start_one<F: Future<Output = ()>>(
    name: &str,
    main: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(main()))?;
    Ok(())
}

#[cfg(madsim)]
fn start_one<F: Future<Output = ()> + Send + 'static>(
    _name: &str,
    main: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    crate::spawn(main());
    Ok(())
}
