"""Activations by themselves, over one stream's whole vector: what Dense puts after its sums."""
from streamrnn.cells.base import Rowwise
from streamrnn.cells.rnn import relu, relu_grad, tanh_grad
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, get, larger, load, put, splat, store
from streamrnn.maths import exp, sigmoid, tanh
from streamrnn.sums import dot, total


@inline
def clear_padding(y, units):
    for u in range(units, -(-units // BLOCK) * BLOCK):
        put(y, u, 0)


def elementwise(function, derivative):
    """In place; derivative(y, d_y) is told by the result."""
    @inline
    def step(shape, weights, x, y, old, new):
        for u in range(0, shape[1], LANES):
            store(y, u, function(load(x, u)))
        clear_padding(y, shape[1])

    @inline
    def grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
        for u in range(0, shape[1], LANES):
            store(d_x, u, derivative(load(y, u), load(d_y, u)))

    return Rowwise(step, grad)


@inline
def sigmoid_grad(y, d_y):
    return d_y * (y - y * y)


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


@inline
def softmax_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """dx = y (dy - sum(dy y)), in place"""
    whole = splat(dot(d_y, y, shape[1]))
    for u in range(0, shape[1], LANES):
        store(d_x, u, load(y, u) * (load(d_y, u) - whole))


BY_NAME = {"relu": elementwise(relu, relu_grad), "tanh": elementwise(tanh, tanh_grad), "sigmoid": elementwise(sigmoid, sigmoid_grad),
           "softmax": Rowwise(softmax, softmax_grad)}
STAGES, LAYERS = tuple(BY_NAME.values()), ()
