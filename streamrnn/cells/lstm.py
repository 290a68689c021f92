"""LSTM: gates i f g o; the cell value c carries the memory, the output is h."""
from dataclasses import dataclass
from typing import ClassVar

from streamrnn.cells.base import Gated, Recurrent
from streamrnn.jit import inline
from streamrnn.lanes import fma
from streamrnn.maths import ONE, sigmoid, sigmoid_ratio, tanh, tanh_ratio, two_ratios


@inline
def unit(i, f, g, o, c):
    """c' = sigmoid(f) c + sigmoid(i) tanh(g),  h = sigmoid(o) tanh(c'): a product of two is divided once. Keeps the gates."""
    i, g, f = sigmoid_ratio(i), tanh_ratio(g), sigmoid(f)
    c = fma(f, c, i[0] * g[0] / (i[1] * g[1]))
    o, t = sigmoid_ratio(o), tanh_ratio(c)
    h = o[0] * t[0] / (o[1] * t[1])
    i, g = two_ratios(i, g)
    return c, h, i, f, g, o[0] / o[1]


@inline
def unit_grad(i, f, g, o, c, new_c, h, d_c, d_h):
    """With t = tanh(c'): do = dh t o(1-o), dc' += dh o (1-t^2), di = dc' g i(1-i), df = dc' c f(1-f), dg = dc' i (1-g^2)."""
    t = tanh(new_c)
    d_c = fma(d_h * o, ONE - t * t, d_c)
    return d_c * g * (i - i * i), d_c * c * (f - f * f), d_c * i * (ONE - g * g), d_h * t * (o - o * o), d_c * f


STAGE = Gated(unit, unit_grad, sums=4, input_gates=(0, 1, 2, 3), hidden_gates=(0, 1, 2, 3), reads=1, writes=2)


@dataclass(frozen=True)
class LSTM(Recurrent):
    """Long short-term memory, as torch.nn.LSTM computes it."""
    kind: ClassVar[str] = "lstm"
    gates: ClassVar[int] = 4
    remembers: ClassVar[int] = 1

    def emit(self, plan, source, inputs):
        h, c = plan.state("h", self.units), plan.state("c", self.units)
        plan.gated(STAGE, self, source, inputs, hidden=h, reads=[c], writes=[c, h], weights=self.weights)
        return h


STAGES, LAYERS = (STAGE,), (LSTM,)
