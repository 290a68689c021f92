"""Layers that ONNX has no operator for, as one step in standard operators. Over a whole sequence the step is the body of a Scan.

A form has three parts: products over all steps at once, before(to, layer, own, x); what goes from step to step,
step(to, layer, own, sums, states) -> (y, new states), over (batch, features); and products behind, after(to, own, y, x).
"""
from typing import NamedTuple

import numpy as np

from streamrnn.interop.factors import lru_factors
from streamrnn.interop.onnx_out.plain import function
from streamrnn.interop.onnx_out.recurrent import cell_of, operator
from streamrnn.interop.onnx_out.states import parts
from streamrnn.maths import HIGHEST

LOWEST = np.finfo(np.float32).min


class Form(NamedTuple):
    before: object
    step: object
    after: object


def write(to, layer, own, value, states, news, reverse=False):
    """values (time, batch, inputs), states (batch, ...), names of the new states or None -> values"""
    form = FORMS[layer.kind]
    y = over_time(to, layer, own, form.step, form.before(to, layer, own, value), states, news, reverse)
    return form.after(to, own, y, value)


def over_time(to, layer, own, step, sums, states, news, reverse):
    if not to.sequence:
        y, ends = step(to, layer, own, to.node("Squeeze", [sums, to.whole([0])]), states)
        for end, new in zip(ends, news, strict=True):
            to.node("Identity", [end], new)
        return to.node("Unsqueeze", [y, to.whole([0])])
    body, shapes = to.body(), [shape for _, shape in parts(layer, None)]
    before, x = [to.name("before") for _ in states], to.name("x")
    y, ends = step(body, layer, own, x, before)
    y = body.node("Identity", [y])  # an output of its own, where it is a state too
    infos = lambda names: [to.info(name, "batch", *shape) for name, shape in zip(names, shapes, strict=True)]
    graph = to.helper.make_graph(body.nodes, to.name("step"), [*infos(before), to.info(x, "batch", None)],
                                 [*infos(ends), to.info(y, "batch", None)])
    turned = {"scan_input_directions": [1], "scan_output_directions": [1]} if reverse else {}
    outputs = [*(new or to.name("last") for new in news), to.name("Y")]
    return to.several("Scan", [*states, sums], outputs, body=graph, num_scan_inputs=1, **turned)[-1]


def nothing(to, own, y, x):
    return y


# -- MinGRU, MinLSTM --------------------------------------------------------------------------------------------------------

def minimal_sums(to, layer, own, x):
    return to.product(x, own["weight"], own["bias"])


def mingru(to, layer, own, sums, states):
    """h' = h + sigmoid(z) (n - h)"""
    z, n = to.split(sums, "zn", layer.units)
    return towards(to, states[0], n, to.node("Sigmoid", [z]))


def minlstm(to, layer, own, sums, states):
    """h' = n + p / (p + q) (h - n), p = 1 + exp(-i), q = 1 + exp(-f), the exponents bounded as in the cell: no sum is too large."""
    f, i, n = to.split(sums, "fin", layer.units)
    bounded = lambda gate: to.node("Min", [to.node("Neg", [gate]), to.numbers(HIGHEST, "highest")])
    q, p = (to.node("Add", [to.node("Exp", [bounded(gate)]), to.numbers(1.0)]) for gate in (f, i))
    return towards(to, n, states[0], to.node("Div", [p, to.node("Add", [p, q])]))


def towards(to, start, end, share):
    h = to.node("Add", [start, to.node("Mul", [share, to.node("Sub", [end, start])])])
    return h, [h]


# -- LRU --------------------------------------------------------------------------------------------------------------------

def lru_sums(to, layer, own, x):
    """gamma B x, real and imaginary"""
    gamma = lru_factors(layer, own)[2]
    return to.product(x, np.concatenate([gamma[:, None] * own[name] for name in ("B_re", "B_im")]), hint="gamma_B")


def lru(to, layer, own, sums, states):
    """s' = lambda s + gamma B x; its real and imaginary parts side by side"""
    cos, sin = (to.numbers(part, name) for part, name in zip(lru_factors(layer, own), ("lambda_re", "lambda_im"), strict=False))
    (re, im), (x_re, x_im) = states, to.split(sums, ("x_re", "x_im"), layer.width)
    times = lambda a, b: to.node("Mul", [a, b])
    new_re = to.node("Add", [to.node("Sub", [times(cos, re), times(sin, im)]), x_re])
    new_im = to.node("Add", [to.node("Add", [times(cos, im), times(sin, re)]), x_im])
    return to.node("Concat", [new_re, new_im], axis=-1), [new_re, new_im]


