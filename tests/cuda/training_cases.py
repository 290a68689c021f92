"""Small models and their data, the same for the process that trains on the CPU and the one that trains in CUDA's simulator."""
import numpy as np

from streamrnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Activation,
    Attention,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    MinGRU,
    Model,
    Recurrence,
    Scale,
)
from streamrnn.training.objective import Objective
from streamrnn.training.optimisers import Adam

LENGTHS = np.array([2, 2, 1])  # of sequences that share a window
BLOCKS = "several blocks"      # a case with more sequences than a block goes back through
CASES = {
    "gated, normed, scaled": (3, [Scale(), LSTM(5), LayerNorm(), GRU(6), Dense(9, "softmax")], "mse"),
    "a table, the original gru": (1, [Embedding(9, 3), GRU(4, reset_after=False), Dropout(0.25), Dense(2)], "cross_entropy"),
    "modern": (3, [LRU(5), MinGRU(4), Attention(6, window=3, heads=2), RNN(3)], "mse"),
    "from elsewhere": (3, [Recurrence("lstm", 17, ("hard_sigmoid", ("scaled_tanh", 1.5, 0.5), "softsign"), clip=0.5, peepholes=True,
                                      projection=4, starts=True), Activation("softplus"),
                           Recurrence("gru", 5, ("sigmoid", "elu"), starts=True), Recurrence("gru", 3, reset_after=False),
                           Recurrence("rnn", 4, ("softsign",)), RNN(3)], "mse"),
    "labels without times": (3, [GRU(4), Dense(3)], "ctc"),
    "plain, dropout before it": (3, [Dropout(0.5, variational=True), RNN(17), RNN(5, "relu"), Dense(1)], "mae"),
    BLOCKS: (2, [RNN(3), Dense(1)], "mse"),
}


def model_of(name):
    inputs, layers, _ = CASES[name]
    rng = np.random.default_rng(len(name))
    model = Model(inputs, layers, seed=1)
    return model.with_tensors({key: rng.uniform(-0.5, 0.5, t.shape).astype(np.float32) if t.ndim == 1 else t
                               for key, t in model.tensors.items()})


def problem(name, model):
    """(objective, sequences, steps) of a case."""
    lengths = np.ones(9, np.int64) if name == BLOCKS else LENGTHS
    loss, rng, shape = CASES[name][2], np.random.default_rng(7), (len(lengths), lengths.max())
    table = isinstance(CASES[name][1][0], Embedding)
    x = rng.integers(0, 9, (*shape, 1)) if table else rng.standard_normal((*shape, model.inputs))
    y = rng.integers(0, model.outputs, shape) if loss == "cross_entropy" else rng.standard_normal((*shape, model.outputs))
    if loss == "ctc":
        y = np.array([[1, 2], [2, -1], [1, -1]])
    objective = Objective(model, loss)
    return objective, objective.sequences(x.astype(np.float32), y.astype(np.float32), lengths, model), int(lengths.max())


_rng = np.random.default_rng(3)
_x = _rng.standard_normal((4, 4, 2)).astype(np.float32)
FIT = {"x": _x, "y": _x.sum(2, keepdims=True), "loss": "mse", "optimizer": Adam(1e-2), "epochs": 2, "batch": 3, "window": 2,
       "validation": 0.25, "progress": False}
"""Two windows of three sequences, one held out."""


def model_to_fit():
    return Model(2, [LSTM(4), Dense(1)], seed=5)
