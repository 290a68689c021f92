"""What Keras' layers are here: each takes its weights from the file and adds itself to the chain, or is refused by attribute.

Those that go along a sequence are in recurrent.py. Keras keeps kernels as (inputs, units), torch and streamrnn as (units, inputs).
"""
import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.embedding import Embedding
from streamrnn.cells.layernorm import LayerNorm
from streamrnn.cells.scale import Scale, Unscale
from streamrnn.interop.chain import refusal
from streamrnn.interop.keras_in import functions
from streamrnn.interop.keras_in.recurrent import Sequences

NOTHING = ("ActivityRegularization", "GaussianNoise", "GaussianDropout", "AlphaDropout")  # outside training
EPSILON = 1e-7  # Keras' backend.epsilon(), the least deviation a Normalization divides by


class Reader(Sequences):
    def __init__(self, chain, weights, accept):
        self.chain, self.weights, self.accept, self.accepted = chain, weights, set(accept), set()

    def add(self, entry):
        method = getattr(self, f"_{entry.kind}", None) if entry.kind in KINDS else None
        if entry.kind in NOTHING:
            self.chain.note(f"{entry.name}: {entry.kind} is left out; outside training it does nothing")
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

    def _Dense(self, entry):
        units = entry.config.get("units")
        self._only(entry, quantization_config=(None, "save the model before it was quantised"),
                   lora_rank=(None, "merge the LoRA weights first"))
        kernel, *bias = self._take(entry, "", 2 if entry.config.get("use_bias", True) else 1)
        function = self._alone(entry)
        self.chain.add(entry.name, Dense(units), {"weight": kernel.T, "bias": bias[0] if bias else np.zeros(units)})
        if function:
            self.chain.activation(function[0], *function)

    def _alone(self, entry):
        """The function of a layer that has a vector of its own: None for none; softmax is one too."""
        if self._function(entry) == "softmax":
            return ("softmax",)
        function = self._ours(entry)
        return None if function == functions.LINEAR else function

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
        function = self._alone(entry)
        if function:
            self.chain.activation(entry.name, *function)

    def _ReLU(self, entry):
        self._only(entry, max_value=(None, "use a plain ReLU"), threshold=(0, "use a plain ReLU"))
        slope = _number(entry, "negative_slope", 0.0)
        self.chain.activation(entry.name, *(("leaky_relu", slope) if slope else ("relu",)))

    def _LeakyReLU(self, entry):
        self.chain.activation(entry.name, "leaky_relu", _number(entry, "negative_slope", _number(entry, "alpha", 0.3)))

    def _ELU(self, entry):
        self.chain.activation(entry.name, "elu", _number(entry, "alpha", 1.0))

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


def _number(entry, key, default):
    value = entry.config.get(key)
    return default if value is None else float(np.asarray(_plain(value)))


KINDS = ("SimpleRNN", "LSTM", "GRU", "RNN", "Bidirectional", "Dense", "Embedding", "Masking", "LayerNormalization", "Normalization",
         "Dropout", "SpatialDropout1D", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "TimeDistributed", "Identity")
STEPWISE = ("Dense", "LayerNormalization", "Dropout", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")
