//! A service that runs on the test's machine, and may be stopped, started again, or say that it is not well.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

#[derive(Default)]
struct Switches {
    stopped: AtomicBool,
    unwell: AtomicBool,
    looks: AtomicUsize,
}

/// Dropping it stops it.
pub struct Service {
    pub address: SocketAddr,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// At a port that nobody has.
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the port is ours");
        let address = listener.local_addr().expect("bound");
        let switches = Arc::new(Switches::default());
        let seen = switches.clone();
        let thread = std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if seen.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // An error is the other side going away.
                let _ = serve(&seen, tcp);
            }
        });
        Self { address, switches, thread: Some(thread) }
    }

    /// From now on it says that it is not well.
    pub fn is_unwell(&self) {
        self.switches.unwell.store(true, Ordering::SeqCst);
    }

    /// How often it was looked at.
    pub fn looks(&self) -> usize {
        self.switches.looks.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.switches.stopped.store(true, Ordering::SeqCst);
        // It waits for somebody.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(switches: &Switches, tcp: TcpStream) -> std::io::Result<()> {
    let mut tcp = BufReader::new(tcp);
    let mut line = String::new();
    tcp.read_line(&mut line)?;
    if !line.starts_with("GET /health ") {
        return Ok(());
    }
    switches.looks.fetch_add(1, Ordering::SeqCst);
    let status = if switches.unwell.load(Ordering::SeqCst) { 503 } else { 200 };
    while tcp.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(tcp.get_mut(), "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}
