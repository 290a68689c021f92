"""The error codes of the wire and what is said with them; $1 and $2 stand for two numbers, what was expected and what came.

Order is that of the compiled code's counters: a code's place here is its number there.
"""

TEXTS = {
    "bad_frame": [
        "a frame is one msgpack map, alone in its message",
        "the frame is cut off: a length in it reaches beyond its end",
        "$2 bytes stand behind the map",
        "the frame holds a byte that is no msgpack",
        "the frame is nested deeper than $1 levels",
        "a key stands twice in the map",
        "a message is one frame, or one behind an empty part (REQ); this one had more parts",
    ],
    "bad_key": [
        "a sample needs stream and x; stream is missing",
        "x is missing",
        "stream, model, op, of and state are strings",
        "streams is an array of strings",
        "seq and tag are whole numbers, not negative",
        "seqs is an array of whole numbers",
        "t is a number (in a block: an array of numbers)",
        "epoch is true or false",
        "x is an array of numbers or nil, or bin with float32s",
        "x of a block is bin with float32s",
        "streams, seqs and t must have as many entries: $1 streams, $2 here",
        "a block has 1 to 65,535 streams, this one $2",
        "this control needs a stream",
        "this control needs streams",
    ],
    "bad_stream": [
        "a stream id has 1 to 64 bytes, this one $2",
        "a stream id is valid UTF-8",
        "ids that begin with ! are the server's own",
    ],
    "bad_seq": ["a seq is from 1 to 2^63 - 1"],
    "bad_width": [
        "x has $2 values, this model takes $1",
        "x has $2 bytes, this model takes $1: float32s, little endian",
    ],
    "bad_value": ["x has a value that this model does not take: infinite, missing, or no token. Nothing was stepped"],
    "unknown_model": ["no model of this name is served here: ask {\"op\": \"info\"}"],
    "unknown_op": ["ops are ping, info, stats, resume, reset, close, snapshot and swap"],
    "unknown_stream": ["no stream of this id: its first sample opens it"],
    "too_large": ["a frame has at most $1 bytes here, this one has $2"],
    "full": [
        "this server takes at most $1 streams, and all are taken: close some, or start it with more (--streams)",
        "one peer may open at most $1 streams here (--streams-per-peer)",
    ],
    "rate": ["this peer sends more than $1 samples a second (--rate): send again later"],
    "refused": ["controls go to the --listen socket: nobody answers here"],
}

CODES = list(TEXTS)
DETAILS = [(code, text) for code, texts in TEXTS.items() for text in texts]


def number(code, start):
    """The number of the one detail of this code whose text starts like that."""
    found = [n for n, (of, text) in enumerate(DETAILS) if of == code and text.startswith(start)]
    if len(found) != 1:
        raise LookupError(f"{code} has {len(found)} details that start with {start!r}")
    return found[0]
