"""RNN, LSTM and GRU nodes: weights to torch.nn's gate orders, each direction a layer, both together a Bidirectional."""
from dataclasses import replace

import numpy as np

from streamrnn.cells.general.both_ways import Bidirectional, Reverse
from streamrnn.cells.general.recurrence import USUAL
from streamrnn.interop.onnx_in.values import Atom, Entry, Outside, Refused, Value
from streamrnn.interop.recurrent import recurrent

ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}  # of ONNX's gates iofc and zrh: to i f g o and r z n
NAMES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "affine": "affine", "leakyrelu": "leaky_relu", "elu": "elu",
         "thresholdedrelu": "thresholded_relu", "scaledtanh": "scaled_tanh", "hardsigmoid": "hard_sigmoid", "softsign": "softsign",
         "softplus": "softplus"}
ALPHA = {"affine": None, "leaky_relu": 0.01, "thresholded_relu": None, "scaled_tanh": None, "hard_sigmoid": 0.2, "elu": 1.0}
BETA = {"affine": None, "scaled_tanh": None, "hard_sigmoid": 0.5}
"""ONNX's defaults; None: the standard has none, and runtimes disagree."""


def read(walk, node, given):
    """Y, Y_h and, of an LSTM, Y_c."""
    cell, own = node.op_type.lower(), {"LSTM": {"input_forget": 0}, "GRU": {"linear_before_reset": 0}}.get(node.op_type, {})
    at = walk.attributes(node, hidden_size=None, direction="forward", activations=None, activation_alpha=None, activation_beta=None,
                         clip=None, layout=0, **own)
    x, w, r, b, lengths, h, c, p = (*given, *[None] * (8 - len(given)))
    if not isinstance(x, Value):
        raise Refused("its input X does not depend on the graph's samples: choose another main input with inputs=")
    x.refuse_cell()
    if x.last:
        raise Refused("comes after a last step was taken: a model's layers all run at every step")
    for name, value in (("W", w), ("R", r), ("B", b), ("P", p)):
        if value is not None and not isinstance(value, np.ndarray):
            raise Refused(f"its input {name} is not a constant: weights must be part of the graph")
    ways = {"forward": 1, "reverse": 1, "bidirectional": 2}.get(at["direction"])
    if ways is None:
        raise Refused(f"attribute 'direction' is {at['direction']!r}: forward, reverse or bidirectional are known")
    units = r.shape[-1]
    if at["hidden_size"] not in (None, units):
        raise Refused(f"attribute 'hidden_size' is {at['hidden_size']}, but R is of shape {r.shape}")
    if len(x.axes) != 3 or w.shape[:2] != (ways, r.shape[1]):
        raise Refused(f"X of shape {x.shape}, W of shape {w.shape} and R of shape {r.shape} do not fit")
    batch_first = at["layout"] == 1
    walk.settle_roles(x.axes[0 if batch_first else 1], x.axes[1 if batch_first else 0])
    x = walk.as_samples(x)
    if x.feature_axis() != 2 or x.width != w.shape[2]:
        raise Refused(f"X has {x.width} features in axis {x.feature_axis()}, W takes {w.shape[2]} in axis 2")
    _lengths(walk, lengths, x, batch_first)
    options = {"clip": at["clip"] or None, "input_forget": bool(at.get("input_forget")),
               "reset_after": bool(at.get("linear_before_reset", True))}
    functions = _functions(at, USUAL[cell], ways)
    starts = {"start_h": _start(walk, h, "initial_h", ways, batch_first), "start_c": _start(walk, c, "initial_c", ways, batch_first)}
    layers = []
    for way in range(ways):
        tensors = _tensors(ORDER[node.op_type], units, w[way], r[way], None if b is None else b[way], None if p is None else p[way])
        tensors |= {name: None if start is None else start[way] for name, start in starts.items()}
        layer, tensors = recurrent(cell, units, tensors, activations=functions[way], **options)
        layers.append((layer, {name: value.astype(np.float32) for name, value in tensors.items()}))
    origin = f"{node.op_type} {node.name or node.output[0] or node.output[1]}"
    walk.take(x)
    value, final = _results(x, layers, at["direction"], origin, units, batch_first)
    return [value, final, replace(final, hidden=False, cell=True)]


