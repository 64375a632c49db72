"""A WebSocket server that sends everything back. Text `close CODE REASON` closes."""
import asyncio, sys
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def answer(websocket, message):
    if isinstance(message, str) and message.startswith("close "):
        _, code, reason = message.split(" ", 2)
        await websocket.close(int(code), reason)
    elif message == "ping":
        latency = await (await websocket.ping(b"from the server"))
        await websocket.send(f"pong {latency >= 0}")
    else:
        await websocket.send(message)


async def echo(websocket):
    print("opened", websocket.request.path, websocket.subprotocol, flush=True)
    try:
        async for message in websocket:
            await answer(websocket, message)
    except ConnectionClosed:
        pass
    print("closed", websocket.close_code, websocket.close_reason, flush=True)


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    # Nothing of its own accord: what arrives is what the client sent.
    async with serve(echo, host, int(port), max_size=None, ping_interval=None, subprotocols=["chat"]):
        print("listening", flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
