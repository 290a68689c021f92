"""What the monitors of novelty share: one number at a time, each with a few floats of state."""
import numpy as np

from streamrnn.jit import inline
from streamrnn.lanes import get, larger, put
from streamrnn.maths import exp, log

ROWS, LOW, HIGH, SPAN = range(4)   # of a range's state; SPAN: how many floats it takes
ZERO, ONE = np.float32(0), np.float32(1)
CONFIRMED = np.float32(50)         # rows after which a value that never moved may be called constant
FROM_CONSTANT = np.float32(10)     # how novel a move then is
TINY = np.float32(1e-12)
OLD = np.float32(1 << 23)


@inline
def novelty(state, value):
    """How far a value lies outside the range of all before it, as a share of that range; then the range takes it in."""
    rows, low, high, far = get(state, ROWS), get(state, LOW), get(state, HIGH), ZERO
    if rows == ZERO:
        low, high = value, value
    elif value > high or value < low:
        beyond = value - high if value > high else low - value
        if high > low:
            far = beyond / (high - low)
        elif rows >= CONFIRMED:
            far = FROM_CONSTANT
        low, high = value if value < low else low, larger(value, high)
    put(state, ROWS, rows + ONE if rows < OLD else rows)
    put(state, LOW, low)
    put(state, HIGH, high)
    return far


@inline
def signed_log(x, size):
    """sign(x) log(1 + |x| / size)"""
    y = log(ONE + (x if x > ZERO else -x) / larger(size, TINY))
    return y if x >= ZERO else -y


@inline
def from_signed_log(y, size):
    x = (exp(y if y > ZERO else -y) - ONE) * size
    return x if y >= ZERO else -x
