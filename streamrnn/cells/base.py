"""What a cell is made of.

A layer (`LSTM(64)`) is what a user writes: sizes, the names and shapes of its parameters, and `emit`, which puts one or
more stages into a plan. A stage is what a kernel runs: `Gated`, sums of products with a unit over them, run by the tile
for any number of streams; or `Rowwise`, a function of one stream's whole vector. The maths of a stage is written once.
"""
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import numpy as np
from numba import types

from streamrnn.errors import ConfigError
from streamrnn.jit import inline, kernel
from streamrnn.lanes import floats

# spaces a stage reads and writes: the sample, this step's work, the stream's row after and before the step, the result,
# and the sums of gated stages, which only training keeps
X, WORK, NEW, OLD, Y, SUMS = range(6)


class Place(NamedTuple):
    """Where a vector lies: a space and the offset in it, in floats."""
    space: int
    offset: int

    @property
    def code(self):
        return self.offset * 8 + self.space


@dataclass(frozen=True, eq=False)
class Gated:
    """unit(*sums, *reads) -> (*writes, *kept), a unit at a time; a sum is bias, then hidden in order, then inputs in order.

    `input_gates` and `hidden_gates` say which of the sums the input's and the hidden weights feed, each a run without a
    gap: a GRU keeps the two parts of its candidate apart. `reads` and `writes` count the vectors that the unit takes and
    gives besides. `kept` are up to as many values as there are sums, which the derivative needs again:
    grad(*kept, *reads, *writes, *d_writes) -> (*d_sums, *d_reads). A step that serves never computes them.
    """
    unit: Callable
    grad: Callable | None
    sums: int
    input_gates: tuple[int, ...]
    hidden_gates: tuple[int, ...]
    reads: int
    writes: int

    def __post_init__(self):
        for gates in (self.input_gates, self.hidden_gates):
            if gates and gates != tuple(range(gates[0], gates[0] + len(gates))):
                raise ConfigError(f"the gates of a stage must be a run of its sums such as (0, 1, 2), got {gates}")

    @property
    def kept(self):
        """How many values the derivative wants kept."""
        return getattr(self.grad, "py_func", self.grad).__code__.co_argcount - self.reads - 2 * self.writes


@dataclass(frozen=True, eq=False)
class Rowwise:
    """step(shape, weights, x, y, old, new): shape is (inputs, units); old and new point to the stage's own state.

    A `padded` stage may read x in whole blocks of 16; an `exact` one writes just its units, not whole blocks.
    grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new) adds to d_weights, d_x and d_old; it may use up
    d_y. Where a stage works in place (x is y, d_x is d_y), it turns one gradient into the other.

    A step that is `apart`, and its grad, are kernels of their own, called by their addresses: compiled once, not once in
    every kernel that runs plans.
    """
    step: Callable
    grad: Callable | None = None
    padded: bool = False
    exact: bool = False
    apart: bool = False

    @property
    def inlined(self):
        """The step and the grad as pieces of another kernel."""
        return getattr(self.step, "inlined", self.step), getattr(self.grad, "inlined", self.grad)


APART = types.void(types.int64, types.int64, floats, floats, floats, floats, floats)
"""shape, weights, x, y, old, new: what a step that is apart takes."""
APART_GRAD = types.void(types.int64, types.int64, *(floats,) * 10)
"""The same, then d_weights, d_x, d_y, d_old, d_new."""


