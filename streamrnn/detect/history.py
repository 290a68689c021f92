"""What a detector learns from: rows of readings from an array, a DataFrame or a file, with the sensors' names and times if there are any."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamrnn.errors import InputError

MONDAY = 4 * 86_400      # the epoch began on a Thursday
WEEK = 604_800
TIMES = ("time", "timestamp", "datetime", "date", "t")  # columns of a table that say when


@dataclass(frozen=True)
class History:
    """values (rows, sensors) float32, NaN where a reading is missing; times (rows,) seconds since the epoch, or None."""
    values: np.ndarray
    names: tuple[str, ...]
    times: np.ndarray | None


def clock_of(times):
    """(seconds since Monday 00:00 UTC, fraction of a second) as two float32 columns."""
    times = np.asarray(times, np.float64)
    whole = np.floor(times)
    return np.stack([(whole - MONDAY) % WEEK, times - whole], axis=-1).astype(np.float32)


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
        array = np.array([t.timestamp() if hasattr(t, "timestamp") else float(t) for t in array.ravel()])
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]").astype(np.int64) / 1e6
    if array.dtype.kind not in "fiu" or array.shape != (rows,):
        raise InputError(f"times must be {rows} numbers (seconds since the epoch) or datetimes, got shape {array.shape}, dtype {array.dtype}")
    return array.astype(np.float64)


def take(source, sensors=None, times=None, columns=None):
    """A History from an array, a DataFrame (its index may be the time), or the path of a CSV, NPY or Parquet file."""
    if isinstance(source, History):
        return source
    if isinstance(source, (str, Path)):
        return _from_file(source, columns, times)
    names = None
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        names = [str(name) for name in source.columns]
        if times is None and getattr(source.index, "dtype", None) is not None and source.index.dtype.kind == "M":
            times = source.index.to_numpy()
        source = source.to_numpy()
    values = readings(source, sensors)
    if columns is not None:
        names = list(columns)
        if len(names) != values.shape[1]:
            raise InputError(f"{len(names)} names for {values.shape[1]} sensors")
    names = tuple(names or (f"sensor {k}" if values.shape[1] > 1 else "value" for k in range(values.shape[1])))
    return History(values, names, None if times is None else moments(times, len(values)))
