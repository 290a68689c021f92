"""Time to live: idle streams are closed, counted and reported; streams in use never are."""
import numpy as np
import pytest

import streamrnn as sr


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def engine(model, clock, said):
    return sr.Engine(model, ttl=10, clock=clock, on_evict=lambda id, row: said.append((id, row)))


def test_an_idle_stream_is_closed_counted_and_reported_with_its_last_state(engine, model, clock, said, x):
    engine.step("a", x[0])
    last = engine.state("a")
    clock.now = 9.9
    engine.step("b", x[1])
    assert "a" in engine
    clock.now = 10
    engine.step("c", x[1])
    assert engine.ids == ["b", "c"]
    assert engine.evicted == 1
    assert [id for id, _ in said] == ["a"]
    assert np.array_equal(said[0][1], last)
    assert np.array_equal(engine.step("a", x[2]), model.run(x[2:3])[0])
    assert "ttl 10 s, 1 evicted" in repr(engine)


@pytest.mark.parametrize("use", [
    lambda e, x: e.step("a", x), lambda e, x: e.step_many(["a"], x[None]), lambda e, x: e.step_many(e.group(["a"]), x[None]),
    lambda e, x: e.step_many((id for id in ["a"]), x[None]), lambda e, x: e.step_many(np.array(["a"]), x[None]),
    lambda e, x: e.set_state("a", e.state("a")), lambda e, x: e.stream("a").step(x)],
    ids=["step", "step_many", "group", "generator", "array", "set_state", "stream"])
def test_a_stream_in_use_is_kept(engine, clock, said, x, use):
    engine.step("a", x[0])
    engine.step("idle", x[0])
    for n in range(12):
        clock.now += 3
        use(engine, x[n])
        engine.step("other", x[0])
    assert "a" in engine
    assert [id for id, _ in said] == ["idle"]


def test_a_stream_held_as_a_handle_is_kept_while_it_is_stepped(engine, clock, x):
    stream = engine.stream("a")
    for n in range(12):
        clock.now += 3
        stream.step(x[n])
        stream.run(x[:2])
        engine.step("other", x[0])
    assert "a" in engine


@pytest.mark.parametrize("open_it", [lambda e, x: e.stream("a"), lambda e, x: e.group(["a"]), lambda e, x: e.fork("old", "a"),
                                     lambda e, x: e.step_many(np.array(["a"]), x[None])], ids=["stream", "group", "fork", "array"])
def test_an_opened_stream_that_gets_no_samples_is_closed(engine, clock, said, x, open_it):
    engine.step("old", x[0])
    open_it(engine, x[0])
    for _ in range(8):
        clock.now += 3
        engine.step("old", x[0])
    assert engine.ids == ["old"]
    assert [id for id, _ in said] == ["a"]


def test_ids_from_an_array_of_numbers_are_evicted_and_reported_as_plain_numbers(engine, clock, said, x):
    engine.step_many(np.array([1, 2]), x[:2])
    clock.now = 20
    engine.step("b", x[0])
    assert engine.ids == ["b"]
    assert [(id, type(id)) for id, _ in said] == [(1, int), (2, int)]


def test_a_batch_of_idle_and_new_ids_goes_through(engine, model, clock, x):
    engine.step("idle", x[0])
    clock.now = 20
    y = engine.step_many(["idle", "new"], x[1:3])
    assert set(engine.ids) == {"idle", "new"}
    assert np.array_equal(y[1], model.run(x[2:3])[0])
    assert any(np.array_equal(y[0], wanted) for wanted in (model.run(x[1:2])[0], model.run(x[:2])[1]))


def test_a_full_engine_makes_room_from_what_is_idle(model, clock, x):
    engine = sr.Engine(model, capacity=2, ttl=10, clock=clock)
    engine.step_many(["a", "b"], x[:2])
    with pytest.raises(sr.EngineFull):
        engine.step("c", x[0])
    clock.now = 10
    engine.step("c", x[0])
    assert engine.ids == ["c"]
    assert engine.evicted == 2


def test_without_ttl_nothing_is_ever_evicted(model, clock, said, x):
    engine = sr.Engine(model, clock=clock, on_evict=lambda *what: said.append(what))
    engine.step("a", x[0])
    clock.now = 1e12
    engine.step("b", x[0])
    engine.step_many(["c", "b"], x[:2])
    assert engine.ids == ["a", "b", "c"]
    assert (engine.evicted, said) == (0, [])


def test_a_closed_stream_is_not_reported(engine, clock, said, x):
    engine.step("a", x[0])
    engine.close("a")
    clock.now = 30
    engine.step("b", x[0])
    assert (engine.evicted, said) == (0, [])


def test_the_callback_may_close_and_open_streams(model, clock, x):
    said = []

    def follow(id, row):
        said.append(id)
        for other in set(engine.ids) - {"kept"}:
            engine.close(other)
        engine.set_state("kept", row)
    engine = sr.Engine(model, ttl=10, clock=clock, on_evict=follow)
    engine.step_many(["a", "b"], x[:2])
    last = engine.state("a")
    clock.now = 20
    engine.step("c", x[2])
    assert said == ["a"]
    assert set(engine.ids) == {"kept", "c"}
    assert np.array_equal(engine.state("kept"), last)


def test_a_restored_stream_has_its_whole_time_to_live(engine, model, clock, x, tmp_path):
    engine.step("a", x[0])
    engine.snapshot(tmp_path / "s")
    clock.now = 50
    again = sr.Engine.restore(tmp_path / "s", model, ttl=10, clock=clock)
    clock.now = 59
    again.step("b", x[0])
    assert "a" in again
    clock.now = 60
    again.step("c", x[0])
    assert "a" not in again
