"""Who does what in a resident kernel: each gated stage's units cut into slices, a slice with its weights to a block.

The chain of a unit's sum is one thread's, so slices are cut as thin as the GPU has room for: a block waits for the same chain with
few sums as with many, but reads the weights of a few from shared memory in the shade of that chain (COLUMNS below). Stages get
blocks of their own where there are enough, so that a layer's hidden products run while the layers above are still at work.
Block 0 talks to the host and does the rowwise stages; it takes slices only where there are no other blocks.

What a block is handed, int64: [HEAD fields][a row of WIDTH for each stage it has to do with, in the plan's order]. A row is the
plan's (kernels/frame.py, the stage's number by kind), then the columns below. Places on the board are words (cuda/signals.py).
A slice's weights: [bias of each sum, padded to 4][hidden / 4][sum][4], then [inputs / 4][sum][4]; a sum is unit * sums + gate.
"""
from typing import NamedTuple

import numpy as np

from streamrnn.cells.base import NEW, OLD, Gated, X
from streamrnn.cuda.program import kinds
from streamrnn.errors import ConfigError
from streamrnn.kernels import frame
from streamrnn.plan import padded

# a block's head: its rows, its weights (where from, how many floats), how much of the sample it waits for, where things lie in
# shared memory, and where the rowwise stages' weights do (or FAR: the arena begins with them)
ROWS, WEIGHTS_FROM, WEIGHTS_COUNT, HEARS, X_AT, Y_AT, VECTOR_AT, WORK_AT, WEIGHTS_AT, ROWWISE_AT, HEAD = range(11)
# a stage's row, behind the plan's columns. On the board: its source (HERE: block 0 has it at its place; if SPREAD, block 0 tells
# the others), its hidden values. The slice: FIRST unit, COUNT units, weights in shared memory (FAR: read through L2, from
# FAR_AT of the arena on), its sums and the old values of its units in shared memory; TOLD: where each vector it writes goes, or HERE
SOURCE_AT, HIDDEN_AT, SPREAD, FIRST, COUNT, NEAR_AT, FAR_AT, SUMS_AT, OLD_AT, TOLD = range(frame.COLUMNS, frame.COLUMNS + 10)
WIDTH = TOLD + 6
HERE = FAR = -1
COLUMNS = (64, 32, 96, 128, 192, 256)  # sums of a block, the best first: at 64 the chains, not the reads, set the pace
SHARED = 232448                        # bytes of shared memory of a block, from compute capability 9 on


class Parts(NamedTuple):
    """The blocks' tables one after the other (`size` int64s each), all weights, floats of shared memory, words of the board."""
    tables: np.ndarray
    arena: np.ndarray
    blocks: int
    size: int
    shared: int
    board: int
    work_size: int
    far: dict      # layers some of whose weights are read through L2: how many bytes of them


