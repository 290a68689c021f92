"""GRU: gates r z n; torch's and cuDNN's form resets after the product, the original (Cho 2014) before it."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Gated, Gates, Recurrent
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import fma
from streamrnn.maths import ONE, sigmoid, tanh


@inline
def blend(z, n, h):
    """(1 - z) n + z h"""
    return fma(z, h - n, n)


@inline
def unit(n_input, r, z, n_hidden, h):
    r, z = sigmoid(r), sigmoid(z)
    n = tanh(fma(r, n_hidden, n_input))
    return blend(z, n, h), n, r, z, n_hidden


@inline
def unit_grad(n, r, z, n_hidden, h, new_h, d_h):
    """dn = dh (1-z) (1-n^2), dz = dh (h-n) z(1-z), dr = dn n_hidden r(1-r), dh_old = dh z."""
    d_n = d_h * (ONE - z) * (ONE - n * n)
    return d_n, d_n * n_hidden * (r - r * r), d_h * (h - n) * (z - z * z), d_n * r, d_h * z


@inline
def reset(r, z, h):
    """The original's first half: what the candidate may see of h, and z for the second half."""
    r, z = sigmoid(r), sigmoid(z)
    return r * h, z, r, z


@inline
def reset_grad(r, z, h, seen, new_z, d_seen, d_z):
    return d_seen * h * (r - r * r), d_z * (z - z * z), d_seen * r


@inline
def candidate(n, z, h):
    n = tanh(n)
    return blend(z, n, h), n


@inline
def candidate_grad(n, z, h, new_h, d_h):
    return d_h * (ONE - z) * (ONE - n * n), d_h * (h - n), d_h * z


AFTER = Gated(unit, unit_grad, sums=4, input_gates=(0, 1, 2), hidden_gates=(1, 2, 3), reads=1, writes=1)
RESET = Gated(reset, reset_grad, sums=2, input_gates=(0, 1), hidden_gates=(0, 1), reads=1, writes=2)
CANDIDATE = Gated(candidate, candidate_grad, sums=1, input_gates=(0,), hidden_gates=(0,), reads=2, writes=1)


@dataclass(frozen=True)
class GRU(Recurrent):
    """Gated recurrent unit; `reset_after=True` is torch.nn.GRU's and cuDNN's, False the original's."""
    reset_after: bool = True
    kind: ClassVar[str] = "gru"
    gates: ClassVar[int] = 3

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.reset_after, bool):
            raise ConfigError(f"GRU: reset_after must be True or False, got {self.reset_after!r}")

    def emit(self, plan, source, inputs):
        h = plan.state("h", self.units)
        if self.reset_after:
            plan.gated(AFTER, self, source, inputs, hidden=h, reads=[h], writes=[h], weights=self.weights)
        else:
            seen, z = plan.work(self.units), plan.work(self.units)
            plan.gated(RESET, self, source, inputs, hidden=h, reads=[h], writes=[seen, z], weights=self.reset_weights)
            plan.gated(CANDIDATE, self, source, inputs, hidden=seen, reads=[z, h], writes=[h], weights=self.candidate_weights)
        return h

    def weights(self, tensors):
        """In the order of the unit's sums: the input's n r z, the hidden r z n."""
        inputs, hidden, b, b_h = self.split(tensors)
        return Gates(np.stack([b[2], b[0] + b_h[0], b[1] + b_h[1], b_h[2]]), hidden, inputs[[2, 0, 1]])

    def reset_weights(self, tensors):
        return Gates(*(part[:2] for part in super().weights(tensors)))

    def candidate_weights(self, tensors):
        return Gates(*(part[2:] for part in super().weights(tensors)))


STAGES, LAYERS = (AFTER, RESET, CANDIDATE), (GRU,)
