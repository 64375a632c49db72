//! Clients of a WebSocket gateway: how many logins a second it takes, and how long a message takes from one to another.
use crate::{ep_ctl, ep_new, ep_wait, now_ns, read_head, Hist};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// A text frame of a client. The mask is zero: it costs the server the same, and this program nothing.
fn frame(text: &str) -> Vec<u8> {
    let mut f = vec![0x81u8];
    match text.len() {
        n if n < 126 => f.push(0x80 | n as u8),
        n => {
            f.push(0x80 | 126);
            f.extend_from_slice(&(n as u16).to_be_bytes());
        }
    }
    f.extend_from_slice(&[0, 0, 0, 0]);
    f.extend_from_slice(text.as_bytes());
    f
}

/// Takes the whole frames off the front of `buf`.
fn frames(buf: &mut Vec<u8>, mut each: impl FnMut(u8, &[u8])) {
    let mut at = 0;
    while buf.len() >= at + 2 {
        let (head, len) = match buf[at + 1] {
            n if n < 126 => (2, n as usize),
            126 if buf.len() >= at + 4 => (4, u16::from_be_bytes([buf[at + 2], buf[at + 3]]) as usize),
            126 => break,
            _ => panic!("a frame of more than 64 KiB"),
        };
        if buf.len() < at + head + len {
            break;
        }
        each(buf[at] & 0xf, &buf[at + head..at + head + len]);
        at += head + len;
    }
    buf.drain(..at);
}

fn opened(addr: SocketAddr) -> TcpStream {
    let mut s = TcpStream::connect(addr).expect("connect");
    s.set_nodelay(true).unwrap();
    s.write_all(format!("GET /ws HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n").as_bytes()).unwrap();
    let (h, _) = read_head(&mut s);
    assert!(h.starts_with(b"HTTP/1.1 101"), "no 101: {}", String::from_utf8_lossy(&h));
    s
}

fn addrs(a: &HashMap<String, String>) -> Vec<SocketAddr> {
    a["addrs"].split(',').map(|x| x.parse().expect("an address")).collect()
}

fn register(user: &str) -> Vec<u8> {
    frame(&format!("{{\"type\":\"register\",\"userId\":\"{user}\"}}"))
}

fn until_registered(s: &mut TcpStream) {
    let (mut buf, mut b, mut done) = (Vec::new(), [0u8; 4096], false);
    while !done {
        let n = s.read(&mut b).expect("read");
        assert!(n > 0, "closed before it was registered");
        buf.extend_from_slice(&b[..n]);
        frames(&mut buf, |_, text| done |= text.windows(12).any(|w| w == b"\"registered\""));
    }
}

/// Closed loop: each connection registers as another user of its own as soon as the last time is answered.
pub fn registers(a: &HashMap<String, String>) {
    let g = |k: &str, d: &str| a.get(k).cloned().unwrap_or_else(|| d.to_string());
    let (addrs, conns) = (addrs(a), g("conns", "64").parse::<usize>().unwrap());
    let (dur, users) = (g("dur", "5").parse::<f64>().unwrap(), g("users", "100000").parse::<usize>().unwrap());
    let ep = ep_new();
    let mut all: Vec<_> = (0..conns)
        .map(|i| {
            let s = opened(addrs[i % addrs.len()]);
            s.set_nonblocking(true).unwrap();
            ep_ctl(ep, libc::EPOLL_CTL_ADD, s.as_raw_fd(), libc::EPOLLIN as u32, i as u64);
            (s, Vec::<u8>::new(), 0usize, Instant::now())
        })
        .collect();
    let each = (users / conns).max(1);
    let user = |i: usize, nth: usize| register(&format!("u{}", i + conns * (nth % each)));
    for (i, (s, _, _, at)) in all.iter_mut().enumerate() {
        *at = Instant::now();
        s.write_all(&user(i, 0)).unwrap();
    }
    let (mut h, mut done, mut errors) = (Hist::new(), 0u64, 0u64);
    let (mut evs, mut rb) = (vec![libc::epoll_event { events: 0, u64: 0 }; 1024], vec![0u8; 65536]);
    let t0 = Instant::now();
    while t0.elapsed().as_secs_f64() < dur {
        let n = ep_wait(ep, &mut evs, 100_000_000);
        for ev in &evs[..n] {
            let i = ev.u64 as usize;
            let (s, buf, nth, at) = &mut all[i];
            let n = match s.read(&mut rb) {
                Ok(0) => panic!("connection {i} was closed"),
                Ok(n) => n,
                Err(_) => continue,
            };
            buf.extend_from_slice(&rb[..n]);
            let mut answers = 0;
            frames(buf, |op, text| match op {
                1 if text.windows(12).any(|w| w == b"\"registered\"") => answers += 1,
                1 => errors += 1,
                _ => panic!("connection {i} got a frame of kind {op}: {}", String::from_utf8_lossy(text)),
            });
            if answers > 0 {
                done += answers;
                h.rec(at.elapsed());
                *nth += 1;
                *at = Instant::now();
                s.write_all(&user(i, *nth)).unwrap();
            }
        }
    }
    println!("{{\"per_s\":{:.0},\"done\":{done},\"errors\":{errors},\"lat_us\":{}}}", done as f64 / t0.elapsed().as_secs_f64(), h.js());
}

