"""Consumer: results as a server publishes them, without repeats, with gaps noted. For one thread."""
import zmq

from streamrnn.clients import wire
from streamrnn.clients.inbox import Inbox
from streamrnn.clients.sockets import opened

ALERT, EVENT = "!alert/", "!event/"


def topics(streams, results, alerts, events):
    """What to subscribe to; None of `streams` means all of them."""
    prefixes = [prefix for prefix, chosen in (("", results), (ALERT, alerts), (EVENT, events)) if chosen]
    return [(prefix + stream).encode() for prefix in prefixes for stream in ([""] if streams is None else streams)]


def wanted(topic, streams, results, alerts, events):
    """Subscriptions go by prefixes, and let in more than was asked for: "pump-1" also brings "pump-10"."""
    text = topic.decode()
    for prefix, chosen in ((ALERT, alerts), (EVENT, events), ("", results)):
        if text.startswith(prefix):
            return chosen and (streams is None or text[len(prefix):] in streams)
    return False


def read(topic, frame):
    """A Result, or an Event."""
    message = wire.unpacked(frame)
    return wire.Event(**message) if topic.startswith(EVENT.encode()) else wire.understood(message)


class Consumer:
    """`for result in Consumer("tcp://127.0.0.1:5556"): ...`

    streams   ids to hear of; None: all
    results   False: only hear of alerts and events
    alerts    hear of alerts as well: the same results once more, under a topic of their own
    events    hear of Events as well: streams that were closed, fell silent, or speak again
    on_gap    called with (stream, first, last) of seqs that never came
    timeout   seconds without anything after which iterating ends; None: never

    `received`, `repeats`, `missed` and `gaps` say how it went. A consumer that is too slow loses results, and sees the gaps.
    """

    def __init__(
        self,
        endpoint,
        streams=None,
        *,
        results=True,
        alerts=False,
        events=False,
        on_gap=None,
        timeout=None,
        hwm=100_000,
        server_key=None,
        key=None,
        context=None,
    ):
        self._streams = None if streams is None else frozenset(streams)
        self._also = results, alerts, events
        self._on_gap, self.timeout = on_gap, timeout
        self._inbox = Inbox()
        self._context = zmq.Context.instance() if context is None else context
        self._socket = opened(self._context, zmq.SUB, endpoint, server_key, key, hwm=hwm)
        for topic in topics(self._streams, *self._also):
            self._socket.subscribe(topic)

    received = property(lambda self: self._inbox.received)
    repeats = property(lambda self: self._inbox.repeats)
    missed = property(lambda self: self._inbox.missed)
    gaps = property(lambda self: self._inbox.gaps)

    def receive(self, timeout=None):
        """The next new Result or Event; None if nothing comes for `timeout` seconds (None: wait for ever)."""
        while self._socket.poll(None if timeout is None else 1000 * timeout):
            value = self._sorted(*self._socket.recv_multipart())
            if value is not None:
                return value
        return None

    def _sorted(self, topic, frame):
        if not wanted(topic, self._streams, *self._also):
            return None
        value = read(topic, frame)
        if isinstance(value, wire.Event) or topic.startswith(ALERT.encode()):
            return value
        new, gap = self._inbox.take(value)
        if gap and self._on_gap:
            self._on_gap(value.stream, *gap)
        return value if new else None

    def __iter__(self):
        while (value := self.receive(self.timeout)) is not None:
            yield value

    def close(self):
        """Stop listening; also at the end of a `with`."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
