"""LRU: a linear recurrence of complex states, each turned and shrunk by a factor of its own (Orvieto et al. 2023).

  s' = lambda s + gamma (B x),  y = Re(C s') + D x,  lambda = exp(-exp(nu_log) + i exp(theta_log)),  gamma = exp(gamma_log)

|lambda| < 1 whatever nu_log is. B x comes before as products (cells/linear.py), C and D are products behind, over what the
recurrence puts side by side: [Re s'][-Im s'][x], each padded.
state: Re s, then Im s; weights: nu_log, theta_log, gamma_log, each padded.
"""
from dataclasses import dataclass
from math import isfinite, tau
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Place, Rowwise, apart, positive
from streamrnn.cells.linear import padded, spread, sums
from streamrnn.cells.plumbing import COPY
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, load, smaller, store
from streamrnn.maths import cos_sin, exp

LONGEST = np.float32(1 - 2 ** -20)  # |lambda| at most: above what rounding adds to a turn
FASTEST = np.float32(1024)          # radians a step at most, so that rounding leaves something of the angle


@inline
def factor(weights, wide, u):
    """lambda (real, imaginary), exp(nu_log), the angle, gamma"""
    decay, angle = exp(load(weights, u)), smaller(exp(load(at(weights, wide), u)), FASTEST)
    c, s = cos_sin(angle)
    size = smaller(exp(-decay), LONGEST)
    return size * c, size * s, decay, angle, exp(load(at(weights, 2 * wide), u))


@apart
def lru(shape, weights, x, y, old, new):
    """x: Re(B x), Im(B x); y: Re s', -Im s'"""
    wide = -(-shape[1] // BLOCK) * BLOCK
    for u in range(0, shape[1], LANES):
        a, b, _, _, gamma = factor(weights, wide, u)
        re, im = load(old, u), load(at(old, wide), u)
        new_re = fma(a, re, fma(-b, im, gamma * load(x, u)))
        new_im = fma(a, im, fma(b, re, gamma * load(at(x, wide), u)))
        store(new, u, new_re)
        store(at(new, wide), u, new_im)
        store(y, u, new_re)
        store(at(y, wide), u, -new_im)


@apart
def lru_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """dlambda = ds conj(s), d_nu = -exp(nu) Re(dlambda conj(lambda)), d_theta = angle Im(dlambda conj(lambda))"""
    wide = -(-shape[1] // BLOCK) * BLOCK
    for u in range(0, shape[1], LANES):
        a, b, decay, angle, gamma = factor(weights, wide, u)
        re, im, x_re, x_im = load(old, u), load(at(old, wide), u), load(x, u), load(at(x, wide), u)
        d_re, d_im = load(d_new, u) + load(d_y, u), load(at(d_new, wide), u) - load(at(d_y, wide), u)
        d_a, d_b = fma(d_re, re, d_im * im), fma(d_im, re, -(d_re * im))
        store(d_weights, u, fma(-decay, fma(d_a, a, d_b * b), load(d_weights, u)))
        store(at(d_weights, wide), u, fma(angle, fma(d_b, a, -(d_a * b)), load(at(d_weights, wide), u)))
        store(at(d_weights, 2 * wide), u, fma(gamma, fma(d_re, x_re, d_im * x_im), load(at(d_weights, 2 * wide), u)))
        store(d_x, u, fma(gamma, d_re, load(d_x, u)))
        store(at(d_x, wide), u, fma(gamma, d_im, load(at(d_x, wide), u)))
        store(d_old, u, fma(a, d_re, fma(b, d_im, load(d_old, u))))
        store(at(d_old, wide), u, fma(a, d_im, fma(-b, d_re, load(at(d_old, wide), u))))


STAGE = Rowwise(lru, lru_grad, apart=True)


@dataclass(frozen=True)
class LRU(Layer):
    """Linear recurrent unit: `units` outputs from `states` complex numbers (None: as many as units).

    The factors start with an absolute value between r_min and r_max and an angle up to max_phase; near 1, for long memory.
    """
    units: int
    states: int | None = None
    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = tau
    kind: ClassVar[str] = "lru"

    def __post_init__(self):
        positive(self, "units", *(["states"] if self.states is not None else []))
        for name in ("r_min", "r_max", "max_phase"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)) or not isfinite(value):
                raise ConfigError(f"LRU: {name} must be a number, got {value!r}")
            object.__setattr__(self, name, float(value))
        if not 0 <= self.r_min < self.r_max <= 1:
            raise ConfigError(f"LRU: r_min and r_max must have 0 <= r_min < r_max <= 1, got {self.r_min} and {self.r_max}")
        if not 0 < self.max_phase <= FASTEST:
            raise ConfigError(f"LRU: max_phase must lie between 0 and {FASTEST:g} radians, got {self.max_phase}")

    @property
    def width(self):
        return self.units if self.states is None else self.states

    def outputs(self, inputs):
        return self.units

    def parameters(self, inputs):
        n = self.width
        return {"nu_log": (n,), "theta_log": (n,), "gamma_log": (n,), "B_re": (n, inputs), "B_im": (n, inputs),
                "C_re": (self.units, n), "C_im": (self.units, n), "D": (self.units, inputs)}

    def initial(self, inputs, rng, scheme):
        """As the paper draws them: lambda uniform in a ring, gamma such that states start out at variance 1, whatever lambda."""
        n = self.width
        size = np.sqrt(rng.uniform(self.r_min ** 2, self.r_max ** 2, n)).clip(1e-4, 1 - 1e-6)
        angle = (self.max_phase * rng.uniform(size=n)).clip(1e-4)
        normal = lambda rows, columns, variance: rng.normal(0, variance ** 0.5, (rows, columns))
        values = {"nu_log": np.log(-np.log(size)), "theta_log": np.log(angle), "gamma_log": np.log(1 - size ** 2) / 2,
                  "B_re": normal(n, inputs, 0.5 / inputs), "B_im": normal(n, inputs, 0.5 / inputs),
                  "C_re": normal(self.units, n, 0.5 / n), "C_im": normal(self.units, n, 0.5 / n),
                  "D": normal(self.units, inputs, 1 / inputs)}
        return {name: value.astype(np.float32) for name, value in values.items()}

    def emit(self, plan, source, inputs):
        n, wide = self.width, padded(self.width)
        x = sums(plan, source, inputs, 2, n, self.before, biased=False)
        state, beside = plan.state("re", n), plan.work(2 * wide + inputs)
        plan.state("im", n)
        plan.rowwise(STAGE, x, 2 * wide, beside, n, state=state, weights=self.factors)
        plan.rowwise(COPY, source, inputs, Place(beside.space, beside.offset + 2 * wide), inputs)
        return sums(plan, beside, 2 * wide + inputs, 1, self.units, self.behind, biased=False)

    def factors(self, tensors):
        return np.concatenate([spread(tensors[name], 1) for name in ("nu_log", "theta_log", "gamma_log")])

    def before(self, tensors):
        return np.concatenate([spread(tensors[name], 1) for name in ("B_re", "B_im")]), np.zeros(2 * padded(self.width), np.float32)

    def behind(self, tensors):
        n, wide = self.width, padded(self.width)
        weight = np.zeros((padded(self.units), 2 * wide + tensors["D"].shape[1]), np.float32)
        weight[:self.units, :n], weight[:self.units, wide:wide + n] = tensors["C_re"], tensors["C_im"]
        weight[:self.units, 2 * wide:] = tensors["D"]
        return weight, np.zeros(padded(self.units), np.float32)


STAGES, LAYERS = (STAGE,), (LRU,)
