"""The layer for a recurrent operator from elsewhere: LSTM, GRU or RNN where they can say it, else Recurrence; two directions of it."""
import numpy as np

from streamrnn.cells.general.both_ways import Bidirectional, Reverse
from streamrnn.cells.general.recurrence import USUAL, Recurrence
from streamrnn.cells.gru import GRU
from streamrnn.cells.lstm import LSTM
from streamrnn.cells.rnn import RNN


def recurrent(cell, units, tensors, *, activations=None, clip=None, input_forget=False, reset_after=True):
    """(layer, its tensors): torch.nn's names and gate orders; a projection, peepholes and first states are told by their tensors.

    First states that are all zeros are what a stream starts from anyway.
    """
    tensors = {name: np.asarray(value) for name, value in tensors.items() if value is not None}
    starts = {name: tensors.pop(name) for name in ("start_h", "start_c") if name in tensors}
    if any(value.any() for value in starts.values()):
        out = tensors["weight_hh_l0"].shape[1]
        tensors["start_h"] = starts.get("start_h", np.zeros(out, np.float32))
        if cell == "lstm":
            tensors["start_c"] = starts.get("start_c", np.zeros(units, np.float32))
    if "peephole_l0" in tensors and not tensors["peephole_l0"].any():
        del tensors["peephole_l0"]
    layer = Recurrence(cell, units, activations, clip, peepholes="peephole_l0" in tensors, input_forget=input_forget,
                       reset_after=reset_after or cell != "gru", starts="start_h" in tensors,
                       projection=len(tensors["weight_hr_l0"]) if "weight_hr_l0" in tensors else None)
    return plain(layer) or layer, tensors


def plain(layer):
    """The usual layer that computes the same, if there is one."""
    names = tuple(name for name, _, _ in layer.activations)
    if layer.clip or layer.peepholes or layer.input_forget or layer.projection or layer.starts:
        return None
    if layer.cell == "rnn":
        return RNN(layer.units, names[0]) if names[0] in ("tanh", "relu") else None
    if names != USUAL[layer.cell]:
        return None
    return LSTM(layer.units) if layer.cell == "lstm" else GRU(layer.units, layer.reset_after)


def joined(there, back, end="steps", merge="concat"):
    """What is taken of two directions, each a (layer, tensors).

    end: "steps", both at every step; "final", the backward one's final state beside each of them, which at the last step is h_n;
    "forward", "backward" or "backward, final", one alone.
    """
    if end == "forward":
        return there
    behind = {f"backward.{name}": value for name, value in back[1].items()}
    if end.startswith("backward"):
        return Reverse(back[0], final=end.endswith("final")), behind
    return Bidirectional(there[0], back[0], merge, final=end == "final"), \
        {f"forward.{name}": value for name, value in there[1].items()} | behind
