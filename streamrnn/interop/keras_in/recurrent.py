"""Keras' layers along a sequence: SimpleRNN, LSTM, GRU, RNN over cells, and Bidirectional.

Keras keeps kernels as (inputs, gates x units), torch and streamrnn as (gates x units, inputs); a Keras GRU has its gates as
z r h, ours are r z n; with reset_after it has two biases, (2, gates x units), without it one.

go_backwards reads the sequence as it comes from its end, and gives its results in that order: from there on it runs back to
front, until another such layer turns it round again. Here every layer's results stand in the order of the samples.
"""
import numpy as np

from streamrnn.cells.general.both_ways import Reverse
from streamrnn.interop.chain import refusal
from streamrnn.interop.keras_in import functions
from streamrnn.interop.keras_in.files import LegacyWeights
from streamrnn.interop.recurrent import joined, recurrent

CELLS = {"SimpleRNN": "SimpleRNNCell", "LSTM": "LSTMCell", "GRU": "GRUCell"}
OURS = {"SimpleRNNCell": "rnn", "LSTMCell": "lstm", "GRUCell": "gru"}
GATES = {"SimpleRNNCell": 1, "LSTMCell": 4, "GRUCell": 3}
MERGES = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "product"}


class Sequences:
    """What a Reader (layers.py) does with these layers; it brings chain, weights and the checks of attributes."""
    last_only = None  # the layer that gives its last step alone
    turned = None     # the layer since which the sequence runs back to front
    apart = None      # a layer that Keras 3 computes otherwise than the Keras that wrote it

    def _SimpleRNN(self, entry):
        self._one_way(entry)

    def _LSTM(self, entry):
        self._one_way(entry)

    def _GRU(self, entry):
        self._one_way(entry)

    def _RNN(self, entry):
        self._one_way(entry)

    def _one_way(self, entry):
        self._sequence(entry, entry.config)
        if entry.config.get("go_backwards"):
            self.turned = None if self.turned else entry.name
        self._states(entry, entry.config, bool(self.turned))
        cells = self._cells(entry.name, entry.kind, entry.config)
        for number, (kind, config, place) in enumerate(cells):
            shown = entry.name if len(cells) == 1 else f"{entry.name}, cell {number}"
            layer, tensors = self._cell(entry, kind, config, shown, place)
            if self.turned:
                layer = Reverse(layer, final=bool(self.last_only) and number == len(cells) - 1)
                tensors = {f"backward.{name}": value for name, value in tensors.items()}
            self.chain.add(shown, layer, tensors)

    def _Bidirectional(self, entry):
        inner = entry.config.get("layer") or {}
        there = inner.get("class_name"), inner.get("config") or {}
        inner = entry.config.get("backward_layer")
        back = (inner.get("class_name"), inner.get("config") or {}) if inner else (there[0], there[1] | {"go_backwards": True})
        merge = MERGES.get(entry.config.get("merge_mode", "concat"))
        if merge is None:
            raise refusal(entry.name, f"merge_mode={entry.config['merge_mode']!r} gives two results",
                          f"train it with one of {', '.join(MERGES)}")
        if there[1].get("go_backwards") or not back[1].get("go_backwards"):
            raise refusal(entry.name, "its forward layer has go_backwards=True: all its results are back to front",
                          "give the layer that goes backwards as its backward_layer")
        if self.turned:
            raise refusal(entry.name, f"follows {self.turned}, which gives its results back to front (go_backwards=True)",
                          "train it with go_backwards=False there")
        if bool(there[1].get("return_sequences")) != bool(back[1].get("return_sequences")):
            raise refusal(entry.name, "return_sequences differs between its two layers", "check the file")
        if isinstance(self.weights, LegacyWeights) and there[1].get("trainable", True) != back[1].get("trainable", True):
            raise refusal(entry.name, "one of its two layers is frozen, and an .h5 file mixes their weights",
                          "save it again with model.save('model.keras')")
        self._sequence(entry, there[1])
        self._states(entry, there[1], True)
        sides = []
        for (kind, config), side in ((there, "forward"), (back, "backward")):
            self._check_dtype(entry._replace(config=config))
            cells = self._cells(entry.name, kind, config, f"{side}_layer/")
            if len(cells) != 1:
                raise refusal(entry.name, f"its {side} layer has {len(cells)} cells", "give each of them a Bidirectional of its own")
            cell, config, place = cells[0]
            sides.append(self._cell(entry, cell, config, entry.name, place))
        layer, tensors = joined(*sides, "final" if self.last_only else "steps", merge)
        self.chain.add(entry.name, layer, tensors)

    def _sequence(self, entry, config):
        if self.last_only:
            raise refusal(entry.name, f"follows {self.last_only}, which gives its last step alone (return_sequences=False)",
                          "set return_sequences=True there")
        self._only(entry._replace(config=config), time_major=(False, "save it with time_major=False"))
        if not config.get("return_sequences"):
            self.last_only = entry.name
            self.chain.note(f"{entry.name}: return_sequences=False gives the last step's result; "
                            "here every step gives one, and the last is that")

    def _states(self, entry, config, ahead):
        if config.get("stateful"):
            self.chain.note(f"{entry.name}: stateful: " + ("here every sequence starts from zeros" if ahead else
                                                           "a stream keeps its state from step to step until it is reset"))
        if config.get("return_state"):
            self.chain.note(f"{entry.name}: return_state: its states are left out" + ("" if ahead else ", a stream keeps them itself"))

    def _cells(self, name, kind, config, within=""):
        """[(Keras' class, configuration, where its weights lie)] of a layer's cells."""
        if kind in CELLS:
            return [(CELLS[kind], config, f"{within}cell")]
        if kind != "RNN":
            raise refusal(name, f"a Bidirectional of {kind} cannot be carried", f"there are {', '.join(CELLS)} and RNN")
        cell = config.get("cell") or {}
        if cell.get("class_name") != "StackedRNNCells":
            return [(cell.get("class_name"), cell.get("config", {}), f"{within}cell")]
        cells = cell["config"].get("cells", [])
        places = self.weights.names([c.get("class_name", "") for c in cells], f"{within}cell/cells")
        return [(c.get("class_name"), c.get("config", {}), place) for c, place in zip(cells, places, strict=True)]

    def _cell(self, entry, kind, config, name, place):
        """(layer, its tensors) of one cell."""
        if kind not in OURS:
            raise refusal(name, f"{kind} is not among the cells that can be carried", f"there are {', '.join(OURS)}")
        cell, units, bias, gates = entry._replace(name=name, config=config), config.get("units"), config.get("use_bias", True), GATES[kind]
        function = self._inside(cell, "activation")
        functions = (function,) if kind == "SimpleRNNCell" else (self._inside(cell, "recurrent_activation"), function)
        for key in ("dropout", "recurrent_dropout"):
            if config.get(key):
                self.chain.note(f"{name}: {key}={config[key]} is left out; outside training it does nothing")
        kernel, hidden, *rest = self.weights.take(entry.place, entry.name, place, 2 + bool(bias))
        after = kind == "GRUCell" and bool(config.get("reset_after", True))
        wanted = {"kernel": (self.chain.width, gates * units), "recurrent kernel": (units, gates * units),
                  "bias": (2, gates * units) if after else (gates * units,)}
        for (key, shape), found in zip(wanted.items(), (kernel, hidden, *rest), strict=False):
            if found.shape != shape:
                raise refusal(name, f"its {key} has shape {found.shape} where {shape} belongs", "check the file")
        parts = (kernel.T, hidden.T, *_biases(rest, gates * units))
        if kind == "GRUCell":
            order = np.r_[units:2 * units, :units, 2 * units:3 * units]  # z r h -> r z n
            parts = [part[order] for part in parts]
        tensors = dict(zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), parts, strict=True))
        return recurrent(OURS[kind], units, tensors, reset_after=after,
                         activations=(*functions, function) if kind == "LSTMCell" else functions)

    def _inside(self, cell, key):
        """An activation within a cell."""
        if key not in cell.config:
            raise refusal(cell.name, f"its configuration has no {key}", "save it again with model.save('model.keras')")
        return self._ours(cell, key)

    def _ours(self, entry, key="activation"):
        """The function as (name, alpha, beta)."""
        version, value = self.weights.version, self._function(entry, key)
        found = functions.of(entry.name, key, value, version)
        if value == "hard_sigmoid" and version < 3:
            self.apart = entry.name
            self.chain.note(f"{entry.name}: hard_sigmoid is 0.2 x + 0.5 within 0 and 1, as in the Keras {version} that wrote the file")
        return found


def _biases(rest, rows):
    """(of inputs, of hidden): none, one or two in the file."""
    if not rest:
        return np.zeros(rows), np.zeros(rows)
    return (rest[0][0], rest[0][1]) if rest[0].ndim == 2 else (rest[0], np.zeros(rows))
