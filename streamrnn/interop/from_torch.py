"""from_torch: a torch.nn module, a state_dict or a file of one, as a model that is proven against torch.

A module is run on a probe to see the order of its parts (torch_in/network.py); a bare state_dict is read by names and shapes
(torch_in/names.py), and a .safetensors file of one without torch.
"""
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from streamrnn.errors import ConfigError, FileError, MissingExtra
from streamrnn.interop import parity
from streamrnn.interop.chain import Chain, first_line
from streamrnn.interop.torch_in.names import parts_of
from streamrnn.interop.torch_in.parts import add, first_width
from streamrnn.model import files

NEEDED = "torch is not installed: pip install torch --index-url https://download.pytorch.org/whl/cpu"
ENTRIES = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights


def from_torch(source, *, layers=None, probe=None, tolerance=parity.TOLERANCE, seed=0, say=print):
    """`model, report = sr.from_torch(net)`.

    source: a module; a list of modules in order; a state_dict; a path to a state_dict (.pt, .pth, .safetensors).
    layers: of a state_dict, what it does not tell: "rnn=RNN:relu,fc1=Linear:relu,fc2=Linear".
    probe: of a module, an example of its input, (batch, time, features) or (batch, time) of tokens, where one cannot be guessed.
    tolerance: the largest error of the proof, which is over random samples drawn from `seed`.
    say: what the report is told to as it is made, or None.
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
    from streamrnn.interop.torch_in.network import from_module
    return from_module(source, probe, tolerance, seed, say)


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
        raise FileError(f"{path} cannot be read as tensors alone ({first_line(error)}). If it holds a whole module, load it "
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
    parts, notes = parts_of({name: _numbers(name, t) for name, t in tensors.items()}, words, ordered)
    chain = Chain(first_width(parts))
    for part in parts:
        add(chain, part)
    chain.notes += notes
    if any(part.options.get("end") == "final" for part in parts):
        chain.note(parity.LAST)
    model, torch = chain.model(), _torch()
    if torch is None:
        return parity.imported(chain, model, "torch", None, f"{NEEDED}, and import again", say)
    from streamrnn.interop.torch_in.modules import module_of, run_in_order
    modules, source = [module_of(part) for part in parts if part.kind != "Dropout"], f"torch {torch.__version__}"

    def reference(x):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of the way in which it computes a projection
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
        raise ConfigError(f"{name} has no plain numbers ({first_line(error)}): save it in float32") from None
