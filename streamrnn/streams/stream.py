"""Stream: one stream of a model, stepped a sample at a time."""
import numpy as np

from streamrnn.errors import InputError
from streamrnn.streams import samples
from streamrnn.streams.state import check_row, copy_row


class Stream:
    """`step(x_t)` takes one sample and keeps the state; `model.stream()` and `engine.stream(id)` make one.

    A step is atomic: threads may share a stream, and their samples go in one by one in some order. While `run` works
    in one thread, a step from another raises EngineBusy.
    """

    __slots__ = ("_handle", "_rows", "_step", "_touch")

    def __init__(self, rows, handle, touch=None):
        self._rows, self._handle, self._step = rows, handle, rows.step
        self._touch = touch  # tells an engine with a time to live that a sample came

    def step(self, x):
        """One sample (inputs,) -> its result (outputs,), a fresh array."""
        y = self._step(self._handle, x)
        if self._touch:
            self._touch()
        return y

    def run(self, x):
        """Several samples (T, inputs) in a row -> (T, outputs); goes on from the state, as T steps would."""
        x = samples.batch(x, self._rows.plan.inputs)
        if len(x) != 1:
            raise InputError(f"a stream runs one sequence (T, {self._rows.plan.inputs}) at a time, got {len(x)}")
        y = self._rows.steps(np.array([self._handle], np.int64), x)[0]
        if self._touch:
            self._touch()
        return y

    def reset(self):
        """Back to the zero state."""
        self._rows.clear(self._handle)

    def state(self):
        """A copy of the state (streams.state.Row): `row["layers.0.h"]` is a part of it."""
        return copy_row(self._rows, self._handle)

    def set_state(self, row):
        """Put a state back that `state` gave."""
        self._rows.write(self._handle, check_row(self._rows.plan, row))

    def __repr__(self):
        return f"<Stream: {self._rows.plan.inputs} -> {self._rows.plan.outputs}, {self._rows.stride * 4} bytes of state>"
