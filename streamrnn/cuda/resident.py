"""Resident: one stream whose kernel stays on the GPU, weights on chip, and takes samples from memory that both sides see.

A launch for each sample costs its way through the driver, and reads all weights again; here a step costs the bus twice, and for each
layer a chain of products and an exchange between blocks. Estimated for an H200 from the machine code (resident_kernel.py has the
sum), not measured yet: 2 x LSTM-128 about 5 us, 3 x LSTM-256 about 6 us from the host's write to its read.

The kernel ends by itself when no sample has come for `idle` seconds, and between two samples after `term` seconds whatever comes; the
next sample launches it again. Until then it keeps its multiprocessors busy, and whatever waits for the whole GPU (freeing memory,
loading a kernel) waits for it: no longer than that.
"""
import time
import weakref
from functools import cache
from threading import Lock

import numpy as np

from streamrnn import jit
from streamrnn.cuda import chip, device, talk
from streamrnn.cuda import resident_kernel as kernels
from streamrnn.cuda.parts import parts
from streamrnn.cuda.program import kinds
from streamrnn.cuda.signals import STOP, following, word
from streamrnn.errors import ConfigError, InputError, TimedOut, UnknownStream
from streamrnn.lanes import DISABLE_JIT
from streamrnn.streams import samples
from streamrnn.streams.state import check_row, copy_row

TURNS = 20 if DISABLE_JIT else 10_000  # looks at the answer before Python looks at the clock: some 50 us
CLOSED = "this stream was closed: model.stream(device=\"cuda\") opens another"


@cache
def compiled(stages):
    return device.compiled(kernels.kernel(stages), kernels.KERNEL, kernels.THREADS)


