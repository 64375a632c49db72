"""A gRPC server without generated code: messages are bytes. It prints what happens to its calls.

Arguments: where it listens; a file, if its health service is to say SERVING only while that is there.
"""
import os, sys, threading, time
from concurrent import futures
import grpc

OVER = []
CODES = {code.value[0]: code for code in grpc.StatusCode}


def tell(line):
    """In one piece: calls end on threads of their own, and what print() writes apart gets mixed."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def metadata(context):
    """Sends back what came in `x-echo` and `x-echo-bin`, before and behind the messages."""
    came = [pair for pair in context.invocation_metadata() if pair[0].startswith("x-echo")]
    context.send_initial_metadata([(f"head-{key}", value) for key, value in came])
    context.set_trailing_metadata([(f"tail-{key}", value) for key, value in came])


def unary(request, context):
    metadata(context)
    return request


def fail(request, context):
    metadata(context)
    code, _, details = request.decode().partition(" ")
    if int(code) == 0:
        return b"well"
    context.abort(CODES[int(code)], details)


def collect(requests, context):
    metadata(context)
    return b",".join(requests)


def count(request, context):
    metadata(context)
    for nth in range(int(request)):
        yield str(nth).encode()


def chat(requests, context):
    metadata(context)
    for request in requests:
        yield b"re: " + request


def says_over(request):
    tell(f"over {request.decode()} {time.time():.3f}")
    OVER.append(request.decode())


def hang(request, context):
    """Never answers; says when the call is over on this side."""
    over = threading.Event()
    tell(f"begun {request.decode()} {context.time_remaining() or 0:.1f}")
    context.add_callback(over.set)
    over.wait(60)
    says_over(request)
    return b""


def hang_on(request, context):
    """Says one thing, then nothing more."""
    over = threading.Event()
    context.add_callback(over.set)
    yield b"first"
    over.wait(60)
    says_over(request)


def hang_in(requests, context):
    """Takes one thing, then waits for nothing more."""
    over = threading.Event()
    request = next(requests)
    tell(f"begun {request.decode()} {context.time_remaining() or 0:.1f}")
    context.add_callback(over.set)
    over.wait(60)
    says_over(request)
    return b""


def hang_both(requests, context):
    """Answers one thing, then nothing more."""
    yield from hang_on(next(requests), context)


def heard(request, context):
    """Which calls are over."""
    return ",".join(OVER).encode()


def check(request, context):
    """grpc.health.v1.Health/Check: field 1 asks for a service; field 1 says 1, SERVING, or 2, NOT_SERVING."""
    if request != b"\x0a\x09test.Echo":
        context.abort(grpc.StatusCode.NOT_FOUND, f"{request} is no service of mine")
    return b"\x08\x01" if all(map(os.path.exists, sys.argv[2:])) else b"\x08\x02"


METHODS = {
    "Heard": grpc.unary_unary_rpc_method_handler(heard),
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
    "HangOn": grpc.unary_stream_rpc_method_handler(hang_on),
    "HangIn": grpc.stream_unary_rpc_method_handler(hang_in),
    "HangBoth": grpc.stream_stream_rpc_method_handler(hang_both),
}

server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
HEALTH = {"Check": grpc.unary_unary_rpc_method_handler(check)}
for service, methods in (("test.Echo", METHODS), ("grpc.health.v1.Health", HEALTH)):
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
assert server.add_insecure_port(sys.argv[1]), sys.argv[1]
server.start()
tell("listening")
server.wait_for_termination()
