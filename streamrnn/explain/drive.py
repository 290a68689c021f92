"""One sequence on training's tape, a piece at a time: forwards in the steps that serve, and back with their derivative.

Memory is that of a piece. Rows before each piece are kept, (pieces + 1, stride), so that on the way back a piece can be gone
through again. Every slot of the tape holds the same sequence; on the way back each may come from an output of its own.
"""
import numpy as np

from streamrnn.errors import ConfigError, InputError
from streamrnn.kernels import frame
from streamrnn.kernels.tile import STREAMS
from streamrnn.plan import padded
from streamrnn.streams.samples import batch
from streamrnn.training.tape import Tape
from streamrnn.training.weights import Weights

PIECE = 256


def checked(model):
    """The model, if every layer has a derivative: else which has none, and what to do instead."""
    from streamrnn.model.model import Model
    if not isinstance(model, Model):
        detector = hasattr(model, "sensors")
        instead = "a detector says it itself: verdict.blame, verdict.explain()" if detector else "load one with sr.load(path)"
        raise ConfigError(f"this explains a Model, got {type(model).__name__}: {instead}")
    plan, kinds = model.packed.plan, {name: type(layer).__name__ for name, layer, _ in model.stacks()}
    for layer, stage in zip(plan.stage_layers, plan.stages, strict=True):
        if stage.grad is None:
            instead = ("it is a part of a detector, whose score is told apart by sensors in verdict.blame (Detector.update, or "
                       "streamrnn detect --plot)" if plan.report else "give its stage one (docs/add-a-cell.md)")
            raise ConfigError(f"{layer} ({kinds[layer]}) has no derivative, and nothing of it is kept for one: {instead}")
    return model


def one_sequence(model, x):
    """x as (T, inputs), or what is wrong with it; values are refused by the run that follows."""
    array = batch(x, model.inputs)
    if np.ndim(x) != 2:
        raise InputError(f"one sequence at a time, (T, {model.inputs}): got shape {np.shape(x)}; take them one by one")
    if not array.shape[1]:
        raise InputError("a sequence without a step has nothing to explain: hand in one row or more")
    return array[0]


class Passage:
    """x (T, inputs), finite, through a model from a zero state."""

    def __init__(self, model, x, backwards=False):
        self.weights, self.x, self.inputs = Weights(model), x, model.inputs
        self.plan = self.weights.plan
        self.tape = Tape(self.weights, STREAMS, min(PIECE, len(x)), sample_gradients=backwards)
        for offset, size, _ in self.plan.masks:
            self.tape.work[1:, :, offset:offset + size] = 1
        self.starts = range(0, len(x), PIECE)
        self._rows = np.zeros((len(self.starts) + 1, self.plan.stride), np.float32)
        self._nowhere = np.zeros(self.weights.size, np.float32)  # the weights' gradient, which nobody wants

    def forwards(self):
        """Piece by piece: (rows of x, steps), with the tape as the piece leaves it."""
        for number in range(len(self.starts)):
            rows = self._through(number)
            steps = rows.stop - rows.start
            self._rows[number + 1] = self.tape.rows[steps, 0]
            yield rows, steps

    def backwards(self, columns, look):
        """From the last result's columns, one a slot, to the first step; `forwards` came before.

        look(t, tape, k) after each step back: t counts from the sequence's start, k in the tape. It ends early where nothing is left.
        """
        tape = self.tape
        for number in reversed(range(len(self.starts))):
            rows = self._through(number)
            steps = rows.stop - rows.start
            tape.d_results[:] = 0
            if rows.stop == len(self.x):
                tape.d_rows[:] = 0
                tape.d_results[steps - 1, range(len(columns)), columns] = 1
            elif not tape.d_rows.any():
                return
            else:
                tape.hand_back(steps)
            for k in range(steps - 1, -1, -1):
                tape.backwards(self._nowhere, k, k + 1)
                look(rows.start + k, tape, k)

    def _through(self, number):
        rows = slice(self.starts[number], min(self.starts[number] + PIECE, len(self.x)))
        tape, steps = self.tape, rows.stop - rows.start
        tape.samples[:steps, :, :self.inputs] = self.x[rows, None]
        tape.begin(np.tile(self._rows[number], (tape.slots, 1)), np.full(tape.slots, steps))
        tape.forwards(steps)
        return rows

    def state(self, segment, steps):
        """A vector of the row after each step of the piece, (steps, size)."""
        return self.tape.rows[1:steps + 1, 0, segment.offset:segment.offset + segment.size]

    def kept(self, number, steps):
        """What a gated stage keeps for its derivative: [(steps, units)]."""
        row, stage = self.stage_rows[number], self.plan.stages[number]
        first, units = self.plan.work_size + self.plan.stride + (row[frame.KEPT] >> 3), int(row[frame.UNITS])
        wide = padded(units)
        return [self.tape.records[1:steps + 1, 0, at:at + units] for at in range(first, first + stage.kept * wide, wide)]

    def stage_work(self, number, steps):
        """The work space from where a stage writes to its end, (steps, ...)."""
        return self.tape.work[1:steps + 1, 0, self.stage_rows[number][frame.BUFFERS] >> 3:]

    @property
    def stage_rows(self):
        return self.weights.program[frame.HEADER:].reshape(-1, frame.COLUMNS)
