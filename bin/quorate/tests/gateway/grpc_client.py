"""Calls test.Echo. Arguments: the address, the PEM of its certificate or `-`, and what to do."""
import os, sys, threading, time
import grpc

ADDRESS, PEM, WHAT = sys.argv[1:4]
LIMIT = 60
# What a test wants to see is the router's work: the client itself repeats nothing.
OPTIONS = [("grpc.enable_retries", 0)]
if PEM == "-":
    CHANNEL = grpc.insecure_channel(ADDRESS, OPTIONS)
else:
    with open(PEM, "rb") as pem:
        CHANNEL = grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials(pem.read()), OPTIONS)
UNARY = CHANNEL.unary_unary("/test.Echo/Unary")
FAIL = CHANNEL.unary_unary("/test.Echo/Fail")
COLLECT = CHANNEL.stream_unary("/test.Echo/Collect")
COUNT = CHANNEL.unary_stream("/test.Echo/Count")
CHAT = CHANNEL.stream_stream("/test.Echo/Chat")
HANG = CHANNEL.unary_unary("/test.Echo/Hang")
HANG_ON = CHANNEL.unary_stream("/test.Echo/HangOn")
HANG_IN = CHANNEL.stream_unary("/test.Echo/HangIn")
HANG_BOTH = CHANNEL.stream_stream("/test.Echo/HangBoth")


def same(is_, should):
    if is_ != should:
        raise SystemExit(f"it is {str(is_)[:300]}; it should be {str(should)[:300]}")


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise SystemExit("it went well")


def calls():
    same(UNARY(b"hello", timeout=LIMIT), b"hello")
    same(UNARY(b"", timeout=LIMIT), b"")
    big = os.urandom(1 << 20)
    same(UNARY(big, timeout=LIMIT) == big, True)
    same(COLLECT(iter([b"a", b"b", b"c"]), timeout=LIMIT), b"a,b,c")
    same(COLLECT(iter([]), timeout=LIMIT), b"")
    same(list(COUNT(b"1000", timeout=LIMIT)), [str(nth).encode() for nth in range(1000)])
    same(list(COUNT(b"0", timeout=LIMIT)), [])
    same(list(CHAT(iter([big] * 4), timeout=LIMIT)) == [b"re: " + big] * 4, True)


def turns():
    """Each message is sent only after the one before has been answered: nothing on the way waits for more."""
    answered = threading.Semaphore(1)

    def messages():
        for nth in range(20):
            if not answered.acquire(timeout=LIMIT):
                return
            yield str(nth).encode()

    for nth, said in enumerate(CHAT(messages(), timeout=LIMIT)):
        same(said, b"re: " + str(nth).encode())
        answered.release()
    same(nth, 19)


def metadata():
    sent = (("x-echo", "text"), ("x-echo-bin", bytes(range(256))))
    for call in (UNARY.with_call, lambda *args, **how: FAIL.with_call(b"0", **how)):
        _, info = call(b"hello", timeout=LIMIT, metadata=sent)
        for place, got in (("head", info.initial_metadata()), ("tail", info.trailing_metadata())):
            got = dict(got)
            for key, value in sent:
                same(got.get(f"{place}-{key}"), value)
    failed = refused(lambda: FAIL(b"5 gone", timeout=LIMIT, metadata=sent))
    same(dict(failed.trailing_metadata()).get("tail-x-echo-bin"), sent[1][1])


def statuses():
    same(FAIL(b"0 ", timeout=LIMIT), b"well")
    for code in list(grpc.StatusCode):
        number = code.value[0]
        if number == 0:
            continue
        details = f"number {number}: 100 % größer\n"
        failed = refused(lambda: FAIL(f"{number} {details}".encode(), timeout=LIMIT))
        same((failed.code(), failed.details()), (code, details))
    failed = refused(lambda: CHANNEL.unary_unary("/test.Echo/Nothing")(b"", timeout=LIMIT))
    same(failed.code(), grpc.StatusCode.UNIMPLEMENTED)


def deadline():
    start = time.monotonic()
    failed = refused(lambda: HANG(b"deadline", timeout=1.5))
    same(failed.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    same(1.3 < time.monotonic() - start, True)
    # Its answer has begun: the time is over all the same.
    stream = HANG_ON(b"late", timeout=1.5)
    same(next(stream), b"first")
    same(refused(lambda: next(stream)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)


def goes_on(first):
    """Messages of a call that its client does not end."""
    yield first
    threading.Event().wait(LIMIT)


def cancel():
    """Says when it gave the calls up; the server says when it heard of that."""
    calls = {
        "unary": HANG.future(b"unary", timeout=LIMIT),
        "stream": HANG_ON(b"stream", timeout=LIMIT),
        "upload": HANG_IN.future(goes_on(b"upload"), timeout=LIMIT),
        "both": HANG_BOTH(goes_on(b"both"), timeout=LIMIT),
    }
    for name in ("stream", "both"):
        same(next(calls[name]), b"first")
    # By a line on stdin: whoever reads the server's words knows that the other has begun, too.
    sys.stdin.readline()
    print("cancelled", f"{time.time():.3f}", flush=True)
    for call in calls.values():
        call.cancel()
    # The connection goes on: it is the calls that have ended.
    heard, until = CHANNEL.unary_unary("/test.Echo/Heard"), time.monotonic() + LIMIT
    while calls.keys() - set(heard(b"", timeout=LIMIT).decode().split(",")):
        same(time.monotonic() < until, True)


def unavailable():
    failed = refused(lambda: UNARY(b"hello", timeout=LIMIT))
    same(failed.code(), grpc.StatusCode.UNAVAILABLE)
    print("details", failed.details())


def no_route():
    failed = refused(lambda: CHANNEL.unary_unary("/test.Other/Unary")(b"", timeout=LIMIT))
    same(failed.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL), True)


for name in WHAT.split(","):
    print("does", name, flush=True)
    globals()[name]()
CHANNEL.close()
print("all well", flush=True)
