"""Rows on a GPU: the memory of many streams of one model there, and the launches that step them. The same door as streams.rows.

Rows lie in one slab that doubles when it is full; slots, generations and handles stay on the host. Samples go down and results
come up; nothing else moves. What takes an array of the host takes one on the device too (anything with __cuda_array_interface__).
"""
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

import numpy as np

from streamrnn.cuda import device
from streamrnn.cuda.program import BLOCKS, DeviceProgram, compiled_steps, kinds
from streamrnn.cuda.step import DESK, FINE, GROUP, PROGRAM, REFUSE, REFUSED, ROWS, WORK, refuse
from streamrnn.cuda.tile import THREADS
from streamrnn.errors import EngineBusy, EngineFull, InputError, UnknownStream
from streamrnn.kernels import frame
from streamrnn.kernels.step import SLOT
from streamrnn.streams import samples
from streamrnn.streams.rows import BUSY_MESSAGE, CLOSED

FIRST = 1024      # rows of the first slab
ALONE = ()        # the numbers of a sample that is no part of a batch
SMALL = 1 << 15   # numbers in a batch that the host looks at faster than another launch would


class Exchange(NamedTuple):
    """Pinned memory for samples and results of a batch, and where they lie on the device."""
    x: np.ndarray
    y: np.ndarray
    x_there: object
    y_there: object


