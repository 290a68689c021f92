"""Threads: single steps are atomic, a batch shuts others out with EngineBusy, and nothing races silently."""
import sys
import threading
import time

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.kernels.step import BUSY
from streamrnn.streams import rows


@pytest.fixture(autouse=True)
def switching():
    """Let threads change places as often as they can."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


def together(*works):
    """Run these in a thread each, starting at once; raise the first error of any."""
    errors, start = [], threading.Barrier(len(works))

    def guard(work):
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_two_threads_with_a_stream_each_get_the_serial_results(engine, model):
    x = np.random.default_rng(0).standard_normal((2, 3000, 3), dtype=np.float32)
    wanted, got = model.run(x), {}

    def work(n):
        got[n] = np.stack([engine.step(n, x_t) for x_t in x[n]])
    engine.step_many([0, 1], x[:, 0])
    engine.reset(0)
    engine.reset(1)
    together(lambda: work(0), lambda: work(1))
    assert np.array_equal(got[0], wanted[0])
    assert np.array_equal(got[1], wanted[1])


def test_two_threads_in_one_stream_step_in_some_order(engine, model):
    """Both give the same sample all along, so that every order has the same results: each of them once."""
    x, got = np.full(3, 0.25, np.float32), [[], []]
    engine.stream("a")

    def work(n):
        got[n].extend(engine.step("a", x).tobytes() for _ in range(100))
    together(lambda: work(0), lambda: work(1))
    wanted = [y.tobytes() for y in model.run(np.tile(x, (200, 1)))]
    assert sorted(got[0] + got[1]) == sorted(wanted)


def test_threads_that_open_streams_at_once_get_one_each(model, x):
    wanted = model.run(x[:1])[0]
    for _ in range(3):
        engine, wrong = sr.Engine(model), []

        def work(n, engine=engine, wrong=wrong):
            for id in range(n << 20, (n << 20) + 2500):
                if not np.array_equal(engine.step(id, x[0]), wanted):
                    wrong.append(id)
        together(lambda: work(0), lambda: work(1))
        assert wrong == []
        assert len(engine) == len(set(engine._handles.values())) == 5000


def test_threads_that_open_the_same_ids_share_them(model, x):
    twice = model.stream()
    twice.run(x[[0, 0]])
    for _ in range(3):
        engine = sr.Engine(model)

        def work(engine=engine):
            for id in range(2500):
                engine.step(id, x[0])
        together(work, work)
        assert len(engine) == engine._rows._next == 2500
        assert all(np.array_equal(engine.state(id), twice.state()) for id in range(2500))


@pytest.mark.parametrize("ids", [(1, 2), (1, 1)], ids=["two ids", "one id"])
def test_streams_opened_while_memory_grows_keep_apart(model, x, monkeypatch, ids):
    aligned = rows.aligned
    engine = sr.Engine(model)
    monkeypatch.setattr(rows, "aligned", lambda count: (time.sleep(0.05), aligned(count))[1])
    got = {}

    def work(n):
        got[n] = engine.step(ids[n], x[0]).tobytes()
    together(lambda: work(0), lambda: work(1))
    y = [part.tobytes() for part in model.run(x[[0, 0]])]
    assert sorted(got.values()) == sorted(y if ids == (1, 1) else [y[0], y[0]])
    assert len(engine) == len(set(engine._handles.values())) == engine._rows._next == len(set(ids))


@pytest.fixture(scope="module")
def large():
    """A model and a batch that take a while."""
    model = sr.Model(inputs=8, layers=[sr.LSTM(384), sr.Dense(1)], seed=0)
    return model, np.random.default_rng(2).standard_normal((1500, 8), dtype=np.float32)


CALLS = {
    "step": lambda e, x: e.step(0, x[0]), "first step": lambda e, x: e.step("new", x[0]),
    "step_many": lambda e, x: e.step_many([1, 2], x[:2]),
    "new ids": lambda e, x: e.step_many(["new", "newer"], x[:2]), "reset": lambda e, x: e.reset(0), "close": lambda e, x: e.close(0),
    "state": lambda e, x: e.state(0), "set_state": lambda e, x: e.set_state(0, np.zeros(768)), "fork": lambda e, x: e.fork(0, "new")}


@pytest.mark.parametrize("call", CALLS)
def test_while_a_batch_runs_every_other_call_is_refused(large, call, tmp_path):
    model, x = large
    engine, twin = sr.Engine(model), sr.Engine(model)
    engine.step_many(range(1500), x)
    twin.step_many(range(1500), x)
    group, results, done = engine.group(range(1500)), [], threading.Event()

    def batches():
        try:
            for _ in range(100):
                results.append(engine.step_many(group, x))
                if done.is_set():
                    return
        finally:
            ended.set()
    ended = threading.Event()
    thread = threading.Thread(target=batches)
    thread.start()
    while not engine._rows._machine[BUSY] and not ended.is_set():  # until it is in the kernel
        pass
    try:
        with pytest.raises(sr.EngineBusy, match="another thread"):
            CALLS[call](engine, x)
    finally:
        done.set()
        thread.join()
    for y in results:
        assert np.array_equal(y, twin.step_many(range(1500), x))
    assert engine.ids == twin.ids
    assert all(np.array_equal(engine.state(id), twin.state(id)) for id in (0, 1, 2, 1499))
    CALLS[call](engine, x)


def test_a_stream_of_a_busy_engine_is_refused_too(large):
    model, x = large
    engine = sr.Engine(model)
    stream = engine.stream(0)
    engine._rows._machine[BUSY] = 1
    for call in (lambda: stream.step(x[0]), lambda: stream.state(), lambda: stream.reset(), lambda: engine.snapshot("never")):
        with pytest.raises(sr.EngineBusy):
            call()
    engine._rows._machine[BUSY] = 0
    assert np.array_equal(stream.step(x[0]), model.run(x[:1])[0])


def test_a_refused_batch_leaves_the_engine_free(engine, x):
    with pytest.raises(sr.InputError):
        engine.step_many([0, 1], np.full((2, 3), np.nan))
    engine.step_many([0, 1], x[:2])
    engine.step(0, x[0])


def test_a_model_is_shared_between_threads(model):
    x = np.random.default_rng(5).standard_normal((4, 30, 50, 3), dtype=np.float32)
    wanted, got = [model.run(part) for part in x], {}

    def work(n):
        for _ in range(10):
            got[n] = model.run(x[n], threads=1 + n % 2)
    together(*(lambda n=n: work(n) for n in range(4)))
    assert all(np.array_equal(got[n], wanted[n]) for n in range(4))
