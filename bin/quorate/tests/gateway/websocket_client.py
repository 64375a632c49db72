"""Speaks to an echo server. Arguments: the URL, and the PEM of the certificate or `-`."""
import asyncio, os, ssl, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL, PEM = sys.argv[1:3]
HOW = {"subprotocols": ["chat", "other"], "max_size": None, "ping_interval": None, "open_timeout": 60, "close_timeout": 60, "proxy": None}
if PEM != "-":
    HOW["ssl"] = ssl.create_default_context(cafile=PEM)


def same(is_, should):
    if is_ != should:
        raise SystemExit(f"it is {str(is_)[:300]}; it should be {str(should)[:300]}")


async def messages():
    async with connect(URL, **HOW) as websocket:
        same(websocket.subprotocol, "chat")
        for message in ("", "text", "grün" * 1000, b"", bytes(range(256)), os.urandom(1 << 20), "x" * (1 << 20)):
            await websocket.send(message)
            same(await websocket.recv() == message, True)
        # In parts, and many that are under way at once.
        await websocket.send([b"a", b"b", b"c"])
        same(await websocket.recv(), b"abc")
        sender = asyncio.create_task(send_all(websocket))
        for nth in range(1000):
            same(await websocket.recv(), str(nth))
        await sender
        await asyncio.wait_for(await websocket.ping(b"from the client"), 60)
        await websocket.send("ping")
        same(await websocket.recv(), "pong True")
        await websocket.close(4001, "client is done")


async def send_all(websocket):
    for nth in range(1000):
        await websocket.send(str(nth))


async def closes():
    for code, reason in ((1000, ""), (1001, "going"), (1011, "error"), (3000, "registered"), (4999, "größer")):
        async with connect(URL, **HOW) as websocket:
            await websocket.send(f"close {code} {reason}")
            try:
                same(await websocket.recv(), "nothing")
            except ConnectionClosed as closed:
                same((closed.rcvd.code, closed.rcvd.reason), (code, reason))


async def many():
    """Each gets its own words back."""
    async def one(nth):
        async with connect(URL, **HOW) as websocket:
            for _ in range(10):
                await websocket.send(f"I am {nth}")
                same(await websocket.recv(), f"I am {nth}")

    await asyncio.gather(*(one(nth) for nth in range(50)))


async def refused():
    """Nobody offers this."""
    try:
        async with connect(URL.replace("/chat/", "/nobody/"), **HOW):
            raise SystemExit("it went well")
    except InvalidStatus as error:
        same(error.response.status_code, 503)


for part in (messages, closes, many, refused):
    print("does", part.__name__, flush=True)
    asyncio.run(part())
print("all well", flush=True)
