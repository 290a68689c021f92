"""What goes over the wire (docs/protocol.md), as Python values: requests to frames, frames to results. No sockets here."""
from dataclasses import dataclass

import msgpack
import numpy as np

from streamrnn.errors import InputError, ServerRefused

MOST_STREAMS = 65_535
NUMBERS = {"y", "expected", "spread", "blame"}  # arrays, or bin
LARGEST_FRAME = 1 << 20  # what a server takes unless it is told otherwise


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one sample.

    y                        (outputs,); None of a detector, which says the following instead
    score, alert, cause      how strange the row is, whether it is part of an alarm, and which monitor speaks
    expected, spread, blame  (sensors,): what each should have read, half of the band around it, its share of the strangeness
    missing                  share of the sensors without a reading
    seq, t, model            as the sample had them
    jump, duplicate          the seq left some out; it had been stepped before, and this is that result again
    epoch                    the server's, if it was asked for
    """
    stream: str
    y: np.ndarray | None = None
    seq: int | None = None
    t: float | None = None
    model: str | None = None
    jump: bool = False
    duplicate: bool = False
    epoch: int | None = None
    score: float | None = None
    alert: bool | None = None
    cause: str | None = None
    missing: float = 0.0
    expected: np.ndarray | None = None
    spread: np.ndarray | None = None
    blame: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The results of a block.

    streams, seqs, t   as the block had them
    y                  (n, outputs); of a detector score, alert, cause, missing, then expected, spread and blame of each sensor
    jumps, duplicates  positions of seqs that left some out, and of those that had been stepped before
    alerts             positions of a detector's alerts
    """
    streams: list
    y: np.ndarray
    seqs: list | None = None
    t: list | None = None
    model: str | None = None
    jumps: tuple = ()
    duplicates: tuple = ()
    alerts: tuple = ()
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a stream.

    event  "closed" (it got no sample for the time to live), "silent" (it used to speak and has stopped) or "speaks" (it is back)
    seq    of its last sample
    idle   seconds since then
    """
    event: str
    stream: str
    seq: int
    idle: float
    model: str | None = None


def sample(stream, x, seq=None, t=None, model=None, **more):
    """A sample's frame."""
    x = np.asarray(x, "<f4")
    if x.ndim != 1:
        raise InputError(f"one sample is a vector of numbers, got shape {x.shape}")
    return _packed({"stream": stream, "x": x.tobytes()}, seq=seq, t=t, model=model, **more)


def block(streams, x, seqs=None, t=None, model=None, **more):
    """A block's frame."""
    x = np.asarray(x, "<f4")
    if x.ndim != 2 or len(x) != len(streams):
        raise InputError(f"a block is one sample a row, shape ({len(streams)}, inputs); got shape {x.shape}")
    return _packed({"streams": list(streams), "x": x.tobytes()}, seqs=_listed(seqs), t=_listed(t), model=model, **more)


def control(op, **more):
    return _packed({"op": op}, **more)


def _listed(values):
    return values.tolist() if isinstance(values, np.ndarray) else None if values is None else list(values)


def _packed(request, **more):
    return msgpack.packb(request | {key: value for key, value in more.items() if value is not None})


def unpacked(frame):
    return msgpack.unpackb(frame, strict_map_key=False)


def understood(reply):
    """A reply as Result, BlockResult or plain dict; ServerRefused for an error."""
    if "error" in reply:
        raise ServerRefused(reply["error"], reply["detail"], reply.get("stream"), reply.get("seq"))
    if "op" in reply:
        return reply
    known = {key: value for key, value in reply.items() if key != "tag"}
    if "streams" in known:
        y = np.frombuffer(known.pop("y"), np.float32).reshape(len(known["streams"]), -1)
        for key in ("jumps", "duplicates", "alerts"):
            known[key] = tuple(known.get(key, ()))
        return BlockResult(y=y, **known)
    for key in NUMBERS & known.keys():
        known[key] = np.frombuffer(known[key], np.float32) if isinstance(known[key], bytes) else np.array(known[key], np.float32)
    return Result(**known)


def pieces(count, inputs, ids):
    """Slices of a batch that fit a frame each."""
    row = 4 * inputs + max((len(id.encode()) for id in ids), default=0) + 24
    size = max(1, min(MOST_STREAMS, (LARGEST_FRAME - 1024) // row))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
