"""The slow, obvious twin of Recurrence and of its derivative, in NumPy and float64: layers as tests/reference.py has them.

FUNCTIONS and SLOPES are (x, alpha, beta) -> the value, and its derivative by x, of every activation that has a name there.
"""
import numpy as np

FUNCTIONS = {
    "sigmoid": lambda x, a, b: 0.5 + 0.5 * np.tanh(0.5 * x), "tanh": lambda x, a, b: np.tanh(x), "relu": lambda x, a, b: np.maximum(x, 0),
    "affine": lambda x, a, b: a * x + b, "leaky_relu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "thresholded_relu": lambda x, a, b: np.where(x >= a, x, 0), "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1), "elu": lambda x, a, b: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0))),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)), "softplus": lambda x, a, b: np.logaddexp(0, x),
}
SLOPES = {
    "sigmoid": lambda x, a, b: 0.25 / np.cosh(0.5 * x) ** 2, "tanh": lambda x, a, b: 1 / np.cosh(x) ** 2,
    "relu": lambda x, a, b: np.where(x > 0, 1, 0), "affine": lambda x, a, b: a + 0 * x, "leaky_relu": lambda x, a, b: np.where(x > 0, 1, a),
    "thresholded_relu": lambda x, a, b: np.where(x >= a, 1, 0), "scaled_tanh": lambda x, a, b: a * b / np.cosh(b * x) ** 2,
    "hard_sigmoid": lambda x, a, b: np.where((a * x + b > 0) & (a * x + b < 1), a, 0),
    "elu": lambda x, a, b: np.where(x > 0, 1, a * np.exp(np.minimum(x, 0))), "softsign": lambda x, a, b: 1 / (1 + np.abs(x)) ** 2,
    "softplus": lambda x, a, b: FUNCTIONS["sigmoid"](x, a, b),
}


def of(config, which, x):
    """The first, second or third activation of what clip leaves of a sum."""
    name, alpha, beta = config["activations"][which]
    return FUNCTIONS[name](x if config["clip"] is None else np.clip(x, -config["clip"], config["clip"]), alpha, beta)


def slope(config, which, x):
    name, alpha, beta = config["activations"][which]
    return SLOPES[name](x, alpha, beta) * (1 if config["clip"] is None else np.abs(x) <= config["clip"])


def before(config, w, state):
    """h and c before the step, and do they come from the first state?"""
    sizes = {"h": w["weight_hh_l0"].shape[1], "c": config["units"]}
    begins = config["starts"] and state.get("begun", np.zeros(1))[0] == 0
    return *((w.get(f"start_{name}") if begins else state.get(name, np.zeros(size))) for name, size in sizes.items()), begins


def sums(config, w, x, h):
    """W x + b and U h + b, each (gates, units)."""
    return ((w["weight_ih_l0"] @ x + w["bias_ih_l0"]).reshape(-1, config["units"]),
            (w["weight_hh_l0"] @ h + w["bias_hh_l0"]).reshape(-1, config["units"]))


def lstm_parts(config, w, x, h, c):
    """The sums i f g o with their peepholes, the gates, the new c, what the output gate lets through of it."""
    unclipped = {**config, "clip": None}
    p_i, p_f, p_o = w.get("peephole_l0", np.zeros(3 * config["units"])).reshape(3, -1)
    i_sum, f_sum, g_sum, o_sum = np.add(*sums(config, w, x, h))
    i_sum, f_sum = i_sum + p_i * c, f_sum + p_f * c
    i, g = of(config, 0, i_sum), of(config, 1, g_sum)
    f = 1 - i if config["input_forget"] else of(config, 0, f_sum)
    new_c = f * c + i * g
    o_sum = o_sum + p_o * new_c
    return (i_sum, f_sum, g_sum, o_sum), (i, f, g, of(config, 0, o_sum)), new_c, of(unclipped, 2, new_c), slope(unclipped, 2, new_c)


def gru_parts(config, w, x, h):
    """The sums r z n, the gates, the hidden sum of n."""
    units = config["units"]
    (r, z, n), (r_h, z_h, n_h) = sums(config, w, x, h)
    r_sum, z_sum = r + r_h, z + z_h
    r, z = of(config, 0, r_sum), of(config, 0, z_sum)
    if not config["reset_after"]:
        n_h = w["weight_hh_l0"][2 * units:] @ (r * h) + w["bias_hh_l0"][2 * units:]
    n_sum = n + (r * n_h if config["reset_after"] else n_h)
    return (r_sum, z_sum, n_sum), (r, z, of(config, 1, n_sum)), n_h


