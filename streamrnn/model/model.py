"""Model: layers, tensors and the packed plan that the kernels run. It holds no state of any stream; only fit changes it."""
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import MappingProxyType

import numpy as np

from streamrnn.cells import layer_of
from streamrnn.cells.base import Layer
from streamrnn.data import tokens as vocabulary
from streamrnn.errors import ConfigError
from streamrnn.model import files, offline
from streamrnn.plan import build
from streamrnn.streams import samples
from streamrnn.streams.rows import Rows
from streamrnn.streams.stream import Stream

INITS = ("orthogonal", "torch")


class Model:
    """A stack of layers, and heads on top of it, over `inputs` numbers a sample.

    Model(inputs=8, layers=[LSTM(64), Dense(1)], seed=0)
    Model(inputs=8, layers=[LSTM(64)], heads={"mean": Dense(1), "spread": [Dense(16, "tanh"), Dense(1)]})

    First weights are drawn from `seed`: init="orthogonal" (hidden weights a rotation, input weights Glorot's, an LSTM's forget
    bias 1) or "torch", as torch.nn draws them; or they are given, `tensors` by canonical name.

    `tokens`, Characters or Words, stay with the model and its file: what its Embedding's numbers mean.

    Without heads the last layer's values are the output; with heads, theirs side by side in the order given, and
    `model.heads` says which columns are whose. A model is safe to share between threads: nothing in it changes, but for
    its tensors at the end of `fit`, all at once.
    """

    def __init__(self, inputs, layers, heads=None, seed=0, *, init="orthogonal", tensors=None, tokens=None):
        if isinstance(inputs, bool) or not isinstance(inputs, (int, np.integer)) or inputs < 1:
            raise ConfigError(f"inputs must be a whole number of 1 or more, got {inputs!r}")
        self.inputs = int(inputs)
        self.layers = _layers(layers, "layers")
        self._head_layers = {name: _layers(stack, f"heads[{name!r}]") for name, stack in _named(heads).items()}
        self.looks_ahead = next((f"{name} ({type(layer).__name__})" for name, layer in self.named_layers()[0] if layer.looks_ahead), None)
        plan, slices = self._chain() if self.looks_ahead else self.plan()
        self.tokens = _tokens(tokens, plan.vocabulary)
        self.heads = MappingProxyType(slices if self._head_layers else {})
        self.outputs = plan.outputs
        self.vocabulary = max(0, plan.vocabulary)  # how many tokens there are; 0: samples are numbers
        self._plan, self.signature = plan, plan.signature
        self._shapes = {f"{name}.{tensor}": shape for name, layer, width in self.stacks()
                        for tensor, shape in layer.parameters(width).items()}
        self.adopt(tensors if tensors is not None else self._draw(seed, init))

    def adopt(self, tensors):
        """Take these tensors, by canonical name, in place of the present ones: what fit does at its end.

        Streams and engines that are open go on with the tensors they were opened with.
        """
        values = files.strict(tensors, self._shapes)
        for tensor in values.values():
            tensor.flags.writeable = False
        self._packed = self._plan.assemble(values)
        self.tensors = MappingProxyType(values)

    def named_layers(self):
        """The trunk [(name, layer)] and the heads {name: [(name, layer)]}, as plan.build takes them."""
        return ([(f"layers.{i}", layer) for i, layer in enumerate(self.layers)],
                {name: [(f"heads.{name}.{i}", layer) for i, layer in enumerate(stack)] for name, stack in self._head_layers.items()})

    def plan(self, training=False):
        """(a plan of these layers without weights, the columns of each head)"""
        self._refuse_ahead()
        trunk, tops = self.named_layers()
        return build(self.inputs, trunk, tops or {"y": []}, self._layer_config(), training)

    def _chain(self):
        trunk, tops = self.named_layers()
        chain = offline.Chain(self.inputs, trunk, tops, self._layer_config())
        return chain, chain.slices

    def _refuse_ahead(self):
        if self.looks_ahead:
            raise ConfigError(f"{self.looks_ahead} reads each sequence from its end, so this model runs whole sequences only: "
                              "model.run(x). It cannot be stepped, streamed, served or trained, because there the end has yet to come")

    @property
    def packed(self):
        """The plan with its weights; a model that looks ahead has none that could be stepped."""
        self._refuse_ahead()
        return self._packed

    def stacks(self):
        """Every layer as (name, layer, width of its input)."""
        trunk, tops = self.named_layers()

        def chain(layers, width):
            for name, layer in layers:
                yield name, layer, width
                width = layer.outputs(width)
        yield from chain(trunk, self.inputs)
        width = self.inputs
        for _, layer in trunk:
            width = layer.outputs(width)
        for layers in tops.values():
            yield from chain(layers, width)

    def _draw(self, seed, scheme):
        if scheme not in INITS:
            raise ConfigError(f"init must be one of {', '.join(INITS)}, got {scheme!r}")
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"seed must be a whole number of 0 or more, got {seed!r}: {error}") from None
        return {f"{name}.{tensor}": value for name, layer, width in self.stacks()
                for tensor, value in layer.initial(width, rng, scheme).items()}

    # -- what it is -----------------------------------------------------------------------------------------------------

    def config(self):
        """Everything but the tensors, as plain values: what a model file carries and `Model.from_config` takes."""
        return self._layer_config() | ({"tokens": self.tokens.config()} if self.tokens else {})

    def _layer_config(self):
        config = {"inputs": self.inputs, "layers": [layer.config() for layer in self.layers]}
        if self._head_layers:
            config["heads"] = {name: [layer.config() for layer in stack] for name, stack in self._head_layers.items()}
        return config

    @classmethod
    def from_config(cls, config, tensors=None, seed=0):
        """A model of what `config` gave, with tensors by canonical name, or first weights from `seed`."""
        try:
            layers = [layer_of(entry) for entry in config["layers"]]
            heads = {name: [layer_of(entry) for entry in stack] for name, stack in config.get("heads", {}).items()}
            inputs, tokens = config["inputs"], config.get("tokens")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"a model's config needs inputs and layers: {error!r}") from None
        return cls(inputs, layers, heads or None, seed, tensors=tensors, tokens=tokens and vocabulary.from_config(tokens))

    def __reduce__(self):
        return Model.from_config, (self.config(), dict(self.tensors))

    def with_tensors(self, tensors):
        """The same layers with other values, by canonical name (`model.tensors`)."""
        return Model.from_config(self.config(), tensors=tensors)

    @property
    def parameters(self):
        """How many numbers the model has learnt or would learn."""
        return sum(t.size for t in self.tensors.values())

    @property
    def row_bytes(self):
        """What one stream's state takes."""
        return self.packed.plan.stride * 4

    @property
    def digest(self):
        """A hash of layers and tensors: equal digests give equal bits."""
        key = blake2b(repr(self.config()).encode(), digest_size=16)
        for name in sorted(self.tensors):
            key.update(name.encode() + self.tensors[name].tobytes())
        return key.hexdigest()

    def __repr__(self):
        show = lambda stack: ", ".join(map(repr, stack))
        heads = "".join(f", {name}: {show(stack)}" for name, stack in self._head_layers.items())
        state = "whole sequences only" if self.looks_ahead else f"{self.row_bytes} bytes a stream"
        return f"<Model {self.inputs} -> {show(self.layers)}{heads} -> {self.outputs}; {self.parameters:,} parameters, {state}>"

    # -- what it does ---------------------------------------------------------------------------------------------------

    def run(self, x, lengths=None, threads=1, device="cpu"):
        """Whole sequences from a fresh state: (T, inputs) -> (T, outputs), (B, T, inputs) -> (B, T, outputs).

        With `lengths`, sequence b ends after lengths[b] samples: what stands behind is not looked at, and its results
        are zeros. `device` as in Engine: the bits are the same.
        """
        x = samples.as_float32(x)
        one, x = x.ndim == 2, samples.batch(x, self.inputs)
        run = self._packed.run if self.looks_ahead else partial(offline.run, self.packed)
        y = run(x, lengths, threads, device)
        return y[0] if one else y

    def stream(self, device="cpu", resident=True):
        """A stream of its own, from a zero state: `stream.step(x_t)` for each sample.

        With device="cuda" it lives on the GPU, the same bits, and has a `close()` besides. A `resident` one keeps a kernel there that
        waits for samples (and ends by itself when none has come for a second): the shortest wait, and the multiprocessors are busy
        meanwhile. resident=False launches a kernel for each sample.
        """
        if device == "cuda":
            from streamrnn.cuda.device import require
            require()
            from streamrnn.cuda.streams import stream
            return stream(self.packed, resident)
        if device != "cpu":
            raise ConfigError(f"device must be \"cpu\" or \"cuda\", got {device!r}")
        rows = Rows(self.packed, capacity=1, fixed=True)
        return Stream(rows, rows.open())

    def split(self, y):
        """The columns of y by head: {"mean": ..., "spread": ...}."""
        return {name: y[..., columns] for name, columns in self.heads.items()}

    def save(self, path):
        """Write a safetensors file: canonical tensors, the config in its metadata; whole or not at all."""
        files.save(path, self.config(), self.tensors)


