"""MinGRU: a gate and a candidate from the sample alone; h moves towards the candidate by the gate (Feng et al. 2024).

The sums of both, z then n, are products that wait for nothing (cells/linear.py); what goes from step to step is here.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise, apart, glorot, positive, uniform
from streamrnn.cells.linear import spread, sums
from streamrnn.lanes import BLOCK, LANES, at, fma, load, store
from streamrnn.maths import ONE, sigmoid


@apart
def mingru(shape, weights, x, y, old, new):
    """x: the sums z, n; h' = h + sigmoid(z) (n - h)"""
    wide = -(-shape[1] // BLOCK) * BLOCK
    for u in range(0, shape[1], LANES):
        h = load(old, u)
        h = fma(sigmoid(load(x, u)), load(at(x, wide), u) - h, h)
        store(new, u, h)
        store(y, u, h)


@apart
def mingru_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """dz = dh (n - h) z(1-z), dn = dh z, dh_old = dh (1-z)"""
    wide = -(-shape[1] // BLOCK) * BLOCK
    for u in range(0, shape[1], LANES):
        h, z, n, d = load(old, u), sigmoid(load(x, u)), load(at(x, wide), u), load(d_y, u) + load(d_new, u)
        store(d_x, u, fma(d * (n - h), z - z * z, load(d_x, u)))
        store(at(d_x, wide), u, fma(d, z, load(at(d_x, wide), u)))
        store(d_old, u, fma(d, ONE - z, load(d_old, u)))


STAGE = Rowwise(mingru, mingru_grad, apart=True)


@dataclass(frozen=True)
class Minimal(Layer):
    """Gates and a candidate from the sample alone, stacked along the tensors' first axis; the candidate is the last one."""
    units: int
    gates: ClassVar[int]
    first_biases: ClassVar[tuple[int, ...]]  # of each gate, so that a fresh cell remembers
    stage: ClassVar[Rowwise]

    def __post_init__(self):
        positive(self, "units")

    def outputs(self, inputs):
        return self.units

    def parameters(self, inputs):
        return {"weight": (self.gates * self.units, inputs), "bias": (self.gates * self.units,)}

    def initial(self, inputs, rng, scheme):
        """"orthogonal": Glorot's for each gate, biases such that a fresh cell remembers; "torch": as torch.nn.Linear."""
        if scheme == "torch":
            return uniform(rng, inputs ** -0.5, self.parameters(inputs))
        return {"weight": np.concatenate([glorot(rng, self.units, inputs) for _ in range(self.gates)]),
                "bias": np.repeat(np.array(self.first_biases, np.float32), self.units)}

    def emit(self, plan, source, inputs):
        x = sums(plan, source, inputs, self.gates, self.units, self.packed)
        h, y = plan.state("h", self.units), plan.work(self.units)
        plan.rowwise(self.stage, x, self.gates * self.units, y, self.units, state=h)
        return y

    def packed(self, tensors):
        return spread(tensors["weight"], self.gates), spread(tensors["bias"], self.gates)


@dataclass(frozen=True)
class MinGRU(Minimal):
    """Minimal gated recurrent unit; gates z n."""
    kind: ClassVar[str] = "mingru"
    gates: ClassVar[int] = 2
    first_biases: ClassVar[tuple[int, ...]] = (-1, 0)
    stage: ClassVar[Rowwise] = STAGE


STAGES, LAYERS = (STAGE,), (MinGRU,)
