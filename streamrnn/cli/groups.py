"""A table whose rows belong to several sequences: the numbers, and the column that says whose each row is, read as text.

As text, because numbers could be rounded to one in float32, and because `tables.read` takes text for a mistake.
"""
import csv
from pathlib import Path

import numpy as np

from streamrnn.data import tables
from streamrnn.errors import FileError, InputError


def read(path, columns, group):
    """(Table, the group's cell of each row as text (rows,)): these columns, or all that hold numbers but the group's."""
    kind = Path(path).suffix.lower()
    if kind not in READERS:
        tables.read(path)  # says what is read
    found, keys = READERS[kind](path, group)
    table = tables.read(path, found if columns is None else columns)
    for row in np.flatnonzero(keys == "")[:1]:
        raise InputError(f"{path}, row {row + 1}, column {group!r} is empty: whose row is it? Fill the cell or remove the row")
    return table, keys


def parts(keys):
    """The rows of each group in their order, the groups in the order of their first rows."""
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
    return [rows[n] for n in np.argsort(first)]


def _csv(path, group):
    """(columns that hold numbers, as far as the first row tells; the group's cells)"""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = (cells for _, cells in tables._rows(file, path))
            head = next(rows, None) or tables.read(path)  # an empty file says so itself
            named = any(tables._kind(cell) == "text" for cell in head)
            columns = [cell.strip() or str(i) for i, cell in enumerate(head)] if named else list(map(str, range(len(head))))
            first = next(rows, head) if named else head
            of, = tables._picked(path, columns, [group])
            keys = np.array([first[of], *(cells[of] for cells in rows)])
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} is no CSV file in UTF-8, or a damaged one ({error}): {tables.AGAIN}") from None
    numbers = [name for name, cell in zip(columns, first, strict=True) if name != group and not tables._is_time(name, cell)]
    return numbers, np.char.strip(keys)


def _npy(path, group):
    columns = list(tables.read(path).names)
    of, = tables._picked(path, columns, [group])
    array = np.load(path, mmap_mode="r")
    return [name for name in columns if name != group], np.array(array.reshape(len(array), -1)[:, of]).astype(str)


def _parquet(path, group):
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
        schema = pq.read_schema(path)
        tables._picked(path, schema.names, [group])
        keys = pq.read_table(path, columns=[group]).column(0).to_pylist()
    except ImportError:
        return tables.read(path)  # says what is missing
    except pa.ArrowException as error:
        raise FileError(f"{path} is no Parquet file, or a damaged one ({error}): {tables.AGAIN}") from None
    columns = [field.name for field in schema if field.name != group and not pa.types.is_temporal(field.type)]
    return columns, np.array(["" if key is None else str(key) for key in keys])


READERS = {".csv": _csv, ".npy": _npy, ".parquet": _parquet}
