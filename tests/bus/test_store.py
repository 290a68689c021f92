"""The state file: what a commit returned for is there, after any end of the process; damage is refused; a fault changes nothing."""
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamrnn as sr
from streamrnn.bus import statefile
from streamrnn.bus.store import Store
from streamrnn.errors import StoreFailed

MODEL = sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=6)
OTHER = sr.Model(inputs=3, layers=[sr.GRU(7), sr.Dense(3)], seed=1)
TRAINED = MODEL.with_tensors({name: tensor * 0.5 for name, tensor in MODEL.tensors.items()})


def width(model):
    return model.packed.plan.stride + model.outputs


def row(model, *seed):
    return np.random.default_rng(seed).standard_normal(width(model), np.float32)


def commit(store, name, streams, gone=()):
    """streams: {slot: (id, seq, state)}"""
    slots = np.array([*streams, *gone], np.int64)
    ids, sizes, seqs = np.full((len(slots), 64), 7, np.uint8), np.zeros(len(slots), np.uint8), np.zeros(len(slots), np.int64)
    states = np.ones((len(slots), store._entries[name].width), np.float32)
    for n, (id, seq, state) in enumerate(streams.values()):
        ids[n, :len(id)], sizes[n], seqs[n], states[n] = np.frombuffer(id, np.uint8), len(id), seq, state
    store.commit_page(name, slots, ids, sizes, seqs, states)


def content(store, name=""):
    return {slot: (id, seq, state.tobytes()) for page in store.load(name) for slot, id, seq, state in zip(*map(list, page), strict=True)}


def as_bytes(streams):
    return {slot: (id, seq, state.tobytes()) for slot, (id, seq, state) in streams.items()}


