"""Keras' files written by hand, and Keras' layers in plain NumPy with Keras' own layout: the reader's slow, obvious twin.

Kernels are (inputs, gates x units); an LSTM's gates are i f c o, a GRU's z r h; layers are (class, config, weights).
"""
import io
import json
import zipfile

import h5py
import numpy as np

GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
MERGES = {"concat": lambda a, b: np.concatenate([a, b], -1), "sum": lambda a, b: a + b, "ave": lambda a, b: (a + b) / 2,
          "mul": lambda a, b: a * b}
sigmoid = lambda a: 1 / (1 + np.exp(-a))
FUNCTIONS = {"linear": lambda a: a, "relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "sigmoid": sigmoid,
             "elu": lambda a: np.where(a > 0, a, np.expm1(np.minimum(a, 0))), "leaky_relu": lambda a: np.where(a > 0, a, 0.2 * a),
             "softsign": lambda a: a / (1 + np.abs(a)), "softplus": lambda a: np.logaddexp(a, 0),
             "hard_sigmoid": lambda a: np.clip(a + 3, 0, 6) / 6,  # Keras 3's
             "softmax": lambda a: np.exp(a - a.max(-1, keepdims=True)) / np.exp(a - a.max(-1, keepdims=True)).sum(-1, keepdims=True)}


def layer(rng, kind, width, units=4, **config):
    """(class, config, weights) with random weights; `width` is what comes in."""
    draw = lambda *shape: rng.uniform(-0.7, 0.7, shape).astype(np.float32)
    if kind in GATES:
        rows = GATES[kind] * units
        config = {"units": units, "activation": "tanh", "use_bias": True, "return_sequences": True} | config
        if kind != "SimpleRNN":
            config = {"recurrent_activation": "sigmoid"} | config
        after = config.setdefault("reset_after", True) if kind == "GRU" else False
        bias = [draw(2, rows) if after else draw(rows)] if config["use_bias"] else []
        return kind, config, [draw(width, rows), draw(units, rows), *bias]
    if kind == "Bidirectional":
        inner, settings, weights = layer(rng, config.pop("inner", "LSTM"), width, units, **config.pop("of", {}))
        config = {"layer": {"class_name": inner, "config": settings}, "merge_mode": "concat"} | config
        return kind, config, [*weights, *layer(rng, inner, width, **settings)[2]]
    if kind == "Dense":
        config = {"units": units, "activation": "linear", "use_bias": True} | config
        return kind, config, [draw(width, units), *([draw(units)] if config["use_bias"] else [])]
    if kind == "Embedding":
        return kind, {"input_dim": 9, "output_dim": units} | config, [draw(9, units)]
    if kind == "LayerNormalization":
        config = {"axis": [-1], "epsilon": 1e-3, "center": True, "scale": True} | config
        return kind, config, [draw(width)] * config["scale"] + [draw(width)] * config["center"]
    if kind == "Normalization":
        return kind, {"axis": [-1], "mean": None, "variance": None, "invert": False} | config, [draw(width), draw(width) ** 2, np.int64(7)]
    return kind, config, []


def run(layers, x):
    """(steps, inputs) -> (steps, outputs), in float64; every step gives a result."""
    for kind, config, weights in layers:
        w = [np.asarray(v, np.float64) for v in weights]
        if kind in GATES:
            x = _recurrent(kind, config, w, x)
        elif kind == "Bidirectional":
            inner, settings, half = config["layer"]["class_name"], config["layer"]["config"], len(w) // 2
            there, back = _recurrent(inner, settings, w[:half], x), _recurrent(inner, settings, w[half:], x[::-1])[::-1]
            if not settings["return_sequences"]:
                there, back = there[-1:], back[:1]
            x = MERGES[config["merge_mode"]](there, back)
        elif kind == "Dense":
            x = FUNCTIONS[config["activation"]](x @ w[0] + (w[1] if config["use_bias"] else 0))
        elif kind == "Embedding":
            x = w[0][x[:, 0].astype(int)]
        elif kind == "LayerNormalization":
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config["epsilon"])
            x = x * (w[0] if config["scale"] else 1) + (w[-1] if config["center"] else 0)
        elif kind == "Normalization":
            deviation = np.maximum(np.sqrt(w[1]), 1e-7)
            x = x * deviation + w[0] if config["invert"] else (x - w[0]) / deviation
        elif kind == "Activation":
            x = FUNCTIONS[config["activation"]](x)
    return x


