"""from_torch: a torch.nn module, a state_dict or a file of one, as a model that is proven against torch.

A module is run on a probe to see the order of its parts (torch_trace.py); a bare state_dict is read by names and shapes
(torch_names.py), and a .safetensors file of one without torch.
"""
import copy
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from streamrnn.errors import ConfigError, FileError, MissingExtra
from streamrnn.interop import parity, torch_names, torch_parts
from streamrnn.interop.chain import Chain
from streamrnn.model import files

NEEDED = "torch is not installed: pip install torch --index-url https://download.pytorch.org/whl/cpu"
ENTRIES = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights


def from_torch(source, *, layers=None, probe=None, tolerance=parity.TOLERANCE, seed=0, say=print):
    """`model, report = sr.from_torch(net)`.

    source: a module; a list of modules in order; a state_dict; a path to a state_dict (.pt, .pth, .safetensors).
    layers: of a state_dict, what it does not tell: "rnn=RNN:relu,fc1=Linear:relu,fc2=Linear".
    probe: of a module, an example of its input, (batch, time, features) or (batch, time) of tokens, where one cannot be guessed.
    tolerance: the largest error of the proof; seed: of its random samples; say: what the report is told to, or None.
    """
    if isinstance(source, (str, Path)):
        with files.blaming(source):
            return from_torch(_read(Path(source)), layers=layers, tolerance=tolerance, seed=seed, say=say)
    if isinstance(source, Mapping):
        return _from_names(source, layers, tolerance, seed, say)
    torch = _torch()
    if torch is None:
        raise MissingExtra(f"a torch module cannot be read: {NEEDED}")
    if layers is not None:
        raise ConfigError("layers is for a state_dict: a module says itself what it is made of")
    if isinstance(source, (list, tuple)):
        source = torch.nn.Sequential(*source)
    if not isinstance(source, torch.nn.Module):
        raise ConfigError(f"from_torch takes a torch.nn.Module, a state_dict or a path, got {type(source).__name__}")
    return _from_module(source, probe, tolerance, seed, say)


def _torch():
    try:
        import torch
    except ImportError:
        return None
    return torch


# -- a state_dict -------------------------------------------------------------------------------------------------------


def _read(path):
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    torch = _torch()
    if torch is None:
        raise MissingExtra(f"{path} needs torch to be read ({NEEDED}); a .safetensors file does not")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever the file holds, nothing of it was run
        raise FileError(f"{path} cannot be read as tensors alone ({str(error).splitlines()[0]}). If it holds a whole module, load it "
                        "yourself, where running its code is safe, and call sr.from_torch(module), or save module.state_dict()") from None
    for entry in ENTRIES:
        if isinstance(content, Mapping) and isinstance(content.get(entry), Mapping):
            content = content[entry]
            break
    return content


def _read_safetensors(path):
    import safetensors.numpy
    content = path.read_bytes()
    try:
        return safetensors.numpy.load(content)
    except Exception as error:  # the library's own errors, and numpy's for dtypes it does not know
        raise FileError(f"{path} is no safetensors file of numbers that NumPy knows, or a damaged one ({error}): "
                        "save it again, in float32") from None


def _from_names(tensors, words, tolerance, seed, say):
    if not tensors or not all(isinstance(name, str) and hasattr(t, "shape") for name, t in tensors.items()):
        raise ConfigError(f"this is no state_dict: it must hold tensors by name, got {_kinds_in(tensors)}. "
                          "Save module.state_dict() and import that")
    ordered = isinstance(tensors, OrderedDict)  # as state_dict() makes it; what comes from a safetensors file has lost its order
    parts, notes = torch_names.parts_of({name: _numbers(name, t) for name, t in tensors.items()}, words, ordered)
    chain = Chain(torch_parts.first_width(parts))
    for part in parts:
        torch_parts.add(chain, part)
    chain.notes += notes
    model, torch = chain.model(), _torch()
    if torch is None:
        return parity.imported(chain, model, "torch", None, f"{NEEDED}, and import again", say)
    from streamrnn.interop.torch_modules import module_of, run_in_order
    modules, source = [module_of(part) for part in parts if part.kind != "Dropout"], f"torch {torch.__version__}"

    def reference(x):
        with torch.no_grad():
            return run_in_order(modules, torch.tensor(x)).numpy()

    proof = parity.prove(model, reference, parity.probes(model, seed), tolerance, source)
    chain.note("the proof is of these tensors in torch.nn's modules; that the network runs them so is not in a state_dict")
    return parity.imported(chain, model, source, proof, "", say)