def lru_result(to, own, y, x):
    """Re(C s') + D x"""
    seen = to.product(y, np.concatenate([own["C_re"], -own["C_im"]], 1), hint="C")
    return to.node("Add", [seen, to.product(x, own["D"], hint="D")])


# -- Attention --------------------------------------------------------------------------------------------------------------

def attention_sums(to, layer, own, x):
    return to.product(x, own["in_proj_weight"], own["in_proj_bias"])


def attention(to, layer, own, sums, states):
    """keys and values (batch, window, units): the newest stands last, and count (batch, 1) says how many of the last ones there are"""
    heads, size = layer.heads, layer.units // layer.heads
    q, k, v = to.split(sums, "qkv", layer.units)
    keys, values = (newest(to, kept, one) for kept, one in zip(states, (k, v), strict=False))
    count = to.node("Min", [to.node("Add", [states[2], to.numbers([1])]), to.numbers([layer.window])])
    by_head = lambda value, rows, perm: to.node("Transpose", [to.node("Reshape", [value, to.whole([0, rows, heads, size])])], perm=perm)
    scores = to.node("MatMul", [by_head(q, 1, [0, 2, 1, 3]), by_head(keys, layer.window, [0, 2, 3, 1])])
    scores = to.node("Mul", [scores, to.numbers(size ** -0.5, "scale")])
    there = to.node("Less", [to.numbers(np.arange(layer.window)[::-1], "age"), count])
    scores = to.node("Where", [to.node("Unsqueeze", [there, to.whole([1, 2])]), scores, to.numbers(LOWEST)])
    seen = to.node("MatMul", [to.node("Softmax", [scores], axis=-1), by_head(values, layer.window, [0, 2, 1, 3])])
    return to.node("Reshape", [seen, to.whole([0, layer.units])]), [keys, values, count]


def newest(to, kept, one):
    """The window a step later: without its oldest, with this one."""
    later = to.node("Slice", [kept, to.whole([1]), to.whole([np.iinfo(np.int64).max]), to.whole([1])])
    return to.node("Concat", [later, to.node("Unsqueeze", [one, to.whole([1])])], axis=1)


def attention_result(to, own, y, x):
    return to.product(y, own["out_proj_weight"], own["out_proj_bias"])


# -- Recurrence with a projection, which ONNX's LSTM has not ------------------------------------------------------------------

def projected_sums(to, layer, own, x):
    return to.product(x, own["weight_ih_l0"], own["bias_ih_l0"] + own["bias_hh_l0"], hint="W")


def projected(to, layer, own, sums, states):
    h, c = states
    peep = own.get("peephole_l0", np.zeros(3 * layer.units, np.float32)).reshape(3, -1)
    i, f, g, o = to.split(to.node("Add", [sums, to.product(h, own["weight_hh_l0"], hint="R")]), "ifgo", layer.units)

    def gate(value, which, state=None, weights=None):
        if layer.peepholes and state:
            value = to.node("Add", [value, to.node("Mul", [state, to.numbers(weights, "P")])])
        if layer.clip:
            value = to.node("Clip", [value, to.numbers(-layer.clip), to.numbers(layer.clip)])
        return function(to, *layer.activations[which], value)

    i, g = gate(i, 0, c, peep[0]), gate(g, 1)
    f = to.node("Sub", [to.numbers(1.0), i]) if layer.input_forget else gate(f, 0, c, peep[1])
    new_c = to.node("Add", [to.node("Mul", [f, c]), to.node("Mul", [i, g])])
    seen = to.node("Mul", [gate(o, 0, new_c, peep[2]), function(to, *layer.activations[2], new_c)])
    new_h = to.product(seen, own["weight_hr_l0"], hint="projection")
    return new_h, [new_h, new_c]


FORMS = {
    "mingru": Form(minimal_sums, mingru, nothing),
    "minlstm": Form(minimal_sums, minlstm, nothing),
    "lru": Form(lru_sums, lru, lru_result),
    "attention": Form(attention_sums, attention, attention_result),
    "recurrence": Form(projected_sums, projected, nothing),
}


def form_of(layer):
    """What writes a layer with a state: (to, layer, own, value, states, news, reverse) -> value; None where nothing does."""
    if cell_of(layer) and not (layer.kind == "recurrence" and layer.projection):
        return operator
    return write if layer.kind in FORMS else None
