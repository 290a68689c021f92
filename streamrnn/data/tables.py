"""Tables of numbers from files: .csv, .npy and .parquet, as named float32 columns; a missing value is NaN.

float32 holds seven digits: a time column that is a number (seconds since 1970) is read, but only to about two minutes.
"""
import csv
import difflib
import re
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from streamrnn.errors import FileError, InputError, MissingExtra
from streamrnn.streams.samples import as_float32

MISSING = {"", "na", "nan", "null"}
TIMES = {"time", "timestamp", "date", "datetime"}
DATE = re.compile(r"\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?\s*$")
CHUNK = 300  # rows at a time: their cells stay in cache between cutting and conversion
AGAIN = "take a good copy or save it again"


@dataclass(frozen=True, eq=False)
class Table:
    names: tuple[str, ...]
    values: np.ndarray  # (rows, columns) float32


def read(path, columns=None):
    """The numeric columns of a file, or just `columns`, by name and in that order.

    Columns of time stamps (ISO dates, or what is no number under a name such as time or date) are left out; any other
    column that is not numeric is an error unless `columns` leaves it out. Without a header columns are "0", "1", ...
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in READERS:
        raise FileError(f"{path} is of no kind that is read here ({', '.join(READERS)}): save the table as one of these")
    if isinstance(columns, str):
        raise InputError(f"columns must be a list of names, got a string: write [{columns!r}]")
    with open(path, "rb") as file:  # a file that is not there or not ours says so itself
        if not file.read(1):
            raise FileError(f"{path} is empty: {AGAIN}")
    names, values = READERS[kind](path, None if columns is None else list(columns))
    if not values.shape[1]:
        raise InputError(f"{path}: no numeric column is left to read")
    if not len(values):
        raise FileError(f"{path} has columns but no rows: {AGAIN}")
    return Table(tuple(names), values)


def _csv(path, columns):
    """Blank lines are skipped. A file whose first row is all numbers has no header."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _parse(_rows(file, path), path, columns)
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not text in UTF-8 ({error}): save it in this encoding") from None
    except csv.Error as error:
        raise FileError(f"{path} is no CSV file, or a damaged one ({error}): {AGAIN}") from None


def _rows(file, path):
    """(line, cells) of each row; all have as many cells as the first."""
    head = next((line for line in file if line.strip()), "")
    file.seek(0)
    bare = re.sub(r'"[^"]*"', "", head)
    delimiter = next((mark for mark in "\t;" if mark in bare), ",")  # before the comma, which may be in a name or a decimal
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    width = None
    for cells in reader:
        if not cells:
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise FileError(f"{path}, line {reader.line_num}: {len(cells)} cells (delimiter {delimiter!r}), the first row has {width}: "
                            f"correct the line, or {AGAIN}")
        yield reader.line_num, cells


def _parse(rows, path, columns):
    line, head = next(rows, (1, []))
    if not head:
        raise FileError(f"{path} holds blank lines only: {AGAIN}")
    kinds = {_kind(cell) for cell in head}
    if kinds == {"number"}:
        rows, names = chain([(line, head)], rows), list(map(str, range(len(head))))
    elif "text" in kinds:
        names = [cell.strip() or str(i) for i, cell in enumerate(head)]
    else:
        raise InputError(f"{path}, line {line}: the first row must be names, or numbers in every cell; got {', '.join(head):.200}: "
                         "add a row of names above, or name the columns that have none")
    parts = {i: [] for i in _picked(path, names, columns)}  # arrays, a chunk each
    while chunk := list(islice(rows, CHUNK)):
        lines, cells = zip(*chunk, strict=True)
        by_column = list(zip(*cells, strict=True))
        for i in list(parts):
            try:
                parts[i].append(_numbers(by_column[i]))
            except ValueError:
                if columns is not None or not _is_time(names[i], _lead(parts[i], by_column[i])):
                    raise _no_number(path, lines, names[i], by_column[i]) from None
                del parts[i]
    return [names[i] for i in parts], _side_by_side(np.concatenate(part or [np.zeros(0)]) for part in parts.values())


