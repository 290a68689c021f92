"""Activations chosen by a number at run time, on lanes: ONNX's, which a recurrent operator may name for each of its gates.

As a layer's configuration each is a tuple (name, alpha, beta); in a stage's weights, three floats.
"""
import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import choose, fma, larger, smaller, splat
from streamrnn.maths import ONE, exp, sigmoid, tanh

ZERO, TWO = np.float32(0), np.float32(2)
NAMES = ("sigmoid", "tanh", "relu", "affine", "leaky_relu", "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign",
         "softplus")
SIGMOID, TANH, RELU, AFFINE, LEAKY_RELU, THRESHOLDED_RELU, SCALED_TANH, HARD_SIGMOID, ELU, SOFTSIGN, SOFTPLUS = range(len(NAMES))

DEFAULTS = {"affine": (1.0, 0.0), "leaky_relu": (0.01, 0.0), "thresholded_relu": (1.0, 0.0), "scaled_tanh": (1.0, 1.0),
            "hard_sigmoid": (0.2, 0.5), "elu": (1.0, 0.0)}
"""(alpha, beta) where a function has any; the others have (0, 0)."""
WITH_ALPHA, WITH_BETA = frozenset(DEFAULTS), frozenset({"affine", "scaled_tanh", "hard_sigmoid"})

# log(1 + t) = 2 artanh(s), s = t / (2 + t) in [0, 1/3]: its series to s^17, error below the rounding
S3, S5, S7, S9, S11, S13, S15, S17 = (np.float32(1 / n) for n in range(3, 18, 2))


@inline
def softplus(x):
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)"""
    t = exp(-larger(x, -x))
    s = t / (TWO + t)
    q = s * s
    p = fma(fma(fma(fma(fma(fma(fma(S17, q, S15), q, S13), q, S11), q, S9), q, S7), q, S5), q, S3)
    return larger(x, ZERO) + TWO * fma(s * q, p, s)


@inline
def activate(code, alpha, beta, x):
    if code == SIGMOID:
        return sigmoid(x)
    if code == TANH:
        return tanh(x)
    if code == RELU:
        return larger(x, ZERO)
    if code == AFFINE:
        return fma(alpha, x, beta)
    if code == LEAKY_RELU:
        return choose(x, x, alpha * x)
    if code == THRESHOLDED_RELU:
        return choose(alpha - x, ZERO, x)
    if code == SCALED_TANH:
        return alpha * tanh(beta * x)
    if code == HARD_SIGMOID:
        return smaller(larger(fma(alpha, x, beta), ZERO), ONE)
    if code == ELU:
        return choose(x, x, alpha * (exp(x) - ONE))
    if code == SOFTSIGN:
        return x / (ONE + larger(x, -x))
    return softplus(x)


@inline
def derivative(code, alpha, beta, x, y):
    """Of y = activate(x), by x. Where a function has a corner, the slope of the side that `activate` takes there."""
    if code == SIGMOID:
        return y - y * y
    if code == TANH:
        return ONE - y * y
    if code == RELU:
        return choose(x, splat(ONE), ZERO)
    if code == AFFINE:
        return splat(alpha)
    if code == LEAKY_RELU:
        return choose(x, splat(ONE), alpha)
    if code == THRESHOLDED_RELU:
        return choose(alpha - x, splat(ZERO), ONE)
    if code == SCALED_TANH:
        t = tanh(beta * x)
        return alpha * beta * (ONE - t * t)
    if code == HARD_SIGMOID:
        return choose(y, choose(ONE - y, splat(alpha), ZERO), ZERO)
    if code == ELU:
        return choose(x, splat(ONE), alpha * exp(x))
    if code == SOFTSIGN:
        share = ONE / (ONE + larger(x, -x))
        return share * share
    return sigmoid(x)


def function_of(given, where):
    """(name, alpha, beta) of "tanh" or ("elu", 0.5) or ("affine", 2, 1), checked."""
    parts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, (tuple, list)) else (None,)
    name, numbers = parts[0] if parts else None, parts[1:]
    if name not in NAMES:
        raise ConfigError(f"{where} must be one of {', '.join(NAMES)}, or such a name with its alpha and beta; got {given!r}")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, (int, float, np.floating)) or not np.isfinite(np.float32(number)):
            raise ConfigError(f"{where}: alpha and beta must be finite numbers, got {given!r}")
    if len(numbers) > 2:
        raise ConfigError(f"{where}: a function has at most alpha and beta, got {given!r}")
    default = DEFAULTS.get(name, (0.0, 0.0))
    alpha, beta = (*map(float, numbers), *default[len(numbers):])
    for what, value, known in (("alpha", alpha, WITH_ALPHA), ("beta", beta, WITH_BETA)):
        if value and name not in known:
            raise ConfigError(f"{where}: {name} has no {what}, got {given!r}")
    return name, alpha, beta


def coded(function):
    """Its three floats in a stage's weights."""
    name, alpha, beta = function
    return [NAMES.index(name), alpha, beta]
