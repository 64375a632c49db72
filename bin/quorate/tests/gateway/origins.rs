//! Programs of others as processes, which end with the thread that started them.

use crate::support::{PATIENCE, eventually, free_address, within};
use std::{
    fs::File,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// One that runs, with all that it has started. Dropping it kills all of them.
pub struct Process {
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the log of {}:\n{}", self.name, self.log());
        }
    }
}

impl Process {
    /// Starts it. It gets `signal` should this thread go before it.
    pub fn start(name: &str, folder: &Path, signal: &str, program: &Path, args: &[&str]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal]).arg(program).args(args);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::piped());
        // A group of its own, so that its children die with it.
        command.process_group(0).stdout(file.try_clone().expect("shared")).stderr(file);
        Self { name: name.into(), child: command.spawn().expect("it starts"), log }
    }

    /// Lets it go on that waits for its stdin to end.
    pub fn go_on(&mut self) {
        self.child.stdin = None;
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`, of it and of all that it has started.
    pub fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        // Already gone, where it ended by itself.
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }

    /// Sends a signal, such as `HUP`, to it alone.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Waits until it has ended by itself, with code 0; what it has said.
    pub fn ended_well(&mut self) -> String {
        let limit = PATIENCE * 4;
        let status = within(limit, || self.child.try_wait().expect("it is ours"));
        let status = status.unwrap_or_else(|| panic!("{} does not end within {limit:?}", self.name));
        assert!(status.success(), "{}: {status}", self.name);
        self.log()
    }
}

/// nginx with one worker process.
pub struct Nginx {
    pub address: SocketAddr,
    /// `None`: it was stopped.
    process: Option<Process>,
    name: String,
    folder: PathBuf,
}

impl Nginx {
    /// Started, and it answers. `server` is what stands in its `server` besides; `listen`: how it listens besides where.
    pub fn start(name: &str, folder: &Path, listen: &str, server: &str) -> Self {
        let (address, folder) = (free_address(), folder.join(name));
        std::fs::create_dir_all(folder.join("files")).expect("a folder");
        let at = folder.display();
        let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
            .concat();
        // Root stays root: what a test has written is only for its owner to read.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let text = format!(
            "{user} daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;
            events {{ worker_connections 4096; }}
            http {{
                {scratch} access_log off; default_type text/plain; keepalive_timeout 60s;
                server {{ listen {address} {listen} backlog=4096; root {at}/files; add_header x-origin {name} always; {server} }}
            }}"
        );
        std::fs::write(folder.join("nginx.conf"), text).expect("written");
        let mut nginx = Self { address, process: None, name: name.into(), folder };
        nginx.start_again();
        nginx
    }

    /// Where its files are.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// After it was killed or stopped.
    pub fn start_again(&mut self) {
        let conf = self.folder.join("nginx.conf");
        let prefix = self.folder.to_str().expect("UTF-8");
        let args = ["-p", prefix, "-e", "error.log", "-c", conf.to_str().expect("UTF-8")];
        // Its master ends its workers; killed, it could not.
        let process = Process::start(&self.name, &self.folder, "TERM", Path::new("nginx"), &args);
        let process = self.process.insert(process);
        eventually("nginx listens", || {
            assert!(process.is_running(), "nginx has ended: {}", process.log());
            TcpStream::connect(self.address).ok()
        });
    }

    /// `kill -9` of its master and its workers.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// New workers take over; the old ones finish what they have.
    pub fn reload(&self) {
        self.process.as_ref().expect("it runs").signal("HUP");
    }

    /// It finishes what it has, and ends.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal("QUIT");
        process.ended_well();
    }
}

/// A program in Python of this folder, with the packages.
pub fn python(name: &str, folder: &Path, interpreter: &Path, program: &str, args: &[&str]) -> Process {
    let file = folder.join(format!("{name}.py"));
    std::fs::write(&file, program).expect("written");
    let args = [&["-u", file.to_str().expect("UTF-8")], args].concat();
    Process::start(name, folder, "KILL", interpreter, &args)
}
