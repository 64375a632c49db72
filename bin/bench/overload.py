#!/usr/bin/env python3
"""A service with a limit, asked for more than it can do through the leader of three nodes of the product. See README.md."""
import argparse, asyncio, json, os, shutil, socket, subprocess, sys, tempfile, threading, time, urllib.request

ap = argparse.ArgumentParser()
ap.add_argument("--at-once", type=int, default=32, help="in_flight_max of the service's one worker")
ap.add_argument("--work-ms", type=float, default=20, help="how long the worker takes for a request")
ap.add_argument("--conns", type=int, default=256, help="connections of the clients")
ap.add_argument("--loads", default="0.5,0.8,1,1.5,2,4", help="offered, as shares of what the worker can do")
ap.add_argument("--dur", type=float, default=5, help="seconds for each load")
A = ap.parse_args()
OURS, BK = os.environ["OURS_BIN"], os.environ["BK_BIN"]
live = []


def ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    numbers = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return numbers


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
        time.sleep(0.01)
    sys.exit(f"not within {limit} s: {what}")


async def work(reader, writer):
    """A worker that is slow, and not busy."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(A.work_ms / 1000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def worker(port):
    async with await asyncio.start_server(work, "127.0.0.1", port) as server:
        await server.serve_forever()


def load(routing, rate):
    """An open loop."""
    command = [BK, "load", "--addr", f"127.0.0.1:{routing}", "--path", "/api/service/slow/x", "--conns", str(A.conns), "--dur", str(A.dur), "--rate", str(rate)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.strip().splitlines()[-1])


def nodes(folder):
    peer, management, routing, gateway = ports(3), ports(3), ports(3), ports(3)
    peers = ",".join(f"n{i + 1}=127.0.0.1:{peer[i]}" for i in range(3))
    for i in range(3):
        command = [OURS, "serve", "--node-name", f"n{i + 1}", "--data-dir", f"{folder}/{i}", "--peers", peers, "--threads", "2", "--log-level", "warn"]
        for name, port in (("peer", peer[i]), ("management", management[i]), ("routing", routing[i]), ("gateway", gateway[i])):
            command += [f"--{name}", f"127.0.0.1:{port}"]
        live.append(subprocess.Popen(command, stdout=open(f"{folder}/{i}.log", "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
    for m in management:
        until("ready", lambda: ask(m, "/v1/cluster").get("leader") and ask(m, "/v1/cluster")["feature_level"] >= 4)
    leader = int(ask(management[0], "/v1/cluster")["leader"][1:]) - 1
    return management[leader], routing[leader]


def main():
    folder = tempfile.mkdtemp(prefix="overload.", dir=os.environ.get("RAFT_DIR", "/var/tmp"))
    try:
        management, routing = nodes(folder)
        (port,) = ports(1)
        threading.Thread(target=lambda: asyncio.run(worker(port)), daemon=True).start()
        ask(management, "/v1/services/slow", "PUT", {"limits": {"in_flight_max": A.at_once}})
        ask(management, "/v1/workers/w1", "PUT", {"address": f"http://127.0.0.1:{port}", "services": [{"name": "slow"}], "ttl": "3600s"})
        until("routed", lambda: urllib.request.urlopen(f"http://127.0.0.1:{routing}/api/service/slow/x", timeout=5).read() is not None)
        term, capacity = ask(management, "/v1/cluster")["term"], A.at_once / A.work_ms * 1000
        print(f"the worker can do {capacity:.0f} requests a second")
        goodput = {}
        for share in map(float, A.loads.split(",")):
            said = load(routing, share * capacity)
            good, refused = (said["done"] - said["non2xx"]) / A.dur, said["non2xx"] / A.dur
            goodput[share] = good
            print(f"offered {share:.1f} x: {good:.0f} good/s, {refused:.0f} refused/s, {said['errors']} errors, p50 {said['lat_us']['p50']} us, p99 {said['lat_us']['p99']} us")
        best = max(goodput.values())
        print("goodput, of the best:", ", ".join(f"{share:.1f} x: {good / best:.0%}" for share, good in goodput.items()))
        now = ask(management, "/v1/cluster")
        print(f"term {term} before, {now['term']} after, leader {now['leader']}")
    finally:
        for p in live:
            p.kill()
            p.wait()
        shutil.rmtree(folder, ignore_errors=True)


main()
