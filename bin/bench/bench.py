#!/usr/bin/env python3
"""Proxy benchmark driver. Only the standard library. See README.md."""
import argparse, hashlib, json, os, re, signal, socket, statistics, subprocess, sys, tempfile, time

KIT = os.path.dirname(os.path.abspath(__file__))
TCK = os.sysconf("SC_CLK_TCK")
BK = os.environ["BK_BIN"]
ap = argparse.ArgumentParser()
ap.add_argument("contestants", nargs="*")
ap.add_argument("--tests", default="sat64,sat256,k1,k64,rate,two,idle")
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--dur", type=float, default=3)
ap.add_argument("--rate", type=float, default=8000, help="common fixed rate of test 'rate'")
ap.add_argument("--work", default=None)
ap.add_argument("--out", default=None, help="json lines of every sample")
ap.add_argument("--max-foreign", type=float, default=0.06, help="share of the two cores used by others above which a sample is repeated")
ap.add_argument("--retries", type=int, default=2)
ap.add_argument("--pxcore", default="0")
ap.add_argument("--ldcore", default="1")
A = ap.parse_args()
WORK = A.work or tempfile.mkdtemp(prefix="pxbench.")
os.makedirs(WORK, exist_ok=True)
OUT = open(A.out or os.path.join(WORK, "samples.jsonl"), "a")
NB = 4
procs = []

def free_ports(n):
    ss = [socket.socket() for _ in range(n)]
    for s in ss: s.bind(("127.0.0.1", 0))
    ps = [s.getsockname()[1] for s in ss]
    for s in ss: s.close()
    return ps

def nofile():
    import resource
    for n in (200000, 65536, 20000):
        try: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)); return
        except Exception: pass