def some(count, seed=0, model=MODEL):
    return {3 * n: (b"pump-%d" % n, n + seed, row(model, seed, n)) for n in range(count)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def opened(path):
    """Stores of the path; those that are still open at the end are closed."""
    stores = []

    def open(houses=(("", MODEL),), path=path, **options):
        stores.append(Store(path, list(houses), **options))
        return stores[-1]
    yield open
    for store in stores:
        store.close()


def copied(path, folder):
    """The files as a process that is killed now would leave them."""
    folder.mkdir(exist_ok=True)
    for part in path.parent.glob(path.name + "*"):
        if not part.name.endswith(("-shm", ".lock")):
            shutil.copy(part, folder)
    return folder / path.name


# -- what goes in comes out ----------------------------------------------------------------------------------------------------

def test_streams_come_back_bit_for_bit(opened):
    streams = some(50) | {1: (b"x" * 64, 2**63 - 1, np.full(width(MODEL), np.nan, np.float32)),
                          4: ("ü\0é".encode(), 0, row(MODEL, 9) * -0.0), 5: (b"\xff\xfe", 1, row(MODEL, 8))}
    store = opened()
    assert content(store) == {}
    commit(store, "", streams)
    assert content(store) == as_bytes(streams)
    store.close()
    assert content(opened()) == as_bytes(streams)


def test_the_epoch_grows_at_every_start_and_beyond_a_former_files(path, opened):
    epochs = []
    for _ in range(3):
        store = opened()
        epochs.append(store.epoch)
        store.close()
    path.unlink()
    store = opened()
    assert epochs[0] < epochs[1] < epochs[2]
    assert store.epoch >= epochs[0]


def test_models_keep_their_streams_apart(opened):
    store = opened([("a", MODEL), ("b", OTHER)])
    first, second = some(5), some(7, 1, OTHER)
    commit(store, "a", first)
    commit(store, "b", second)
    store.close()
    store = opened([("b", OTHER)])
    assert content(store, "b") == as_bytes(second)
    commit(store, "b", {}, gone=[0, 3])
    store.close()
    store = opened([("new", MODEL), ("a", MODEL), ("b", OTHER)])
    assert (content(store, "a"), content(store, "new")) == (as_bytes(first), {})
    assert content(store, "b") == {slot: stream for slot, stream in as_bytes(second).items() if slot not in (0, 3)}


def test_more_streams_than_one_page_of_a_read(opened):
    streams = some(2 * statefile.BATCH + 1)
    store = opened()
    commit(store, "", streams)
    assert content(store) == as_bytes(streams)


def test_a_slot_that_comes_twice_in_a_page_has_its_last_stream(opened):
    store = opened()
    rows = np.stack([row(MODEL, n) for n in range(4)])
    ids = np.frombuffer(b"".join(id.ljust(64) for id in (b"a", b"b", b"c", b"d")), np.uint8).reshape(4, 64)
    store.commit_page("", np.array([5, 2, 5, 2]), ids, np.array([1, 1, 1, 0]), np.arange(1, 5), rows)
    assert content(store) == {5: (b"c", 3, rows[2].tobytes())}
    store.close()
    assert list(content(opened())) == [5]


def test_a_stream_that_came_back_in_another_slot_stands_there_only(opened):
    """Its old slot is committed later than its new one, and the process dies in between."""
    store = opened()
    commit(store, "", {3: (b"a", 8, row(MODEL, 1)), 5: (b"b", 2, row(MODEL, 2)), 6: (b"c", 4, row(MODEL, 3))})
    commit(store, "", {5: (b"a", 1, row(MODEL, 4))})
    store.close()
    expected = as_bytes({5: (b"a", 1, row(MODEL, 4)), 6: (b"c", 4, row(MODEL, 3))})
    for _ in range(2):
        store = opened()
        assert content(store) == expected
        store.close()
    store = opened()
    commit(store, "", {}, gone=[5])
    store.close()
    assert list(content(opened())) == [6]


OPERATIONS = st.lists(st.one_of(
    st.tuples(st.just("commit"), st.dictionaries(st.integers(0, 12), st.binary(min_size=1, max_size=64) | st.none(), max_size=8)),
    st.tuples(st.sampled_from(["restart", "die", "fail", "reset", "keep"]), st.none())), max_size=12)


@settings(max_examples=100, deadline=None)
@given(OPERATIONS, st.randoms(use_true_random=False))
def test_whatever_happens_the_file_holds_what_was_committed(operations, random):
    with tempfile.TemporaryDirectory() as folder:
        path, expected, model, epoch = Path(folder, "state.db"), {}, MODEL, 0
        store = Store(path, [("", model)])
        try:
            for n, (operation, slots) in enumerate(operations):
                if operation == "commit":
                    new = {slot: (id, n, row(model, n, slot)) for slot, id in slots.items() if id is not None}
                    new = {slot: stream for slot, stream in new.items() if stream[0] not in {s[0] for k, s in new.items() if k < slot}}
                    gone = {slot for slot, (id, *_) in expected.items() if id in {stream[0] for stream in new.values()}} - new.keys()
                    gone |= {slot for slot, id in slots.items() if id is None}
                    commit(store, "", new, gone)
                    expected = {slot: stream for slot, stream in expected.items() if slot not in gone} | as_bytes(new)
                elif operation == "fail":
                    with failing_after(store, random.randrange(6)), pytest.raises(StoreFailed):
                        commit(store, "", {slot: (b"lost", n, row(model, n)) for slot in (1, 5, 20)}, gone=[2])
                elif operation in ("reset", "keep"):
                    if operation == "reset":
                        model = OTHER if model.signature == MODEL.signature else MODEL
                        expected = {slot: (id, seq, bytes(4 * width(model))) for slot, (id, seq, _) in expected.items()}
                    store.replace_model("", model, reset=operation == "reset")
                else:
                    if operation == "die":
                        path = copied(path, Path(folder, str(n)))
                    store.close()
                    store = Store(path, [("", model)])
                    assert store.epoch > epoch
                    epoch = store.epoch
                assert content(store) == expected
        finally:
            store.close()


# -- whose file it is ----------------------------------------------------------------------------------------------------------

def test_other_weights_are_refused_unless_asked_for(opened):
    store = opened()
    commit(store, "", some(4))
    store.close()
    with pytest.raises(sr.StateError, match=r"other weights.*--keep-state"):
        opened([("", TRAINED)])
    store = opened([("", TRAINED)], keep=True)
    assert content(store) == as_bytes(some(4))
    store.close()
    opened([("", TRAINED)])


@pytest.mark.parametrize("keep", [False, True])
def test_other_layers_are_refused(opened, keep):
    opened().close()
    with pytest.raises(sr.StateError, match="other layers"):
        opened([("", OTHER)], keep=keep)


def test_streams_of_other_names_only_are_refused(opened):
    store = opened([("pumps", MODEL)])
    commit(store, "pumps", some(3))
    store.close()
    with pytest.raises(sr.StateError, match=r"has the streams of 'pumps', and this server serves ''"):
        opened()


def test_a_swap_keeps_the_rows_or_takes_zeros(opened):
    store = opened([("a", MODEL), ("b", MODEL)])
    for name in "ab":
        commit(store, name, some(5))
    with pytest.raises(sr.StateError, match="reset=True"):
        store.replace_model("a", OTHER, reset=False)
    store.replace_model("a", TRAINED, reset=False)
    store.replace_model("b", OTHER, reset=True)
    with pytest.raises(sr.StateError, match="got"):
        store.commit_page("b", *(np.zeros(n, np.int64) for n in (0, (0, 64), 0, 0)), np.zeros((0, width(MODEL)), np.float32))
    commit(store, "b", {0: (b"pump-0", 9, row(OTHER, 5))})
    store.close()
    store = opened([("a", TRAINED), ("b", OTHER)])
    assert content(store, "a") == as_bytes(some(5))
    zeros = {slot: (id, seq, np.zeros(width(OTHER), np.float32)) for slot, (id, seq, _) in some(5).items()}
    assert content(store, "b") == as_bytes(zeros | {0: (b"pump-0", 9, row(OTHER, 5))})


# -- refused, and left as it was -----------------------------------------------------------------------------------------------

@pytest.fixture
def committed(path, opened):
    """A closed file; what it holds."""
    store = opened()
    for n in range(3):
        commit(store, "", some(40, n), gone=[9 * n])
    expected = content(store)
    store.close()
    return expected


def refused_or_equal(path, expected):
    """Was it refused? The file stays as it was then; otherwise it holds one of the expected contents."""
    parts = [part for part in (path, Path(f"{path}-wal")) if part.exists()]
    before = [part.read_bytes() for part in parts]
    try:
        store = Store(path, [("", MODEL)])
    except (sr.FileError, sr.StateError, StoreFailed) as error:
        assert str(path) in str(error)
        assert [part.read_bytes() for part in parts] == before
        return True
    try:
        assert content(store) in expected
        commit(store, "", {1: (b"goes on", 1, row(MODEL, 1))})
    finally:
        store.close()
    return False


def test_every_truncation_is_refused(path, committed, tmp_path):
    whole, damaged = path.read_bytes(), tmp_path / "damaged.db"
    for size in {*range(0, len(whole), 1021), 1, 99, 100, 4095, 4096, len(whole) - 4096, len(whole) - 1}:
        damaged.write_bytes(whole[:size])
        assert refused_or_equal(damaged, []), size


def test_a_flipped_bit_never_gives_other_streams(path, committed, tmp_path):
    whole, damaged = path.read_bytes(), tmp_path / "damaged.db"
    rng = np.random.default_rng(3)
    used = [n for n in range(len(whole)) if whole[n] or n < 200]  # empty space in pages teaches little
    flips = [*range(0, 800, 7), *(8 * rng.choice(used, 900) + rng.integers(0, 8, 900)).tolist()]
    refused = 0
    for bit in flips:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(content)
        refused += refused_or_equal(damaged, [committed])
        Path(f"{damaged}-wal").unlink(missing_ok=True)
    assert refused > len(flips) // 2


def test_a_damaged_log_of_a_killed_process_never_gives_half_a_commit(path, opened, tmp_path):
    store, states = opened(), [{}]
    for n in range(6):
        commit(store, "", some(12, n), gone=[3 * n])
        states.append(content(store))
    image = copied(path, tmp_path / "image")
    store.close()
    file, log = image.read_bytes(), Path(f"{image}-wal").read_bytes()
    rng = np.random.default_rng(4)
    lost = 0
    for case in range(60):
        image.write_bytes(file)
        at = int(rng.integers(0, len(log)))
        Path(f"{image}-wal").write_bytes(log[:at] if case % 2 else log[:at] + bytes([log[at] ^ 4]) + log[at + 1:])
        Path(f"{image}-shm").unlink(missing_ok=True)
        lost += refused_or_equal(image, states)
    assert lost == 0


def change(path, *statements):
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.mark.parametrize("statement", [
    "UPDATE streams SET seq = seq + 1 WHERE place = 3", "UPDATE streams SET id = 'other' WHERE place = 3",
    "UPDATE streams SET id = '' WHERE place = 3", "UPDATE streams SET stamp = stamp - 1 WHERE place = 3",
    "UPDATE streams SET place = 4 WHERE place = 3", "UPDATE streams SET state = zeroblob(length(state)) WHERE place = 3",
    "UPDATE streams SET state = 'text' WHERE place = 3", "UPDATE streams SET digest = NULL", "UPDATE streams SET place = place + (1 << 40)",
    "DELETE FROM streams WHERE place = 3", "DELETE FROM streams", "DELETE FROM models", "UPDATE models SET streams = streams - 1",
    "UPDATE models SET digest = '0'", "UPDATE models SET name = 'a'", "UPDATE models SET width = 1 << 40", "DELETE FROM about",
    "UPDATE about SET value = value - 1 WHERE key = 'epoch'", "UPDATE about SET value = 2 WHERE key = 'format'",
    "INSERT INTO streams SELECT place + (5 << 40), id, seq, stamp, digest, state FROM streams WHERE place = 3",
    "CREATE TRIGGER more AFTER UPDATE ON streams BEGIN DELETE FROM streams; END", "DROP TABLE about", "DROP TABLE streams"])
def test_changed_content_is_refused(path, committed, statement):
    change(path, statement)
    with pytest.raises(sr.FileError, match="damaged state file"):
        Store(path, [("", MODEL)])


def test_rows_of_a_former_commit_are_refused(path, opened):
    """Each of them is sound by itself."""
    store = opened()
    commit(store, "", some(9))
    with closing(sqlite3.connect(path)) as db:
        stale = db.execute("SELECT * FROM streams WHERE place = 3").fetchone()
    commit(store, "", some(9, 1))
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("REPLACE INTO streams VALUES (?, ?, ?, ?, ?, ?)", stale)
        db.commit()
    with pytest.raises(sr.FileError, match="lost streams"):
        opened()


def test_a_newer_format_is_refused(path, committed):
    change(path, "PRAGMA user_version=2")
    with pytest.raises(sr.FileError, match=r"state format 2, this version.*upgrade"):
        Store(path, [("", MODEL)])


def test_foreign_files_are_refused_and_left_alone(tmp_path):
    engine = sr.Engine(MODEL)
    engine.step("a", [1, 2, 3])
    engine.snapshot(tmp_path / "snapshot.db")
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_bytes(b"notes, no database at all\n" * 500)
    (tmp_path / "magic.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with closing(sqlite3.connect(tmp_path / "writer")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE accounts (id)")
        db.execute("PRAGMA wal_checkpoint")
        db.execute("INSERT INTO accounts VALUES (1)")
        db.commit()
        copied(tmp_path / "writer", tmp_path / "live").rename(tmp_path / "theirs.db")
    (tmp_path / "live" / "writer-wal").rename(tmp_path / "theirs.db-wal")  # as their process left it
    before = {part.name: part.read_bytes() for part in tmp_path.iterdir() if part.is_file()}
    for name in ("snapshot", "empty", "text", "magic", "theirs"):
        with pytest.raises(sr.FileError, match="no state file"):
            Store(tmp_path / f"{name}.db", [("", MODEL)])
    after = {part.name: part.read_bytes() for part in tmp_path.iterdir() if part.is_file() and not part.name.endswith(".lock")}
    assert after == before


def test_a_log_without_its_file_is_refused(path):
    Path(f"{path}-wal").write_bytes(b"log")
    with pytest.raises(sr.FileError, match="is missing, but"):
        Store(path, [("", MODEL)])
    assert not path.exists()


def test_places_where_nothing_can_be_made(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for place in ("folder", "file/state.db", "missing/state.db"):
        with pytest.raises((StoreFailed, sr.FileError), match=place.split("/")[0]):
            Store(tmp_path / place, [("", MODEL)])


# -- one at a time -------------------------------------------------------------------------------------------------------------

def test_a_second_store_is_refused_and_the_first_goes_on(path, opened):
    store = opened()
    for _ in range(2):
        with pytest.raises(StoreFailed, match="in use by another server"):
            opened()
    os.symlink(path, path.with_name("link.db"))
    with pytest.raises(StoreFailed, match="in use by another server"):
        opened(path=path.with_name("link.db"))
    commit(store, "", some(3))
    store.close()
    store.close()
    with pytest.raises(StoreFailed, match="was closed"):
        commit(store, "", some(3))
    assert content(opened()) == as_bytes(some(3))


HOLD = """
import sys, streamrnn as sr
from streamrnn.bus.store import Store
store = Store(sys.argv[1], [("", sr.load(sys.argv[2]))])
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_refused_until_it_is_killed(path, opened, tmp_path):
    MODEL.save(tmp_path / "m")
    root = str(Path(sr.__file__).parents[1])
    process = subprocess.Popen([sys.executable, "-W", "error", "-c", HOLD, path, tmp_path / "m"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root})
    with process:
        try:
            assert process.stdout.readline() == b"held\n"
            with pytest.raises(StoreFailed, match="in use by another server"):
                opened()
        finally:
            process.kill()
    commit(opened(), "", some(2))


def test_others_may_read_while_it_is_written(path, opened):
    store = opened()
    commit(store, "", some(5))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert db.execute("SELECT seq FROM streams WHERE id = 'pump-3'").fetchall() == [(3,)]
        db.execute("BEGIN")
        assert db.execute("SELECT count(*) FROM streams").fetchone() == (5,)
        commit(store, "", some(9, 1))
        assert db.execute("SELECT count(*) FROM streams").fetchone() == (5,)
        db.execute("COMMIT")
        assert db.execute("SELECT count(*), (SELECT streams FROM models) FROM streams").fetchone() == (9, 9)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_files_are_private(path, opened, monkeypatch):
    old = os.umask(0)
    try:
        store = opened()
        commit(store, "", some(5))
    finally:
        os.umask(old)
    modes = {part.name: stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()}
    assert modes == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm", "state.db.lock"], 0o600)


# -- faults --------------------------------------------------------------------------------------------------------------------

@contextmanager
def failing_after(store, calls):
    """The disk is full at some statement of a transaction, the last one at the latest."""
    class Failing:
        left, real = calls, store._db

        def execute(self, statement, *values):
            if statement != "ROLLBACK":
                self.left -= 1
                if self.left < 0 or statement == "COMMIT":
                    self.real.execute("PRAGMA max_page_count=1")  # it takes no value below the present size
                    raise sqlite3.OperationalError("database or disk is full")
            return self.real.execute(statement, *values)

        def __getattr__(self, name):
            return getattr(self.real, name)
    real, store._db = store._db, Failing()
    try:
        yield
    finally:
        store._db = real
        real.execute(f"PRAGMA max_page_count={2**30}")


@pytest.mark.parametrize("calls", range(7))
def test_a_fault_at_any_statement_changes_nothing_and_the_next_try_succeeds(opened, calls):
    store = opened()
    commit(store, "", some(6))
    new, gone = some(20, 1), [1, 3 * 30]
    for _ in range(2):
        with failing_after(store, calls), pytest.raises(StoreFailed, match="disk is full"):
            commit(store, "", new, gone)
        assert content(store) == as_bytes(some(6))
    with failing_after(store, calls), pytest.raises(StoreFailed):
        store.replace_model("", OTHER, reset=True)
    commit(store, "", new, gone)
    store.close()
    assert content(opened()) == as_bytes(new)


def test_a_full_database_says_so_and_takes_the_same_page_later(opened):
    store = opened()
    commit(store, "", some(5))
    store._db.execute("PRAGMA max_page_count=1")
    many = some(5000, 1)
    for _ in range(3):
        with pytest.raises(StoreFailed, match=r"disk is full.*make room on the disk"):
            commit(store, "", many)
        assert content(store) == as_bytes(some(5))
    store._db.execute(f"PRAGMA max_page_count={2**30}")
    commit(store, "", many)
    store.close()
    assert content(opened()) == as_bytes(many)


@contextmanager
def largest_file(size):
    """No file of this process may grow beyond it: as a quota, or a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("checkpoint", [1, 4000])
def test_a_file_that_cannot_grow_loses_nothing(path, opened, tmp_path, checkpoint):
    """With a checkpoint after every commit, that is what fails first: the commit is in the log, and holds."""
    store = opened()
    store._db.execute(f"PRAGMA wal_autocheckpoint={checkpoint}").fetchall()
    commit(store, "", some(20))
    expected, failed = some(20), 0
    with largest_file(200_000):
        for n in range(60):
            new = {100 * n + k: (b"n%d-%d" % (n, k), n, row(MODEL, n, k)) for k in range(100)}
            try:
                commit(store, "", new)
                expected |= new
                assert not failed, "it went on after a failure without more room"
            except StoreFailed as error:
                assert "see to the disk" in str(error)
                failed, last = failed + 1, new
    assert failed
    assert content(store) == as_bytes(expected)
    image = copied(path, tmp_path / "image")
    commit(store, "", last)
    expected_later = expected | last
    store.close()
    assert content(opened()) == as_bytes(expected_later)
    assert content(opened(path=image)) == as_bytes(expected)


def test_a_disk_that_is_full_at_the_start(path, opened):
    with largest_file(1000), pytest.raises(StoreFailed):
        opened()
    assert not path.exists()
    store = opened()
    commit(store, "", some(20))
    store.close()
    before = path.read_bytes()
    with largest_file(1000), pytest.raises(StoreFailed):
        opened()
    assert path.read_bytes() == before
    assert content(opened()) == as_bytes(some(20))
    assert sorted(part.name for part in path.parent.iterdir()) == ["state.db", "state.db-shm", "state.db-wal", "state.db.lock"]


@contextmanager
def without_privileges():
    if not hasattr(os, "seteuid"):
        pytest.skip("permissions as POSIX has them")
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_or_file_that_is_read_only(opened):
    with tempfile.TemporaryDirectory() as folder:  # not in tmp_path: another user must get there
        path = Path(folder, "state.db")
        opened(path=path).close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        before = path.read_bytes()
        with without_privileges():
            with pytest.raises(StoreFailed, match=r"writ"):
                Store(path, [("", MODEL)])
            with pytest.raises(StoreFailed, match=r"folder that this user can write"):
                Store(path.with_name("new.db"), [("", MODEL)])
        assert path.read_bytes() == before
        Path(folder).chmod(0o755)


def test_a_file_that_was_moved_away_is_said_so(path, opened):
    store = opened()
    commit(store, "", some(2))
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreFailed, match="put it back"):
        commit(store, "", some(3))
    path.with_name("elsewhere").rename(path)
    commit(store, "", some(3))
    store.close()
    assert content(opened()) == as_bytes(some(3))


def test_the_log_does_not_grow_without_bound(path, opened):
    log, store, rng = Path(f"{path}-wal"), opened([("", sr.Model(inputs=1, layers=[sr.LSTM(128)], seed=0))]), np.random.default_rng(0)

    def spread(streams=400):
        for _ in range(streams // 400):
            slots = rng.choice(2000, 400, replace=False)
            ids = np.zeros((400, 64), np.uint8)
            ids[:, :8] = slots.astype(np.int64).view(np.uint8).reshape(400, 8) + 1
            store.commit_page("", slots, ids, np.full(400, 8, np.uint8), slots + 1, rng.standard_normal((400, 384), np.float32))
    spread(16_000)
    assert log.stat().st_size < 24 << 20
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM streams").fetchone()
        spread(12_000)
        assert log.stat().st_size > 32 << 20
        reader.execute("COMMIT")
    spread(2000)
    assert log.stat().st_size <= 32 << 20


# -- killed --------------------------------------------------------------------------------------------------------------------

def test_a_committing_process_that_is_killed_leaves_a_whole_commit(path):
    """Again and again, at random moments, checkpoints among them: see the script."""
    script, root = Path(__file__).with_name("killed_store.py"), str(Path(sr.__file__).parents[1])
    done = subprocess.run([sys.executable, "-W", "error", script, path, "25"], env={**os.environ, "PYTHONPATH": root}, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    kills, within = map(int, done.stdout.split())
    assert kills == 25
    assert within > 3, "hardly a kill came while something was being written"
