"""Recurrence: an LSTM, GRU or RNN with all that ONNX's operators and torch's projection can say, in one stage that stands apart.

Peepholes, clip, any activations, input_forget, both forms of the reset, a projected h, a first state other than zero.
weights: a header of 32 floats; start of h, start of c; peepholes i f o; the projection, a row for each unit; biases, a vector
for each sum; hidden weights [hidden][gate][unit]; input weights [input][gate][unit]. Vectors are padded to 16 floats.
state: h, c (an LSTM's), and where there is a first state, a flag: has the stream begun? `y` is room for two vectors.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.activation import clear_padding
from streamrnn.cells.base import Layer, Rowwise, apart, positive, uniform
from streamrnn.cells.general.functions import activate, coded, function_of
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, get, larger, load, put, smaller, splat, store
from streamrnn.maths import ONE

CELL, UNITS, OUT, CLIP, PEEPHOLES, FORGET, STARTS, PROJECTED, FUNCTIONS = range(9)
HEADER = 32
ZERO = np.float32(0)

CELLS = ("rnn", "lstm", "gru_after", "gru_before")
RNN, LSTM, GRU_AFTER, GRU_BEFORE = range(4)
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
USUAL = {"rnn": ("tanh",), "lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh")}
"""How many gates each cell has, and which activations: of the gates, of the candidate, of an LSTM's output."""


