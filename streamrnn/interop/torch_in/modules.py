"""torch.nn modules as Parts, and Parts as torch.nn modules: exact types only, every option either carried or refused by name."""
import torch
from torch import nn
from torch.nn.utils import parametrize

from streamrnn.interop.chain import refusal
from streamrnn.interop.torch_in.parts import RECURRENT, Part, both_ways, depth, widths

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def is_leaf(module):
    """One of torch's own modules that computes something: what happens inside is its business."""
    return type(module).__module__.startswith(("torch.nn.modules.", "torch.ao.")) and not isinstance(module, CONTAINERS)


def check_plain(network):
    """Nothing may be wrapped around the modules that changes what they compute."""
    for name, module in network.named_modules():
        name = name or "the network"
        for kind in ("_forward_hooks", "_forward_pre_hooks"):
            if getattr(module, kind, None):
                hook = next(iter(getattr(module, kind).values()))
                hook = getattr(hook, "__qualname__", type(hook).__name__)
                raise refusal(name, f"has a hook in {kind} ({hook}), and what it does cannot be seen",
                              "remove it (handle.remove(), or torch.nn.utils.remove_weight_norm), then import")
        if parametrize.is_parametrized(module):
            raise refusal(name, f"has parametrizations ({', '.join(module.parametrizations)})",
                          "make the weights plain with torch.nn.utils.parametrize.remove_parametrizations, then import")


def part_of(name, module, dims=3):
    """The Part of a leaf; `dims` is how many axes its result has, which a Softmax counts from the left."""
    reader = READERS.get(type(module))
    if reader is None:
        raise refusal(name, f"{type(module).__name__} is not among the modules that can be carried",
                      f"there are {', '.join(kind.__name__ for kind in READERS)}")
    return reader(name, module, dims)


def _numbers(module):
    return {key: tensor.detach().cpu().to(torch.float64 if tensor.dtype == torch.float64 else torch.float32).numpy()
            for key, tensor in module.named_parameters(recurse=False)}


def _recurrent(name, module, dims):
    options = {"dropout": module.dropout}
    if isinstance(module, nn.RNN):
        options["nonlinearity"] = module.nonlinearity
    return Part(name, type(module).__name__, _numbers(module), options)


def _embedding(name, module, dims):
    if module.max_norm is not None:
        raise refusal(name, f"max_norm={module.max_norm} changes its weights as it looks them up",
                      "set max_norm = None, once its rows are within it")
    return Part(name, "Embedding", _numbers(module))


def _layernorm(name, module, dims):
    if len(module.normalized_shape) != 1:
        raise refusal(name, f"normalized_shape={tuple(module.normalized_shape)}: only one over the features can be carried",
                      "give it one size")
    return Part(name, "LayerNorm", _numbers(module), {"size": module.normalized_shape[0], "eps": module.eps})


def _softmax(name, module, dims):
    if module.dim not in (-1, dims - 1):
        raise refusal(name, f"dim={module.dim} is not over the features", "a stream's softmax is over its results at one step: dim=-1")
    return Part(name, "Softmax", {})


def _plain(name, module, dims):
    return Part(name, type(module).__name__, _numbers(module))


def _dropout(name, module, dims):
    return Part(name, "Dropout", {}, {"p": module.p})


READERS = {nn.RNN: _recurrent, nn.LSTM: _recurrent, nn.GRU: _recurrent, nn.Linear: _plain, nn.Embedding: _embedding,
           nn.LayerNorm: _layernorm, nn.Dropout: _dropout, nn.ReLU: _plain, nn.Tanh: _plain, nn.Sigmoid: _plain,
           nn.Softmax: _softmax, nn.Identity: _plain}


def module_of(part):
    """A torch.nn module with this part's tensors: what a bare state_dict is proven against."""
    takes, gives = widths(part)
    bias = any("bias" in key for key in part.tensors)
    if part.kind in RECURRENT:
        more = {"nonlinearity": part.options["nonlinearity"]} if part.kind == "RNN" else {}
        units = part.tensors["weight_hh_l0"].shape[1]
        if "weight_hr_l0" in part.tensors:
            more["proj_size"], units = part.tensors["weight_hr_l0"].shape
        module = getattr(nn, part.kind)(takes, units, depth(part.tensors), bias=bias, batch_first=True,
                                        bidirectional=both_ways(part.tensors), **more)
    elif part.kind == "Linear":
        module = nn.Linear(takes, gives, bias=bias)
    elif part.kind == "Embedding":
        module = nn.Embedding(*part.tensors["weight"].shape)
    elif part.kind == "LayerNorm":
        module = nn.LayerNorm(takes, eps=part.options["eps"], elementwise_affine=bool(part.tensors), bias=bias)
    elif part.kind == "Softmax":
        module = nn.Softmax(-1)
    else:
        module = getattr(nn, part.kind)()
    module.load_state_dict({key: torch.tensor(tensor) for key, tensor in part.tensors.items()})
    if part.options.get("end") == "final":
        module = Final(module)
    function = part.options.get("activation")
    return module.eval() if function is None else nn.Sequential(module, nn.Softmax(-1) if function == "softmax" else
                                                               {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[function]()).eval()


class Final(nn.Module):
    """The final states of both directions of a bidirectional module, side by side."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        state = self.module(x)[1]
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat((h[-2], h[-1]), -1)


def run_in_order(modules, x):
    """The modules one after the other over (batch, steps, inputs); of a recurrent one's pair, the output."""
    for module in modules:
        if isinstance(module, nn.Embedding):
            x = module(x[..., 0].long())
        elif isinstance(module, nn.RNNBase) and not module.batch_first:
            x = module(x.transpose(0, 1))[0].transpose(0, 1)
        else:
            x = module(x)
            x = x[0] if isinstance(x, tuple) else x
    return x
