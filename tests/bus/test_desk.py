"""The protocol without sockets: what each frame does to the streams, and to whom what is sent."""
import msgpack
import numpy as np
import pytest
from bus.talking import bits

import streamrnn as sr
from streamrnn.bus.core import layout as L
from streamrnn.bus.desk import Limits


def test_samples_equal_the_models_own_stream_bit_for_bit(model, talk, rng):
    desk, streams = talk(), {id: model.stream() for id in ("a", "b", "ü" * 32)}
    for seq in range(1, 30):
        for id, stream in streams.items():
            x = rng.standard_normal(3).astype(np.float32)
            as_bin = bool(rng.integers(2))
            result = desk.ask(stream=id, seq=seq, t=seq / 2, x=x.tobytes() if as_bin else x.tolist(), tag=seq)
            y = stream.step(x)
            assert list(result) == ["stream", "seq", "t", "y", "tag"]
            assert result["y"] == y.tobytes() if as_bin else bits(result["y"]) == y.tobytes()
            assert (result["stream"], result["seq"], result["t"], result["tag"]) == (id, seq, seq / 2, seq)


def test_a_model_without_any_state_is_served_too(talk, rng):
    model = sr.Model(3, [sr.Dense(2)], seed=1)
    desk, x = talk(model), rng.standard_normal(3).astype(np.float32)
    assert model.row_bytes == 0
    assert desk.ask(stream="a", x=x.tobytes())["y"] == model.stream().step(x).tobytes()


def test_many_frames_before_one_answer_keep_the_order_of_each_stream(model, talk, rng):
    desk, streams = talk(), {f"s{n}": model.stream() for n in range(23)}
    expected = []
    for _ in range(400):
        id = f"s{rng.integers(23)}"
        x = rng.standard_normal(3).astype(np.float32)
        assert desk.desk.take(msgpack.packb({"stream": id, "x": x.tobytes()}), b"p")
        expected.append((id, streams[id].step(x).tobytes()))
    assert [(reply["stream"], reply["y"]) for reply in desk.answers()] == expected


def test_a_block_is_its_samples_in_order(model, talk, rng):
    desk, streams = talk(publishes=True), {id: model.stream() for id in "abc"}
    ids = [str(id) for id in rng.choice(list("abc"), 50)]
    seqs = [ids[:n + 1].count(id) for n, id in enumerate(ids)]
    x = rng.standard_normal((50, 3)).astype(np.float32)
    expected = np.stack([streams[id].step(row) for id, row in zip(ids, x, strict=True)])
    result = desk.ask(streams=ids, seqs=seqs, t=[0.5] * 50, x=x.tobytes(), tag=9)
    assert result == {"streams": ids, "seqs": seqs, "t": [0.5] * 50, "y": expected.tobytes(), "tag": 9}
    assert [(topic.decode(), one["seq"], one["y"]) for topic, one in desk.published] == [
        (id, seq, y.tobytes()) for id, seq, y in zip(ids, seqs, expected, strict=True)]


def test_duplicates_are_answered_again_and_jumps_are_flagged(model, talk):
    desk, stream = talk(), model.stream()
    x = [np.full(3, n, np.float32) for n in range(5)]
    first = desk.ask(stream="a", seq=1, x=x[0].tobytes())
    assert first["y"] == stream.step(x[0]).tobytes()
    assert desk.ask(stream="a", seq=1, x=x[1].tobytes()) == first | {"duplicate": True}
    jump = desk.ask(stream="a", seq=7, x=x[2].tobytes())
    assert jump == {"stream": "a", "seq": 7, "y": stream.step(x[2]).tobytes(), "jump": True}
    assert desk.ask(stream="a", seq=3, x=x[3].tobytes()) == {"stream": "a", "seq": 7, "y": jump["y"], "duplicate": True}
    assert desk.ask(stream="a", x=x[4].tobytes()) == {"stream": "a", "y": stream.step(x[4]).tobytes()}
    block = desk.ask(streams=["a", "b", "a", "a"], seqs=[7, 2, 8, 8], x=np.stack(x[:4]).tobytes())
    assert block["jumps"] == [1] and block["duplicates"] == [0, 3]
    counters = desk.desk.counters
    assert (counters[L.DUPLICATES], counters[L.JUMPS], counters[L.JUMPED_OVER]) == (4, 2, 6)


