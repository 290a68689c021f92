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
    from streamrnn import metrics as metrics
    from streamrnn.bus.desk import Limits as Limits
    from streamrnn.bus.server import Server as Server
    from streamrnn.cells.attention import Attention as Attention
    from streamrnn.cells.dense import Dense as Dense
    from streamrnn.cells.dropout import Dropout as Dropout
    from streamrnn.cells.embedding import Embedding as Embedding
    from streamrnn.cells.general.both_ways import Bidirectional as Bidirectional
    from streamrnn.cells.general.both_ways import Reverse as Reverse
    from streamrnn.cells.general.elementwise import Activation as Activation
    from streamrnn.cells.general.recurrence import Recurrence as Recurrence
    from streamrnn.cells.gru import GRU as GRU
    from streamrnn.cells.layernorm import LayerNorm as LayerNorm
    from streamrnn.cells.lru import LRU as LRU
    from streamrnn.cells.lstm import LSTM as LSTM
    from streamrnn.cells.mingru import MinGRU as MinGRU
    from streamrnn.cells.minlstm import MinLSTM as MinLSTM
    from streamrnn.cells.rnn import RNN as RNN
    from streamrnn.cells.scale import Scale as Scale
    from streamrnn.cells.scale import Unscale as Unscale
    from streamrnn.clients.aio import AsyncClient as AsyncClient
    from streamrnn.clients.aio import AsyncConsumer as AsyncConsumer
    from streamrnn.clients.aio import AsyncProducer as AsyncProducer
    from streamrnn.clients.client import Client as Client
    from streamrnn.clients.consumer import Consumer as Consumer
    from streamrnn.clients.producer import Producer as Producer
    from streamrnn.clients.wire import BlockResult as BlockResult
    from streamrnn.clients.wire import Event as Event
    from streamrnn.clients.wire import Result as Result
    from streamrnn.data.series import pad as pad
    from streamrnn.data.series import windows as windows
    from streamrnn.data.tokens import Characters as Characters
    from streamrnn.data.tokens import Words as Words
    from streamrnn.decode import Collapse as Collapse
    from streamrnn.decode import beam_search as beam_search
    from streamrnn.decode import best_path as best_path
    from streamrnn.detect.detector import Detector as Detector
    from streamrnn.detect.verdict import Verdict as Verdict
    from streamrnn.detect.verdict import Verdicts as Verdicts
    from streamrnn.engine.engine import Engine as Engine
    from streamrnn.errors import BufferFull as BufferFull
    from streamrnn.errors import ConfigError as ConfigError
    from streamrnn.errors import Diverged as Diverged
    from streamrnn.errors import EngineBusy as EngineBusy
    from streamrnn.errors import EngineFull as EngineFull
    from streamrnn.errors import FileError as FileError
    from streamrnn.errors import InputError as InputError
    from streamrnn.errors import MissingExtra as MissingExtra
    from streamrnn.errors import NoDevice as NoDevice
    from streamrnn.errors import ServerRefused as ServerRefused
    from streamrnn.errors import StateError as StateError
    from streamrnn.errors import StoreFailed as StoreFailed
    from streamrnn.errors import StreamRNNError as StreamRNNError
    from streamrnn.errors import TimedOut as TimedOut
    from streamrnn.errors import UnknownStream as UnknownStream
    from streamrnn.explain.activations import Activations as Activations
    from streamrnn.explain.activations import activations as activations
    from streamrnn.explain.projection import Projection as Projection
    from streamrnn.explain.projection import projection as projection
    from streamrnn.explain.saliency import Saliency as Saliency
    from streamrnn.explain.saliency import saliency as saliency
    from streamrnn.interop.from_keras import from_keras as from_keras
    from streamrnn.interop.from_onnx import from_onnx as from_onnx
    from streamrnn.interop.from_torch import from_torch as from_torch
    from streamrnn.interop.to_onnx import first_states as first_states
    from streamrnn.interop.to_onnx import to_onnx as to_onnx
    from streamrnn.model.model import Model as Model
    from streamrnn.model.model import load as load
    from streamrnn.streams.stream import Stream as Stream
    from streamrnn.training.fit import fit as fit
    from streamrnn.training.flow import gradient_flow as gradient_flow
    from streamrnn.training.flow import plot_flows as plot_flows
    from streamrnn.training.history import History as History
    from streamrnn.training.losses import BCE as BCE
    from streamrnn.training.losses import CTC as CTC
    from streamrnn.training.losses import MAE as MAE
    from streamrnn.training.losses import MSE as MSE
    from streamrnn.training.losses import CrossEntropy as CrossEntropy
    from streamrnn.training.losses import Gaussian as Gaussian
    from streamrnn.training.losses import Huber as Huber
    from streamrnn.training.losses import Loss as Loss
    from streamrnn.training.losses import Quantile as Quantile
    from streamrnn.training.losses import Student as Student
    from streamrnn.training.optimisers import SGD as SGD
    from streamrnn.training.optimisers import Adam as Adam
    from streamrnn.training.optimisers import AdamW as AdamW
    from streamrnn.training.optimisers import RMSprop as RMSprop
    from streamrnn.training.schedules import Cosine as Cosine
    from streamrnn.training.schedules import Plateau as Plateau
    from streamrnn.training.schedules import Steps as Steps

