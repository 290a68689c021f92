"""The slow, obvious twin of every layer: plain NumPy in float64, one step at a time, as the textbook has it.

A layer is a function (config, w, x, state) -> y. w holds its tensors by torch.nn's names, gates stacked along the first
axis; state is a dict that the layer may keep h and c in, each (units,), from zeros.
"""
import numpy as np


def identity(a):
    return a


def relu(a):
    return np.maximum(a, 0)


def sigmoid(a):
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def softmax(a):
    e = np.exp(a - a.max())
    return e / e.sum()


ACTIVATIONS = {None: identity, "relu": relu, "tanh": np.tanh, "sigmoid": sigmoid, "softmax": softmax}


def sums(w, x, h, gates):
    """W x + b and U h + b, each as (gates, units)."""
    return ((w["weight_ih_l0"] @ x + w["bias_ih_l0"]).reshape(gates, -1),
            (w["weight_hh_l0"] @ h + w["bias_hh_l0"]).reshape(gates, -1))


def rnn(config, w, x, state):
    h = state.get("h", np.zeros(config["units"]))
    (a,), (b,) = sums(w, x, h, 1)
    state["h"] = ACTIVATIONS[config["activation"]](a + b)
    return state["h"]


def lstm(config, w, x, state):
    h, c = (state.get(name, np.zeros(config["units"])) for name in "hc")
    a, b = sums(w, x, h, 4)
    i, f, g, o = a + b
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    state["h"], state["c"] = sigmoid(o) * np.tanh(c), c
    return state["h"]


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


def dense(config, w, x, state):
    return ACTIVATIONS[config["activation"]](w["weight"] @ x + w["bias"])


def embedding(config, w, x, state):
    return w["weight"][x.astype(int)].ravel()


def layernorm(config, w, x, state):
    centred = x - x.mean()
    return centred / np.sqrt((centred ** 2).mean() + config["epsilon"]) * w["weight"] + w["bias"]


def dropout(config, w, x, state):
    return x


def scale(config, w, x, state):
    return (x - w["shift"]) * w["factor"]


def unscale(config, w, x, state):
    return x * w["factor"] + w["shift"]


LAYERS = {"rnn": rnn, "lstm": lstm, "gru": gru, "dense": dense, "embedding": embedding, "layernorm": layernorm, "dropout": dropout,
          "scale": scale, "unscale": unscale}


def stack(configs, name, tensors, x, states):
    for i, config in enumerate(configs):
        layer = f"{name}.{i}."
        w = {key.removeprefix(layer): tensor for key, tensor in tensors.items() if key.startswith(layer)}
        x = LAYERS[config["kind"]](config, w, x, states.setdefault(layer, {}))
    return x


def run(model, x):
    """What model.run(x) should be: x (T, inputs) -> (T, outputs), float64."""
    config, states = model.config(), {}
    tensors = {name: tensor.astype(np.float64) for name, tensor in model.tensors.items()}
    y = np.empty((len(x), model.outputs))
    for t, sample in enumerate(np.asarray(x, np.float64)):
        trunk = stack(config["layers"], "layers", tensors, sample, states)
        heads = [stack(layers, f"heads.{name}", tensors, trunk, states) for name, layers in config.get("heads", {}).items()]
        y[t] = np.concatenate(heads) if heads else trunk
    return y
