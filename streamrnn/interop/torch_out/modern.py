"""MinGRU, MinLSTM, LRU and Attention: torch.nn has none of them, or not with a state. Names are those of model.tensors."""
import torch
from torch import nn

from streamrnn.cells.lru import FASTEST, LONGEST
from streamrnn.interop.torch_out.streamed import Streamed
from streamrnn.maths import HIGHEST

linear, softplus = nn.functional.linear, nn.functional.softplus


class Modern(Streamed):
    def __init__(self, layer, width):
        super().__init__()
        self.outputs = layer.outputs(width)
        for name, shape in layer.parameters(width).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))


class MinGRU(Modern):
    """The state is h (B, units)."""

    def forward(self, x, state=None):
        h = x.new_zeros(len(x), self.outputs) if state is None else state
        y, (h,) = self.over_time(self.step, linear(x, self.weight, self.bias), [h])
        return y, h

    def step(self, sums, h):
        z, n = sums.chunk(2, -1)
        h = h + torch.sigmoid(z) * (n - h)
        return h, h


class MinLSTM(MinGRU):
    def step(self, sums, h):
        """The share of h is p / (p + q), p = 1 + exp(-i), q = 1 + exp(-f), by their logarithms: so gradients stay numbers too."""
        f, i, n = sums.chunk(3, -1)
        log = lambda gate: softplus((-gate).clamp(max=float(HIGHEST)))
        h = n + torch.sigmoid(log(i) - log(f)) * (h - n)
        return h, h


class LRU(Modern):
    """The state is its real and its imaginary part, each (B, states)."""

    def forward(self, x, state=None):
        zeros = x.new_zeros(len(x), len(self.nu_log))
        size = torch.exp(-torch.exp(self.nu_log)).clamp(max=float(LONGEST))
        angle = torch.exp(self.theta_log).clamp(max=float(FASTEST))
        a, b, gamma = size * torch.cos(angle), size * torch.sin(angle), torch.exp(self.gamma_log).repeat(2)

        def step(sums, re, im):
            x_re, x_im = sums.chunk(2, -1)
            re, im = a * re - b * im + x_re, a * im + b * re + x_im
            return torch.cat([re, im], -1), re, im

        sums = gamma * linear(x, torch.cat([self.B_re, self.B_im]))
        both, state = self.over_time(step, sums, state or (zeros, zeros))
        n = len(self.nu_log)
        return linear(both[..., :n], self.C_re) - linear(both[..., n:2 * n], self.C_im) + linear(x, self.D), state


class Attention(Modern):
    """The state is the keys and the values of the last window - 1 steps, or fewer in the beginning: each (B, steps, units)."""

    def __init__(self, layer, width):
        super().__init__(layer, width)
        self.window, self.heads = layer.window, layer.heads

    def forward(self, x, state=None):
        q, *new = linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        if state is not None:
            new = [torch.cat(both, 1) for both in zip(state, new, strict=True)]
        steps, there = x.shape[1], new[0].shape[1]
        missing = self.window - 1 - (there - steps)  # steps that the first window would still have before them
        heads = lambda value: value.unflatten(2, (self.heads, -1))
        windows = lambda kept: heads(nn.functional.pad(kept, (0, 0, missing, 0)).unfold(1, self.window, 1))
        keys, values = map(windows, new)  # (B, T, heads, size, window)
        scores = torch.einsum("bths,bthsw->bthw", heads(q), keys) * (self.outputs // self.heads) ** -0.5
        step, place = torch.arange(steps, device=x.device)[:, None], torch.arange(self.window, device=x.device)
        scores = scores.masked_fill((step + place < missing)[:, None], -torch.inf)
        seen = torch.einsum("bthw,bthsw->bths", scores.softmax(-1), values).flatten(2)
        return linear(seen, self.out_proj_weight, self.out_proj_bias), tuple(kept[:, max(0, there - self.window + 1):] for kept in new)


MAKE = {"mingru": MinGRU, "minlstm": MinLSTM, "lru": LRU, "attention": Attention}
