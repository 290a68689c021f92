"""Where streams live: capacity, growth without moving, and what a stream costs besides its row."""
import gc
import tracemalloc

import numpy as np
import pytest

import streamrnn as sr


@pytest.mark.parametrize("open_one", [
    lambda e, x: e.step("new", x), lambda e, x: e.stream("new"), lambda e, x: e.fork(0, "new"),
    lambda e, x: e.set_state("new", e.state(0)), lambda e, x: e.step_many(["new"], x[None]), lambda e, x: e.group(["new"])],
    ids=["step", "stream", "fork", "set_state", "step_many", "group"])
def test_a_full_engine_refuses_a_new_stream_and_goes_on(model, x, image, open_one):
    engine = sr.Engine(model, capacity=3)
    engine.step_many([0, 1, 2], x[:3])
    before = image(engine)
    with pytest.raises(sr.EngineFull, match=r"all 3 streams.*close some.*ttl.*capacity"):
        open_one(engine, x[0])
    assert image(engine) == before
    engine.step_many([2, 1, 0], x[:3])
    engine.close(1)
    open_one(engine, x[0])
    assert engine.ids == [0, 2, "new"]


@pytest.mark.parametrize("call", [lambda e, ids, x: e.step_many(ids, x), lambda e, ids, x: e.group(ids)], ids=["step_many", "group"])
def test_a_batch_of_which_some_do_not_fit_opens_none(model, x, image, call):
    engine = sr.Engine(model, capacity=4)
    engine.step_many([0, 1], x[:2])
    before = image(engine)
    for _ in range(2):
        with pytest.raises(sr.EngineFull):
            call(engine, [0, 10, 11, 12, 1], x[:5])
        assert image(engine) == before
    call(engine, [0, 10, 11, 10, 1], x[:5])
    assert engine.ids == [0, 1, 10, 11]


@pytest.mark.parametrize("start", [2, 1023, 1024, 1500])
def test_a_raised_capacity_takes_more_streams(model, x, start):
    engine = sr.Engine(model, capacity=start)
    engine.step_many(range(start), np.tile(x[0], (start, 1)))
    kept = engine.state(start - 1)
    engine.capacity = start + 1100
    assert engine.capacity == start + 1100
    engine.step_many(range(start, start + 1100), np.tile(x[1], (1100, 1)))
    assert len(engine) == start + 1100
    assert np.array_equal(engine.state(start - 1), kept)
    assert np.array_equal(engine.step(start + 1099, x[2]), model.run(x[1:3])[1])
    with pytest.raises(sr.EngineFull):
        engine.step("one more", x[0])
    engine.capacity = None
    engine.step("one more", x[0])


def test_a_lowered_capacity_holds(model, x):
    engine = sr.Engine(model, capacity=10)
    engine.step_many(range(10), x[:10])
    with pytest.raises(sr.ConfigError, match=r"10 streams are open.*drop to 9"):
        engine.capacity = 9
    for id in range(7):
        engine.close(id)
    engine.capacity = 4
    engine.step("a", x[0])
    with pytest.raises(sr.EngineFull):
        engine.step("b", x[0])
    assert len(engine) == 4
    with pytest.raises(sr.ConfigError):
        engine.capacity = 0


def test_closing_and_opening_takes_no_more_memory(model, x):
    engine = sr.Engine(model)
    for id in range(5000):
        engine.step(id, x[0])
        engine.close(id)
    assert len(engine._rows._chunks) == 1
    assert np.array_equal(engine.step("a", x[0]), model.run(x[:1])[0])


def test_memory_never_moves_as_the_engine_grows(model, x):
    engine = sr.Engine(model)
    engine.step_many(range(1000), np.tile(x[0], (1000, 1)))
    views = {id: engine._rows.row(engine._handles[id]) for id in (0, 1, 500, 999)}
    places = {id: view.ctypes.data for id, view in views.items()}
    stream, group = engine.stream(500), engine.group(range(1000))
    before = {id: view.copy() for id, view in views.items()}
    engine.step_many(range(1000, 4000), np.tile(x[1], (3000, 1)))
    assert len(engine._rows._chunks) == 4
    for id, view in views.items():
        assert engine._rows.row(engine._handles[id]).ctypes.data == places[id]
        assert np.array_equal(view, before[id])
    engine.step_many(group, np.tile(x[1], (1000, 1)))
    assert np.array_equal(stream.step(x[2]), model.run(x[:3])[2])
    assert np.array_equal(views[500], engine.state(500))


@pytest.mark.parametrize("how", ["step", "step_many"])
def test_a_stream_takes_at_most_128_bytes_besides_its_row(how):
    model = sr.Model(inputs=1, layers=[sr.RNN(2), sr.Dense(1)], seed=0)
    count = 100_000
    ids, x = [f"sensor-{n}" for n in range(count)], np.zeros((count, 1), np.float32)
    sr.Engine(model).step_many(["a"], x[:1])
    gc.collect()
    tracemalloc.start()
    try:
        engine = sr.Engine(model)
        before, _ = tracemalloc.get_traced_memory()
        if how == "step":
            for n, id in enumerate(ids):
                engine.step(id, x[n])
        else:
            engine.step_many(ids, x)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    rows = sum(chunk.nbytes for chunk in engine._rows._chunks)
    assert len(engine) == count
    assert rows >= count * model.row_bytes
    each = (after - before - rows) / count
    assert 8 < each <= 128, f"{each:.1f} bytes a stream"
