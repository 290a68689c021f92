"""The slow, obvious twin of every layer and of its gradient: plain NumPy in float64, one step at a time, as the textbook has it.

A layer is a function (config, w, x, state) -> y. w holds its tensors by torch.nn's names, gates stacked along the first
axis; state is a dict that the layer may keep h and c in, each (units,), from zeros. Under it stands its derivative,
(config, w, x, state, d_y, d_new) -> (d_w, d_x, d_old): what the step was given (state as it was before), the gradients of
its result and of the state it left behind; the last two are dicts like w and state. What a dict lacks is zero.
"""
from itertools import groupby, product

import numpy as np
from recurrence_twin import FUNCTIONS, SLOPES, recurrence, recurrence_back


def identity(a):
    return a


def relu(a):
    return np.maximum(a, 0)


def sigmoid(a):
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def softmax(a):
    e = np.exp(a - a.max())
    return e / e.sum()


def identity_back(a, d_y):
    return d_y


def relu_back(a, d_y):
    return np.where(a > 0, d_y, 0)


def tanh_back(a, d_y):
    return d_y * (1 - np.tanh(a) ** 2)


def sigmoid_back(a, d_y):
    return d_y * sigmoid(a) * (1 - sigmoid(a))


def softmax_back(a, d_y):
    y = softmax(a)
    return y * (d_y - d_y @ y)


ACTIVATIONS = {None: identity, "relu": relu, "tanh": np.tanh, "sigmoid": sigmoid, "softmax": softmax}
ACTIVATIONS_BACK = {None: identity_back, "relu": relu_back, "tanh": tanh_back, "sigmoid": sigmoid_back, "softmax": softmax_back}


# -- layers ------------------------------------------------------------------------------------------------------------

def sums(w, x, h, gates):
    """W x + b and U h + b, each as (gates, units)."""
    return ((w["weight_ih_l0"] @ x + w["bias_ih_l0"]).reshape(gates, -1),
            (w["weight_hh_l0"] @ h + w["bias_hh_l0"]).reshape(gates, -1))


def sums_back(w, x, h, d_a, d_b):
    """From the gradients of those two to d_w, d_x and d_h."""
    d_a, d_b = np.concatenate(d_a), np.concatenate(d_b)
    d_w = {"weight_ih_l0": np.outer(d_a, x), "bias_ih_l0": d_a, "weight_hh_l0": np.outer(d_b, h), "bias_hh_l0": d_b}
    return d_w, w["weight_ih_l0"].T @ d_a, w["weight_hh_l0"].T @ d_b


def rnn(config, w, x, state):
    h = state.get("h", np.zeros(config["units"]))
    (a,), (b,) = sums(w, x, h, 1)
    state["h"] = ACTIVATIONS[config["activation"]](a + b)
    return state["h"]


def rnn_back(config, w, x, state, d_y, d_new):
    h = state.get("h", np.zeros(config["units"]))
    (a,), (b,) = sums(w, x, h, 1)
    d_a = ACTIVATIONS_BACK[config["activation"]](a + b, d_y + d_new.get("h", 0))
    d_w, d_x, d_h = sums_back(w, x, h, [d_a], [d_a])
    return d_w, d_x, {"h": d_h}


def lstm(config, w, x, state):
    h, c = (state.get(name, np.zeros(config["units"])) for name in "hc")
    a, b = sums(w, x, h, 4)
    i, f, g, o = a + b
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    state["h"], state["c"] = sigmoid(o) * np.tanh(c), c
    return state["h"]


def lstm_back(config, w, x, state, d_y, d_new):
    h, c = (state.get(name, np.zeros(config["units"])) for name in "hc")
    a, b = sums(w, x, h, 4)
    i, f, g, o = a + b
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    t = np.tanh(f * c + i * g)
    d_h = d_y + d_new.get("h", 0)
    d_c = d_new.get("c", 0) + d_h * o * (1 - t ** 2)
    d_sums = [d_c * g * i * (1 - i), d_c * c * f * (1 - f), d_c * i * (1 - g ** 2), d_h * t * o * (1 - o)]
    d_w, d_x, d_h = sums_back(w, x, h, d_sums, d_sums)
    return d_w, d_x, {"h": d_h, "c": d_c * f}


