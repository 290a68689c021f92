"""A chain of layers as it is read from elsewhere: our layers, their tensors, and in words what became of each part.

A reader adds parts in forward order; a part that does not fit the one before, or that nothing here computes, is refused by
its name. What changes on the way (a dropout that rests, a precision, a shape) is a note: nothing goes in silence.
"""
import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.dropout import Dropout
from streamrnn.cells.general.elementwise import Activation
from streamrnn.errors import ConfigError
from streamrnn.model.model import Model

ACTIVATIONS = ("relu", "tanh", "sigmoid", "softmax")


def refusal(name, what, remedy):
    """What to raise: who it is about, what is wrong with it, what to do."""
    return ConfigError(f"{name}: {what}. {remedy[0].upper() + remedy[1:]}")


def first_line(error):
    """What someone else's error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Chain:
    """Parts in forward order over samples of `inputs` numbers."""

    def __init__(self, inputs):
        self.inputs = self.width = inputs
        self.layers, self.tensors, self.parts, self.notes = [], {}, [], []
        self.apart = None  # a part that the source framework of today computes otherwise than the one that wrote it

    def note(self, words):
        if words not in self.notes:
            self.notes.append(words)

    def add(self, name, layer, tensors, takes=None):
        """One more layer; `tensors` by the layer's own names."""
        if takes is not None and takes != self.width:
            raise refusal(name, f"takes {takes} numbers a step, but gets {self.width} from {self._before()}",
                          "give the parts in the order in which they run")
        shapes = layer.parameters(self.width)
        for key, shape in shapes.items():
            if np.shape(tensors[key]) != shape:
                raise refusal(name, f"its {key} has shape {np.shape(tensors[key])} where {shape} belongs", "check the file or the module")
            self.tensors[f"layers.{len(self.layers)}.{key}"] = self._float32(name, key, tensors[key])
        self.layers.append(layer)
        self.parts.append((name, repr(layer)))
        self.width = layer.outputs(self.width)

    def activation(self, name, function, *numbers):
        """A function, with its alpha and beta if it has any: the last Dense takes it in where it can, else it is a layer."""
        if function in (None, "linear"):
            return
        last = self.layers[-1] if self.layers else None
        if isinstance(last, Dense) and last.activation is None and function in ACTIVATIONS:
            self.layers[-1] = Dense(last.units, function)
            self.parts[-1] = (f"{self.parts[-1][0]} + {name}", repr(self.layers[-1]))
        else:
            self.add(name, Activation(function, *numbers), {})

    def dropout(self, name, rate, variational=False):
        if 0 <= rate < 1:
            self.add(name, Dropout(float(rate), variational), {})
        else:
            self.note(f"{name}: a dropout of {rate} is left out; outside training it does nothing")

    def model(self):
        if not self.layers:
            raise ConfigError("there is no layer in it: a model needs one or more, such as an LSTM and a Linear")
        return Model(self.inputs, self.layers, tensors=self.tensors)

    def _before(self):
        return self.parts[-1][0] if self.parts else "the input"

    def _float32(self, name, key, tensor):
        tensor = np.asarray(tensor)
        with np.errstate(over="ignore"):
            rounded = tensor.astype(np.float32)
        if tensor.dtype == np.float64 and not np.array_equal(rounded, tensor):
            self.note(f"{name}: float64 weights are rounded to float32")
        if not np.isfinite(rounded).all():
            raise refusal(name, f"its {key} is not finite in float32", "train it again, or take an earlier checkpoint")
        return rounded