def spawn(cmd, env=None, core=None, log="/dev/null"):
    if core is not None: cmd = ["taskset", "-c", core] + cmd
    p = subprocess.Popen(cmd, env=env, stdout=open(log, "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, preexec_fn=lambda: (os.setsid(), nofile()))
    procs.append(p)
    return p

def stop(p):
    if p.poll() is None:
        ks = tree(p.pid)
        p.send_signal(signal.SIGTERM)
        try: p.wait(2)
        except Exception: pass
        for k in ks:
            try: os.kill(k, signal.SIGKILL)
            except OSError: pass
        try: p.wait(2)
        except Exception: pass
    if p in procs: procs.remove(p)

def tree(pid):
    kids = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try: s = open("/proc/%s/stat" % d).read()
            except OSError: continue
            kids.setdefault(int(s.rsplit(")", 1)[1].split()[1]), []).append(int(d))
    o, q = [], [pid]
    while q:
        x = q.pop(); o.append(x); q += kids.get(x, [])
    return o

def cpu(pids):
    u = s = 0
    for p in pids:
        try: f = open("/proc/%d/stat" % p).read().rsplit(")", 1)[1].split()
        except OSError: continue
        u += int(f[11]); s += int(f[12])
    return u / TCK, s / TCK

def mem(pids):
    rss = pss = 0
    for p in pids:
        try:
            for l in open("/proc/%d/smaps_rollup" % p):
                if l.startswith("Rss:"): rss += int(l.split()[1])
                elif l.startswith("Pss:"): pss += int(l.split()[1])
        except OSError: pass
    return rss / 1024, pss / 1024

def cores():
    r = {}
    for l in open("/proc/stat"):
        if l.startswith("cpu") and l[3] != " ":
            f = l.split(); v = list(map(int, f[1:]))
            r[f[0]] = (sum(v[:3]) + sum(v[5:8]), v[3] + v[4], v[7])
    return r

def quiet(limit=1.5):
    end = time.time() + limit
    while time.time() < end:
        a = cores(); time.sleep(0.25); b = cores()
        busy = sum(b[c][0] - a[c][0] for c in b) / TCK / 0.25 / len(b)
        if busy < 0.10: return True
    return False

def wait_port(port, p, t=15):
    end = time.time() + t
    while time.time() < end:
        if p.poll() is not None: return False
        try: socket.create_connection(("127.0.0.1", port), 1).close(); return True
        except OSError: time.sleep(0.1)
    return False

def wait_configured(d, p, t=60):
    """A contestant that is configured after it listens has a file `pending` in its folder until then."""
    end = time.time() + t
    while time.time() < end and p.poll() is None:
        if not os.path.exists(os.path.join(d, "pending")): return True
        time.sleep(0.05)
    return False

MAPF = os.path.join(WORK, "map.txt")
with open(MAPF, "w") as f:
    for i in range(10000): f.write("sbx-%s %d\n" % (hashlib.sha256(b"%d" % i).hexdigest()[:24], i % NB))
PATHF = os.path.join(WORK, "ws.txt")
with open(PATHF, "w") as f:
    for i in range(10000): f.write("%s/run\n" % hashlib.sha256(b"w%d" % i).hexdigest()[:16])
WSF = os.path.join(WORK, "workspaces.txt")
with open(WSF, "w") as f:
    for i in range(10000): f.write("%s 0\n" % hashlib.sha256(b"w%d" % i).hexdigest()[:16])
# A workspace id on every request of every contestant: ours decides by it, the others ignore it but carry it.
WS = ["--keys", WSF, "--key-header", "X-Workspace-ID"]
CERT, KEY = os.path.join(WORK, "cert.pem"), os.path.join(WORK, "key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", KEY, "-out", CERT, "-days", "30",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)

bports = free_ports(NB)
backend = spawn([BK, "backend", "--listen", ",".join("127.0.0.1:%d" % p for p in bports)], core=A.ldcore)
h2ports = []
h2b = []

def start_h2_backends():
    if h2b: return
    d = os.path.join(WORK, "h2root"); os.makedirs(d, exist_ok=True); open(d + "/index.html", "w").write("ok\n")
    h2ports.extend(free_ports(NB))
    for p in h2ports: h2b.append(spawn(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", d, "--trailer", "grpc-status: 0", str(p)], core=A.ldcore))

def start(name, mode, threads, pin):
    port = free_ports(1)[0]
    d = os.path.join(WORK, "%s-%s-%d-%d" % (name, mode, threads, port)); os.makedirs(d)
    env = dict(os.environ, LISTEN_PORT=str(port), THREADS=str(threads), MODE=mode, MAPFILE=MAPF, CERT=CERT, KEY=KEY, DIR=d,
               BACKENDS=",".join("127.0.0.1:%d" % p for p in (h2ports if mode == "h2h2" else bports)))
    if name == "direct":
        class D: pid = None
        return (D(), h2ports[0] if mode == "h2h2" else bports[0]) if mode in ("plain", "ws", "h2h2", "hash") else None
    p = spawn([os.path.join(KIT, "contestants", name + ".sh"), "serve"], env=env, core=A.pxcore if pin else None, log=d + "/log")
    if not wait_port(port, p) or not wait_configured(d, p):
        rc = p.poll()
        if rc not in (64, 65): print("!! %s %s did not start, rc %s: %s" % (name, mode, rc, open(d + "/log").read()[-300:]), flush=True)
        stop(p); return None
    return p, port

def run_load(cmd, core):
    p = subprocess.Popen((["taskset", "-c", core] if core else []) + cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=nofile)
    o, e = p.communicate(timeout=120)
    return o.decode(), e.decode(), p.returncode

def parse(tool, o, e):
    if tool == "bk":
        j = json.loads(o.strip().splitlines()[-1])
        return dict(n=j["total"], rps=j["rps"], err=j["errors"] + j["non2xx"], p50=j["lat_us"]["p50"], p99=j["lat_us"]["p99"], p999=j["lat_us"]["p999"], unsent=j["unsent"], backends=j["backends"], mbps=j["mbps"])
    if tool == "h2load":
        rps = float(re.search(r"finished in [^,]+, ([\d.]+) req/s", o).group(1))
        m = re.search(r"requests: (\d+) total, .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", o)
        # A gRPC error has status 200: what a backend has answered is told by its three bytes.
        data = int(re.search(r"traffic: .*, \S+ \((\d+)\) data", o).group(1))
        hollow = max(0, int(m.group(3)) - data // 3)
        return dict(n=int(m.group(2)), rps=rps, err=int(m.group(4)) + int(m.group(5)) + hollow, p50=None, p99=None, p999=None)
    if tool == "stime":  # several "openssl s_time -new" side by side: never resumes a session
        v = re.findall(r"(\d+) connections in (\d+) real seconds", o)
        if not v: raise ValueError("no s_time output")
        return dict(n=sum(int(a) for a, _ in v), rps=sum(int(a) for a, _ in v) / max(1, max(int(b) for _, b in v) - 1), err=0, p50=None, p99=None, p999=None)
    if tool == "wrk":
        us = lambda s: float(re.sub("[a-z]+", "", s)) * (1 if s.endswith("us") else 1000 if s.endswith("ms") else 1e6)
        g = lambda p: us(re.search(r"\n\s+%s%%\s+(\S+)" % p, o).group(1))
        n = int(re.search(r"(\d+) requests in", o).group(1))
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", o)
        return dict(n=n, rps=float(re.search(r"Requests/sec:\s+([\d.]+)", o).group(1)), err=int(bad.group(1)) if bad else 0, p50=g("50"), p99=g("99"), p999=None)

def sample(name, p, tool, cmd, core):
    best = None
    for _ in range(1 + A.retries):
        quiet()
        pids = tree(p.pid) if p.pid else []
        load0 = os.getloadavg()[0]
        c0, u0, b0, r0, t0 = cores(), cpu(pids), cpu(tree(backend.pid)), os.times(), time.time()
        o, e, rc = run_load(cmd, core)
        c1, u1, b1, r1, dt = cores(), cpu(pids), cpu(tree(backend.pid)), os.times(), time.time() - t0
        try: r = parse(tool, o, e)
        except Exception as x:
            print("!! %s: cannot read %s: %s %s" % (name, tool, o[-300:], e[-300:]), flush=True); return None
        ld = (r1[2] + r1[3]) - (r0[2] + r0[3])
        user, sys_ = u1[0] - u0[0], u1[1] - u0[1]
        be = sum(b1) - sum(b0)
        busy = sum(c1[c][0] - c0[c][0] for c in c1) / TCK
        own = user + sys_ + be + ld + sum(cpu(tree(x.pid))[0] * 0 for x in [])
        r.update(name=name, cpu100k=(user + sys_) / max(r["n"], 1) * 1e5, usr=user, sys=sys_, be=be, load=ld, foreign=max(0.0, busy - own) / dt / len(c1),
                 steal=sum(c1[c][2] - c0[c][2] for c in c1) / TCK / dt, core={c: (c1[c][0] - c0[c][0]) / TCK / dt for c in c1}, la=load0, dt=dt)
        if best is None or r["foreign"] < best["foreign"]: best = r
        if best["foreign"] <= A.max_foreign: break
    return best

def med(v):
    v = [x for x in v if x is not None]
    return statistics.median(v) if v else None

def f(x, n=1): return "-" if x is None else ("%." + str(n) + "f") % x

def table(test, res, note=""):
    rows = []
    for n, ss in res.items():
        ss = [s for s in ss if s]
        if not ss: continue
        m = {k: med([s.get(k) for s in ss]) for k in ("rps", "cpu100k", "p50", "p99", "p999", "foreign", "err")}
        cs = [s["cpu100k"] for s in ss]; rs = [s["rps"] for s in ss]
        m["cpuspread"] = (max(cs) - min(cs)) / m["cpu100k"] / 2 if m["cpu100k"] else None
        m["rpsspread"] = (max(rs) - min(rs)) / m["rps"] / 2 if m["rps"] else None
        m["px"] = med([s["core"].get("cpu" + A.pxcore, 0) for s in ss]); m["ld"] = med([s["core"].get("cpu" + A.ldcore, 0) for s in ss])
        m["usr"] = med([s["usr"] / max(s["usr"] + s["sys"], 1e-9) for s in ss]); m["name"] = n; m["n"] = len(ss)
        rows.append(m)
    pr = [r for r in rows if not is_direct(r["name"])]
    if not pr: return
    bc = min(r["cpu100k"] for r in pr); br = max(r["rps"] for r in pr)
    print("\n### %s   %s  (median of %d; load avg %.1f)" % (test, note, max(r["n"] for r in rows), os.getloadavg()[0]))
    print("| contestant | cpu s/100k | x best | +-% | user% | rps | / best | +-% | p50 us | p99 us | p99.9 us | errors | core px | core load | foreign |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for r in sorted(rows, key=lambda r: (not is_direct(r["name"]), r["cpu100k"])):
        d = is_direct(r["name"])
        print("| %s | %s | %s | %s | %s | %.0f | %s | %s | %s | %s | %s | %d | %.2f | %.2f | %.2f |" % (r["name"], "-" if d else f(r["cpu100k"], 2), "-" if d else f(r["cpu100k"] / bc, 2), "-" if d else f((r["cpuspread"] or 0) * 100, 0),
              "-" if d else f(r["usr"] * 100, 0), r["rps"], f(r["rps"] / br, 2), f((r["rpsspread"] or 0) * 100, 0), f(r["p50"], 0), f(r["p99"], 0), f(r["p999"], 0), r["err"], r["px"], r["ld"], r["foreign"]))
    for n in res:
        others = [n.split("+")[0]] if "+" in n else [o for o in PEERS if n not in PEERS]
        for o in [o for o in others if o in res and not is_direct(n)]:
            q = sorted(a["cpu100k"] / b["cpu100k"] for a, b in zip(res[n], res[o]) if a and b and b["cpu100k"])
            if q: print("CPU of %s to that of %s, within each round: median %.3f, %.3f to %.3f" % (n, o, statistics.median(q), q[0], q[-1]))
    sys.stdout.flush()

# Every contestant's CPU is also told as a ratio to theirs.
PEERS = ("nginx", "haproxy")

def is_direct(label): return label.split("/")[0] == "direct"

def bk(port, path="/", conns=64, extra=()):
    return [BK, "load", "--addr", "127.0.0.1:%d" % port, "--host", "localhost", "--path", path, "--conns", str(conns), "--dur", str(A.dur)] + list(extra)

def series(test, mode, mkcmd, tool="bk", threads=1, pin=True, note="", legs=None, core="same"):
    """All contestants up at once, rounds interleaved. `legs`: (label, contestant, mode) of each, where it is not all of them in the one mode."""
    if mode == "h2h2": start_h2_backends()
    up = {}
    for label, n, m in legs or [(n, n, mode) for n in A.contestants]:
        s = start(n, m, threads, pin)
        if s: up[label] = s
    res = {n: [] for n in up}
    lc = (A.ldcore if pin else None) if core == "same" else core
    for n, (p, port) in up.items():  # warm-up and check
        if not is_direct(n) and mode in ("map", "hash"):
            o, e, _ = run_load(mkcmd(n, port) + ["--check", "--dur", "0.5"], lc)
            try: j = json.loads(o); print("   check %s %s: %d requests, errors %d, per backend %s" % (n, mode, j["total"], j["errors"] + j["non2xx"], sorted(j["backends"].values())), flush=True)
            except Exception: print("   check %s %s failed: %s %s" % (n, mode, o[-200:], e[-200:]))
        else:
            run_load([a if a != str(A.dur) else "0.7" for a in mkcmd(n, port)], lc)
    for r in range(A.rounds):
        order = list(up) if r % 2 == 0 else list(up)[::-1]
        for n in order:
            s = sample(n, up[n][0], tool, mkcmd(n, up[n][1]), lc)
            res[n].append(s)
            if s: OUT.write(json.dumps(dict(s, test=test, round=r)) + "\n"); OUT.flush()
    for n, (p, port) in up.items():
        if p.pid: stop(p)
    table(test, res, note)
    return res

def half(sat):
    """An open loop at half of what each one can do, and straight at the backend at the same rates: what each adds is the difference."""
    rates = {n: med([s["rps"] for s in v if s]) * 0.5 for n, v in sat.items() if any(v) and not is_direct(n)}
    legs = [(label, c, "plain") for n in rates for label, c in ((n, n), ("direct/" + n, "direct"))]
    cmd = lambda n, p: bk(p, "/", 64, WS + ["--rate", "%.0f" % rates[n.split("/")[-1]], "--warm", "0.5"])
    res = series("half", "plain", cmd, legs=legs, note="open loop at 50 %% of each one's own saturation: %s" % {k: round(v) for k, v in rates.items()})
    print("\n| contestant | at, a second | added p50 us | added p99 us |\n|---|---|---|---|")
    for n in rates:
        added = lambda q: [a[q] - b[q] for a, b in zip(res.get(n, []), res.get("direct/" + n, [])) if a and b]
        print("| %s | %.0f | %s | %s |" % (n, rates[n], f(med(added("p50")), 0), f(med(added("p99")), 0)), flush=True)

# An idle connection is looked at after so long: ours lets go of what a connection has for a request once it has rested for 2 s.
REST = 4

def idle_mem():
    print("\n### idle   memory, MiB (PSS of the process tree; RSS in brackets), 1 worker; connections that had one request and have rested for %d s" % REST)
    print("| contestant | before | 1k idle | 5k idle | KiB each of 1k | KiB each of 5k | KiB of each further one | still open | after close |"); print("|---|---|---|---|---|---|---|---|---|")
    for n in A.contestants:
        if n == "direct": continue
        s = start(n, "plain", 1, True)
        if not s: continue
        p, port = s
        def hold(conns, look):
            l = subprocess.Popen(["taskset", "-c", A.ldcore, BK, "idle", "--addr", "127.0.0.1:%d" % port, "--conns", str(conns), "--hold", str(REST + 3)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=nofile)
            ready = l.stdout.readline(); time.sleep(REST)
            m = mem(tree(p.pid)) if look else None
            o, e = l.communicate()
            if l.returncode or not ready: print("!! %s: %s" % (n, e[-300:]), flush=True)
            time.sleep(1)
            return m, (o.split() or ["?"])[-1]
        hold(50, False)  # what the first requests need once for all
        v = [mem(tree(p.pid))]; op = []
        for c in (1000, 5000):
            m, o = hold(c, True)
            v.append(m); op.append(o)
        v.append(mem(tree(p.pid)))
        each = lambda a, b, c: (v[b][1] - v[a][1]) * 1024 / c
        OUT.write(json.dumps(dict(test="idle", name=n, mem=v, open=op)) + "\n")
        print("| %s | %.1f (%.1f) | %.1f | %.1f | %.2f | %.2f | %.2f | %s | %.1f |" % (n, v[0][1], v[0][0], v[1][1], v[2][1], each(0, 1, 1000), each(0, 2, 5000), each(1, 2, 4000), "/".join(op), v[3][1]), flush=True)
        stop(p)

def syscalls():
    """system calls of the proxy per request, counted with strace: immune to a noisy machine. 1 connection (no batching) and 64."""
    print("\n### sysc   system calls per proxied request (strace -c), 3-byte body")
    print("| contestant | 1 connection | which | 64 connections | which | errors |"); print("|---|---|---|---|---|---|")
    for n in A.contestants:
        if n == "direct": continue
        s = start(n, "plain", 1, True)
        if not s: continue
        p, port = s
        cells, bad = [], 0
        for c in (1, 64):
            run_load([BK, "load", "--addr", "127.0.0.1:%d" % port, "--host", "localhost", "--conns", str(c), "--dur", "0.5"] + WS, A.ldcore)
            of = os.path.join(WORK, "strace.%s.%d" % (n, c))
            st = subprocess.Popen(["strace", "-f", "-c", "-o", of] + [x for q in tree(p.pid) for x in ("-p", str(q))], stderr=subprocess.PIPE)
            time.sleep(1)
            o, e, _ = run_load([BK, "load", "--addr", "127.0.0.1:%d" % port, "--host", "localhost", "--conns", str(c), "--dur", str(A.dur)] + WS, A.ldcore)
            st.send_signal(signal.SIGINT); st.wait(10)
            j = json.loads(o); t = j["total"]; bad += j["errors"] + j["non2xx"]; calls = {}
            for l in open(of):
                w = l.split()
                if len(w) >= 5 and w[0].replace(".", "").isdigit() and w[-1] != "total": calls[w[-1]] = int(w[3])
            top = sorted(calls.items(), key=lambda x: -x[1])
            OUT.write(json.dumps(dict(test="sysc", name=n, conns=c, total=t, calls=calls)) + "\n")
            cells += ["%.2f" % (sum(calls.values()) / max(t, 1)), ", ".join("%s %.2f" % (k, v / max(t, 1)) for k, v in top if v / max(t, 1) > 0.04)]
        print("| %s | %s | %d |" % (n, " | ".join(cells), bad), flush=True)
        stop(p)

def main():
    wait_port(bports[0], backend)
    print("work folder %s, contestants %s, load average %s" % (WORK, A.contestants, os.getloadavg()))
    tests = A.tests.split(",")
    sat = None
    for t in tests:
        if t == "sat64": sat = series(t, "plain", lambda n, p: bk(p, "/", 64, WS), note="closed loop, 64 connections, 3-byte body, proxy on core %s, load+backend on core %s" % (A.pxcore, A.ldcore))
        elif t == "sat256": series(t, "plain", lambda n, p: bk(p, "/", 256, WS), note="closed loop, 256 connections")
        elif t == "k1": series(t, "plain", lambda n, p: bk(p, "/k1", 64, WS), note="1 KiB body, 64 connections")
        elif t == "k64": series(t, "plain", lambda n, p: bk(p, "/k64", 64, WS), note="64 KiB body, 64 connections")
        elif t == "wrk": series(t, "plain", lambda n, p: ["wrk", "-t1", "-c64", "-d%ds" % round(A.dur), "--latency", "-H", "Host: localhost", "-H", "X-Workspace-ID: w1", "http://127.0.0.1:%d/" % p], tool="wrk", note="cross-check with wrk, one workspace")
        elif t == "rate": series(t, "plain", lambda n, p: bk(p, "/", 64, WS + ["--rate", str(A.rate), "--warm", "0.5"]), note="open loop, common fixed rate %.0f/s, latency from the scheduled time" % A.rate)
        elif t == "half":
            if sat: half(sat)
            else: print("!! half needs sat64 before it")
        elif t == "routes10k":
            legs = [leg for n in A.contestants for leg in ((n, n, "plain"), (n + "+routes", n, "routes")) if leg[1] != "direct" or leg[2] == "plain"]
            series(t, "plain", lambda n, p: bk(p, "/", 64, WS), legs=legs, note="as sat64; +routes: the same requests with 10,000 routes for other ones")
        elif t == "map": series(t, "map", lambda n, p: bk(p, "/", 64, ["--keys", MAPF]), note="X-Route-Key of 10,000 values -> backend")
        elif t == "hash": series(t, "hash", lambda n, p: bk(p, "/w/", 64, ["--keys", PATHF, "--path-keys"]), note="consistent hash of a path part, 10,000 ids")
        elif t in ("h2c", "h2h2"):
            series(t, t, lambda n, p: ["h2load", "-t1", "-c16", "-m16", "-D", str(max(1, round(A.dur))), "http://127.0.0.1:%d/" % p] + (["-H", "content-type: application/grpc", "-H", "te: trailers"] if t == "h2h2" else []), tool="h2load",
                   note="h2 prior knowledge, 16 connections x 16 streams" + (", h2c backends (nghttpd)" if t == "h2h2" else ", HTTP/1.1 backends"))
        elif t == "tls": series(t, "tls", lambda n, p: ["wrk", "-t1", "-c64", "-d%ds" % round(A.dur), "--latency", "-H", "Host: localhost", "https://localhost:%d/" % p], tool="wrk", note="TLS 1.3 keep-alive, ECDSA P-256")
        elif t == "tlshs": series(t, "tls", lambda n, p: ["bash", "-c", "for i in 1 2 3 4; do openssl s_time -new -connect 127.0.0.1:%d -time %d & done; wait" % (p, max(2, round(A.dur)))], tool="stime", note="full TLS 1.3 handshakes only (openssl s_time -new x4); the client is the limit of rps, read the CPU column")
        elif t == "ws": series(t, "ws", lambda n, p: bk(p, "/ws", 64, ["--ws", "--size", "64"]), note="WebSocket 64-byte echo, 64 sockets, closed loop; figures per echo (2 messages)")
        elif t == "two": series(t, "plain", lambda n, p: bk(p, "/", 256, WS), threads=2, pin=False, core=None, note="2 workers, nothing pinned but the backend, 256 connections")
        elif t == "idle": idle_mem()
        elif t == "sysc": syscalls()
        else: print("unknown test", t)

signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))
try:
    main()
finally:
    for p in list(procs): stop(p)