def gru(config, w, x, state):
    units = config["units"]
    h = state.get("h", np.zeros(units))
    (r, z, n), (r_h, z_h, n_h) = sums(w, x, h, 3)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    if config["reset_after"]:
        n = np.tanh(n + r * n_h)
    else:
        n = np.tanh(n + w["weight_hh_l0"][2 * units:] @ (r * h) + w["bias_hh_l0"][2 * units:])
    state["h"] = (1 - z) * n + z * h
    return state["h"]


def gru_back(config, w, x, state, d_y, d_new):
    units = config["units"]
    h = state.get("h", np.zeros(units))
    (r, z, n), (r_h, z_h, n_h) = sums(w, x, h, 3)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    u, b = w["weight_hh_l0"][2 * units:], w["bias_hh_l0"][2 * units:]  # the candidate's
    n = np.tanh(n + r * n_h) if config["reset_after"] else np.tanh(n + u @ (r * h) + b)
    d_h = d_y + d_new.get("h", 0)
    d_n = d_h * (1 - z) * (1 - n ** 2)
    d_z = d_h * (h - n) * z * (1 - z)
    if config["reset_after"]:
        d_r = d_n * n_h * r * (1 - r)
        d_w, d_x, d_old = sums_back(w, x, h, [d_r, d_z, d_n], [d_r, d_z, d_n * r])
    else:
        d_seen = u.T @ d_n  # of r h
        d_r = d_seen * h * r * (1 - r)
        d_w, d_x, d_old = sums_back(w, x, h, [d_r, d_z, d_n], [d_r, d_z, np.zeros(units)])
        d_w["weight_hh_l0"][2 * units:], d_w["bias_hh_l0"][2 * units:] = np.outer(d_n, r * h), d_n
        d_old = d_old + d_seen * r
    return d_w, d_x, {"h": d_old + d_h * z}


def dense(config, w, x, state):
    return ACTIVATIONS[config["activation"]](w["weight"] @ x + w["bias"])


def dense_back(config, w, x, state, d_y, d_new):
    d_a = ACTIVATIONS_BACK[config["activation"]](w["weight"] @ x + w["bias"], d_y)
    return {"weight": np.outer(d_a, x), "bias": d_a}, w["weight"].T @ d_a, {}


def embedding(config, w, x, state):
    return w["weight"][x.astype(int)].ravel()


def embedding_back(config, w, x, state, d_y, d_new):
    d_weight = np.zeros_like(w["weight"])
    np.add.at(d_weight, x.astype(int), d_y.reshape(len(x), -1))  # a token may be there twice
    return {"weight": d_weight}, np.zeros(len(x)), {}


def layernorm(config, w, x, state):
    centred = x - x.mean()
    return centred / np.sqrt((centred ** 2).mean() + config["epsilon"]) * w["weight"] + w["bias"]


def layernorm_back(config, w, x, state, d_y, d_new):
    centred = x - x.mean()
    deviation = np.sqrt((centred ** 2).mean() + config["epsilon"])
    v, d = centred / deviation, d_y * w["weight"]
    return {"weight": d_y * v, "bias": d_y}, (d - d.mean() - v * (d * v).mean()) / deviation, {}


def dropout(config, w, x, state):
    """`mask`, which only training hands in, holds this step's factors: 0 or 1 / (1 - rate)."""
    return x * w.get("mask", 1)


def dropout_back(config, w, x, state, d_y, d_new):
    return {}, d_y * w.get("mask", 1), {}


def scale(config, w, x, state):
    return (x - w["shift"]) * w["factor"]


def scale_back(config, w, x, state, d_y, d_new):
    """shift and factor are constants: they have no gradient."""
    return {}, d_y * w["factor"], {}


def unscale(config, w, x, state):
    return x * w["factor"] + w["shift"]


def mingru(config, w, x, state):
    h = state.get("h", np.zeros(config["units"]))
    z, n = (w["weight"] @ x + w["bias"]).reshape(2, -1)
    state["h"] = (1 - sigmoid(z)) * h + sigmoid(z) * n
    return state["h"]


def mingru_back(config, w, x, state, d_y, d_new):
    h = state.get("h", np.zeros(config["units"]))
    z, n = (w["weight"] @ x + w["bias"]).reshape(2, -1)
    z, d_h = sigmoid(z), d_y + d_new.get("h", 0)
    d_sums = np.concatenate([d_h * (n - h) * z * (1 - z), d_h * z])
    return {"weight": np.outer(d_sums, x), "bias": d_sums}, w["weight"].T @ d_sums, {"h": d_h * (1 - z)}


