"""Engine: every id has a stream of its own, however the calls are mixed; what is refused leaves all as it was."""
import numpy as np
import pytest

import streamrnn as sr


def test_the_first_step_opens_an_id_from_zeros(engine, model, x):
    assert "a" not in engine
    assert np.array_equal(engine.step("a", x[0]), model.run(x[:1])[0])
    assert "a" in engine
    assert engine.ids == ["a"]
    assert len(engine) == 1
    assert np.array_equal(engine.step("a", x[1]), model.run(x[:2])[1])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 130])
def test_a_batch_is_its_streams_stepped_one_by_one(model, count, threads):
    noise = np.random.default_rng(count)
    engine, alone = sr.Engine(model, threads=threads), {id: model.stream() for id in range(count)}
    for _ in range(4):
        ids = noise.permutation(count)[:noise.integers(1, count + 1)]
        batch = noise.standard_normal((len(ids), 3), dtype=np.float32)
        y = engine.step_many(ids, batch)
        assert y.dtype == np.float32
        assert np.array_equal(y, np.stack([alone[id].step(x_t) for id, x_t in zip(ids, batch, strict=True)]))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_id_that_comes_twice_is_stepped_twice_in_order(model, threads):
    noise = np.random.default_rng(1)
    engine, alone = sr.Engine(model, threads=threads), {id: model.stream() for id in range(5)}
    ids = noise.integers(0, 5, 200)
    batch = noise.standard_normal((200, 3), dtype=np.float32)
    wanted = np.stack([alone[id].step(x_t) for id, x_t in zip(ids, batch, strict=True)])
    assert np.array_equal(engine.step_many(ids, batch), wanted)
    again = np.stack([alone[id].step(x_t) for id, x_t in zip(ids, batch, strict=True)])
    assert np.array_equal(engine.step_many(engine.group(ids), batch), again)


def test_an_empty_batch_steps_nothing(engine):
    assert engine.step_many([], np.zeros((0, 3))).shape == (0, 2)
    assert len(engine) == 0


@pytest.mark.parametrize("ids", [["a", "b"], ("a", "b"), np.array(["a", "b"]), [np.str_("a"), np.str_("b")],
                                 np.array(["a", "b"], object), {"a": 1, "b": 2}, (c for c in "ab")],
                         ids=["list", "tuple", "array", "np.str_", "objects", "dict", "generator"])
def test_ids_come_in_any_iterable(engine, model, x, ids):
    y = engine.step_many(ids, x[:2])
    assert np.array_equal(y, np.stack([model.run(x[:1])[0], model.run(x[1:2])[0]]))
    assert engine.ids == ["a", "b"]
    engine.step("a", x[2])
    assert len(engine) == 2


def test_whole_numbers_are_ids_and_no_strings(engine, x):
    engine.step_many(np.array([3, -4], np.int32), x[:2])
    assert engine.ids == [3, -4]
    assert [type(id) for id in engine.ids] == [int, int]
    engine.step("3", x[0])
    engine.step(3, x[0])
    engine.step(-(1 << 63), x[0])
    engine.step((1 << 63) - 1, x[0])
    assert len(engine) == 5


def test_a_numpy_whole_number_means_the_same_id_or_is_refused_always(engine, x):
    engine.step(3, x[0])
    fresh = sr.Engine(engine.model)
    answers = []
    for some in (engine, fresh):
        try:
            some.step(np.int64(3), x[0])
            answers.append("taken")
        except sr.InputError:
            answers.append("refused")
    assert answers[0] == answers[1]


def test_an_id_has_64_bytes(engine, x):
    engine.step("ä" * 32, x[0])
    with pytest.raises(sr.InputError, match=r"1 to 64 bytes.*has 66"):
        engine.step("ä" * 33, x[0])


BAD_IDS = {"none": None, "bytes": b"a", "float": 1.5, "true": True, "empty": "", "long": "a" * 65, "huge": 1 << 63, "low": -(1 << 63) - 1,
           "list": ["a"], "array": np.zeros(2), "tuple": ("a",), "surrogate": "\ud800", "whole float": 1.0}