def apart(function):
    """A rowwise step, or a grad, as a kernel of its own; it belongs to the file that it stands in."""
    body = inline(function)

    def step(inputs, units, weights, x, y, old, new):
        body((inputs, units), weights, x, y, old, new)

    def grad(inputs, units, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
        body((inputs, units), weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new)

    outer, signature = (step, APART) if function.__code__.co_argcount == 6 else (grad, APART_GRAD)
    outer.__module__, outer.__name__, outer.__qualname__ = function.__module__, function.__name__, function.__qualname__
    outer.__code__ = outer.__code__.replace(co_filename=function.__code__.co_filename)
    compiled = kernel(signature)(outer)
    compiled.inlined = body  # for a kernel that takes it in after all, as on a GPU
    return compiled


class Gates(NamedTuple):
    """The weights of a gated stage: bias (sums, units), hidden (gates, units, hidden), inputs (gates, units, inputs)."""
    bias: np.ndarray
    hidden: np.ndarray
    inputs: np.ndarray


def positive(layer, *names):
    """Sizes must be whole numbers above zero, said with the layer and the field."""
    for name in names:
        value = getattr(layer, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{type(layer).__name__}: {name} must be a whole number of 1 or more, got {value!r}")
        object.__setattr__(layer, name, int(value))


@dataclass(frozen=True)
class Layer:
    """One layer of a stack. Subclasses are frozen dataclasses whose fields are the layer's configuration."""
    kind: ClassVar[str]
    constants: ClassVar[tuple[str, ...]] = ()  # names of parameters that training leaves alone
    looks_ahead: ClassVar[bool] = False        # does it need samples that are yet to come?

    def config(self):
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}

    def outputs(self, inputs: int) -> int:
        raise NotImplementedError

    def parameters(self, inputs: int) -> dict[str, tuple[int, ...]]:
        """Canonical names and shapes, torch.nn's where torch has the layer."""
        return {}

    def initial(self, inputs, rng, scheme):
        """First values of the parameters: by "torch", as torch.nn draws them, or by "orthogonal" (see Recurrent)."""
        return {}

    def settle(self, values):
        """Other tensors after a look at the data: what the first layer takes in, or the targets of the last; None: as they are."""
        return

    def emit(self, plan, source, inputs):
        """Put this layer's stages into the plan; answer where its output lies."""
        raise NotImplementedError


def uniform(rng, bound, shapes):
    return {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}


def glorot(rng, outputs, inputs):
    """Uniform, so that values and gradients keep their size on the way through (Glorot and Bengio 2010)."""
    bound = (6 / (inputs + outputs)) ** 0.5
    return rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)


def orthogonal(rng, size):
    """A random rotation: it neither shrinks nor stretches what goes around many times (Saxe et al. 2014)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return (q * np.sign(np.diag(r))).astype(np.float32)


@dataclass(frozen=True)
class Recurrent(Layer):
    """A layer of gates over inputs and its own last output, with torch.nn's names and layout."""
    units: int
    gates: ClassVar[int]
    remembers: ClassVar[int | None] = None  # the gate whose bias starts at 1, so that a fresh cell remembers

    def __post_init__(self):
        positive(self, "units")

    def outputs(self, inputs):
        return self.units

    def parameters(self, inputs):
        rows = self.gates * self.units
        return {"weight_ih_l0": (rows, inputs), "weight_hh_l0": (rows, self.units),
                "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}

    def initial(self, inputs, rng, scheme):
        """"orthogonal": hidden weights a rotation a gate, input weights Glorot's, biases 0 but for the gate that remembers."""
        if scheme == "torch":
            return uniform(rng, self.units ** -0.5, self.parameters(inputs))
        tensors = {name: np.zeros(shape, np.float32) for name, shape in self.parameters(inputs).items()}
        for gate in range(self.gates):
            rows = slice(gate * self.units, (gate + 1) * self.units)
            tensors["weight_ih_l0"][rows] = glorot(rng, self.units, inputs)
            tensors["weight_hh_l0"][rows] = orthogonal(rng, self.units)
            tensors["bias_ih_l0"][rows] = gate == self.remembers
        return tensors

    def split(self, tensors):
        """(inputs, hidden, bias of inputs, bias of hidden), each with the gates as its first axis."""
        return [tensors[name].reshape(self.gates, self.units, *tensors[name].shape[1:])
                for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]

    def weights(self, tensors):
        inputs, hidden, bias_i, bias_h = self.split(tensors)
        return Gates(bias_i + bias_h, hidden, inputs)
