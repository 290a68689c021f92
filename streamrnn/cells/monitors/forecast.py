"""Forecast: layers of the package forecast the next row; their forecast and the autoregression's are pooled.

The net's output is, for each sensor, how far the next row will lie from this one, and then the log-variance of that. It is
trained as a model of its own (detect/train.py) and put in here with its tensors: "0.weight_ih_l0" is one of its first layer.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import NEW, WORK, Layer, Place, Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, packed, padded, signal, vector, width
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import LANES, fma, larger, load, smaller, store

CLIP = np.float32(20)


@inline
def bounded(x):
    return larger(smaller(x, CLIP), -CLIP)


@apart
def revive(shape, weights, board, y, old, state):
    """The net's own layers, which know no board, start from what the fit left behind."""
    count, n = shape
    if signal(board, n, B.FRESH) > 0:
        for k in range(0, count, LANES):
            store(state, k, load(weights, k))


@apart
def pool(shape, weights, x, board, old, forecast):
    """forecast = (1 - share) linear + share (now + change), kept for the next step; weights: share, for each sensor"""
    n = shape[1]
    for u in range(0, width(n), LANES):
        share, now = load(weights, u), load(vector(board, B.SCALED, n), u)
        line = load(vector(board, B.LINEAR, n), u)
        store(forecast, u, bounded(fma(share, (now + load(x, u)) - line, line)))


@apart
def keep(shape, weights, board, y, old, forecast):
    """Without a net, the autoregression's forecast is what the next step looks for."""
    n = shape[1]
    for u in range(0, width(n), LANES):
        store(forecast, u, bounded(load(vector(board, B.LINEAR, n), u)))


REVIVE, POOL, KEEP = Rowwise(revive, apart=True), Rowwise(pool, apart=True), Rowwise(keep, apart=True)


@dataclass(frozen=True)
class Forecast(Monitor):
    """The forecast of the next row: the autoregression's, pooled with that of a net of `layers` if there are any."""
    kind: ClassVar[str] = "forecast"
    layers: tuple = ()

    def __post_init__(self):
        from streamrnn.cells import layer_of
        layers = tuple(layer if isinstance(layer, Layer) else layer_of(layer) for layer in self.layers)
        object.__setattr__(self, "layers", layers)

    def config(self):
        return {"kind": self.kind, "layers": [layer.config() for layer in self.layers]}

    def _widths(self, inputs):
        """Each layer with its number, and how wide its input is."""
        for number, layer in enumerate(self.layers):
            yield number, layer, inputs
            inputs = layer.outputs(inputs)

    def outputs(self, inputs):
        end = inputs
        for _, layer, wide in self._widths(inputs):
            end = layer.outputs(wide)
        if self.layers and end != 2 * inputs:
            raise ConfigError(f"Forecast: the last layer must give {2 * inputs} numbers for {inputs} sensors (changes, then "
                              f"log-variances), this one gives {end}")
        return inputs

    def kept(self, inputs):
        sizes = Sizes()
        for _, layer, wide in self._widths(inputs):
            layer.emit(sizes, Place(WORK, 0), wide)
        return sizes.state_size

    def settings(self, inputs):
        own = {f"{number}.{name}": shape for number, layer, wide in self._widths(inputs)
               for name, shape in layer.parameters(wide).items()}
        return own | ({"share": (inputs,)} if self.layers else {})

    def initial(self, inputs, rng, scheme):
        own = {f"{number}.{name}": value for number, layer, wide in self._widths(inputs)
               for name, value in layer.initial(wide, rng, scheme).items()}
        return super().initial(inputs, rng, scheme) | own

    def emit(self, plan, source, inputs):
        if not self.layers:
            plan.rowwise(KEEP, source, inputs, source, inputs, state=plan.memory_of_forecast(inputs))
            return source
        name, first, count = plan.layer, Place(NEW, plan.stride), self.kept(inputs)
        if count:
            plan.rowwise(REVIVE, source, count, source, inputs, state=first, weights=lambda tensors: packed(tensors["start"]))
        end = source._replace(offset=source.offset + B.SCALED * padded(inputs))
        for number, layer, wide in self._widths(inputs):
            plan.layer = f"{name}.{number}"
            end = layer.emit(plan, end, wide)
        plan.layer = name
        plan.rowwise(POOL, end, inputs, source, inputs, state=plan.memory_of_forecast(inputs),
                     weights=lambda tensors: packed(tensors["share"]))
        return source


class Sizes:
    """Stands in for a plan, to see how much state layers ask for."""

    layer, stride, training, state_size = "", 0, False, 0

    def state(self, name, size):
        self.state_size += padded(size)
        return Place(NEW, 0)

    def work(self, size):
        return Place(WORK, 0)

    def masked(self, size, layer):
        return Place(WORK, 0)

    def tokens(self, vocabulary):
        raise ConfigError("Forecast: an Embedding takes tokens, not readings")

    def gated(self, *_, **__):
        pass

    rowwise = gated


STAGES, LAYERS = (REVIVE, POOL, KEEP), (Forecast,)
