"""Many WebSocket clients, told what to do by lines of JSON, and saying what they see in lines of JSON."""
import asyncio, json, ssl, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

HOW = {"ping_interval": None, "open_timeout": 30, "close_timeout": 10, "proxy": None, "max_size": None}
SOCKETS = {}


def say(name, event, **more):
    print(json.dumps({"name": name, "event": event, **more}), flush=True)


async def listen(name, socket):
    try:
        async for text in socket:
            say(name, "text", text=text)
    except ConnectionClosed:
        pass
    say(name, "closed", code=socket.close_code, reason=socket.close_reason)


async def open_one(name, url, protocols):
    try:
        trusted = {"ssl": ssl.create_default_context(cafile=sys.argv[1])} if url.startswith("wss:") else {}
        socket = await connect(url, subprotocols=protocols or None, **trusted, **HOW)
    except InvalidStatus as error:
        return say(name, "refused", status=error.response.status_code)
    except (OSError, EOFError, asyncio.TimeoutError) as error:
        return say(name, "failed", error=str(error))
    SOCKETS[name] = socket
    connection = socket.response.headers.get("x-connection-id", "")
    say(name, "open", connection=connection, protocol=socket.subprotocol)
    await listen(name, socket)


async def carry_out(order, running):
    name = order["name"]
    match order["do"]:
        case "open":
            running.append(asyncio.create_task(open_one(name, order["url"], order["protocols"])))
        case "send":
            try:
                for text in order["texts"]:
                    await SOCKETS[name].send(text)
            except ConnectionClosed:
                say(name, "unsent")
        case "abort":
            SOCKETS[name].transport.abort()


async def main():
    loop, running = asyncio.get_running_loop(), []
    orders = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        await carry_out(json.loads(line), running)


asyncio.run(main())
