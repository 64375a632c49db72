//! One signal that ends many tasks.

use tokio::sync::watch;

/// Ends the tasks that hold a [`Shutdown`]; so does dropping it.
pub struct Trigger(watch::Sender<bool>);

/// Held by each task that must end.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A new signal.
pub fn channel() -> (Trigger, Shutdown) {
    let (tx, rx) = watch::channel(false);
    (Trigger(tx), Shutdown(rx))
}

impl Trigger {
    /// Gives the signal. Again does nothing.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }

    /// Another receiver.
    pub fn subscribe(&self) -> Shutdown {
        Shutdown(self.0.subscribe())
    }
}

impl Shutdown {
    /// Whether the signal was given.
    pub fn is_fired(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for the signal.
    pub async fn wait(&mut self) {
        // An error means that the trigger is gone, which is the same signal.
        let _ = self.0.wait_for(|fired| *fired).await;
    }
}