@pytest.mark.parametrize(("request_", "code"), [
    ({"stream": "a"}, "bad_key"), ({"x": [1, 2, 3]}, "bad_key"), ({"stream": 5, "x": [1, 2, 3]}, "bad_key"),
    ({"stream": "", "x": [1, 2, 3]}, "bad_stream"), ({"stream": "x" * 65, "x": [1, 2, 3]}, "bad_stream"),
    ({"stream": "!a", "x": [1, 2, 3]}, "bad_stream"), ({"stream": "a", "seq": 0, "x": [1, 2, 3]}, "bad_seq"),
    ({"stream": "a", "seq": 1 << 63, "x": [1, 2, 3]}, "bad_seq"), ({"stream": "a", "seq": -1, "x": [1, 2, 3]}, "bad_key"),
    ({"stream": "a", "x": [1, 2]}, "bad_width"), ({"stream": "a", "x": b"12345678"}, "bad_width"),
    ({"stream": "a", "x": [1, 2, None]}, "bad_value"), ({"stream": "a", "x": [1, 2, 1e300]}, "bad_value"),
    ({"stream": "a", "x": [1, 2, True]}, "bad_key"), ({"stream": "a", "x": "abc"}, "bad_key"),
    ({"stream": "a", "x": [1, 2, 3], "model": "other"}, "unknown_model"), ({"op": "dance"}, "unknown_op"),
    ({"op": "reset", "stream": "nobody"}, "unknown_stream"), ({"op": "close"}, "bad_key"), ({"op": "resume"}, "bad_key"),
    ({"streams": [], "x": b""}, "bad_key"), ({"streams": ["a"], "x": [1, 2, 3]}, "bad_key"),
    ({"streams": ["a", "b"], "x": bytes(12)}, "bad_width"), ({"streams": ["a"], "seqs": [1, 2], "x": bytes(12)}, "bad_key"),
    ({"streams": ["a", 7], "x": bytes(24)}, "bad_key"), ({"streams": ["a", "!"], "x": bytes(24)}, "bad_stream"),
    ({"streams": ["a", "b"], "x": bytes(20) + b"\0\0\x80\x7f"}, "bad_value"),
])
def test_a_bad_frame_gets_its_code_and_changes_nothing(talk, request_, code):
    desk = talk()
    error = desk.ask(**request_)
    assert error["error"] == code and "$" not in error["detail"]
    assert len(desk.desk.houses[0]) == 0 and desk.desk.counters[L.SAMPLES_STEPPED] == 0 and desk.desk.counters[L.ERRORS] == 1


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x91\x01", b"\x81", b"\x81\xa1x", b"\x80\x80", b"\x83\xa1x\x01\xa1x\x01\xa1y\x01",
                                   b"\x81\xa1q" + b"\x91" * 40 + b"\x01", b"\xdf\xff\xff\xff\xff", b"\x81\xa6stream\xdb\xff\xff\xff\xff"])
def test_what_is_no_map_is_a_bad_frame(talk, frame):
    assert talk().raw(frame)[0]["error"] == "bad_frame"


def test_unknown_keys_of_any_kind_are_skipped(talk):
    odd = {
        "deep": [[[{"a": [1.5, None, b"x" * 300, "y" * 70000]}]]],
        "ext": msgpack.ExtType(3, b"abc"),
        "n": -(1 << 63),
        "m": {i: i for i in range(20)},
    }
    assert "y" in talk().ask(stream="a", x=[1, 2, 3], **odd)
    assert "y" in talk().raw(msgpack.packb({5: 6, None: 7, "stream": "a", "x": [1, 2, 3], b"raw": 1}))[0]


