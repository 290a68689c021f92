"""The derivative of a Recurrence's step (recurrence_step.py, which has the layout of everything): gates are computed again.

The gradient of h comes in d_new, where the layer's result lies; d_y, ROOM vectors of zeros, is room: first the gradients of the
sums [gate][unit], in the order of the weights. Where a stream begins, what belongs to its state belongs to the first state.
"""
import numpy as np

from streamrnn.cells.base import apart
from streamrnn.cells.general.functions import derivative
from streamrnn.cells.general.recurrence_step import (
    CLIP,
    FORGET,
    FUNCTIONS,
    GRU_AFTER,
    HEADER,
    LSTM,
    PEEPHOLES,
    PROJECTED,
    RNN,
    ZERO,
    clipped,
    four_sums,
    fresh,
    function,
    gate_sum,
    parts,
    seeing,
    sizes,
    sums_after,
    sums_before,
    two_gates,
)
from streamrnn.jit import inline
from streamrnn.lanes import LANES, at, choose, fma, get, larger, load, put, splat, store
from streamrnn.maths import ONE
from streamrnn.sums import fold

ROOM = 5


@inline
def slope(weights, which, x, y):
    """Of y = function(x), by x."""
    own = at(weights, FUNCTIONS + 3 * which)
    return derivative(np.int64(get(own, 0)), get(own, 1), get(own, 2), x, y)


@inline
def slope_of_sum(weights, which, x, y):
    """Of y = function(clipped(x)), by x: none beyond the bound."""
    limit, steep = get(weights, CLIP), slope(weights, which, x, y)
    if limit > ZERO:
        return choose(larger(x, -x) - limit, splat(ZERO), steep)
    return steep


@inline
def add(target, u, value):
    store(target, u, load(target, u) + value)


@inline
def add_product(target, u, a, b):
    store(target, u, fma(a, b, load(target, u)))


@inline
def add_all(target, values, count):
    for u in range(0, count, LANES):
        add(target, u, load(values, u))


@inline
def add_to(p, k, value):
    put(p, k, get(p, k) + value)


@inline
def back(matrix, d_matrix, step, size, v, d_v, count, d_sums):
    """Of sums over v[k] matrix[k]: d_matrix[k] += v[k] d_sums, d_v[k] += matrix[k] d_sums. Four rows at once hide the latency of
    an fma."""
    k = 0
    while k + 4 <= count:
        row, d_row = at(matrix, k * step), at(d_matrix, k * step)
        v0, v1, v2, v3 = get(v, k), get(v, k + 1), get(v, k + 2), get(v, k + 3)
        s0, s1, s2, s3 = splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO)
        for u in range(0, size, LANES):
            d = load(d_sums, u)
            s0, s1 = fma(load(row, u), d, s0), fma(load(row, step + u), d, s1)
            s2, s3 = fma(load(row, 2 * step + u), d, s2), fma(load(row, 3 * step + u), d, s3)
            add_product(d_row, u, v0, d)
            add_product(d_row, step + u, v1, d)
            add_product(d_row, 2 * step + u, v2, d)
            add_product(d_row, 3 * step + u, v3, d)
        add_to(d_v, k, fold(s0))
        add_to(d_v, k + 1, fold(s1))
        add_to(d_v, k + 2, fold(s2))
        add_to(d_v, k + 3, fold(s3))
        k += 4
    while k < count:
        value, s0 = get(v, k), splat(ZERO)
        for u in range(0, size, LANES):
            d = load(d_sums, u)
            s0 = fma(load(matrix, k * step + u), d, s0)
            add_product(d_matrix, k * step + u, value, d)
        add_to(d_v, k, fold(s0))
        k += 1


@inline
def lstm_grad(shape, weights, x, h, c, new_c, d_weights, d_x, d_y, d_h, d_c, d_new_c, d_sums):
    """d_y: of what the projection takes, or of the new h; d_h and d_c: of the state before. With t = function(c'):
    do = dy t o', dc' += dy o t' + do p_o, di = dc' g i', df = dc' c f', dg = dc' i g', dc = dc' f + di p_i + df p_f."""
    _, units, out, wide, _ = sizes(weights)
    peep, _, bias, hidden, matrix = parts(weights, weights)
    d_peep, _, d_bias, d_hidden, d_matrix = parts(weights, d_weights)
    for u in range(0, units, LANES):
        cell, new_cell, d = load(c, u), load(new_c, u), load(d_y, u)
        i_sum, f_sum, g_sum, o_sum = four_sums(weights, peep, bias, hidden, matrix, wide, u, h, out, x, shape[0], cell)
        o_sum = seeing(weights, peep, wide, u, o_sum, new_cell)
        i, f = two_gates(weights, i_sum, f_sum)
        g, o = function(weights, 1, clipped(weights, g_sum)), function(weights, 0, clipped(weights, o_sum))
        t = function(weights, 2, new_cell)
        d_o = d * t * slope_of_sum(weights, 0, o_sum, o)
        d_cell = fma(d * o, slope(weights, 2, new_cell, t), load(d_new_c, u))
        if get(weights, PEEPHOLES) > ZERO:
            add_product(d_peep, 2 * wide + u, d_o, new_cell)
            d_cell = fma(d_o, load(peep, 2 * wide + u), d_cell)
        if get(weights, FORGET) > ZERO:  # f = 1 - i
            d_i, d_f = d_cell * (g - cell) * slope_of_sum(weights, 0, i_sum, i), splat(ZERO)
        else:
            d_i = d_cell * g * slope_of_sum(weights, 0, i_sum, i)
            d_f = d_cell * cell * slope_of_sum(weights, 0, f_sum, f)
        d_old = d_cell * f
        if get(weights, PEEPHOLES) > ZERO:
            add_product(d_peep, u, d_i, cell)
            add_product(d_peep, wide + u, d_f, cell)
            d_old = fma(d_i, load(peep, u), fma(d_f, load(peep, wide + u), d_old))
        add(d_c, u, d_old)
        store(d_sums, u, d_i)
        store(d_sums, wide + u, d_f)
        store(d_sums, 2 * wide + u, d_cell * i * slope_of_sum(weights, 1, g_sum, g))
        store(d_sums, 3 * wide + u, d_o)
    add_all(d_bias, d_sums, 4 * wide)
    back(matrix, d_matrix, 4 * wide, 4 * wide, x, d_x, shape[0], d_sums)
    back(hidden, d_hidden, 4 * wide, 4 * wide, h, d_h, out, d_sums)


