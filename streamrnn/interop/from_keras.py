"""from_keras: a Keras 3 model, a .keras file or an older .h5 file, as a model that is proven against Keras where Keras is installed.

Files are read without Keras (keras_in/files.py), and a model of the running session through the same reader. Keras itself is asked
only at the end, for a model all of whose layers are known by then.
"""
import importlib.util
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from streamrnn.errors import ConfigError, FileError
from streamrnn.interop import parity
from streamrnn.interop.chain import Chain, first_line
from streamrnn.interop.keras_in.files import Weights, open_h5, read, version_of
from streamrnn.interop.keras_in.graph import chain_of
from streamrnn.interop.keras_in.layers import Reader
from streamrnn.model import files

BACKENDS = ("torch", "jax", "tensorflow")


def from_keras(source, *, accept=(), tolerance=parity.TOLERANCE, seed=0, say=print):
    """`model, report = sr.from_keras("model.keras")`.

    source: a Sequential or functional model, or a path to one (.keras, .h5).
    accept: what does not matter to these streams though it cannot be carried, such as ["embedding.mask_zero"] or ["masking"].
    tolerance: the largest error of the proof, which is over random samples drawn from `seed`.
    say: what the report is told to as it is made, or None.
    """
    accept = (accept,) if isinstance(accept, str) else tuple(accept)
    if isinstance(source, (str, Path)):
        with files.blaming(source):
            config, weights = read(source)
            chain, graph = _chain(config, weights, accept)
            return _proven(chain, graph, lambda keras: _load(keras, source), tolerance, seed, say)
    if not callable(getattr(source, "to_json", None)) or not callable(getattr(source, "save_weights", None)):
        raise ConfigError(f"from_keras takes a Keras model or a path to one, got {type(source).__name__}")
    if not getattr(source, "built", False):
        raise ConfigError(f"{source.name} is not built, so that it has no weights yet: give it a keras.Input, or call it once")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        source.save_weights(path)
        config, content = json.loads(source.to_json()), path.read_bytes()
    version = version_of(config.get("keras_version", "3"))  # Keras 3 does not say it here
    chain, graph = _chain(config, Weights(source.name, open_h5(source.name, content), version), accept)
    return _proven(chain, graph, lambda keras: _own_states(keras, source), tolerance, seed, say)


def _chain(config, weights, accept):
    graph = chain_of(config, weights)
    tokens = bool(graph.entries) and graph.entries[0].kind == "Embedding"
    axes = len(graph.shape)
    if axes not in ((2,) if tokens else (2, 3)):
        raise ConfigError(f"its input has shape {graph.shape}: samples are (batch, time, features), or (batch, time) of tokens")
    if not tokens and graph.shape[-1] is None:
        raise ConfigError(f"its input has shape {graph.shape}, without a number of features: build it with keras.Input((None, features))")
    chain = Chain(1 if tokens else graph.shape[-1])
    reader = Reader(chain, weights, accept)
    reader.flat = axes == 2 and not tokens
    for entry in graph.entries:
        reader.add(entry)
    if reader.turned and not reader.last_only:
        raise ConfigError(f"{reader.turned}: go_backwards=True with return_sequences=True gives results back to front, and here they stand "
                          "in the order of the samples. Take the last one alone (return_sequences=False), or use a Bidirectional")
    chain.apart = reader.apart
    needless = [word for word in accept if word not in reader.accepted]
    if needless:
        raise ConfigError(f"accept: {needless[0]!r} is nothing that has to be accepted in this model: leave it out")
    left = weights.left()
    if left:
        raise FileError(f"{weights.path}: {left[0]} belongs to no layer that is known: the file does not fit its own configuration")
    return chain, graph


# -- the proof ----------------------------------------------------------------------------------------------------------------


def _keras():
    """(keras, ""), or (None, why not)"""
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        backend = next((name for name in BACKENDS if importlib.util.find_spec(name)), None)
        if backend:
            os.environ["KERAS_BACKEND"] = backend
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import keras
    except ImportError as error:
        missing = "Keras" if error.name == "keras" else f"Keras, or what it computes with ({error})"
        return None, f"{missing} is not installed: pip install keras and a backend such as torch, and import again"
    if int(keras.__version__.split(".")[0]) < 3:
        return None, f"this is Keras {keras.__version__}: pip install 'keras>=3', and import again"
    return keras, ""


class _Unloadable(Exception):
    pass


def _load(keras, path):
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras' own, of many kinds
        raise _Unloadable(f"Keras {keras.__version__} itself does not load {path} ({first_line(error)})") from None


def _own_states(keras, model):
    """The model itself, or a copy of a stateful one, whose states are the user's."""
    if not any(getattr(layer, "stateful", False) for layer in model.layers):
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _proven(chain, graph, load, tolerance, seed, say):
    model = chain.model()
    keras, why = _keras()
    if chain.apart:
        keras, why = None, f"{chain.apart}: Keras 3 takes hard_sigmoid for another function than the Keras that wrote the file"
    if keras is None:
        return parity.imported(chain, model, "Keras", None, why, say)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = load(keras)
        except _Unloadable as error:
            return parity.imported(chain, model, "Keras", None, f"{error}; load it as you can, and call sr.from_keras(model)", say)
    source = f"Keras {keras.__version__} on {keras.backend.backend()}"
    tokens = model.vocabulary > 0
    batch = graph.shape[0] or parity.BATCH
    timed = len(graph.shape) == 3 or tokens
    lengths = parity.LENGTHS if timed and graph.shape[1] is None else (graph.shape[1],) if timed else (1,)

    def reference(x):
        for layer in theirs.layers:
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
                layer.reset_state()
        given = x[..., 0].astype(np.int32) if tokens else x if timed else x[:, 0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = theirs(given, training=False)
        y = y[0] if isinstance(y, (tuple, list)) else y
        return keras.ops.convert_to_numpy(y)

    skips = any(".mask_zero" in note for note in chain.notes)
    samples = parity.probes(model, seed, lengths, batch, lowest=int(skips))
    return parity.imported(chain, model, source, parity.prove(model, reference, samples, tolerance, source), "", say)