def load(path):
    """The model of a file that `Model.save` wrote. Refuses what it cannot vouch for; runs nothing from the file."""
    config, tensors = files.read(path)
    with files.blaming(path):
        return Model.from_config(config, tensors=tensors)


def _layers(layers, what):
    if isinstance(layers, Layer):
        layers = [layers]
    if not isinstance(layers, Sequence) or not layers or not all(isinstance(layer, Layer) for layer in layers):
        raise ConfigError(f"{what} must be a list of one or more layers such as [LSTM(64), Dense(1)], got {layers!r}")
    return tuple(layers)


def _tokens(tokens, most):
    if tokens is None:
        return None
    if not isinstance(tokens, vocabulary.Tokens):
        raise ConfigError(f"tokens must be Characters or Words, such as Characters.of(text), got {tokens!r}")
    if most and len(tokens) > most:
        raise ConfigError(f"the tokens are {len(tokens)}, the model's Embedding takes {most}: Embedding({len(tokens)}, ...)")
    return tokens


def _named(heads):
    if heads is None:
        return {}
    if not isinstance(heads, Mapping) or not all(isinstance(name, str) and name and "." not in name for name in heads):
        raise ConfigError(f"heads must be a dict of names (no dots in them) to layers, got {heads!r}")
    return heads
