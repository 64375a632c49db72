//! A real HTTP worker inside the test process. It answers with its name and what it was asked, and holds requests
//! for `/held` back until it is told to let them go.

use serde_json::json;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Nothing is held longer: a test that fails must not leave a thread behind that waits for ever.
const HELD_MAX: Duration = Duration::from_secs(60);

/// How many requests are held, and whether they may go.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn hold(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        let held = self.changed.wait_timeout_while(state, HELD_MAX, |(_, open)| !*open);
        held.unwrap_or_else(PoisonError::into_inner).0.0 -= 1;
    }
}

/// A worker. It serves until the test process ends.
pub struct Worker {
    pub id: String,
    pub address: SocketAddr,
    gate: Arc<Gate>,
}

impl Worker {
    /// Starts to serve.
    pub fn start(id: &str) -> Self {
        Self::start_at(id, IpAddr::from([127, 0, 0, 1]))
    }

    /// The same at another address of this machine.
    pub fn start_at(id: &str, ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let gate = Arc::new(Gate::default());
        let (name, held) = (id.to_owned(), gate.clone());
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let (name, held) = (name.clone(), held.clone());
                // An error is the other side going away.
                std::thread::spawn(move || serve(&name, &held, tcp));
            }
        });
        Self { id: id.into(), address, gate }
    }

    /// What it registers as its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests for `/held` have arrived and are not answered.
    pub fn held(&self) -> usize {
        self.gate.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Answers them.
    pub fn let_go(&self) {
        self.gate.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.gate.changed.notify_all();
    }
}

fn serve(name: &str, gate: &Gate, tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::new(tcp);
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if tcp.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            head.push(line);
        }
        let mut body = vec![0; length];
        tcp.read_exact(&mut body)?;
        if head.first().is_some_and(|line| line.contains(" /held ")) {
            gate.hold();
        }
        let said = json!({"worker": name, "head": head, "body": String::from_utf8_lossy(&body)}).to_string();
        let length = said.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        write!(tcp.get_mut(), "{head}content-length: {length}\r\n\r\n{said}")?;
    }
}
