"""A torch module as a proven model: a copy of it runs on a probe, the chain that is seen becomes layers, and both are compared."""
import copy
import warnings

import numpy as np
import torch

from streamrnn.errors import ConfigError
from streamrnn.interop import parity
from streamrnn.interop.chain import Chain, first_line
from streamrnn.interop.torch_in import modules, trace, walk
from streamrnn.interop.torch_in.parts import add, first_width


def from_module(module, probe, tolerance, seed, say):
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if isinstance(module, torch.jit.ScriptModule):
        raise ConfigError("a TorchScript module hides its parts: import the module that it was made from, or its state_dict")
    modules.check_plain(module)
    try:
        network = copy.deepcopy(module).cpu().float().eval()
    except Exception as error:  # whatever a module of one's own holds
        raise ConfigError(f"{type(module).__name__} cannot be copied ({first_line(error)}), and it is not to be changed: "
                          "import its state_dict()") from None
    kinds = {str(p.dtype).removeprefix("torch.") for p in module.parameters()}
    source = f"torch {torch.__version__}"
    way = _way(network, probe)
    chain = Chain(way.width)
    for part in way.parts:
        add(chain, part)
    chain.notes += way.notes
    for kind in sorted(kinds - {"float32"}):
        chain.note(f"its weights are {kind}: they are carried, and the network is run, in float32")
    _note_unused(network, way, chain)
    model = chain.model()
    proof = parity.prove(model, way.reference, parity.probes(model, seed), tolerance, source)
    return parity.imported(chain, model, source, proof, "", say)


class _Way:
    """The chain of a module, however it was found, and the module as a function of (batch, steps, inputs)."""

    def __init__(self, parts, width, notes, reference):
        self.parts, self.width, self.notes, self.reference = parts, width, notes, reference


def _way(network, probe):
    failed = None
    for x in _probes(network, probe):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                events, result = trace.record(network, x)
        except ConfigError:
            raise
        except Exception as error:  # the network's own: another probe may fit it
            failed = failed or error
            continue
        way = walk.chain_of(events, result, x)
        width = x.shape[-1] if "features" in way.enters else 1
        return _Way(way.parts, width, way.notes, _reference(network, way, x))
    if isinstance(network, torch.nn.Sequential) and all(type(m) in modules.READERS for m in network):
        parts = [modules.part_of(name, m) for name, m in network.named_children()]
        note = ["taken in order; of each recurrent layer's pair, the output (torch itself does not run such a Sequential)"]
        in_order = lambda x: modules.run_in_order(list(network), torch.tensor(x)).detach().numpy()
        return _Way(parts, first_width(parts), note, in_order)
    for name, module in network.named_modules():  # what cannot be carried is more to the point than what went wrong with it
        if modules.is_leaf(module):
            modules.part_of(name or type(module).__name__, module)
    if failed is None:
        first_width([])
    raise ConfigError(f"{type(network).__name__} does not run on a probe ({type(failed).__name__}: {first_line(failed)}), "
                      "so that what it does cannot be seen. Give it one that it takes: "
                      "from_torch(net, probe=example), (batch, time, features)")


def _probes(network, probe):
    """Inputs to try: the given one's shape, else what the modules in it may expect, the first one first."""
    rng, seen = torch.Generator().manual_seed(0), []
    size = (walk.BATCH, walk.STEPS)  # whatever a given probe has: sizes that tell the axes apart
    if probe is not None:
        probe = torch.as_tensor(np.asarray(probe))
        if probe.ndim not in (2, 3):
            raise ConfigError(f"probe must be (batch, time, features), or (batch, time) of tokens, got shape {tuple(probe.shape)}")
        shape = (*size, *probe.shape[2:])
        yield torch.randn(shape, generator=rng) if probe.is_floating_point() else torch.randint(0, int(probe.max()) + 1, shape,
                                                                                                generator=rng)
        return
    for module in network.modules():
        if isinstance(module, torch.nn.Embedding):
            seen.append(torch.randint(0, module.num_embeddings, size, generator=rng))
        width = getattr(module, "input_size",
                        getattr(module, "in_features", None)) or (getattr(module, "normalized_shape", None) or [None])[-1]
        if isinstance(width, int):
            seen.append(torch.randn(*size, width, generator=rng))
            if width == 1:
                seen.append(torch.randn(*size, generator=rng))
    yield from seen


def _reference(network, way, x):
    """The network over (batch, steps, inputs) -> (batch, steps, outputs), or (batch, outputs) of the last step."""
    tokens = not x.is_floating_point()

    def reference(samples):
        given = torch.tensor(samples)  # a copy: a network may work in place
        sizes = {"batch": given.shape[0], "time": given.shape[1], "features": -1}
        given = given if "features" in way.enters else given[..., 0]
        given = given.transpose(0, 1) if way.enters[0] == "time" else given
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                y = network(given.long() if tokens else given)
        except Exception as error:
            raise ConfigError(f"the network runs on {x.shape[1]} steps, but not on {samples.shape[1]} ({first_line(error)}): "
                              "a number of steps is written into its forward; write -1 for the last one") from None
        y = y[0] if isinstance(y, (tuple, list)) else y
        only_last = way.last and "time" in way.axes
        y = y.reshape([1 if only_last and axis == "time" else sizes[axis] for axis in way.axes])
        y = y if "features" in way.axes else y[..., None]
        axes = [axis for axis in way.axes if axis != "features"]
        if "time" not in axes:
            return y.numpy()
        y = y.transpose(0, 1) if axes[0] == "time" else y
        return (y[:, -1] if only_last else y).numpy()

    return reference


def _note_unused(network, way, chain):
    used = {part.name for part in way.parts}
    for name, module in network.named_modules():
        if any(True for _ in module.parameters(recurse=False)) and name and name not in used:
            chain.note(f"{name} ({type(module).__name__}) takes no part in the result: left out")
    for name in used:
        if sum(part.name == name for part in way.parts) > 1 and any(part.tensors for part in way.parts if part.name == name):
            chain.note(f"{name} is used more than once: each use has a copy of its own")