def minlstm(config, w, x, state):
    h = state.get("h", np.zeros(config["units"]))
    f, i, n = (w["weight"] @ x + w["bias"]).reshape(3, -1)
    f, i = sigmoid(f), sigmoid(i)
    state["h"] = f / (f + i) * h + i / (f + i) * n
    return state["h"]


def minlstm_back(config, w, x, state, d_y, d_new):
    h = state.get("h", np.zeros(config["units"]))
    f, i, n = (w["weight"] @ x + w["bias"]).reshape(3, -1)
    f, i, d_h = sigmoid(f), sigmoid(i), d_y + d_new.get("h", 0)
    whole = f + i
    d_f, d_i = d_h * (h - n) * i / whole ** 2, d_h * (n - h) * f / whole ** 2
    d_sums = np.concatenate([d_f * f * (1 - f), d_i * i * (1 - i), d_h * i / whole])
    return {"weight": np.outer(d_sums, x), "bias": d_sums}, w["weight"].T @ d_sums, {"h": d_h * f / whole}


def lru_parts(config, w, x, state):
    """s (complex), its factor, B, C and B x."""
    s = lru_complex(state, len(w["nu_log"]))
    factor = np.exp(-np.exp(w["nu_log"]) + 1j * np.exp(w["theta_log"]))
    b, c = w["B_re"] + 1j * w["B_im"], w["C_re"] + 1j * w["C_im"]
    return s, factor, b, c, b @ x


def lru_complex(state, n):
    return state.get("re", np.zeros(n)) + 1j * state.get("im", np.zeros(n))


def lru(config, w, x, state):
    s, factor, _, c, seen = lru_parts(config, w, x, state)
    s = factor * s + np.exp(w["gamma_log"]) * seen
    state["re"], state["im"] = s.real.copy(), s.imag.copy()
    return (c @ s).real + w["D"] @ x


def lru_back(config, w, x, state, d_y, d_new):
    """Gradients of complex numbers hold that of the real part and that of the imaginary one."""
    old, factor, b, c, seen = lru_parts(config, w, x, state)
    gamma = np.exp(w["gamma_log"])
    s = factor * old + gamma * seen
    d_s = lru_complex(d_new, len(s)) + c.conj().T @ d_y
    d_factor, d_seen = d_s * old.conj(), gamma * d_s
    turned = d_factor * factor.conj()
    d_b, d_c = np.outer(d_seen, x), np.outer(d_y, s.conj())
    d_w = {"nu_log": -np.exp(w["nu_log"]) * turned.real, "theta_log": np.exp(w["theta_log"]) * turned.imag,
           "gamma_log": gamma * (d_s * seen.conj()).real, "B_re": d_b.real, "B_im": d_b.imag, "C_re": d_c.real, "C_im": d_c.imag,
           "D": np.outer(d_y, x)}
    d_old = d_s * factor.conj()
    return d_w, (b.conj().T @ d_seen).real + w["D"].T @ d_y, {"re": d_old.real, "im": d_old.imag}


def attention_parts(config, w, x, state):
    """q (heads, size), the rings with this step in them, its place, how many places hold something, the shares, what was seen."""
    units, window, heads = config["units"], config["window"], config["heads"]
    size, wide, slots = units // heads, -(-units // heads // 16) * 16, -(-window // 16) * 16
    q, k, v = (w["in_proj_weight"] @ x + w["in_proj_bias"]).reshape(3, heads, size)
    keys = state.get("keys", np.zeros(heads * wide * slots)).reshape(heads, wide, slots).copy()
    values = state.get("values", np.zeros(heads * wide * window)).reshape(window, heads, wide).copy()
    came = max(0, int(state.get("count", np.zeros(1))[0]))
    here, seen = came % window, min(came + 1, window)
    keys[:, :, here] = values[here] = 0
    keys[:, :size, here], values[here, :, :size] = k, v
    shares = np.array([softmax(q[head] @ keys[head, :size, :seen] / size ** 0.5) for head in range(heads)])
    mixed = np.stack([shares[head] @ values[:seen, head, :size] for head in range(heads)])
    return q, keys, values, here, seen, shares, mixed, came + 1 if came + 1 < 2 * window else window


