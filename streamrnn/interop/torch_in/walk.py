"""A recorded run (trace.py) as Parts: its steps are taken in forward order, and each is a known module or function.

Each tensor has named axes along the way, such as ("batch", "time", "features"), so that a recurrent layer that runs along
the wrong axis, or a slice of anything but the last step, is seen.
"""
from typing import NamedTuple

import torch
from torch import nn

from streamrnn.interop.chain import refusal
from streamrnn.interop.parity import LAST
from streamrnn.interop.torch_in.halves import BATCH, Halves
from streamrnn.interop.torch_in.modules import part_of
from streamrnn.interop.torch_in.parts import Part
from streamrnn.interop.torch_in.trace import check_aside, tensors_in, walk_back

STEPS = 7  # of the probe, as BATCH: two sizes that are not easily mistaken
KEEPS = {"contiguous", "clone", "detach", "requires_grad_", "data", "float", "double", "long", "int",
         "to", "type", "type_as", "cpu", "alias"}
RESHAPES = {"view", "reshape", "flatten", "expand", "view_as", "reshape_as"}
FUNCTIONS = {"relu": "ReLU", "relu_": "ReLU", "tanh": "Tanh", "tanh_": "Tanh", "sigmoid": "Sigmoid", "sigmoid_": "Sigmoid",
             "softmax": "Softmax"}
SWAPS = {"transpose", "swapaxes", "swapdims", "permute"}
PLACES = {"__getitem__", "select", "squeeze"} | SWAPS | KEEPS | RESHAPES


class Way(NamedTuple):
    """The chain that was found: parts in order, the axes of the input and of the result, notes."""
    parts: list
    enters: tuple
    axes: tuple
    last: bool      # the result is that of the last step alone
    notes: list


def chain_of(events, result, x):
    """The Way from x to the result, or a refusal that names the first step that does not belong in a chain."""
    end, notes = _result(result)
    steps = walk_back(events, end, x)
    check_aside(events, steps, x)
    orders = [("batch", "time", "features"), ("time", "batch", "features")]
    refusals = []
    for order in orders:
        try:
            walker = Walker(order[:x.ndim], x, notes)
            for event, tensor in steps:
                walker.step(event, tensor)
            if {"layers", "directions"} & set(walker.axes):
                raise refusal("the network", "gives the states of all layers",
                              "let forward return the output, or the last layer's state h[-1], both directions of it side by side")
            if walker.last:
                walker.notes.append(LAST)
            return Way(walker.parts, order[:x.ndim], walker.axes, walker.last, walker.notes)
        except WrongAxes as error:
            refusals.append(error)
    raise refusal(*refusals[0].args)


def _result(result):
    if isinstance(result, torch.Tensor):
        return result, []
    if isinstance(result, (tuple, list)) and result and isinstance(result[0], torch.Tensor):
        more = len(tensors_in(result)) - 1
        return result[0], [f"the network's first result is carried; {more} more of its results (states) are left out: "
                           "a stream keeps its states itself"] if more else []
    raise refusal("the network", f"gives a {type(result).__name__}", "let forward return one tensor, or a tuple that starts with it")


class WrongAxes(Exception):
    """A step along an axis that the assumed order does not have there; args as of `refusal`."""


