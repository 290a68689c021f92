"""RNN, LSTM, GRU and Recurrence: torch.nn's modules where they say it all, else a loop over time. Names as torch.nn's."""
from dataclasses import replace

import torch
from torch import nn

from streamrnn.cells.general.recurrence import Recurrence
from streamrnn.interop.recurrent import plain
from streamrnn.interop.torch_out.plain import FUNCTIONS
from streamrnn.interop.torch_out.streamed import Streamed


class General(Streamed):
    """A Recurrence with all its options, and the GRU that resets before the product. Gates i f g o, or r z n."""

    def __init__(self, layer, width):
        super().__init__()
        self.layer, self.outputs = layer, layer.outputs(width)
        for name, shape in layer.parameters(width).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def forward(self, x, state=None):
        lstm = self.layer.cell == "lstm"
        if state is None:
            begin = lambda name, size: getattr(self, name).expand(len(x), size) if self.layer.starts else x.new_zeros(len(x), size)
            state = [begin("start_h", self.outputs), *([begin("start_c", self.layer.units)] if lstm else [])]
        else:
            state = [part[0] for part in (state if lstm else (state,))]
        sums = nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0)
        y, state = self.over_time(getattr(self, self.layer.cell), sums, state)
        state = tuple(part[None] for part in state)
        return y, state if lstm else state[0]

    def function(self, which, x):
        """The layer's first, second or third activation."""
        name, alpha, beta = self.layer.activations[which]
        return FUNCTIONS[name](x, alpha, beta)

    def clipped(self, x):
        return x.clamp(-self.layer.clip, self.layer.clip) if self.layer.clip else x

    def hidden(self, h, gates=slice(None)):
        return nn.functional.linear(h, self.weight_hh_l0[gates], self.bias_hh_l0[gates])

    def rnn(self, sums, h):
        h = self.function(0, self.clipped(sums + self.hidden(h)))
        return h, h

    def gru(self, sums, h):
        both, last = slice(2 * self.layer.units), slice(2 * self.layer.units, None)
        r, z = self.function(0, self.clipped(sums[:, both] + self.hidden(h, both))).chunk(2, -1)
        seen = r * self.hidden(h, last) if self.layer.reset_after else self.hidden(r * h, last)
        n = self.function(1, self.clipped(sums[:, last] + seen))
        h = n + z * (h - n)
        return h, h

    def lstm(self, sums, h, c):
        i, f, g, o = (sums + self.hidden(h)).chunk(4, -1)
        peep = self.peephole_l0.chunk(3) if self.layer.peepholes else (0, 0, 0)
        i = self.function(0, self.clipped(i + peep[0] * c))
        f = 1 - i if self.layer.input_forget else self.function(0, self.clipped(f + peep[1] * c))
        c = f * c + i * self.function(1, self.clipped(g))
        h = self.function(0, self.clipped(o + peep[2] * c)) * self.function(2, c)
        if self.layer.projection:
            h = nn.functional.linear(h, self.weight_hr_l0)
        return h, h, c


def gru(layer, width):
    if layer.reset_after:
        return nn.GRU(width, layer.units, batch_first=True)
    return General(Recurrence("gru", layer.units, reset_after=False), width)


def recurrence(layer, width):
    """torch.nn's, if that is all."""
    if usual := plain(layer):
        return MAKE[usual.kind](usual, width)
    if (layer.projection or layer.units) < layer.units and plain(replace(layer, projection=None)):  # torch projects to fewer
        return nn.LSTM(width, layer.units, batch_first=True, proj_size=layer.projection)
    return General(layer, width)


MAKE = {
    "rnn": lambda layer, width: nn.RNN(width, layer.units, nonlinearity=layer.activation, batch_first=True),
    "lstm": lambda layer, width: nn.LSTM(width, layer.units, batch_first=True),
    "gru": gru,
    "recurrence": recurrence,
}
