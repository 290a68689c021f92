"""The gradient of a batch on a GPU: all its sequences forwards and back at once, each way a launch. The same door as training.passes.

Samples lie on the device for the whole training; of a window only its sequences' rows go down, its results come up, and the
gradient of its losses, which are the host's, goes down again. Nothing here depends on the device but the blocks of a launch:
two runs are equal bit for bit.
"""
from functools import cache

import numpy as np

from streamrnn import jit
from streamrnn.cells.base import Gated
from streamrnn.cuda import device, tape
from streamrnn.cuda import tile as tiles
from streamrnn.cuda import weigh as weights_of
from streamrnn.cuda.backward import BACKWARDS, backwards, slots_of
from streamrnn.cuda.feed import DROP_MASKS, GATHER, drop_masks, gather
from streamrnn.cuda.program import kinds
from streamrnn.cuda.tile import THREADS, Tile
from streamrnn.cuda.unroll import FORWARDS, forwards
from streamrnn.cuda.weights import DeviceWeights, blocks_for
from streamrnn.errors import ConfigError
from streamrnn.kernels import feed, frame
from streamrnn.lanes import LANES
from streamrnn.plan import padded
from streamrnn.training.losses.base import Layout
from streamrnn.training.passes import OfWindows, Passes
from streamrnn.training.tape import record_size

MANY, FEW = Tile(16, keeps=True), Tile(4, keeps=True)
GROUPS = 2, 4              # of 4 slots that a block goes back through: few streams, many
MOST_BLOCKS = 512          # that go back
SMALL_SHARES = 1 << 28     # bytes of the teams' shares together; with more, a block has but one
MOST_OF_SHARES = 1 << 34


@cache
def compiled(stages, tile, groups):
    """(forwards, backwards, {gated stage: its weights' gradient}, add_up, gather, drop_masks) for plans of these stages."""
    return (device.compiled(forwards(stages, tile), FORWARDS, THREADS, 1 if tile is FEW else 2),
            device.compiled(backwards(stages, groups), BACKWARDS, THREADS, 1),
            {stage: device.compiled(weights_of.weigh(stage), weights_of.WEIGH, weights_of.WORKERS, 6)
             for stage in stages if isinstance(stage, Gated)},
            device.compiled(weights_of.add_up, weights_of.ADD_UP, weights_of.THREADS),
            device.compiled(gather, GATHER, THREADS), device.compiled(drop_masks, DROP_MASKS, THREADS))


