"""House: one served model's streams, as the compiled loop sees them. Python allocates; memory is taken as streams come."""
import secrets
from copy import copy

import numpy as np

from streamrnn import jit
from streamrnn.bus.core import layout as L
from streamrnn.bus.core import names
from streamrnn.bus.core.save import PAGES
from streamrnn.errors import ConfigError
from streamrnn.kernels.step import CHUNK, steps
from streamrnn.kernels.tile import GROUP
from streamrnn.plan import aligned

ROUND = 512            # messages that are answered together
PAGE_ROOM = 2048       # streams in a page for the store
MOST_CAPACITY = 1 << 24


def address(array):
    return array.ctypes.data


class House:
    """`capacity` streams of a model under a name; `keeps`: a store will hear of what changes.

    Arrays that the loop works on are attributes: slots (capacity, 24 bytes), rows (capacity, stride), lasts (capacity, outputs),
    durable (capacity,), and pages of copies for the store.
    """

    def __init__(self, name, model, capacity, largest_frame, keeps=False):
        if not 0 < capacity <= MOST_CAPACITY:
            raise ConfigError(f"a server takes 1 to {MOST_CAPACITY:,} streams of a model, got {capacity:,}")
        self.name, self.model, self.capacity, self.largest_frame = name, model, capacity, largest_frame
        self.reset = False  # has it taken over streams whose rows start from zeros?
        packed, plan = model.packed, model.packed.plan
        self.stride, self.outputs, inputs = plan.stride, plan.outputs, plan.inputs
        try:
            self.rows = aligned(capacity * plan.stride).reshape(capacity, plan.stride)
        except MemoryError:
            raise ConfigError(f"{capacity:,} streams of {4 * plan.stride:,} bytes are more than this machine can promise: take fewer "
                              "(--streams)") from None
        starts = address(self.rows) + 4 * plan.stride * np.arange(0, capacity, CHUNK)
        self._chunks = np.stack([starts, np.zeros_like(starts)], 1).astype(np.int64)
        self._work = aligned(GROUP * plan.work_size)
        size = 1 << (2 * capacity - 1).bit_length()
        self._table = np.zeros(size, np.uint32)
        self.slots = np.zeros((capacity, L.SLOT_RECORD), np.uint8)
        self.heap = np.zeros(capacity * 64 + 64, np.uint8)
        self._heap_free, self._free = np.zeros(9, np.int64), np.zeros(capacity, np.uint32)
        self.lasts = np.zeros((capacity, plan.outputs), np.float32)
        self._name = np.frombuffer(name.encode() or b"\0", np.uint8).copy()
        most = min(65_535, largest_frame // (4 * inputs)) + 1
        room = most + ROUND
        self._waiting = [np.zeros(room, np.int64), np.ones(room, np.int64), np.zeros(room * inputs, np.float32),
                         np.zeros(room * plan.outputs, np.float32), np.zeros(room, np.uint8)]
        self.table = np.zeros(L.HOUSE, np.int64)
        self.put(
            {
                L.STEPS: jit.address_of_code(steps),
                L.PROGRAM: address(packed.program),
                L.CHUNKS: address(self._chunks),
                L.WORK: address(self._work),
                L.STRIDE: plan.stride,
                L.INPUTS: inputs,
                L.OUTPUTS: plan.outputs,
                L.TOKENS: plan.vocabulary,
                L.TIMED: 2 if plan.timed else 0,
                L.SENSORS: plan.report,
                L.NAME: address(self._name),
                L.NAME_SIZE: len(name.encode()),
                L.CAPACITY: capacity,
                L.FREE: address(self._free),
                L.TABLE: address(self._table),
                L.MASK: size - 1,
                L.SLOT_BITS: capacity.bit_length(),
                L.SEED: secrets.randbits(63),
                L.SLOTS: address(self.slots),
                L.HEAP: address(self.heap),
                L.HEAP_FREE: address(self._heap_free),
                L.LASTS: address(self.lasts),
                L.MARK: 1,
                L.ROOM: room,
                L.MOST: most,
                **dict(zip((L.HANDLES, L.LENGTHS, L.XS, L.YS, L.NOTES), map(address, self._waiting), strict=True)),
            }
        )
        self.durable, self.pages = None, []
        if keeps:
            self.durable, self._dirty = np.zeros(capacity, np.int64), np.zeros(capacity, np.uint32)
            self.pages = [Page(self.stride + self.outputs) for _ in range(PAGES)]
            self._pages = np.stack([page.table for page in self.pages])
            for page, table in zip(self.pages, self._pages, strict=True):
                page.table = table
            self.put({L.DURABLE: address(self.durable), L.DIRTY: address(self._dirty), L.PAGES: address(self._pages),
                      L.PAGE_ROOM: PAGE_ROOM})

    def successor(self, model, reset):
        """The house that can take this one's place between two rounds: the same streams under another model.

        Unless `reset`, the layers are the same, and rows stay as they are; else each stream starts from zeros, with its seq.
        """
        if reset:
            house = House(self.name, model, self.capacity, self.largest_frame, bool(self.pages))
            for name in ("_table", "slots", "heap", "_heap_free", "_free", "durable", "_dirty"):
                setattr(house, name, getattr(self, name, None))
            shared = L.TABLE, L.MASK, L.SLOT_BITS, L.SEED, L.SLOTS, L.HEAP, L.HEAP_FREE, L.FREE, L.DURABLE, L.DIRTY
            house.put({field: int(self.table[field]) for field in shared})
        else:
            house = copy(self)
            house.model, house.table = model, self.table.copy()
            house.put({L.PROGRAM: address(model.packed.program)})
        house.reset = reset
        return house

    def put(self, values):
        """Fields of the table."""
        self.table[list(values)] = list(values.values())

    def __len__(self):
        return int(self.table[L.OPEN])

    @property
    def used(self):
        """Slots that have ever been used: the columns below are filled so far."""
        return int(self.table[L.NEXT])

    def column(self, offset, kind, size=1):
        """A field of the slots' records, as a view (used,)."""
        return self.slots[:self.used, offset:offset + np.dtype(kind).itemsize].view(kind)[:, 0] if self.used else np.zeros(0, kind)

    def id_of(self, slot):
        """The id in a slot, b"" if it is free; another thread than the loop's may see it change."""
        record = self.slots[slot]
        start = int(record[L.SLOT_ID:L.SLOT_ID + 4].view(np.uint32)[0]) * L.GRANULE
        return self.heap[start:start + int(record[L.SLOT_ID_SIZE])].tobytes()

    def slot_of(self, id):
        """The slot of an id (bytes), -1 if it is not open. Safe while nothing else changes the house."""
        return names.slot_of(address(self.table), np.frombuffer(id + bytes(8), np.uint8).copy())

    def fill(self, slots, ids, seqs, states):
        """Streams from a store into their slots, before the loop runs; `free_the_rest` when all are in."""
        slots, seqs = np.ascontiguousarray(slots, np.int64), np.ascontiguousarray(seqs, np.int64)
        if len(slots) and slots.max() >= self.capacity:
            raise ConfigError(f"the state file has a stream in place {slots.max():,} of {self.name or 'the model'}, and this server takes "
                              f"{self.capacity:,}: start it with --streams {slots.max() + 1} or more")
        self.rows[slots], self.lasts[slots] = states[:, :self.stride], states[:, self.stride:]
        sizes = np.array([len(id) for id in ids], np.uint8)
        packed = np.frombuffer(b"".join(id.ljust(72, b"\0") for id in ids), np.uint8).reshape(-1, 72).copy()
        names.seat_many(address(self.table), slots, packed, sizes, seqs)
        if self.durable is not None:
            self.durable[slots] = seqs

    def free_the_rest(self):
        names.free_the_rest(address(self.table))


class Page:
    """Copies of some streams, column by column, on their way to the store."""

    def __init__(self, width):
        self.slots, self.seqs = np.zeros(PAGE_ROOM, np.int64), np.zeros(PAGE_ROOM, np.int64)
        self.lives, self.ids = np.zeros(PAGE_ROOM, np.uint16), np.zeros((PAGE_ROOM, 64), np.uint8)
        self.id_sizes, self.states = np.zeros(PAGE_ROOM, np.uint8), np.zeros((PAGE_ROOM, width), np.float32)
        self.table = np.array([L.FREE_PAGE, 0, *map(address, (self.slots, self.seqs, self.lives, self.ids, self.id_sizes, self.states))],
                              np.int64)
