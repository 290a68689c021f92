"""What torch.nn's modules are here: a Part is one module's kind, options and tensors, wherever they come from."""
from typing import Any, NamedTuple

import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.embedding import Embedding
from streamrnn.cells.general.recurrence import GATES
from streamrnn.cells.layernorm import LayerNorm
from streamrnn.interop.chain import refusal
from streamrnn.interop.recurrent import joined, recurrent

RECURRENT = ("RNN", "LSTM", "GRU")
FUNCTIONS = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softmax": "softmax"}
KINDS = (*RECURRENT, "Linear", "Embedding", "LayerNorm", "Dropout", *FUNCTIONS, "Identity")


class Part(NamedTuple):
    name: str
    kind: str                      # one of KINDS
    tensors: dict[str, np.ndarray]  # by torch's names, weight_ih_l0 ...
    options: dict[str, Any] = {}   # noqa: RUF012 - read only


def widths(part):
    """(numbers that it takes, numbers that it gives) a step; (None, None) for one that takes any."""
    t = part.tensors
    if part.kind in RECURRENT:
        return t["weight_ih_l0"].shape[1], t["weight_hh_l0"].shape[1] * (2 if both_ways(t) else 1)
    if part.kind == "Linear":
        return t["weight"].shape[::-1]
    if part.kind == "Embedding":
        return 1, t["weight"].shape[1]
    if part.kind == "LayerNorm":
        return part.options["size"], part.options["size"]
    return None, None


def add(chain, part):
    """This part at the end of the chain."""
    name, t, options = part.name, part.tensors, part.options
    if part.kind in RECURRENT:
        return _recurrent(chain, part)
    takes, gives = widths(part)
    if part.kind == "Linear":
        chain.add(name, Dense(gives), {"weight": t["weight"], "bias": t.get("bias", np.zeros(gives))}, takes)
        return chain.activation(options.get("activation"), options.get("activation"))
    if part.kind == "Embedding":
        if chain.layers:
            raise refusal(name, "an Embedding that is not the first layer", "tokens are what a sample brings: put it first")
        return chain.add(name, Embedding(*t["weight"].shape), t, takes)
    if part.kind == "LayerNorm":
        tensors = {"weight": t.get("weight", np.ones(takes)), "bias": t.get("bias", np.zeros(takes))}
        return chain.add(name, LayerNorm(options["eps"]), tensors, takes)
    if part.kind == "Dropout":
        return chain.dropout(name, options["p"])
    if part.kind in FUNCTIONS:
        return chain.activation(name, FUNCTIONS[part.kind])
    return None


def _recurrent(chain, part):
    layers = depth(part.tensors)
    for k in range(layers):
        there = _direction(part, f"l{k}")
        layer, tensors, takes = *there, there[1]["weight_ih_l0"].shape[1]
        if both_ways(part.tensors):
            last = part.options if k == layers - 1 else {}
            layer, tensors = joined(there, _direction(part, f"l{k}_reverse"), last.get("end", "steps"), last.get("merge", "concat"))
        chain.add(part.name if layers == 1 else f"{part.name}, layer {k}", layer, tensors, takes)
    half = part.options.get("end", "").split(",")[0]
    if half in ("forward", "backward"):
        chain.note(f"{part.name}: of its last layer the {half} half goes on, the other one is left out")
    if layers > 1 and part.options.get("dropout"):
        chain.note(f"{part.name}: its dropout of {part.options['dropout']} between layers is left out; outside training it does nothing")


def _direction(part, place):
    """(layer, its tensors) of one direction of one layer: "l0", "l1_reverse"."""
    tensors = {f"{key}_l0": part.tensors[f"{key}_{place}"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
               if f"{key}_{place}" in part.tensors}
    cell, rows = part.kind.lower(), len(tensors["weight_hh_l0"])
    tensors = {"bias_ih_l0": np.zeros(rows), "bias_hh_l0": np.zeros(rows)} | tensors
    return recurrent(cell, rows // GATES[cell], tensors, activations=(part.options["nonlinearity"],) if cell == "rnn" else None)


def depth(tensors):
    return sum(key.startswith("weight_hh_l") and not key.endswith("_reverse") for key in tensors)


def both_ways(tensors):
    return "weight_hh_l0_reverse" in tensors


def first_width(parts):
    """The numbers of a sample, by the first part that has a width."""
    for part in parts:
        if widths(part)[0] is not None:
            return widths(part)[0]
    raise refusal("the network", "no part of it says how wide its samples are",
                  "it needs a recurrent layer, a Linear, an Embedding or a LayerNorm")