def _tensors(order, units, w, r, b, p):
    turn = lambda part: part.reshape(len(order), units, *part.shape[1:])[list(order)].reshape(part.shape)
    zeros = np.zeros(len(order) * units, np.float32)
    biases = (zeros, zeros) if b is None else np.split(b, 2)
    tensors = {"weight_ih_l0": turn(w), "weight_hh_l0": turn(r), "bias_ih_l0": turn(biases[0]), "bias_hh_l0": turn(biases[1])}
    if p is not None:
        tensors["peephole_l0"] = p.reshape(3, units)[[0, 2, 1]].ravel()  # i o f -> i f o
    return tensors


def _results(x, layers, direction, origin, units, batch_first):
    features, ways = Atom("features", units), Atom("directions", 2)

    def entry(final):
        if direction == "forward":
            return Entry(*layers[0], origin)
        named = {f"{branch}.{name}": value for branch, (_, tensors) in
                 zip(("backward",) if direction == "reverse" else ("forward", "backward"), layers, strict=True)
                 for name, value in tensors.items()}
        made = [layer for layer, _ in layers]
        return Entry(Reverse(made[0], final) if direction == "reverse" else Bidirectional(*made, final=final), named, origin)

    both = (ways,) if direction == "bidirectional" else ()
    first, second = x.axes[:2]
    steps = entry(False)
    value = replace(x, chain=(*x.chain, steps), features=(*both, features),
                    axes=(first, second, both, (features,)) if batch_first else (first, both, second, (features,)))
    batch = first if batch_first else second
    ends = steps if direction == "forward" else entry(True)
    final = replace(value, chain=(*x.chain, ends), last=True, hidden=True,
                    axes=(batch, both, (features,)) if batch_first else (both, batch, (features,)))
    return [value, final]


def _lengths(walk, lengths, x, batch_first):
    if lengths is None:
        return
    if isinstance(lengths, Outside) and lengths.direct:
        walk.lengths = lengths.name
        walk.note(f"input {lengths.name!r} is model.run's lengths=")
        return
    time = x.shape[1 if batch_first else 0]
    if not isinstance(lengths, np.ndarray) or not (np.asarray(lengths) == time).all():
        raise Refused("input sequence_lens must be an input of the graph, or a constant that is the number of steps for each sequence")


def _start(walk, state, name, ways, batch_first):
    """(ways, size) that every fresh stream starts from, or None."""
    if state is None:
        return None
    if isinstance(state, Outside):
        if state.name not in walk.states:
            walk.states.append(state.name)
        walk.note(f"input {state.name!r} brings a first state: here a stream keeps its own, from zeros (stream.set_state for others)")
        return None
    if not isinstance(state, np.ndarray):
        raise Refused(f"its {name} depends on the samples")
    state = state.swapaxes(0, 1) if batch_first else state
    if state.ndim != 3 or len(state) != ways:
        raise Refused(f"its {name} has shape {state.shape}")
    if (state != state[:, :1]).any():
        raise Refused(f"its {name} differs from sequence to sequence: a model's streams all start from one state. "
                      "Make it an input of the graph")
    return state[:, 0]


def _functions(at, usual, ways):
    """For each direction its activations as (name, alpha, beta); alphas and betas go to the functions that have any, in order."""
    names = at["activations"]
    if names is None:
        names = list(usual) * ways
    else:
        names = [name.decode() if isinstance(name, bytes) else name for name in names]
        for name in names:
            if name.lower() not in NAMES:
                raise Refused(f"attribute 'activations' names {name!r}: known are {', '.join(NAMES)}")
        names = [NAMES[name.lower()] for name in names]
    if len(names) != len(usual) * ways:
        raise Refused(f"attribute 'activations' has {len(names)} names, {len(usual) * ways} are needed")
    numbers = []
    for what, defaults in (("activation_alpha", ALPHA), ("activation_beta", BETA)):
        wanting, values = [name for name in names if name in defaults], list(at[what] or [])
        if len(values) not in (0, len(wanting)):
            raise Refused(f"attribute {what!r} has {len(values)} values for {len(wanting)} functions that take one ({', '.join(wanting)})")
        if not values and any(defaults[name] is None for name in wanting):
            raise Refused(f"attribute {what!r} is missing: {', '.join(wanting)} have no common default")
        values = iter(values or [defaults[name] for name in wanting])
        numbers.append([float(next(values)) if name in defaults else 0.0 for name in names])
    functions = list(zip(names, *numbers, strict=True))
    return [tuple(functions[way * len(usual):(way + 1) * len(usual)]) for way in range(ways)]
