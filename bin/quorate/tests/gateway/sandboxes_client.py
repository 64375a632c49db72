"""Asks nodes who answers, by gRPC and WebSockets. Arguments: the file of what to ask, and all nodes.

It connects to all of them at once. The file is read when stdin has ended: whatever happened to nodes meanwhile happened
to connections that were there.
"""
import asyncio, json, sys
import grpc
from websockets.asyncio.client import connect

FILE, NODES = sys.argv[1], sys.argv[2:]
LIMIT = 60
HOW = {"ping_interval": None, "open_timeout": LIMIT, "close_timeout": LIMIT, "proxy": None}


def same(is_, should):
    if is_ != should:
        raise SystemExit(f"it is {str(is_)[:300]}; it should be {str(should)[:300]}")


async def said(websocket):
    await websocket.send("I am")
    message = await asyncio.wait_for(websocket.recv(), LIMIT)
    same(message.startswith("I am "), True)
    return message.removeprefix("I am ")


async def call(channel, path, headers):
    who = channel.unary_unary(path)
    return (await who(b"", timeout=LIMIT, metadata=tuple(headers.items()))).decode()


async def speak(node, path, headers):
    async with connect(f"ws://{node}{path}", additional_headers=headers, **HOW) as websocket:
        return await said(websocket)


async def main():
    channels, kept = {}, {}
    for node in NODES:
        # What a test wants to see is the router's work: the client itself repeats nothing.
        channels[node] = grpc.aio.insecure_channel(node, [("grpc.enable_retries", 0)])
        same(await call(channels[node], "/test.Who/Who", {}), "calls-base")
        websocket = await connect(f"ws://{node}/chat", additional_headers={"X-Route-Key": "dev-1"}, **HOW)
        kept[node] = (websocket, await said(websocket))
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    with open(FILE) as file:
        asked = json.load(file)
    for one in asked:
        node, path, headers = one["node"], one["path"], one["headers"]
        if one["service"] == "calls":
            who = await call(channels[node], path, headers)
        else:
            who = await speak(node, path, headers)
        print("answer", who, flush=True)
    for node in {one["node"] for one in asked}:
        websocket, who = kept[node]
        same(await said(websocket), who)
        await websocket.close()
    for channel in channels.values():
        await channel.close()
    print("all well", flush=True)


asyncio.run(main())
