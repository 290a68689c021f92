"""The layers in C: for each kind its function, its weights in the order that function reads them, and its call.

Weights of a gated layer, unit by unit: [bias: its sums][each hidden unit: its gates][each input: its gates]; of a narrow
Dense: [each input][bias]. Vectors are not padded.
"""
import numpy as np

from streamrnn.cells.dense import NARROW
from streamrnn.interop.c.maths import Piece


def gated(gates):
    """Gates(bias (sums, units), hidden (gates, units, hidden), inputs (gates, units, inputs)) as the functions read them."""
    by_unit = [part.transpose(1, 2, 0).reshape(part.shape[1], part.shape[0] * part.shape[2]) for part in (gates.hidden, gates.inputs)]
    return np.concatenate([gates.bias.T, *by_unit], 1).ravel()


RNN = """\
static void NAME_rnn_{f}(const float *w, const float *x, int inputs, float *h, int units, float *new_h)
{{
    int u;
    for (u = 0; u < units; u++) {{
        float a = w[0];
        w = NAME_add1(&a, w + 1, h, units);
        w = NAME_add1(&a, w, x, inputs);
        new_h[u] = NAME_{f}(a);
    }}
    NAME_copy(new_h, h, units);
}}
"""

EACH = """\
static void NAME_each_{f}(float *y, int units)
{{
    int u;
    for (u = 0; u < units; u++)
        y[u] = NAME_{f}(y[u]);
}}
"""

PIECES = {
    "copy": Piece("""\
static void NAME_copy(const float *x, float *y, int units)
{
    int u;
    for (u = 0; u < units; u++)
        y[u] = x[u];
}
"""),
    "rnn_tanh": Piece(RNN.format(f="tanh"), ("tanh", "add1", "copy")),
    "rnn_relu": Piece(RNN.format(f="relu"), ("relu", "add1", "copy")),
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
    "gru": Piece("""\
static void NAME_gru(const float *w, const float *x, int inputs, float *h, int units, float *new_h)
{
    int u;
    for (u = 0; u < units; u++) {
        float a[4], n;  /* the input's part of n; r; z; the hidden part of n */
        NAME_copy(w, a, 4);
        w = NAME_add3(a + 1, w + 4, h, units);
        w = NAME_add3(a, w, x, inputs);
        n = NAME_tanh(CAPS_FMA(NAME_sigmoid(a[1]), a[3], a[0]));
        new_h[u] = CAPS_FMA(NAME_sigmoid(a[2]), h[u] - n, n);
    }
    NAME_copy(new_h, h, units);
}
""", ("tanh", "sigmoid", "add3", "copy")),
    "gru_before": Piece("""\
static void NAME_gru_before(const float *w, const float *x, int inputs, float *h, int units, float *seen, float *z)
{
    int u;
    for (u = 0; u < units; u++) {
        float a[2];
        NAME_copy(w, a, 2);
        w = NAME_add2(a, w + 2, h, units);
        w = NAME_add2(a, w, x, inputs);
        seen[u] = NAME_sigmoid(a[0]) * h[u];
        z[u] = NAME_sigmoid(a[1]);
    }
    for (u = 0; u < units; u++) {
        float n = w[0];
        w = NAME_add1(&n, w + 1, seen, units);
        w = NAME_add1(&n, w, x, inputs);
        n = NAME_tanh(n);
        h[u] = CAPS_FMA(z[u], h[u] - n, n);
    }
}
""", ("tanh", "sigmoid", "add1", "add2", "copy")),
    "dense": Piece("""\
static void NAME_dense(const float *w, const float *x, int inputs, float *y, int units)
{
    int u;
    for (u = 0; u < units; u++) {
        y[u] = w[0];
        w = NAME_add1(y + u, w + 1, x, inputs);
    }
}
""", ("add1",)),
    "dots": Piece("""\
static void NAME_dots(const float *w, const float *x, int inputs, float *y, int units)
{
    int u;
    for (u = 0; u < units; u++, w += inputs + 1)
        y[u] = w[inputs] + NAME_dot(w, x, inputs);
}
""", ("dot",)),
    "each_tanh": Piece(EACH.format(f="tanh"), ("tanh",)),
    "each_sigmoid": Piece(EACH.format(f="sigmoid"), ("sigmoid",)),
    "each_relu": Piece(EACH.format(f="relu"), ("relu",)),
    "each_softmax": Piece("""\
static void NAME_each_softmax(float *y, int units)
{
    float top = y[0], whole;
    int u;
    for (u = 1; u < units; u++)
        top = y[u] > top ? y[u] : top;
    for (u = 0; u < units; u++)
        y[u] = NAME_exp(y[u] - top);
    whole = NAME_total(y, units);
    for (u = 0; u < units; u++)
        y[u] = y[u] / whole;
}
""", ("exp", "total")),
    "embedding": Piece("""\
static void NAME_embedding(const float *w, const float *x, int tokens, float *y, int size)
{
    int k;
    for (k = 0; k < tokens; k++)
        NAME_copy(w + (long)x[k] * size, y + k * size, size);
}
""", ("copy",)),
    "layernorm": Piece("""\
static void NAME_layernorm(const float *w, const float *x, float *y, int units)  /* w: scale, shift, epsilon */
{
    float mean = NAME_total(x, units) / (float)units, scale;
    int u;
    for (u = 0; u < units; u++)
        y[u] = x[u] - mean;
    scale = 1.0f / NAME_root(NAME_dot(y, y, units) / (float)units + w[2 * units]);
    for (u = 0; u < units; u++)
        y[u] = CAPS_FMA(y[u] * scale, w[u], w[units + u]);
}
""", ("total", "dot", "root")),
    "scale": Piece("""\
static void NAME_scale(const float *w, const float *x, float *y, int units)  /* w: shift, factor */
{
    int u;
    for (u = 0; u < units; u++)
        y[u] = (x[u] - w[u]) * w[units + u];
}
"""),
    "unscale": Piece("""\
static void NAME_unscale(const float *w, const float *x, float *y, int units)  /* w: shift, factor */
{
    int u;
    for (u = 0; u < units; u++)
        y[u] = CAPS_FMA(x[u], w[units + u], w[u]);
}
"""),
}