class Walker(Halves):
    """Takes the chain's steps one by one, in forward order; `axes` are those of the tensor at hand."""

    def __init__(self, axes, x, notes):
        self.axes, self.tensor, self.notes = axes, x, list(notes)
        self.parts, self.last = [], False

    def step(self, event, result):
        source = event.source
        if event.module is not None or event.name not in PLACES:
            self.whole = 0
        if event.module is not None:
            self.through_module(event, result)
        elif event.halves is not None:
            self.join(event)
        elif event.name in FUNCTIONS:
            self.function(event, source)
        elif event.name == "dropout":
            self.dropout(event)
        elif event.name == "__getitem__" or event.name == "select":
            self.pick(event, source)
        elif event.name in SWAPS or event.name in ("T", "mT"):
            self.swap(event, source)
        elif event.name in ("squeeze", "unsqueeze"):
            self.fold(event, source, result)
        elif event.name in KEEPS:
            if result.dtype != source.dtype and source.is_floating_point():
                raise refusal(str(event), f"turns {source.dtype} into {result.dtype}", "the model computes in float32 throughout")
        elif event.name in RESHAPES:
            if self.whole and self.states_aside(source, result):
                pass
            elif result.shape != source.shape:
                raise refusal(str(event), f"turns shape {tuple(source.shape)} into {tuple(result.shape)} (batch {BATCH}, {STEPS} steps)",
                              "Linear and LayerNorm work on the last axis as it is: leave it out")
        else:
            raise refusal(str(event), "is not among the functions that can be carried",
                          f"there are {', '.join(f for f in FUNCTIONS if f[-1] != '_')}, dropout and the choice of the last step; "
                          "use modules for the rest")
        self.tensor = result

    # -- modules ----------------------------------------------------------------------------------------------------------

    def through_module(self, event, result):
        module, name = event.module, event.name
        if isinstance(module, nn.RNNBase):
            return self.through_recurrent(event, result)
        if isinstance(module, nn.Embedding):
            if "features" in self.axes:
                raise refusal(name, f"gets tokens of shape {tuple(self.tensor.shape)}", "it takes one token a step: (batch, time)")
            self.axes = (*self.axes, "features")
        elif isinstance(module, (nn.Linear, nn.LayerNorm, nn.Softmax)):
            self.over_features(event)
        if event.others():
            raise refusal(str(event), "gets a second tensor", "only a chain can be carried: one tensor in, one out")
        self.parts.append(part_of(name, module, self.tensor.ndim))
        return None

    def through_recurrent(self, event, result):
        module, name = event.module, event.name
        part = part_of(name, module)
        wanted = ("batch", "time", "features") if module.batch_first else ("time", "batch", "features")
        if self.axes != wanted:
            raise WrongAxes(name, f"batch_first={module.batch_first} reads ({', '.join(wanted)}), but gets ({', '.join(self.axes)})",
                            f"give it batch_first={not module.batch_first}, or its input in that order")
        if self.last:
            raise refusal(name, "gets the last step alone", "choose the last step after the last recurrent layer")
        for state in event.others():
            if state.ne(0).any():
                raise refusal(name, "starts from a state that is not zero (hx)",
                              "a stream starts from zeros: start from zeros in training too")
        self.parts.append(part)
        self.result(event, result)

    def function(self, event, source):
        if event.name == "softmax":
            self.over_features(event)
            dim = event.kwargs.get("dim", event.args[1] if len(event.args) > 1 else None)
            if dim not in (-1, source.ndim - 1):
                raise refusal(str(event), f"dim={dim} is not over the features",
                              "a stream's softmax is over its results at one step: dim=-1")
        self.parts.append(Part(f"{event.name}()", FUNCTIONS[event.name], {}))

    def dropout(self, event):
        named = dict(zip(("input", "p", "training"), event.args, strict=False)) | event.kwargs
        rate = named.get("p", 0.5)
        if named.get("training", True) and rate:
            raise refusal(str(event), f"p={rate} is on outside training too",
                          "write F.dropout(x, p, training=self.training), or use torch.nn.Dropout")
        self.parts.append(Part("dropout()", "Dropout", {}, {"p": rate}))

    def over_features(self, event):
        if self.axes[-1] != "features":
            raise refusal(str(event), f"works over the last axis of ({', '.join(self.axes)})", "it must be the features")
        self.no_layers(event)

    def no_layers(self, event):
        if {"layers", "directions"} & set(self.axes):
            raise refusal(str(event), "works on the states of all layers at once", "take the last one: h[-1]")

    # -- shapes -------------------------------------------------------------------------------------------------------------

    def pick(self, event, source):
        """The last step, or the last layer's state: nothing else is the same at every step."""
        axes, sizes = self.axes, source.shape
        if event.name == "select":
            named = dict(zip(("input", "dim", "index"), event.args, strict=False)) | event.kwargs
            index = [slice(None)] * source.ndim
            index[named["dim"]] = named["index"]
        else:
            index = list(event.args[1]) if isinstance(event.args[1], (tuple, list)) else [event.args[1]]
        if any(i is Ellipsis for i in index):
            at = next(k for k, i in enumerate(index) if i is Ellipsis)
            index[at:at + 1] = [slice(None)] * (source.ndim - len(index) + 1)
        index += [slice(None)] * (source.ndim - len(index))
        self.choose_half(axes, sizes, index)
        left = []
        for axis, size, i in zip(axes, sizes, index, strict=False):
            whole = isinstance(i, slice) and range(*i.indices(size)) == range(size)
            if whole and not (axis == "time" and i != slice(None) and i != slice(0, None)):
                left.append(axis)
            elif self.whole and isinstance(i, (int, slice)) and self.end_of_half(axis, size, i):
                left += [axis] if isinstance(i, slice) else []
            elif axis in ("time", "layers") and isinstance(i, int) and i in (-1, size - 1):
                self.last = True
            elif axis == "time" and i == slice(-1, None):
                self.last = True
                left.append(axis)
            else:
                shown = f"{i.start}:{i.stop}" + (f":{i.step}" if i.step else "") if isinstance(i, slice) else i
                raise refusal(str(event), f"takes [{shown}] of the axis {axis}, which has {size} here",
                              "a chain may take the last step ([:, -1] in time) or the last layer's state (h[-1]), nothing else")
        self.axes = tuple(left)

    def swap(self, event, source):
        if event.name in ("T", "mT"):
            raise refusal(str(event), "swaps axes", "write transpose with two numbers")
        arguments = event.args[1:] or tuple(event.kwargs.values())
        if event.name == "permute":
            order = arguments[0] if isinstance(arguments[0], (tuple, list)) else arguments
            self.axes = tuple(self.axes[i] for i in order)
        else:
            axes = list(self.axes)
            a, b = arguments
            axes[a], axes[b] = axes[b], axes[a]
            self.axes = tuple(axes)

    def fold(self, event, source, result):
        named = dict(zip(("input", "dim"), event.args, strict=False)) | event.kwargs
        axes = list(self.axes)
        if event.name == "unsqueeze":
            if named["dim"] not in (-1, source.ndim) or "features" in axes:
                raise refusal(str(event), f"adds an axis at {named['dim']}",
                              "only the features may be added, as the last axis: unsqueeze(-1)")
            self.axes = (*axes, "features")
            return
        dims = named.get("dim", range(source.ndim))
        dims = {d % source.ndim for d in ([dims] if isinstance(dims, int) else dims) if source.shape[d] == 1}
        if any(axes[d] not in ("features", "layers", "time") or (axes[d] == "time" and not self.last) for d in dims):
            raise refusal(str(event), f"removes the axis {axes[min(dims)]}", "only features of width 1, or the one layer of h, may go")
        self.axes = tuple(axis for d, axis in enumerate(axes) if d not in dims)