class CudaRows:
    device = "cuda"
    threads = 1

    def __init__(self, packed, capacity=None, fixed=False):
        device.require()
        self.plan, self.capacity = packed.plan, capacity
        self.stride, self._inputs, self._outputs = self.plan.stride, self.plan.inputs, self.plan.outputs
        self._program = DeviceProgram(packed.plan, packed.tensors)
        self._refuse = device.compiled(refuse, REFUSE, THREADS)
        self._slab = device.array((min(FIRST, capacity) if fixed else FIRST, max(1, self.stride)))
        self._generations = np.zeros(len(self._slab), np.int64)
        self._free, self._next, self._closed = [], 0, 0
        self._wrong = device.upload(np.array([FINE]))
        self._fine = np.array([FINE])
        self._desks, self._works, self._exchanges = {}, {}, {}
        self._queue = device.queue()
        self._batch = None        # the last batch of handles with its slots on the device, and `_closed` then
        self._lock = Lock()

    def __repr__(self):
        return f"<{len(self._generations):,} rows on {device.name()}>"

    @contextmanager
    def _alone(self, wait=False):
        if not self._lock.acquire(blocking=wait):
            raise EngineBusy(BUSY_MESSAGE)
        try:
            yield
        finally:
            self._lock.release()

    # -- slots ----------------------------------------------------------------------------------------------------------

    def open(self):
        with self._alone():
            if self.capacity is not None and self._next - len(self._free) >= self.capacity:
                raise EngineFull(f"all {self.capacity:,} streams of this engine are taken: close some, give idle ones a "
                                 "time to live (ttl=), or raise engine.capacity")
            if not self._free and self._next == len(self._generations):
                self._grow()
            slot = self._free.pop() if self._free else self._next
            self._next = max(self._next, slot + 1)
            return slot | int(self._generations[slot]) << 32

    def _grow(self):
        count = len(self._generations)
        slab = device.array((2 * count, max(1, self.stride)))
        slab[:count].copy_to_device(self._slab)
        self._slab, self._desks = slab, {}
        self._generations = np.concatenate([self._generations, np.zeros(count, np.int64)])

    def close(self, handle, wait=False):
        with self._alone(wait):
            slot = self._slot(handle)
            self._slab[slot].copy_to_device(np.zeros(self._slab.shape[1], np.float32))
            self._generations[slot] += 1
            self._free.append(slot)
            self._closed += 1

    def _slot(self, handle):
        slot = handle & SLOT
        if self._generations[slot] != handle >> 32:
            raise UnknownStream(CLOSED)
        return slot

    def read(self, handle):
        with self._alone():
            return device.download(self._slab[self._slot(handle)])[:self.stride]

    row = read

    def read_all(self, handles):
        """Copies of these streams' rows, in one go."""
        with self._alone():
            slab = device.download(self._slab)[:, :self.stride]
            return [slab[self._slot(handle)] for handle in handles]

    def write_all(self, handles, values):
        with self._alone():
            slab = device.download(self._slab)
            for handle, row in zip(handles, values, strict=True):
                slab[self._slot(handle), :self.stride] = row
            self._slab.copy_to_device(slab)

    def write(self, handle, values):
        with self._alone():
            slot, row = self._slot(handle), np.zeros(self._slab.shape[1], np.float32)
            row[:self.stride] = samples.as_float32(values)
            self._slab[slot].copy_to_device(row)

    def clear(self, handle):
        self.write(handle, np.zeros(self.stride, np.float32))

    @staticmethod
    def taken(x):
        """A batch of samples as `steps` wants it: of the host, or of the device as it is."""
        if not device.holds(x):
            return samples.as_float32(x)
        x = device.wrapped(x)
        if x.dtype != np.float32 or not x.is_c_contiguous():
            raise InputError(f"samples on the device must be contiguous float32, got {x.dtype}, strides {x.strides}")
        return x

    def into(self, out, count):
        """The option of `steps` that says where results on the device go."""
        if out is None:
            return {}
        out = self.taken(out)
        if not device.holds(out) or out.shape != (count, self._outputs):
            raise InputError(f"out must lie on the device, with shape {(count, self._outputs)}; got {type(out).__name__} of {out.shape}")
        return {"out": out.reshape(count, 1, self._outputs)}

    # -- steps ----------------------------------------------------------------------------------------------------------

    def step(self, handle, x):
        """One sample (inputs,) -> one result (outputs,)."""
        x = samples.sample(x, self._inputs)
        self._slot(handle)
        return self.steps(np.array([handle], np.int64), x[None, None], numbers=ALONE)[0, 0]

    def steps(self, handles, x, lengths=None, numbers=None, distinct=True, out=None):
        """As streams.rows.Rows.steps; samples that lie on the device give results on the device, in `out` if it is given."""
        with self._alone():
            slots = self.slots(handles)
            if device.holds(x):
                return self._steps_there(slots, device.wrapped(x), lengths, distinct, out)
            if not distinct:
                return self._steps_in_order(slots, x, lengths, numbers)
            if small := x.size <= SMALL:
                self._refuse_wrong(first_wrong(x, lengths, self.plan.vocabulary), x, numbers)
            desk = self._exchange(*x.shape[:2])
            desk.x[:] = x
            desk.x_there.copy_to_device(desk.x, stream=self._queue)
            self._ask(slots, desk.x_there, desk.y_there, lengths, None if small else self._wrong)
            desk.y_there.copy_to_host(desk.y, stream=self._queue)
            self._queue.synchronize()
            if not small:
                self._refuse_wrong(self._found(), x, numbers)
            y = desk.y.copy()
            if lengths is not None:  # behind its end a sequence leaves there what a former batch left
                y[np.arange(x.shape[1]) >= np.asarray(lengths)[:, None]] = 0
            return y

    def _exchange(self, count, time):
        """Memory that samples and results of this shape go through; kept for the next batch."""
        if (count, time) not in self._exchanges:
            self._exchanges.clear()
            shapes = (count, time, self._inputs), (count, time, self._outputs)
            self._exchanges[count, time] = Exchange(*map(device.pinned, shapes), *map(device.array, shapes))
        return self._exchanges[count, time]

    def _steps_there(self, slots, x, lengths, distinct, out):
        if not distinct:
            y = device.upload(self._steps_in_order(slots, device.download(x), lengths, None))
        else:
            shape = (*x.shape[:2], self._outputs)
            y = out if out is not None else device.room(shape) if lengths is None else device.array(shape)
            self._ask(slots, x, y, lengths, self._wrong)
            self._queue.synchronize()
            self._refuse_wrong(self._found(), x, None)
        return y

    def _steps_in_order(self, slots, x, lengths, numbers):
        """Streams some of which come again: the first sample of each, then the second, and so on."""
        lengths = full(*x.shape[:2]) if lengths is None else lengths
        self._refuse_wrong(first_wrong(x, lengths, self.plan.vocabulary), x, numbers)
        slots, y = device.download(slots), np.zeros((*x.shape[:2], self._outputs), np.float32)
        for turn in turns(slots):
            part = device.array((len(turn), x.shape[1], self._outputs))
            self._ask(device.upload(slots[turn]), device.upload(x[turn]), part, lengths[turn], None)
            y[turn] = device.download(part, self._queue)
        return y

    def _ask(self, slots, x, y, lengths, wrong):
        """Launch a batch, looked at first if `wrong` is where to say what is wrong with it."""
        there = full_there(*x.shape[:2]) if lengths is None else device.upload(np.ascontiguousarray(lengths, np.int64))
        if wrong is not None:
            self.look(x, there, wrong, self._queue)
        self.launch(slots, x, y, there, wrong, self._queue)

    def _found(self):
        return int(device.download(self._wrong)[0])

    def _refuse_wrong(self, number, x, numbers):
        if number == FINE:
            return
        self._wrong.copy_to_device(self._fine)
        n, t = divmod(number, x.shape[1])
        where = "" if numbers is ALONE else f"[{n if numbers is None else numbers[n]}]" + (f"[{t}]" if x.shape[1] > 1 else "")
        sample = device.download(x[n, t]) if device.holds(x) else x[n, t]
        samples.refuse_value(sample, self.plan.vocabulary, where)

    def slots(self, handles):
        """Slots of these handles, on the device: looked up once for a batch that comes again."""
        if self._batch is None or self._batch[0] is not handles or self._batch[1] != self._closed:
            slots = handles & SLOT
            gone = np.flatnonzero(self._generations[slots] != handles >> 32)
            if len(gone):
                raise UnknownStream(f"stream {gone[0]} of this batch was closed: look its id up again")
            self._batch = handles, self._closed, device.upload(slots)
        return self._batch[2]

    def look(self, x, lengths, wrong, queue):
        """Have the device find the first sample that a step would refuse; steps that are launched behind it do nothing then."""
        count, time, inputs = x.shape
        if count * time * inputs:
            blocks = min(-(-count * time * inputs // THREADS), 8 * device.multiprocessors())
            self._refuse[blocks, THREADS, queue](device.address(x), device.address(lengths), wrong, count, time, inputs,
                                                 self.plan.vocabulary)

    def launch(self, slots, x, y, lengths, wrong, queue):
        """Steps of arrays on the device, asked for and not waited for."""
        count, time = x.shape[:2]
        if not count * time:
            return
        tile = self._program.tile_for(count)
        together = self._program.groups[tile]
        blocks = min(-(-count // together), BLOCKS * device.multiprocessors())
        compiled_steps(kinds(self.plan), tile)[blocks, THREADS, queue](
            self._desk(tile, self._wrong if wrong is None else wrong), device.address(slots), device.address(x), device.address(y),
            device.address(lengths), count, time)

    def _desk(self, tile, wrong):
        """The address of what a launch with such tiles needs."""
        key = tile, device.address(wrong)
        if key not in self._desks:
            together = self._program.groups[tile]
            if tile not in self._works:
                self._works[tile] = device.array(max(1, BLOCKS * device.multiprocessors() * together * self._program.work_size))
            desk = np.zeros(DESK, np.int64)
            desk[[PROGRAM, ROWS, WORK, GROUP, REFUSED]] = (
                self._program.address, device.address(self._slab), device.address(self._works[tile]), together, device.address(wrong))
            there = device.upload(desk)
            self._desks[key] = device.address(there), there
        return self._desks[key][0]


def turns(slots):
    """Places of the first sample of each stream, then of the second, and so on."""
    order = np.argsort(slots, kind="stable")
    ranked = slots[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ranked)) + 1]
    rank = np.empty(len(slots), np.int64)
    rank[order] = np.arange(len(slots)) - np.repeat(starts, np.diff(np.r_[starts, len(slots)]))
    for turn in range(rank.max() + 1):
        yield np.flatnonzero(rank == turn)


def first_wrong(x, lengths, vocabulary):
    """What `step.refuse` finds, found on the host."""
    fine = ~np.isinf(x) if vocabulary == frame.GAPS else np.isfinite(x)
    if vocabulary > 0:
        fine &= (x >= 0) & (x < vocabulary) & (x == np.floor(x))
    if fine.all():
        return FINE
    wrong = ~fine.all(2)
    if lengths is not None:
        wrong &= np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
    return int(wrong.argmax()) if wrong.any() else FINE


def full(count, time):
    """Lengths of a batch whose sequences have all the same."""
    return np.full(count, time, np.int64)


@lru_cache(maxsize=8)
def full_there(count, time):
    return device.upload(full(count, time))
