"""What a loss is: a function of outputs and target, and its gradient, over the rows that count.

y, float32 (rows, width): the model's outputs; a loss has the columns start:stop of them, `outputs` in number.
target, float32 (rows, targets). weight, float32 (rows,): what a row counts; 0 is a masked row, which may hold anything.
d_y, float32 (rows, width): the gradient of the sum of weight * loss, written in the columns start:stop.
The mean over a set of rows comes by their weights: row_weights / (sum of row_weights * elements).
A loss of whole sequences (`whole`) gets all their rows at once, and a Layout that says which rows are whose.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import types

from streamrnn.errors import ConfigError, InputError
from streamrnn.jit import inline, ready
from streamrnn.lanes import put

ZERO = np.float32(0)
vector, matrix = types.float32[::1], types.float32[:, ::1]


@dataclass(frozen=True)
class Layout:
    """Step t of sequence n is row firsts[n] + t * stride, for t below lengths[n]; int64 (sequences,) each."""
    firsts: np.ndarray
    stride: int
    lengths: np.ndarray


class Loss:
    """Subclasses are frozen dataclasses whose fields are the loss's configuration."""
    name: ClassVar[str]
    wanted: ClassVar[str] = "finite numbers"
    scales: ClassVar[bool] = False  # may targets be scaled, so that an Unscale brings the outputs back?
    whole: ClassVar[bool] = False   # is it one of whole sequences, of which no part has a loss of its own?
    rows: ClassVar = None  # the kernel that `add` runs, if it does

    def prepared(self):
        """Itself, with its kernel compiled: two threads that come upon one first get in each other's way."""
        if self.rows:
            ready(self.rows)
        return self

    def targets(self, outputs: int) -> int:
        """How many columns of target go with so many outputs."""
        return outputs

    def elements(self, outputs: int) -> int:
        """How many values a row adds up: the mean divides by them, as torch's does."""
        return outputs

    def row_weights(self, target):
        """What each row counts in the mean, float32 (rows,)."""
        return np.ones(len(target), np.float32)

    def wrong(self, target, outputs):
        """Which rows of target (rows, targets) this loss cannot take, bool (rows,)."""
        return ~np.isfinite(target).all(1)

    def places(self, outputs):
        """Which outputs stand for the targets themselves, if the loss `scales`."""
        return np.arange(outputs)

    def unscaling(self, shift, factor, outputs):
        """What an Unscale of all outputs has, from the shift and factor of each target."""
        return shift, factor

    def check(self, target, outputs):
        """Refuse a target of the wrong width, or with a row that this loss cannot take."""
        columns = self.targets(outputs)
        if target.ndim != 2 or target.shape[1] != columns:
            raise InputError(f"{self.name}: the target of {outputs} outputs has the shape (rows, {columns}), got {target.shape}")
        rows = np.flatnonzero(self.wrong(target, outputs))
        if len(rows):
            raise InputError(f"{self.name}: target must be {self.wanted.format(outputs=outputs)}; "
                             f"row {rows[0]} is {target[rows[0]].tolist()}")

    def add(self, y, target, weight, d_y, start, stop) -> float:
        """Write d_y[:, start:stop]; answer the sum of weight * loss, added in float64, row after row."""
        raise NotImplementedError

    def add_whole(self, y, target, weight, d_y, start, stop, layout) -> float:
        """The same for a loss of whole sequences; rows of no sequence get no gradient."""
        raise NotImplementedError


def shared(outputs, parts, what):
    """How many targets share the outputs, when each has `parts` of them."""
    if outputs % parts:
        raise ConfigError(f"{what}: outputs must be a multiple of {parts}, got {outputs}")
    return outputs // parts


@inline
def clear(d, count):
    """A masked row's gradient."""
    for c in range(count):
        put(d, c, ZERO)