def recurrence(config, w, x, state):
    h, c, _ = before(config, w, state)
    if config["cell"] == "rnn":
        (a,), (b,) = sums(config, w, x, h)
        h = of(config, 0, a + b)
    elif config["cell"] == "gru":
        _, (_, z, n), _ = gru_parts(config, w, x, h)
        h = (1 - z) * n + z * h
    else:
        _, (*_, o), state["c"], t, _ = lstm_parts(config, w, x, h, c)
        h = o * t
        if config["projection"]:
            h = w["weight_hr_l0"] @ h
    state["h"] = h
    if config["starts"]:
        state["begun"] = np.ones(1)
    return h


def recurrence_back(config, w, x, state, d_y, d_new):
    h, c, begins = before(config, w, state)
    d_y, d_w = d_y + d_new.get("h", 0), {}
    if config["cell"] == "rnn":
        (a,), (b,) = sums(config, w, x, h)
        d_a = d_b = [d_y * slope(config, 0, a + b)]
        d_old = {"h": 0}
    elif config["cell"] == "gru":
        d_a, d_b, d_old, extra = gru_back(config, w, x, h, d_y)
    else:
        d_a, d_w, d_old = lstm_back(config, w, x, h, c, d_y, d_new.get("c", 0))
        d_b = d_a
    d_a, d_b = np.concatenate(d_a), np.concatenate(d_b)
    d_w |= {"weight_ih_l0": np.outer(d_a, x), "bias_ih_l0": d_a, "weight_hh_l0": np.outer(d_b, h), "bias_hh_l0": d_b}
    d_old["h"] = d_old["h"] + w["weight_hh_l0"].T @ d_b
    if config["cell"] == "gru" and not config["reset_after"]:
        rows = slice(2 * config["units"], None)
        d_w["weight_hh_l0"][rows], d_w["bias_hh_l0"][rows] = extra
    if begins:
        d_w |= {f"start_{name}": d for name, d in d_old.items()}
        d_old = {name: np.zeros(d.shape) for name, d in d_old.items()}
    return d_w, w["weight_ih_l0"].T @ d_a, d_old | ({"begun": np.zeros(1)} if config["starts"] else {})


def lstm_back(config, w, x, h, c, d_y, d_new_c):
    (i_sum, f_sum, g_sum, o_sum), (i, f, g, o), new_c, t, t_slope = lstm_parts(config, w, x, h, c)
    p_i, p_f, p_o = w.get("peephole_l0", np.zeros(3 * config["units"])).reshape(3, -1)
    d_w = {}
    if config["projection"]:
        d_w["weight_hr_l0"], d_y = np.outer(d_y, o * t), w["weight_hr_l0"].T @ d_y
    d_o = d_y * t * slope(config, 0, o_sum)
    d_c = d_new_c + d_y * o * t_slope + d_o * p_o
    d_i, d_f = d_c * g, d_c * c
    if config["input_forget"]:
        d_i, d_f = d_i - d_f, 0 * d_f
    d_i, d_f = d_i * slope(config, 0, i_sum), d_f * slope(config, 0, f_sum)
    if config["peepholes"]:
        d_w["peephole_l0"] = np.concatenate([d_i * c, d_f * c, d_o * new_c])
    return [d_i, d_f, d_c * i * slope(config, 1, g_sum), d_o], d_w, {"h": 0, "c": d_c * f + d_i * p_i + d_f * p_f}


def gru_back(config, w, x, h, d_y):
    """With the candidate's hidden weights and biases, where they see r h."""
    (r_sum, z_sum, n_sum), (r, z, n), n_h = gru_parts(config, w, x, h)
    d_n = d_y * (1 - z) * slope(config, 1, n_sum)
    d_z, d_h = d_y * (h - n) * slope(config, 0, z_sum), d_y * z
    if config["reset_after"]:
        d_r = d_n * n_h * slope(config, 0, r_sum)
        return [d_r, d_z, d_n], [d_r, d_z, d_n * r], {"h": d_h}, None
    d_seen = w["weight_hh_l0"][2 * config["units"]:].T @ d_n
    d_r = d_seen * h * slope(config, 0, r_sum)
    return [d_r, d_z, d_n], [d_r, d_z, 0 * d_n], {"h": d_h + d_seen * r}, (np.outer(d_n, r * h), d_n)
