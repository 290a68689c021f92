"""Desk: the houses of a server, and the buffers between its sockets and them. No sockets here: messages in, entries out."""
import os
import time
from typing import NamedTuple

import numpy as np

from streamrnn import jit
from streamrnn.bus.core import layout as L
from streamrnn.bus.core import read
from streamrnn.bus.core.answer import SMALL, answer
from streamrnn.bus.core.codes import DETAILS
from streamrnn.bus.core.msgpack import DEEPEST
from streamrnn.bus.core.names import free_the_rest, seat_many, slot_of
from streamrnn.bus.core.peers import WAYS
from streamrnn.bus.core.reorder import let_in
from streamrnn.bus.core.save import save
from streamrnn.bus.core.take import LATER, LONGEST_NAME, SLACK, take
from streamrnn.bus.house import ROUND, House, address

MOST = 1_000_000
INBOX = 4 << 20
PEER_SETS = 1 << 12
HELD_ROOM, HELD_BYTES = 1024, 4096
KERNELS = (take, answer, save, let_in, seat_many, free_the_rest, slot_of)


def capacity(limits, model):
    """How many streams of a model there is room for."""
    if limits.streams != MOST or not hasattr(os, "sysconf"):
        return limits.streams
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return max(1, min(MOST, half // max(1, model.row_bytes)))


class Limits(NamedTuple):
    """What peers may do.

    frame     bytes of a message at most
    streams   of each model at most; unless said otherwise, no more than half of the memory holds
    per_peer  streams that one peer may open; 0: no limit
    rate      samples a second from one peer; 0: no limit
    """
    frame: int = 1 << 20       # bytes
    streams: int = MOST        # of each model; unless said otherwise, no more than half of the memory holds
    per_peer: int = 0          # streams that one peer may open
    rate: int = 0              # samples a second from one peer


class Entry(NamedTuple):
    """Something to send."""
    destination: int  # layout.ROUTER, PUB or PIPE
    head: bytes       # a peer's name, or a topic
    between: bool     # an empty part between them, as REQ wants it
    body: bytes


class Desk:
    """`models`: [(name, model)], the first one is the default. `epoch`: which start of the server this is.

    `reorder`: milliseconds that a sample waits for those before it.
    """

    def __init__(self, models, limits=Limits(), *, keeps=False, publishes=False, epoch=1, reorder=0):  # noqa: B008
        for kernel in KERNELS:
            jit.ready(kernel)
        self.limits = limits
        self.houses = [House(name, model, capacity(limits, model), limits.frame, keeps) for name, model in models]
        self.counters = np.zeros(L.COUNTERS_BEFORE_ERRORS + len(DETAILS), np.int64)
        self.waits = np.zeros((L.STAGES, L.BUCKETS + 1), np.int64)
        largest = max(_largest_reply(house, limits.frame) for house in self.houses)
        self._inbox, self._outbox = np.zeros(INBOX + limits.frame, np.uint8), np.zeros(INBOX + largest, np.uint8)
        self._messages, self._entries = np.zeros((ROUND, L.MESSAGE), np.int64), np.zeros((8 * ROUND, L.ENTRY), np.int64)
        self._field, self._stack = np.zeros(read.FIELDS, np.int64), np.zeros(DEEPEST, np.int64)
        self._peers = np.zeros((PEER_SETS * WAYS, L.PEER), np.int64)
        self._addresses = np.zeros(len(self.houses), np.int64)
        self._texts, self._text_table = _texts()
        self.table = np.zeros(L.DESK, np.int64)
        fields = {
            L.HOUSES: address(self._addresses),
            L.HOUSE_COUNT: len(self.houses),
            L.FIELD: address(self._field),
            L.STACK: address(self._stack),
            L.INBOX: address(self._inbox),
            L.INBOX_SIZE: len(self._inbox),
            L.MESSAGES: address(self._messages),
            L.MESSAGE_ROOM: ROUND,
            L.OUTBOX: address(self._outbox),
            L.OUTBOX_SIZE: len(self._outbox),
            L.ENTRIES: address(self._entries),
            L.ENTRY_ROOM: len(self._entries),
            L.PUBLISHES: publishes,
            L.KEEPS: keeps,
            L.EPOCH: epoch,
            L.LARGEST_FRAME: limits.frame,
            L.STREAMS_PER_PEER: limits.per_peer,
            L.RATE: limits.rate,
            L.PEERS: address(self._peers),
            L.PEER_MASK: PEER_SETS - 1,
            L.STARTED: time.monotonic_ns() // 1000,
            L.COUNTERS: address(self.counters),
            L.WAITS: address(self.waits),
            L.TEXTS: address(self._text_table),
        }
        self.table[list(fields)] = list(fields.values())
        self._held_bytes = np.zeros((HELD_ROOM, HELD_BYTES), np.uint8)
        self._held = np.zeros((HELD_ROOM, L.HELD_RECORD), np.int64)
        self._held[:, L.HELD_AT] = address(self._held_bytes) + HELD_BYTES * np.arange(HELD_ROOM)
        self.table[[L.REORDER, L.HELD, L.HELD_ROOM, L.HELD_BYTES]] = round(reorder * 1000), address(self._held), HELD_ROOM, HELD_BYTES
        self._addresses[:] = [address(house.table) for house in self.houses]
        self.by_address = {address(house.table): house for house in self.houses}
        self._former = {}

    def expect(self, place, house):
        """This house will stand at that place as soon as the loop has swapped it in."""
        self._former[place] = self.houses[place]
        self.by_address[address(house.table)] = house
        self.houses[place] = house

    def forget_former(self, place):
        """Nobody works on the house that stood there before."""
        former = self._former.pop(place, None)
        if former is not None:
            del self.by_address[address(former.table)]

    @property
    def now(self):
        """Microseconds since the start."""
        return time.monotonic_ns() // 1000 - int(self.table[L.STARTED])

    def take(self, frame, peer=b"", *, origin=L.ROUTER, envelope=False, parts=1):
        """A message comes in; False if there is no room for it until `answers` has been called."""
        used = int(self.table[L.INBOX_USED])
        peer_size, kept = len(peer), frame[:self.limits.frame]
        if used + peer_size + len(kept) + SLACK > len(self._inbox) or peer_size > LONGEST_NAME:
            return False
        self._inbox[used:used + peer_size + len(kept)] = np.frombuffer(peer + kept, np.uint8)
        at = address(self._inbox) + used
        self.table[L.NOW] = self.now
        if take(address(self.table), origin, at, peer_size, envelope, at + peer_size, len(frame), parts) == LATER:
            return False
        self.table[L.INBOX_USED] += peer_size + len(kept) + SLACK
        return True

    def answers(self):
        """Step what waits: everything that has to be sent now."""
        entries, left = [], 1
        self.table[L.NOW] = self.now
        if self.table[L.HELD_COUNT]:
            let_in(address(self.table))
        while left:
            left = answer(address(self.table))
            entries += self._written()
        return entries

    def _written(self):
        return [Entry(int(e[L.DESTINATION]), self._bytes(e[L.HEAD_AT], e[L.HEAD_SIZE]), bool(e[L.BETWEEN]),
                      self._bytes(e[L.BODY_AT], e[L.BODY_SIZE])) for e in self._entries[:self.table[L.ENTRY_COUNT]]]

    def _bytes(self, at, size):
        for array in (self._outbox, self._inbox):
            start = int(at) - address(array)
            if 0 <= start < len(array):
                return array[start:start + int(size)].tobytes()
        raise IndexError(f"no buffer holds {at}")


def _largest_reply(house, frame):
    """A bound on one reply's bytes (core.answer)."""
    most = int(house.table[L.MOST])
    return max(SMALL + 12 * frame, SMALL + 2 * frame + most * (5 * house.outputs + 9))


def _texts():
    """Codes and details as bytes, and a table (details, 4) of where they lie: code, its size, text, its size."""
    content, spans = bytearray(), []
    for words in DETAILS:
        for word in words:
            spans.append((len(content), len(word.encode())))
            content += word.encode()
    buffer = np.frombuffer(bytes(content) + bytes(8), np.uint8).copy()
    table = np.array(spans, np.int64).reshape(-1, 4)
    table[:, [0, 2]] += address(buffer)
    return buffer, table
