"""Servers that say who they are, of gRPC (names `calls…`) and of WebSockets (others). Arguments: NAME=ADDRESS of each."""
import asyncio, sys
import grpc
from websockets.asyncio.server import serve


async def calls(name, address):
    async def who(request, context):
        return name.encode()

    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Who", handlers)])
    assert server.add_insecure_port(address), address
    await server.start()
    return server


async def echoes(name, address):
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(f"{message} {name}")

    host, port = address.rsplit(":", 1)
    return await serve(echo, host, int(port), ping_interval=None)


async def main():
    names = [argument.split("=") for argument in sys.argv[1:]]
    # Held: a server of gRPC ends when nobody has it.
    servers = [await (calls if name.startswith("calls") else echoes)(name, address) for name, address in names]
    print("listening", len(servers), flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
