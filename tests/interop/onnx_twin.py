"""A slow, obvious twin of Recurrence in NumPy, float64: one stream, one step after the other."""
import numpy as np


def log1p_exp(x):
    return np.logaddexp(0, x)


FUNCTIONS = {
    "sigmoid": lambda x, a, b: 0.5 + 0.5 * np.tanh(0.5 * x), "tanh": lambda x, a, b: np.tanh(x), "relu": lambda x, a, b: np.maximum(x, 0),
    "affine": lambda x, a, b: a * x + b, "leaky_relu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "thresholded_relu": lambda x, a, b: np.where(x >= a, x, 0), "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1), "elu": lambda x, a, b: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0))),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)), "softplus": lambda x, a, b: log1p_exp(x),
}


def run(layer, tensors, x):
    """x (T, inputs) -> (T, outputs)"""
    w = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    function = lambda which, value: FUNCTIONS[layer.activations[which][0]](clipped(value), *layer.activations[which][1:])
    clipped = lambda value: value if layer.clip is None else np.clip(value, -layer.clip, layer.clip)
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[layer.cell]
    split = lambda value: value.reshape(gates, layer.units)
    h = w.get("start_h", np.zeros(w["weight_hh_l0"].shape[1]))
    c = w.get("start_c", np.zeros(layer.units))
    peep = w.get("peephole_l0", np.zeros(3 * layer.units)).reshape(3, -1)
    y = []
    for sample in np.asarray(x, np.float64):
        a = split(w["weight_ih_l0"] @ sample + w["bias_ih_l0"])
        b = split(w["weight_hh_l0"] @ h + w["bias_hh_l0"])
        if layer.cell == "rnn":
            h = function(0, (a + b)[0])
        elif layer.cell == "gru":
            r, z = function(0, a[0] + b[0]), function(0, a[1] + b[1])
            if layer.reset_after:
                n = function(1, a[2] + r * b[2])
            else:
                n = function(1, a[2] + split(w["weight_hh_l0"] @ (r * h) + w["bias_hh_l0"])[2])
            h = (1 - z) * n + z * h
        else:
            i, f, g, o = a + b
            i = function(0, i + peep[0] * c)
            f = 1 - i if layer.input_forget else function(0, f + peep[1] * c)
            c = f * c + i * function(1, g)
            name, *numbers = layer.activations[2]
            h = function(0, o + peep[2] * c) * FUNCTIONS[name](c, *numbers)
            if layer.projection:
                h = w["weight_hr_l0"] @ h
        y.append(h)
    return np.array(y)
