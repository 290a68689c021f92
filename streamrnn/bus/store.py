"""Store: a server's streams in its state file. Pages of streams that changed go in, each in a transaction of its own.

What a commit returned for is on the disk. Whatever goes wrong, the file holds all of a commit or nothing of it.
"""
import itertools
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np

from streamrnn import jit
from streamrnn.bus import statefile
from streamrnn.bus.core.digest import checks_of
from streamrnn.bus.lock import Lock
from streamrnn.bus.statefile import SLOT_BITS, SLOTS, Entry, Rows
from streamrnn.errors import StateError, StoreFailed

CHUNK = 128  # rows of one statement: Python's lock is held while they are bound, not while they are written


class Store:
    """The state file at a path, locked for this process and inspected from end to end, or made if there is none.

    `houses`: [(name, model)] as they are served. keep=True also takes a file of the same layers with other weights. Any thread
    may call; they wait for each other.
    """

    def __init__(self, path, houses, keep=False):
        jit.ready(checks_of)
        self.path = Path(path).resolve()
        self._db, self._busy = None, threading.Lock()
        self._lock = Lock(self.path)
        try:
            if not self.path.exists():
                statefile.make(self.path)
            former, entries, self._checks, self._stamp, stale = statefile.inspect(self.path)
            self._entries = self._matched(entries, houses, keep)
            self._db, self._inode = statefile.connect(self.path), self.path.stat().st_ino
            self.epoch = max(former + 1, int(time.time()))  # higher than that of a file that was here before this one
            self._begin(stale)
        except BaseException:
            self.close()
            raise

    def _matched(self, entries, houses, keep):
        """What the file will say of the models once these are served, or StateError."""
        names = {name for name, _ in houses}
        if any(entry.streams for entry in entries.values()) and not names & entries.keys():
            raise StateError(f"{self.path} has the streams of {_listed(entries)}, and this server serves {_listed(names)}: serve the model "
                             "under the name it had, or choose another state file")
        for name, model in houses:
            if name not in entries:
                number = max((entry.number for entry in entries.values()), default=-1) + 1
                entries[name] = Entry(number, name, "", "", 0, "").served_by(model)
            former, entry = entries[name], entries[name].served_by(model)
            if (former.signature, former.width) != (entry.signature, entry.width):
                raise StateError(f"{self.path} has the streams of a model of other layers under {name!r}, {former.config}; this one is "
                                 f"{model!r}: choose another state file")
            if former.digest != entry.digest and not keep:
                raise StateError(f"{self.path} has the streams of a model of the same layers but other weights under {name!r}: serve the "
                                 "model it was written with, or keep the state (--keep-state) to go on with these weights")
            entries[name] = entry
        return entries

    def _begin(self, stale):
        """This start's epoch into the file, with all else that has changed in it."""
        for entry in self._entries.values():
            self._checks.setdefault(entry.number, np.zeros(0, np.uint64))
            slots = np.array([place & SLOTS for place in stale if place >> SLOT_BITS == entry.number], np.int64)
            old = self._checks[entry.number][slots]
            self._entries[entry.name] = entry.exchange(old, np.zeros_like(old))
            self._checks[entry.number][slots] = 0
        with self._transaction():
            self._delete(stale)
            self._write_entries(self._entries, self._entries.values())

    def load(self, name):
        """The streams of a model, some thousands at a time: slots (n,), ids [bytes], seqs (n,), states (n, stride + outputs)."""
        for rows, ids, _ in statefile.pages(self._db, self._entries[name]):
            yield rows.slots, ids, rows.seqs, rows.states

    def commit_page(self, name, slots, ids, id_sizes, seqs, states):
        """Streams that have changed, on the disk when this returns: all of them, or none and StoreFailed; then try again.

        slots (n,), ids (n, 64) uint8, id_sizes (n,), 0 where the stream was closed, seqs (n,), states (n, stride + outputs).
        Nothing of the arrays is kept.
        """
        with self._busy:
            entry = self._entries[name]
            if states.shape[1:] != (entry.width,):
                raise StateError(f"a row of {name!r} has {entry.width} float32 in {self.path}, got {states.shape}")
            order = _last_of_each(slots)
            slots, ids, id_sizes, seqs, states = (
                np.require(column[order], kind, "CW") for column, kind in
                zip((slots, ids, id_sizes, seqs, states), (np.int64, np.uint8, np.uint8, np.int64, np.float32), strict=True))
            stamps = np.arange(self._stamp, self._stamp + len(slots), dtype=np.int64)
            rows = Rows(slots | entry.number << SLOT_BITS, ids, id_sizes, seqs, stamps, states)
            checks = np.where(id_sizes > 0, rows.checks(), np.uint64(0))
            kept = self._checks[entry.number] = statefile.with_room(self._checks[entry.number], slots)
            changed = entry.exchange(kept[slots], checks)
            with self._transaction():
                self._delete(rows.places[id_sizes == 0].tolist())
                self._insert(rows, checks, np.flatnonzero(id_sizes))
                self._write_entries(self._entries | {name: changed}, [changed])
            kept[slots], self._entries[name] = checks, changed
            self._stamp += len(slots)

    def replace_model(self, name, model, reset):
        """Another model under this name. `reset`: every stream starts from zeros, its seq goes on; else the layers must be the same."""
        with self._busy:
            former = self._entries[name]
            entry, kept = former.served_by(model), self._checks[former.number].copy()
            if entry.signature != former.signature and not reset:
                raise StateError(f"the streams of {name!r} in {self.path} are of other layers than {model!r}: replace it with reset=True")
            with self._transaction():
                for rows, ids, former_checks in statefile.pages(self._db, former) if reset else ():
                    rows = rows._replace(states=np.zeros((len(ids), entry.width), np.float32))
                    checks = kept[rows.slots] = rows.checks()
                    entry = entry.exchange(former_checks, checks)
                    self._insert(rows, checks, np.arange(len(ids)))
                self._write_entries(self._entries | {name: entry}, [entry])
            self._entries[name], self._checks[entry.number] = entry, kept

    def close(self):
        """Let go of the file: all that was committed is in it."""
        with self._busy:
            if self._db:
                self._db.close()
                self._db = None
            self._lock.release()

    # -- within a transaction --------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self):
        """All of it on the disk, or none of it and StoreFailed."""
        if self._db is None:
            raise StoreFailed(f"{self.path} was closed: nothing can be written to it any more")
        self._look_for_it()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:  # SQLite has rolled back by itself after some errors
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise statefile.failed(self.path, error) from None
            raise

    def _look_for_it(self):
        """SQLite would go on writing into a file that has lost its name, and nobody would ever read it."""
        try:
            there = self.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise StoreFailed(f"{self.path} was moved, deleted or replaced while the server uses it: put it back")

    def _delete(self, places):
        for start in range(0, len(places), CHUNK):
            some = places[start:start + CHUNK]
            self._db.execute(f"DELETE FROM streams WHERE place IN ({', '.join('?' * len(some))})", some)

    def _insert(self, rows, checks, which):
        """Many rows by one statement: a third less work than one statement a row."""
        width, names = 4 * rows.states.shape[1], rows.ids.tobytes()
        content = memoryview(rows.states.reshape(-1).view(np.uint8))
        for start in range(0, len(which), CHUNK):
            some = which[start:start + CHUNK]
            at = some.tolist()
            numbers = (column[some].tolist() for column in (rows.places, rows.seqs, rows.stamps, checks.view(np.int64)))
            ids = [names[64 * n:64 * n + size] for n, size in zip(at, rows.id_sizes[some].tolist(), strict=True)]
            columns = zip(*numbers, ids, [content[n * width:n * width + width] for n in at], strict=True)
            self._db.execute(_replace(len(at)), list(itertools.chain.from_iterable(columns)))

    def _write_entries(self, entries, changed):
        """`changed` of these entries, and what vouches for them all."""
        for entry in changed:
            row = entry._replace(checks=int(np.uint64(entry.checks).astype(np.int64)))
            self._db.execute("REPLACE INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for key, value in (("epoch", self.epoch), ("seal", statefile.seal(self.epoch, entries))):
            self._db.execute("UPDATE about SET value = ? WHERE key = ?", (value, key))


@cache
def _replace(count):
    rows = ", ".join(["(?, ?, ?, ?, CAST(? AS TEXT), ?)"] * count)
    return f"REPLACE INTO streams (place, seq, stamp, digest, id, state) VALUES {rows}"


def _last_of_each(slots):
    """Positions in order of the slots, so that neighbours are written together; the last one of a slot that comes twice."""
    if (slots[1:] > slots[:-1]).all():
        return slice(None)
    order = np.argsort(slots, kind="stable")
    last = np.ones(len(order), bool)
    last[:-1] = slots[order][1:] != slots[order][:-1]
    return order[last]


def _listed(names):
    return ", ".join(sorted(map(repr, names))) or "none"
