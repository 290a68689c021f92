"""Bytes that nobody meant to send: each gets an error or is taken, and no other stream notices."""
import random

import msgpack
import numpy as np
from bus.talking import Talk
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bus.core import layout as L
from streamrnn.bus.desk import Limits

LIMITS = Limits(streams=500, frame=4096)


def seeds():
    x = np.ones(3, np.float32)
    return [msgpack.packb(frame) for frame in (
        {"stream": "a", "seq": 1, "t": 1.5, "x": x.tobytes(), "tag": 5, "epoch": True}, {"stream": "é" * 20, "x": [1, 2.5, -3]},
        {"streams": ["a", "b", "c" * 40], "seqs": [1, 2, 3], "t": [1, 2, 3], "x": bytes(36), "tag": 1 << 40},
        {"op": "resume", "streams": ["a", "b"], "tag": 7}, {"op": "close", "stream": "b"}, {"op": "reset", "stream": "a"}, {"op": "ping"},
        {"stream": "n", "x": [1, 2, 3], "more": {"a": [1, [2, [3, {"b": None}]]], "c": b"123", "d": msgpack.ExtType(1, b"12")}},
    )]


def mutated(rng, frame):
    """Bytes flipped, cut out, put in, doubled, or spliced with another frame's."""
    frame = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(frame) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(frame):
            frame[at] = rng.randrange(256)
        elif kind == 1 and at < len(frame):
            frame[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del frame[at:at + rng.randint(1, 9)]
        elif kind == 3:
            frame[at:at] = rng.randbytes(rng.randint(1, 9))
        elif kind == 4:
            frame[at:at] = frame[at:at + 40]
        else:
            other = rng.choice(seeds())
            frame[at:] = other[rng.randrange(len(other)):]
    return bytes(frame)


def test_mutated_frames_get_an_error_each_and_leave_others_alone(model, soak):
    """Every frame is answered; a stream that nobody aims at gives the same bits throughout; memory stays where it was."""
    rng, talk, quiet, originals = random.Random(11), Talk(model, LIMITS), model.stream(), seeds()
    errors = answered = 0
    count = 1_000_000 if soak else 20_000
    for n in range(count):
        if n % 50 == 0:
            x = np.array([rng.random() for _ in range(3)], np.float32)
            assert talk.ask(stream="the quiet one", x=x.tobytes())["y"] == quiet.step(x).tobytes()
        frame = mutated(rng, rng.choice(originals))
        replies = talk.raw(frame)
        assert len(replies) == 1
        answered += 1
        errors += "error" in replies[0]
    counters = talk.desk.counters
    assert answered == count and errors > count / 2
    assert counters[L.ERRORS] == errors == counters[L.COUNTERS_BEFORE_ERRORS:].sum()
    assert len(talk.desk.houses[0]) <= 500 and talk.desk.houses[0].table[L.HEAP_NEXT] <= 500 * 8


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(shared, frame):
    replies = shared.raw(frame)
    assert len(replies) == 1 and ("error" in replies[0] or "y" in replies[0] or "op" in replies[0])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["stream", "streams", "seq", "seqs", "t", "x", "op", "tag", "model", "epoch", "state", "other"]), values, max_size=6
    )
)
def test_maps_of_anything(shared, request):
    """The right keys with any values at all."""
    replies = shared.raw(msgpack.packb(request, use_bin_type=True))
    assert len(replies) == 1 and isinstance(replies[0], dict)


@settings(max_examples=200, deadline=None)
@given(values, st.integers(0, 300))
def test_a_cut_frame_is_refused_and_a_whole_one_is_not(shared, value, cut):
    whole = msgpack.packb({"stream": "a", "other": value, "x": [1, 2, 3]})
    assert "y" in shared.raw(whole)[0]
    if cut < len(whole):
        assert shared.raw(whole[:cut])[0]["error"] == "bad_frame"
