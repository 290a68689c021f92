"""Where a loss stopped being finite: the layer, the step in time and the sequence, for the message that ends the training."""
import numpy as np

from streamrnn.cells.base import NEW, WORK, Gated, Y
from streamrnn.kernels import frame


def culprit(weights, passes, window, epoch):
    """In words: whose values are the first that are not finite in the last window, or at least which weights are the largest."""
    tensors = weights.tensors()
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            return f"the weights {name} are not finite"
    for shard, tape, start, steps in passes.replay(window, epoch):
        place = _first_wrong(weights.plan, weights.program, tape, steps, len(shard.firsts))
        if place:
            layer, t, slot = place
            return (f"the values of {layer} are the first that are not finite, at time step {start + t} of sequence "
                    f"{window.chosen[shard.slice][slot]}")
    largest = max(tensors, key=lambda name: np.abs(tensors[name]).max())
    return f"all values are finite, the largest weights are {largest}, up to {np.abs(tensors[largest]).max():.3g}"


def _first_wrong(plan, program, tape, steps, count):
    rows = program[frame.HEADER:].reshape(-1, frame.COLUMNS)
    for t in range(steps):
        for row, layer, stage in zip(rows, plan.stage_layers, plan.stages, strict=True):
            first, targets = (stage.reads, stage.writes) if isinstance(stage, Gated) else (0, 1)
            for code in row[frame.BUFFERS + first:frame.BUFFERS + first + targets]:
                values = {WORK: tape.work[t + 1], NEW: tape.rows[t + 1], Y: tape.results[t]}[code & 7]
                wrong = ~np.isfinite(values[:count, (code >> 3):(code >> 3) + row[frame.UNITS]]).all(1)
                if wrong.any():
                    return layer or "the sample", t, int(np.flatnonzero(wrong)[0])
    return None
