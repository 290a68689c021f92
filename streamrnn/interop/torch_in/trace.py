"""What a custom torch module does with its input: it is run once on a probe and every step is recorded, then the way back from
its result to the input is walked. That way must be a chain; walk.py says what its steps are.

Tensors are known by identity. A module of torch's own is one step, whatever happens inside.
"""
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from streamrnn.interop.chain import refusal
from streamrnn.interop.torch_in.modules import is_leaf

FRESH = {"zeros_like", "new_zeros"}  # made in the shape of something, not out of its values
JOINS = {"cat": "concat", "concat": "concat", "concatenate": "concat", "add": "sum", "__add__": "sum", "__radd__": "sum"}
"""Functions that may put the two halves of one bidirectional layer together."""
CHOOSES = {"__getitem__", "select", "squeeze", "transpose", "swapaxes", "swapdims", "permute", "contiguous"}
DECIDES = {"item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__array__", "__index__", "__contains__", "nonzero"}


@dataclass
class Event:
    name: str         # of the module in the network, or of the function
    module: Any       # the leaf, or None
    args: tuple
    kwargs: dict
    result: Any
    halves: Any = None  # of a function that joins two halves of a bidirectional layer's result, see halves_of

    def __str__(self):
        return f"{self.name} ({type(self.module).__name__})" if self.module else f"function {self.name}"

    @property
    def source(self):
        """What it works on."""
        return self.args[0] if self.args else self.kwargs.get("input")

    def others(self):
        """Every other tensor that goes in."""
        return [t for t in tensors_in((self.args[1:], self.kwargs)) if t is not self.source]


class Recorder(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.events, self.inside = [], 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not self.inside:
            name = getattr(func, "__name__", str(func))
            self.events.append(Event(func.__self__.__name__ if name == "__get__" else name, None, args, kwargs or {}, result))
        return result

    def watch(self, network):
        """Leaves are recorded whole. `network` is a copy: the hooks stay on it."""
        def enter(module, args, kwargs):
            self.inside += 1

        def leave(name):
            def done(module, args, kwargs, result):
                self.inside -= 1
                if not self.inside:
                    self.events.append(Event(name, module, args, kwargs, result))
            return done

        return [handle for name, module in network.named_modules() if is_leaf(module)
                for handle in (module.register_forward_pre_hook(enter, with_kwargs=True),
                               module.register_forward_hook(leave(name or type(module).__name__), with_kwargs=True))]


def record(network, x):
    """(events, result) of one run."""
    recorder = Recorder()
    handles = recorder.watch(network)
    try:
        with torch.no_grad(), recorder:
            result = network(x)
    finally:
        for handle in handles:
            handle.remove()
    return recorder.events, result


def walk_back(events, tensor, x):
    """[(event, its result on the way)] from x to this tensor."""
    steps, at = [], len(events)
    while True:
        at = next((i for i in range(at - 1, -1, -1) if any(t is tensor for t in tensors_in(events[i].result))), None)
        if at is None:
            if tensor is not x:
                raise refusal(str(steps[-1][0]) if steps else "the network", "works on something that does not come from the input",
                              "only a chain from the input to the result can be carried")
            return steps[::-1]
        event = events[at]
        halves = halves_of(events[:at + 1]) if event.module is None else None
        if halves:
            event.halves, (source, *_) = halves, halves[0]
            steps += [(event, tensor), (source, tensors_in(source.result)[0])]
            tensor = source.source
            continue
        if event.name in FRESH or not isinstance(event.source, torch.Tensor):
            raise refusal(str(event), "is not a step of a chain: it does not work on one tensor",
                          "write forward as one module after the other")
        steps.append((event, tensor))
        tensor = event.source


def halves_of(events):
    """Of events' last one, where it joins two halves of a bidirectional layer: [(the layer's event, its result, the steps to a half)]."""
    event, found = events[-1], []
    given = tensors_in((event.args, event.kwargs))
    if event.name not in JOINS or len(given) != 2:
        return None
    for tensor in given:
        steps, at = [], len(events) - 1
        while True:
            at = next((i for i in range(at - 1, -1, -1) if any(t is tensor for t in tensors_in(events[i].result))), None)
            if at is None or not (events[at].name in CHOOSES or isinstance(events[at].module, nn.RNNBase)):
                return None
            if events[at].module is not None:
                found.append((events[at], tensor, steps[::-1]))
                break
            steps.append((events[at], tensor))
            tensor = events[at].source
    return found if found[0][0] is found[1][0] and found[0][0].module.bidirectional else None


def check_aside(events, steps, x):
    """Beside the chain nothing may change a tensor in place, look at values or come in from the side."""
    live, chain = {id(x)}, {id(event) for event, _ in steps}
    for event in events:
        comes = any(id(t) in live for t in tensors_in((event.args, event.kwargs)))
        if id(event) in chain:
            side = [t for t in event.others() if id(t) in live]
            if side and event.module is None and event.halves is None:
                raise refusal(str(event), "takes two things that come from the input, as a residual or an attention does",
                              "only a chain can be carried: one tensor in, one out, at every step")
        elif event.module is None and not event.name.startswith("requires_grad"):
            writes = event.name == "__setitem__" or (event.name.endswith("_") and not event.name.endswith("__")) or (
                event.name.startswith("__i") and event.name not in ("__int__", "__index__", "__invert__", "__iter__")) or (
                    "out" in event.kwargs)
            if writes and comes:
                raise refusal(str(event), "changes a tensor in place", "write forward as one module after the other")
            if event.name in DECIDES and comes:
                raise refusal(str(event), "looks at values, so that what runs may depend on them", "write forward without it")
        if comes and event.name not in FRESH:
            live |= {id(t) for t in tensors_in(event.result)}


def tensors_in(value):
    """Every tensor in nested tuples, lists and dicts, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [t for v in value for t in tensors_in(v)] if isinstance(value, (tuple, list)) else []
