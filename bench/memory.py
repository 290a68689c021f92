"""Bytes that a stream takes in Python and NumPy beyond its row of state, as tracemalloc counts them; ids made before."""
import gc
import tracemalloc

import numpy as np

from bench.result import Result
from streamrnn import LSTM, Engine, Model

STREAMS, FEW = 100_000, 5_000


def run(options):
    result = Result("memory")
    model, x = Model(8, [LSTM(32)], seed=0), np.zeros(8, np.float32)
    ids = [f"sensor-{n}" for n in range(STREAMS)]
    for count, case, ttl, asked in ((STREAMS, "Engine(model)", None, ("<=", 128)), (FEW, "Engine(model, ttl=3600)", 3600, None)):
        result.add("bytes a stream beyond its row", f"LSTM 32, {count:,} streams, {case}", _beyond_row(model, ids[:count], x, ttl),
                   "bytes", asked)
    result.note(f"the row itself: {model.row_bytes} bytes")
    return result


def _beyond_row(model, ids, x, ttl):
    engine = Engine(model, ttl=ttl)
    gc.collect()
    tracemalloc.start()
    for id in ids:
        engine.step(id, x)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(engine) == len(ids)
    return taken / len(ids) - model.row_bytes