def test_numbers_of_every_width_are_taken(model, talk):
    desk, stream = talk(), model.stream()
    head = b"\x82\xa6stream\xa1a\xa1x\x93"
    forms = [
        b"\x05",
        b"\xfb",
        b"\xcc\x05",
        b"\xcd\x00\x05",
        b"\xce\x00\x00\x00\x05",
        b"\xcf" + bytes(7) + b"\x05",
        b"\xd0\xfb",
        b"\xd1\xff\xfb",
        b"\xd2\xff\xff\xff\xfb",
        b"\xd3" + b"\xff" * 7 + b"\xfb",
        msgpack.packb(5.0),
        msgpack.packb(5.0, use_single_float=True),
    ]
    for form in forms:
        value = msgpack.unpackb(form)
        result, = desk.raw(head + form * 3)
        assert bits(result["y"]) == stream.step(np.full(3, value, np.float32)).tobytes(), form


def test_controls(talk):
    desk = talk(epoch=7)
    assert desk.ask(op="ping", tag=1) == {"op": "ping", "epoch": 7, "tag": 1}
    first = desk.ask(stream="a", seq=1, x=[1, 2, 3])
    desk.ask(stream="a", seq=2, x=[1, 2, 3])
    assert desk.ask(op="resume", streams=["a", "b"]) == {
        "op": "resume",
        "durable": {"a": 0, "b": 0},
        "last": {"a": 2, "b": 0},
        "store": False,
    }
    assert desk.ask(op="reset", stream="a") == {"op": "reset", "stream": "a"}
    assert desk.ask(stream="a", seq=3, x=[1, 2, 3]) == first | {"seq": 3}
    assert desk.ask(op="close", stream="a") == {"op": "close", "stream": "a"}
    assert desk.ask(stream="a", seq=1, x=[1, 2, 3], epoch=True) == first | {"epoch": 7}


def test_nothing_is_answered_to_push_and_controls_are_refused_there(talk):
    desk = talk(publishes=True)
    assert desk.raw(msgpack.packb({"stream": "a", "x": [1, 2, 3]}), b"", origin=L.PULL) == []
    assert desk.raw(msgpack.packb({"op": "close", "stream": "a"}), b"", origin=L.PULL) == []
    assert len(desk.published) == 1 and len(desk.desk.houses[0]) == 1 and desk.desk.counters[L.ERRORS] == 1


def test_ids_come_and_go(talk, rng):
    """The table against a dict, at its limit: opened, closed, found again, refused."""
    desk, there = talk(limits=Limits(streams=40)), {}
    for _ in range(6000):
        id = "stream-" + "x" * int(rng.integers(12)) + str(rng.integers(30))
        if rng.integers(3):
            result = desk.ask(stream=id, seq=there.get(id, 0) + 1, x=[1, 2, 3])
            if "error" in result:
                assert result["error"] == "full" and len(there) == 40 and id not in there
            else:
                there[id] = there.get(id, 0) + 1
        else:
            assert ("error" in desk.ask(op="close", stream=id)) == (id not in there)
            there.pop(id, None)
        assert len(desk.desk.houses[0]) == len(there)
    assert desk.ask(op="resume", streams=list(there))["last"] == there


def test_a_block_with_no_room_for_all_opens_none(talk):
    desk = talk(limits=Limits(streams=4))
    desk.ask(stream="a", x=[1, 2, 3])
    assert desk.ask(streams=list("abcde"), x=bytes(60))["error"] == "full"
    assert len(desk.desk.houses[0]) == 1
    assert "y" in desk.ask(streams=list("abcd"), x=bytes(48))


