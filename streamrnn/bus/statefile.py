"""The state file: one SQLite file (WAL), made whole or not at all, and inspected from end to end before anything is written to it.

    about    key, value: format, epoch (grows at every start), seal
    models   number, name, digest, signature, width, config, streams, checks: a model that was served under that name, how many
             streams it has and the sum of their checks (64 bits, around the end)
    streams  place (model's number << 40 | slot), id, seq, stamp, digest, state: `width` float32, the stream's row and its last result

A stream stays in its slot's place, so a commit overwrites. The sums and the seal, a hash of `about` and `models`, are of the same
transaction as the rows: one that is damaged, lost or stale shows at the next start. A stream that was closed and came back in
another slot may stand twice for a moment: the higher stamp is the later one.
"""
import json
import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from streamrnn.bus.core.digest import checks_of
from streamrnn.errors import FileError, StoreFailed

FORMAT = 1
MARK = 0x73726E6E     # SQLite's application id: whose file it is, before SQLite is let near it
SLOT_BITS = 40
SLOTS = (1 << SLOT_BITS) - 1
MOST_SLOTS = 1 << 24  # as many as a house takes
BATCH = 4096          # rows read at once
SCHEMA = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value)",
    "CREATE TABLE models (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest TEXT, signature TEXT, width INTEGER, "
    "config TEXT, streams INTEGER, checks INTEGER)",
    "CREATE TABLE streams (place INTEGER PRIMARY KEY, id TEXT NOT NULL, seq INTEGER, stamp INTEGER, digest INTEGER, state BLOB)",
)
PRAGMAS = ("synchronous=FULL", "fullfsync=ON", "checkpoint_fullfsync=ON",   # fullfsync: what macOS needs to reach the disk
           "wal_autocheckpoint=4000", f"journal_size_limit={32 << 20}")     # pages of 4096 bytes; bytes after a long reader
WRITABLE, DAMAGED = "make the file and its folder writable", "the file was damaged: stop the server and put a sound copy in its place"
REMEDIES = {
    sqlite3.SQLITE_FULL: "make room on the disk", sqlite3.SQLITE_IOERR: "see to the disk, or to the quota",
    sqlite3.SQLITE_READONLY: WRITABLE, sqlite3.SQLITE_CANTOPEN: WRITABLE, sqlite3.SQLITE_PERM: WRITABLE,
    sqlite3.SQLITE_BUSY: "another program is writing to it: end that one",
    sqlite3.SQLITE_CORRUPT: DAMAGED, sqlite3.SQLITE_NOTADB: DAMAGED,
}
PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
           sqlite3.SQLITE_NOMEM)  # these say nothing about the file


class Entry(NamedTuple):
    """What the file says of a model."""
    number: int
    name: str
    digest: str
    signature: str
    width: int
    config: str
    streams: int = 0
    checks: int = 0

    def served_by(self, model):
        return self._replace(digest=model.digest, signature=model.signature, config=json.dumps(model.config()),
                             width=model.packed.plan.stride + model.packed.plan.outputs)

    def exchange(self, old, new):
        """Rows with these checks gave way to others; 0 is no row."""
        total = (self.checks + int(new.sum(dtype=np.uint64)) - int(old.sum(dtype=np.uint64))) % (1 << 64)
        return self._replace(streams=self.streams + int(np.count_nonzero(new)) - int(np.count_nonzero(old)), checks=total)


class Rows(NamedTuple):
    """Some rows of `streams`, column by column."""
    places: np.ndarray
    ids: np.ndarray       # (n, 64) uint8
    id_sizes: np.ndarray  # (n,) uint8
    seqs: np.ndarray
    stamps: np.ndarray
    states: np.ndarray    # (n, width) float32

    @property
    def slots(self):
        return self.places & SLOTS

    def checks(self):
        """What `digest` should be."""
        checks = np.zeros(len(self.places), np.uint64)
        checks_of(*self[:5], self.states.view(np.uint32), checks)
        return checks


