"""The loop's thread: the compiled loop over libzmq's C functions, or the same rounds over pyzmq where those are not to be had."""
import errno
import logging
import secrets
import struct
import threading
from contextlib import suppress

import numpy as np
import zmq

from streamrnn import jit
from streamrnn.bus.core import layout as L
from streamrnn.bus.core import libzmq
from streamrnn.bus.house import address

COMMAND_ROOM = 1 << 22
FAR = 1 << 62
log = logging.getLogger("streamrnn.bus")


def pair(context, name):
    """Two ends of an inproc pipe: (the loop's, the other thread's)."""
    loop, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    for end in (loop, other):
        end.set_hwm(0)
        end.linger = 0
    loop.bind(f"inproc://streamrnn-{name}-{id(loop)}")
    other.connect(loop.last_endpoint)
    return loop, other


class Poke:
    """Wakes a loop that waits in its receive: a peer under a name that nobody else knows. For one thread."""

    def __init__(self, context, endpoint, name):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.set_hwm(100)
        self.socket.routing_id = name
        self.socket.connect(endpoint)

    def __call__(self):
        with suppress(zmq.ZMQError):  # there are pokes enough under way, or the loop has ended
            self.socket.send(b"", zmq.DONTWAIT)


class Runner:
    """`sockets`: {"router", "pull", "publish"}, those there are. `pipe` and `keeper` are the loop's ends of its two pipes."""

    def __init__(self, desk, sockets, pipe, keeper, *, spin=0, save_every=None):
        self.desk, self.sockets, self.pipe, self.keeper = desk, sockets, pipe, keeper
        self.table = np.zeros(L.LOOP, np.int64)
        self._scratch = np.zeros(64 + COMMAND_ROOM, np.uint8)
        self.table[[L.SPIN, L.NEXT_SAVE, L.SAVE_EVERY, L.SCRATCH, L.COMMAND_ROOM]] = (
            spin, 0 if save_every else FAR, round((save_every or 0) * 1e6), address(self._scratch), COMMAND_ROOM)
        self._secret = np.frombuffer(b"!" + secrets.token_bytes(15), np.uint8).copy()
        self.table[L.POKES], self.table[L.TIMEOUT] = address(self._secret), -1
        self.pokes = []
        if "router" in sockets:
            endpoint = f"inproc://streamrnn-poke-{id(self)}"
            sockets["router"].bind(endpoint)
            self.pokes = [Poke(pipe.context, endpoint, self._secret.tobytes() + bytes([n])) for n in (1, 2)]
        self.failure = None
        self._thread = threading.Thread(target=self._guarded, name="streamrnn-loop", daemon=True)

    def start(self):
        self._thread.start()

    def join(self, timeout=None):
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self):
        return self._thread.is_alive()

    def _guarded(self):
        try:
            self._run()
        except BaseException as error:
            self.failure = error
            log.critical("the loop ended with an error: %r", error)
            raise


class CompiledRunner(Runner):
    """The product: nothing of it meets the interpreter between start and stop."""

    def __init__(self, desk, sockets, pipe, keeper, **options):
        super().__init__(desk, sockets, pipe, keeper, **options)
        from streamrnn.bus.core import loop
        self._kernel = jit.ready(loop.serve)
        handles = {L.ROUTER_SOCKET: sockets.get("router"), L.PULL_SOCKET: sockets.get("pull"), L.PUB_SOCKET: sockets.get("publish"),
                   L.PIPE_SOCKET: pipe, L.KEEPER_SOCKET: keeper}
        for field, socket in handles.items():
            self.table[field] = socket.underlying if socket is not None else 0
        # only what the loop reads: the descriptor of a socket that nobody reads stays readable for ever
        heard = [socket for name, socket in sockets.items() if name != "publish"] + [pipe, *([keeper] if desk.table[L.KEEPS] else [])]
        self._poll = np.frombuffer(b"".join(struct.pack("=ihh", socket.fd, libzmq.READABLE, 0) for socket in heard), np.uint8).copy()
        self.table[[L.POLL, L.POLL_COUNT]] = address(self._poll), len(heard)
        self.table[[L.NO_ROUTE, L.AGAIN, L.TERMINATED]] = errno.EHOSTUNREACH, errno.EAGAIN, int(zmq.ETERM)

    def _run(self):
        self._kernel(address(self.desk.table), address(self.table))
