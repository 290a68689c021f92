"""Snapshots: the engine goes on bit for bit, also elsewhere; damage is refused; a write is whole or not at all."""
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamrnn as sr


@pytest.fixture
def taken(model, x, tmp_path):
    engine = sr.Engine(model)
    for n in range(4):
        engine.step_many(["a", "b", "ü" * 20, 7, -3, "7"], x[6 * n:6 * n + 6])
    engine.snapshot(tmp_path / "s.db")
    return engine, tmp_path / "s.db"


def same(a, b):
    return set(a.ids) == set(b.ids) and all(a.state(id).tobytes() == b.state(id).tobytes() for id in a.ids)


def test_a_restored_engine_goes_on_bit_for_bit(taken, model, x):
    engine, path = taken
    again = sr.Engine.restore(path, model, capacity=50, threads=2)
    assert same(again, engine)
    assert again.capacity == 50
    for x_t in x:
        assert np.array_equal(again.step("a", x_t), engine.step("a", x_t))
    ids = [7, "7", -3, "b", "new"]
    assert np.array_equal(again.step_many(ids, x[:5]), engine.step_many(ids, x[:5]))


def test_a_fresh_process_goes_on_bit_for_bit(taken, model, x, tmp_path):
    engine, _ = taken
    model.save(tmp_path / "m")
    np.save(tmp_path / "x.npy", x)
    code = ("import sys, numpy as np, streamrnn as sr\n"
            "place = sys.argv[1]\n"
            "engine = sr.Engine.restore(place + '/s.db', sr.load(place + '/m'))\n"
            "y = [engine.step_many(engine.ids, np.tile(x, (len(engine), 1))) for x in np.load(place + '/x.npy')]\n"
            "np.save(place + '/y.npy', np.stack(y))\n"
            "print(ascii(engine.ids))\n")
    root = str(Path(sr.__file__).parents[1])
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": root},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ids = eval(done.stdout)
    assert np.array_equal(np.load(tmp_path / "y.npy"), np.stack([engine.step_many(ids, np.tile(x_t, (6, 1))) for x_t in x]))


def test_an_empty_engine_and_a_model_without_state_survive(model, tmp_path):
    sr.Engine(model).snapshot(tmp_path / "empty")
    assert len(sr.Engine.restore(tmp_path / "empty", model)) == 0
    plain = sr.Model(inputs=3, layers=[sr.Dense(2)], seed=0)
    engine = sr.Engine(plain)
    engine.step("a", [1, 2, 3])
    engine.snapshot(tmp_path / "plain")
    assert sr.Engine.restore(tmp_path / "plain", plain).ids == ["a"]


def test_ids_of_any_accepted_kind_survive(model, x, tmp_path):
    engine = sr.Engine(model)
    engine.step_many([np.str_("np"), "with 'quotes\"", "nul\0inside", "line\nbreak", "🦀", 0, (1 << 63) - 1, -(1 << 63)], x[:8])
    engine.step_many(np.array(["array"]), x[:1])
    engine.step_many(np.array([5], np.int16), x[:1])
    engine.step("0", x[9])
    engine.snapshot(tmp_path / "s")
    assert same(sr.Engine.restore(tmp_path / "s", model), engine)


def test_other_weights_are_refused_unless_asked_for(taken, model, x):
    engine, path = taken
    other = model.with_tensors({name: t * 0.5 for name, t in model.tensors.items()})
    with pytest.raises(sr.StateError, match=r"other weights.*keep=True"):
        sr.Engine.restore(path, other)
    kept = sr.Engine.restore(path, other, keep=True)
    assert same(kept, engine)
    alone = other.stream()
    alone.set_state(engine.state("a"))
    assert np.array_equal(kept.step("a", x[0]), alone.step(x[0]))


@pytest.mark.parametrize("keep", [False, True])
def test_other_layers_are_refused(taken, keep):
    _, path = taken
    with pytest.raises(sr.StateError, match="other layers"):
        sr.Engine.restore(path, sr.Model(inputs=3, layers=[sr.LSTM(5), sr.RNN(4), sr.Dense(2)], seed=6), keep=keep)


def test_a_snapshot_over_a_former_one_replaces_it_wholly(taken, model, x):
    _, path = taken
    other = sr.Engine(model)
    other.step("only", x[0])
    other.snapshot(path)
    assert same(sr.Engine.restore(path, model), other)
    wider = sr.Engine(sr.Model(inputs=3, layers=[sr.LSTM(50)], seed=0))
    wider.step("a", x[0])
    wider.snapshot(path)
    assert same(sr.Engine.restore(path, wider.model), wider)