# -- calls: each puts its layer into the program `to` and answers where its result lies -------------------------------------

def rnn(to, layer, tensors, x, inputs):
    h = to.state("h", layer.units)
    to.call(f"rnn_{layer.activation}", gated(layer.weights(tensors)), x, inputs, h, layer.units, to.work(layer.units))
    return h


def lstm(to, layer, tensors, x, inputs):
    h, c = to.state("h", layer.units), to.state("c", layer.units)
    to.call("lstm", gated(layer.weights(tensors)), x, inputs, h, layer.units, c, to.work(layer.units))
    return h


def gru(to, layer, tensors, x, inputs):
    h = to.state("h", layer.units)
    if layer.reset_after:
        to.call("gru", gated(layer.weights(tensors)), x, inputs, h, layer.units, to.work(layer.units))
    else:
        weights = np.concatenate([gated(layer.reset_weights(tensors)), gated(layer.candidate_weights(tensors))])
        to.call("gru_before", weights, x, inputs, h, layer.units, to.work(layer.units), to.work(layer.units))
    return h


def dense(to, layer, tensors, x, inputs):
    y = to.result(layer.units)
    if layer.units <= NARROW:
        to.call("dots", np.concatenate([tensors["weight"], tensors["bias"][:, None]], 1).ravel(), x, inputs, y, layer.units)
    else:
        to.call("dense", gated(layer.columns(tensors)), x, inputs, y, layer.units)
    if layer.activation:
        to.call(f"each_{layer.activation}", None, y, layer.units)
    return y


def embedding(to, layer, tensors, x, inputs):
    y = to.result(inputs * layer.size)
    to.call("embedding", tensors["weight"].ravel(), x, inputs, y, layer.size)
    return y


def layernorm(to, layer, tensors, x, inputs):
    y = to.result(inputs)
    to.call("layernorm", np.concatenate([tensors["weight"], tensors["bias"], [np.float32(layer.epsilon)]]), x, y, inputs)
    return y


def scaler(to, layer, tensors, x, inputs):
    y = to.result(inputs)
    to.call(layer.kind, np.concatenate([tensors["shift"], tensors["factor"]]), x, y, inputs)
    return y


def nothing(to, layer, tensors, x, inputs):
    return x


CALLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "dense": dense, "embedding": embedding, "layernorm": layernorm, "scale": scaler,
         "unscale": scaler, "dropout": nothing}
"""By the layer's kind: a new cell is a function above and a name here."""