def parts(plan, tensors, blocks, shared=SHARED):
    """The plan on at most `blocks` blocks with `shared` bytes each."""
    gates = []
    values, starts = plan.fill(tensors, lambda stage, own: gates.append(own) or np.zeros(0, np.float32))
    header, rows = plan.table(starts)
    table = np.full((len(rows), WIDTH), HERE, np.int64)
    table[:, :frame.COLUMNS] = rows
    numbers = {stage: number for number, stage in enumerate(kinds(plan))}
    table[:, frame.KIND] = [numbers[stage] for stage in plan.stages]
    table[:, SPREAD], table[:, COUNT] = 0, 0
    board = _link(plan, table)
    gates = dict(zip([n for n, stage in enumerate(plan.stages) if isinstance(stage, Gated)], gates, strict=True))
    best = None
    for slices in _cuts(plan, table, blocks):
        draft = _Draft(plan, header, table, gates, values, slices, shared // 4, board)
        if best is None or draft.far_floats < best.far_floats:
            best = draft
        if not best.far_floats:
            break
    return best.finished()


# -- the board ---------------------------------------------------------------------------------------------------------

def _link(plan, table):
    """Fill in where stages find on the board what others tell; answers how many words there are."""
    board = padded(plan.inputs)
    told = {}       # (stage, which of its vectors) -> place on the board

    def place_of(writer):
        nonlocal board
        if writer not in told:
            told[writer] = board
            board += padded(table[writer[0], frame.UNITS])
            table[writer[0], TOLD + writer[1]] = told[writer]
        return told[writer]

    for n, (stage, row) in enumerate(zip(plan.stages, table, strict=True)):
        writer = _writer(plan, table, n, row[frame.SOURCE], row[frame.INPUTS])
        if row[frame.SOURCE] & 7 == X:
            if row[frame.SOURCE] != X:
                raise ConfigError(f"{plan.stage_layers[n]} reads a part of the sample: a resident kernel reads it whole")
        elif writer:
            row[SOURCE_AT] = place_of(writer)
        elif _writer(plan, table, len(table), row[frame.SOURCE], row[frame.INPUTS]):
            raise ConfigError(f"{plan.stage_layers[n]} reads what a stage behind it gave at the step before: no resident kernel runs that")
        elif isinstance(stage, Gated):
            row[SOURCE_AT], row[SPREAD] = board, 1
            board += padded(row[frame.INPUTS])
        if isinstance(stage, Gated) and row[frame.HIDDENS]:
            old = row[frame.HIDDEN] & 7 == OLD
            writer = _writer(plan, table, len(table) if old else n, row[frame.HIDDEN] + (NEW - OLD if old else 0), row[frame.HIDDENS])
            if not writer:
                raise ConfigError(f"{plan.stage_layers[n]} has hidden values that no gated stage writes: no resident kernel runs that")
            row[HIDDEN_AT] = place_of(writer)
    return board


def _writer(plan, table, before, code, count):
    """(stage, which of its vectors) if a gated stage before this one was the last to write the vector at this place."""
    space, start = code & 7, code >> 3
    for n in range(before - 1, -1, -1):
        stage, row = plan.stages[n], table[n]
        first = stage.reads if isinstance(stage, Gated) else 0
        for i, place in enumerate(row[frame.BUFFERS + first:][:stage.writes if isinstance(stage, Gated) else 1]):
            if place == code:
                return (n, i) if isinstance(stage, Gated) else None
            if isinstance(stage, Gated) and place & 7 == space and start < (place >> 3) + row[frame.UNITS] and place >> 3 < start + count:
                raise ConfigError(f"a stage behind {plan.stage_layers[n]} reads a part of its values, or more: "
                                  "a resident kernel reads a vector whole")
    return None


# -- slices ------------------------------------------------------------------------------------------------------------

def _cuts(plan, table, blocks):
    """Ways to cut, the best first: for each block a list of (stage, first unit, units). The stages of a layer are cut alike."""
    layers = {}
    for n, stage in enumerate(plan.stages):
        if isinstance(stage, Gated):
            layers.setdefault((plan.stage_layers[n], table[n, frame.UNITS]), []).append(n)
    if not layers:
        yield [[]]
        return
    for columns in COLUMNS:
        slices = [[]]
        for (_, units), stages in layers.items():
            each = max(1, columns // max(plan.stages[n].sums for n in stages))
            slices += [[(n, first, min(each, units - first)) for n in stages] for first in range(0, units, each)]
        if len(slices) <= blocks:
            yield slices
    shared = [[] for _ in range(blocks)]
    for (_, units), stages in layers.items():
        bounds = [units * b // blocks for b in range(blocks + 1)]
        for b in range(blocks):
            if bounds[b] < bounds[b + 1]:
                shared[b] += [(n, bounds[b], bounds[b + 1] - bounds[b]) for n in stages]
    yield [sorted(own) for own in shared]


def _weights(gates, stage, first, count):
    """A slice's weights as its block wants them."""
    units = slice(first, first + count)
    columns = count * stage.sums
    bias = np.zeros(-(-columns // 4) * 4, np.float32)
    bias[:columns] = gates.bias.T[units].ravel()
    return np.concatenate([bias] + [_quads(part, fed, stage.sums, units) for part, fed in
                                    ((gates.hidden, stage.hidden_gates), (gates.inputs, stage.input_gates)) if part.shape[2]])


def _quads(part, fed, sums, units):
    """(gates, units, sources) -> [source / 4][unit, sum][4]"""
    part = part[:, units]
    rows = np.zeros((-(-part.shape[2] // 4) * 4, part.shape[1], sums), np.float32)
    rows[:part.shape[2], :, list(fed)] = part.transpose(2, 1, 0)
    return rows.reshape(len(rows) // 4, 4, -1).swapaxes(1, 2).ravel()


class _Draft:
    """Tables of blocks for one way to cut: what fits into `room` floats of shared memory lies there."""

    def __init__(self, plan, header, table, gates, rowwise, slices, room, board):
        self.plan, self.board, self.slices = plan, board, slices
        self.size = HEAD + (-(-WIDTH * len(table) // 2) * 2)
        self.tables = np.zeros((len(slices), self.size), np.int64)
        self.arena, self.arena_size = [rowwise], len(rowwise)
        self.work_size, self.shared, self.far_floats, self.far = int(header[frame.WORK_SIZE]), 0, 0, {}
        for b, own in enumerate(slices):
            self._block(b, table, {n: (first, count) for n, first, count in own}, gates, room)

    def _block(self, b, table, own, gates, room):
        plan, block = self.plan, self.tables[b]
        mine = [n for n in range(len(table)) if n in own or (b == 0 and (not isinstance(plan.stages[n], Gated) or table[n, SPREAD]))]
        rows = table[mine]
        at = 2 * self.size
        longest = max([1, *(max(table[n, frame.INPUTS], table[n, frame.HIDDENS]) for n in mine)])
        for field, count in ((X_AT, plan.inputs), (Y_AT, plan.outputs), (VECTOR_AT, longest)):
            block[field], at = at, at + padded(int(count))
        for n, row in zip(mine, rows, strict=True):
            if n in own:
                row[FIRST], row[COUNT] = own[n]
                row[SUMS_AT], row[OLD_AT] = at, at + padded(row[COUNT] * plan.stages[n].sums)
                at = row[OLD_AT] + padded(row[COUNT] * plan.stages[n].reads)
        block[WORK_AT] = at if at + self.work_size <= room // 2 else FAR
        at += self.work_size if block[WORK_AT] != FAR else 0
        if at > room:
            raise ConfigError(f"a resident kernel keeps sample, result and sums of a step in shared memory: this model needs {4 * at:,} "
                              f"bytes a block, there are {4 * room:,}. A launch for each sample runs it: "
                              "model.stream(device=\"cuda\", resident=False)")
        block[ROWS], block[WEIGHTS_AT], block[WEIGHTS_FROM], block[ROWWISE_AT] = len(mine), at, self.arena_size, FAR
        if b == 0 and at + self.arena_size <= room // 2:
            block[WEIGHTS_FROM], block[ROWWISE_AT], at = 0, at, at + self.arena_size
        near, far = [], []
        for n, row in zip(mine, rows, strict=True):
            if n in own:
                weights = _weights(gates[n], plan.stages[n], *own[n])
                if at + weights.size <= room:
                    row[NEAR_AT], at = at, at + weights.size
                    near.append(weights)
                else:
                    far.append((row, weights))
                    layer = plan.stage_layers[n]
                    self.far[layer] = self.far.get(layer, 0) + weights.nbytes
        for weights in near:
            self._keep(weights)
        block[WEIGHTS_COUNT] = self.arena_size - block[WEIGHTS_FROM]
        for row, weights in far:
            row[FAR_AT] = self.arena_size
            self._keep(weights)
            self.far_floats += weights.size
        reads_x = b == 0 or any(row[frame.SOURCE] & 7 == X for row in rows)
        block[HEARS] = plan.inputs if reads_x else 1
        block[HEAD:HEAD + rows.size] = rows.ravel()
        self.shared = max(self.shared, int(at))

    def _keep(self, weights):
        self.arena.append(weights)
        self.arena_size += weights.size

    def finished(self):
        acknowledged = self.board
        return Parts(self.tables.ravel(), np.concatenate(self.arena), len(self.slices), self.size, self.shared,
                     acknowledged + len(self.slices), self.work_size, self.far)