@inline
def width(n):
    return -(-n // BLOCK) * BLOCK


@inline
def function(weights, which, x):
    """The cell's first, second or third activation."""
    own = at(weights, FUNCTIONS + 3 * which)
    return activate(np.int64(get(own, 0)), get(own, 1), get(own, 2), x)


@inline
def clipped(weights, x):
    limit = get(weights, CLIP)
    if limit > ZERO:
        return smaller(larger(x, -limit), limit)
    return x


@inline
def products(matrix, gates, gate, wide, u, v, count, total):
    """total + the products of v with one gate's weights, in order, for the units from u on."""
    for k in range(count):
        total = fma(get(v, k), load(matrix, (k * gates + gate) * wide + u), total)
    return total


@inline
def four(matrix, wide, u, v, count, i, f, g, o):
    """The same for all gates of an LSTM at once."""
    for k in range(count):
        value, row = get(v, k), k * 4 * wide + u
        i = fma(value, load(matrix, row), i)
        f = fma(value, load(matrix, row + wide), f)
        g = fma(value, load(matrix, row + 2 * wide), g)
        o = fma(value, load(matrix, row + 3 * wide), o)
    return i, f, g, o


@inline
def begin(weights, start, state, count):
    """A fresh stream starts from the layer's first state."""
    if get(weights, STARTS) > ZERO and get(state, count) == ZERO:
        for k in range(0, count, LANES):
            store(state, k, load(start, k))
        put(state, count, ONE)


@inline
def lstm(shape, weights, peep, bias, hidden, matrix, x, y, h, c, units, out):
    """What the projection takes, or the new h, into y; c in place."""
    wide = width(units)
    for u in range(0, units, LANES):
        i, f, g, o = four(hidden, wide, u, h, out, load(bias, u), load(bias, wide + u), load(bias, 2 * wide + u), load(bias, 3 * wide + u))
        i, f, g, o = four(matrix, wide, u, x, shape[0], i, f, g, o)
        cell = load(c, u)
        if get(weights, PEEPHOLES) > ZERO:
            i, f = fma(load(peep, u), cell, i), fma(load(peep, wide + u), cell, f)
        i = function(weights, 0, clipped(weights, i))
        if get(weights, FORGET) > ZERO:
            f = ONE - i
        else:
            f = function(weights, 0, clipped(weights, f))
        cell = fma(f, cell, i * function(weights, 1, clipped(weights, g)))
        if get(weights, PEEPHOLES) > ZERO:
            o = fma(load(peep, 2 * wide + u), cell, o)
        store(c, u, cell)
        store(y, u, function(weights, 0, clipped(weights, o)) * function(weights, 2, cell))
    clear_padding(c, units)


@inline
def rnn(shape, weights, bias, hidden, matrix, x, y, h, units):
    wide = width(units)
    for u in range(0, units, LANES):
        total = products(hidden, 1, 0, wide, u, h, units, load(bias, u))
        store(y, u, function(weights, 0, clipped(weights, products(matrix, 1, 0, wide, u, x, shape[0], total))))


@inline
def gru(shape, weights, bias, hidden, matrix, x, y, h, units, after):
    """biases r z n, then the hidden one of n; the new h into y. Before: y's second vector holds r h, the first one z."""
    wide = width(units)
    seen = at(y, wide)
    for u in range(0, units, LANES):
        r = products(hidden, 3, 0, wide, u, h, units, load(bias, u))
        z = products(hidden, 3, 1, wide, u, h, units, load(bias, wide + u))
        r = function(weights, 0, clipped(weights, products(matrix, 3, 0, wide, u, x, shape[0], r)))
        z = function(weights, 0, clipped(weights, products(matrix, 3, 1, wide, u, x, shape[0], z)))
        if after:
            n = products(matrix, 3, 2, wide, u, x, shape[0], load(bias, 2 * wide + u))
            n = fma(r, products(hidden, 3, 2, wide, u, h, units, load(bias, 3 * wide + u)), n)
            n = function(weights, 1, clipped(weights, n))
            store(y, u, fma(z, load(h, u) - n, n))
        else:
            store(seen, u, r * load(h, u))
            store(y, u, z)
    if not after:
        for u in range(0, units, LANES):
            n = products(hidden, 3, 2, wide, u, seen, units, load(bias, 2 * wide + u))
            n = function(weights, 1, clipped(weights, products(matrix, 3, 2, wide, u, x, shape[0], n)))
            store(y, u, fma(load(y, u), load(h, u) - n, n))


@apart
def recurrence(shape, weights, x, y, old, h):
    cell, units, out = np.int64(get(weights, CELL)), np.int64(get(weights, UNITS)), np.int64(get(weights, OUT))
    wide, wide_out = width(units), width(out)
    start = at(weights, HEADER)
    peep = at(start, wide_out + wide)
    projection = at(peep, 3 * wide)
    bias = at(projection, units * wide_out if get(weights, PROJECTED) > ZERO else 0)
    hidden = at(bias, 4 * wide)
    gates = 4 if cell == LSTM else 1 if cell == RNN else 3
    matrix, c = at(hidden, out * gates * wide), at(h, wide_out)
    begin(weights, start, h, wide_out + wide if cell == LSTM else wide_out)
    if cell == LSTM:
        lstm(shape, weights, peep, bias, hidden, matrix, x, y, h, c, units, out)
    elif cell == RNN:
        rnn(shape, weights, bias, hidden, matrix, x, y, h, units)
    else:
        gru(shape, weights, bias, hidden, matrix, x, y, h, units, cell == GRU_AFTER)
    for u in range(0, out, LANES):
        if get(weights, PROJECTED) > ZERO:
            store(h, u, products(projection, 1, 0, wide_out, u, y, units, splat(ZERO)))
        else:
            store(h, u, load(y, u))
    clear_padding(h, out)


STAGE = Rowwise(recurrence, apart=True)


@dataclass(frozen=True)
class Recurrence(Layer):
    """An LSTM, GRU or RNN beyond the usual; the usual ones are the layers LSTM, GRU and RNN, which are faster and can be trained.

    cell         "lstm", "gru" or "rnn"
    activations  of the gates, of the candidate, of an LSTM's output: names, or (name, alpha, beta); None: the usual ones
    clip         bounds what goes into the gates' and the candidate's activations; None: no bound
    peepholes    an LSTM's gates see c; input_forget: its forget gate is 1 - input gate
    reset_after  a GRU's reset, see GRU
    projection   an LSTM's h is a product of this many values (torch's proj_size); None: no product
    starts       a fresh stream starts from the tensors start_h and start_c, not from zeros

    Tensors have torch.nn's names, shapes and gate orders; peephole_l0 (3 units,) is in the order i f o.
    """
    cell: str
    units: int
    activations: tuple | None = None
    clip: float | None = None
    peepholes: bool = False
    input_forget: bool = False
    reset_after: bool = True
    projection: int | None = None
    starts: bool = False
    kind: ClassVar[str] = "recurrence"

    def __post_init__(self):
        if self.cell not in GATES:
            raise ConfigError(f"Recurrence: cell must be one of {', '.join(GATES)}, got {self.cell!r}")
        positive(self, "units", *(["projection"] if self.projection is not None else []))
        usual = USUAL[self.cell]
        given = usual if self.activations is None else self.activations
        if not isinstance(given, (tuple, list)) or len(given) != len(usual):
            raise ConfigError(f"Recurrence: activations of a {self.cell} must be {len(usual)}, such as {usual}; got {given!r}")
        functions = tuple(function_of(one, f"Recurrence: activations[{n}]") for n, one in enumerate(given))
        object.__setattr__(self, "activations", functions)
        for name in ("peepholes", "input_forget", "reset_after", "starts"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"Recurrence: {name} must be True or False, got {getattr(self, name)!r}")
        if self.clip is not None:
            if isinstance(self.clip, bool) or not isinstance(self.clip, (int, float, np.floating)) or not 0 < self.clip < np.inf:
                raise ConfigError(f"Recurrence: clip must be a number above 0, or None, got {self.clip!r}")
            object.__setattr__(self, "clip", float(self.clip))
        for name in ("peepholes", "input_forget", "projection"):
            if getattr(self, name) and self.cell != "lstm":
                raise ConfigError(f"Recurrence: {name} belongs to an lstm, got cell={self.cell!r}")

    def outputs(self, inputs):
        return self.projection or self.units

    def parameters(self, inputs):
        rows, out = GATES[self.cell] * self.units, self.outputs(inputs)
        shapes = {"weight_ih_l0": (rows, inputs), "weight_hh_l0": (rows, out), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
        if self.projection:
            shapes["weight_hr_l0"] = (out, self.units)
        if self.peepholes:
            shapes["peephole_l0"] = (3 * self.units,)
        if self.starts:
            shapes["start_h"] = (out,)
            if self.cell == "lstm":
                shapes["start_c"] = (self.units,)
        return shapes

    def initial(self, inputs, rng, scheme):
        return uniform(rng, self.units ** -0.5, self.parameters(inputs))

    def emit(self, plan, source, inputs):
        out = self.outputs(inputs)
        h = plan.state("h", out)
        if self.cell == "lstm":
            plan.state("c", self.units)
        if self.starts:
            plan.state("begun", 1)
        room = plan.work(2 * -(-self.units // BLOCK) * BLOCK)
        plan.rowwise(STAGE, source, inputs, room, out, weights=self.packed, state=h)
        return h

    def packed(self, tensors):
        header = np.zeros(HEADER, np.float32)
        cell = self.cell if self.cell != "gru" else "gru_after" if self.reset_after else "gru_before"
        out, gates, units = self.projection or self.units, GATES[self.cell], self.units
        header[:FUNCTIONS] = (CELLS.index(cell), units, out, self.clip or 0, self.peepholes, self.input_forget, self.starts,
                              self.projection is not None)
        numbers = [number for one in self.activations for number in coded(one)]
        header[FUNCTIONS:FUNCTIONS + len(numbers)] = numbers
        inputs, hidden, b_i, b_h = (tensors[name].reshape(gates, units, *tensors[name].shape[1:])
                                    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
        bias = np.zeros((4, units), np.float32)
        bias[:gates] = b_i + b_h
        if cell == "gru_after":
            bias[2], bias[3] = b_i[2], b_h[2]
        zeros = lambda size: np.zeros(size, np.float32)
        parts = [tensors.get("start_h", zeros(out)), tensors.get("start_c", zeros(units)),
                 tensors.get("peephole_l0", zeros(3 * units)).reshape(3, units)]
        if self.projection:
            parts.append(tensors["weight_hr_l0"].T)
        parts += [bias, hidden.transpose(2, 0, 1), inputs.transpose(2, 0, 1)]
        return np.concatenate([header, *map(_wide, parts)])


def _wide(part):
    """The last axis padded to a multiple of 16 floats."""
    full = np.zeros((*part.shape[:-1], -(-part.shape[-1] // BLOCK) * BLOCK), np.float32)
    full[..., :part.shape[-1]] = part
    return full.ravel()


STAGES, LAYERS = (STAGE,), (Recurrence,)
