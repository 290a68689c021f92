"""ONNX graphs as models: RNN, LSTM and GRU with what exporters put around them. Strict: nothing is dropped in silence.

The report says which layer came from which node, what to know, and the largest error against ONNX Runtime on random samples.
"""
import os
from pathlib import Path

import numpy as np

from streamrnn.cells.dropout import Dropout
from streamrnn.errors import ConfigError, FileError, MissingExtra
from streamrnn.interop.onnx_in import proof
from streamrnn.interop.onnx_in.directions import RECURRENT
from streamrnn.interop.onnx_in.values import Refused
from streamrnn.interop.onnx_in.walk import Walk
from streamrnn.interop.parity import LAST, TOLERANCE, Imported, Report, ahead
from streamrnn.model.model import Model


def from_onnx(source, *, inputs=None, outputs=None, tolerance=TOLERANCE, seed=0, say=print):
    """`model, report = sr.from_onnx("net.onnx")`, from a path or an onnx.ModelProto.

    inputs     the name of the graph input that brings samples; None: the first one
    outputs    names of graph outputs to take, several become heads; None: all that are no states
    tolerance  the largest error of the proof, which is over random samples drawn from `seed`
    say        what the report is told to as it is made, or None
    """
    found = model_of(source, inputs=inputs, outputs=outputs, tolerance=tolerance, seed=seed)
    if say:
        say(found.report)
    return found


def model_of(source, *, inputs=None, outputs=None, tolerance=TOLERANCE, seed=0):
    """(Model, Report), nothing said."""
    onnx = _onnx()
    proto = _read(onnx, source)
    try:
        return _imported(proto, inputs, outputs, tolerance, seed)
    except ConfigError as error:
        if proto.producer_name != "streamrnn":
            raise
        raise ConfigError(f"{error}. streamrnn wrote this graph: load the model file that it was made of (.safetensors)") from None


def _imported(proto, inputs, outputs, tolerance, seed):
    walk = Walk(proto, inputs)
    walk.go(proto.graph.node)
    found, states = walk.outputs(outputs)
    walk.settle_rest()
    model, parts = _built(walk, found)
    if all(value.last for value in found.values()):
        walk.note(LAST)
    for name in states:
        walk.note(f"output {name!r} is a state: a stream keeps it, see stream.state()")
    layers = [entry.layer for value in found.values() for entry in value.chain]
    if walk.time is None and any(layer.looks_ahead or layer.kind in RECURRENT for layer in layers):
        walk.note("the graph computes one step a call: here a stream does, stream.step(x)")
    for words in ahead(model):
        walk.note(words)
    error, values, unproven = proof.prove(proto.SerializeToString(), walk, model, found, np.random.default_rng(seed), tolerance)
    return Imported(model, Report(_source(proto, walk), parts, tuple(walk.notes), error, values, unproven))


def _onnx():
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtra("reading ONNX needs onnx: pip install 'streamrnn[onnx]'") from None
    return onnx


def _read(onnx, source):
    """A checked ModelProto with its local functions written out."""
    if isinstance(source, onnx.ModelProto):
        proto, where = source, "the model"
    elif isinstance(source, (str, os.PathLike)):
        where = str(source)
        try:
            Path(source).open("rb").close()
            proto = onnx.load(source)
        except OSError:
            raise
        except Exception as error:  # protobuf's own errors
            raise FileError(f"{where} is no ONNX file, or a damaged one ({str(error).splitlines()[0]}): export it again") from None
    else:
        raise ConfigError(f"from_onnx takes a path or an onnx.ModelProto, got {type(source).__name__}")
    if not proto.graph.node:
        raise FileError(f"{where} holds no graph: is it an ONNX file?")
    try:
        if proto.functions:
            import onnx.inliner
            proto = onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # the inliner's own errors
        raise FileError(f"{where}: its local functions cannot be written out ({error})") from None
    return proto


def _source(proto, walk):
    maker = " ".join(word for word in (proto.producer_name, proto.producer_version) if word)
    return f"the graph (opset {walk.opset}{f', by {maker}' if maker else ''})"


def _built(walk, found):
    """The model of these chains, and where each of its layers comes from; what all chains begin with is the trunk."""
    chains = {name: list(value.chain) for name, value in found.items()}
    for name, chain in chains.items():
        if not chain:
            raise ConfigError(f"output {name!r} is the input itself: there is no layer")
    if len({value.last for value in found.values()}) > 1:
        raise ConfigError("some outputs are of every step, some of the last alone: choose with outputs=")
    for name, value in found.items():
        odd = [atom for axis in value.axes for atom in axis if atom not in value.features and atom not in (walk.batch, walk.time)]
        if odd:
            raise Refused(f"output {name!r} has an axis that is no feature, step or sequence")
    first = next(iter(chains.values()))
    if len(chains) == 1:
        trunk, heads = first, {}
    else:
        count = min(map(len, chains.values()))
        shared = next((n for n in range(count) if any(chain[n] is not first[n] for chain in chains.values())), count)
        if not shared:
            raise ConfigError(f"outputs {', '.join(chains)} share no layer: import them one by one, with outputs=")
        trunk, heads = first[:shared], {name.replace(".", "_"): chain[shared:] for name, chain in chains.items()}
    stacks = {"layers": trunk, **{f"heads.{name}": chain for name, chain in heads.items()}}
    tensors = {f"{stack}.{n}.{key}": value for stack, chain in stacks.items() for n, entry in enumerate(chain)
               for key, value in entry.tensors.items()}
    tops = {name: [entry.layer for entry in chain] or [Dropout(0.0)] for name, chain in heads.items()}
    model = Model(int(np.prod([atom.size for atom in walk.features])), [entry.layer for entry in trunk], tops or None, tensors=tensors)
    return model, tuple((entry.origin, f"{stack}.{n}  {entry.layer!r}")
                        for stack, chain in stacks.items() for n, entry in enumerate(chain))
