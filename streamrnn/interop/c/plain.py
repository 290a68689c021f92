"""Layers without a state in C. Weights of a Dense as of a gated layer; of a narrow one, unit by unit: [each input][bias]."""
import numpy as np

from streamrnn.cells.dense import NARROW
from streamrnn.interop.c.gated import gated
from streamrnn.interop.c.maths import Piece

EACH = """\
static void NAME_each_{f}(float *y, int units)
{{
    int u;
    for (u = 0; u < units; u++)
        y[u] = NAME_{f}(y[u]);
}}
"""


def each_piece(function):
    """A function of a value for each of them, in place."""
    return Piece(EACH.format(f=function), (function,))


PIECES = {
    "copy": Piece("""\
static void NAME_copy(const float *x, float *y, int units)
{
    int u;
    for (u = 0; u < units; u++)
        y[u] = x[u];
}
"""),
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
    "each_tanh": each_piece("tanh"),
    "each_sigmoid": each_piece("sigmoid"),
    "each_relu": each_piece("relu"),
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


CALLS = {"dense": dense, "embedding": embedding, "layernorm": layernorm, "scale": scaler, "unscale": scaler, "dropout": nothing}
