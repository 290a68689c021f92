"""What torch.nn's modules are here: a Part is one module's kind, options and tensors, wherever they come from."""
from typing import Any, NamedTuple

import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.embedding import Embedding
from streamrnn.cells.gru import GRU
from streamrnn.cells.layernorm import LayerNorm
from streamrnn.cells.lstm import LSTM
from streamrnn.cells.rnn import RNN
from streamrnn.interop.chain import refusal

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
        return t["weight_ih_l0"].shape[1], t["weight_hh_l0"].shape[1]
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
        tensors = {key: part.tensors[f"{key[:-1]}{k}"] for key in ("weight_ih_l0", "weight_hh_l0")}
        rows, units = tensors["weight_hh_l0"].shape
        tensors |= {key: part.tensors.get(f"{key[:-1]}{k}", np.zeros(rows)) for key in ("bias_ih_l0", "bias_hh_l0")}
        layer = {"LSTM": LSTM, "GRU": GRU}[part.kind](units) if part.kind != "RNN" else RNN(units, part.options["nonlinearity"])
        chain.add(part.name if layers == 1 else f"{part.name}, layer {k}", layer, tensors, tensors["weight_ih_l0"].shape[1])
    if layers > 1 and part.options.get("dropout"):
        chain.note(f"{part.name}: its dropout of {part.options['dropout']} between layers is left out; outside training it does nothing")


def depth(tensors):
    return sum(key.startswith("weight_hh_l") for key in tensors)


def first_width(parts):
    """The numbers of a sample, by the first part that has a width."""
    for part in parts:
        if widths(part)[0] is not None:
            return widths(part)[0]
    raise refusal("the network", "no part of it says how wide its samples are",
                  "it needs a recurrent layer, a Linear, an Embedding or a LayerNorm")
