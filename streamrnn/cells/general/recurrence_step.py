"""One step of a Recurrence, and the parts of it that its derivative (recurrence_grad.py) goes through again.

weights: a header of 32 floats; start of h, start of c; peepholes i f o; the projection, a row for each unit; biases, a vector
for each sum; hidden weights [hidden][gate][unit]; input weights [input][gate][unit]. Vectors are padded to 16 floats.
state: h, c (an LSTM's), and where there is a first state, a flag: has the stream begun? `y` is room for two vectors: what the
projection takes, or the new h; and a GRU's r h, where its reset comes before.
"""
import numpy as np

from streamrnn.cells.activation import clear_padding
from streamrnn.cells.base import apart
from streamrnn.cells.general.functions import activate
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, get, larger, load, put, smaller, splat, store
from streamrnn.maths import ONE

CELL, UNITS, OUT, CLIP, PEEPHOLES, FORGET, STARTS, PROJECTED, FUNCTIONS = range(9)
HEADER = 32
ZERO = np.float32(0)

CELLS = ("rnn", "lstm", "gru_after", "gru_before")
RNN, LSTM, GRU_AFTER, GRU_BEFORE = range(4)


# -- where things lie --------------------------------------------------------------------------------------------------

@inline
def width(n):
    return -(-n // BLOCK) * BLOCK


@inline
def sizes(weights):
    """(cell, units, values of h, units padded, h padded)"""
    cell, units, out = np.int64(get(weights, CELL)), np.int64(get(weights, UNITS)), np.int64(get(weights, OUT))
    return cell, units, out, width(units), width(out)


@inline
def parts(weights, numbers):
    """Peepholes, projection, biases, hidden and input weights in `numbers`: the weights themselves, or their gradients."""
    cell, units, out, wide, wide_out = sizes(weights)
    peep = at(numbers, HEADER + wide_out + wide)
    projection = at(peep, 3 * wide)
    bias = at(projection, units * wide_out if get(weights, PROJECTED) > ZERO else 0)
    hidden = at(bias, 4 * wide)
    gates = 4 if cell == LSTM else 1 if cell == RNN else 3
    return peep, projection, bias, hidden, at(hidden, out * gates * wide)


@inline
def fresh(weights, state):
    """Does a stream begin here, from the layer's first state (which lies behind the header as it does in a row)?"""
    cell, _, _, wide, wide_out = sizes(weights)
    return get(weights, STARTS) > ZERO and get(state, wide_out + wide if cell == LSTM else wide_out) == ZERO


# -- activations and sums ----------------------------------------------------------------------------------------------

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
def gate_sum(gates, gate, bias, hidden, matrix, wide, u, h, out, x, inputs):
    """Bias, hidden in order, inputs in order."""
    return products(matrix, gates, gate, wide, u, x, inputs, products(hidden, gates, gate, wide, u, h, out, load(bias, gate * wide + u)))


@inline
def four(matrix, wide, u, v, count, i, f, g, o):
    """The products for all gates of an LSTM at once."""
    for k in range(count):
        value, row = get(v, k), k * 4 * wide + u
        i = fma(value, load(matrix, row), i)
        f = fma(value, load(matrix, row + wide), f)
        g = fma(value, load(matrix, row + 2 * wide), g)
        o = fma(value, load(matrix, row + 3 * wide), o)
    return i, f, g, o


@inline
def four_sums(weights, peep, bias, hidden, matrix, wide, u, h, out, x, inputs, cell):
    """Of an LSTM's i f g o, for the units from u on; o is without its peephole, which sees the new cell value."""
    i, f, g, o = four(hidden, wide, u, h, out, load(bias, u), load(bias, wide + u), load(bias, 2 * wide + u), load(bias, 3 * wide + u))
    i, f, g, o = four(matrix, wide, u, x, inputs, i, f, g, o)
    if get(weights, PEEPHOLES) > ZERO:
        i, f = fma(load(peep, u), cell, i), fma(load(peep, wide + u), cell, f)
    return i, f, g, o


@inline
def two(matrix, wide, u, v, count, r, z):
    """The products for a GRU's reset and update gates at once."""
    for k in range(count):
        value, row = get(v, k), k * 3 * wide + u
        r, z = fma(value, load(matrix, row), r), fma(value, load(matrix, row + wide), z)
    return r, z


@inline
def three(matrix, wide, u, v, count, r, z, n):
    """And for its candidate."""
    for k in range(count):
        value, row = get(v, k), k * 3 * wide + u
        r, z = fma(value, load(matrix, row), r), fma(value, load(matrix, row + wide), z)
        n = fma(value, load(matrix, row + 2 * wide), n)
    return r, z, n


@inline
def sums_before(bias, hidden, matrix, wide, u, h, units, x, inputs):
    """Of a GRU's r z; n waits for r h."""
    r, z = two(hidden, wide, u, h, units, load(bias, u), load(bias, wide + u))
    return two(matrix, wide, u, x, inputs, r, z)


@inline
def sums_after(bias, hidden, matrix, wide, u, h, units, x, inputs):
    """Of a GRU's r z n, and the hidden one of n, which r takes as a whole."""
    r, z, from_hidden = three(hidden, wide, u, h, units, load(bias, u), load(bias, wide + u), load(bias, 3 * wide + u))
    r, z, n = three(matrix, wide, u, x, inputs, r, z, load(bias, 2 * wide + u))
    return r, z, n, from_hidden


@inline
def two_gates(weights, i, f):
    """An LSTM's input and forget gate from their sums."""
    i = function(weights, 0, clipped(weights, i))
    if get(weights, FORGET) > ZERO:
        return i, ONE - i
    return i, function(weights, 0, clipped(weights, f))


@inline
def seeing(weights, peep, wide, u, o, cell):
    """The output gate's sum with its peephole."""
    if get(weights, PEEPHOLES) > ZERO:
        return fma(load(peep, 2 * wide + u), cell, o)
    return o


# -- cells -------------------------------------------------------------------------------------------------------------

@inline
def lstm(shape, weights, x, y, h, c, new_c):
    """What the projection takes, or the new h, into y."""
    _, units, out, wide, _ = sizes(weights)
    peep, _, bias, hidden, matrix = parts(weights, weights)
    for u in range(0, units, LANES):
        cell = load(c, u)
        i, f, g, o = four_sums(weights, peep, bias, hidden, matrix, wide, u, h, out, x, shape[0], cell)
        i, f = two_gates(weights, i, f)
        cell = fma(f, cell, i * function(weights, 1, clipped(weights, g)))
        o = seeing(weights, peep, wide, u, o, cell)
        store(new_c, u, cell)
        store(y, u, function(weights, 0, clipped(weights, o)) * function(weights, 2, cell))
    clear_padding(new_c, units)


@inline
def rnn(shape, weights, x, y, h):
    _, units, _, wide, _ = sizes(weights)
    _, _, bias, hidden, matrix = parts(weights, weights)
    for u in range(0, units, LANES):
        store(y, u, function(weights, 0, clipped(weights, gate_sum(1, 0, bias, hidden, matrix, wide, u, h, units, x, shape[0]))))


@inline
def gru(shape, weights, x, y, h, after):
    """biases r z n, then the hidden one of n; the new h into y. Before: y's second vector holds r h, the first one z."""
    _, units, _, wide, _ = sizes(weights)
    _, _, bias, hidden, matrix = parts(weights, weights)
    seen = at(y, wide)
    for u in range(0, units, LANES):
        if after:
            r, z, n, from_hidden = sums_after(bias, hidden, matrix, wide, u, h, units, x, shape[0])
            r, z = function(weights, 0, clipped(weights, r)), function(weights, 0, clipped(weights, z))
            n = function(weights, 1, clipped(weights, fma(r, from_hidden, n)))
            store(y, u, fma(z, load(h, u) - n, n))
        else:
            r, z = sums_before(bias, hidden, matrix, wide, u, h, units, x, shape[0])
            store(seen, u, function(weights, 0, clipped(weights, r)) * load(h, u))
            store(y, u, function(weights, 0, clipped(weights, z)))
    if not after:
        for u in range(0, units, LANES):
            n = gate_sum(3, 2, bias, hidden, matrix, wide, u, seen, units, x, shape[0])
            n = function(weights, 1, clipped(weights, n))
            store(y, u, fma(load(y, u), load(h, u) - n, n))


@apart
def recurrence(shape, weights, x, y, old, new):
    """In place where a step serves; in training from row to row."""
    cell, units, out, wide, wide_out = sizes(weights)
    h = at(weights, HEADER) if fresh(weights, old) else old
    c, new_c = at(h, wide_out), at(new, wide_out)
    if cell == LSTM:
        lstm(shape, weights, x, y, h, c, new_c)
    elif cell == RNN:
        rnn(shape, weights, x, y, h)
    else:
        gru(shape, weights, x, y, h, cell == GRU_AFTER)
    if get(weights, STARTS) > ZERO:
        put(new, wide_out + wide if cell == LSTM else wide_out, ONE)
    for u in range(0, out, LANES):
        if get(weights, PROJECTED) > ZERO:
            store(new, u, products(parts(weights, weights)[1], 1, 0, wide_out, u, y, units, splat(ZERO)))
        else:
            store(new, u, load(y, u))
    clear_padding(new, out)
