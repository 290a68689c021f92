"""A loss that a user writes in NumPy: f(y, target) -> (values, gradient) over the rows that count."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.errors import ConfigError, InputError
from streamrnn.training.fields import whole
from streamrnn.training.losses.base import Loss


@dataclass(frozen=True)
class Custom(Loss):
    """function takes y (rows, outputs) and target (rows, columns); it gives each row's value, (rows,), and its gradient in y.

    A row's value is its whole loss: the mean divides by rows alone. columns None: as many target columns as outputs.
    """
    function: Callable
    columns: int | None = None
    name: ClassVar[str] = "custom"

    def __post_init__(self):
        if not callable(self.function):
            raise ConfigError(f"Custom: function must be callable, got {self.function!r}")
        if self.columns is not None:
            whole(self, 1, "columns")

    def targets(self, outputs):
        return self.columns or outputs

    def elements(self, outputs):
        return 1

    def add(self, y, target, weight, d_y, start, stop):
        d_y[:, start:stop] = 0
        rows = np.flatnonzero(weight)
        if not len(rows):
            return 0.0
        values, gradient = self.answer(y[rows, start:stop], target[rows])
        d_y[rows, start:stop] = weight[rows, None] * gradient
        return float(np.cumsum(weight[rows] * values)[-1])  # cumsum adds row after row, sum does not

    def answer(self, y, target):
        """What the function says, once its shapes and numbers are found to be fine."""
        what = f"loss {getattr(self.function, '__name__', self.function)}"
        answer = self.function(y.copy(), target)  # a copy: whatever it does to its y, messages show ours
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ConfigError(f"{what}: must return a tuple (values, gradient), got {type(answer).__name__}")
        values, gradient = np.asarray(answer[0], np.float64), np.asarray(answer[1], np.float32)
        for part, name, shape in ((values, "values", y.shape[:1]), (gradient, "gradient", y.shape)):
            if part.shape != shape:
                raise ConfigError(f"{what}: {name} must have the shape {shape}, got {part.shape}")
        wrong = np.flatnonzero(~(np.isfinite(values) & np.isfinite(gradient).all(1)))
        if len(wrong):
            r = wrong[0]
            raise InputError(f"{what}: value and gradient must be finite, got {values[r]} and {gradient[r].tolist()} "
                             f"for y = {y[r].tolist()}, target = {target[r].tolist()}")
        return values, gradient