/// Open loop: one user speaks to another, whose gateway is the second address; latency from the scheduled time to the
/// receipt, as `pubsub` has it.
pub fn messages(a: &HashMap<String, String>) {
    let g = |k: &str, d: f64| a.get(k).map_or(d, |x| x.parse().unwrap());
    let (addrs, rate, dur) = (addrs(a), g("rate", 1000.0), g("dur", 5.0));
    let n = (rate * dur) as usize;
    let (mut to, mut from) = (opened(addrs[1]), opened(addrs[0]));
    for (s, user) in [(&mut to, "bk-to"), (&mut from, "bk-from")] {
        s.write_all(&register(user)).unwrap();
        until_registered(s);
    }
    // The sender's node may know a moment later where the other one is.
    std::thread::sleep(Duration::from_millis(500));
    let t0 = Instant::now();
    to.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let taken = std::thread::spawn(move || {
        let (mut h, mut buf, mut b, mut got) = (Hist::new(), Vec::new(), vec![0u8; 65536], 0usize);
        while got < n {
            let Ok(k) = to.read(&mut b) else { break };
            if k == 0 { break; }
            buf.extend_from_slice(&b[..k]);
            let now = now_ns(t0);
            frames(&mut buf, |_, text| {
                let text = std::str::from_utf8(text).expect("UTF-8");
                let at = text.split("\"content\":\"").nth(1).and_then(|x| x.get(..19)).and_then(|x| x.parse::<i64>().ok());
                h.rec(Duration::from_nanos((now - at.unwrap_or_else(|| panic!("no time in {text}"))).max(0) as u64));
                got += 1;
            });
        }
        (got, h)
    });
    let mut answers = from.try_clone().unwrap();
    std::thread::spawn(move || { let mut b = vec![0u8; 65536]; while let Ok(k) = answers.read(&mut b) { if k == 0 { break; } eprintln!("the sender got {}", String::from_utf8_lossy(&b[..k])); } });
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000usize, 0, 0, 0) };
    let start = now_ns(t0) + 50_000_000;
    for i in 0..n {
        let due = start + (i as f64 * 1e9 / rate) as i64;
        let w = due - now_ns(t0);
        if w > 0 { std::thread::sleep(Duration::from_nanos(w as u64)); }
        from.write_all(&frame(&format!("{{\"type\":\"message\",\"to\":\"bk-to\",\"content\":\"{due:019}\"}}"))).unwrap();
    }
    let (got, h) = taken.join().unwrap();
    println!("{{\"sent\":{n},\"received\":{got},\"lat_us\":{}}}", h.js());
}

/// Connections that have registered and say nothing more, until stdin ends. `READY` is printed when all are there.
pub fn idle_users(a: &HashMap<String, String>) {
    let (addrs, conns) = (addrs(a), a["conns"].parse::<usize>().unwrap());
    let mut all: Vec<_> = (0..conns).map(|i| opened(addrs[i % addrs.len()])).collect();
    for (i, s) in all.iter_mut().enumerate() { s.write_all(&register(&format!("idle-{i}"))).unwrap(); }
    all.iter_mut().for_each(until_registered);
    println!("READY {conns}");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0u8; 1]);
}
