"""Rows: the memory of many streams of one model, and the calls into the kernels that step them.

Memory grows a chunk at a time and never moves. A handle is slot + (generation << 32); closing a stream clears its row
and moves the slot's generation on, so an old handle is refused and a new stream starts from zeros.
"""
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np

from streamrnn import jit
from streamrnn.errors import ConfigError, EngineBusy, EngineFull, UnknownStream
from streamrnn.kernels import step as kernels
from streamrnn.kernels.step import BUSY, CHUNK, CHUNKS, FINE, GONE, IN_USE, MACHINE, PROGRAM, SLOT, WORK, WRONG_WIDTH
from streamrnn.kernels.tile import GROUP
from streamrnn.plan import aligned
from streamrnn.streams import samples

BUSY_MESSAGE = ("another thread is stepping this engine: one call at a time. Give each thread an engine of its own, "
                "or hold a lock around the calls")


class Rows:
    def __init__(self, packed, capacity=None, threads=1):
        if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
            raise ConfigError(f"threads must be a whole number of 1 or more, got {threads!r}")
        for dispatcher in (kernels.step_one, kernels.first_wrong, kernels.first_gone, kernels.steps):
            jit.ready(dispatcher)
        self._packed, self.plan = packed, packed.plan
        self.capacity, self.threads = capacity, int(threads)
        self.stride, self._inputs, self._outputs = self.plan.stride, self.plan.inputs, self.plan.outputs
        self._chunks, self._generations = [], []        # per chunk: rows (CHUNK, stride), generations (CHUNK,)
        self._free, self._next = [], 0
        self._work = [aligned(GROUP * self.plan.work_size) for _ in range(self.threads)]
        self._table = np.zeros(0, np.int64)
        self._machine = np.zeros(MACHINE, np.int64)
        self._machine[PROGRAM] = packed.program.ctypes.data
        self._machine[WORK] = self._work[0].ctypes.data
        self._address = self._machine.ctypes.data
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(self.threads - 1, "streamrnn") if self.threads > 1 else None

    # -- slots ----------------------------------------------------------------------------------------------------------

    def open(self):
        """A handle for a new stream, its row all zeros."""
        if self._machine[BUSY]:
            raise EngineBusy(BUSY_MESSAGE)
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._next
            if self.capacity is not None and slot >= self.capacity:
                raise EngineFull(f"all {self.capacity:,} streams of this engine are taken: close some, give idle ones a "
                                 "time to live (ttl=), or raise engine.capacity")
            if slot == len(self._chunks) * CHUNK:
                self._grow()
            self._next += 1
        return slot | int(self._generations[slot // CHUNK][slot % CHUNK]) << 32

    def _grow(self):
        left = CHUNK if self.capacity is None else min(CHUNK, self.capacity - len(self._chunks) * CHUNK)
        count = CHUNK if len(self._chunks) else left  # a single stream needs a single row
        self._chunks.append(aligned(count * self.stride).reshape(count, self.stride))
        self._generations.append(np.zeros(count, np.int64))
        table = np.array([a.ctypes.data for pair in zip(self._chunks, self._generations, strict=True) for a in pair], np.int64)
        self._machine[CHUNKS] = table.ctypes.data
        self._table = table

    def close(self, handle):
        """Clear the row; from now on the handle is refused."""
        row = self.row(handle)
        row[:] = 0
        slot = handle & SLOT
        self._generations[slot // CHUNK][slot % CHUNK] += 1
        self._free.append(slot)

    def row(self, handle):
        """The live row of a stream: a view, for one call's use."""
        if self._machine[BUSY]:
            raise EngineBusy(BUSY_MESSAGE)
        slot = handle & SLOT
        if self._generations[slot // CHUNK][slot % CHUNK] != handle >> 32:
            raise UnknownStream("this stream was closed: open it again by its id")
        return self._chunks[slot // CHUNK][slot % CHUNK]

    # -- steps ----------------------------------------------------------------------------------------------------------

    def step(self, handle, x):
        """One sample (inputs,) -> one result (outputs,)."""
        y = _empty(self._outputs, _F32)
        try:
            status = _step_one(self._address, handle, x, y)
        except TypeError:  # not a contiguous float32 vector: convert it, or say what is wrong with it
            x = samples.sample(x, self._inputs)
            status = _step_one(self._address, handle, x, y)
        if status != FINE:
            self._refuse(status, x)
        return y

    def _refuse(self, status, x):
        if status == GONE:
            raise UnknownStream("this stream was closed: open it again by its id")
        if status == IN_USE:
            raise EngineBusy(BUSY_MESSAGE)
        if status == WRONG_WIDTH:
            samples.sample(x, self._inputs)
        samples.refuse_value(x, self.plan.vocabulary)

    def steps(self, handles, x, lengths, numbers=None, distinct=True):
        """lengths[n] steps of handles[n]: (n, time, inputs) -> (n, time, outputs), zeros behind a length.

        Bad samples are refused before any stream is stepped; `numbers` are the rows of x in the user's own order.
        Unless the handles are `distinct` they are stepped one by one, in order.
        """
        if not self._lock.acquire(blocking=False):
            raise EngineBusy(BUSY_MESSAGE)
        try:
            self._machine[BUSY] = 1
            wrong = kernels.first_wrong(self._machine[PROGRAM], x, lengths)
            if wrong >= 0:
                n, t = divmod(wrong, x.shape[1])
                where = f"[{n if numbers is None else numbers[n]}]" + (f"[{t}]" if x.shape[1] > 1 else "")
                samples.refuse_value(x[n, t], self.plan.vocabulary, where)
            gone = kernels.first_gone(self._table.ctypes.data, handles)
            if gone >= 0:
                raise UnknownStream(f"stream {gone} of this batch was closed: look its id up again")
            shape = len(x), x.shape[1], self._outputs
            y = np.empty(shape, np.float32) if lengths.size and lengths.min() == x.shape[1] else np.zeros(shape, np.float32)
            self._run(handles, x, lengths, y, distinct)
            return y
        finally:
            self._machine[BUSY] = 0
            self._lock.release()

    def _run(self, handles, x, lengths, y, distinct):
        count = len(handles)
        parts = max(1, min(self.threads, count // (2 * GROUP))) if distinct else 1
        bounds = [round(i * count / parts / GROUP) * GROUP for i in range(parts)] + [count]
        arguments = int(self._machine[PROGRAM]), self._table.ctypes.data, handles, x, lengths, y
        others = [self._pool.submit(kernels.steps, *arguments, bounds[i], bounds[i + 1], self._work[i].ctypes.data, distinct)
                  for i in range(1, parts)]
        kernels.steps(*arguments, 0, bounds[1], self._work[0].ctypes.data, distinct)
        for other in others:
            other.result()


_empty, _F32, _step_one = np.empty, np.dtype(np.float32), kernels.step_one
