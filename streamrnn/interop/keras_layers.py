"""What Keras' layers are here: each takes its weights from the file and adds itself to the chain, or is refused by attribute.

Keras keeps kernels as (inputs, gates x units), torch and streamrnn as (gates x units, inputs); a Keras GRU has its gates as
z r h, ours are r z n; with reset_after it has two biases, (2, gates x units), without it one.
"""
import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.embedding import Embedding
from streamrnn.cells.gru import GRU
from streamrnn.cells.layernorm import LayerNorm
from streamrnn.cells.lstm import LSTM
from streamrnn.cells.rnn import RNN
from streamrnn.cells.scale import Scale, Unscale
from streamrnn.interop.chain import ACTIVATIONS, refusal

NOTHING = ("ActivityRegularization", "GaussianNoise", "GaussianDropout", "AlphaDropout")  # outside training
EPSILON = 1e-7  # Keras' backend.epsilon(), the least deviation a Normalization divides by


class Reader:
    def __init__(self, chain, weights, accept):
        self.chain, self.weights, self.accept, self.accepted, self.last_only = chain, weights, set(accept), set(), None

    def add(self, entry):
        method = getattr(self, f"_{entry.kind}", None) if entry.kind in KINDS else None
        if entry.kind in NOTHING:
            self.chain.note(f"{entry.name}: {entry.kind} is left out; outside training it does nothing")
        elif entry.kind == "Bidirectional":
            raise refusal(entry.name, "Bidirectional reads the sequence from its end too, and a stream has no end yet",
                          "train it in one direction")
        elif method is None:
            raise refusal(entry.name, f"{entry.kind} is not among the layers that can be carried", f"there are {', '.join(KINDS)}")
        else:
            self._check_dtype(entry)
            if entry.masked and not self.accepted:
                self._told(entry, "mask", "it is called with a mask", "if the streams bring no padding, that changes nothing")
            method(entry)

    def _check_dtype(self, entry):
        policy = entry.config.get("dtype")
        policy = policy.get("config", {}).get("name", policy.get("class_name")) if isinstance(policy, dict) else policy
        if policy not in (None, "float32"):
            if "int8" in str(policy) or "int4" in str(policy) or "float8" in str(policy):
                raise refusal(entry.name, f"dtype {policy}: quantised weights cannot be carried", "save the model before it was quantised")
            self.chain.note(f"{entry.name}: its dtype is {policy}; here it computes in float32")

    def _only(self, entry, **allowed):
        """These attributes must have these values (or be absent)."""
        for key, (value, remedy) in allowed.items():
            if entry.config.get(key, value) not in (value, None):
                raise refusal(entry.name, f"{key}={entry.config[key]!r} cannot be carried", remedy)

    def _told(self, entry, key, what, meaning):
        """An attribute that may be carried only if the user says that it does not matter."""
        word = f"{entry.name}.{key}" if key else entry.name
        if word not in self.accept:
            raise refusal(entry.name, f"{what}, and a stream has no masks", f'{meaning}: say so with accept=["{word}"] (--accept {word})')
        self.accepted.add(word)
        self.chain.note(f"{word}: {what}; here every sample is stepped")

    def _take(self, entry, part, count):
        return self.weights.take(entry.place, entry.name, part, count)

    def _function(self, entry, key="activation"):
        value = entry.config.get(key)
        if isinstance(value, dict):
            value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
        return value

    # -- recurrent ------------------------------------------------------------------------------------------------------------

    def _SimpleRNN(self, entry):
        self._sequence(entry)
        self._cell(entry, "SimpleRNNCell", entry.config, entry.name, "cell")

    def _LSTM(self, entry):
        self._sequence(entry)
        self._cell(entry, "LSTMCell", entry.config, entry.name, "cell")

    def _GRU(self, entry):
        self._sequence(entry)
        self._cell(entry, "GRUCell", entry.config, entry.name, "cell")

    def _RNN(self, entry):
        self._sequence(entry)
        cell = entry.config.get("cell") or {}
        if cell.get("class_name") == "StackedRNNCells":
            cells = cell["config"].get("cells", [])
            places = self.weights.names([c.get("class_name", "") for c in cells], "cell/cells")
        else:
            cells, places = [cell], ["cell"]
        for number, (cell, place) in enumerate(zip(cells, places, strict=True)):
            shown = entry.name if len(cells) == 1 else f"{entry.name}, cell {number}"
            self._cell(entry, cell.get("class_name"), cell.get("config", {}), shown, place)

    def _sequence(self, entry):
        if self.last_only:
            raise refusal(entry.name, f"follows {self.last_only}, which gives its last step alone (return_sequences=False)",
                          "set return_sequences=True there")
        self._only(entry, go_backwards=(False, "a stream has no end to start from: train it with go_backwards=False"),
                   time_major=(False, "save it with time_major=False"))
        config = entry.config
        if not config.get("return_sequences"):
            self.last_only = entry.name
            self.chain.note(f"{entry.name}: return_sequences=False gives the last step's result; "
                            "here every step gives one, and the last is that")
        if config.get("stateful"):
            self.chain.note(f"{entry.name}: stateful: a stream keeps its state from step to step until it is reset")
        if config.get("return_state"):
            self.chain.note(f"{entry.name}: return_state: its states are left out, a stream keeps them itself")

    def _cell(self, entry, kind, config, name, place):
        if kind not in ("SimpleRNNCell", "LSTMCell", "GRUCell"):
            raise refusal(name, f"{kind} is not among the cells that can be carried", "there are SimpleRNNCell, LSTMCell and GRUCell")
        cell = entry._replace(name=name, config=config)
        units, bias, function = config.get("units"), config.get("use_bias", True), self._function(cell)
        if kind == "SimpleRNNCell" and function not in ("tanh", "relu"):
            raise refusal(name, f"activation={function!r} cannot be carried", "there are tanh and relu: train it with one of them")
        if kind != "SimpleRNNCell":
            if function != "tanh":
                raise refusal(name, f"activation={function!r} cannot be carried", "an LSTM or a GRU has tanh here: train it with tanh")
            recurrent = self._function(cell, "recurrent_activation")
            if recurrent != "sigmoid":
                raise refusal(name, f"recurrent_activation={recurrent!r} cannot be carried",
                              "gates have sigmoid here: train it with sigmoid")
        for key in ("dropout", "recurrent_dropout"):
            if config.get(key):
                self.chain.note(f"{name}: {key}={config[key]} is left out; outside training it does nothing")
        kernel, hidden, *rest = self.weights.take(entry.place, entry.name, place, 2 + bool(bias))
        gates = {"LSTMCell": 4, "GRUCell": 3, "SimpleRNNCell": 1}[kind]
        after = kind == "GRUCell" and bool(config.get("reset_after", True))
        wanted = {"kernel": (self.chain.width, gates * units), "recurrent kernel": (units, gates * units),
                  "bias": (2, gates * units) if after else (gates * units,)}
        for (key, shape), found in zip(wanted.items(), (kernel, hidden, *rest), strict=False):
            if found.shape != shape:
                raise refusal(name, f"its {key} has shape {found.shape} where {shape} belongs", "check the file")
        bias_i, bias_h = _biases(rest, gates * units)
        parts = (kernel.T, hidden.T, bias_i, bias_h)
        if kind == "GRUCell":
            order = np.r_[units:2 * units, :units, 2 * units:3 * units]  # z r h -> r z n
            parts = [part[order] for part in parts]
        layer = {"LSTMCell": lambda: LSTM(units), "GRUCell": lambda: GRU(units, after),
                 "SimpleRNNCell": lambda: RNN(units, function)}[kind]()
        self.chain.add(name, layer, dict(zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), parts, strict=True)))

    # -- the rest -------------------------------------------------------------------------------------------------------------

    def _Dense(self, entry):
        units, function = entry.config.get("units"), self._function(entry)
        self._only(entry, quantization_config=(None, "save the model before it was quantised"),
                   lora_rank=(None, "merge the LoRA weights first"))
        kernel, *bias = self._take(entry, "", 2 if entry.config.get("use_bias", True) else 1)
        self._known(entry, function)
        self.chain.add(entry.name, Dense(units), {"weight": kernel.T, "bias": bias[0] if bias else np.zeros(units)})
        self.chain.activation(function, function)

    def _known(self, entry, function):
        if function not in (None, "linear", *ACTIVATIONS):
            raise refusal(entry.name, f"activation={function!r} cannot be carried", f"there are linear, {', '.join(ACTIVATIONS)}")

    def _Embedding(self, entry):
        if self.chain.layers:
            raise refusal(entry.name, "an Embedding that is not the first layer", "tokens are what a sample brings: put it first")
        self._only(entry, quantization_config=(None, "save the model before it was quantised"),
                   lora_rank=(None, "merge the LoRA weights first"))
        if entry.config.get("mask_zero"):
            self._told(entry, "mask_zero", "mask_zero=True skips every token 0",
                       "if the streams bring no padding (no token 0), that changes nothing")
        table, = self._take(entry, "", 1)
        if table.ndim != 2:
            raise refusal(entry.name, f"its table has shape {table.shape}", "check the file")
        self.chain.add(entry.name, Embedding(*table.shape), {"weight": table})

    def _Masking(self, entry):
        self._told(entry, "", f"Masking skips every sample that is all {entry.config.get('mask_value', 0.0)}",
                   "if the streams bring no padding, that changes nothing")

    def _LayerNormalization(self, entry):
        config = entry.config
        self._only(entry, rms_scaling=(False, "train it with rms_scaling=False"))
        self._over_features(entry)
        scale, center = config.get("scale", True), config.get("center", True)
        values = self._take(entry, "", int(scale) + int(center))
        width = self.chain.width
        self.chain.add(entry.name, LayerNorm(config.get("epsilon", 1e-3)),
                       {"weight": values[0] if scale else np.ones(width), "bias": values[-1] if center else np.zeros(width)})

    def _over_features(self, entry, none=()):
        axis = entry.config.get("axis", -1)
        axis = [axis] if isinstance(axis, int) else axis
        last = 1 if self.last_only or self.flat else 2
        if axis not in ([-1], [last], *none):
            raise refusal(entry.name, f"axis={entry.config['axis']} is not over the features alone", "give it axis=-1")

    flat = False  # the input is (batch, features), without time

    def _Normalization(self, entry):
        config, width = entry.config, self.chain.width
        self._over_features(entry, none=([], None))
        if config.get("mean") is None:
            mean, variance, _ = self._take(entry, "", 3)
        else:
            mean, variance = (np.asarray(_plain(config[key]), np.float32) for key in ("mean", "variance"))
        try:
            mean, variance = (np.broadcast_to(np.ravel(v) if np.size(v) > 1 else np.reshape(v, ()), (width,)) for v in (mean, variance))
        except ValueError:
            raise refusal(entry.name, f"its mean has shape {np.shape(mean)} where ({width},) belongs", "check the file") from None
        deviation = np.maximum(np.sqrt(variance.astype(np.float32)), np.float32(EPSILON))
        if config.get("invert"):
            self.chain.add(entry.name, Unscale(), {"shift": mean, "factor": deviation})
        else:
            self.chain.add(entry.name, Scale(), {"shift": mean, "factor": 1 / deviation})

    def _Dropout(self, entry):
        noise = entry.config.get("noise_shape")
        rate = entry.config.get("rate", 0)
        self.chain.dropout(entry.name, rate, variational=isinstance(noise, (list, tuple)) and len(noise) == 3 and noise[1] == 1)

    def _SpatialDropout1D(self, entry):
        self.chain.dropout(entry.name, entry.config.get("rate", 0), variational=True)

    def _Activation(self, entry):
        self._known(entry, self._function(entry))
        self.chain.activation(entry.name, self._function(entry))

    def _ReLU(self, entry):
        self._only(entry, max_value=(None, "use a plain ReLU"), negative_slope=(0, "use a plain ReLU"), threshold=(0, "use a plain ReLU"))
        self.chain.activation(entry.name, "relu")

    def _Softmax(self, entry):
        self._over_features(entry)
        self.chain.activation(entry.name, "softmax")

    def _TimeDistributed(self, entry):
        inner = entry.config.get("layer") or {}
        kind, config = inner.get("class_name"), inner.get("config", {})
        if kind not in STEPWISE:
            raise refusal(entry.name, f"TimeDistributed({kind}) cannot be carried", f"there are {', '.join(STEPWISE)}")
        place = entry.place and f"{entry.place}/layer"
        self.flat, was = True, self.flat
        self.add(entry._replace(kind=kind, config=config, place=place or entry.name, name=config.get("name", entry.name)))
        self.flat = was

    def _Identity(self, entry):
        pass


def _plain(value):
    """Numbers as a list, out of what Keras makes of an array in a configuration."""
    return value["config"]["value"] if isinstance(value, dict) else value


def _biases(rest, rows):
    """(of inputs, of hidden): none, one or two in the file."""
    if not rest:
        return np.zeros(rows), np.zeros(rows)
    return (rest[0][0], rest[0][1]) if rest[0].ndim == 2 else (rest[0], np.zeros(rows))


KINDS = ("SimpleRNN", "LSTM", "GRU", "RNN", "Dense", "Embedding", "Masking", "LayerNormalization", "Normalization", "Dropout",
         "SpatialDropout1D", "Activation", "ReLU", "Softmax", "TimeDistributed", "Identity")
STEPWISE = ("Dense", "LayerNormalization", "Dropout", "Activation", "ReLU", "Softmax")
