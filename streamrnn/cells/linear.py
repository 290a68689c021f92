"""Products that wait for no step before them: what several cells begin and end with, in the tile that Dense has.

A run of sums is padded to whole blocks of 16 floats, so that the stage behind finds each at a place of its own:
[run][padded units].
"""
import numpy as np

from streamrnn.cells.base import Gates
from streamrnn.cells.dense import WIDE, Dense
from streamrnn.lanes import BLOCK


def padded(n):
    return -(-n // BLOCK) * BLOCK


def sums(plan, source, inputs, runs, units, weights, biased=True):
    """`runs` times `units` sums over the source, as one vector of work; weights(tensors) -> (weight, bias) as `spread` gives them."""
    target, size = plan.work(runs * padded(units)), runs * padded(units)

    def gates(tensors):
        weight, bias = weights(tensors)
        return Gates(bias[None], np.zeros((0, size, 0), np.float32), weight[None])

    plan.gated(WIDE, Dense(size), source, inputs, hidden=None, reads=[], writes=[target], weights=gates, biased=biased)
    return target


def spread(array, runs):
    """(runs * units, ...) -> (runs * padded units, ...), zeros between the runs."""
    units = len(array) // runs
    wide = np.zeros((runs, padded(units), *array.shape[1:]), np.float32)
    wide[:, :units] = array.reshape(runs, units, *array.shape[1:])
    return wide.reshape(-1, *array.shape[1:])
