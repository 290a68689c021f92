"""The gradient of a batch: its sequences go forwards and back a shard at a time, on the tapes of some threads.

Shards and the bins that add up their gradients depend on the batch and the model alone, never on the number of threads: a
bin adds its shards in order, then the bins are added in order. So two runs are equal bit for bit at any thread count.
"""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from streamrnn import jit
from streamrnn.errors import ConfigError
from streamrnn.kernels import feed
from streamrnn.kernels.tile import GROUP, STREAMS
from streamrnn.plan import aligned, padded
from streamrnn.training.losses.base import Layout
from streamrnn.training.tape import Tape, record_size

SHARD = min(8, GROUP)       # sequences that share a tape: few enough that a usual window stays in the cache
FEW, MUCH = STREAMS, 1 << 22  # sequences below which, and bytes of a shard's tape beyond which, each is a chain where that can be
BINS = 16
MOST_IN_BINS = 1 << 24      # floats in all bins together
MOST_OF_TAPES = 1 << 32     # bytes: a window that takes more was hardly meant


@dataclass(frozen=True)
class Window:
    """Steps start .. start + time of these sequences; `fresh`: they begin here, else they go on from where they were."""
    chosen: np.ndarray
    start: int
    time: int
    fresh: bool


@dataclass(frozen=True)
class Shard:
    """Sequences of a window that share a tape: `slice` of the batch, each with its first row and how many it has there."""
    slice: slice
    firsts: np.ndarray
    counts: np.ndarray
    time: int                  # the longest
    since: int                 # the window's first step
    keys: np.ndarray | None    # of dropout's masks


