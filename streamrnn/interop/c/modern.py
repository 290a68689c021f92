"""MinGRU, MinLSTM, LRU and Attention in C: products that wait for nothing (a Dense), and what goes from step to step.

Attention keeps keys and values of the last steps in rings, [window][units], and how many came, as a stream's row does.
"""
import numpy as np

from streamrnn.cells.base import Gates
from streamrnn.interop.c.gated import gated
from streamrnn.interop.c.maths import Piece, literal
from streamrnn.interop.factors import lru_factors

PIECES = {
    "mingru": Piece("""\
static void NAME_mingru(const float *sums, float *h, int units)  /* sums: z, n */
{
    int u;
    for (u = 0; u < units; u++)
        h[u] = CAPS_FMA(NAME_sigmoid(sums[u]), sums[units + u] - h[u], h[u]);
}
""", ("sigmoid",)),
    "minlstm": Piece("""\
static void NAME_minlstm(const float *sums, float *h, int units)  /* sums: f, i, n */
{
    int u;
    for (u = 0; u < units; u++) {
        float p = 1.0f + NAME_exp(-sums[units + u]), q = 1.0f + NAME_exp(-sums[u]), n = sums[2 * units + u];
        h[u] = CAPS_FMA(p / (p + q), h[u] - n, n);
    }
}
""", ("exp",)),
    "lru": Piece("""\
static void NAME_lru(const float *w, float *v, float *re, float *im, int states)
{
    /* w: the factor's real and imaginary part, gamma; v: B x, real and imaginary, in its place the new states' real, minus imaginary */
    int u;
    for (u = 0; u < states; u++) {
        float a = w[u], b = w[states + u], gamma = w[2 * states + u];
        float new_re = CAPS_FMA(a, re[u], CAPS_FMA(-b, im[u], gamma * v[u]));
        im[u] = CAPS_FMA(a, im[u], CAPS_FMA(b, re[u], gamma * v[states + u]));
        re[u] = new_re;
        v[u] = new_re;
        v[states + u] = -im[u];
    }
}
"""),
    "attention": Piece("""\
static void NAME_attention(const float *q, int units, int heads, int window, float scale, float *keys, float *values, float *count,
                           float *share, float *y)  /* q: of the newest input, its key and value behind it */
{
    int came = (int)count[0] > 0 ? (int)count[0] : 0, seen = came + 1 < window ? came + 1 : window, fours = seen / 4 * 4;
    int size = units / heads, head, j, d;
    long here = (long)(came % window) * units;
    count[0] = (float)(came + 1 < 2 * window ? came + 1 : window);
    NAME_copy(q + units, keys + here, units);
    NAME_copy(q + 2 * units, values + here, units);
    for (head = 0; head < heads; head++, q += size, keys += size, values += size, y += size) {
        const float *key = keys;
        for (j = 0; j < seen; j++, key += units) {
            float a = 0.0f;
            for (d = 0; d < size; d++)
                a = CAPS_FMA(q[d], key[d], a);
            share[j] = a * scale;
        }
        NAME_each_softmax(share, seen);
        for (d = 0; d < size; d++) {
            const float *value = values + d;
            float a[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            for (j = 0; j < seen; j++, value += units)
                a[j < fours ? j & 3 : 0] = CAPS_FMA(share[j], *value, a[j < fours ? j & 3 : 0]);
            y[d] = (a[0] + a[1]) + (a[2] + a[3]);
        }
    }
}
""", ("copy", "each_softmax")),
}


def sums(to, x, inputs, y, weight, bias=None):
    """y = weight x + bias, as cells/linear.py adds them."""
    bias = np.zeros(len(weight), np.float32) if bias is None else bias
    to.call("dense", gated(Gates(bias[None], np.zeros((0, len(weight), 0), np.float32), weight[None])), x, inputs, y, len(weight))


def minimal(to, layer, tensors, x, inputs):
    rows, h = to.work(layer.gates * layer.units), to.state("h", layer.units)
    sums(to, x, inputs, rows, tensors["weight"], tensors["bias"])
    to.call(layer.kind, None, rows, h, layer.units)
    return h


def lru(to, layer, tensors, x, inputs):
    n = layer.width
    v, re, im = to.work(2 * n + inputs), to.state("re", n), to.state("im", n)
    sums(to, x, inputs, v, np.concatenate([tensors["B_re"], tensors["B_im"]]))
    to.call("lru", np.concatenate(lru_factors(layer, tensors)), v, re, im, n)
    to.call("copy", None, x, f"{v} + {2 * n}", inputs)
    y = to.result(layer.units)
    sums(to, v, 2 * n + inputs, y, np.concatenate([tensors["C_re"], tensors["C_im"], tensors["D"]], 1))
    return y


def attention(to, layer, tensors, x, inputs):
    units, window = layer.units, layer.window
    q, share, seen = to.work(3 * units), to.work(window), to.work(units)
    keys, values, count = to.state("keys", window * units), to.state("values", window * units), to.state("count", 1)
    scale = literal(np.float32(1) / np.sqrt(np.float32(units // layer.heads)))
    sums(to, x, inputs, q, tensors["in_proj_weight"], tensors["in_proj_bias"])
    to.call("attention", None, q, units, layer.heads, window, scale, keys, values, count, share, seen)
    y = to.result(units)
    sums(to, seen, units, y, tensors["out_proj_weight"], tensors["out_proj_bias"])
    return y


CALLS = {"mingru": minimal, "minlstm": minimal, "lru": lru, "attention": attention}
