"""The protocol as docs/protocol.md says it, in plain Python: slow and obvious, to compare the compiled one with.

Answers are maps, in the order of the keys that the protocol names; errors without their detail.
"""
import math

import msgpack
import numpy as np

from streamrnn.cells.monitors.board import CAUSES

LONGEST_ID, DEEPEST, MOST_STREAMS = 64, 32, 65_535
KINDS = ("stream", "seq", "t", "x", "tag", "model", "epoch", "op", "streams", "seqs", "state", "of")


class Wrong(Exception):
    """An error's code."""


class Twin:
    """`models`: {name: model}, the first one is the default. `take(frame)` answers one reply; `published` has the rest."""

    def __init__(self, models, capacity, epoch=1):
        self._houses = {name: {} for name in models}
        self._models, self._capacity, self._epoch = models, capacity, epoch
        self.published = []

    def take(self, frame):
        named = {}
        try:
            request = parsed(frame)
            named = nameable(request)
            check_kinds(request)
            if "op" in request:
                return self._control(request) | tagged(request)
            if "streams" in request:
                return self._block(request)
            return self._sample(request)
        except Wrong as wrong:
            return {"error": str(wrong), **named}

    # -- samples -----------------------------------------------------------------------------------------------------------

    def _sample(self, request):
        if "stream" not in request or "x" not in request or isinstance(request.get("t"), list):
            raise Wrong("bad_key")
        name = self._named(request)
        id = checked_id(request["stream"])
        seq = checked_seq(request.get("seq"))
        as_bin = isinstance(request["x"], bytes)
        x = self._values(name, request["x"], 1)[0]
        self._room(name, [id])
        x = self._timed(name, x, request.get("t"))
        y, seq, notes = self._step(name, id, seq, x)
        result = self._result(request, id, seq, request.get("t"), self._said(name, y, as_bin), notes)
        if request.get("epoch"):
            result["epoch"] = self._epoch
        result |= tagged(request)
        self._publish(id, result)
        return result

    def _publish(self, id, result):
        self.published.append((id.encode(), result))
        if result.get("alert"):
            self.published.append((f"!alert/{id}".encode(), result))

    def _said(self, name, y, as_bin):
        """What stands in a result: y, or a detector's verdict."""
        form = lambda part: part.tobytes() if as_bin else part.tolist()
        n = self._models[name].packed.plan.report
        if not n:
            return {"y": form(y)}
        said = {"score": float(y[0]), "alert": bool(y[1] > 0), "cause": CAUSES[int(y[2])]}
        said |= {"missing": float(y[3])} if y[3] > 0 else {}
        return said | {"expected": form(y[4:4 + n]), "spread": form(y[4 + n:4 + 2 * n]), "blame": form(y[4 + 2 * n:])}

    def _timed(self, name, x, t):
        """A sample with its moment behind it, if the model takes one."""
        if not self._models[name].packed.plan.timed:
            return x
        if t is None or not abs(t) < 1e15:
            return np.concatenate([x, np.full(2, np.nan, np.float32)])
        return np.concatenate([x, np.array([(math.floor(t) - 345_600) % 604_800, t - math.floor(t)], np.float32)])

    def _block(self, request):
        streams, x = request["streams"], request.get("x")
        if not isinstance(x, bytes) or not 0 < len(streams) <= MOST_STREAMS or ("t" in request and not isinstance(request["t"], list)):
            raise Wrong("bad_key")
        if any(key in request and len(request[key]) != len(streams) for key in ("seqs", "t")):
            raise Wrong("bad_key")
        name = self._named(request)
        ids = [checked_id(id) for id in streams]
        seqs = [checked_seq(seq) for seq in request.get("seqs", [None] * len(ids))]
        rows = self._values(name, x, len(ids))
        self._room(name, ids)
        times = request.get("t", [None] * len(ids))
        parts = [self._step(name, id, seq, self._timed(name, row, t)) for id, seq, row, t in zip(ids, seqs, rows, times, strict=True)]
        for n, (y, seq, notes) in enumerate(parts):
            t = request["t"][n] if "t" in request else None
            self._publish(ids[n], self._result(request, ids[n], seq, t, self._said(name, y, True), notes))
        result = {"streams": streams}
        result |= {key: request[key] for key in ("seqs", "t") if key in request}
        result["y"] = b"".join(y.tobytes() for y, _, _ in parts)
        result |= {"model": request["model"]} if "model" in request else {}
        for key, note in (("jumps", "jump"), ("duplicates", "duplicate")):
            where = [n for n, (_, _, notes) in enumerate(parts) if note in notes]
            result |= {key: where} if where else {}
        alerts = [n for n, (y, _, _) in enumerate(parts) if self._models[name].packed.plan.report and y[1] > 0]
        result |= {"alerts": alerts} if alerts else {}
        result |= {"epoch": self._epoch} if request.get("epoch") else {}
        return result | tagged(request)

    def _result(self, request, id, seq, t, said, notes):
        result = {"stream": id}
        result |= {} if seq is None else {"seq": seq}
        result |= {} if t is None else {"t": t}
        result |= said
        result |= {"model": request["model"]} if "model" in request else {}
        return result | dict.fromkeys(notes, True)

    def _step(self, name, id, seq, x):
        house = self._houses[name]
        line = house.setdefault(id, {"stream": self._models[name].stream(), "last": 0, "y": None})
        if seq is not None and seq <= line["last"]:
            return line["y"], line["last"], ["duplicate"]
        notes = ["jump"] if seq is not None and seq > line["last"] + 1 else []
        line["y"] = line["stream"].step(x)
        if seq is not None:
            line["last"] = seq
        return line["y"], seq, notes

    def _values(self, name, x, count):
        plan = self._models[name].packed.plan
        told = plan.inputs - 2 * plan.timed
        if isinstance(x, bytes):
            if len(x) != 4 * told * count:
                raise Wrong("bad_width")
            rows = np.frombuffer(x, "<f4").reshape(count, told).copy()
        else:
            if len(x) != told:
                raise Wrong("bad_width")
            with np.errstate(over="ignore"):
                rows = np.array([[math.nan if value is None else value for value in x]], np.float64).astype(np.float32)
        if (np.isinf(rows) if plan.report else ~np.isfinite(rows)).any():
            raise Wrong("bad_value")
        return rows

    def _named(self, request):
        name = request.get("model", next(iter(self._models)))
        if name not in self._models:
            raise Wrong("unknown_model")
        return name

    def _room(self, name, ids):
        if len(self._houses[name].keys() | set(ids)) > self._capacity:
            raise Wrong("full")

    # -- controls ------------------------------------------------------------------------------------------------------------

    def _control(self, request):
        op = request["op"]
        if op == "ping":
            return {"op": "ping", "epoch": self._epoch}
        if op not in ("resume", "reset", "close"):
            raise Wrong("unknown_op")
        key = "streams" if op == "resume" else "stream"
        if key not in request:
            raise Wrong("bad_key")
        house = self._houses[self._named(request)]
        if op == "resume":
            ids = [checked_id(id) for id in request["streams"]]
            last = {id: house[id]["last"] if id in house else 0 for id in ids}
            return {"op": "resume", "durable": dict.fromkeys(ids, 0), "last": last, "store": False}
        id = checked_id(request["stream"])
        if id not in house:
            raise Wrong("unknown_stream")
        if op == "close":
            del house[id]
        else:
            house[id]["stream"].reset()
            house[id]["y"] = np.zeros_like(house[id]["y"])
        return {"op": op, "stream": id}