def pages(db, entry):
    """A model's rows in order of their slots, some thousands at a time: Rows, ids as bytes, digests; ValueError if one is no such row."""
    first, end = entry.number << SLOT_BITS, entry.number + 1 << SLOT_BITS
    query = "SELECT place, id, seq, stamp, digest, state FROM streams WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
    while found := db.execute(query, (first, end, BATCH)).fetchall():  # all of them: a query that goes on would hold up the log
        places, ids, seqs, stamps, digests, states = zip(*found, strict=True)
        if not all(type(id) is bytes and 0 < len(id) <= 64 for id in ids):
            raise ValueError("an id is not 1 to 64 bytes long")
        if not all(type(state) is bytes and len(state) == 4 * entry.width for state in states):
            raise ValueError(f"a state is not {4 * entry.width} bytes long")
        packed = np.frombuffer(bytearray().join(id.ljust(64, b"\0") for id in ids), np.uint8).reshape(-1, 64)
        rows = Rows(np.array(places, np.int64), packed, np.array(list(map(len, ids)), np.uint8), np.array(seqs, np.int64),
                    np.array(stamps, np.int64), np.frombuffer(bytearray().join(states), np.float32).reshape(-1, entry.width))
        yield rows, list(ids), np.array(digests, np.int64).view(np.uint64)
        first = places[-1] + 1


def seal(epoch, entries):
    content = [FORMAT, epoch, *sorted(map(tuple, entries.values()))]
    return blake2b(repr(content).encode(), digest_size=16).hexdigest()


def failed(path, error, what="written"):
    """A StoreFailed that says what SQLite's error means here."""
    remedy = REMEDIES.get(_kind(error))
    return StoreFailed(f"{path} cannot be {what} ({error}){': ' + remedy if remedy else ''}")


def _kind(error):
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


# -- to and from the disk --------------------------------------------------------------------------------------------------------

def make(path):
    """An empty state file, readable for this user only, in its place when it is whole."""
    if Path(f"{path}-wal").exists():
        raise FileError(f"{path} is missing, but {path}-wal, a part of it, is there: put the file back, or remove both to start anew")
    try:
        descriptor, draft = tempfile.mkstemp(prefix=path.name + ".", suffix=".draft", dir=path.parent)
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(draft, isolation_level=None)) as db:
                db.execute("PRAGMA page_size=4096")
                db.execute(f"PRAGMA application_id={MARK}")
                db.execute(f"PRAGMA user_version={FORMAT}")
                for statement in SCHEMA:
                    db.execute(statement)
                db.executemany("INSERT INTO about VALUES (?, ?)", {"format": FORMAT, "epoch": 0, "seal": seal(0, {})}.items())
                db.execute("PRAGMA journal_mode=WAL")
            os.replace(draft, path)
        except BaseException:
            for suffix in ("", "-journal", "-wal", "-shm"):
                Path(draft + suffix).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except sqlite3.Error as error:
        raise failed(path, error) from None
    except OSError as error:
        raise StoreFailed(f"{path} cannot be made: {error.strerror}. The folder must be there, and writable for this user") from None


def _sync_folder(folder):
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def connect(path):
    """For writing, from any thread: a commit is on the disk when it returns, and the WAL is kept short."""
    db = sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None, timeout=1.0, check_same_thread=False)
    try:
        db.text_factory = bytes
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        if (mode := db.execute("PRAGMA journal_mode=WAL").fetchone()[0]) not in (b"wal", "wal"):
            raise StoreFailed(f"{path} cannot be used with a write-ahead log (SQLite chose {mode}): keep it on a local disk")
    except sqlite3.Error as error:
        db.close()
        raise failed(path, error) from None
    except StoreFailed:
        db.close()
        raise
    return db


