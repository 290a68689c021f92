"""Snapshots: every stream's row in one SQLite file, written in one transaction, each row with a checksum.

Tables: about(key, value) with format, model (digest), signature, config, number of streams and sum of their checks;
streams(number, id, row, crc), id TEXT or INTEGER.
"""
import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import numpy as np

from streamrnn.errors import FileError, StateError

FORMAT = 1


def write(path, model, rows):
    """Replace the file's content by these (id, row) pairs, or leave it as it was."""
    fresh = not Path(path).exists()
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if tables - {"about", "streams"}:
                raise FileError(f"{path} is a SQLite file of something else (tables {', '.join(sorted(tables))}): choose another path")
            db.execute("DROP TABLE IF EXISTS about")
            db.execute("DROP TABLE IF EXISTS streams")
            db.execute("CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT)")
            db.execute("CREATE TABLE streams (number INTEGER PRIMARY KEY, id BLOB NOT NULL, row BLOB NOT NULL, crc INTEGER NOT NULL)")
            count = total = 0
            for id, row in rows:
                blob = row.tobytes()
                crc = _check(id, blob)
                db.execute("INSERT INTO streams VALUES (?, ?, ?, ?)", (count, id, blob, crc))
                count, total = count + 1, total + crc
            about = {"format": FORMAT, "model": model.digest, "signature": model.signature,
                     "config": json.dumps(model.config()), "streams": count, "checks": total}
            db.executemany("INSERT INTO about VALUES (?, ?)", [(key, str(value)) for key, value in about.items()])
            db.execute("COMMIT")
            fresh = False
    except (sqlite3.Error, UnicodeError) as error:
        raise FileError(f"the snapshot could not be written to {path}: {error}") from None
    finally:
        if fresh:  # nothing was there, and nothing came of it
            Path(path).unlink(missing_ok=True)


def read(path, model, keep):
    """The (id, row) pairs of a snapshot of this model, in the order they were written."""
    if not Path(path).is_file():
        raise FileError(f"no snapshot at {path}")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(Path(path).resolve()))}?mode=ro", uri=True)) as db:
            about = dict(db.execute("SELECT key, value FROM about"))
            streams = db.execute("SELECT id, row, crc FROM streams ORDER BY number").fetchall()
    except (sqlite3.Error, UnicodeError, TypeError, ValueError) as error:
        raise FileError(f"{path} is no snapshot, or a damaged one: {error}") from None
    if about.get("format") != str(FORMAT):
        raise FileError(f"{path} has snapshot format {about.get('format')}, this version of streamrnn reads {FORMAT}")
    if about.get("signature") != model.signature:
        raise StateError(f"{path} is a snapshot of a model of other layers, {about.get('config')}; this one is {model!r}")
    if about.get("model") != model.digest and not keep:
        raise StateError(f"{path} is a snapshot of a model of the same layers but other weights: load the model it was "
                         "taken from, or pass keep=True to go on with these weights")
    for id, blob, crc in streams:
        if type(blob) is not bytes or len(blob) != model.row_bytes or _check(id, blob) != crc:
            raise FileError(f"{path}: the state of stream {id!r} is damaged (its checksum does not match): take another snapshot")
    if (about.get("streams"), about.get("checks")) != (str(len(streams)), str(sum(crc for _, _, crc in streams))):
        raise FileError(f"{path} has lost streams since it was written ({len(streams)} of {about.get('streams')} are there): "
                        "take another snapshot")
    return [(id, np.frombuffer(blob, np.float32)) for id, blob, _ in streams]


def _check(id, blob):
    kind = "text" if isinstance(id, str) else "number"
    return zlib.crc32(f"{kind} {id}".encode() + blob)
