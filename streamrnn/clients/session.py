"""A producer's conversation with a server: greet, send, hear, and notice when it has to start over. No sockets: frames in, frames
out, and the time is told.

On every new connection the server is asked where each stream stands before any sample goes out, so that no sample can reach a
restarted server ahead of those it has lost.
"""
from streamrnn.clients import wire
from streamrnn.errors import ServerRefused

PING_EVERY, GONE_AFTER = 1.0, 3.0     # seconds
ASK_EVERY = 0.5                       # for what has become durable
IDS_A_FRAME = 2000
GREETING, PLACES, DURABLE = 1, 2, 3   # tags of the questions
AGAIN = {"rate"}                      # errors after which the same sample may be sent again


class Session:
    """`outbox`: what has to be sent. `waiting`: streams whose place has to be asked for, before they can be numbered."""

    def __init__(self, outbox, model=None):
        self.outbox, self.model = outbox, model
        self.epoch, self.store = None, None
        self.open = False
        self.refusals = []                # ServerRefused, of samples
        self.places = {}                  # {stream: last} of those that were asked for
        self._heard = self._pinged = self._asked = self._pause = 0.0
        self._greetings, self._answers = 0, ({}, {})

    def greet(self, now):
        """Frames for a connection that has just been made."""
        self.open, self._heard, self._pinged = False, now, now
        questions = self._questions(self.outbox.streams, GREETING) or [wire.control("resume", streams=[], model=self.model, tag=GREETING)]
        self._greetings, self._answers = len(questions), ({}, {})
        return [wire.control("ping"), *questions]

    def ask_for(self, streams):
        """Frames that ask where these streams stand; the answers go into `places`."""
        return self._questions(list(streams), PLACES)

    def _questions(self, ids, tag):
        return [wire.control("resume", streams=ids[n:n + IDS_A_FRAME], model=self.model, tag=tag) for n in range(0, len(ids), IDS_A_FRAME)]

    def due(self, now):
        """Frames to send now; None when the connection is no good any more."""
        if now - self._heard > GONE_AFTER:
            return None
        frames = []
        if now - self._pinged >= PING_EVERY:
            self._pinged = now
            frames.append(wire.control("ping"))
        if self.open and now - self._asked >= ASK_EVERY:
            self._asked = now
            frames += self._questions(self.outbox.not_durable(), DURABLE)
        if self.open and now >= self._pause:
            frames += self.outbox.frames()
        return frames

    def receive(self, frame, now):
        """A Result that is new, or None."""
        self._heard = now
        reply = wire.unpacked(frame)
        if reply.get("op") == "ping":
            self.epoch = reply["epoch"]
        elif reply.get("op") == "resume":
            self._resumed(reply)
        elif "error" in reply:
            self._refused(reply, now)
        else:
            result = wire.understood(reply)
            if result.seq is not None and self.outbox.result(result.stream, result.seq):
                return result
        return None

    def _resumed(self, reply):
        self.store, tag = reply["store"], reply.get("tag")
        if tag == DURABLE:
            self.outbox.durable(reply["durable"], self.store)
        elif tag == PLACES:
            self.places.update(reply["last"])
        elif tag == GREETING and self._greetings:
            self._greetings -= 1
            for known, new in zip(self._answers, (reply["durable"], reply["last"]), strict=True):
                known.update(new)
            if not self._greetings:
                self.outbox.start_over(*self._answers, self.store)
                self.open = True

    def _refused(self, reply, now):
        code, stream, seq = reply["error"], reply.get("stream"), reply.get("seq")
        if code in AGAIN and stream in self.outbox:
            self._pause = now + 0.1
            self.outbox.unsend(stream, seq)
            return
        self.refusals.append(ServerRefused(code, reply["detail"], stream, seq))
        if seq is not None and stream in self.outbox:
            self.outbox.refused(stream, seq)
