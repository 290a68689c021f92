"""What docs/protocol.md says of a detector's results, against the bytes that a server sends."""
import re
from itertools import pairwise
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq

import streamrnn as sr
from streamrnn.cells.monitors.board import CAUSES

PAGE = Path(sr.__file__).parents[1] / "docs" / "protocol.md"
KEYS = ["stream", "seq", "t", "score", "alert", "cause", "missing", "expected", "spread", "blame", "model", "jump", "duplicate", "epoch",
        "tag"]
ROWS = [[1.0, 1.0]] * 60 + [[50.0, 1.0]]  # what never moved, and then does, is novel


@pytest.fixture
def talk():
    """(ask(frame) -> reply, hear(count) -> published)"""
    models = {"watch": sr.Detector.cold(2, patterns=False).model, "plain": sr.Model(inputs=2, layers=[sr.Dense(1)], seed=1)}
    context = zmq.Context()
    with sr.Server(models, listen="inproc://in", publish="inproc://out", limits=sr.Limits(streams=50), context=context):
        asker, hearer = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        hearer.subscribe(b"")
        asker.connect("inproc://in")
        hearer.connect("inproc://out")

        def ask(frame):
            asker.send(msgpack.packb(frame))
            assert asker.poll(10_000)
            return msgpack.unpackb(asker.recv())

        def hear(count):
            for _ in range(count):
                assert hearer.poll(10_000)
                yield hearer.recv_multipart()

        ask({"op": "ping"})
        yield ask, hear
        asker.close(0)
        hearer.close(0)
    context.term()


def test_keys_come_in_the_order_of_the_page(talk):
    ask, _ = talk
    ask({"stream": "a", "x": [1, 2], "seq": 1})
    frame = {"stream": "a", "x": [None, 2], "seq": 3, "t": 1.7e9, "model": "watch", "epoch": True, "tag": 7}
    result = ask(frame)
    assert list(result) == [key for key in KEYS if key != "duplicate"]
    assert result["t"] == 1.7e9 and result["missing"] == 0.5 and result["jump"] is True
    assert list(ask(frame)) == [key for key in KEYS if key != "jump"]
    assert "missing" not in ask({"stream": "a", "x": [1, 2]})
    table = re.search(r"\*\*A detector's result\*\*.*?\n\n(.*?)\n\n", PAGE.read_text(encoding="utf-8"), re.S)[1]
    assert [key for line in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", line.split("|")[1])] == KEYS


@pytest.mark.parametrize("missing", [[None, 1.0], [float("nan"), 1.0], np.array([np.nan, 1], np.float32).tobytes()])
def test_a_missing_reading_is_the_detectors_alone(talk, missing):
    ask, _ = talk
    result = ask({"stream": "a", "x": missing})
    assert isinstance(result["expected"], bytes) == isinstance(missing, bytes)
    assert ask({"stream": "a", "x": missing, "model": "plain"})["error"] == "bad_value"


def test_alerts_come_under_a_topic_of_their_own(talk):
    ask, hear = talk
    results = [ask({"stream": "a", "x": row}) for row in ROWS]
    assert results[-1]["alert"]
    heard = list(hear(len(ROWS) + sum(result["alert"] for result in results)))
    assert [topic for topic, _ in heard[-2:]] == [b"a", b"!alert/a"]
    assert heard[-2][1] == heard[-1][1]
    assert all(before == (b"a", frame) for before, (topic, frame) in pairwise(map(tuple, heard)) if topic == b"!alert/a")


def test_a_block_has_columns_and_positions_of_alerts(talk):
    ask, hear = talk
    x = np.array(ROWS, np.float32)
    alone = [ask({"stream": "alone", "x": row.tobytes()}) for row in x]
    list(hear(len(ROWS) + sum(result["alert"] for result in alone)))
    result = ask({"streams": ["a"] * len(x), "x": x.tobytes(), "t": [float("nan")] * len(x)})
    y = np.frombuffer(result["y"], np.float32).reshape(len(x), 4 + 3 * 2)
    for row, one in zip(y, alone, strict=True):
        assert (row[0], bool(row[1]), CAUSES[int(row[2])], row[3]) == (one["score"], one["alert"], one["cause"], one.get("missing", 0))
        assert row[4:].tobytes() == one["expected"] + one["spread"] + one["blame"]
    assert result["alerts"] == [n for n, one in enumerate(alone) if one["alert"]]
    assert isinstance(msgpack.unpackb(next(hear(1))[1])["blame"], bytes)