def test_a_snapshot_does_not_change_the_engine(taken, image, tmp_path):
    engine, _ = taken
    before = image(engine)
    engine.snapshot(tmp_path / "again")
    assert image(engine) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "s.db"]


def test_an_interrupted_write_leaves_the_former_snapshot(taken, model, x, monkeypatch):
    engine, path = taken
    former = sr.Engine.restore(path, model)
    engine.step_many(["a", "b"], x[:2])
    row, calls = engine._rows.row, []

    def fail(handle):
        calls.append(handle)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return row(handle)
    monkeypatch.setattr(engine._rows, "row", fail)
    with pytest.raises(KeyboardInterrupt):
        engine.snapshot(path)
    monkeypatch.undo()
    assert same(sr.Engine.restore(path, model), former)
    engine.snapshot(path)
    assert same(sr.Engine.restore(path, model), engine)


def test_a_snapshot_is_an_open_sqlite_file(taken, model):
    engine, path = taken
    db = sqlite3.connect(path)
    rows = dict(db.execute("SELECT id, row FROM streams"))
    about = dict(db.execute("SELECT key, value FROM about"))
    db.close()
    assert rows == {id: engine.state(id).tobytes() for id in engine.ids}
    assert (about["model"], about["signature"]) == (model.digest, model.signature)


def test_every_truncation_is_refused(taken, model):
    _, path = taken
    content = path.read_bytes()
    for size in {*range(0, len(content), 211), len(content) - 1}:
        path.write_bytes(content[:size])
        with pytest.raises((sr.FileError, sr.StateError)):
            sr.Engine.restore(path, model)


def test_a_flipped_bit_never_gives_another_engine(taken, model):
    engine, path = taken
    content = path.read_bytes()
    flips = np.random.default_rng(8).integers(0, 8 * len(content), 500).tolist()
    used = [8 * n + n % 8 for n in range(len(content)) if content[n] or n < 200]  # empty space in pages teaches little
    for bit in flips + used[::2]:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            restored = sr.Engine.restore(path, model)
        except (sr.FileError, sr.StateError):
            continue
        assert same(restored, engine), f"bit {bit} gave another engine"


def change(path, *statements):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize("statement", [
    "UPDATE streams SET row = 'text' WHERE id = 'a'", "UPDATE streams SET row = 3 WHERE id = 'a'",
    "UPDATE streams SET row = x'00' WHERE id = 'a'", "UPDATE streams SET id = 'z' WHERE id = 'a'",
    "UPDATE streams SET crc = crc + 1 WHERE id = 7", "DELETE FROM streams WHERE id = 'b'",
    "UPDATE about SET value = '2' WHERE key = 'format'", "DELETE FROM about", "DROP TABLE streams", "DROP TABLE about"])
def test_changed_content_is_refused(taken, model, statement):
    _, path = taken
    change(path, statement)
    with pytest.raises((sr.FileError, sr.StateError)):
        sr.Engine.restore(path, model)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 4096])
def test_foreign_bytes_are_refused(tmp_path, model, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(sr.FileError):
        sr.Engine.restore(tmp_path / "s", model)


def test_a_missing_snapshot_is_refused_and_not_made(tmp_path, model):
    with pytest.raises(sr.FileError, match="no snapshot at"):
        sr.Engine.restore(tmp_path / "s", model)
    assert not list(tmp_path.iterdir())


def test_nothing_foreign_is_overwritten(tmp_path, engine):
    (tmp_path / "text").write_bytes(b"my notes, which are no database at all" * 100)
    db = sqlite3.connect(tmp_path / "theirs")
    db.execute("CREATE TABLE accounts (id)")
    db.commit()
    db.close()
    for name in ("text", "theirs"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(sr.FileError):
            engine.snapshot(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_a_place_that_cannot_be_written_is_said_so(tmp_path, engine):
    with pytest.raises((sr.FileError, OSError)):
        engine.snapshot(tmp_path / "no such folder" / "s")


def test_more_streams_than_the_capacity_are_refused(taken, model):
    with pytest.raises(sr.EngineFull):
        sr.Engine.restore(taken[1], model, capacity=3)