class CudaPasses(OfWindows):
    """Forwards and back through windows of at most `time` steps of at most `batch` sequences."""

    def __init__(self, weights, objective, sequences, batch, time, threads, recompute=None, seed=0):
        device.require()
        if recompute is not None:
            raise ConfigError("recompute= saves the CPU's memory: a GPU keeps every step of a window. Leave it out, and give "
                              "a window= if the tape does not fit")
        jit.ready(feed.gather)
        super().__init__(weights, objective, sequences, seed)
        self._options = batch, time, threads
        self.states = np.zeros((batch, weights.plan.stride), np.float32)  # of the batch's sequences, when they were brought here
        self.device_weights = DeviceWeights(weights)
        self._choose_tiles(batch)
        self._lay_out_tape(batch, time)
        self._lay_out_sums(batch * time)
        goals = [goal.target.shape[1] for goal in sequences.goals]
        self._targets = [np.zeros(time * batch * k, np.float32) for k in goals]
        self._counts = [np.zeros(time * batch, np.float32) for _ in goals]
        self._host_results, self._host_d_results = (device.pinned(max(1, time * batch * weights.plan.outputs)) for _ in range(2))
        self._samples = device.upload(sequences.samples)
        self.send()

    def _choose_tiles(self, batch):
        plan = self.weights.plan
        gated = [(stage, row[frame.UNITS]) for stage, row in zip(plan.stages, plan.table(self.device_weights.starts)[1], strict=True)
                 if isinstance(stage, Gated)]
        together = {tile: [tiles.sub_tile(stage, units, tile) for stage, units in gated] for tile in (MANY, FEW)}
        whole = max(together[MANY], default=0)
        self._tile = MANY if gated and batch >= whole * device.multiprocessors() else FEW
        self._group = whole if self._tile is MANY else min(together[FEW], default=THREADS // LANES)  # few streams: more blocks
        groups = GROUPS[batch >= slots_of(GROUPS[1]) * device.multiprocessors()]
        self._back_blocks = min(-(-batch // slots_of(groups)), MOST_BLOCKS)
        self._teams = min(slots_of(groups), THREADS // LANES)
        if self.device_weights.share * self._back_blocks * self._teams * 4 > SMALL_SHARES:
            self._teams = 1
        shares = self.device_weights.share * self._back_blocks * self._teams * 4
        if shares > MOST_OF_SHARES:
            raise ConfigError(f"the gradients of tables and rowwise weights (Embedding, narrow Dense) would take {shares / 1e9:.1f} GB on "
                              "the GPU: take a smaller batch=, or device=\"cpu\"")
        (self._forwards, self._backwards, self._weigh, self._add_up, self._gather, self._drop_masks) = compiled(
            kinds(plan), self._tile, groups)

    def _lay_out_tape(self, batch, time):
        plan, there = self.weights.plan, self.device_weights
        record, sample, share = record_size(plan), padded(plan.inputs), there.share
        results = time * batch * plan.outputs
        sizes = {tape.RECORDS: (time + 1) * batch * record, tape.SAMPLES: time * batch * sample, tape.RESULTS: results,
                 tape.D_RESULTS: results, tape.D_STEP: batch * (sample + plan.work_size + 2 * plan.stride),
                 tape.SHARES: self._back_blocks * self._teams * share, tape.STATES: batch * plan.stride}
        self._bytes = 4 * sum(sizes.values())
        free = device.free_memory()
        if self._bytes > free:
            raise ConfigError(f"the tape of {time:,} steps of {batch:,} sequences would take {self._bytes / 1e9:.1f} GB, the GPU has "
                              f"{free / 1e9:.1f} GB free: give a window= of some hundred steps (states are carried on) or a smaller batch=")
        self._arrays = {place: device.array(max(1, size)) for place, size in sizes.items()}
        self._rows_here = device.upload(np.zeros((3, batch), np.int64))   # firsts, lengths, keys of dropout's masks
        self._program = device.upload(there.program)
        desk = np.zeros(tape.DESK, np.int64)
        for place, array in ((tape.PROGRAM, self._program), (tape.BACK, there.back), *self._arrays.items()):
            desk[place] = device.address(array)
        for number, place in enumerate((tape.FIRSTS, tape.LENGTHS, tape.KEYS)):
            desk[place] = device.address(self._rows_here) + number * batch * 8
        desk[[tape.RECORD, tape.SAMPLE, tape.SHARE, tape.TEAMS]] = record, sample, share, self._teams
        self._desk = device.upload(desk)

    def _lay_out_sums(self, rows):
        """Where the weights' gradients lie apart, and the table of what is added up to the gradient."""
        there, table = self.device_weights, []
        self._parts = {}
        lines = there.program[frame.HEADER:].reshape(-1, frame.COLUMNS)
        ends = [*there.starts[1:], there.size]
        for number, (stage, line, start, end) in enumerate(zip(self.weights.plan.stages, lines, there.starts, ends, strict=True)):
            size, target = end - start, device.address(there.gradient) + 4 * start
            if isinstance(stage, Gated):
                hiddens, inputs = line[frame.HIDDENS], line[frame.INPUTS]
                count = weights_of.tiles_of(stage, hiddens, inputs, padded(line[frame.UNITS]))
                slices = weights_of.slices_of(count, rows)
                quads = tiles.quads(stage, line[frame.UNITS])
                part = -(-quads // tiles.width(quads)) * tiles.width(quads) * 4 * (1 + hiddens + inputs)
                self._parts[number] = device.array(slices * part), count * slices, slices
                table.append((target, device.address(self._parts[number][0]), part, part, slices))
            elif size:
                shares = device.address(self._arrays[tape.SHARES]) + 4 * line[frame.BACK]
                table.append((target, shares, size, there.share, self._back_blocks * self._teams))
        table = np.array([(*line, -(-line[2] // weights_of.WIDE)) for line in table], np.int64).reshape(-1, weights_of.SUMMANDS)
        self._table, self._table_blocks = device.upload(table), int(table[:, weights_of.TAKES].sum())
        self._bytes += 4 * sum(parts.size for parts, _, _ in self._parts.values())

    def memory(self):
        """What training takes on the device, in words."""
        batch, time, _ = self._options
        arenas = 4 * (self.device_weights.size * 5 + self.device_weights.back.size)
        return (f"memory on {device.name()}: {self._bytes / 1e6:.1f} MB of tape ({batch} sequences x {time} steps), "
                f"{arenas / 1e6:.1f} MB of weights, gradients and moments, {self.data.samples.nbytes / 1e6:.1f} MB of data")

    # -- a window -------------------------------------------------------------------------------------------------------

    def gradient(self, window, epoch=0):
        """(losses of each part, gradient on the device) of a window; goes on from the states and leaves them behind its end.

        The gradient is None where nothing in the window counts: it is only gone through for the states.
        """
        divisors = self.objective.divisors(self.counted(window))
        firsts, counts = self._rows(window)
        slots, time = len(firsts), int(counts.max())
        if not time:
            return np.zeros(len(divisors)), None
        self._go_forwards(window, epoch, firsts, counts, slots, time)
        if not any(divisors):
            return np.zeros(len(divisors)), None
        losses = self._losses(firsts, counts, slots, time, divisors)
        self._go_back(slots, time)
        return losses, self.device_weights.gradient

    def _go_forwards(self, window, epoch, firsts, counts, slots, time):
        plan, desk = self.weights.plan, device.address(self._desk)
        rows = np.zeros(self._rows_here.shape, np.int64)
        rows[0, :slots], rows[1, :slots] = firsts, counts
        if plan.masks:
            rows[2, :slots] = self._keys(window.chosen, epoch)
        self._rows_here.copy_to_device(rows)
        blocks = blocks_for(slots * time * LANES)
        self._gather[blocks, THREADS](desk, device.address(self._samples), slots, time)
        for number, (offset, size, layer) in enumerate(plan.masks):
            keep = 1 - layer.rate
            self._drop_masks[blocks, THREADS](desk, offset, size, number, -1 if layer.variational else window.start, slots, time,
                                              int(keep * 4294967296.0), np.float32(1.0 / keep))
        self._forwards[-(-slots // self._group), THREADS](desk, slots, time, self._group, int(window.fresh))

    def _losses(self, firsts, counts, slots, time, divisors):
        rows, outputs, weights, targets = slots * time, self.weights.plan.outputs, [], []
        for goal, target, weight, divisor in zip(self.data.goals, self._targets, self._counts, divisors, strict=True):
            k = goal.target.shape[1]
            feed.gather(goal.target, firsts, counts, target[:rows * k].reshape(time, slots, k), time)
            feed.gather(goal.weight, firsts, counts, weight[:rows].reshape(time, slots, 1), time)
            targets.append(target[:rows * k].reshape(rows, k))
            weights.append(weight[:rows] * np.float32(divisor))
        results, d_results = self._host_results[:rows * outputs], self._host_d_results[:rows * outputs]
        self._arrays[tape.RESULTS][:rows * outputs].copy_to_host(results)
        losses = self.objective.add(results.reshape(rows, outputs), d_results.reshape(rows, outputs), targets, weights,
                                    Layout(np.arange(slots), slots, counts))
        self._arrays[tape.D_RESULTS][:rows * outputs].copy_to_device(d_results)
        return losses

    def _go_back(self, slots, time):
        desk = device.address(self._desk)
        self._backwards[self._back_blocks, THREADS](desk, slots, time)
        for number, (parts, blocks, slices) in self._parts.items():
            self._weigh[self.weights.plan.stages[number]][blocks, weights_of.WORKERS](
                desk, number, slots, slots * time, device.address(parts), slices)
        if self._table_blocks:
            self._add_up[self._table_blocks, weights_of.THREADS](device.address(self._table))

    # -- weights, moments and states --------------------------------------------------------------------------------------

    def update(self, optimiser, number, rate, gradient, moments):
        """One step of the optimiser, there; answers the gradient's norm."""
        return self.device_weights.update(optimiser, number, rate)

    def send(self, moments=()):
        """Weights, moments and states of the host go down."""
        self.device_weights.send(moments)
        if self.states.size:
            self._arrays[tape.STATES].copy_to_device(self.states.ravel())

    def bring(self, moments=()):
        """And come up again."""
        self.device_weights.bring(moments)
        if self.states.size:
            self.states[:] = device.download(self._arrays[tape.STATES]).reshape(self.states.shape)

    def replay(self, window, epoch):
        """The last window again, on the host: for a look at it (training.passes.Passes.replay)."""
        (batch, time, threads), plan, slots = self._options, self.weights.plan, len(window.chosen)
        passes = Passes(self.weights, self.objective, self.data, batch, time, threads, seed=self.seed)
        first = device.download(self._arrays[tape.RECORDS][:slots * record_size(plan)]).reshape(slots, -1)
        passes.start_again(first[:, plan.work_size:plan.work_size + plan.stride])
        yield from passes.replay(window, epoch)
