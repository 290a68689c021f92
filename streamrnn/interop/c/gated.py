"""RNN, LSTM and GRU in C.

Weights, unit by unit: [bias: its sums][each hidden unit: its gates][each input: its gates]. Vectors are not padded.
"""
import numpy as np

from streamrnn.interop.c.maths import Piece


def gated(gates, *more):
    """Gates(bias (sums, units), hidden (gates, units, hidden), inputs (gates, units, inputs)) as the functions read them, then
    what else a unit has, (units, any)."""
    by_unit = [part.transpose(1, 2, 0).reshape(part.shape[1], part.shape[0] * part.shape[2]) for part in (gates.hidden, gates.inputs)]
    return np.concatenate([gates.bias.T, *by_unit, *more], 1).ravel()


RNN = """\
static void NAME_{name}(const float *w, const float *x, int inputs, float *h, int units, float *new_h)
{{
    int u;
    for (u = 0; u < units; u++) {{
        float a = w[0];
        w = NAME_add1(&a, w + 1, h, units);
        w = NAME_add1(&a, w, x, inputs);
        new_h[u] = NAME_{candidate}(a);
    }}
    NAME_copy(new_h, h, units);
}}
"""

GRU = """\
static void NAME_{name}(const float *w, const float *x, int inputs, float *h, int units, float *new_h)
{{
    int u;
    for (u = 0; u < units; u++) {{
        float a[4], n;  /* the input's part of n; r; z; the hidden part of n */
        NAME_copy(w, a, 4);
        w = NAME_add3(a + 1, w + 4, h, units);
        w = NAME_add3(a, w, x, inputs);
        n = NAME_{candidate}(CAPS_FMA(NAME_{gate}(a[1]), a[3], a[0]));
        new_h[u] = CAPS_FMA(NAME_{gate}(a[2]), h[u] - n, n);
    }}
    NAME_copy(new_h, h, units);
}}
"""

GRU_BEFORE = """\
static void NAME_{name}(const float *w, const float *x, int inputs, float *h, int units, float *seen, float *z)
{{
    int u;
    for (u = 0; u < units; u++) {{
        float a[2];
        NAME_copy(w, a, 2);
        w = NAME_add2(a, w + 2, h, units);
        w = NAME_add2(a, w, x, inputs);
        seen[u] = NAME_{gate}(a[0]) * h[u];
        z[u] = NAME_{gate}(a[1]);
    }}
    for (u = 0; u < units; u++) {{
        float n = w[0];
        w = NAME_add1(&n, w + 1, seen, units);
        w = NAME_add1(&n, w, x, inputs);
        n = NAME_{candidate}(n);
        h[u] = CAPS_FMA(z[u], h[u] - n, n);
    }}
}}
"""


def rnn_piece(name, candidate):
    return Piece(RNN.format(name=name, candidate=candidate), (candidate, "add1", "copy"))


def gru_piece(name, gate, candidate, after):
    if after:
        return Piece(GRU.format(name=name, gate=gate, candidate=candidate), (gate, candidate, "add3", "copy"))
    return Piece(GRU_BEFORE.format(name=name, gate=gate, candidate=candidate), (gate, candidate, "add1", "add2"))


PIECES = {
    "rnn_tanh": rnn_piece("rnn_tanh", "tanh"),
    "rnn_relu": rnn_piece("rnn_relu", "relu"),
    "lstm": Piece("""\
static void NAME_lstm(const float *w, const float *x, int inputs, float *h, int units, float *c, float *new_h)
{
    int u;
    for (u = 0; u < units; u++) {
        float a[4], f;
        NAME_ratio i, g, o, t;
        NAME_copy(w, a, 4);
        w = NAME_add4(a, w + 4, h, units);
        w = NAME_add4(a, w, x, inputs);
        i = NAME_sigmoid_ratio(a[0]);
        f = NAME_sigmoid(a[1]);
        g = NAME_tanh_ratio(a[2]);
        o = NAME_sigmoid_ratio(a[3]);
        c[u] = CAPS_FMA(f, c[u], i.top * g.top / (i.bottom * g.bottom));
        t = NAME_tanh_ratio(c[u]);
        new_h[u] = o.top * t.top / (o.bottom * t.bottom);
    }
    NAME_copy(new_h, h, units);
}
""", ("sigmoid", "add4", "copy")),
    "gru": gru_piece("gru", "sigmoid", "tanh", after=True),
    "gru_before": gru_piece("gru_before", "sigmoid", "tanh", after=False),
}


def rnn(to, layer, tensors, x, inputs, piece=None):
    h = to.state("h", layer.units, tensors.get("start_h"))
    to.call(piece or f"rnn_{layer.activation}", gated(layer.weights(tensors)), x, inputs, h, layer.units, to.work(layer.units))
    return h


def lstm(to, layer, tensors, x, inputs):
    h, c = to.state("h", layer.units), to.state("c", layer.units)
    to.call("lstm", gated(layer.weights(tensors)), x, inputs, h, layer.units, c, to.work(layer.units))
    return h


def gru(to, layer, tensors, x, inputs, piece=None):
    h = to.state("h", layer.units, tensors.get("start_h"))
    if layer.reset_after:
        to.call(piece or "gru", gated(layer.weights(tensors)), x, inputs, h, layer.units, to.work(layer.units))
    else:
        weights = np.concatenate([gated(layer.reset_weights(tensors)), gated(layer.candidate_weights(tensors))])
        to.call(piece or "gru_before", weights, x, inputs, h, layer.units, to.work(layer.units), to.work(layer.units))
    return h


CALLS = {"rnn": rnn, "lstm": lstm, "gru": gru}