def _kinds_in(tensors):
    shown = ", ".join(f"{name!r}: {type(t).__name__}" for name, t in list(tensors.items())[:4])
    return shown or "nothing"


def _numbers(name, tensor):
    if isinstance(tensor, np.ndarray):
        return tensor
    try:
        tensor = tensor.detach().cpu()
        return (tensor if str(tensor.dtype) == "torch.float64" else tensor.float()).numpy()
    except Exception as error:  # quantised, sparse, meta: torch's own words say which
        raise ConfigError(f"{name} has no plain numbers ({str(error).splitlines()[0]}): save it in float32") from None


# -- a module -------------------------------------------------------------------------------------------------------------


def _from_module(module, probe, tolerance, seed, say):
    import torch

    from streamrnn.interop import torch_modules, torch_trace
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if isinstance(module, torch.jit.ScriptModule):
        raise ConfigError("a TorchScript module hides its parts: import the module that it was made from, or its state_dict")
    torch_modules.check_plain(module)
    try:
        network = copy.deepcopy(module).cpu().float().eval()
    except Exception as error:  # whatever a module of one's own holds
        raise ConfigError(f"{type(module).__name__} cannot be copied ({str(error).splitlines()[0]}), and it is not to be changed: "
                          "import its state_dict()") from None
    kinds = {str(p.dtype).removeprefix("torch.") for p in module.parameters()}
    source = f"torch {torch.__version__}"
    way = _way(network, probe, torch, torch_trace, torch_modules)
    chain = Chain(way.width)
    for part in way.parts:
        torch_parts.add(chain, part)
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


def _way(network, probe, torch, torch_trace, torch_modules):
    failed = None
    for x in _probes(network, probe, torch, torch_trace):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                events, result = torch_trace.record(network, x)
        except ConfigError:
            raise
        except Exception as error:  # the network's own: another probe may fit it
            failed = failed or error
            continue
        way = torch_trace.chain_of(events, result, x)
        width = x.shape[-1] if "features" in way.enters else 1
        return _Way(way.parts, width, way.notes, _reference(network, way, x, torch))
    if isinstance(network, torch.nn.Sequential) and all(type(m) in torch_modules.READERS for m in network):
        parts = [torch_modules.part_of(name, m) for name, m in network.named_children()]
        note = ["taken in order; of each recurrent layer's pair, the output (torch itself does not run such a Sequential)"]
        in_order = lambda x: torch_modules.run_in_order(list(network), torch.tensor(x)).detach().numpy()
        return _Way(parts, torch_parts.first_width(parts), note, in_order)
    for name, module in network.named_modules():  # what cannot be carried is more to the point than what went wrong with it
        if torch_modules.is_leaf(module):
            torch_modules.part_of(name or type(module).__name__, module)
    if failed is None:
        torch_parts.first_width([])
    lines = str(failed).strip().splitlines()
    why = f"{type(failed).__name__}: {lines[0] if lines else ''}"
    raise ConfigError(f"{type(network).__name__} does not run on a probe ({why}), so that what it does cannot be seen. "
                      "Give it one that it takes: from_torch(net, probe=example), (batch, time, features)")


def _probes(network, probe, torch, torch_trace):
    """Inputs to try: the given one's shape, else what the modules in it may expect, the first one first."""
    rng, seen = torch.Generator().manual_seed(0), []
    size = (torch_trace.BATCH, torch_trace.STEPS)  # whatever a given probe has: sizes that tell the axes apart
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


def _reference(network, way, x, torch):
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
            raise ConfigError(f"the network runs on {x.shape[1]} steps, but not on {samples.shape[1]} ({str(error).splitlines()[0]}): "
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
