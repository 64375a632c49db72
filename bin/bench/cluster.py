"""Three nodes of the product on this machine, and what is asked of them; for storm.py and overload.py."""
import json, os, socket, subprocess, sys, time, urllib.request

OURS = os.environ["OURS_BIN"]
live = []


def ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    numbers = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return numbers


def start(command, log):
    """It runs until `stop`."""
    p = subprocess.Popen(command, stdout=open(log, "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    live.append(p)
    return p


def stop(processes):
    for p in list(processes):
        p.kill()
        p.wait()
        live.remove(p)


def ask(port, path, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    r = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, method=method, headers={"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(r, timeout=30).read() or b"null")


def until(what, condition, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.002)
    sys.exit(f"not within {limit} s: {what}")


def until_routed(routing, service):
    until("routed", lambda: urllib.request.urlopen(f"http://127.0.0.1:{routing}/api/service/{service}/x", timeout=5).read() is not None)


def nodes(folder, threads, level, more=(), with_gateways=False):
    """Three of them that have a leader and that feature level: their processes, management ports and routing ports, and if wanted the gateways'."""
    peer, management, routing, gateway = ports(3), ports(3), ports(3), ports(3)
    peers = ",".join(f"n{i + 1}=127.0.0.1:{peer[i]}" for i in range(3))
    processes = []
    for i in range(3):
        command = [OURS, "serve", "--node-name", f"n{i + 1}", "--data-dir", f"{folder}/{i}", "--peers", peers, "--threads", str(threads), "--log-level", "warn"]
        for name, port in (("peer", peer[i]), ("management", management[i]), ("routing", routing[i]), ("gateway", gateway[i])):
            command += [f"--{name}", f"127.0.0.1:{port}"]
        command += more
        processes.append(start(command, f"{folder}/{i}.log"))
    for m in management:
        until("ready", lambda: ask(m, "/v1/cluster").get("leader") and ask(m, "/v1/cluster")["feature_level"] >= level)
    return (processes, management, routing, gateway) if with_gateways else (processes, management, routing)
