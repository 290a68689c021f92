"""Dropout: a layer that does nothing outside training."""
from dataclasses import dataclass
from typing import ClassVar

from streamrnn.cells.base import Layer
from streamrnn.errors import ConfigError


@dataclass(frozen=True)
class Dropout(Layer):
    """Drops a share of its inputs while training; the identity, at no cost, when it serves."""
    rate: float
    kind: ClassVar[str] = "dropout"

    def __post_init__(self):
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) or not 0 <= self.rate < 1:
            raise ConfigError(f"Dropout: rate must lie in [0, 1), got {self.rate!r}")

    def outputs(self, inputs):
        return inputs

    def emit(self, plan, source, inputs):
        return source


STAGES, LAYERS = (), (Dropout,)
