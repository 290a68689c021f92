"""The compiled protocol against its twin in plain Python: the same replies, key by key and in the same order."""
import random

import msgpack
import numpy as np
from bus.talking import Talk
from bus.test_fuzz import mutated
from bus.twin import Twin

import streamrnn as sr
from streamrnn.bus.desk import Limits
from streamrnn.detect.build import started

CAPACITY = 40


def ordered(reply):
    """A reply as it can be compared: keys in their order, floats by their bits, an error without its words."""
    def plain(value):
        if isinstance(value, float):
            return np.float64(value).tobytes()
        return [plain(part) for part in value] if isinstance(value, list) else value
    return [(key, plain(value)) for key, value in reply.items() if key != "detail"]


def request(rng, n):
    """A request of any kind: mostly right, often a duplicate, a jump or one too many, sometimes wrong."""
    id = lambda: rng.choice(["a", "b", "sensor/1", "é" * 10, f"s{rng.randrange(60)}", "x" * 64])
    number = lambda: rng.choice([rng.uniform(-3, 3), rng.randrange(-5, 5), 1e-3])
    moment = lambda: rng.choice([number(), 1.7e9 + n, 1.7e9 + n / 3, -1e5 - n])
    more = {key: value for key, value in (("tag", n), ("epoch", rng.random() < .5), ("model", rng.choice(["one", "two", "watch", "three"])),
                                          ("t", moment()), ("seq", rng.randrange(0, 30)), ("extra", [n, {"k": None}])) if rng.random() < .3}
    kind = rng.randrange(10)
    if kind < 5:
        inputs = 2 if more.get("model") == "two" else 3
        x = [number() for _ in range(inputs + (rng.random() < .05))]
        if rng.random() < .03:
            x[0] = float("inf")
        if rng.random() < .1:
            x[-1] = None if rng.random() < .5 else float("nan")
        if None in x:
            return {"stream": id(), "x": x, **more}
        return {"stream": id(), "x": x if rng.random() < .5 else np.array(x, np.float32).tobytes(), **more}
    if kind < 7:
        count = rng.randrange(0, 12)
        more.pop("seq", None)
        inputs = 2 if more.get("model") == "two" else 3
        if "t" in more:
            more["t"] = [moment() for _ in range(count)]
        if rng.random() < .6:
            more["seqs"] = [rng.randrange(1, 30) for _ in range(count)]
        x = np.array([number() for _ in range(count * inputs)], np.float32)
        return {"streams": [id() for _ in range(count)], "x": x.tobytes(), **more}
    if kind == 7:
        return {"op": "resume", "streams": [*{id() for _ in range(rng.randrange(5))}], **more}
    return {"op": rng.choice(["ping", "reset", "close", "close", "dance"]), "stream": id(), **more}


def watching():
    """A detector whose streams are old enough to raise alarms, and have not seen much."""
    return started(sr.Detector.cold(3, patterns=False).model, np.tile(np.float32([0.1, 0, 0.1, 0, 0]), (300, 1)))


def test_every_reply_and_every_publication_is_the_twins(soak):
    models = {"one": sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=1), "two": sr.Model(inputs=2, layers=[sr.GRU(4)], seed=2),
              "watch": watching()}
    talk = Talk(list(models.items()), Limits(streams=CAPACITY, frame=8192), publishes=True, epoch=3)
    twin, rng = Twin(models, CAPACITY, epoch=3), random.Random(5)
    codes, alerts = set(), 0
    for n in range(200_000 if soak else 8000):
        frame = msgpack.packb(request(rng, n))
        if rng.random() < .2:
            frame = mutated(rng, frame)
        expected = twin.take(frame)
        codes.add(expected.get("error", "fine"))
        reply, = talk.raw(frame)
        if expected.get("error") == "unknown_op" and reply.get("op") in ("info", "stats", "snapshot", "swap"):
            continue  # handed on to the control thread
        assert ordered(reply) == ordered(expected), frame.hex()
        assert [(topic, ordered(one)) for topic, one in talk.published] == [(topic, ordered(one)) for topic, one in twin.published], frame
        alerts += sum(topic.startswith(b"!alert/") for topic, _ in twin.published)
        talk.published.clear()
        twin.published.clear()
    assert codes == {"fine", "bad_frame", "bad_key", "bad_stream", "bad_seq", "bad_width", "bad_value", "unknown_model", "unknown_op",
                     "unknown_stream", "full"}
    assert alerts > 10
