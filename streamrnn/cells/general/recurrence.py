"""Recurrence: an LSTM, GRU or RNN with all that ONNX's operators and torch's projection can say, in one stage that stands apart.

Peepholes, clip, any activations, input_forget, both forms of the reset, a projected h, a first state other than zero.
What a step does, with the layout of its weights and state, is in recurrence_step.py, its derivative in recurrence_grad.py.
"""
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise, positive, uniform
from streamrnn.cells.general.functions import coded, function_of
from streamrnn.cells.general.recurrence_grad import ROOM, recurrence_grad
from streamrnn.cells.general.recurrence_step import CELLS, FUNCTIONS, HEADER, recurrence
from streamrnn.errors import ConfigError
from streamrnn.lanes import BLOCK

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
USUAL = {"rnn": ("tanh",), "lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh")}
"""How many gates each cell has, and which activations: of the gates, of the candidate, of an LSTM's output."""

STAGE = Rowwise(recurrence, recurrence_grad, apart=True)


@dataclass(frozen=True)
class Recurrence(Layer):
    """An LSTM, GRU or RNN beyond the usual; the usual ones are the layers LSTM, GRU and RNN, which are faster.

    cell         "lstm", "gru" or "rnn"
    activations  of the gates, of the candidate, of an LSTM's output: names, or (name, alpha, beta); None: the usual ones
    clip         bounds what goes into the gates' and the candidate's activations; None: no bound
    peepholes    an LSTM's gates see c; input_forget: its forget gate is 1 - input gate
    reset_after  a GRU's reset, see GRU
    projection   an LSTM's h is a product of this many values (torch's proj_size); None: no product
    starts       a fresh stream starts from the tensors start_h and start_c, not from zeros

    Tensors have torch.nn's names, shapes and gate orders; peephole_l0 (3 units,) is in the order i f o.
    """
    cell: str
    units: int
    activations: tuple | None = None
    clip: float | None = None
    peepholes: bool = False
    input_forget: bool = False
    reset_after: bool = True
    projection: int | None = None
    starts: bool = False
    kind: ClassVar[str] = "recurrence"

    def __post_init__(self):
        if self.cell not in GATES:
            raise ConfigError(f"Recurrence: cell must be one of {', '.join(GATES)}, got {self.cell!r}")
        positive(self, "units", *(["projection"] if self.projection is not None else []))
        usual = USUAL[self.cell]
        given = usual if self.activations is None else self.activations
        if not isinstance(given, (tuple, list)) or len(given) != len(usual):
            raise ConfigError(f"Recurrence: activations of a {self.cell} must be {len(usual)}, such as {usual}; got {given!r}")
        functions = tuple(function_of(one, f"Recurrence: activations[{n}]") for n, one in enumerate(given))
        object.__setattr__(self, "activations", functions)
        for name in ("peepholes", "input_forget", "reset_after", "starts"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"Recurrence: {name} must be True or False, got {getattr(self, name)!r}")
        if self.clip is not None:
            if isinstance(self.clip, bool) or not isinstance(self.clip, (int, float, np.floating)) or not 0 < self.clip < np.inf:
                raise ConfigError(f"Recurrence: clip must be a number above 0, or None, got {self.clip!r}")
            object.__setattr__(self, "clip", float(self.clip))
        for name in ("peepholes", "input_forget", "projection"):
            if getattr(self, name) and self.cell != "lstm":
                raise ConfigError(f"Recurrence: {name} belongs to an lstm, got cell={self.cell!r}")

    def __repr__(self):
        """What sets it apart from the usual cell, and no more."""
        told = {field.name: getattr(self, field.name) for field in fields(self)
                if field.default is MISSING or getattr(self, field.name) != field.default}
        told["activations"] = tuple((name, *(float(f"{n:.6g}") for n in numbers)) if any(numbers) else name
                                    for name, *numbers in self.activations)
        if told["activations"] == USUAL[self.cell]:
            del told["activations"]
        return f"Recurrence({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    def outputs(self, inputs):
        return self.projection or self.units

    def parameters(self, inputs):
        rows, out = GATES[self.cell] * self.units, self.outputs(inputs)
        shapes = {"weight_ih_l0": (rows, inputs), "weight_hh_l0": (rows, out), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
        if self.projection:
            shapes["weight_hr_l0"] = (out, self.units)
        if self.peepholes:
            shapes["peephole_l0"] = (3 * self.units,)
        if self.starts:
            shapes["start_h"] = (out,)
            if self.cell == "lstm":
                shapes["start_c"] = (self.units,)
        return shapes

    def initial(self, inputs, rng, scheme):
        return uniform(rng, self.units ** -0.5, self.parameters(inputs))

    def emit(self, plan, source, inputs):
        out = self.outputs(inputs)
        h = plan.state("h", out)
        if self.cell == "lstm":
            plan.state("c", self.units)
        if self.starts:
            plan.state("begun", 1)
        room = plan.work((ROOM if plan.training else 2) * -(-self.units // BLOCK) * BLOCK)
        plan.rowwise(STAGE, source, inputs, room, out, weights=self.packed, state=h)
        return h

    def packed(self, tensors):
        header = np.zeros(HEADER, np.float32)
        cell = self.cell if self.cell != "gru" else "gru_after" if self.reset_after else "gru_before"
        out, gates, units = self.projection or self.units, GATES[self.cell], self.units
        header[:FUNCTIONS] = (CELLS.index(cell), units, out, self.clip or 0, self.peepholes, self.input_forget, self.starts,
                              self.projection is not None)
        numbers = [number for one in self.activations for number in coded(one)]
        header[FUNCTIONS:FUNCTIONS + len(numbers)] = numbers
        inputs, hidden, b_i, b_h = (tensors[name].reshape(gates, units, *tensors[name].shape[1:])
                                    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
        bias = np.zeros((4, units), np.float32)
        bias[:gates] = b_i + b_h
        if cell == "gru_after":
            bias[2], bias[3] = b_i[2], b_h[2]
        zeros = lambda size: np.zeros(size, np.float32)
        parts = [tensors.get("start_h", zeros(out)), tensors.get("start_c", zeros(units)),
                 tensors.get("peephole_l0", zeros(3 * units)).reshape(3, units)]
        if self.projection:
            parts.append(tensors["weight_hr_l0"].T)
        parts += [bias, hidden.transpose(2, 0, 1), inputs.transpose(2, 0, 1)]
        return np.concatenate([header, *map(_wide, parts)])


def _wide(part):
    """The last axis padded to a multiple of 16 floats."""
    full = np.zeros((*part.shape[:-1], -(-part.shape[-1] // BLOCK) * BLOCK), np.float32)
    full[..., :part.shape[-1]] = part
    return full.ravel()


STAGES, LAYERS = (STAGE,), (Recurrence,)