@inline
def rnn_grad(shape, weights, x, h, d_weights, d_x, d_y, d_h, d_sums):
    _, units, _, wide, _ = sizes(weights)
    _, _, bias, hidden, matrix = parts(weights, weights)
    _, _, d_bias, d_hidden, d_matrix = parts(weights, d_weights)
    for u in range(0, units, LANES):
        total = gate_sum(1, 0, bias, hidden, matrix, wide, u, h, units, x, shape[0])
        value = function(weights, 0, clipped(weights, total))
        store(d_sums, u, load(d_y, u) * slope_of_sum(weights, 0, total, value))
    add_all(d_bias, d_sums, wide)
    back(matrix, d_matrix, wide, wide, x, d_x, shape[0], d_sums)
    back(hidden, d_hidden, wide, wide, h, d_h, units, d_sums)


@inline
def gru_grad(shape, weights, x, seen, h, d_weights, d_x, d_y, d_h, d_sums, after):
    """dz = dh' (h - n) z', dn = dh' (1-z) n', dh = dh' z and what comes through sums. After: dr = dn (U h + b) r', and the hidden
    sum of n has dn r. Before, where U takes r h (seen): dr = (U dn) h r', dh += (U dn) r."""
    _, units, _, wide, _ = sizes(weights)
    _, _, bias, hidden, matrix = parts(weights, weights)
    _, _, d_bias, d_hidden, d_matrix = parts(weights, d_weights)
    fourth, d_seen, inputs = at(d_sums, 3 * wide), at(d_sums, 4 * wide), shape[0]
    for u in range(0, units, LANES):
        if after:
            r_sum, z_sum, n_sum, from_hidden = sums_after(bias, hidden, matrix, wide, u, h, units, x, inputs)
        else:
            r_sum, z_sum = sums_before(bias, hidden, matrix, wide, u, h, units, x, inputs)
            n_sum, from_hidden = gate_sum(3, 2, bias, hidden, matrix, wide, u, seen, units, x, inputs), splat(ZERO)
        r, z = function(weights, 0, clipped(weights, r_sum)), function(weights, 0, clipped(weights, z_sum))
        if after:
            n_sum = fma(r, from_hidden, n_sum)
        n, old, d = function(weights, 1, clipped(weights, n_sum)), load(h, u), load(d_y, u)
        d_n = d * (ONE - z) * slope_of_sum(weights, 1, n_sum, n)
        r_slope = slope_of_sum(weights, 0, r_sum, r)
        add(d_h, u, d * z)
        store(d_sums, wide + u, d * (old - n) * slope_of_sum(weights, 0, z_sum, z))
        store(d_sums, 2 * wide + u, d_n)
        if after:
            store(d_sums, u, d_n * from_hidden * r_slope)
            store(fourth, u, d_n * r)
        else:
            store(d_sums, u, old * r_slope)
            store(fourth, u, r)
    if not after:
        back(at(hidden, 2 * wide), at(d_hidden, 2 * wide), 3 * wide, wide, seen, d_seen, units, at(d_sums, 2 * wide))
        for u in range(0, units, LANES):
            d = load(d_seen, u)
            store(d_sums, u, load(d_sums, u) * d)
            add_product(d_h, u, load(fourth, u), d)
    add_all(d_bias, d_sums, (4 if after else 3) * wide)
    back(matrix, d_matrix, 3 * wide, 3 * wide, x, d_x, inputs, d_sums)
    if after:
        for u in range(0, units, LANES):
            store(d_sums, 2 * wide + u, load(fourth, u))
    back(hidden, d_hidden, 3 * wide, (3 if after else 2) * wide, h, d_h, units, d_sums)


@apart
def recurrence_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    cell, units, _, wide, wide_out = sizes(weights)
    begins = fresh(weights, old)
    h, d_h = at(weights, HEADER) if begins else old, at(d_weights, HEADER) if begins else d_old
    d_result = d_new
    if get(weights, PROJECTED) > ZERO:
        d_result = at(d_y, 4 * wide)
        back(parts(weights, weights)[1], parts(weights, d_weights)[1], wide_out, wide_out, y, d_result, units, d_new)
    if cell == LSTM:
        lstm_grad(shape, weights, x, h, at(h, wide_out), at(new, wide_out), d_weights, d_x, d_result, d_h, at(d_h, wide_out),
                  at(d_new, wide_out), d_y)
    elif cell == RNN:
        rnn_grad(shape, weights, x, h, d_weights, d_x, d_result, d_h, d_y)
    else:
        gru_grad(shape, weights, x, at(y, wide), h, d_weights, d_x, d_result, d_h, d_y, cell == GRU_AFTER)
