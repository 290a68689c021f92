"""What the control thread looks at once a second: streams to close after a time to live, and streams that fell silent.

It reads the records while the loop changes them, so it only proposes: the loop closes a stream if it is still the one that was
seen, and has not spoken since.
"""
import msgpack
import numpy as np

from streamrnn.bus.core import layout as L

AT_ONCE = 10_000  # streams that are closed in one look
SECOND = 1_000_000 // L.SEEN_UNIT


class Watch:
    def __init__(self, desk, seconds):
        self.desk, self.seconds = desk, seconds

    def idle(self, house):
        """Of each slot: seconds without a sample, whether there is a stream, and when it was last seen; as of one moment."""
        now = np.uint32(self.desk.now // L.SEEN_UNIT)
        seen = house.column(L.SLOT_SEEN, np.uint32).copy()  # the loop goes on writing there
        passed = (now - seen).astype(np.int32)  # a moment below zero, if it spoke just now
        return passed / SECOND, house.column(L.SLOT_ID_SIZE, np.uint8) > 0, seen

    def frame(self, event, house, slot, idle):
        """(topic, event) as they are published."""
        id = house.id_of(slot)
        about = {"event": event, "stream": id.decode(), "seq": int(house.column(L.SLOT_SEQ, np.int64)[slot]), "idle": round(float(idle), 2)}
        if len(self.desk.houses) > 1:
            about["model"] = house.name
        return b"!event/" + id, msgpack.packb(about)


class TimeToLive(Watch):
    """Closes streams that got no sample for so long, each with an event."""

    def look(self, control):
        for place, house in enumerate(self.desk.houses):
            idle, there, seen = self.idle(house)
            for slot in np.flatnonzero(there & (idle >= self.seconds))[:AT_ONCE].tolist():
                topic, event = self.frame("closed", house, slot, idle[slot])
                control.send(L.CLOSE_IDLE, place, slot, int(seen[slot]), len(topic), payload=topic + event)


class Silence(Watch):
    """Says when a stream that used to speak has stopped, and when it is back."""

    def __init__(self, desk, seconds):
        super().__init__(desk, seconds)
        self._silent = [np.zeros(house.capacity, bool) for house in desk.houses]
        self._seen = [np.zeros(house.capacity, np.uint32) for house in desk.houses]  # when those spoke last

    @property
    def count(self):
        return sum(int(silent.sum()) for silent in self._silent)

    def look(self, control):
        for house, silent, last in zip(self.desk.houses, self._silent, self._seen, strict=True):
            idle, there, seen = self.idle(house)
            silent, last = silent[:len(idle)], last[:len(idle)]
            silent &= there
            back = silent & (seen != last)  # even if it has fallen silent once more
            silent[back] = False
            stopped = there & (idle >= self.seconds) & ~silent
            for event, slots in ("speaks", back), ("silent", stopped):
                for slot in np.flatnonzero(slots).tolist():
                    topic, frame = self.frame(event, house, slot, idle[slot])
                    control.send(L.PUBLISH, len(topic), payload=topic + frame)
            silent[stopped], last[stopped] = True, seen[stopped]
