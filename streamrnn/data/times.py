"""The column of a table that says when each row was read, as seconds since the epoch."""
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from streamrnn.data import tables
from streamrnn.errors import InputError


def read(path):
    """(name, seconds (rows,)) of the first column of times, by its name or because it holds dates; None if there is none.

    Dates without a time zone count as UTC; whole numbers may be seconds, milli-, micro- or nanoseconds.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".csv":
        return _csv(path)
    return _parquet(path) if kind == ".parquet" else None


def _csv(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = tables._rows(file, path)
        _, head = next(rows, (1, []))
        first = next(rows, None)
        if first is None or all(tables._kind(cell) == "number" for cell in head):
            return None
        names = [cell.strip() for cell in head]
        found = [i for i, cell in enumerate(first[1]) if tables._kind(cell) != "missing" and tables._is_time(names[i], cell)]
        if not found:
            return None
        i = found[0]
        cells = [first[1][i], *(cells[i] for _, cells in rows)]
    return names[i], seconds([_moment(cell, path, names[i]) for cell in cells])


def _parquet(path):
    import pyarrow.parquet as pq
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = [field.name for field in schema if str(field.type).startswith(("timestamp", "date"))]
        names += [name for name in schema.names if tables._is_time(name)]
        if not names:
            return None
        column = file.read(columns=[names[0]])[names[0]].to_pylist()
    return names[0], seconds([_moment(cell, path, names[0]) for cell in column])


def _moment(cell, path, name):
    """Seconds, from a number, a date or its text."""
    if isinstance(cell, str):
        try:
            return float(cell)
        except ValueError:
            try:
                cell = datetime.fromisoformat(cell.strip())
            except ValueError:
                raise InputError(f"{path}, column {name!r}: {cell!r} is no time. Write dates as 2026-01-31 23:59:59, or seconds since "
                                 "the epoch") from None
    if hasattr(cell, "timestamp"):
        return (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp()
    if cell is None:
        raise InputError(f"{path}, column {name!r}: a row has no time")
    return float(cell)


def seconds(values):
    """Numbers since the epoch as seconds, by their size: milli-, micro- and nanoseconds are told apart."""
    values = np.asarray(values, np.float64)
    size = np.abs(values).max(initial=0)
    for unit, limit in ((1e-9, 1e17), (1e-6, 1e14), (1e-3, 1e11)):
        if size >= limit:
            return values * unit
    return values
