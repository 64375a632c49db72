"""What an idle WebSocket costs a node: the resident memory of `quorate serve` with none and with N registered clients that
say nothing. Arguments: N (10000) and how many are opened at the same time (200). Wants OURS_BIN, and room for N open files
in this process and in the node. Prints one line of JSON. The clients are bare sockets in this process: their memory is not
the node's."""
import asyncio, json, os, resource, shutil, sys, tempfile, time
from cluster import OURS, ask, ports, start, stop, until

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
AT_ONCE = int(sys.argv[2]) if len(sys.argv) > 2 else 200
REQUEST = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
REGISTERED = b'{"type":"registered","content":"Successfully registered"}'


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


async def client(port, nth, places):
    async with places:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        said = json.dumps({"type": "register", "userId": f"user-{nth}"}).encode()
        # A mask of zeros changes nothing.
        writer.write(bytes([0x81, 0x80 | len(said), 0, 0, 0, 0]) + said)
        assert (await reader.readexactly(2 + len(REGISTERED)))[2:] == REGISTERED
        return writer


async def clients(port):
    places = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(client(port, nth, places) for nth in range(COUNT)))


async def measured(process, port):
    before = memory(process)
    began = time.monotonic()
    kept = await clients(port)
    opened = time.monotonic() - began
    # What opening took is given back within seconds, or not at all.
    await asyncio.sleep(10)
    after = memory(process)
    until("all are counted", lambda: json.loads(os.popen(f"curl -s http://127.0.0.1:{port}/stats").read())["connections"] == COUNT)
    for writer in kept:
        writer.close()
    return {"connections": COUNT, "opened_s": round(opened, 2), "rss_before": before, "rss_after": after, "bytes_per_connection": round((after - before) / COUNT)}


def main():
    wanted = COUNT + 1_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))
    folder = tempfile.mkdtemp()
    routing, management, peer, gateway = ports(4)
    command = [OURS, "serve", "--node-name", "n1", "--data-dir", f"{folder}/data", "--threads", "1", "--log-level", "warn"]
    for flag, port in (("routing", routing), ("management", management), ("peer", peer), ("gateway", gateway)):
        command += [f"--{flag}", f"127.0.0.1:{port}"]
    process = start(command, f"{folder}/log")
    try:
        until("ready", lambda: ask(management, "/v1/cluster")["feature_level"] >= 7)
        print(json.dumps(asyncio.run(measured(process, gateway))))
    finally:
        stop([process])
        shutil.rmtree(folder, ignore_errors=True)


main()
