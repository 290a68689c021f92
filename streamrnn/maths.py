"""tanh, sigmoid, exp and log in fused float32 operations, written once: the same bits for a float, for lanes and on CUDA.

A division costs as much as ten products, so tanh and sigmoid come as ratios too: a cell multiplies ratios and divides
once. `tanh_ratio(x)` is (top, bottom) with tanh(x) = top / bottom; bottom lies in [1, 205].
"""
import numpy as np

from streamrnn.jit import inline
from streamrnn.lanes import exponent, fma, larger, power_of_two, smaller

F = np.float32
ONE, HALF = F(1), F(0.5)

# tanh(x) = x P(x^2) / Q(x^2) on [-8.1, 8.1]: minimax, |error| < 4e-7 in float32, never beyond +-1
LIMIT = F(8.1)
P0, P1, P2, P3 = F(0.9999992847442627), F(0.12904532253742218), F(0.002929104957729578), F(1.120622346206801e-05)
Q1, Q2, Q3, Q4 = F(0.46237605810165405), F(0.023723896592855453), F(0.00023566086019854993), F(2.390788438333402e-07)

# exp(x) = 2^n exp(r), n whole, |r| <= ln(2)/2; the polynomial is Taylor's, its error is below the rounding
LOWEST, HIGHEST = F(-87), F(88)
LOG2E, LN2_HIGH, LN2_LOW = F(1.4426950408889634), F(0.693359375), F(-2.1219444e-4)
ROUND = F(12582912)  # 1.5 * 2^23: adding it rounds to a whole number
E2, E3, E4, E5, E6 = F(1 / 2), F(1 / 6), F(1 / 24), F(1 / 120), F(1 / 720)

# an angle is taken back by whole turns, a turn in three parts; sin and cos of its half are Taylor's, within a quarter turn
TURNS, TURN_HIGH, TURN_LOW, TURN_LEAST = F(0.15915494309189535), F(6.28125), F(0.0019359588623046875), F(-6.516827184555041e-07)
S3, S5, S7, S9, S11 = F(-1 / 6), F(1 / 120), F(-1 / 5040), F(1 / 362880), F(-1 / 39916800)
C2, C4, C6, C8, C10, C12 = F(-1 / 2), F(1 / 24), F(-1 / 720), F(1 / 40320), F(-1 / 3628800), F(1 / 479001600)
TWO = F(2)

# log(m) = f - f^2/2 + f^3 P(f) with f = m - 1 in [-0.293, 0.414]: least squares at Chebyshev's points, |error| < 4e-8
ROOT2, MOST = F(1.4142135623730951), F(127)
L0, L1, L2, L3, L4 = F(0.3333331346511841), F(-0.2500000298023224), F(0.20002144575119019), F(-0.16668401658535004), F(0.14219427108764648)
L5, L6, L7, L8 = F(-0.12399107962846756), F(0.11882626265287399), F(-0.11708961427211761), F(0.06797289103269577)


@inline
def clamp(x, limit):
    return larger(smaller(x, limit), -limit)


@inline
def tanh_ratio(x):
    x = clamp(x, LIMIT)
    u = x * x
    u2 = u * u
    top = fma(u2, fma(P3, u, P2), fma(P1, u, P0))
    bottom = fma(u2, fma(u2, Q4, fma(Q3, u, Q2)), fma(Q1, u, ONE))
    return x * top, bottom


@inline
def sigmoid_ratio(x):
    """sigmoid(x) = (1 + tanh(x/2)) / 2: the bottom lies in [2, 410]."""
    top, bottom = tanh_ratio(HALF * x)
    return bottom + top, bottom + bottom


@inline
def two_ratios(a, b):
    """Two quotients for one division."""
    inverse = ONE / (a[1] * b[1])
    return a[0] * b[1] * inverse, b[0] * a[1] * inverse


@inline
def tanh(x):
    top, bottom = tanh_ratio(x)
    return top / bottom


@inline
def sigmoid(x):
    top, bottom = sigmoid_ratio(x)
    return top / bottom


@inline
def exp(x):
    x = larger(smaller(x, HIGHEST), LOWEST)
    n = fma(x, LOG2E, ROUND) - ROUND
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    p = fma(fma(fma(fma(E6, r, E5), r, E4), r, E3), r, E2)
    return fma(r * r, p, r + ONE) * power_of_two(n)


@inline
def log(x):
    """Of a normal float above 0; one float at a time."""
    n = exponent(x)
    m = x * power_of_two(-n) if n < MOST else x * HALF * power_of_two(ONE - n)  # 2^-127 is no normal float
    if m > ROOT2:
        n, m = n + ONE, m * HALF
    f = m - ONE
    p = fma(fma(fma(fma(fma(fma(fma(fma(L8, f, L7), f, L6), f, L5), f, L4), f, L3), f, L2), f, L1), f, L0)
    f2 = f * f
    tail = fma(f2 * f, p, fma(n, LN2_LOW, -HALF * f2))
    return fma(n, LN2_HIGH, f + tail)


@inline
def cos_sin(x):
    """(cos, sin) of an angle of up to a thousand radians: |error| < 7e-7."""
    n = fma(x, TURNS, ROUND) - ROUND
    h = HALF * fma(n, -TURN_LEAST, fma(n, -TURN_LOW, fma(n, -TURN_HIGH, x)))
    u = h * h
    s = fma(h * u, fma(fma(fma(fma(S11, u, S9), u, S7), u, S5), u, S3), h)
    c = fma(u, fma(fma(fma(fma(fma(C12, u, C10), u, C8), u, C6), u, C4), u, C2), ONE)
    s2 = TWO * s
    return fma(-s2, s, ONE), s2 * c
