"""A plan on the GPU: its program and weights there, and the kernels that run plans of its kinds of stages."""
from functools import cache

import numpy as np

from streamrnn.cells.base import NEW, OLD, WORK, Gated, Place
from streamrnn.cuda import device
from streamrnn.cuda import tile as tiles
from streamrnn.cuda.step import STEPS, kernel
from streamrnn.kernels import frame
from streamrnn.plan import padded

ROWWISE_GROUP = 64  # streams of a block where no stage is gated
BLOCKS = 2          # of a multiprocessor


def kinds(plan):
    """The stages of a plan, each once: what a kernel is compiled for."""
    return tuple(dict.fromkeys(plan.stages))


@cache
def compiled_steps(stages, tile):
    return device.compiled(kernel(stages, tile), STEPS, tiles.THREADS, BLOCKS)


def group(plan, tile):
    """How many streams a block takes at once."""
    sizes = [tiles.sub_tile(stage, row[frame.UNITS], tile)
             for stage, row in zip(plan.stages, plan.table(0)[1], strict=True) if isinstance(stage, Gated)]
    return max(sizes, default=ROWWISE_GROUP)


def laid_out(plan, starts):
    """(header, rows) of the program as kernels on a GPU read it: stages numbered by kind, room for old values where sweeps need it."""
    header, rows = plan.table(starts)
    numbers, spare = {stage: number for number, stage in enumerate(kinds(plan))}, 0
    rows[:, frame.KIND] = [numbers[stage] for stage in plan.stages]
    rows[:, frame.SPARE] = -1
    for stage, row in zip(plan.stages, rows, strict=True):
        if isinstance(stage, Gated) and row[frame.HIDDENS]:
            writes = row[frame.BUFFERS + stage.reads:][:stage.writes]
            count = tiles.quads(stage, row[frame.UNITS])
            if row[frame.HIDDEN] & 7 == OLD and row[frame.HIDDEN] - OLD + NEW in writes and count > tiles.width(count):
                row[frame.SPARE] = Place(WORK, plan.work_size).code
                spare = max(spare, padded(row[frame.HIDDENS]))
    header[frame.WORK_SIZE] += spare
    return header, rows


class DeviceProgram:
    """Program and weights of a plan with these tensors; they live as long as this does."""

    def __init__(self, plan, tensors):
        self.plan = plan
        values, starts = plan.fill(tensors, tiles.pack)
        self.arena = device.upload(values)
        header, rows = laid_out(plan, starts)
        header[frame.ARENA] = device.address(self.arena)
        self.work_size = int(header[frame.WORK_SIZE])
        self.program = device.upload(np.concatenate([header, rows.ravel()]))
        self.address = device.address(self.program)
        self.groups = {tile: group(plan, tile) for tile in (tiles.MANY, tiles.FEW)}

    def tile_for(self, count):
        """Large tiles, unless they would leave multiprocessors without work."""
        return tiles.MANY if count >= self.groups[tiles.MANY] * device.multiprocessors() else tiles.FEW