def _recurrent(kind, config, w, x):
    units, h, out = config["units"], np.zeros(config["units"]), []
    c, kernel, hidden = h, w[0], w[1]
    bias = w[2] if config["use_bias"] else np.zeros(kernel.shape[1])
    f, gate = FUNCTIONS[config["activation"]], FUNCTIONS[config.get("recurrent_activation", "sigmoid")]
    for x_t in x:
        if kind == "SimpleRNN":
            h = f(x_t @ kernel + h @ hidden + bias)
        elif kind == "LSTM":
            i, keep, g, o = np.split(x_t @ kernel + h @ hidden + bias, 4)
            c = gate(keep) * c + gate(i) * f(g)
            h = gate(o) * f(c)
        elif config["reset_after"]:
            b = bias if bias.ndim == 2 else np.stack([bias, bias])
            (xz, xr, xh), (hz, hr, hh) = np.split(x_t @ kernel + b[0], 3), np.split(h @ hidden + b[1], 3)
            z, r = gate(xz + hz), gate(xr + hr)
            h = z * h + (1 - z) * f(xh + r * hh)
        else:
            xz, xr, xh = np.split(x_t @ kernel + bias, 3)
            z, r = gate(xz + h @ hidden[:, :units]), gate(xr + h @ hidden[:, units:2 * units])
            h = z * h + (1 - z) * f(xh + (r * h) @ hidden[:, 2 * units:])
        out.append(h)
    return np.array(out)


# -- files ------------------------------------------------------------------------------------------------------------------


def config_of(layers, shape, dtype="float32"):
    """A Sequential's configuration, with names such as layer_0."""
    entries = [{"module": "keras.layers", "class_name": "InputLayer",
                "config": {"batch_shape": list(shape), "dtype": dtype, "name": "input"}}]
    entries += [{"module": "keras.layers", "class_name": kind, "config": {"name": f"layer_{n}", **config}, "registered_name": None}
                for n, (kind, config, _) in enumerate(layers)]
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "by_hand", "layers": entries}, "registered_name": None}


def write_keras(path, layers, shape, dtype="float32", change=None, version="3.15.1"):
    """The zip of Keras 3; `change(file)` may spoil the weights before they are packed."""
    packed, seen = io.BytesIO(), {}
    with h5py.File(packed, "w") as file:
        for n, (kind, _, weights) in enumerate(layers):
            snake = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn", "LayerNormalization": "layer_normalization"}.get(kind,
                                                                                                                               kind.lower())
            seen[snake] = seen.get(snake, -1) + 1
            place = f"layers/{snake}" + (f"_{seen[snake]}" if seen[snake] else "")
            file.create_group(f"{place}/vars").attrs["name"] = f"layer_{n}"
            for k, weight in enumerate(weights):
                half = len(weights) // 2
                file[f"{place}/cell/vars/{k}" if kind in GATES else
                     f"{place}/{'forward' if k < half else 'backward'}_layer/cell/vars/{k % half}" if kind == "Bidirectional" else
                     f"{place}/vars/{k}"] = weight
        if change:
            change(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version} if version else {}))
        archive.writestr("config.json", json.dumps(config_of(layers, shape, dtype)))
        archive.writestr("model.weights.h5", packed.getvalue())
    return path


def write_legacy(path, layers, shape, dtype="float32", change=None, version="3.15.1"):
    """The .h5 of Keras 2 and of Keras 3's older format."""
    with h5py.File(path, "w") as file:
        config = config_of(layers, shape, dtype)
        file.attrs["model_config"] = json.dumps({"class_name": config["class_name"], "config": config["config"]})
        if version:
            file.attrs["keras_version"] = version.encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [f"layer_{n}".encode() for n in range(len(layers))]
        for n, (_, _, values) in enumerate(layers):
            group = weights.create_group(f"layer_{n}")
            names = [f"by_hand/layer_{n}/weight_{k}" for k in range(len(values))]
            group.attrs["weight_names"] = np.array(names, "S")
            for name, value in zip(names, values, strict=True):
                group[name] = value
        if change:
            change(file)
    return path