def test_limits_of_a_peer(talk):
    desk = talk(limits=Limits(streams=100, per_peer=3))
    assert all("y" in desk.ask(stream=f"{n}", x=[1, 2, 3]) for n in range(3))
    assert desk.ask(stream="4", x=[1, 2, 3])["error"] == "full"
    assert "y" in desk.ask(stream="1", x=[1, 2, 3]) and "y" in desk.ask(b"another", stream="4", x=[1, 2, 3])
    desk = talk(limits=Limits(streams=100, rate=50))
    codes = [desk.ask(stream="a", x=[1, 2, 3]).get("error") for _ in range(60)]
    assert codes[:50] == [None] * 50 and codes.count("rate") >= 8
    assert "y" in desk.ask(b"another", stream="a", x=[1, 2, 3])


def test_a_frame_that_is_too_large(talk):
    desk = talk(limits=Limits(streams=100, frame=1000))
    error = desk.ask(stream="a", x=[1, 2, 3], pad=bytes(2000))
    assert error["error"] == "too_large" and "1000" in error["detail"]


def test_several_models_by_name(model, talk):
    other = sr.Model(inputs=2, layers=[sr.GRU(4)], seed=3)
    desk = talk([("pumps", model), ("fans", other)], publishes=True)
    a, b = model.stream(), other.stream()
    for _ in range(3):
        assert bits(desk.ask(stream="a", x=[1, 2, 3])["y"]) == a.step(np.array([1, 2, 3], np.float32)).tobytes()
        result = desk.ask(stream="a", x=[1, 2], model="fans")
        assert bits(result["y"]) == b.step(np.array([1, 2], np.float32)).tobytes() and result["model"] == "fans"
    assert [len(house) for house in desk.desk.houses] == [1, 1]
    assert desk.ask(stream="a", x=[1, 2], model="pumps")["error"] == "bad_width"


def test_early_samples_wait_for_those_before_them(model, talk):
    desk, stream = talk(reorder=60_000), model.stream()
    x = [np.full(3, n, np.float32) for n in range(6)]
    expected = [stream.step(row).tobytes() for row in x]
    ask = lambda seq: desk.raw(msgpack.packb({"stream": "a", "seq": seq, "x": x[seq - 1].tobytes()}))
    assert [reply["seq"] for reply in ask(1)] == [1]
    assert ask(3) == [] and ask(5) == [] and ask(4) == []
    replies = ask(2) + ask(6)
    assert [reply["seq"] for reply in replies] == [2, 3, 4, 5, 6] and [reply["y"] for reply in replies] == expected[1:]
    assert desk.desk.counters[L.HELD_BACK] == 3 and desk.desk.counters[L.JUMPS] == 0


def test_a_wait_ends_with_a_jump(talk):
    desk = talk(reorder=100)  # ms: long enough that even a busy machine has not waited when the first look comes
    assert desk.raw(msgpack.packb({"stream": "a", "seq": 2, "x": [1, 2, 3]})) == []
    while not (replies := desk.answers()):
        pass
    assert replies[0]["seq"] == 2 and replies[0]["jump"]


def test_an_outbox_that_runs_full_goes_on_where_it_stopped(model, talk, rng):
    """Results of a great block, all published: more than the outbox and its entries hold at once."""
    desk = talk(limits=Limits(streams=30_000, frame=4 << 20), publishes=True)
    ids = [f"stream-number-{n}" for n in range(30_000)]
    x = rng.standard_normal((30_000, 3)).astype(np.float32)
    result = desk.ask(streams=ids, x=x.tobytes())
    y = np.frombuffer(result["y"], np.float32).reshape(-1, 2)
    assert [topic.decode() for topic, _ in desk.published] == ids
    assert b"".join(one["y"] for _, one in desk.published) == y.tobytes()
    assert (y[[0, -1]] == [model.stream().step(x[0]), model.stream().step(x[-1])]).all()


def test_tokens_are_checked(talk):
    desk = talk(sr.Model(inputs=1, layers=[sr.Embedding(10, 4), sr.GRU(3)], seed=0))
    assert desk.ask(stream="a", x=[10])["error"] == "bad_value" and desk.ask(stream="a", x=[1.5])["error"] == "bad_value"
    assert "y" in desk.ask(stream="a", x=[9])
