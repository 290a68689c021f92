"""Activation and Recurrence in C: functions with their numbers written in, and loops that call them.

A Recurrence's functions are called after its layer: NAME_layers_0_gate; the usual ones are those of maths. An LSTM's unit has its
three peepholes, where there are any, behind its other weights.
"""
import re

from streamrnn.cells.general import functions
from streamrnn.cells.gru import GRU
from streamrnn.cells.lstm import LSTM
from streamrnn.cells.rnn import RNN
from streamrnn.interop.c import gated
from streamrnn.interop.c.maths import Piece, literal
from streamrnn.interop.c.modern import sums
from streamrnn.interop.c.plain import each_piece

SOFTPLUS = """\
static float NAME_softplus(float x)
{
    float t = NAME_exp(x > -x ? -x : x), s = t / (2.0f + t), q = s * s, p = $17;
    p = CAPS_FMA(CAPS_FMA(CAPS_FMA(CAPS_FMA(p, q, $15), q, $13), q, $11), q, $9);
    p = CAPS_FMA(CAPS_FMA(CAPS_FMA(p, q, $7), q, $5), q, $3);
    return (x > 0.0f ? x : 0.0f) + 2.0f * CAPS_FMA(s * q, p, s);
}
"""

PIECES = {
    "softplus": Piece(re.sub(r"\$(\d+)", lambda found: literal(getattr(functions, f"S{found[1]}")), SOFTPLUS), ("exp",)),
    "bounded": Piece("""\
static float NAME_bounded(float x, float lowest, float highest)
{
    x = x > lowest ? x : lowest;
    return x < highest ? x : highest;
}
"""),
}

USUAL = ("sigmoid", "tanh", "relu", "softplus")
FORMS = {
    "affine": ("CAPS_FMA({a}, x, {b})", ()),
    "leaky_relu": ("x > 0.0f ? x : {a} * x", ()),
    "thresholded_relu": ("{a} - x > 0.0f ? 0.0f : x", ()),
    "scaled_tanh": ("{a} * NAME_tanh({b} * x)", ("tanh",)),
    "hard_sigmoid": ("NAME_bounded(CAPS_FMA({a}, x, {b}), 0.0f, 1.0f)", ("bounded",)),
    "elu": ("x > 0.0f ? x : {a} * (NAME_exp(x) - 1.0f)", ("exp",)),
    "softsign": ("x / (1.0f + (x > -x ? x : -x))", ()),
    **{name: (f"NAME_{name}(x)", (name,)) for name in USUAL},
}
"""cells/general/functions.py, each with its alpha and beta, and what it needs."""

LSTM_STEP = """\
static void NAME_{name}(const float *w, const float *x, int inputs, const float *h, int hidden, float *c, int units, float *y)
{{
    int u;
    for (u = 0; u < units; u++) {{
        float a[4], i, f;
        NAME_copy(w, a, 4);
        w = NAME_add4(a, w + 4, h, hidden);
        w = NAME_add4(a, w, x, inputs);
{peep}        i = NAME_{gate}(a[0]);
        f = {forget};
        c[u] = CAPS_FMA(f, c[u], i * NAME_{candidate}(a[2]));
{peep_out}        y[u] = NAME_{gate}(a[3]) * NAME_{output}(c[u]);
    }}
}}
"""
PEEP = """\
        a[0] = CAPS_FMA(w[0], c[u], a[0]);
        a[1] = CAPS_FMA(w[1], c[u], a[1]);
"""
PEEP_OUT = """\
        a[3] = CAPS_FMA(w[2], c[u], a[3]);
        w += 3;
"""


def function(to, role, chosen, clip=None):
    """The name of (name, alpha, beta), of a bounded value where there is a clip; one that maths does not have is written."""
    name, alpha, beta = chosen
    if name in USUAL and clip is None:
        return name
    value, needs = FORMS[name]
    bound = f"    x = NAME_bounded(x, -{literal(clip)}, {literal(clip)});\n" if clip else ""
    own = f"{to.layer}_{role}"
    text = value.format(a=literal(alpha), b=literal(beta)) if name not in USUAL else value
    to.piece(own, Piece(f"static float NAME_{own}(float x)\n{{\n{bound}    return {text};\n}}\n", (*needs, *(["bounded"] if clip else []))))
    return own


def activation(to, layer, tensors, x, inputs):
    y, name = to.result(inputs), layer.function
    to.call("copy", None, x, y, inputs)
    if name != "softmax":
        name = function(to, "function", (name, layer.alpha, layer.beta))
        to.piece(f"each_{name}", each_piece(name))
    to.call(f"each_{name}", None, y, inputs)
    return y


def recurrence(to, layer, tensors, x, inputs):
    """RNN and GRU are the usual ones with other functions; an LSTM's unit has no quotient that it could share."""
    gate, candidate, *output = layer.activations if layer.cell != "rnn" else (None, *layer.activations)
    candidate = function(to, "candidate", candidate, layer.clip)
    step = f"{to.layer}_step"
    if layer.cell == "rnn":
        to.piece(step, gated.rnn_piece(step, candidate))
        return gated.rnn(to, RNN(layer.units), tensors, x, inputs, step)
    gate = function(to, "gate", gate, layer.clip)
    if layer.cell == "gru":
        to.piece(step, gated.gru_piece(step, gate, candidate, layer.reset_after))
        return gated.gru(to, GRU(layer.units, layer.reset_after), tensors, x, inputs, step)
    output, = (function(to, "output", one) for one in output)
    to.piece(step, Piece(LSTM_STEP.format(
        name=step, gate=gate, candidate=candidate, output=output, forget="1.0f - i" if layer.input_forget else f"NAME_{gate}(a[1])",
        peep=PEEP if layer.peepholes else "", peep_out=PEEP_OUT if layer.peepholes else ""), (gate, candidate, output, "add4", "copy")))
    return lstm(to, layer, tensors, x, inputs, step)


def lstm(to, layer, tensors, x, inputs, step):
    units, out = layer.units, layer.outputs(inputs)
    h, c, y = to.state("h", out, tensors.get("start_h")), to.state("c", units, tensors.get("start_c")), to.work(units)
    peep = [tensors["peephole_l0"].reshape(3, units).T] if layer.peepholes else []
    to.call(step, gated.gated(LSTM(units).weights(tensors), *peep), x, inputs, h, out, c, units, y)
    if layer.projection:
        sums(to, y, units, h, tensors["weight_hr_l0"])
    else:
        to.call("copy", None, y, h, units)
    return h


CALLS = {"activation": activation, "recurrence": recurrence}
