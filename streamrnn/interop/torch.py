"""A model as a torch.nn.Module that computes the same, with the model's own tensor names in its state_dict.

    net = module(model)
    y, states = net(x)             # x (T, inputs) or (B, T, inputs), as model.run takes it
    y, states = net(x, states)     # goes on from there: {"layers.0": (h, c)}, shapes as torch.nn's

Layers that torch.nn has are its own modules; the others stand in torch_out.

`export` writes {"config": model.config(), "state_dict": ...}, plain values and tensors only; `load` makes the module of it.
"""
import io
import warnings
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

from streamrnn.interop.torch_out.make import made
from streamrnn.interop.torch_out.streamed import run


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
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch tells which implementation it takes for a projection
        theirs = net(torch.from_numpy(x))[0].numpy()
    ours = model.run(x)
    return Parity(ours.size, float(np.abs(theirs.astype(np.float64) - ours).max()), float(np.abs(ours).max()))


class Net(nn.Module):
    """Trunk and heads; the results of heads stand side by side, as model.run gives them."""

    def __init__(self, model):
        super().__init__()
        modules = {name: made(name, layer, width) for name, layer, width in model.stacks()}
        trunk, heads = model.named_layers()
        self.layers = nn.ModuleList(modules[name] for name, _ in trunk)
        self.heads = nn.ModuleDict()
        for head, stack in heads.items():
            try:
                self.heads[head] = nn.ModuleList(modules[name] for name, _ in stack)
            except KeyError as error:
                raise ConfigError(f"heads[{head!r}]: torch.nn.ModuleDict takes no such name ({error.args[0]}): "
                                  "call the head otherwise") from None

    def forward(self, x, states=None):
        states, new = states or {}, {}

        def chain(prefix, stack, x):
            for number, layer in enumerate(stack):
                name = f"{prefix}.{number}"
                x, state = run(layer, x, states.get(name))
                if state is not None:
                    new[name] = state
            return x

        y = chain("layers", self.layers, x if x.dim() == 3 else x[None])
        if self.heads:
            y = torch.cat([chain(f"heads.{name}", stack, y) for name, stack in self.heads.items()], -1)
        return y if x.dim() == 3 else y[0], new