def parsed(frame):
    """The frame's map. Strings stay as msgpack has them, as what is no UTF-8 only matters where it is used."""
    try:
        value = msgpack.unpackb(frame, strict_map_key=False, unicode_errors="surrogateescape", object_pairs_hook=Map,
                                ext_hook=lambda code, data: ...)
    except Exception:
        raise Wrong("bad_frame") from None
    if not isinstance(value, Map) or depth(value) > DEEPEST:
        raise Wrong("bad_frame")
    known = [key for key, _ in value.pairs if key in KINDS]
    if len(known) != len(set(known)):
        raise Wrong("bad_frame")
    return {key: found for key, found in value.pairs if isinstance(key, str)}


class Map:
    """A map with its pairs as they came: keys may be of any kind, and come twice."""

    def __init__(self, pairs):
        self.pairs = list(pairs)

    def __hash__(self):
        return id(self)


def depth(value):
    inside = value.pairs if isinstance(value, Map) else value if isinstance(value, (list, tuple)) else None
    return 0 if inside is None or not len(inside) else 1 + max(depth(part) for part in (
        [part for pair in inside for part in pair] if isinstance(value, Map) else inside))


def is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_kinds(request):
    for key, value in request.items():
        if key in ("stream", "model", "op", "state", "of"):
            fine = isinstance(value, str)
        elif key in ("seq", "tag"):
            fine = is_whole(value)
        elif key == "epoch":
            fine = isinstance(value, bool)
        elif key == "t":
            fine = all(map(is_number, value)) if isinstance(value, list) else is_number(value)
        elif key == "x":
            fine = isinstance(value, bytes) or (isinstance(value, list) and all(v is None or is_number(v) for v in value))
        elif key == "streams":
            fine = isinstance(value, list) and all(isinstance(v, str) for v in value)
        elif key == "seqs":
            fine = isinstance(value, list) and all(map(is_whole, value))
        else:
            continue
        if not fine:
            raise Wrong("bad_key")


def nameable(request):
    """What an error names."""
    named = {}
    stream, seq = request.get("stream"), request.get("seq")
    if "streams" not in request:
        if isinstance(stream, str) and 0 < len(stream.encode(errors="surrogateescape")) <= LONGEST_ID and is_text(stream):
            named["stream"] = stream
        if is_whole(seq):
            named["seq"] = seq
    return named | (tagged(request) if is_whole(request.get("tag")) else {})


def tagged(request):
    return {"tag": request["tag"]} if "tag" in request else {}


def is_text(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_id(id):
    size = len(id.encode(errors="surrogateescape"))
    if not 0 < size <= LONGEST_ID or id.startswith("!") or not is_text(id):
        raise Wrong("bad_stream")
    return id


def checked_seq(seq):
    if seq is not None and not 1 <= seq < 1 << 63:
        raise Wrong("bad_seq")
    return seq
