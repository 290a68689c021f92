"""A tape: the memory in which one thread goes through a window of some streams, forwards and back.

Its size is that of a window, not of a batch: threads take the streams of a batch a shard at a time.
"""
import numpy as np

from streamrnn import jit
from streamrnn.kernels import frame, unroll
from streamrnn.kernels.tile import GROUP, STREAMS
from streamrnn.kernels.unroll import (
    ARENA,
    BACK,
    D_ARENA,
    D_RESULTS,
    D_SAMPLES,
    D_STEP,
    DESK,
    KEEPS_D_SAMPLES,
    LENGTHS,
    PROGRAM,
    RECORD,
    RESULTS,
    SAMPLE,
    SAMPLES,
    SLOTS,
    TAPE,
    TOGETHER,
)
from streamrnn.lanes import BLOCK
from streamrnn.plan import aligned, padded


def record_size(plan):
    """Floats of one stream's step on a tape: an odd number of cache lines, so that records spread over the whole cache."""
    size = plan.work_size + plan.stride + plan.kept_size
    return size + BLOCK if size // BLOCK % 2 == 0 else size


class Tape:
    """`time` steps of `slots` streams: fill `samples` and `rows`, go forwards, read `results`, fill `d_results`, go back.

    A tape of one slot may be a chain (kernels/unroll.py): then it goes through GROUP steps at a time.
    `targets` and `counts` have room for what a loss wants beside the results: (time, slots, k) for each of `goals`.
    """

    def __init__(self, weights, slots, time, goals=(), sample_gradients=False, chain=False):
        for dispatcher in (unroll.forwards, unroll.backwards):
            jit.ready(dispatcher)
        plan = weights.plan
        assert weights.plan.chains and slots == 1 if chain else slots <= GROUP
        self.slots, self.time, self.chain = 1 if chain else -(-slots // STREAMS) * STREAMS, time, chain
        time = -(-time // STREAMS) * STREAMS if chain else time  # the last steps of a chain fill a tile
        record, sample = record_size(plan), padded(plan.inputs)
        self.samples = aligned(time * self.slots * sample).reshape(time, self.slots, sample)
        d_samples = time if sample_gradients else GROUP if chain else 1
        self.d_samples = aligned(d_samples * self.slots * sample).reshape(-1, self.slots, sample)
        self.results = aligned(time * self.slots * plan.outputs).reshape(time, self.slots, plan.outputs)
        self.d_results = aligned(time * self.slots * plan.outputs).reshape(time, self.slots, plan.outputs)
        self.records = aligned((time + 1) * self.slots * record).reshape(time + 1, self.slots, record)
        d_work, d_rows = (GROUP * plan.work_size, GROUP + 1) if chain else (self.slots * plan.work_size, 2 * self.slots)
        self.d_step = aligned(d_work + d_rows * plan.stride)
        self.targets = [np.zeros((time, self.slots, k), np.float32) for k in goals]
        self.counts = [np.zeros((time, self.slots, 1), np.float32) for _ in goals]
        self.lengths = np.zeros(self.slots, np.int64)
        self.rows = self.records[:, :, plan.work_size:plan.work_size + plan.stride]          # (time + 1, slots, stride)
        self.work = self.records[:, :, :plan.work_size]
        if chain:
            self.d_rows = self.d_step[d_work:d_work + plan.stride].reshape(1, 1, plan.stride)
        else:
            self.d_rows = self.d_step.reshape(self.slots, -1)[:, plan.work_size:].reshape(self.slots, 2, plan.stride)
        program = weights.program.copy()
        if sample_gradients:
            program[frame.HEADER:].reshape(-1, frame.COLUMNS)[:, frame.DEEPER] = 1
        self._keep = weights, program
        self.desk = np.zeros(DESK, np.int64)
        for place, array in ((PROGRAM, program), (ARENA, weights.values), (BACK, weights.back), (TAPE, self.records),
                             (SAMPLES, self.samples), (D_SAMPLES, self.d_samples), (RESULTS, self.results),
                             (D_RESULTS, self.d_results), (D_STEP, self.d_step), (LENGTHS, self.lengths)):
            self.desk[place] = array.ctypes.data
        together = GROUP if chain else 1
        self.desk[[SLOTS, RECORD, SAMPLE, KEEPS_D_SAMPLES, TOGETHER]] = self.slots, record, sample, int(sample_gradients), together
        self._address, self._begin = self.desk.ctypes.data, self.rows[0]

    def begin(self, rows, lengths):
        """Rows before the first step (n, stride) and lengths (n,) of the first n slots; the others have none."""
        count = len(rows)
        self._begin[:count], self.lengths[:count] = rows, lengths
        if count < self.slots:
            self._begin[count:], self.lengths[count:] = 0, 0

    def forwards(self, time):
        unroll.forwards(self._address, time)

    def hand_back(self, steps):
        """The gradient of the rows before what was gone back through becomes that behind `steps` steps that come next."""
        if steps % 2 and not self.chain:  # the kernel takes it from the other half than it leaves it in
            self.d_rows[:] = self.d_rows[:, ::-1].copy()

    def backwards(self, gradient, first, last):
        """Adds to `gradient`, an arena. A chain goes back in one piece."""
        if self.chain:
            self.d_results[last:] = 0
        self.desk[D_ARENA] = gradient.__array_interface__["data"][0]  # .ctypes costs ten times as much
        unroll.backwards(self._address, first, last)
