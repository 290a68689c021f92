"""Activations by themselves, over one stream's whole vector: what Dense puts after its sums."""
from streamrnn.cells.base import Rowwise
from streamrnn.cells.rnn import relu
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, get, larger, load, put, splat, store
from streamrnn.maths import exp, sigmoid, tanh
from streamrnn.sums import total


@inline
def clear_padding(y, units):
    for u in range(units, -(-units // BLOCK) * BLOCK):
        put(y, u, 0)


def elementwise(function):
    @inline
    def step(shape, weights, x, y, old, new):
        for u in range(0, shape[1], LANES):
            store(y, u, function(load(x, u)))
        clear_padding(y, shape[1])
    return Rowwise(step)


@inline
def softmax(shape, weights, x, y, old, new):
    """exp(x - max) over its sum; the sum is folded from 16 partial sums, the same on every host."""
    units = shape[1]
    top = get(x, 0)
    for u in range(1, units):
        top = larger(get(x, u), top)
    for u in range(0, units, LANES):
        store(y, u, exp(load(x, u) - splat(top)))
    clear_padding(y, units)
    whole = splat(total(y, units))
    for u in range(0, units, LANES):
        store(y, u, load(y, u) / whole)


BY_NAME = {"relu": elementwise(relu), "tanh": elementwise(tanh), "sigmoid": elementwise(sigmoid), "softmax": Rowwise(softmax)}
STAGES, LAYERS = tuple(BY_NAME.values()), ()
