//! What Redis takes to tell somebody else.
use crate::{now_ns, Hist};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Redis pub/sub latency: one publisher, `subs` subscribers on the same channel; latency from the (scheduled) publish to the receipt.
pub fn pubsub(a: &HashMap<String, String>) {
    let addr: SocketAddr = a["addr"].parse().unwrap();
    let rate: f64 = a.get("rate").map(|x| x.parse().unwrap()).unwrap_or(1000.0);
    let dur: f64 = a.get("dur").map(|x| x.parse().unwrap()).unwrap_or(5.0);
    let subs: usize = a.get("subs").map(|x| x.parse().unwrap()).unwrap_or(1);
    let t0 = Instant::now();
    let n = (rate * dur) as usize;
    let hs: Vec<_> = (0..subs).map(|_| {
        let mut s = TcpStream::connect(addr).unwrap();
        s.set_nodelay(true).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        s.write_all(b"SUBSCRIBE bkch\r\n").unwrap();
        let mut b = vec![0u8; 65536];
        let _ = s.read(&mut b).unwrap();
        std::thread::spawn(move || {
            let mut h = Hist::new();
            let mut buf: Vec<u8> = Vec::new();
            let mut got = 0;
            while got < n {
                let Ok(k) = s.read(&mut b) else { break };
                if k == 0 { break; }
                buf.extend_from_slice(&b[..k]);
                let now = now_ns(t0);
                let mut p = 0;
                // payload: T<19 digits>E
                while let Some(q) = buf[p..].iter().position(|x| *x == b'T') {
                    let st = p + q;
                    if buf.len() < st + 21 { break; }
                    if buf[st + 20] == b'E' {
                        if let Ok(v) = std::str::from_utf8(&buf[st + 1..st + 20]).unwrap_or("x").parse::<i64>() { h.rec(Duration::from_nanos((now - v).max(0) as u64)); got += 1; }
                        p = st + 21;
                    } else { p = st + 1; }
                }
                buf.drain(..p);
            }
            (got, h)
        })
    }).collect();
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000usize, 0, 0, 0) };
    let mut s = TcpStream::connect(addr).unwrap();
    s.set_nodelay(true).unwrap();
    let mut rs = s.try_clone().unwrap();
    std::thread::spawn(move || { let mut b = vec![0u8; 65536]; while let Ok(k) = rs.read(&mut b) { if k == 0 { break; } } });
    let start = now_ns(t0) + 50_000_000;
    for i in 0..n {
        let due = start + (i as f64 * 1e9 / rate) as i64;
        let w = due - now_ns(t0);
        if w > 0 { std::thread::sleep(Duration::from_nanos(w as u64)); }
        s.write_all(format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nbkch\r\n$21\r\nT{:019}E\r\n", due).as_bytes()).unwrap();
    }
    let mut all = Hist::new();
    let mut got = 0;
    for h in hs { let (g, x) = h.join().unwrap(); got += g; all.0.add(&x.0).unwrap(); }
    println!("{{\"sent\":{},\"received\":{},\"lat_us\":{}}}", n, got, all.js());
}
