"""Rows: the memory of many streams of one model, and the calls into the kernels that step them.

Memory grows a chunk at a time and never moves. A handle is slot + (generation << 32); closing a stream clears its row
and moves the slot's generation on, so an old handle is refused and a new stream starts from zeros.
"""
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

import numpy as np

from streamrnn import jit
from streamrnn.errors import ConfigError, EngineBusy, EngineFull, UnknownStream
from streamrnn.kernels import step as kernels
from streamrnn.kernels.step import BUSY, CHUNK, CHUNKS, FINE, GONE, IN_USE, MACHINE, PROGRAM, SLOT, WORK, WRONG_WIDTH
from streamrnn.kernels.tile import GROUP
from streamrnn.plan import aligned
from streamrnn.streams import samples

NEAR = 1 << 18  # floats of state that stay in a core's L2 between two batches
CLOSED = "this stream was closed: open it again by its id"
BUSY_MESSAGE = ("another thread is stepping this engine: one call at a time. Give each thread an engine of its own, "
                "or hold a lock around the calls")


class Rows:
    """`fixed`: never more streams than `capacity`, so that memory is taken for just these."""

    device = "cpu"

    def __init__(self, packed, capacity=None, threads=1, fixed=False):
        if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
            raise ConfigError(f"threads must be a whole number of 1 or more, got {threads!r}")
        for dispatcher in (kernels.step_one, kernels.move_row, kernels.first_wrong, kernels.first_gone, kernels.steps):
            jit.ready(dispatcher)
        self._packed, self.plan = packed, packed.plan
        self.capacity, self.threads, self._fixed = capacity, int(threads), fixed
        self.stride, self._inputs, self._outputs = self.plan.stride, self.plan.inputs, self.plan.outputs
        self._chunks, self._generations = [], []        # per chunk: rows (CHUNK, stride), generations (CHUNK,)
        self._free, self._next = [], 0
        self._work = [aligned(GROUP * self.plan.work_size) for _ in range(self.threads)]
        self._table = np.zeros(0, np.int64)
        self._machine = np.zeros(MACHINE, np.int64)
        # a look at .ctypes costs a microsecond: addresses are kept
        self._program, self._works = packed.program.ctypes.data, [work.ctypes.data for work in self._work]
        self._address, self._table_address = self._machine.ctypes.data, 0
        self._machine[[PROGRAM, WORK]] = self._program, self._works[0]
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(self.threads - 1, "streamrnn") if self.threads > 1 else None

    @contextmanager
    def _alone(self, wait=False):
        """Nobody else changes slots or runs a batch meanwhile. A batch in another thread is an error, unless we `wait`."""
        if self._machine[BUSY] and not wait:
            raise EngineBusy(BUSY_MESSAGE)
        with self._lock:
            yield

    # -- slots ----------------------------------------------------------------------------------------------------------

    def open(self):
        """A handle for a new stream, its row all zeros."""
        with self._alone():
            if self.capacity is not None and self._next - len(self._free) >= self.capacity:
                raise EngineFull(f"all {self.capacity:,} streams of this engine are taken: close some, give idle ones a "
                                 "time to live (ttl=), or raise engine.capacity")
            if not self._free and self._next == len(self._chunks) * CHUNK:
                self._grow()
            slot = self._free.pop() if self._free else self._next
            self._next = max(self._next, slot + 1)
            return slot | int(self._generations[slot // CHUNK][slot % CHUNK]) << 32

    def _grow(self):
        count = min(CHUNK, self.capacity - self._next) if self._fixed else CHUNK
        self._chunks.append(aligned(count * self.stride).reshape(count, self.stride))
        self._generations.append(np.zeros(count, np.int64))
        table = np.array([a.ctypes.data for pair in zip(self._chunks, self._generations, strict=True) for a in pair], np.int64)
        self._machine[CHUNKS] = self._table_address = table.ctypes.data
        self._table = table

    def close(self, handle, wait=False):
        """Clear the row; from now on the handle is refused."""
        with self._alone(wait):
            self.clear(handle)
            slot = handle & SLOT
            self._generations[slot // CHUNK][slot % CHUNK] += 1
            self._free.append(slot)

    def row(self, handle):
        """The live row of a stream, a view: for looking only."""
        if self._machine[BUSY]:
            raise EngineBusy(BUSY_MESSAGE)
        slot = handle & SLOT
        if self._generations[slot // CHUNK][slot % CHUNK] != handle >> 32:
            raise UnknownStream(CLOSED)
        return self._chunks[slot // CHUNK][slot % CHUNK]

    def read(self, handle):
        """A copy of a stream's row."""
        values = np.empty(self.stride, np.float32)
        self._refuse(kernels.move_row(self._address, handle, values, 0), None)
        return values

    def write(self, handle, values):
        """Put these values into a stream's row."""
        self._refuse(kernels.move_row(self._address, handle, samples.as_float32(values), 1), None)

    def read_all(self, handles):
        """The live rows of these streams, one by one: for looking only."""
        return map(self.row, handles)

    def write_all(self, handles, values):
        for handle, row in zip(handles, values, strict=True):
            self.write(handle, row)

    def clear(self, handle):
        """Back to the zero state."""
        self.write(handle, np.zeros(self.stride, np.float32))

    taken = staticmethod(samples.as_float32)  # a batch of samples as `steps` wants it

    def into(self, out, count):
        """The option of `steps` that says where results go."""
        if out is not None:
            raise ConfigError("out is for results on a GPU: this engine is on the CPU")
        return {}

    # -- steps ----------------------------------------------------------------------------------------------------------

    def step(self, handle, x):
        """One sample (inputs,) -> one result (outputs,)."""
        y = _empty(self._outputs, _F32)
        try:
            status = _step_one(self._address, handle, x, y)
        except (TypeError, ValueError):  # not a contiguous float32 vector: convert it, or say what is wrong with it
            x = samples.sample(x, self._inputs)
            status = _step_one(self._address, handle, x, y)
        if status != FINE:
            self._refuse(status, x)
        return y

    def _refuse(self, status, x):
        if status == FINE:
            return
        if status == GONE:
            raise UnknownStream(CLOSED)
        if status == IN_USE:
            raise EngineBusy(BUSY_MESSAGE)
        if status == WRONG_WIDTH:
            samples.sample(x, self._inputs)
        samples.refuse_value(x, self.plan.vocabulary)

    def steps(self, handles, x, lengths=None, numbers=None, distinct=True):
        """lengths[n] steps of handles[n], all there are by default: (n, time, inputs) -> (n, time, outputs), then zeros.

        Bad samples are refused before any stream is stepped; `numbers` are the rows of x in the user's own order.
        Unless the handles are `distinct` they are stepped one by one, in order.
        """
        shape = len(x), x.shape[1], self._outputs
        if lengths is None:
            lengths, y = _all_of(*shape[:2]), np.empty(shape, np.float32)
        else:
            y = np.zeros(shape, np.float32)
        if self._machine[BUSY]:
            raise EngineBusy(BUSY_MESSAGE)
        with self._lock:
            self._machine[BUSY] = 1
            try:
                self._check(handles, x, lengths, numbers)
                self._run(handles, x, lengths, y, distinct)
            finally:
                self._machine[BUSY] = 0
        return y

    def _check(self, handles, x, lengths, numbers):
        wrong = kernels.first_wrong(self._program, x, lengths)
        if wrong >= 0:
            n, t = divmod(wrong, x.shape[1])
            where = f"[{n if numbers is None else numbers[n]}]" + (f"[{t}]" if x.shape[1] > 1 else "")
            samples.refuse_value(x[n, t], self.plan.vocabulary, where)
        gone = kernels.first_gone(self._table_address, handles)
        if gone >= 0:
            raise UnknownStream(f"stream {gone} of this batch was closed: look its id up again")

    def _run(self, handles, x, lengths, y, distinct):
        count = len(handles)
        parts = max(1, min(self.threads, count // (2 * GROUP))) if distinct else 1
        bounds = [round(i * count / parts / GROUP) * GROUP for i in range(parts)] + [count]
        arguments = self._program, self._table_address, handles, x, lengths, y
        how = distinct, self._next * self.stride > NEAR
        others = [self._pool.submit(kernels.steps, *arguments, bounds[i], bounds[i + 1], self._works[i], *how)
                  for i in range(1, parts)]
        kernels.steps(*arguments, 0, bounds[1], self._works[0], *how)
        for other in others:
            other.result()


@lru_cache(maxsize=8)
def _all_of(count, time):
    """`time` samples of each: the lengths of a full batch, made once for a size."""
    return np.full(count, time, np.int64)


_empty, _F32, _step_one = np.empty, np.dtype(np.float32), kernels.step_one
