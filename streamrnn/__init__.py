"""streamrnn: a compiled streaming inference engine for recurrent nets.

    import streamrnn as sr
    model = sr.Model(inputs=8, layers=[sr.LSTM(64), sr.Dense(1)], seed=0)
    y = model.run(x)                                     # whole sequences
    stream = model.stream(); y_t = stream.step(x_t)      # one sample, state kept
    engine = sr.Engine(model); y_t = engine.step("pump-7", x_t)

Names load when they are first used, so that importing the package (and `streamrnn --help`) costs nothing.
"""
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from streamrnn.cells.dense import Dense as Dense
    from streamrnn.cells.dropout import Dropout as Dropout
    from streamrnn.cells.embedding import Embedding as Embedding
    from streamrnn.cells.gru import GRU as GRU
    from streamrnn.cells.layernorm import LayerNorm as LayerNorm
    from streamrnn.cells.lstm import LSTM as LSTM
    from streamrnn.cells.rnn import RNN as RNN
    from streamrnn.engine.engine import Engine as Engine
    from streamrnn.errors import ConfigError as ConfigError
    from streamrnn.errors import EngineBusy as EngineBusy
    from streamrnn.errors import EngineFull as EngineFull
    from streamrnn.errors import FileError as FileError
    from streamrnn.errors import InputError as InputError
    from streamrnn.errors import MissingExtra as MissingExtra
    from streamrnn.errors import StateError as StateError
    from streamrnn.errors import StreamRNNError as StreamRNNError
    from streamrnn.errors import UnknownStream as UnknownStream
    from streamrnn.model.model import Model as Model
    from streamrnn.model.model import load as load
    from streamrnn.streams.stream import Stream as Stream

_HOMES = {
    "streamrnn.cells.rnn": ["RNN"], "streamrnn.cells.lstm": ["LSTM"], "streamrnn.cells.gru": ["GRU"],
    "streamrnn.cells.dense": ["Dense"], "streamrnn.cells.embedding": ["Embedding"],
    "streamrnn.cells.layernorm": ["LayerNorm"], "streamrnn.cells.dropout": ["Dropout"],
    "streamrnn.model.model": ["Model", "load"], "streamrnn.engine.engine": ["Engine"], "streamrnn.streams.stream": ["Stream"],
    "streamrnn.errors": ["StreamRNNError", "ConfigError", "InputError", "StateError", "UnknownStream", "EngineFull",
                         "EngineBusy", "FileError", "MissingExtra"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'streamrnn' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
