"""Producer: samples that reach a server exactly once, whatever breaks between. For one thread.

What has to be decided stands in session.py and outbox.py; here are the socket, the clock, and waiting.
"""
import time
from collections import deque

import zmq
from zmq.utils.monitor import recv_monitor_message

from streamrnn.clients import wire
from streamrnn.clients.outbox import Outbox
from streamrnn.clients.requests import silent
from streamrnn.clients.session import Session
from streamrnn.clients.sockets import opened
from streamrnn.errors import BufferFull, ConfigError, TimedOut

TICK = 0.05           # seconds: the longest sleep while something is under way
TRY_AGAIN = 0.1, 2.0  # seconds between two connections, from and up to


class Producer:
    """`producer.send("pump-7", x)`; results come to `on_result`, or out of `results()`.

    buffer       samples that may wait to be answered and durable, over all streams
    when_full    "block": send waits for room; "refuse": it raises BufferFull. Nothing is ever dropped
    window       unanswered samples of one stream under way. 1: every output comes, exactly once, whatever crashes. More: faster for
                 a single stream, but outputs that a crash takes are noted in `gaps` (stream, first seq, last seq)
    timeout      seconds that begin, and the first send of a stream, wait for the server
    model        which of the server's models

    A producer works while one of its methods runs: call `poll` now and then if you do not send. Samples of a stream are numbered
    by the producer; after a restart of your program it goes on where the server stands (see `begin`).
    """

    def __init__(self, endpoint, *, on_result=None, buffer=100_000, when_full="block", window=1, timeout=10.0, model=None, server_key=None,
                 key=None, context=None):
        if when_full not in ("block", "refuse"):
            raise ConfigError(f'when_full is "block" or "refuse", got {when_full!r}')
        if buffer < 1 or window < 1:
            raise ConfigError(f"buffer and window are 1 or more, got {buffer} and {window}")
        self.endpoint, self.when_full, self.timeout, self.model = endpoint, when_full, timeout, model
        self._on_result = on_result
        self._context = zmq.Context.instance() if context is None else context
        self._keys = server_key, key
        self._outbox = Outbox(buffer, window)
        self._session = Session(self._outbox, model)
        self._results = deque()
        self._socket = self._monitor = None
        self._next_try, self._pause = 0.0, TRY_AGAIN[0]
        self.connections = 0

    # -- sending -----------------------------------------------------------------------------------------------------------

    def begin(self, streams, answered=None):
        """Ask where streams stand; {stream: seq that the next sample gets}.

        `answered`: {stream: seq} of the last result that you have on record, if you keep any. A stream may then begin further
        back, where the server, or your record, lacks something: send those samples again. Only results that are new come out.
        """
        streams = [stream for stream in streams if stream not in self._outbox]
        places = self._places(streams)
        known = answered or {}
        return {stream: self._outbox.know(stream, places[stream], known.get(stream)) for stream in streams}

    def send(self, stream, x, t=None):
        """A sample; its seq. It is kept until it is answered, and durable if the server keeps a state file."""
        if stream not in self._outbox:
            self.begin([stream])
        if len(self._results) >= self._outbox.capacity:
            raise BufferFull(f"{len(self._results):,} results wait to be taken: call results(), or give the producer an on_result")
        while self._outbox.count >= self._outbox.capacity and self.when_full == "block":
            self._work(TICK)
        seq = self._outbox.next_seq(stream)
        self._outbox.add(stream, wire.sample(stream, x, seq, t, self.model))
        self._work(0)
        return seq

    def poll(self, seconds=0.0):
        """Work for so long: send what may go, hear what has come."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            self._work(max(0.0, min(left, TICK)))
            if left <= 0:
                return

    def flush(self, timeout=None, durable=False):
        """Until everything is answered (and durable); TimedOut if it takes longer."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._outbox.unanswered or (durable and self._outbox.not_durable()):
            if end is not None and time.monotonic() > end:
                raise TimedOut(
                    f"{self._outbox.unanswered:,} samples are unanswered, {self._outbox.count:,} not let go after {timeout:g} s: "
                    + silent(self.endpoint, timeout)
                )
            self._work(TICK)

    # -- what came of it -----------------------------------------------------------------------------------------------------

    def results(self):
        """New results, in order for each stream, each exactly once. (None come here if there is an on_result.)"""
        while self._results:
            yield self._results.popleft()

    @property
    def gaps(self):
        """(stream, first, last) of results that cannot be had any more."""
        return self._outbox.gaps

    @property
    def lost(self):
        """(stream, first, last) of samples that the server has forgotten and this producer has let go: its state is not what it was."""
        return self._outbox.lost

    @property
    def refused(self):
        """Errors (ServerRefused) that samples got: those are skipped."""
        return self._session.refusals

    @property
    def waiting(self):
        """Samples that are kept: not answered, or not durable."""
        return self._outbox.count

    # -- how ---------------------------------------------------------------------------------------------------------------

    def _places(self, streams):
        end, self._session.places = time.monotonic() + self.timeout, {}
        asked_on = None
        while not self._session.places.keys() >= set(streams):
            if time.monotonic() > end:
                raise TimedOut(silent(self.endpoint, self.timeout))
            if self._session.open and asked_on != self.connections:
                asked_on = self.connections
                self._send_all(self._session.ask_for(streams))
            self._work(TICK)
        return self._session.places

    def _work(self, wait):
        """Once around: connect if need be, send what is due, wait for something, hear what came."""
        now = time.monotonic()
        if self._socket is None and not self._connect(now):
            time.sleep(min(wait, max(0.0, self._next_try - now)))
            return None
        due = self._session.due(now)
        if due is None:
            return self._disconnect(now)
        if not self._send_all(due):
            return self._disconnect(now)
        if wait and not due:
            zmq.select([self._socket, self._monitor], [], [], wait)
        while self._socket.poll(0):
            self._hear(self._socket.recv())
        while self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            return self._disconnect(time.monotonic())
        return None

    def _send_all(self, frames):
        """False when the connection has gone; what it took along is sent again over the next one."""
        try:
            for frame in frames:
                self._socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _hear(self, frame):
        result = self._session.receive(frame, time.monotonic())
        if self._session.open:
            self._pause = TRY_AGAIN[0]
        if result is None:
            return
        if self._on_result:
            self._on_result(result)
        else:
            self._results.append(result)

    def _connect(self, now):
        """A connection of its own each time: what an old one still holds must never reach a server that has restarted."""
        if now < self._next_try:
            return False
        self._socket = opened(self._context, zmq.DEALER, self.endpoint, *self._keys, reconnects=False)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_CONNECT_RETRIED)
        self.connections += 1
        return self._send_all(self._session.greet(now))

    def _disconnect(self, now):
        self._session.open = False
        if self._socket is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket.close(linger=0)
        self._socket = self._monitor = None
        self._next_try, self._pause = now + self._pause, min(2 * self._pause, TRY_AGAIN[1])

    def close(self):
        """Give up what is still waiting; `flush` first to wait for it."""
        self._disconnect(time.monotonic())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.flush(self.timeout)
        finally:
            self.close()

    def __repr__(self):
        return (f"<Producer to {self.endpoint}: {len(self._outbox.streams):,} streams, {self._outbox.unanswered:,} unanswered, "
                f"{self._outbox.count:,} kept, epoch {self._session.epoch}>")
