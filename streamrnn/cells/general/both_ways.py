"""Layers that read a sequence from its end: only `model.run`, which has whole sequences, can compute them (model/offline.py).

Each has branches: (name, layer, is it reversed?). A branch's tensors are the layer's, its name before theirs.
"""
from dataclasses import dataclass
from typing import ClassVar

from streamrnn.cells.base import Layer
from streamrnn.errors import ConfigError

MERGES = ("concat", "sum", "mean", "product")


@dataclass(frozen=True)
class Ahead(Layer):
    """`final`: what the reversed branch gives at the end of its way, so at the first sample, stands at every step."""
    looks_ahead: ClassVar[bool] = True

    @property
    def branches(self):
        raise NotImplementedError

    def _checked(self, *names):
        """Branches come as layers, or as the configurations of a model file."""
        from streamrnn.cells import layer_of  # here: the list of layers has this one
        for name in names:
            layer = getattr(self, name)
            if isinstance(layer, dict):
                layer = layer_of(layer)
                object.__setattr__(self, name, layer)
            if not isinstance(layer, Layer) or layer.looks_ahead or layer.kind == "embedding":
                raise ConfigError(f"{type(self).__name__}: {name} must be a recurrent layer such as LSTM(64), got {layer!r}")
        if not isinstance(self.final, bool):
            raise ConfigError(f"{type(self).__name__}: final must be True or False, got {self.final!r}")

    def parameters(self, inputs):
        return {f"{branch}.{name}": shape for branch, layer, _ in self.branches for name, shape in layer.parameters(inputs).items()}

    def initial(self, inputs, rng, scheme):
        return {f"{branch}.{name}": value for branch, layer, _ in self.branches
                for name, value in layer.initial(inputs, rng, scheme).items()}

    def config(self):
        return {name: value.config() if isinstance(value, Layer) else value for name, value in super().config().items()}

    def emit(self, plan, source, inputs):
        raise ConfigError(f"{plan.layer} ({type(self).__name__}) reads a sequence from its end: it belongs into the model's own "
                          "layers, not into a head or another layer")


@dataclass(frozen=True)
class Reverse(Ahead):
    """The layer over the reversed sequence, its results put back in order. Whole sequences only: `model.run`."""
    layer: Layer
    final: bool = False
    kind: ClassVar[str] = "reverse"

    def __post_init__(self):
        self._checked("layer")

    @property
    def branches(self):
        return (("backward", self.layer, True),)

    def outputs(self, inputs):
        return self.layer.outputs(inputs)


@dataclass(frozen=True)
class Bidirectional(Ahead):
    """A layer forwards and one (by default, of the same kind) backwards, side by side. Whole sequences only: `model.run`.

    merge: "concat", or "sum", "mean", "product" of the two.
    """
    forward: Layer
    backward: Layer | None = None
    merge: str = "concat"
    final: bool = False
    kind: ClassVar[str] = "bidirectional"

    def __post_init__(self):
        if self.backward is None:
            object.__setattr__(self, "backward", self.forward)
        self._checked("forward", "backward")
        if self.merge not in MERGES:
            raise ConfigError(f"Bidirectional: merge must be one of {', '.join(MERGES)}, got {self.merge!r}")

    @property
    def branches(self):
        return ("forward", self.forward, False), ("backward", self.backward, True)

    def outputs(self, inputs):
        there, back = self.forward.outputs(inputs), self.backward.outputs(inputs)
        if self.merge == "concat":
            return there + back
        if there != back:
            raise ConfigError(f"Bidirectional: a {self.merge} needs branches of one width, got {there} and {back}")
        return there


STAGES, LAYERS = (), (Reverse, Bidirectional)
