"""What a detector learns from: rows of readings out of an array, a DataFrame or a file, the sensors' names, and times if there are any."""
from dataclasses import dataclass
from datetime import UTC
from math import floor, isfinite
from pathlib import Path

import numpy as np

from streamrnn.data import tables
from streamrnn.data import times as moments_of
from streamrnn.errors import ConfigError, InputError

MONDAY = 4 * 86_400      # the epoch began on a Thursday
WEEK = 604_800
NOT_A_NUMBER = (float("nan"), float("nan"))


@dataclass(frozen=True)
class History:
    """values (rows, sensors) float32, NaN where a reading is missing; times (rows,) seconds since the epoch, or None."""
    values: np.ndarray
    names: tuple[str, ...]
    times: np.ndarray | None
    starts: tuple[int, ...] = (0,)   # where each machine's rows begin


def clock_of(times):
    """(seconds since Monday 00:00 UTC, fraction of a second) as two float32 columns."""
    times = np.asarray(times, np.float64)
    whole = np.floor(times)
    return np.stack([(whole - MONDAY) % WEEK, times - whole], axis=-1).astype(np.float32)


def seconds_since(t):
    """Of a number or a datetime, as seconds since the epoch; a datetime without a zone counts as UTC."""
    if hasattr(t, "timestamp"):
        return (t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp()
    return float(t)


def clock_at(t):
    """The same of one moment: a number or a datetime; NaN twice if nobody told."""
    if t is None:
        return NOT_A_NUMBER
    seconds = seconds_since(t)
    if not isfinite(seconds):
        return NOT_A_NUMBER
    whole = floor(seconds)
    return (whole - MONDAY) % WEEK, seconds - whole


def readings(values, sensors=None, what="history"):
    """Float32 rows (rows, sensors); one sensor may come as a plain series. Infinite values are refused, NaN is a missing reading."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{what} must be numbers in a regular array: {error}") from None
    if array.dtype == object:
        try:
            array = array.astype(np.float64)  # None becomes NaN
        except (TypeError, ValueError) as error:
            raise InputError(f"{what} must be numbers, with None or NaN where a reading is missing: {error}") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} must be numbers, got dtype {array.dtype}")
    if array.ndim == 1 and sensors in (None, 1):
        array = array[:, None]
    if array.ndim != 2 or (sensors is not None and array.shape[1] != sensors):
        wanted = f"(rows, {sensors})" if sensors is not None else "(rows, sensors)"
        raise InputError(f"{what} must have the shape {wanted}, got {array.shape}")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    wrong = np.argwhere(np.isinf(array))
    if len(wrong):
        row, sensor = wrong[0]
        raise InputError(f"{what}, row {row}, sensor {sensor}: infinite, or too large for float32. A missing reading is NaN")
    return array


def moments(times, rows):
    """Seconds since the epoch, from numbers, datetimes or numpy's datetime64."""
    array = np.asarray(times)
    if array.dtype == object:
        array = np.array([seconds_since(t) for t in array.ravel()])
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]").astype(np.int64) / 1e6
    if array.dtype.kind not in "fiu" or array.shape != (rows,):
        raise InputError(f"times must be {rows} numbers (seconds since the epoch) or datetimes, got shape {array.shape}, "
                         f"dtype {array.dtype}")
    return array.astype(np.float64)


def take(source, times=None, columns=None):
    """A History from an array, a DataFrame (its index may be the time), or the path of a CSV, NPY or Parquet file."""
    if isinstance(source, (str, Path)):
        return _from_file(source, times, columns)
    names = None
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        if times is None and getattr(getattr(source.index, "dtype", None), "kind", "") == "M":
            times = source.index.to_numpy()
        source = source if columns is None else source[list(columns)]
        names, source, columns = [str(name) for name in source.columns], source.to_numpy(), None
    values = readings(source)
    names = tuple(columns or names or names_for(values.shape[1]))
    if len(names) != values.shape[1]:
        raise InputError(f"{len(names)} names for {values.shape[1]} sensors: {', '.join(map(str, names))}")
    return History(values, names, None if times is None else moments(times, len(values)))


def _from_file(path, times, columns):
    table = tables.read(path, columns)  # first, for it says what is wrong with a file
    when = moments_of.read(path) if times is None else None
    names, values = list(table.names), table.values
    if when is not None and when[0] in names and columns is None:  # times in numbers are no sensor
        values = np.delete(values, names.index(when[0]), axis=1)
        names.remove(when[0])
    times = when[1] if when is not None else None if times is None else moments(times, len(values))
    return History(readings(values, what=str(path)), tuple(names), times)


def names_for(count):
    """Names where nobody gave any."""
    if count < 1:
        raise ConfigError(f"sensors must be 1 or more, or their names; got {count}")
    return ("value",) if count == 1 else tuple(f"sensor {k}" for k in range(count))


def are_several(source):
    """Is this a list of histories, rather than one history as a list of rows? An array of one axis is a series if it is long."""
    if not isinstance(source, (list, tuple)) or not source:
        return False
    first = source[0]
    if isinstance(first, (str, Path)) or hasattr(first, "to_numpy"):
        return True
    return np.ndim(first) == 2 or (isinstance(first, np.ndarray) and first.ndim == 1 and len(source) < len(first))


def joined(parts):
    """Several machines' histories as one."""
    first = parts[0]
    for part in parts[1:]:
        if part.names != first.names or (part.times is None) != (first.times is None):
            raise InputError(f"histories of several machines must have the same sensors, and all have times or none: "
                             f"{', '.join(first.names)} and {', '.join(part.names)}")
    starts = np.cumsum([0, *(len(part.values) for part in parts[:-1])])
    times = None if first.times is None else np.concatenate([part.times for part in parts])
    return History(np.concatenate([part.values for part in parts]), first.names, times, tuple(map(int, starts)))


def usual_period(history):
    """Seconds between rows: the middle one of all steps of the times; 1 without times."""
    if history.times is None:
        return 1.0
    steps = np.diff(history.times)
    steps = steps[steps > 0]
    if not len(steps):
        raise InputError("the times do not grow: say period=, or give the times of the rows")
    return float(np.median(steps))
