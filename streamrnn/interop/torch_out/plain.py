"""Layers without a state as modules, with the names of model.tensors."""
import torch
from torch import nn

FUNCTIONS = {
    "sigmoid": lambda x, a, b: torch.sigmoid(x),
    "tanh": lambda x, a, b: torch.tanh(x),
    "relu": lambda x, a, b: torch.relu(x),
    "affine": lambda x, a, b: a * x + b,
    "leaky_relu": lambda x, a, b: nn.functional.leaky_relu(x, a),
    "thresholded_relu": lambda x, a, b: torch.where(a > x, 0.0, x),
    "scaled_tanh": lambda x, a, b: a * torch.tanh(b * x),
    "hard_sigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
    "elu": lambda x, a, b: nn.functional.elu(x, a),
    "softsign": lambda x, a, b: nn.functional.softsign(x),
    "softplus": lambda x, a, b: nn.functional.softplus(x),
    "softmax": lambda x, a, b: x.softmax(-1),
}
"""cells/general/functions.py: of a value, alpha and beta."""


class Function(nn.Module):
    def __init__(self, name, alpha, beta):
        super().__init__()
        self.name, self.alpha, self.beta = name, alpha, beta

    def forward(self, x):
        return FUNCTIONS[self.name](x, self.alpha, self.beta)


class Dense(nn.Linear):
    def __init__(self, inputs, units, activation):
        super().__init__(inputs, units)
        self.activation = {None: nn.Identity(), "relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(),
                           "softmax": nn.Softmax(-1)}[activation]

    def forward(self, x):
        return self.activation(super().forward(x))


class Tokens(nn.Embedding):
    """Several tokens a sample: their rows, one after the other."""

    def forward(self, x):
        return super().forward(x.long()).flatten(-2)


class Scaler(nn.Module):
    def __init__(self, width, back):
        super().__init__()
        self.back = back
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("factor", torch.ones(width))

    def forward(self, x):
        return x * self.factor + self.shift if self.back else (x - self.shift) * self.factor


class Variational(nn.Module):
    """Dropout with one mask for a whole sequence."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return x * nn.functional.dropout(torch.ones_like(x[:, :1]), self.rate, self.training)


MAKE = {
    "dense": lambda layer, width: Dense(width, layer.units, layer.activation),
    "activation": lambda layer, width: Function(layer.function, layer.alpha, layer.beta),
    "embedding": lambda layer, width: Tokens(layer.vocabulary, layer.size),
    "layernorm": lambda layer, width: nn.LayerNorm(width, eps=layer.epsilon),
    "dropout": lambda layer, width: (Variational if layer.variational else nn.Dropout)(layer.rate),
    "scale": lambda layer, width: Scaler(width, back=False),
    "unscale": lambda layer, width: Scaler(width, back=True),
}
