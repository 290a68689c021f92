"""Autoregression in one solve: ridge regression over the last rows, with random features beside the lags where they pay."""
from dataclasses import dataclass

import numpy as np

from streamrnn.cells.monitors.regress import FEATURES

RIDGES = (1e-6, 1e-4, 1e-2, 0.1, 1.0)   # times the number of rows
WORTH = 0.98                            # features must bring the error down to this
FEW = 3                                 # with more sensors than this, features never paid
MOST, LONGEST = 100, 50                 # lags times sensors; lags


def lags_for(sensors):
    return int(np.clip(MOST // sensors, 2, LONGEST))


def lagged(z, lags):
    """Row t: the rows t-1, t-2, ... t-lags of z side by side; from row `lags` on."""
    n = len(z) - lags
    return np.concatenate([z[lags - k - 1:lags - k - 1 + n] for k in range(lags)], axis=1)


@dataclass(frozen=True)
class Regression:
    """y = x W + b, and V features(x) if there are any; `error` is the mean square of what it got wrong on rows it had not seen."""
    lags: int
    ridge: float
    error: float
    weight: np.ndarray
    bias: np.ndarray
    features: "Features | None" = None
    top: np.ndarray | None = None

    def forecast(self, z):
        """For each row from `lags` on, what it was expected to be."""
        x = lagged(z, self.lags)
        y = x @ self.weight + self.bias
        return y if self.features is None else y + self.features(x) @ self.top

    def tensors(self):
        own = {"weight": self.weight.T, "bias": self.bias}
        if self.features is None:
            return own
        return own | {"top": self.top.T, "drawn": self.features.drawn, "shift": self.features.shift}


@dataclass(frozen=True)
class Features:
    """tanh(x drawn + shift): drawn once, never learnt."""
    drawn: np.ndarray
    shift: np.ndarray

    @classmethod
    def draw(cls, width, seed):
        rng = np.random.default_rng(seed)
        return cls(rng.standard_normal((width, FEATURES)) / width ** 0.5, rng.standard_normal(FEATURES))

    def __call__(self, x):
        return np.tanh(x @ self.drawn + self.shift)


def solve(x, y, ridge):
    """(weight, bias) of the ridge regression of y on x; the bias counts as one more input."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    gram = x.T @ x
    gram[np.diag_indices(len(gram))] += ridge * len(x)
    w = np.linalg.solve(gram, x.T @ y)
    return w[:-1], w[-1]


def best(x, y, cut):
    """The ridge that does best beyond `cut` when fitted before it: (error, ridge)."""
    def error(ridge):
        weight, bias = solve(x[:cut], y[:cut], ridge)
        return float(np.mean((y[cut:] - x[cut:] @ weight - bias) ** 2)), ridge
    return min(map(error, RIDGES))


def regression(z, cut, seed=0):
    """(fitted before row `cut`, fitted to all rows): ridge and features are those that do best from `cut` on."""
    lags = lags_for(z.shape[1])
    x, y, known = lagged(z, lags), z[lags:], cut - lags
    error, ridge = best(x, y, known)
    features = None
    if z.shape[1] <= FEW:
        drawn = Features.draw(x.shape[1], seed)
        wide = np.concatenate([x, drawn(x)], axis=1)
        wider, other = best(wide, y, known)
        if wider < WORTH * error:
            error, ridge, features, x = wider, other, drawn, wide

    def fitted(rows):
        weight, bias = solve(x[:rows], y[:rows], ridge)
        split = lags * z.shape[1]
        return Regression(lags, ridge, error, weight[:split], bias, features, weight[split:] if features else None)
    return fitted(known), fitted(len(x))
