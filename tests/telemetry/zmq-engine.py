"""An engine's two sockets by libzmq: a PUB and a ROUTER that replays, as vllm/distributed/kv_events.py has them.

Commands come on standard input, one a line: `publish HEX`, `lose HEX` (kept for replay, heard by nobody), `exit`.
The endpoints are printed first, then `asked N` for each replay. Arguments: topic, buffer, and two endpoints to bind.
"""

import collections
import sys

import zmq

topic, keep, pub_at, router_at = sys.argv[1].encode(), int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = zmq.Context()
pub = context.socket(zmq.PUB)
pub.set_hwm(100_000)
pub.bind(pub_at)
router = context.socket(zmq.ROUTER)
router.bind(router_at)
print(pub.getsockopt_string(zmq.LAST_ENDPOINT), router.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)

buffer = collections.deque(maxlen=keep)
seq = 0
poller = zmq.Poller()
poller.register(router, zmq.POLLIN)
poller.register(sys.stdin.fileno(), zmq.POLLIN)
pending = b""
running = True
while running:
    ready = dict(poller.poll(1000))
    if router in ready:
        frames = router.recv_multipart()
        if len(frames) == 3:
            client, _, start = frames
            first = int.from_bytes(start, "big")
            print("asked", first, flush=True)
            for number, payload in buffer:
                if number >= first:
                    router.send_multipart((client, b"", number.to_bytes(8, "big"), payload))
            router.send_multipart((client, b"", (-1).to_bytes(8, "big", signed=True), b""))
    if sys.stdin.fileno() in ready:
        chunk = sys.stdin.buffer.raw.read(65536)
        if not chunk:
            break
        pending += chunk
        *lines, pending = pending.split(b"\n")
        for line in lines:
            command, _, text = line.decode().partition(" ")
            if command == "exit":
                running = False
                break
            payload = bytes.fromhex(text)
            if command == "publish":
                pub.send_multipart((topic, seq.to_bytes(8, "big"), payload))
            buffer.append((seq, payload))
            seq += 1
pub.close(linger=0)
router.close(linger=0)