class Resident:
    """The door of a Stream, on a kernel that stays. `idle`: seconds; `limit`: seconds until a step that is not answered is an error.

    `blocks`: at most so many multiprocessors, all by default; `shared`: bytes of shared memory each, the GPU's limit by default.
    What does not fit is read through L2 instead: `far` says which layers, and how many bytes of them.
    """

    device = "cuda"

    def __init__(self, packed, blocks=None, idle=1.0, limit=10.0, term=10.0, shared=None):
        device.require()
        most = device.multiprocessors() if blocks is None else blocks
        if isinstance(most, bool) or not isinstance(most, (int, np.integer)) or most < 1:
            raise ConfigError(f"blocks must be a whole number of 1 or more, got {blocks!r}")
        if not 0 < idle < limit:
            raise ConfigError(f"idle must be some seconds above 0 and below limit, got idle={idle!r}, limit={limit!r}")
        self.plan, self.idle, self.limit, self.term = packed.plan, idle, limit, term
        self._parts = parts(packed.plan, packed.tensors, int(most), shared or chip.shared_limit())
        self.blocks, self.far = self._parts.blocks, dict(self._parts.far)
        self._kernel, self._bytes = compiled(kinds(packed.plan)), 4 * self._parts.shared
        chip.check(self.blocks, chip.make_room(self._kernel, kernels.THREADS, self._bytes))
        self._stream = chip.stream()
        self._take_memory()
        for dispatcher in (talk.ask, talk.answer, talk.first_wrong):
            jit.ready(dispatcher)
        self._now, self._launch, self._running, self._open, self._lock = 1, 0, False, True, Lock()
        weakref.finalize(self, _end_any, self._inbox)

    def _take_memory(self):
        """All of it before any launch: taking and freeing wait for kernels that run."""
        plan, own = self.plan, self._parts
        (self._inbox, inbox), (self._outbox, outbox) = chip.mapped(1 + plan.inputs), chip.mapped(1 + plan.outputs)
        self._sample, self._result = np.zeros(plan.inputs, np.float32), np.zeros(plan.outputs, np.float32)
        self._machine = np.zeros(talk.MACHINE, np.int64)
        self._machine[:] = (*(array.ctypes.data for array in (self._inbox, self._outbox, self._sample, self._result)),
                            plan.inputs, plan.outputs, plan.vocabulary)
        self._talk = self._machine.ctypes.data
        self._row, self._board = self._upload(np.zeros(max(1, plan.stride), np.float32)), self._upload(np.zeros(own.board, np.int64))
        self._silence = np.zeros(own.board, np.int64)
        works = np.zeros(max(1, own.blocks * own.work_size), np.float32)
        self._memory = [self._upload(values) for values in (own.tables, own.arena, works)]
        tables, arena, works = map(device.address, self._memory)
        desk = np.zeros(kernels.DESK, np.int64)
        desk[:] = (tables, own.size, arena, device.address(self._row), works, own.work_size, device.address(self._board),
                   own.board - own.blocks, inbox, outbox, plan.inputs, plan.outputs, int(self.idle * 1e9), int(self.term * 1e9))
        self._desk = self._upload(desk)
        self._desk_address = device.address(self._desk)

    def _upload(self, values):
        """On the stream that launches are on: it waits for no other."""
        return device.upload(values, self._stream)

    # -- steps ----------------------------------------------------------------------------------------------------------

    def step(self, x):
        """One sample (inputs,) -> its result (outputs,), a fresh array."""
        x = samples.sample(x, self.plan.inputs)
        with self._lock:
            return self._step(x)

    def run(self, x):
        """Several samples (T, inputs) in a row -> (T, outputs); goes on from the state, as T steps would."""
        x = samples.batch(x, self.plan.inputs)
        if len(x) != 1:
            raise InputError(f"a stream runs one sequence (T, {self.plan.inputs}) at a time, got {len(x)}")
        x = x[0]
        wrong = talk.first_wrong(x.ctypes.data, len(x), self.plan.inputs, self.plan.vocabulary)
        if wrong >= 0:
            samples.refuse_value(x[wrong], self.plan.vocabulary, f"[0][{wrong}]")
        y = np.empty((len(x), self.plan.outputs), np.float32)
        with self._lock:
            for t, sample in enumerate(x):
                y[t] = self._step(sample)
        return y

    def _step(self, x):
        self._check_open()
        self._sample[:] = x
        if not self._running:
            if talk.first_wrong(self._machine[talk.SAMPLE], 1, self.plan.inputs, self.plan.vocabulary) >= 0:
                samples.refuse_value(x, self.plan.vocabulary)
            self._start()
        status = talk.ask(self._talk, self._now, self._launch, TURNS)
        if status != talk.ANSWERED:
            if status == talk.REFUSED:
                samples.refuse_value(x, self.plan.vocabulary)
            self._wait(status)
        self._now = following(self._now)
        return self._result.copy()

    def _wait(self, status):
        """For the answer, past an end of the kernel that came before it saw the sample."""
        end = time.monotonic() + self.limit
        try:
            while status != talk.ANSWERED:
                if status == talk.ENDED:
                    chip.finish(self._stream)
                    self._start()
                if time.monotonic() > end:
                    self._give_up()
                status = talk.answer(self._talk, self._now, self._launch, TURNS)
        except BaseException:  # a KeyboardInterrupt too: the step may or may not be taken
            self._drop()
            raise

    def _give_up(self):
        self._drop()
        why = chip.trouble(self._stream) or "it is still there, or waits for room on the GPU"
        raise TimedOut(f"the resident kernel did not answer within {self.limit:g} s ({why}): this stream is closed. "
                       "Does other work fill the GPU? model.stream(device=\"cuda\", resident=False) shares it")

    def _drop(self):
        """What the kernel has done is not known: no more of it."""
        self._open, self._running = False, False
        self._inbox[0] = word(STOP, 0.0)

    # -- the kernel -----------------------------------------------------------------------------------------------------

    def _start(self):
        self._launch += 1
        self._board.copy_to_device(self._silence, stream=self._stream)
        chip.launch(self._kernel, self.blocks, kernels.THREADS, self._stream, self._bytes, (self._desk_address, self._now, self._launch))
        self._running = True

    def _end(self):
        """Have the kernel end: then the row is the host's."""
        if self._running:
            self._inbox[0] = word(self._launch, 0.0)
            end = time.monotonic() + self.limit
            while _ended(self._outbox) != self._launch:
                if time.monotonic() > end:
                    self._give_up()
                time.sleep(0)
            chip.finish(self._stream)
            self._running = False

    def _check_open(self):
        if not self._open:
            raise UnknownStream(CLOSED)

    # -- state ----------------------------------------------------------------------------------------------------------

    def state(self):
        """A copy of the state (streams.state.Row); the kernel ends for it, and is launched again by the next sample."""
        with self._lock:
            return copy_row(self, None)

    def read(self, _):
        self._check_open()
        self._end()
        return device.download(self._row)[:self.plan.stride]

    def set_state(self, row):
        """Put a state back that `state` gave, here or on another device."""
        self._write(check_row(self.plan, row))

    def reset(self):
        """Back to the zero state."""
        self._write(np.zeros(self.plan.stride, np.float32))

    def _write(self, values):
        with self._lock:
            self._check_open()
            self._end()
            row = np.zeros(max(1, self.plan.stride), np.float32)
            row[:self.plan.stride] = values
            self._row.copy_to_device(row, stream=self._stream)

    def close(self):
        """End the kernel; the stream takes no more samples. Closing it again does nothing."""
        with self._lock:
            if self._open:
                try:
                    self._end()
                finally:
                    self._open = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return f"<Resident: {self.plan.inputs} -> {self.plan.outputs}, {self.blocks} blocks, {self.plan.stride * 4} bytes of state>"


def _ended(words):
    """Which launch has."""
    return int(words[0]) >> 32


def _end_any(inbox):
    """Nobody holds the stream any more: its kernel need not wait until it is idle."""
    inbox[0] = word(STOP, 0.0)