def inspect(path):
    """(epoch, {name: Entry}, {number: check of each slot}, next stamp, stale places), or FileError; the file stays as it is."""
    _look_at_header(path)
    with _blaming(path), closing(_reader(path)) as db:
        db.text_factory = bytes
        if {sql.decode() for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")} != set(SCHEMA):
            raise ValueError("its tables are not those of a state file")
        if (said := db.execute("PRAGMA quick_check(1)").fetchone()[0]) not in (b"ok", "ok"):
            raise ValueError(said.decode() if isinstance(said, bytes) else said)
        about = {key.decode(): value for key, value in db.execute("SELECT key, value FROM about")}
        entries = {entry.name: entry for entry in map(_entry, db.execute("SELECT * FROM models"))}
        if (about["format"], about["seal"]) != (FORMAT, seal(about["epoch"], entries).encode()):
            raise ValueError("the seal does not match")
        checks, stamp, stale, rows = {}, 0, [], 0
        for entry in entries.values():
            checks[entry.number], last, doubles = _inspect_streams(db, entry)
            stamp, stale, rows = max(stamp, last + 1), stale + doubles, rows + entry.streams
        if db.execute("SELECT count(*) FROM streams").fetchone() != (rows,):
            raise ValueError("there are streams of no model")
    return about["epoch"], entries, checks, stamp, stale


def _inspect_streams(db, entry):
    """(the check of each slot, the highest stamp, places of streams that came back in another slot)"""
    checks, columns = np.zeros(0, np.uint64), [np.zeros((3, 0), np.int64)]
    for rows, ids, digests in pages(db, entry):
        if rows.slots[-1] >= MOST_SLOTS:
            raise ValueError(f"a stream stands in slot {rows.slots[-1]:,}")
        if not np.array_equal(digests, rows.checks()):
            raise ValueError("the state of a stream does not match its check")
        checks = with_room(checks, rows.slots)
        checks[rows.slots] = digests
        columns.append(np.array([rows.places, rows.stamps, list(map(hash, ids))], np.int64))
    if entry.exchange(checks, checks[:0]) != entry._replace(streams=0, checks=0):
        raise ValueError(f"it has lost streams since it was written: {np.count_nonzero(checks):,} are there, {entry.streams:,} should be")
    places, stamps, hashes = np.concatenate(columns, 1)
    found, count = np.unique(hashes, return_counts=True)
    return checks, int(stamps.max(initial=-1)), _outdated(db, places[np.isin(hashes, found[count > 1])].tolist())


def _outdated(db, places):
    """Of those whose ids may be equal: all but the latest of each id."""
    rows = [db.execute("SELECT id, stamp, place FROM streams WHERE place = ?", (place,)).fetchone() for place in places]
    latest = {id: place for id, stamp, place in sorted(rows)}
    return [place for id, stamp, place in rows if latest[id] != place]


def _entry(row):
    number, name, digest, signature, width, config, streams, checks = row
    if not all(type(value) is int for value in (number, width, streams, checks)) or not 0 < width < 1 << 28:
        raise ValueError("a model's numbers are none")
    return Entry(number, *(text.decode() for text in (name, digest, signature)), width, config.decode(), streams, checks % (1 << 64))


def with_room(checks, slots):
    """The check of each slot, for as many slots as these need: it doubles."""
    most = int(slots.max(initial=-1)) + 1
    if most <= len(checks):
        return checks
    larger = np.zeros(max(1024, 2 * len(checks), most), np.uint64)
    larger[:len(checks)] = checks
    return larger


def _look_at_header(path):
    """Without SQLite, which would set to work on a foreign file's log."""
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror}") from None
    version, mark = (int.from_bytes(header[at:at + 4], "big") for at in (60, 68))
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0") or mark != MARK:
        raise FileError(f"{path} is no state file of a server, or a damaged one: choose another path, or put a sound copy there")
    if version > FORMAT:
        raise FileError(f"{path} has state format {version}, this version of streamrnn reads up to {FORMAT}: upgrade streamrnn")


def _reader(path):
    """A connection that changes nothing: with a log that a killed process left, it reads what that committed."""
    log = Path(f"{path}-wal")
    return sqlite3.connect(_uri(path, "ro" if log.exists() and log.stat().st_size else "ro&immutable=1"), uri=True, isolation_level=None)


def _uri(path, mode):
    return f"file:{quote(str(path))}?mode={mode}"


@contextmanager
def _blaming(path):
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError, KeyError, OverflowError, AttributeError, MemoryError) as error:
        if _kind(error) in PASSING:
            raise failed(path, error, "read") from None
        raise FileError(f"{path} is a damaged state file: {error}. Put a sound copy in its place, or remove it to start every stream "
                        "from zeros") from None
