"""Modules that keep a state: forward(x (B, T, inputs), state or None) -> (y (B, T, outputs), new state), as torch.nn.LSTM's."""
import torch
from torch import nn


class Streamed(nn.Module):
    def over_time(self, step, sums, state):
        """step(sums of one step, *state) -> (y, *new state), for each step of sums (B, T, any)."""
        out = []
        for t in range(sums.shape[1]):
            y, *state = step(sums[:, t], *state)
            out.append(y)
        return torch.stack(out, 1) if out else sums.new_zeros(len(sums), 0, self.outputs), tuple(state)


def run(module, x, state=None):
    """(y, new state, or None where it keeps none)"""
    return module(x, state) if isinstance(module, (Streamed, nn.RNNBase)) else (module(x), None)
