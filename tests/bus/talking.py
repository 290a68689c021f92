"""Talking to a desk or a server in maps, as the tests of the bus do."""
from typing import ClassVar

import msgpack
import numpy as np

from streamrnn.bus.core import layout as L
from streamrnn.bus.desk import Desk, Limits


class Talk:
    """A desk, and one peer that talks to it in maps."""

    def __init__(self, models, limits=Limits(streams=100), **options):  # noqa: B008
        self.desk = Desk(models if isinstance(models, list) else [("", models)], limits, **options)
        self.published = []

    def raw(self, frame, peer=b"peer", **how):
        """Replies to one frame, as maps; what was published is kept aside."""
        assert self.desk.take(frame, peer, **how)
        return self.answers()

    def answers(self):
        replies = []
        for entry in self.desk.answers():
            if entry.destination == L.PUB:
                self.published.append((entry.head, msgpack.unpackb(entry.body)))
            else:
                replies.append(msgpack.unpackb(entry.body))
        return replies

    def ask(self, peer=b"peer", **request):
        replies = self.raw(msgpack.packb(request), peer)
        assert len(replies) == 1
        return replies[0]


class Peer:
    """A socket that speaks maps; it is closed with the test's context."""

    sockets: ClassVar[list] = []

    def __init__(self, context, kind, endpoint, **options):
        self.socket = context.socket(kind)
        self.sockets.append(self.socket)
        self.socket.linger = 0
        for name, value in options.items():
            setattr(self.socket, name, value)
        self.socket.connect(endpoint)

    def send(self, **request):
        self.socket.send(msgpack.packb(request))

    def receive(self, timeout=5000):
        assert self.socket.poll(timeout), "no answer came"
        return msgpack.unpackb(self.socket.recv())

    def ask(self, **request):
        self.send(**request)
        return self.receive()


def bits(values):
    return np.asarray(values, np.float32).tobytes()