def _lead(before, cells):
    """The first value of a column, if no number came before it."""
    if all(np.isnan(part).all() for part in before):
        return next(cell for cell in cells if _kind(cell) != "missing")
    return ""


def _no_number(path, lines, name, cells):
    line, cell = next((line, cell) for line, cell in zip(lines, cells, strict=True) if _kind(cell) in ("text", "date"))
    hint = " (decimals take a point)" if "," in cell else ""
    return InputError(f"{path}, line {line}, column {name!r}: {cell!r} is not a number{hint}. Correct it or empty the cell, "
                      "or name the columns to read: columns=[...]")


def _numbers(cells):
    """(cells,) float64, or ValueError"""
    try:
        if "_" in "".join(cells):  # float("1_000") is 1000, but such a cell is an id
            raise ValueError
        return np.array(list(map(float, cells)))
    except ValueError:
        return np.array(list(map(_number, cells)))


def _number(cell):
    if cell.strip().lower() in MISSING:
        return np.nan
    if "_" in cell:
        raise ValueError
    return float(cell)


def _kind(cell):
    """missing, number, date or text"""
    try:
        return "missing" if np.isnan(_number(cell)) else "number"
    except ValueError:
        return "date" if DATE.match(cell) else "text"


def _npy(path, columns):
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # mapped, so that a damaged header cannot ask for all memory
    except Exception as error:  # many kinds, for its header is parsed as Python; pickled objects are refused, never executed
        raise FileError(f"{path} is no .npy file of numbers, or a damaged one ({error}): {AGAIN}") from None
    values = as_float32(array, str(path))
    if values.ndim not in (1, 2):
        raise InputError(f"{path} must be (rows, columns) or (rows,), got shape {values.shape}: reshape it and save it again")
    if values.ndim == 1:
        values = values[:, None]
    names = list(map(str, range(values.shape[1])))
    picked = _picked(path, names, columns)
    return [names[i] for i in picked], values.take(picked, axis=1)


def _parquet(path, columns):
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra(f"{path} needs pyarrow to be read: pip install streamrnn[tables]") from None
    try:
        return _arrow(pa, pq, path, columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is no Parquet file, or a damaged one ({error}): {AGAIN}") from None


def _arrow(pa, pq, path, columns):
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        names = [names[i] for i in _picked(path, names, columns)]
        table = file.read(columns=names)
    types = pa.types
    numeric = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    values = {}
    for name in names:
        column = table[name]
        if any(is_kind(column.type) for is_kind in numeric):
            values[name] = column.cast(pa.float64(), safe=False).to_numpy()  # a null becomes NaN
        elif columns is not None or not (types.is_temporal(column.type) or _is_time(name, *column.drop_null()[:1].to_pylist())):
            raise InputError(f"{path}, column {name!r} holds {column.type}, not numbers: convert it, "
                             "or name the columns to read: columns=[...]")
    return list(values), _side_by_side(values.values())


def _side_by_side(arrays):
    """Columns (rows,) as (rows, columns) float32."""
    arrays = list(arrays)
    values = np.empty((len(arrays[0]) if arrays else 0, len(arrays)), np.float32)
    with np.errstate(over="ignore"):  # too large for float32 becomes inf
        for i, array in enumerate(arrays):
            values[:, i] = array
    return values


def _is_time(name, lead=""):
    """By its name, or because the first value is a date."""
    return name.strip().lower() in TIMES or bool(DATE.match(str(lead)))


def _picked(path, names, columns):
    """Which columns to read, by number."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has more than one column {twice!r}: give each a name of its own")
    if columns is None:
        return list(range(len(names)))
    lost = list(dict.fromkeys(name for name in columns if name not in names))
    if lost:
        near = difflib.get_close_matches(str(lost[0]), names, n=1)
        others = f", nor {', '.join(map(repr, lost[1:]))}" if lost[1:] else ""
        raise InputError(f"{path} has no column {lost[0]!r}{f' (did you mean {near[0]!r}?)' if near else ''}{others}: "
                         f"it has {', '.join(names)}")
    return [names.index(name) for name in dict.fromkeys(columns)]


READERS = {".csv": _csv, ".npy": _npy, ".parquet": _parquet}
