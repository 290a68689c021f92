"""The module for a layer, by its kind: a new cell is a module in a file of its own, and a name in its MAKE."""
import torch
from torch import nn

from streamrnn.errors import ConfigError
from streamrnn.interop.torch_out import modern, plain, recurrent
from streamrnn.interop.torch_out.streamed import run


def made(name, layer, width):
    if layer.kind not in MAKE:
        raise ConfigError(f"{name}, {layer!r}, has no form in torch: a detector's parts and cells of your own run where streamrnn does "
                          "(streamrnn serve)")
    if layer.looks_ahead:
        return BothWays(layer, {branch: made(f"{name}.{branch}", one, width) for branch, one, _ in layer.branches})
    return MAKE[layer.kind](layer, width)


class BothWays(nn.Module):
    """Reverse and Bidirectional. torch.nn's bidirectional modules have other names, and know one way to merge."""

    def __init__(self, layer, branches):
        super().__init__()
        self.merge, self.final = getattr(layer, "merge", None), layer.final
        self.backwards = {name: back for name, _, back in layer.branches}
        self._modules.update(branches)  # add_module takes no "forward", and that is what the tensors are called

    def forward(self, x):
        there, *rest = (self.branch(name, x) for name in self._modules)
        if not rest:
            return there
        back, = rest
        if self.merge == "concat":
            return torch.cat([there, back], -1)
        if self.merge == "product":
            return there * back
        return (there + back) * 0.5 if self.merge == "mean" else there + back

    def branch(self, name, x):
        if not self.backwards[name]:
            return run(self._modules[name], x)[0]
        y = run(self._modules[name], x.flip(1))[0].flip(1)
        return y[:, :1].expand_as(y) if self.final and y.shape[1] else y


MAKE = recurrent.MAKE | modern.MAKE | plain.MAKE | {"reverse": BothWays, "bidirectional": BothWays}
