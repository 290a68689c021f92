"""Client: requests and replies, one at a time or many under way. For one thread."""
import time

import numpy as np
import zmq

from streamrnn.clients import wire
from streamrnn.clients.requests import Requests, silent
from streamrnn.clients.sockets import opened
from streamrnn.errors import TimedOut


class Pending:
    """A request under way."""

    __slots__ = ("_client", "_value", "done", "tag")

    def __init__(self, client):
        self._client, self._value, self.done, self.tag = client, None, False, None

    def result(self, timeout=None):
        """Wait for the reply: its result, or the error it brought."""
        self._client._wait_for(self, timeout)
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


class Client:
    """`Client("tcp://127.0.0.1:5555").step("pump-7", x).y`

    timeout      seconds to wait for a reply
    server_key   path of the server's public key, `key`: of our own secret key, if the server asks for them (CURVE)
    """

    def __init__(self, endpoint, timeout=5.0, *, server_key=None, key=None, context=None):
        self.endpoint, self.timeout = endpoint, timeout
        self._context = zmq.Context.instance() if context is None else context
        self._socket = opened(self._context, zmq.DEALER, endpoint, server_key, key)
        self._requests = Requests()

    # -- samples -----------------------------------------------------------------------------------------------------------

    def step(self, stream, x, seq=None, t=None, model=None):
        """One sample -> its Result."""
        return self.submit(stream, x, seq, t, model).result()

    def step_many(self, streams, x, seqs=None, t=None, model=None):
        """One sample for each stream, (n, inputs) -> (n, outputs), in as few frames as may be."""
        x = np.asarray(x, np.float32)
        cut = lambda values, piece: None if values is None else values[piece]
        parts = [self.submit_many(streams[piece], x[piece], cut(seqs, piece), cut(t, piece), model)
                 for piece in wire.pieces(len(streams), x.shape[-1], streams)]
        return np.concatenate([part.result().y for part in parts])

    def submit(self, stream, x, seq=None, t=None, model=None):
        """Send a sample and go on: a Pending, whose `result()` waits for the Result."""
        return self._send(lambda tag: wire.sample(stream, x, seq, t, model, tag=tag))

    def submit_many(self, streams, x, seqs=None, t=None, model=None):
        """Send a block and go on: a Pending of its BlockResult."""
        return self._send(lambda tag: wire.block(streams, x, seqs, t, model, tag=tag))

    def pipeline(self, samples, window=1000):
        """Results in the order of `samples`, an iterable of (stream, x) or keyword dicts; up to `window` are under way."""
        under_way = []
        for item in samples:
            under_way.append(self.submit(**item) if isinstance(item, dict) else self.submit(*item))
            if len(under_way) >= window:
                done = (window + 1) // 2
                for pending in under_way[:done]:
                    yield pending.result()
                del under_way[:done]
        for pending in under_way:
            yield pending.result()

    # -- controls ----------------------------------------------------------------------------------------------------------

    def ping(self):
        """The server's epoch."""
        return self._ask("ping")["epoch"]

    def info(self):
        """What is served: models, limits, version, in plain values."""
        return self._ask("info")

    def stats(self):
        """The server's counters and latencies, in plain values."""
        return self._ask("stats")

    def resume(self, streams, model=None):
        """{"durable": {id: seq}, "last": {id: seq}, "store": bool}"""
        return self._ask("resume", streams=list(streams), model=model)

    def reset(self, stream, model=None):
        """The stream goes back to the zero state."""
        self._ask("reset", stream=stream, model=model)

    def close_stream(self, stream, model=None):
        """The server forgets the stream."""
        self._ask("close", stream=stream, model=model)

    def snapshot(self, timeout=60.0):
        """Return when all that was stepped before is durable; how many streams there are."""
        return self._ask("snapshot", timeout=timeout)["streams"]

    def swap(self, path, of=None, state="keep", timeout=60.0):
        """Serve another model from now on; the path is one within the server's --swap-from."""
        return self._ask("swap", model=path, of=of, state=state, timeout=timeout)

    # -- how ---------------------------------------------------------------------------------------------------------------

    def _ask(self, op, timeout=None, **more):
        return self._send(lambda tag: wire.control(op, tag=tag, **more)).result(timeout)

    def _send(self, frame_of):
        pending = Pending(self)
        pending.tag = self._requests.tag(pending)
        try:
            self._socket.send(frame_of(pending.tag))
        except BaseException:
            del self._requests.waiting[pending.tag]
            raise
        return pending

    def _wait_for(self, pending, timeout):
        timeout = self.timeout if timeout is None else timeout
        end = time.monotonic() + timeout
        while not pending.done:
            if not self._socket.poll(max(0, 1000 * (end - time.monotonic()))):
                self._requests.waiting.pop(pending.tag, None)
                raise TimedOut(silent(self.endpoint, timeout))
            answered = self._requests.answered(self._socket.recv())
            if answered is not None:
                keep, keep._value = answered
                keep.done = True

    def close(self):
        """Hang up; also at the end of a `with`."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
