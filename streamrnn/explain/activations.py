"""What goes on inside recurrent layers over time: states, gates and shares of attention, as the step computes them, off training's tape."""
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from streamrnn.cells import attention
from streamrnn.cells.base import Gated
from streamrnn.cells.linear import padded
from streamrnn.errors import ConfigError, InputError
from streamrnn.explain.drive import Passage, checked
from streamrnn.streams.samples import batch

ATTENTION, SHARES = attention.Attention.__name__, "shares"
GATES = {"lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n")}  # in torch's order; other cells show what their derivative keeps


@dataclass(frozen=True, eq=False)
class Activations:
    """`activations["layers.0"]["f"]`: the forget gate of the first layer, (T, units), or (B, T, units) of a batch.

    layers  {layer: {name: values}}: h, for an LSTM also c, then its gates by name, after their sigmoid or tanh; of an Attention
            its `shares` alone, (T, heads, window) or (B, T, heads, window): shares[t, head, back] goes to the step `back` steps before t
    kinds   {layer: what it is}
    """
    layers: MappingProxyType
    kinds: MappingProxyType

    def __getitem__(self, layer):
        return self.layers[found_layer(self.layers, layer)]

    def __iter__(self):
        return iter(self.layers)

    def __len__(self):
        return len(self.layers)

    def __repr__(self):
        return "<Activations: " + "; ".join(f"{layer} ({self.kinds[layer]}) {' '.join(parts)}, {_extent(parts)}"
                                            for layer, parts in self.layers.items()) + ">"


def activations(model, x):
    """The Activations of whole sequences from a zero state: x (T, inputs), or (B, T, inputs)."""
    names, one = recurrent(model), np.ndim(x) == 2
    x = batch(x, model.inputs)
    parts = [_of_one(model, sequence) for sequence in x]
    if not parts or not x.shape[1]:
        raise InputError("a sequence without a step has nothing to show: hand in one row or more")
    layers = {layer: MappingProxyType({name: parts[0][layer][name] if one else np.stack([part[layer][name] for part in parts])
                                       for name in parts[0][layer]}) for layer in names}
    return Activations(MappingProxyType(layers), MappingProxyType(names))


def recurrent(model):
    """{layer: what it is} of the layers that keep a state."""
    plan = checked(model).packed.plan
    kinds = {name: type(layer).__name__ for name, layer, _ in model.stacks()}
    names = {layer: kinds[layer] for layer in dict.fromkeys(segment.name.rpartition(".")[0] for segment in plan.segments)}
    if not names:
        raise ConfigError("a model without recurrent layers has no state and no gates: saliency is what there is to see in it")
    return names


def found_layer(layers, layer):
    """The layer's full name: "layers.0", or the only one whose name ends so."""
    near = [name for name in layers if name == layer] or [name for name in layers if name.endswith(f".{layer}")]
    if len(near) != 1:
        raise InputError(f"no recurrent layer {layer!r}: there are {', '.join(layers)}")
    return near[0]


def _extent(parts):
    """How large a step's values of a layer are, in words."""
    if SHARES in parts:
        heads, window = parts[SHARES].shape[-2:]
        return f"{heads} head{'s' if heads > 1 else ''}, window {window}"
    return f"{next(iter(parts.values())).shape[-1]} units"


def _of_one(model, x):
    """{layer: {name: (T, units)}}"""
    model.run(x)  # refuses bad values by their place
    passage, found = Passage(model, x), {}
    layers, numbers = {name: layer for name, layer, _ in model.stacks()}, range(len(passage.plan.stages))
    kinds = {name: layer.kind for name, layer in layers.items()}
    for rows, steps in passage.forwards():
        for segment in passage.plan.segments:
            layer, _, name = segment.name.rpartition(".")
            if isinstance(layers[layer], attention.Attention):
                continue  # rings of keys and values: what matters of them is who looks where
            _room(found, layer, name, len(x), segment.size)[rows] = passage.state(segment, steps)
        for number in numbers:
            layer, stage = passage.plan.stage_layers[number], passage.plan.stages[number]
            if stage is attention.STAGE:
                shares = _shares(passage.stage_work(number, steps), layers[layer], rows.start)
                found.setdefault(layer, {}).setdefault(SHARES, np.empty((len(x), *shares.shape[1:]), np.float32))[rows] = shares
            elif layer in found and isinstance(stage, Gated):
                names = stage.grad.py_func.__code__.co_varnames[:stage.kept]  # a derivative takes what was kept first
                for name, values in zip(names, passage.kept(number, steps), strict=True):
                    if name in GATES.get(kinds[layer], names):
                        _room(found, layer, name, len(x), values.shape[1])[rows] = values
    for layer, parts in found.items():
        order = [name for name in GATES.get(kinds[layer], ()) if name in parts]
        found[layer] = {name: parts[name] for name in [*(name for name in parts if name not in order), *order]}
    return found


def _shares(work, layer, first):
    """(steps, heads, window) from an Attention's work space (steps, ...), by how many steps back; the ring starts at the sequence's."""
    heads, slots = layer.heads, padded(layer.window)
    ring = work[:, heads * padded(layer.units // heads):][:, :heads * slots].reshape(-1, heads, slots)
    places = (first + np.arange(len(work))[:, None] - np.arange(layer.window)) % layer.window
    return np.take_along_axis(ring, places[:, None], 2)


def _room(found, layer, name, time, size):
    parts = found.setdefault(layer, {})
    if name not in parts:
        parts[name] = np.empty((time, size), np.float32)
    return parts[name]