def slots_of(count, chain):
    return count if chain else -(-count // STREAMS) * STREAMS


class Tapes:
    """The tapes of one thread, one for each number of slots that its shards need."""

    def __init__(self, weights, goals, time, chain):
        self._make = lambda slots: Tape(weights, slots, time, goals, chain=chain)
        self._made, self._chain = {}, chain

    def of(self, count):
        slots = slots_of(count, self._chain)
        if slots not in self._made:
            self._made[slots] = self._make(slots)
        return self._made[slots]


class OfWindows:
    """What passes know of their windows, wherever they run."""

    def __init__(self, weights, objective, sequences, seed):
        self.weights, self.objective, self.data, self.seed = weights, objective, sequences, seed

    @cached_property
    def _totals(self):
        """For each part, the sum of weights before each row: what a window counts is a difference of two."""
        return [np.concatenate([[0.0], np.cumsum(goal.weight[:, 0], dtype=np.float64)]) for goal in self.data.goals]

    def counted(self, window):
        """What the rows of a window count, for each part."""
        firsts, counts = self._rows(window)
        return [float((totals[firsts + counts] - totals[firsts]).sum()) for totals in self._totals]

    def _rows(self, window):
        """Of each sequence: its first row in this window, and how many it has there."""
        lengths, start = self.data.lengths[window.chosen], window.start
        return (self.data.firsts[window.chosen] + np.minimum(start, lengths),
                np.minimum(np.maximum(lengths - start, 0), window.time))

    def _keys(self, chosen, epoch):
        """What tells dropout's masks of a sequence in an epoch: the same however the batch is shared out."""
        key = (self.seed * 0xD1342543DE82EF95 + epoch * 0xAEF17502108EF2D9) % (1 << 64)
        return (np.uint64(key) + chosen.astype(np.uint64) * np.uint64(0x2545F4914F6CDD1D)).view(np.int64)


class Passes(OfWindows):
    """Forwards and back through windows of at most `time` steps; every `recompute` steps are kept, the others done twice."""

    def __init__(self, weights, objective, sequences, batch, time, threads, recompute=None, seed=0):
        for dispatcher in (feed.gather, feed.drop_masks):
            jit.ready(dispatcher)
        super().__init__(weights, objective, sequences, seed)
        self.piece = min(time, recompute or time)
        self.chain = weights.plan.chains and (batch < FEW or 4 * min(batch, SHARD) * self.piece * record_size(weights.plan) > MUCH)
        self.shard = 1 if self.chain else SHARD
        shards = -(-batch // self.shard)
        self.bins = max(1, min(BINS, shards, MOST_IN_BINS // max(1, weights.size)))
        self._gradients = aligned(self.bins * padded(weights.size)).reshape(self.bins, -1)[:, :weights.size]
        self.threads = min(threads, self.bins)
        goals = [goal.target.shape[1] for goal in sequences.goals]
        self._tapes = [Tapes(weights, goals, self.piece, self.chain) for _ in range(self.threads)]
        self._pool = ThreadPoolExecutor(self.threads - 1, "streamrnn") if self.threads > 1 else None
        self.states = np.zeros((batch, weights.plan.stride), np.float32)  # of the batch's sequences, between windows
        self._before = self.states.copy()                                 # before the last window

    def memory(self):
        """What training takes at its peak, in words; refused where it is out of all proportion."""
        plan, batch = self.weights.plan, len(self.states)
        most, rest = self.shard, len(self.data) % batch
        shards = {min(batch, most), min(rest, most), batch % most, rest % most}
        slots = sorted({slots_of(count, self.chain) for count in shards} - {0}, reverse=True)  # each kind has a tape of its own
        beside = padded(plan.inputs) + 2 * plan.outputs + sum(goal.target.shape[1] + 1 for goal in self.data.goals)
        tape = 4 * sum(slots) * ((self.piece + 1) * record_size(plan) + self.piece * beside)
        arenas = 4 * (self.weights.size * (self.bins + 5) + self.weights.back.size)
        data = self.data.samples.nbytes + sum(goal.target.nbytes + goal.weight.nbytes for goal in self.data.goals)
        if tape * self.threads > MOST_OF_TAPES:
            raise ConfigError(f"the tape of {self.piece:,} steps would take {tape * self.threads / 1e9:.1f} GB: give a window= of some "
                              "hundred steps (states are carried on), or recompute= to keep the window and pay with time")
        tapes = f"{self.threads} x {' + '.join(map(str, slots))} sequences x {self.piece} steps"
        return (f"memory: {tape * self.threads / 1e6:.1f} MB of tape ({tapes}), {arenas / 1e6:.1f} MB of weights, gradients and moments, "
                f"{data / 1e6:.1f} MB of data")

    def gradient(self, window, epoch=0):
        """(losses of each part, gradient arena) of a window; goes on from self.states and leaves them behind its end.

        The arena is None where nothing in the window counts: it is only gone through for the states.
        """
        if window.fresh:
            self.states[:] = 0
        self._before[:] = self.states
        divisors = self.objective.divisors(self.counted(window))
        back, shards = any(divisors), self._shards(window, epoch)
        bins = min(self.bins, len(shards))
        bounds = [round(i * len(shards) / bins) for i in range(bins + 1)]
        losses = np.zeros((bins, len(divisors)))

        def work(thread):
            for i in range(thread, bins, self.threads):
                self._gradients[i] = 0
                for shard in shards[bounds[i]:bounds[i + 1]]:
                    losses[i] += self._through(self._tapes[thread], shard, self._gradients[i] if back else None, divisors)

        others = [self._pool.submit(work, thread) for thread in range(1, min(self.threads, bins))]
        work(0)
        for other in others:
            other.result()
        total = self._gradients[0]
        with np.errstate(over="ignore", invalid="ignore"):  # the optimiser looks whether it is finite
            for i in range(1, bins):
                total += self._gradients[i]
        return losses.sum(0), total if back else None

    # -- weights, moments and states lie here ---------------------------------------------------------------------------

    def update(self, optimiser, number, rate, gradient, moments):
        """One step of the optimiser; answers the gradient's norm."""
        norm = optimiser.apply(number, rate, self.weights.values, gradient, moments, self.weights.learnt)
        self.weights.refresh()
        return norm

    def send(self, moments=()):
        """They were changed from outside."""
        self.weights.refresh()

    def bring(self, moments=()):
        """They are wanted outside."""

    # -- again ------------------------------------------------------------------------------------------------------------

    def start_again(self, states):
        """What `replay` starts from, where another went through the last window."""
        self._before[:len(states)] = states

    def replay(self, window, epoch):
        """Go through the last window again without gradients: (shard, tape, first step, steps) for what is on a tape at once."""
        for shard in self._shards(window, epoch):
            tape, states = self._tapes[0].of(len(shard.firsts)), self._before[shard.slice]
            for start in range(0, shard.time, self.piece):
                steps = min(self.piece, shard.time - start)
                self._forwards(tape, states, shard, start, steps)
                yield shard, tape, window.start + start, steps
                states = tape.rows[steps, :len(states)].copy()

    def _shards(self, window, epoch):
        firsts, counts = self._rows(window)
        keys = self._keys(window.chosen, epoch) if self.weights.plan.masks else None
        found = []
        for i in range(0, len(firsts), self.shard):
            part = slice(i, min(i + self.shard, len(firsts)))
            found.append(Shard(part, firsts[part], counts[part], int(counts[part].max()), window.start,
                               None if keys is None else keys[part]))
        return [shard for shard in found if shard.time] or found[:1]

    def _through(self, tapes, shard, gradient, divisors):
        """A shard's losses; its gradient is added to `gradient`, if any. A window of several pieces goes forwards twice."""
        tape, piece, count = tapes.of(len(shard.firsts)), self.piece, len(shard.firsts)
        starts = range(0, shard.time, piece)
        states = [self.states[shard.slice].copy()]
        for start in starts[:-1]:
            self._forwards(tape, states[-1], shard, start, piece)
            states.append(tape.rows[piece, :count].copy())
        losses = np.zeros(len(divisors))
        for start in reversed(starts):
            steps, last = min(piece, shard.time - start), start == starts[-1]
            here, there = self._forwards(tape, states.pop(), shard, start, steps)
            if last:
                self.states[shard.slice] = tape.rows[steps, :count]
            if gradient is None:
                break
            losses += self._losses(tape, here, there, steps, divisors)
            if last:
                tape.d_rows[:] = 0
            else:
                tape.hand_back(steps)
            tape.backwards(gradient, 0, steps)
        return losses

    def _forwards(self, tape, states, shard, start, steps):
        """Steps start .. start + steps of the window onto the tape; answers the rows' firsts and counts."""
        firsts, counts = shard.firsts, shard.counts
        if start or steps < shard.time:
            firsts, counts = firsts + np.minimum(start, counts), np.minimum(np.maximum(counts - start, 0), steps)
        feed.gather(self.data.samples, firsts, counts, tape.samples, steps)
        tape.begin(states, counts)
        for number, (offset, size, layer) in enumerate(self.weights.plan.masks):
            since = -1 if layer.variational else shard.since + start
            feed.drop_masks(tape.work[1:, :len(counts), offset:offset + size], shard.keys + number, since, steps, 1 - layer.rate)
        tape.forwards(steps)
        return firsts, counts

    def _losses(self, tape, firsts, counts, steps, divisors):
        rows, weights = steps * tape.slots, []
        for goal, target, weight, divisor in zip(self.data.goals, tape.targets, tape.counts, divisors, strict=True):
            feed.gather(goal.target, firsts, counts, target, steps)
            feed.gather(goal.weight, firsts, counts, weight, steps)
            weights.append(weight.reshape(-1)[:rows] * np.float32(divisor))
        results, d_results, *targets = (array.reshape(-1, array.shape[2])[:rows]
                                        for array in (tape.results, tape.d_results, *tape.targets))
        layout = Layout(np.arange(len(counts)), tape.slots, counts)  # a loss of whole sequences has them in one piece: fit sees to it
        return self.objective.add(results, d_results, targets, weights, layout)
