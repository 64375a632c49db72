"""A WebSocket over HTTP/2 (RFC 8441), by the library h2. Arguments: host:port, and a path."""
import os, socket, struct, sys
import h2.config, h2.connection, h2.events, h2.settings

ADDRESS, PATH = sys.argv[1:3]
HOST, PORT = ADDRESS.rsplit(":", 1)
TCP = socket.create_connection((HOST, int(PORT)), timeout=60)
HTTP = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
MASK = b"\x01\x02\x03\x04"


def same(is_, should):
    if is_ != should:
        raise SystemExit(f"it is {str(is_)[:300]}; it should be {str(should)[:300]}")


def events():
    while True:
        TCP.sendall(HTTP.data_to_send())
        came = TCP.recv(65536)
        if not came:
            raise SystemExit("the connection is closed")
        yield from HTTP.receive_data(came)


EVENTS = events()


def until(kind):
    for event in EVENTS:
        if isinstance(event, h2.events.DataReceived):
            HTTP.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            raise SystemExit(str(event))
        if isinstance(event, kind):
            return event


def frame(opcode, payload):
    length = len(payload)
    head = struct.pack("!BB", 0x80 | opcode, 0x80 | length) if length < 126 else (
        struct.pack("!BBH", 0x80 | opcode, 0xFE, length) if length < 65536 else
        struct.pack("!BBQ", 0x80 | opcode, 0xFF, length))
    return head + MASK + bytes(byte ^ MASK[nth % 4] for nth, byte in enumerate(payload))


def send(stream, data):
    """As far as there is room, which comes with what is read."""
    while data:
        room = min(HTTP.local_flow_control_window(stream), HTTP.max_outbound_frame_size)
        if room == 0:
            until(h2.events.WindowUpdated)
            continue
        HTTP.send_data(stream, data[:room])
        data = data[room:]
    TCP.sendall(HTTP.data_to_send())


def take(held, count):
    while len(held) < count:
        held += until(h2.events.DataReceived).data
    taken, held[:] = bytes(held[:count]), held[count:]
    return taken


def receive(held):
    first, length = take(held, 2)
    if length == 126:
        (length,) = struct.unpack("!H", take(held, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", take(held, 8))
    return first & 0x0F, take(held, length)


HTTP.initiate_connection()
settings = until(h2.events.RemoteSettingsChanged).changed_settings
same(settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL].new_value, 1)
streams = []
for _ in range(2):
    stream = HTTP.get_next_available_stream_id()
    HTTP.send_headers(stream, [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", PATH),
        (":authority", ADDRESS), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"),
    ])
    head = dict(until(h2.events.ResponseReceived).headers)
    same((head[":status"], head.get("sec-websocket-protocol")), ("200", "chat"))
    streams.append((stream, bytearray()))
# Turn by turn, so that what is under way at once is bounded by the windows of both.
for stream, held in streams:
    for opcode, payload in ((1, b"text"), (2, b""), (2, os.urandom(40_000)), (2, os.urandom(60_000))):
        send(stream, frame(opcode, payload))
        said = receive(held)
        same((said[0], said[1] == payload), (opcode, True))
    send(stream, frame(9, b"ping"))
    same(receive(held), (10, b"ping"))
    send(stream, frame(8, struct.pack("!H", 4002) + b"over"))
    same(receive(held), (8, struct.pack("!H", 4002) + b"over"))
print("all well", flush=True)
