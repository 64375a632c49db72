"""The original's clients, with Python's websockets: two users on two nodes, a second login, a late goodbye, a node that is
killed, one that ends in order. Arguments: for each of three nodes its gateway, its management listener and its process."""
import asyncio, json, os, signal, sys, urllib.error, urllib.request
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

NODES = [dict(gateway=sys.argv[at], management=sys.argv[at + 1], pid=int(sys.argv[at + 2])) for at in (1, 4, 7)]
HOW = {"max_size": None, "ping_interval": None, "open_timeout": 60, "close_timeout": 60, "proxy": None}
PATIENCE = 60
FAILED = {"type": "error", "error": "Failed to send message"}


def same(is_, should):
    if is_ != should:
        raise SystemExit(f"it is {str(is_)[:300]}; it should be {str(should)[:300]}")


def socket(nth):
    return connect(f"ws://{NODES[nth]['gateway']}/ws", **HOW)


async def say(client, **fields):
    await client.send(json.dumps(fields))


async def hear(client):
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE))


async def register(client, user):
    await say(client, type="register", userId=user)
    same(await hear(client), {"type": "registered", "content": "Successfully registered"})


async def tell(client, to, content):
    """What it was told until all that it had said was decided."""
    await say(client, type="message", to=to, content=content)
    await say(client, type="ping")
    told = []
    while (answer := await hear(client)) != {"type": "pong"}:
        told.append(answer)
    return told


def asked(nth, path):
    try:
        with urllib.request.urlopen(f"http://{NODES[nth]['management']}{path}", timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        same(error.code, 404)
        return None


def holders(nth, user):
    """The nodes whose gateways hold a user, as one node knows it."""
    said = asked(nth, f"/v1/presence/{user}")
    return [] if said is None else [session["node"] for session in said["sessions"]]


async def until(what, is_so):
    for _ in range(PATIENCE * 20):
        if await asyncio.to_thread(is_so):
            return
        await asyncio.sleep(0.05)
    raise SystemExit(f"never: {what}")


async def closed(client):
    try:
        while True:
            await asyncio.wait_for(client.recv(), PATIENCE)
    except ConnectionClosed as end:
        return None if end.rcvd is None else (end.rcvd.code, end.rcvd.reason)


async def flow():
    async with socket(0) as alice, socket(1) as bob:
        same("x-connection-id" in alice.response.headers, True)
        await say(alice, type="message", to="bob", content="x")
        same(await hear(alice), {"type": "error", "error": "Not registered"})
        await register(alice, "alice")
        await register(bob, "bob")
        # Each node learns of it by itself.
        await until("n1 knows bob", lambda: holders(0, "bob") == ["n2"])
        for nth in range(100):
            await say(alice, type="message", to="bob", content=str(nth))
        for nth in range(100):
            same(await hear(bob), {"type": "message", "from": "alice", "content": str(nth)})
        same(await tell(bob, "nobody", "x"), [FAILED])
        await until("n2 knows alice", lambda: holders(1, "alice") == ["n1"])
        same(await tell(bob, "alice", "grün " * 10_000), [])
        same((await hear(alice))["content"], "grün " * 10_000)
        await duplicate(alice, bob)


async def duplicate(older, bob):
    """The second login takes the place; the end of the first, however late, takes nothing away."""
    async with socket(1) as newer:
        await register(newer, "alice")
        same(await closed(older), (4001, "replaced"))
        for nth in range(3):
            await until("all know it", lambda: holders(nth, "alice") == ["n2"])
        same(await tell(bob, "alice", "to the newer one"), [])
        same(await hear(newer), {"type": "message", "from": "bob", "content": "to the newer one"})
    await until("she has left", lambda: holders(0, "alice") == [])
    same(await tell(bob, "alice", "x"), [FAILED])


async def kill():
    """A node is killed: nothing to its users is reported as sent, presence forgets them all, and they come back elsewhere."""
    async with socket(0) as alice:
        await register(alice, "alice")
        carol = await socket(2)
        await register(carol, "carol")
        await until("n1 knows carol", lambda: holders(0, "carol") == ["n3"])
        same(await tell(alice, "carol", "before"), [])
        same((await hear(carol))["content"], "before")
        os.kill(NODES[2]["pid"], signal.SIGKILL)
        same(await closed(carol), None)
        for nth in range(5):
            same(await tell(alice, "carol", "to nobody"), [FAILED])
        await until("her presence ended with her gateway", lambda: holders(0, "carol") == [])
        async with socket(1) as carol:
            await register(carol, "carol")
            await until("n1 knows it", lambda: holders(0, "carol") == ["n2"])
            same(await tell(alice, "carol", "again"), [])
            same(await hear(carol), {"type": "message", "from": "alice", "content": "again"})


async def end():
    """A node ends in order: its users are told so, one after the other, and are gone from presence before it is."""
    sockets = [await socket(1) for _ in range(20)]
    for nth, client in enumerate(sockets):
        await register(client, f"u{nth}")
    os.kill(NODES[1]["pid"], signal.SIGTERM)
    moments = []
    for end in await asyncio.gather(*(closed(client) for client in sockets)):
        same(end[0], 1012)
        moments.append(int(end[1].removeprefix("reconnect in ").removesuffix(" ms")))
    same(len(set(moments)) > 5, True)
    for nth in range(20):
        await until(f"u{nth} is gone", lambda: holders(0, f"u{nth}") == [])


for part in (flow, kill, end):
    print("does", part.__name__, flush=True)
    asyncio.run(part())
print("all well", flush=True)
