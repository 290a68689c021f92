"""What a producer has sent and may have to send again. No sockets, no clock: numbers and frames only.

Per stream: samples in order, numbered from one on. A sample is let go when it is answered and durable. It may be sent when it
has been answered before (a replay), or when fewer than `window` of its stream are unanswered. Results come out once each, in
order; what cannot be had any more is noted in `gaps`.
"""
from collections import deque

from streamrnn.errors import BufferFull


class _Line:
    """One stream's samples [first, first + len): seqs up to `sent` are under way or done, up to `answered` have their results."""

    __slots__ = ("answered", "durable", "first", "frames", "sent")

    def __init__(self, last):
        self.frames, self.first = deque(), last + 1
        self.sent = self.answered = self.durable = last

    @property
    def end(self):
        return self.first + len(self.frames) - 1


class Outbox:
    """`capacity` samples at most, over all streams; `window` unanswered ones of a stream under way."""

    def __init__(self, capacity, window=1):
        self.capacity, self.window = capacity, window
        self.count = 0
        self.gaps = []          # (stream, first, last) of results that are lost
        self.lost = []          # (stream, first, last) of samples that the server has forgotten and nobody has any more
        self._lines = {}
        self._ready = deque()   # streams that may have something to send
        self._store = True

    def __contains__(self, stream):
        return stream in self._lines

    @property
    def streams(self):
        return list(self._lines)

    @property
    def unanswered(self):
        return sum(max(0, line.end - line.answered) for line in self._lines.values())

    def not_durable(self):
        """Streams with samples that wait for nothing but to be durable."""
        return [stream for stream, line in self._lines.items() if line.frames and line.first <= line.answered] if self._store else []

    def know(self, stream, last, answered=None):
        """Where a stream stands: the last seq that the server stepped, and the last whose result the caller has on record.

        Answers the seq that the next sample gets.
        """
        answered = last if answered is None else answered
        line = self._lines[stream] = _Line(min(last, answered))
        line.answered = answered
        return line.first

    def next_seq(self, stream):
        return self._lines[stream].end + 1

    def add(self, stream, frame):
        """A sample under the stream's next seq."""
        if self.count >= self.capacity:
            raise BufferFull(
                f"{self.count:,} samples wait to be answered or durable, and the buffer takes {self.capacity:,}: is the server "
                "reachable, and can it write its state file? Wait (flush), or give the producer a larger buffer"
            )
        self._lines[stream].frames.append(frame)
        self.count += 1
        self._ready.append(stream)

    def frames(self, most=1000):
        """Frames that may go out now; they count as sent."""
        out = []
        while self._ready and len(out) < most:
            stream = self._ready.popleft()
            line = self._lines[stream]
            limit = min(line.end, max(line.answered, line.answered + self.window))
            if line.sent < limit:
                line.sent += 1
                out.append(line.frames[line.sent - line.first])
                if line.sent < limit:
                    self._ready.append(stream)
        return out

    def result(self, stream, seq):
        """A result came: is it new? Earlier ones that never came are gaps."""
        line = self._lines.get(stream)
        if line is None or seq <= line.answered:
            return False
        if seq > line.answered + 1:
            self.gaps.append((stream, line.answered + 1, seq - 1))
        line.answered = seq
        line.sent = max(line.sent, seq)
        self._let_go(line)
        self._ready.append(stream)
        return True

    def refused(self, stream, seq):
        """The server will not take this sample, now or ever: it counts as answered, and later ones go on without it."""
        return self.result(stream, seq)

    def unsend(self, stream, seq):
        """The server would not take this sample just now: it and those behind it go out again."""
        line = self._lines[stream]
        line.sent = max(min(line.sent, seq - 1), line.first - 1)
        self._ready.append(stream)

    def durable(self, durable, store=True):
        """{stream: seq} that would survive a crash."""
        self._store = store
        for stream, seq in durable.items():
            line = self._lines.get(stream)
            if line is not None:
                line.durable = max(line.durable, seq)
                self._let_go(line)

    def _let_go(self, line):
        done = min(line.answered, line.durable) if self._store else line.answered
        while line.frames and line.first <= done:
            line.frames.popleft()
            line.first += 1
            self.count -= 1
        if not line.frames:
            line.first = max(line.first, line.sent + 1)

    def start_over(self, durable, last, store):
        """A connection is new, and perhaps the server: send again what it has not stepped, and what was never answered."""
        self._ready.clear()
        for stream, seq in last.items():
            line = self._lines.get(stream)
            if line is None:
                continue
            line.durable = durable.get(stream, 0)  # an older state file may have come back
            if seq < line.first - 1:
                self.lost.append((stream, seq + 1, line.first - 1))
            line.sent = max(min(seq, line.answered), line.first - 1)
        self.durable(durable, store)
        self._ready.extend(stream for stream, line in self._lines.items() if line.sent < line.end)