_HOMES = {
    "streamrnn.cells.rnn": ["RNN"], "streamrnn.cells.lstm": ["LSTM"], "streamrnn.cells.gru": ["GRU"],
    "streamrnn.cells.mingru": ["MinGRU"], "streamrnn.cells.minlstm": ["MinLSTM"], "streamrnn.cells.lru": ["LRU"],
    "streamrnn.cells.attention": ["Attention"],
    "streamrnn.cells.dense": ["Dense"], "streamrnn.cells.embedding": ["Embedding"],
    "streamrnn.cells.layernorm": ["LayerNorm"], "streamrnn.cells.dropout": ["Dropout"],
    "streamrnn.cells.scale": ["Scale", "Unscale"],
    "streamrnn.cells.general.recurrence": ["Recurrence"], "streamrnn.cells.general.elementwise": ["Activation"],
    "streamrnn.cells.general.both_ways": ["Bidirectional", "Reverse"],
    "streamrnn.interop.from_onnx": ["from_onnx"], "streamrnn.interop.to_onnx": ["to_onnx", "first_states"],
    "streamrnn.model.model": ["Model", "load"], "streamrnn.engine.engine": ["Engine"], "streamrnn.streams.stream": ["Stream"],
    "streamrnn.detect.detector": ["Detector"], "streamrnn.detect.verdict": ["Verdict", "Verdicts"],
    "streamrnn.bus.server": ["Server"], "streamrnn.bus.desk": ["Limits"],
    "streamrnn.clients.client": ["Client"], "streamrnn.clients.producer": ["Producer"], "streamrnn.clients.consumer": ["Consumer"],
    "streamrnn.clients.aio": ["AsyncClient", "AsyncProducer", "AsyncConsumer"],
    "streamrnn.clients.wire": ["Result", "BlockResult", "Event"],
    "streamrnn.training.fit": ["fit"], "streamrnn.training.history": ["History"],
    "streamrnn.training.flow": ["gradient_flow", "plot_flows"],
    "streamrnn.training.optimisers": ["SGD", "RMSprop", "Adam", "AdamW"],
    "streamrnn.training.losses": ["Loss", "MSE", "MAE", "Huber", "Quantile", "BCE", "Gaussian", "Student", "CrossEntropy", "CTC"],
    "streamrnn.training.schedules": ["Cosine", "Steps", "Plateau"],
    "streamrnn.explain.saliency": ["saliency", "Saliency"], "streamrnn.explain.activations": ["activations", "Activations"],
    "streamrnn.explain.projection": ["projection", "Projection"],
    "streamrnn.interop.from_torch": ["from_torch"], "streamrnn.interop.from_keras": ["from_keras"],
    "streamrnn.data.series": ["windows", "pad"], "streamrnn.data.tokens": ["Characters", "Words"],
    "streamrnn.decode": ["Collapse", "best_path", "beam_search"],
    "streamrnn.errors": ["StreamRNNError", "ConfigError", "InputError", "StateError", "UnknownStream", "EngineFull",
                         "EngineBusy", "FileError", "StoreFailed", "ServerRefused", "TimedOut", "BufferFull", "Diverged", "NoDevice",
                         "MissingExtra"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ["metrics"]
__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"streamrnn.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'streamrnn' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
