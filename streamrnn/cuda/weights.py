"""Weights in training on a GPU: the arena in the layout of cuda/tile.py, its gradient, the optimiser's moments, and the steps of both.

The arena of training.weights.Weights, on the host, stays the one that is saved, measured and handed out; what a tensor's number
is there and here is found the same way, so that values and moments go from one to the other.
"""
from functools import cache

import numpy as np

from streamrnn.cells.base import Gated
from streamrnn.cuda import device
from streamrnn.cuda import tile as tiles
from streamrnn.cuda.backward import WIDE, back_size
from streamrnn.cuda.program import kinds
from streamrnn.cuda.update import CHUNK, REPACK, SQUARES, THREADS, UPDATE, repack, squares, update
from streamrnn.errors import ConfigError
from streamrnn.kernels import frame
from streamrnn.plan import padded
from streamrnn.training.weights import find_homes


@cache
def _compiled():
    return device.compiled(squares, SQUARES, THREADS), device.compiled(repack, REPACK, THREADS)


@cache
def _compiled_update(one, moments, count):
    return device.compiled(update(one, moments, count), UPDATE, THREADS)


def blocks_for(count):
    """Blocks of threads that go over so many entries."""
    return max(1, min(-(-count // THREADS), 8 * device.multiprocessors()))


class DeviceWeights:
    """`host`: the Weights that these are; `program`: rows as kernels here read them, with `share` floats of rowwise weights."""

    def __init__(self, host):
        device.require()
        self.host, plan = host, host.plan
        tensors = host.tensors()
        values, self.starts = plan.fill(tensors, tiles.pack)
        self.homes = find_homes(plan, {name: tensor.shape for name, tensor in tensors.items()}, tiles.pack)
        own = [mask for _, mask in host.homes.values()]
        assert all((mask == there).all() for mask, (_, there) in zip(own, self.homes.values(), strict=True))
        self._here, self._there = (np.concatenate([home[mask] for (home, _), mask in zip(homes.values(), own, strict=True)] or
                                                  [np.zeros(0, np.int64)]) for homes in (host.homes, self.homes))
        self.size = values.size
        self._packed = values                  # with what belongs to no tensor
        self.values, self.gradient = device.upload(values), device.array(self.size)
        self._decays = device.upload(self._moved(host.learnt, np.zeros(self.size, np.float32)))
        self.program, index = self._laid_out(plan)
        self.back, self._index = device.array(max(1, index.size)), device.upload(index)
        self._moments, self._numbers = [], None   # what an optimiser keeps, and what its step is told
        self._sums, self._norm = device.array(-(-self.size // CHUNK), np.float64), device.array(1, np.float64)
        self.refresh()

    def _moved(self, arena, to):
        to[self._there] = arena[self._here]
        return to

    def _laid_out(self, plan):
        """(program, where in the arena each weight packed the other way stands; -1 for padding)."""
        header, rows = plan.table(self.starts)
        numbers, found, size, self.share = {stage: number for number, stage in enumerate(kinds(plan))}, [], 0, 0
        rows[:, frame.KIND], rows[:, frame.SPARE] = [numbers[stage] for stage in plan.stages], -1
        ends = [*self.starts[1:], self.size]
        for stage, row, start, end in zip(plan.stages, rows, self.starts, ends, strict=True):
            if isinstance(stage, Gated):
                row[frame.BACK] = size
                found += [part.ravel() for part in _way_back(stage, row, start)]
                size = sum(part.size for part in found)
            else:
                row[frame.BACK] = self.share   # of the rowwise stages' weights in a team's share
                self.share += end - start
        header[frame.ARENA] = device.address(self.values)
        return np.concatenate([header, rows.ravel()]), np.concatenate(found or [np.zeros(0, np.int64)])

    def refresh(self):
        """Pack the weights the other way again, after they changed."""
        size = self._index.size
        if size:
            back, values, index = map(device.address, (self.back, self.values, self._index))
            _compiled()[1][blocks_for(size), THREADS](back, values, index, size)

    def update(self, optimiser, number, rate):
        """One step with the gradient as it lies here; answers its norm, and changes nothing where that is not finite."""
        if getattr(optimiser, "one", None) is None:
            raise ConfigError(f"{type(optimiser).__name__} has no `one`, an update of one entry (streamrnn.training.optimisers): "
                              "device=\"cuda\" needs it")
        numbers = np.array([optimiser.bound, *optimiser.numbers(number, rate)], np.float32)
        if self._numbers is None:
            self._numbers = device.array(len(numbers))
        self._numbers.copy_to_device(numbers)
        chunks, moments = len(self._sums), [device.address(moment) for moment in self._moments]
        _compiled()[0][chunks, THREADS](device.address(self.gradient), self.size, self._sums)
        _compiled_update(optimiser.one, len(moments), len(numbers))[blocks_for(self.size), THREADS](
            device.address(self.values), device.address(self.gradient), moments[0], moments[-1], device.address(self._decays),
            self.size, chunks, self._numbers, optimiser.longest, self._sums, self._norm)
        self.refresh()
        return float(device.download(self._norm)[0])

    # -- between here and the host --------------------------------------------------------------------------------------

    def send(self, moments=()):
        """Values and moments of the host come here."""
        self.values.copy_to_device(self._moved(self.host.values, self._packed))
        self._moments = [device.upload(self._moved(moment, np.zeros(self.size, np.float32))) for moment in moments]
        self.refresh()

    def bring(self, moments=()):
        """And go back."""
        for arena, there in zip((self.host.values, *moments), (self.values, *self._moments), strict=False):
            arena[self._here] = device.download(there)[self._there]
        self.host.refresh()

    def gradients(self):
        """The gradient as an arena of the host."""
        arena = np.zeros(self.host.size, np.float32)
        arena[self._here] = device.download(self.gradient)[self._there]
        return arena


def _way_back(stage, row, start):
    """For hidden units and for inputs, if their gradient is wanted: places of the weights as [sweep][gate, unit][WIDE]."""
    per, units = tiles.units_of_a_thread(stage), row[frame.UNITS]
    quads, hiddens, inputs = tiles.quads(stage, units), row[frame.HIDDENS], row[frame.INPUTS]
    wide = tiles.width(quads)
    for first, size, gates in ((1, hiddens, stage.hidden_gates), (1 + hiddens, inputs if row[frame.DEEPER] else 0, stage.input_gates)):
        if not size * len(gates):
            continue
        k, g, u = np.arange(first, first + size)[:, None, None], np.array(gates)[:, None], np.arange(units)
        quad = u // per
        where = np.full((-(-size // WIDE) * WIDE, len(gates), padded(units)), -1, np.int64)
        where[:size, :, :units] = (start + (quad // wide * (1 + hiddens + inputs) + k) * 4 * wide
                                   + quad % wide * 4 + u % per * (4 // per) + g)
        assert where.size == back_size(size, len(gates) * padded(units))
        yield where.reshape(-1, WIDE, len(gates) * padded(units)).swapaxes(1, 2)