@pytest.mark.parametrize("others", [[], ["b", 7]], ids=["empty engine", "engine in use"])
@pytest.mark.parametrize("kind", BAD_IDS)
def test_what_is_no_id_is_refused_and_changes_nothing(engine, x, image, kind, others):
    id = BAD_IDS[kind]
    for other in others:
        engine.step(other, x[0])
        engine.step_many([other], x[:1])
    before = image(engine)
    for call in (lambda: engine.step(id, x[0]), lambda: engine.step_many([id], x[:1]), lambda: engine.step_many(["new", id], x[:2]),
                 lambda: engine.stream(id), lambda: engine.group(["new", id]),
                 lambda: engine.set_state(id, np.zeros(engine.model.row_bytes // 4))):
        with pytest.raises(sr.InputError):
            call()
        assert image(engine) == before
    for call in (lambda: engine.reset(id), lambda: engine.close(id), lambda: engine.state(id), lambda: engine.fork(id, "new")):
        with pytest.raises((sr.InputError, sr.UnknownStream)):
            call()
        assert image(engine) == before
    assert id not in engine


@pytest.mark.parametrize("ids", ["ab", b"ab", 3, None])
def test_what_is_no_list_of_ids_is_refused(engine, x, ids):
    with pytest.raises(sr.InputError, match="ids must be a list"):
        engine.step_many(ids, x[:2])
    assert len(engine) == 0


def refusals(x):
    bad = x[:9].copy()
    bad[8, 2] = np.nan
    return {"nan in the last row": (bad, r"x\[8\]\[2\] is nan"), "too narrow": (x[:9, :2], r"shape \(n, 3\); got shape \(9, 2\)"),
            "too few": (x[:8], "9 ids for 8 rows"), "too many": (x[:10], "9 ids for 10 rows"), "one sample": (x[0], r"got shape \(3,\)"),
            "sequences": (x[:9, None], "got shape"), "text": ([["a"] * 3] * 9, "got dtype"), "none": (None, "object"),
            "ragged": ([[1, 2, 3], [1]], "regular array")}


@pytest.mark.parametrize("kind", refusals(np.zeros((40, 3))))
@pytest.mark.parametrize("how", ["ids", "group"])
def test_a_refused_batch_steps_nothing_and_opens_nothing(engine, x, image, kind, how):
    old = [0, 1, 2, 3, 4]
    engine.step_many(old, x[:5])
    ids = old + [10, 11, 12, 13] if how == "ids" else engine.group(old + [0, 1, 2, 3])
    before = image(engine)
    batch, words = refusals(x)[kind]
    for _ in range(2):
        with pytest.raises(sr.InputError, match=words):
            engine.step_many(ids, batch)
        assert image(engine) == before
    engine.step_many(ids, x[:9])


def test_a_refused_first_step_opens_nothing(engine, x):
    for sample in (x[0, :2], [np.nan, 0, 0], "abc", None):
        with pytest.raises(sr.InputError):
            engine.step("a", sample)
        assert len(engine) == 0


def test_a_group_is_its_streams_in_order(engine, model, x):
    group = engine.group(["a", "b", "c"])
    assert len(group) == 3
    assert engine.ids == ["a", "b", "c"]
    engine.step_many(group, x[:3])
    engine.step_many(group[[2, 0]], x[3:5])
    engine.step_many(group[1:2], x[5:6])
    for id, rows in {"a": [0, 4], "b": [1, 5], "c": [2, 3]}.items():
        alone = model.stream()
        alone.run(x[rows])
        assert np.array_equal(engine.state(id), alone.state())
    assert "3 streams" in repr(group)


def test_a_group_that_repeats_a_stream_steps_it_in_order(engine, model, x):
    group = engine.group(["a", "b"])[[0, 0, 1, 0] * 5]
    y = engine.step_many(group, x[:20])
    assert np.array_equal(y[[n for n in range(20) if n % 4 != 2]], model.run(x[[n for n in range(20) if n % 4 != 2]]))


def test_a_group_of_another_engine_is_refused(engine, model, x):
    with pytest.raises(sr.InputError, match="another engine"):
        engine.step_many(sr.Engine(model).group(["a"]), x[:1])


def test_a_closed_stream_is_gone_and_its_slot_starts_from_zeros(engine, model, x, image):
    stream, group = engine.stream("a"), engine.group(["b", "a"])
    engine.step_many(["a", "b"], x[:2])
    engine.close("a")
    assert engine.ids == ["b"]
    for call in (lambda: engine.state("a"), lambda: engine.reset("a"), lambda: engine.close("a"), lambda: engine.fork("a", "c"),
                 lambda: stream.step(x[0]), lambda: stream.run(x), lambda: stream.state(), lambda: stream.reset(),
                 lambda: stream.set_state(engine.state("b")), lambda: engine.step_many(group, x[:2])):
        with pytest.raises(sr.UnknownStream):
            call()
    y = engine.step("new", x[5])  # takes the slot over
    assert engine._handles["new"] & 0xFFFFFFFF == stream._handle & 0xFFFFFFFF
    assert np.array_equal(y, model.run(x[5:6])[0])
    before = image(engine)
    for call in (lambda: stream.step(x[0]), lambda: stream.reset(), lambda: engine.step_many(group, x[:2])):
        with pytest.raises(sr.UnknownStream):
            call()
    assert image(engine) == before


def test_a_batch_that_was_seen_before_survives_a_close(engine, model, x):
    ids = ["a", "b"]
    engine.step_many(ids, x[:2])
    engine.close("a")
    y = engine.step_many(ids, x[2:4])
    assert np.array_equal(y[0], model.run(x[2:3])[0])
    assert np.array_equal(y[1], model.run(x[[1, 3]])[1])


def test_a_callers_list_may_change_between_batches(engine, model, x):
    ids = ["a", "b"]
    engine.step_many(ids, x[:2])
    ids.reverse()
    assert np.array_equal(engine.step_many(ids, x[2:4])[0], model.run(x[[1, 2]])[1])


def test_reset_touches_one_stream_only(engine, model, x):
    engine.step_many(["a", "b"], x[:2])
    kept = engine.state("b")
    engine.reset("a")
    assert not engine.state("a").any()
    assert np.array_equal(engine.state("b"), kept)
    assert np.array_equal(engine.step("a", x[3]), model.run(x[3:4])[0])


def test_state_and_set_state_move_a_stream(engine, model, x):
    for x_t in x[:7]:
        engine.step("a", x_t)
    row = engine.state("a")
    other = sr.Engine(model)
    other.set_state("opened by this", row)
    alone = model.stream()
    alone.set_state(row)
    assert np.array_equal(other.step("opened by this", x[7]), engine.step("a", x[7]))
    assert np.array_equal(alone.step(x[7]), model.run(x[:8])[7])


def test_a_refused_state_opens_nothing(engine):
    with pytest.raises(sr.StateError):
        engine.set_state("a", np.zeros(3))
    assert len(engine) == 0


def test_a_fork_goes_its_own_way(engine, model, x):
    engine.step("a", x[0])
    engine.fork("a", "b")
    assert np.array_equal(engine.step("b", x[1]), model.run(x[:2])[1])
    assert np.array_equal(engine.step("a", x[2]), model.run(x[[0, 2]])[1])
    with pytest.raises(sr.InputError, match="already open"):
        engine.fork("a", "b")
    with pytest.raises(sr.UnknownStream, match="'none'"):
        engine.fork("none", "c")
    assert engine.ids == ["a", "b"]


def test_a_stream_of_the_engine_is_the_id(engine, x):
    stream = engine.stream("a")
    stream.step(x[0])
    engine.step("a", x[1])
    assert np.array_equal(stream.state(), engine.state("a"))
    assert np.array_equal(engine.model.run(x[:3])[2], stream.step(x[2]))


@pytest.mark.parametrize(("options", "words"), [
    ({"capacity": 0}, "capacity.*got 0"), ({"capacity": True}, "got True"), ({"capacity": 1.5}, r"got 1\.5"),
    ({"threads": 0}, "threads.*got 0"), ({"threads": "2"}, "threads"),
    ({"ttl": 0}, "ttl.*got 0"), ({"ttl": -1}, "ttl"), ({"ttl": float("nan")}, "ttl"), ({"ttl": "1"}, "ttl"),
    ({"device": "cuda:99"}, "device")])
def test_engines_that_cannot_be_are_refused(model, options, words):
    with pytest.raises(sr.ConfigError, match=words):
        sr.Engine(model, **options)


def test_an_engine_needs_a_model():
    with pytest.raises(sr.ConfigError, match=r"needs a Model.*'m.safetensors'.*load"):
        sr.Engine("m.safetensors")
