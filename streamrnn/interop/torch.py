"""A model as a torch.nn.Module that computes the same, with the model's own tensor names in its state_dict.

    net = module(model)
    y, states = net(x)             # x (T, inputs) or (B, T, inputs), as model.run takes it
    y, states = net(x, states)     # goes on from there: {"layers.0": (h, c)}, shapes as torch.nn.LSTM's

`export` writes {"config": model.config(), "state_dict": ...}, plain values and tensors only; `load` makes the module of it.
"""
import io
from typing import NamedTuple

import numpy as np

from streamrnn.errors import ConfigError, FileError, MissingExtra
from streamrnn.interop import probes
from streamrnn.model.files import write_whole
from streamrnn.model.model import Model

try:
    import torch
except ImportError:
    raise MissingExtra("a model in PyTorch needs torch: pip install torch --index-url https://download.pytorch.org/whl/cpu") from None

from torch import nn


def module(model):
    """The model as a module of torch, in eval mode; it may be trained on."""
    net = Net(model)
    net.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in model.tensors.items()})
    return net.eval()


def export(model, path):
    """Write config and state_dict as one file of torch, and answer the module."""
    net, file = module(model), io.BytesIO()
    torch.save({"config": model.config(), "state_dict": dict(net.state_dict())}, file)
    write_whole(path, file.getvalue())
    return net


def load(path):
    """The module of a file that `export` wrote. Nothing in the file is executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config, tensors = content["config"], {name: tensor.numpy() for name, tensor in content["state_dict"].items()}
    except OSError:
        raise
    except Exception as error:  # whatever torch says of a file that is none of its own
        raise FileError(f"{path} is no file that `streamrnn export --torch` wrote, or a damaged one ({type(error).__name__}): "
                        "export the model again") from None
    try:
        return module(Model.from_config(config, tensors=tensors))
    except ConfigError as error:
        raise FileError(f"{path}: {error}") from None


class Parity(NamedTuple):
    """How the module's results compare with the model's; the peak is the largest result."""
    results: int
    largest: float
    peak: float


def parity(model, net, samples=1000, seed=0):
    x = probes.samples(model, samples, seed)
    with torch.no_grad():
        theirs = net(torch.from_numpy(x))[0].numpy()
    ours = model.run(x)
    return Parity(ours.size, float(np.abs(theirs.astype(np.float64) - ours).max()), float(np.abs(ours).max()))


class Net(nn.Module):
    """Trunk and heads; the results of heads stand side by side, as model.run gives them."""

    def __init__(self, model):
        super().__init__()
        made = {name: _made(name, layer, width) for name, layer, width in model.stacks()}
        trunk, heads = model.named_layers()
        self.layers = nn.ModuleList(made[name] for name, _ in trunk)
        self.heads = nn.ModuleDict()
        for head, stack in heads.items():
            try:
                self.heads[head] = nn.ModuleList(made[name] for name, _ in stack)
            except KeyError as error:
                raise ConfigError(f"heads[{head!r}]: torch.nn.ModuleDict takes no such name ({error.args[0]}): "
                                  "call the head otherwise") from None

    def forward(self, x, states=None):
        states, new = states or {}, {}

        def chain(prefix, stack, x):
            for number, layer in enumerate(stack):
                name = f"{prefix}.{number}"
                if isinstance(layer, (nn.RNNBase, GRUBefore)):
                    x, new[name] = layer(x, states.get(name))
                else:
                    x = layer(x)
            return x

        y = chain("layers", self.layers, x if x.dim() == 3 else x[None])
        if self.heads:
            y = torch.cat([chain(f"heads.{name}", stack, y) for name, stack in self.heads.items()], -1)
        return y if x.dim() == 3 else y[0], new


class GRUBefore(nn.Module):
    """The GRU of Cho et al., which resets before the product: torch.nn has none. Gates r z n, names as torch.nn.GRU's."""

    def __init__(self, inputs, units):
        super().__init__()
        self.units = units
        self.weight_ih_l0, self.weight_hh_l0 = nn.Parameter(torch.empty(3 * units, inputs)), nn.Parameter(torch.empty(3 * units, units))
        self.bias_ih_l0, self.bias_hh_l0 = nn.Parameter(torch.empty(3 * units)), nn.Parameter(torch.empty(3 * units))

    def forward(self, x, state=None):
        units, linear = self.units, nn.functional.linear
        h = x.new_zeros(x.shape[0], units) if state is None else state[0]
        inputs = linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)
        out = []
        for t in range(x.shape[1]):
            gates = torch.sigmoid(inputs[:, t, :2 * units] + linear(h, self.weight_hh_l0[:2 * units]))
            r, z = gates.chunk(2, -1)
            n = torch.tanh(inputs[:, t, 2 * units:] + linear(r * h, self.weight_hh_l0[2 * units:]))
            h = n + z * (h - n)
            out.append(h)
        return torch.stack(out, 1) if out else x.new_zeros(x.shape[0], 0, units), h[None]


class Dense(nn.Linear):
    def __init__(self, inputs, units, activation):
        super().__init__(inputs, units)
        self.activation = {None: nn.Identity(), "relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(),
                           "softmax": nn.Softmax(-1)}[activation]

    def forward(self, x):
        return self.activation(super().forward(x))


class Tokens(nn.Embedding):
    """Several tokens a sample: their rows, one after the other."""

    def forward(self, x):
        return super().forward(x.long()).flatten(-2)


class Scaler(nn.Module):
    def __init__(self, width, back):
        super().__init__()
        self.back = back
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("factor", torch.ones(width))

    def forward(self, x):
        return x * self.factor + self.shift if self.back else (x - self.shift) * self.factor


class Variational(nn.Module):
    """Dropout with one mask for a whole sequence."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return x * nn.functional.dropout(torch.ones_like(x[:, :1]), self.rate, self.training)


MAKE = {
    "rnn": lambda layer, width: nn.RNN(width, layer.units, nonlinearity=layer.activation, batch_first=True),
    "lstm": lambda layer, width: nn.LSTM(width, layer.units, batch_first=True),
    "gru": lambda layer, width: nn.GRU(width, layer.units, batch_first=True) if layer.reset_after else GRUBefore(width, layer.units),
    "dense": lambda layer, width: Dense(width, layer.units, layer.activation),
    "embedding": lambda layer, width: Tokens(layer.vocabulary, layer.size),
    "layernorm": lambda layer, width: nn.LayerNorm(width, eps=layer.epsilon),
    "dropout": lambda layer, width: (Variational if layer.variational else nn.Dropout)(layer.rate),
    "scale": lambda layer, width: Scaler(width, back=False),
    "unscale": lambda layer, width: Scaler(width, back=True),
}


def _made(name, layer, width):
    if layer.kind not in MAKE:
        raise ConfigError(f"{name}, {layer!r}, has no form in torch: a detector's parts and cells of your own run where streamrnn does "
                          "(streamrnn serve)")
    return MAKE[layer.kind](layer, width)
