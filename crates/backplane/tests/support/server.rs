//! A real Redis on a port of its own, ended with the test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub struct RedisServer {
    process: Child,
    port: u16,
    password: Option<&'static str>,
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl RedisServer {
    /// `None`: there is no Redis on this machine, and the test may be left out.
    pub fn start(password: Option<&'static str>) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            let is_required = std::env::var("QUORATE_GATEWAY").is_ok_and(|word| word == "require");
            assert!(!is_required, "redis-server is missing: install Debian's package redis-server");
            eprintln!("skipped: redis-server is missing (Debian's package redis-server)");
            return None;
        }
        // Somebody else may take the port before Redis does.
        (0..10).find_map(|_| Self::try_start(password)).or_else(|| panic!("Redis does not listen"))
    }

    fn try_start(password: Option<&'static str>) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        let process = command.stdout(Stdio::null()).spawn().expect("it starts");
        let mut server = Self { process, port, password };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
            if server.process.try_wait().expect("ours").is_some() {
                return None;
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
        }
        None
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client of its own, as the original gateways have one.
    pub fn client(&self) -> redis::Client {
        let password = self.password.map_or_else(String::new, |password| format!(":{password}@"));
        redis::Client::open(format!("redis://{password}{}/", self.address())).expect("a URL")
    }
}
