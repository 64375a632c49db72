//! Clients of the gateway in a process of their own: Python's websockets.

use crate::support::{eventually, node::Node};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

const PROGRAM: &str = include_str!("driver.py");

/// All clients of a test. Dropping it ends them.
pub struct Driver {
    child: Child,
    orders: ChildStdin,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Already gone, where it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            for line in self.seen().iter().rev().take(40).rev() {
                eprintln!("{line}");
            }
        }
    }
}

impl Driver {
    pub fn start(interpreter: &Path) -> Self {
        Self::trusting(interpreter, Path::new(""))
    }

    /// The same; those that speak TLS trust whom this file vouches for.
    pub fn trusting(interpreter: &Path, authorities: &Path) -> Self {
        let mut command = Command::new(interpreter);
        command.args(["-c", PROGRAM]).arg(authorities).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (orders, said) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let seen = Arc::new(Mutex::default());
        let sink: Arc<Mutex<Vec<Value>>> = seen.clone();
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("JSON");
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, orders, seen }
    }

    /// Connects, and waits until it is open; its connection id.
    pub fn open(&mut self, name: &str, node: &Node) -> String {
        self.open_at(name, &url(node))
    }

    /// The same by a URL.
    pub fn open_at(&mut self, name: &str, url: &str) -> String {
        self.order(&json!({"do": "open", "name": name, "url": url, "protocols": []}));
        let open = self.waits_for(name, "is open", |event| event["event"] == "open");
        open["connection"].as_str().expect("text").to_owned()
    }

    /// The same, and registers as `user`.
    pub fn register(&mut self, name: &str, user: &str, node: &Node) {
        self.open(name, node);
        self.become_user(name, user);
    }

    /// Registers one that is open.
    pub fn become_user(&mut self, name: &str, user: &str) {
        self.send(name, &json!({"type": "register", "userId": user}));
        self.hears(name, &json!({"type": "registered", "content": "Successfully registered"}));
    }

    pub fn send(&mut self, name: &str, message: &Value) {
        self.send_all(name, [message.to_string()]);
    }

    pub fn send_all(&mut self, name: &str, texts: impl IntoIterator<Item = String>) {
        let texts: Vec<_> = texts.into_iter().collect();
        self.order(&json!({"do": "send", "name": name, "texts": texts}));
    }

    pub fn say(&mut self, name: &str, to: &str, content: &str) {
        self.send(name, &message(to, content));
    }

    /// Its connection goes without a word.
    pub fn abort(&mut self, name: &str) {
        self.order(&json!({"do": "abort", "name": name}));
    }

    /// Waits until it has got exactly this.
    pub fn hears(&self, name: &str, message: &Value) {
        self.waits_for(name, &format!("hears {message}"), |event| text(event).as_ref() == Some(message));
    }

    /// Waits until its connection is closed; by which code.
    pub fn closed(&self, name: &str) -> u64 {
        self.closing(name)["code"].as_u64().expect("a number")
    }

    /// The same: all that is known of it.
    pub fn closing(&self, name: &str) -> Value {
        self.waits_for(name, "is closed", |event| event["event"] == "closed")
    }

    /// All texts that it has got, in order.
    pub fn heard(&self, name: &str) -> Vec<Value> {
        self.seen().iter().filter(|event| event["name"] == name).filter_map(text).collect()
    }

    fn waits_for(&self, name: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{name} {what}"), || {
            self.seen().iter().find(|event| event["name"] == name && is_it(event)).cloned()
        })
    }

    fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("it takes orders");
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(event: &Value) -> Option<Value> {
    (event["event"] == "text").then(|| serde_json::from_str(event["text"].as_str()?).ok()).flatten()
}

pub fn url(node: &Node) -> String {
    format!("ws://{}/ws", node.gateway)
}

/// As clients of the original send it.
pub fn message(to: &str, content: &str) -> Value {
    json!({"type": "message", "to": to, "content": content})
}

/// As they get it.
pub fn from(user: &str, content: &str) -> Value {
    json!({"type": "message", "from": user, "content": content})
}

/// The only word about a message that did not arrive.
pub fn unsent() -> Value {
    json!({"type": "error", "error": "Failed to send message"})
}