def attention(config, w, x, state):
    _, keys, values, _, _, _, mixed, came = attention_parts(config, w, x, state)
    state["keys"], state["values"], state["count"] = keys.ravel(), values.ravel(), np.array([float(came)])
    return w["out_proj_weight"] @ mixed.ravel() + w["out_proj_bias"]


def attention_back(config, w, x, state, d_y, d_new):
    q, keys, values, here, seen, shares, mixed, _ = attention_parts(config, w, x, state)
    heads, size = q.shape
    d_keys, d_values = (d_new.get(name, np.zeros(ring.size)).reshape(ring.shape).copy()
                        for name, ring in (("keys", keys), ("values", values)))
    d_q, d_mixed = np.zeros(q.shape), (w["out_proj_weight"].T @ d_y).reshape(q.shape)
    for head in range(heads):
        d_shares = values[:seen, head, :size] @ d_mixed[head]
        d_scores = shares[head] * (d_shares - d_shares @ shares[head]) / size ** 0.5
        d_q[head] = keys[head, :size, :seen] @ d_scores
        d_keys[head, :size, :seen] += np.outer(q[head], d_scores)
        d_values[:seen, head, :size] += np.outer(shares[head], d_mixed[head])
    d_sums = np.concatenate([part.ravel() for part in (d_q, d_keys[:, :size, here], d_values[here, :, :size])])
    d_keys[:, :, here] = d_values[here] = 0
    d_w = {"in_proj_weight": np.outer(d_sums, x), "in_proj_bias": d_sums,
           "out_proj_weight": np.outer(d_y, mixed.ravel()), "out_proj_bias": d_y}
    return d_w, w["in_proj_weight"].T @ d_sums, {"keys": d_keys.ravel(), "values": d_values.ravel(), "count": np.zeros(1)}


def activation(config, w, x, state):
    return softmax(x) if config["function"] == "softmax" else FUNCTIONS[config["function"]](x, config["alpha"], config["beta"])


def activation_back(config, w, x, state, d_y, d_new):
    if config["function"] == "softmax":
        return {}, softmax_back(x, d_y), {}
    return {}, d_y * SLOPES[config["function"]](x, config["alpha"], config["beta"]), {}


LAYERS = {"rnn": rnn, "lstm": lstm, "gru": gru, "dense": dense, "embedding": embedding, "layernorm": layernorm, "dropout": dropout,
          "scale": scale, "unscale": unscale, "mingru": mingru, "minlstm": minlstm, "lru": lru, "attention": attention,
          "recurrence": recurrence, "activation": activation}
BACK = {"rnn": rnn_back, "lstm": lstm_back, "gru": gru_back, "dense": dense_back, "embedding": embedding_back,
        "layernorm": layernorm_back, "dropout": dropout_back, "scale": scale_back, "unscale": scale_back,
        "mingru": mingru_back, "minlstm": minlstm_back, "lru": lru_back, "attention": attention_back,
        "recurrence": recurrence_back, "activation": activation_back}


# -- models ------------------------------------------------------------------------------------------------------------

def stacks(model):
    """The trunk and the heads, each [(name, config, tensors)]."""
    def stack(name, configs):
        for i, config in enumerate(configs):
            layer = f"{name}.{i}."
            w = {key.removeprefix(layer): tensor.astype(np.float64) for key, tensor in model.tensors.items() if key.startswith(layer)}
            yield f"{name}.{i}", config, w
    config = model.config()
    heads = [list(stack(f"heads.{name}", configs)) for name, configs in config.get("heads", {}).items()]
    return list(stack("layers", config["layers"])), heads


def forward(stack, x, states, masks, t, seen):
    """One step of a stack. `seen` gets what each layer saw: its tensors, x, and the state before."""
    for name, config, w in stack:
        if name in masks:
            w = {**w, "mask": masks[name][t]}
        state = states.setdefault(name, {})
        seen[name] = w, x, dict(state)
        x = LAYERS[config["kind"]](config, w, x, state)
    return x


def backward(stack, seen, d_y, d_states, gradients):
    """Back through that step, to the gradient of its x. d_states is carried along, gradients are added to."""
    for name, config, _ in reversed(stack):
        d_w, d_y, d_states[name] = BACK[config["kind"]](config, *seen[name], d_y, d_states.get(name, {}))
        for key, gradient in d_w.items():
            gradients[f"{name}.{key}"] += gradient
    return d_y


