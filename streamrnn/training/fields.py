"""Fields of losses, optimisers and schedules: checked and kept as plain floats and ints, refused with class and field."""
from math import isfinite
from numbers import Integral, Real

from streamrnn.errors import ConfigError


def within(item, interval, *names):
    """Numbers in an interval such as "[0, 1)", which the message repeats."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    for name in names:
        value = getattr(item, name)
        if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value) or not (
                (low <= value if interval[0] == "[" else low < value) and (value <= high if interval[-1] == "]" else value < high)):
            raise ConfigError(f"{type(item).__name__}: {name} must be a number in {interval}, got {value!r}")
        object.__setattr__(item, name, float(value))


def whole(item, least, *names):
    """Whole numbers from `least` on."""
    for name in names:
        value = getattr(item, name)
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ConfigError(f"{type(item).__name__}: {name} must be a whole number of {least} or more, got {value!r}")
        object.__setattr__(item, name, int(value))
