"""The thread for what is not per sample: info, stats, snapshot and swap, and the watch over streams that fall silent.

It hears of controls through the loop's pipe and answers the same way; other threads of the process `call` into it.
"""
import logging
import queue
import struct
import threading
import time

import msgpack
import numpy as np
import zmq

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.codes import CODES, DETAILS
from streamrnn.errors import StreamRNNError

LOOK_EVERY = 1.0         # seconds between two looks for silent streams
COUNTED = ("frames_in", "bytes_in", "samples", "blocks", "duplicates", "jumps", "jumped_over", "opened", "closed", "replies",
           "replies_gone", "replies_full", "published", "published_full", "errors", "rounds", "pages", "held_back")
STAGES = ("receive", "step", "send", "whole")
assert len(COUNTED) == L.COUNTERS_BEFORE_ERRORS
log = logging.getLogger("streamrnn.bus")


class Refused(Exception):
    """A control that cannot be done; the message goes to the client."""


class Control:
    """`pipe`: our end of the loop's pipe; `poke` wakes the loop. `server` does what is asked for."""

    def __init__(self, server, pipe, context, poke):
        self._server, self._pipe, self._poke = server, pipe, poke
        self._calls = queue.SimpleQueue()
        self._bell, self._ring = (context.socket(kind) for kind in (zmq.PULL, zmq.PUSH))
        for socket in (self._bell, self._ring):
            socket.linger = 0
        self._bell.bind(f"inproc://streamrnn-bell-{id(self)}")
        self._ring.connect(self._bell.last_endpoint)
        self._ringing = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="streamrnn-control", daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._ended = True
        self.call(lambda: None)
        self._thread.join()
        for socket in (self._bell, self._ring):
            socket.close()

    def call(self, function):
        """Run this in the control thread, soon."""
        self._calls.put(function)
        with self._ringing:
            self._ring.send(b"")

    def send(self, command, *numbers, payload=b""):
        """A command to the loop; in this thread only."""
        self._pipe.send(struct.pack(f"<{1 + len(numbers)}q", command, *numbers) + payload)
        self._poke()

    def _run(self):
        poller = zmq.Poller()
        poller.register(self._pipe, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        looked = time.monotonic()
        while not self._ended:
            wait = LOOK_EVERY if self._server.watches else None
            for socket, _ in poller.poll(None if wait is None else max(0, 1000 * (looked + wait - time.monotonic()))):
                if socket is self._bell:
                    self._bell.recv()
                    self._calls.get()()
                else:
                    self._request(*self._pipe.recv_multipart())
            if wait is not None and time.monotonic() - looked >= wait:
                looked = time.monotonic()
                for watch in self._server.watches:
                    watch.look(self)

    def _request(self, peer, between=b"", frame=None):
        if frame is None:  # the loop says that a swap is done
            self._server.swapped(struct.unpack("<2q", peer)[1])
            return
        request = msgpack.unpackb(frame, strict_map_key=False, unicode_errors="replace")
        answer = lambda reply: self._answer(peer, between, request, reply)
        try:
            reply = getattr(self, "_" + request["op"])(request, answer)
        except Refused as refusal:
            reply = {"error": "refused", "detail": str(refusal)}
        except Exception as error:
            log.exception("a control failed: %s", request.get("op"))
            reply = {"error": "refused", "detail": f"the server could not do it: {error}"}
        if reply is not None:
            answer(reply)

    def _answer(self, peer, between, request, reply):
        if "tag" in request:
            reply["tag"] = request["tag"]
        self.send(L.SEND, len(peer), len(between), payload=peer + msgpack.packb(reply))

    # -- what can be asked for: each answers a reply, or None and calls `answer` later ------------------------------------

    def _info(self, request, answer):
        return {"op": "info", **self._server.info()}

    def _stats(self, request, answer):
        return {"op": "stats", **self._server.stats()}

    def _snapshot(self, request, answer):
        def done(fine):
            answer({"op": "snapshot", "streams": sum(map(len, self._server.desk.houses))} if fine
                   else {"error": "refused", "detail": "the state file could not be written in time: see the server's log"})
        try:
            self._server.snapshot_soon(lambda fine: self.call(lambda: done(fine)))
        except StreamRNNError as error:
            raise Refused(str(error)) from None

    def _swap(self, request, answer):
        try:
            return {"op": "swap", **self._server.swap_in_control(request.get("model"), request.get("of"), request.get("state", "keep"),
                                                                  remote=True)}
        except (StreamRNNError, OSError) as error:
            raise Refused(str(error)) from None


def counted(counters):
    """Counters by name, errors by code."""
    errors = dict.fromkeys(CODES, 0)
    for (code, _), value in zip(DETAILS, counters[L.COUNTERS_BEFORE_ERRORS:].tolist(), strict=True):
        errors[code] += value
    return {**dict(zip(COUNTED, counters.tolist(), strict=False)), "by_error": {code: n for code, n in errors.items() if n}}


def upper_bounds():
    """The upper end of each bucket of `waits`, in microseconds."""
    n = np.arange(L.BUCKETS)
    return np.where(n < 8, n + 1, (n % 4 + 5) * 2.0 ** (n // 4 - 1)) / 1000


def quantiles(waits, of=(0.5, 0.99, 0.999)):
    """Of one stage's histogram, in microseconds: the upper end of the bucket."""
    counts = np.asarray(waits)[:L.BUCKETS]
    if not counts.sum():
        return [0.0] * len(of)
    return [float(upper_bounds()[np.searchsorted(np.cumsum(counts), q * counts.sum())]) for q in of]
