"""The gradient of a batch: its sequences go forwards and back a shard at a time, on the tapes of some threads.

Shards and the bins that add up their gradients depend on the batch and the model alone, never on the number of threads: a
bin adds its shards in order, then the bins are added in order. So two runs are equal bit for bit at any thread count.
"""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from streamrnn import jit
from streamrnn.kernels import feed
from streamrnn.kernels.tile import GROUP, STREAMS
from streamrnn.plan import aligned, padded
from streamrnn.training.tape import Tape, record_size

SHARD = min(8, GROUP)       # sequences that share a tape: few enough that a usual window stays in the cache
BINS = 16
MOST_IN_BINS = 1 << 24      # floats in all bins together


@dataclass(frozen=True)
class Window:
    """Steps start .. start + time of these sequences; `fresh`: they begin here, else they go on from where they were."""
    chosen: np.ndarray
    start: int
    time: int
    fresh: bool


class Bench:
    """What one thread works with: a tape for each number of slots, and what is laid beside it."""

    def __init__(self, weights, objective, time):
        self.weights, self.objective, self.time, self._tapes = weights, objective, time, {}

    def tape(self, count):
        slots = -(-count // STREAMS) * STREAMS
        if slots not in self._tapes:
            self._tapes[slots] = Tape(self.weights, slots, self.time)
        return self._tapes[slots]

    def laid(self, rows, firsts, counts, time, slots):
        """rows (n, k) of each sequence as [time][slot][k]."""
        out = np.empty((time, slots, rows.shape[1]), np.float32)
        feed.gather(rows, firsts, counts, out, time)
        return out


class Passes:
    """Forwards and back through windows of at most `time` steps; every `recompute` steps are kept, the others done twice."""

    def __init__(self, weights, objective, sequences, batch, time, threads, recompute=None, seed=0):
        for dispatcher in (feed.gather, feed.drop_masks):
            jit.ready(dispatcher)
        self.weights, self.objective, self.data, self.seed = weights, objective, sequences, seed
        self.piece = min(time, recompute or time)
        shards = -(-batch // SHARD)
        self.bins = max(1, min(BINS, shards, MOST_IN_BINS // max(1, weights.size)))
        self._gradients = aligned(self.bins * padded(weights.size)).reshape(self.bins, -1)[:, :weights.size]
        self.threads = min(threads, self.bins)
        self._benches = [Bench(weights, objective, self.piece) for _ in range(self.threads)]
        self._pool = ThreadPoolExecutor(self.threads - 1, "streamrnn") if self.threads > 1 else None
        self.states = np.zeros((batch, weights.plan.stride), np.float32)  # of the batch's sequences, between windows

    def memory(self):
        """What training takes at its peak, in words."""
        plan, slots = self.weights.plan, min(SHARD, -(-len(self.states) // STREAMS) * STREAMS)
        tape = 4 * slots * ((self.piece + 1) * record_size(plan) + self.piece * (padded(plan.inputs) + 2 * plan.outputs))
        arenas = 4 * (self.weights.size * (self.bins + 5) + self.weights.back.size)
        data = self.data.samples.nbytes + sum(goal.target.nbytes + goal.weight.nbytes for goal in self.data.goals)
        return (f"memory: {tape * self.threads / 1e6:.1f} MB of tape ({self.threads} x {slots} sequences x {self.piece} steps), "
                f"{arenas / 1e6:.1f} MB of weights, gradients and moments, {data / 1e6:.1f} MB of data")

    @cached_property
    def _totals(self):
        """For each part, the sum of weights before each row: what a window counts is a difference of two."""
        return [np.concatenate([[0.0], np.cumsum(goal.weight[:, 0], dtype=np.float64)]) for goal in self.data.goals]

    def counted(self, window):
        """What the rows of a window count, for each part."""
        firsts, counts = self._rows(window)
        return [float((totals[firsts + counts] - totals[firsts]).sum()) for totals in self._totals]

    def _rows(self, window):
        lengths = self.data.lengths[window.chosen] - window.start
        counts = np.clip(lengths, 0, window.time)
        return self.data.firsts[window.chosen] + np.minimum(window.start, self.data.lengths[window.chosen]), counts

    def gradient(self, window, epoch=0):
        """(losses of each part, gradient arena) of a window; goes on from self.states and leaves them behind its end.

        The arena is None where nothing in the window counts: it is only gone through for the states.
        """
        if window.fresh:
            self.states[:] = 0
        firsts, counts = self._rows(window)
        divisors = self.objective.divisors(self.counted(window))
        back = any(divisors)
        shards = [slice(i, min(i + SHARD, len(firsts))) for i in range(0, len(firsts), SHARD)]
        bins = min(self.bins, len(shards))
        bounds = [round(i * len(shards) / bins) for i in range(bins + 1)]
        losses = np.zeros((bins, len(divisors)))

        def work(thread):
            for i in range(thread, bins, self.threads):
                self._gradients[i] = 0
                for shard in shards[bounds[i]:bounds[i + 1]]:
                    losses[i] += self._shard(self._benches[thread], self._gradients[i] if back else None, window, shard,
                                             firsts[shard], counts[shard], divisors, epoch)

        others = [self._pool.submit(work, thread) for thread in range(1, min(self.threads, bins))]
        work(0)
        for other in others:
            other.result()
        total = self._gradients[0]
        for i in range(1, bins):
            total += self._gradients[i]
        return losses.sum(0), total if back else None

    def replay(self, window, epoch):
        """Go through a window again without gradients, a shard at a time: (sequences, tape, steps, the first sequence) of each."""
        if window.fresh:
            self.states[:] = 0
        firsts, counts = self._rows(window)
        for first in range(0, len(firsts), SHARD):
            shard = slice(first, first + SHARD)
            steps = min(self.piece, int(counts[shard].max()))
            tape = self._benches[0].tape(len(firsts[shard]))
            self._forwards(tape, self.states[shard], firsts[shard], counts[shard], window, 0, steps,
                           self._keys(window.chosen[shard], epoch))
            yield len(firsts[shard]), tape, steps, first

    def _shard(self, bench, gradient, window, shard, firsts, counts, divisors, epoch):
        """A shard's losses; its gradient is added to `gradient`, if any. A window of several pieces goes forwards twice."""
        time = int(counts.max())
        if time == 0:
            return 0.0
        tape, piece = bench.tape(len(firsts)), self.piece
        keys = self._keys(window.chosen[shard], epoch)
        starts = list(range(0, time, piece))
        states = [self.states[shard].copy()]
        for start in starts[:-1]:
            self._forwards(tape, states[-1], firsts, counts, window, start, piece, keys)
            states.append(tape.rows[piece, :len(firsts)].copy())
        losses = np.zeros(len(divisors))
        tape.d_rows[:] = 0
        for start in reversed(starts):
            steps = min(piece, time - start)
            here, there = self._forwards(tape, states.pop(), firsts, counts, window, start, steps, keys)
            if start == starts[-1]:
                self.states[shard] = tape.rows[steps, :len(firsts)]
            if gradient is None:
                break
            losses += self._losses(bench, tape, here, there, steps, divisors)
            if start != starts[-1]:
                tape.hand_back(steps)
            tape.backwards(gradient, 0, steps)
        return losses

    def _forwards(self, tape, states, firsts, counts, window, start, steps, keys):
        """Steps start .. start + steps of the window onto the tape; answers the rows' firsts and counts."""
        here, there = firsts + np.minimum(start, counts), np.clip(counts - start, 0, steps)
        feed.gather(self.data.samples, here, there, tape.samples, steps)
        tape.lengths[:] = 0
        tape.lengths[:len(there)] = there
        tape.rows[0] = 0
        tape.rows[0, :len(states)] = states
        for number, (offset, size, layer) in enumerate(self.weights.plan.masks):
            since = -1 if layer.variational else window.start + start
            feed.drop_masks(tape.work[1:, :len(keys), offset:offset + size], keys + number, since, steps, 1 - layer.rate)
        tape.forwards(steps)
        return here, there

    def _losses(self, bench, tape, firsts, counts, steps, divisors):
        rows = steps * tape.slots
        targets, weights = [], []
        for goal, divisor in zip(self.data.goals, divisors, strict=True):
            targets.append(bench.laid(goal.target, firsts, counts, steps, tape.slots).reshape(rows, -1))
            weight = bench.laid(goal.weight, firsts, counts, steps, tape.slots).reshape(rows)
            weight *= np.float32(divisor)
            weights.append(weight)
        results, d_results = (array[:steps].reshape(rows, -1) for array in (tape.results, tape.d_results))
        return self.objective.add(results, d_results, targets, weights)

    def _keys(self, chosen, epoch):
        """What tells dropout's masks of a sequence in an epoch: the same however the batch is shared out."""
        key = (self.seed * 0xD1342543DE82EF95 + epoch * 0xAEF17502108EF2D9) % (1 << 64)
        return (np.uint64(key) + chosen.astype(np.uint64) * np.uint64(0x2545F4914F6CDD1D)).view(np.int64)
