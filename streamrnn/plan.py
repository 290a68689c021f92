"""A model as a plan over flat memory: layers in, an integer program, an arena and the layout of a row out.

The program (kernels/frame.py) has one row per stage. The arena holds every stage's weights, packed for the tile; a
stream's row holds its state, a segment per vector. All offsets are in floats and multiples of 16 (64 bytes).
"""
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from streamrnn import jit
from streamrnn.cells import STAGES
from streamrnn.cells.base import NEW, OLD, SUMS, WORK, Gated, Place, Rowwise, X, Y
from streamrnn.cells.plumbing import COPY
from streamrnn.errors import ConfigError
from streamrnn.kernels import frame
from streamrnn.kernels.tile import needs_copy
from streamrnn.lanes import BLOCK, LANES


def padded(n):
    return -(-n // BLOCK) * BLOCK


def aligned(count):
    """Zeroed float32s that start on a cache line."""
    raw = np.zeros(count + BLOCK, np.float32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start:start + count]


@dataclass(frozen=True)
class Segment:
    """One named vector of a stream's row."""
    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Packed:
    """A plan with weights: the program points into the arena, both must live as long as it runs."""
    plan: "Plan"
    program: np.ndarray
    arena: np.ndarray
    tensors: dict | None = None


class Plan:
    """What `Layer.emit` writes to: segments of the row, work space, stages.

    A plan for `training` has the same rows and the same arena; dropout takes part in it.
    """

    def __init__(self, inputs, config=None, training=False):
        self.inputs, self.outputs, self.training = inputs, 0, training
        self.signature = blake2b(repr(config).encode(), digest_size=8).hexdigest()  # whose a row is, whatever the weights
        self.segments = []
        self.stride = self.work_size = self.kept_size = self.back_size = self.vocabulary = 0
        self.sensors, self.timed, self.report = (), False, 0  # of a detector: names, do samples bring a clock? sensors in a result
        self.memory = None    # its first part's state
        self.chains = True    # does no product wait for the step before? Then steps of one sequence share a tile in training
        self.masks = []       # of dropout: (offset in the work space, size, layer)
        self.layer = ""       # whose turn it is: names its segments and finds its tensors
        self.stages, self._rows, self._weights = [], [], []

    # -- what a layer asks for ------------------------------------------------------------------------------------------

    def state(self, name, size):
        """A vector that lives from step to step."""
        place = Place(NEW, self.stride)
        self.segments.append(Segment(f"{self.layer}.{name}", self.stride, size))
        self.stride += padded(size)
        return place

    def work(self, size):
        """A vector that lives within one step."""
        place = Place(WORK, self.work_size)
        self.work_size += padded(size)
        return place

    def tokens(self, vocabulary):
        self.vocabulary = vocabulary

    def memory_of_forecast(self, sensors):
        """Where a detector's first part looks for the last step's forecast: the second vector of its state."""
        return self.memory._replace(offset=self.memory.offset + padded(sensors))

    def gaps(self):
        """A sample may hold NaN: a missing reading."""
        self.vocabulary = frame.GAPS

    def masked(self, size, layer):
        """A work vector with as many factors behind it, which training hands in for each step."""
        place = self.work(padded(size) + size)
        self.masks.append((place.offset + padded(size), size, layer))
        return place

    def gated(self, stage, layer, source, inputs, hidden, reads, writes, weights, biased=True):
        """A stage of `layer.units` units; one that is not `biased` has biases of zero that training leaves alone."""
        units = layer.units
        self.chains &= hidden is None and all(place.space == WORK for place in [*reads, *writes])
        spare = -1
        if hidden in writes and needs_copy(stage, units) and not self.training:  # a tape keeps old rows apart from new ones
            spare = self.work(units).code
        before = lambda place: Place(OLD, place.offset) if place.space == NEW else place
        row = {frame.INPUTS: inputs, frame.UNITS: units, frame.SOURCE: source.code, frame.SPARE: spare,
               frame.KEPT: Place(SUMS, self.kept_size).code, frame.BACK: self.back_size, frame.DEEPER: int(source.space != X),
               frame.BIASED: int(biased)}
        self.kept_size += stage.sums * padded(units)
        for size, gates in ((units, stage.hidden_gates if hidden else ()), (inputs, stage.input_gates)):
            self.back_size += -(-size // LANES) * LANES * len(gates) * padded(units)
        if hidden is not None:
            row |= {frame.HIDDENS: units, frame.HIDDEN: before(hidden).code}
        row |= {frame.BUFFERS + i: place.code for i, place in enumerate([*map(before, reads), *writes])}
        self._stage(stage, row, weights)

    def rowwise(self, stage, source, inputs, target, units, weights=None, state=None):
        if stage.padded and source.space == X:
            copied = self.work(inputs)
            self.rowwise(COPY, source, inputs, copied, inputs)
            source = copied
        row = {frame.INPUTS: inputs, frame.UNITS: units, frame.SOURCE: source.code, frame.BUFFERS: target.code,
               frame.STATE: state.offset if state else 0}
        self._stage(stage, row, weights)

    # -- putting it together --------------------------------------------------------------------------------------------

    def _stage(self, stage, row, weights):
        self._rows.append({frame.KIND: STAGES.index(stage) if stage in STAGES else len(STAGES), **row})
        self.stages.append(stage)
        self._weights.append((self.layer, weights))

    def result(self, source, units, shared):
        """These values are the next ones of the model's output; `shared`: something else may read them too."""
        target = Place(Y, self.outputs)
        last, stage = (self._rows[-1], self.stages[-1]) if self._rows else (None, None)
        if not shared and isinstance(stage, Rowwise) and stage.exact and last[frame.BUFFERS] == source.code:
            last[frame.BUFFERS] = target.code  # it writes just its units: straight into the result
        else:
            self.rowwise(COPY, source, units, target, units)
        self.outputs += units

    @property
    def stage_layers(self):
        """The layer of each stage."""
        return [layer for layer, _ in self._weights]

    def fill(self, tensors, packer=None):
        """These tensors packed into an arena, and where each stage's weights start; packer(stage, gates) packs the gated ones."""
        parts, starts, size, packer = [], [], 0, packer or (lambda stage, gates: pack(gates))
        for stage, (layer, weights) in zip(self.stages, self._weights, strict=True):
            own = {name.removeprefix(layer + "."): t for name, t in tensors.items() if name.startswith(layer + ".")}
            part = weights(own) if weights else np.zeros(0, np.float32)
            part = packer(stage, part) if isinstance(stage, Gated) else part
            parts.append(part)
            starts.append(size)
            size += padded(part.size)
        arena = aligned(size)
        for start, part in zip(starts, parts, strict=True):
            arena[start:start + part.size] = part
        return arena, starts

    def table(self, starts):
        """The program as (header, a row for each stage): all but the address of the arena and those of code."""
        rows = np.zeros((len(self._rows), frame.COLUMNS), np.int64)
        for number, row in enumerate(self._rows):
            rows[number, list(row)] = list(row.values())
        rows[:, frame.WEIGHTS] = starts
        header = np.zeros(frame.HEADER, np.int64)
        header[[frame.STAGES, frame.INPUTS_OF_MODEL, frame.OUTPUTS_OF_MODEL, frame.STRIDE, frame.WORK_SIZE, frame.TOKENS]] = (
            len(self._rows), self.inputs, self.outputs, self.stride, self.work_size, self.vocabulary)
        return header, rows

    def assemble(self, tensors):
        """The plan with these tensors, ready to run."""
        arena, starts = self.fill(tensors)
        header, rows = self.table(starts)
        for number, stage in enumerate(self.stages):
            if getattr(stage, "apart", False):
                rows[number, frame.CODE] = jit.address_of_code(stage.step)
                rows[number, frame.CODE_BACK] = jit.address_of_code(stage.grad) if self.training and stage.grad else 0
        header[frame.ARENA] = arena.ctypes.data
        return Packed(self, np.concatenate([header, rows.ravel()]), arena, tensors)

    def way_back(self, starts, nowhere):
        """Where in the arena each weight of the arena packed the other way stands; `nowhere` for padding."""
        index = np.full(self.back_size, nowhere, np.int64)
        for stage, row, start in zip(self.stages, self._rows, starts, strict=True):
            if isinstance(stage, Gated):
                hiddens, inputs, units = row.get(frame.HIDDENS, 0), row[frame.INPUTS], row[frame.UNITS]
                per_hidden, per_input = len(stage.hidden_gates) if hiddens else 0, len(stage.input_gates)
                block = (stage.sums + hiddens * per_hidden + inputs * per_input) * LANES
                at = row[frame.BACK]
                for size, gates, before in ((hiddens, per_hidden, stage.sums), (inputs, per_input, stage.sums + hiddens * per_hidden)):
                    if not size * gates:
                        continue
                    k, g, u = np.arange(size), np.arange(gates), np.arange(units)
                    where = np.full((-(-size // LANES) * LANES, gates, padded(units)), nowhere, np.int64)  # source, gate, unit
                    where[:size, :, :units] = (start + (before + k[:, None, None] * gates + g[:, None]) * LANES
                                               + u // LANES * block + u % LANES)
                    blocks = where.reshape(-1, LANES, gates * padded(units)).swapaxes(1, 2)  # block of the source, sum, lane
                    index[at:at + blocks.size] = blocks.ravel()
                    at += blocks.size
        return index


def pack(gates):
    """Bias, hidden and input weights in the tile's order (kernels/tile.py), units padded with zeros."""
    bias, hidden, inputs = (np.moveaxis(np.asarray(part, np.float32), 1, -1) for part in gates)  # (gates, ..., units)
    rows = np.concatenate([bias, hidden.swapaxes(0, 1).reshape(-1, bias.shape[-1]), inputs.swapaxes(0, 1).reshape(-1, bias.shape[-1])])
    units = bias.shape[-1]
    full = np.zeros((len(rows), -(-units // LANES) * LANES), np.float32)
    full[:, :units] = rows
    return full.reshape(len(rows), -1, LANES).swapaxes(0, 1).ravel()


def build(inputs, named_layers, heads, config, training=False):
    """The plan of a trunk [(name, layer)] and of heads {name: [(name, layer)]} that read the trunk's output."""
    plan = Plan(inputs, config, training)

    def chain(layers, source, width):
        for plan.layer, layer in layers:
            source, width = layer.emit(plan, source, width), layer.outputs(width)
        return source, width

    source, width = chain(named_layers, Place(X, 0), inputs)
    slices = {}
    for name, layers in heads.items():
        end, size = chain(layers, source, width)
        shared = end == source and len(heads) > 1
        slices[name] = slice(plan.outputs, plan.outputs + size)
        plan.result(end, size, shared)
    if not plan.outputs:
        raise ConfigError("a model needs at least one output")
    return plan, slices
