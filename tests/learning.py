"""Small data and models to train on, and what tests of training compare."""
import numpy as np

from streamrnn import LSTM, Dense, Model

F = np.float32


def echoes(rng, count=20, time=12, inputs=3, outputs=2):
    """(x, y): y is a slow mean of x's first columns, one step late."""
    x = rng.normal(size=(count, time, inputs)).astype(F)
    y, level = np.zeros((count, time, outputs), F), np.zeros((count, outputs), F)
    for t in range(1, time):
        level = 0.7 * level + x[:, t - 1, :outputs]
        y[:, t] = level
    return x, y


def small(*layers, inputs=3, seed=3, **options):
    return Model(inputs, list(layers) or [LSTM(9), Dense(2)], seed=seed, **options)


def bits(model):
    return {name: tensor.tobytes() for name, tensor in model.tensors.items()}


def course(history):
    """What a training went through, without what a clock says."""
    return history.loss, history.validation, history.rate, history.norm, history.best, history.stopped


def pieces(x, lengths):
    """The sequences of a padded batch, as a list."""
    return [part[:length] for part, length in zip(x, lengths, strict=True)]