def steps(model, x, masks, states):
    """Goes through time: each step's result, and what every layer saw."""
    trunk, heads = stacks(model)
    for t, sample in enumerate(np.asarray(x, np.float64)):
        seen = {}
        y = forward(trunk, sample, states, masks, t, seen)
        yield np.concatenate([forward(head, y, states, masks, t, seen) for head in heads]) if heads else y, seen


def run(model, x, masks=None, states=None):
    """What model.run(x) should be: x (T, inputs) -> (T, outputs), float64.

    `masks` {layer: (T, size)} are dropout's in training; `states` {layer: {"h": ...}} is where it starts, not zeros.
    """
    y = np.empty((len(x), model.outputs))
    for t, (y_t, _) in enumerate(steps(model, x, masks or {}, copied(states))):
        y[t] = y_t
    return y


def gradient(model, x, d_y, masks=None):
    """From the gradient of run's result, d_y (T, outputs), to ({tensor: its gradient}, that of x (T, inputs)), float64."""
    return gradient_from(model, x, d_y, masks)[:2]


def gradient_from(model, x, d_y, masks=None, states=None, d_last=None):
    """The same from other first states, with `d_last`, the gradient of the last ones; that of the first comes third."""
    trunk, heads = stacks(model)
    gradients = {name: np.zeros(tensor.shape) for name, tensor in model.tensors.items()}
    d_x, d_states = np.empty(np.shape(x)), copied(d_last)
    all_seen = [seen for _, seen in steps(model, x, masks or {}, copied(states))]
    for t in reversed(range(len(x))):
        d_trunk = d_y[t]
        if heads:
            parts = [d_y[t, columns] for columns in model.heads.values()]
            d_trunk = sum(backward(head, all_seen[t], part, d_states, gradients) for head, part in zip(heads, parts, strict=True))
        d_x[t] = backward(trunk, all_seen[t], d_trunk, d_states, gradients)
    return gradients, d_x, d_states


def copied(states):
    return {name: dict(state) for name, state in (states or {}).items()}


# -- what goes on inside -----------------------------------------------------------------------------------------------

def inside(config, w, x, state):
    """{name: values} of a recurrent layer at one step, from what it saw: h, c, and the gates by name."""
    h, new = state.get("h", np.zeros(config["units"])), dict(state)
    LAYERS[config["kind"]](config, w, x, new)
    if config["kind"] == "rnn":
        return {"h": new["h"]}
    if config["kind"] == "lstm":
        i, f, g, o = np.add(*sums(w, x, h, 4))
        return {"h": new["h"], "c": new["c"], "i": sigmoid(i), "f": sigmoid(f), "g": np.tanh(g), "o": sigmoid(o)}
    (r, z, n), (r_h, z_h, n_h) = sums(w, x, h, 3)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    if not config["reset_after"]:
        n_h, = (w["weight_hh_l0"][2 * config["units"]:] @ (r * h) + w["bias_hh_l0"][2 * config["units"]:]).reshape(1, -1)
    return {"h": new["h"], "r": r, "z": z, "n": np.tanh(n + (r * n_h if config["reset_after"] else n_h))}


def gates(model, x):
    """For each step {recurrent layer: {name: (units,)}}."""
    trunk, heads = stacks(model)
    configs = {name: config for name, config, _ in sum(heads, trunk)}
    for _, seen in steps(model, x, {}, {}):
        yield {name: inside(configs[name], *what) for name, what in seen.items() if configs[name]["kind"] in ("rnn", "lstm", "gru")}


# -- labels ------------------------------------------------------------------------------------------------------------

def ctc(y, labels, blank=0):
    """(-log p(labels) / their number, its gradient in y) for logits y (T, outputs), by going through every alignment there is."""
    p = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    total, stands = 0.0, np.zeros(y.shape)
    for path in product(range(y.shape[1]), repeat=len(y)):
        if [label for label, _ in groupby(path) if label != blank] == list(labels):
            share = np.prod(p[np.arange(len(y)), path])
            total += share
            stands[np.arange(len(y)), path] += share
    return -np.log(total) / max(1, len(labels)), (p - stands / total) / max(1, len(labels))
