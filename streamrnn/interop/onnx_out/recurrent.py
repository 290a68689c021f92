"""RNN, LSTM and GRU, and Recurrence where it says no more than they can: ONNX's own operators."""
import numpy as np

from streamrnn.cells.general.functions import DEFAULTS, WITH_BETA
from streamrnn.cells.general.recurrence import USUAL
from streamrnn.interop.onnx_out.plain import FUNCTIONS

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}  # of i f g o and r z n: to ONNX's iofc and zrh


def cell_of(layer):
    """The kind of a recurrent layer: lstm, gru or rnn; None for others."""
    kind = layer.cell if layer.kind == "recurrence" else layer.kind
    return kind if kind in OPERATORS else None


def operator(to, layer, own, value, states, news, reverse=False):
    """values (time, batch, inputs), states (batch, size), names of the new states or None -> values"""
    cell, units = cell_of(layer), layer.units
    turn = lambda part: part.reshape(len(ORDER[cell]), units, *part.shape[1:])[list(ORDER[cell])].reshape(part.shape)[None]
    inputs = [value, to.numbers(turn(own["weight_ih_l0"]), "W"), to.numbers(turn(own["weight_hh_l0"]), "R"),
              to.numbers(np.concatenate([turn(own["bias_ih_l0"]), turn(own["bias_hh_l0"])], 1), "B"), ""]
    inputs += [to.node("Unsqueeze", [state, to.whole([0])]) for state in states]
    attributes = {"hidden_size": units} | ({"direction": "reverse"} if reverse else {})
    if cell == "rnn" and layer.kind == "rnn":
        attributes["activations"] = [FUNCTIONS[layer.activation]]
    if cell == "gru":
        attributes["linear_before_reset"] = int(layer.reset_after)
    if layer.kind == "recurrence":
        attributes |= unusual(layer, cell)
        if layer.peepholes:
            inputs.append(to.numbers(own["peephole_l0"].reshape(3, units)[[0, 2, 1]].reshape(1, -1), "P"))
    outputs = [to.name("Y"), *(to.name("last") if new else "" for new in news)]
    to.several(OPERATORS[cell], inputs, outputs, **attributes)
    for last, new in zip(outputs[1:], news, strict=True):
        if new:
            to.node("Squeeze", [last, to.whole([0])], new)
    return to.node("Squeeze", [outputs[0], to.whole([1])])


def unusual(layer, cell):
    """The attributes that a Recurrence needs."""
    attributes = {}
    if tuple(name for name, _, _ in layer.activations) != USUAL[cell]:
        attributes["activations"] = [FUNCTIONS[name] for name, _, _ in layer.activations]
        for what, known, n in (("activation_alpha", DEFAULTS, 1), ("activation_beta", WITH_BETA, 2)):
            numbers = [function[n] for function in layer.activations if function[0] in known]
            attributes |= {what: numbers} if numbers else {}
    attributes |= {"clip": layer.clip} if layer.clip else {}
    return attributes | ({"input_forget": 1} if layer.input_forget else {})
