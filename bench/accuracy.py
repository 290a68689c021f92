"""Errors against a float64 twin (tests/reference.py) and torch, and what must be equal bit for bit."""
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import peers
from bench.result import Result
from streamrnn import GRU, LSTM, RNN, Dense, Engine, Model

CELLS = {"RNN tanh": RNN, "RNN relu": lambda units: RNN(units, activation="relu"), "LSTM": LSTM, "GRU": GRU,
         "GRU, reset before": lambda units: GRU(units, reset_after=False)}
STEPS, INPUTS = 1000, 8


def run(options):
    result = Result("accuracy")
    _against_float64(result)
    _same_bits(result)
    _against_torch(result)
    return result


def samples(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _against_float64(result):
    """Weights are drawn within +-1/sqrt(units), torch.nn's first values."""
    headline = f"largest error of the hidden state against float64 over {STEPS:,} steps"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    try:
        import reference
    except ImportError:
        result.add(headline, "all cells", None, "", ("<=", 2e-6), why="tests/reference.py is not here")
        return
    finally:
        sys.path.pop(0)
    for name, layer in CELLS.items():
        for units in (32, 128):
            model, x = Model(INPUTS, [layer(units)], seed=0), samples(STEPS, INPUTS)
            error = np.abs(model.run(x) - reference.run(model, x)).max()
            result.add(headline, f"{name} {units}", float(error), "", ("<=", 2e-6))


def _same_bits(result):
    """The ways to take the same samples through the same streams, against model.run."""
    headline = "values that differ from model.run's in any bit"
    streams, steps = 100, 50
    for name, layer in CELLS.items():
        model = Model(INPUTS, [layer(33), layer(64), Dense(3)], seed=0)
        x = samples(streams, steps, INPUTS)
        asked = model.run(x)
        for way, take in WAYS.items():
            differ = int((take(model, x).view(np.int32) != asked.view(np.int32)).sum())
            result.add(headline, f"{name}, 2 layers: {way}", differ, f"of {asked.size:,}", ("==", 0))


def _step(model, x):
    engine = Engine(model)
    return np.stack([[engine.step(n, row) for row in rows] for n, rows in enumerate(x)])


def _step_many(model, x, threads=1):
    engine = Engine(model, threads=threads)
    group = engine.group(range(len(x)))
    return np.stack([engine.step_many(group, np.ascontiguousarray(x[:, t])) for t in range(x.shape[1])], axis=1)


def _stream_run(model, x):
    half, streams = x.shape[1] // 2, [model.stream() for _ in x]
    return np.stack([np.concatenate([stream.run(rows[:half]), stream.run(rows[half:])]) for stream, rows in zip(streams, x, strict=True)])


def _restart(model, x):
    """Half the samples, a snapshot, a new engine restored from it, the other half."""
    half, engine, ids = x.shape[1] // 2, Engine(model), list(range(len(x)))
    take = lambda engine, times: [engine.step_many(ids, np.ascontiguousarray(x[:, t])) for t in times]
    first = take(engine, range(half))
    with TemporaryDirectory() as folder:
        engine.snapshot(Path(folder) / "streams.db")
        restored = Engine.restore(Path(folder) / "streams.db", model)
    return np.stack([*first, *take(restored, range(half, x.shape[1]))], axis=1)


WAYS = {"step": _step, "step_many": _step_many, "step_many, 2 threads": lambda model, x: _step_many(model, x, threads=2),
        "run, 2 threads": lambda model, x: model.run(x, threads=2), "stream.run in two halves": _stream_run,
        "snapshot and restore half-way": _restart}


def _against_torch(result):
    torch = peers.load_torch(result)
    if not torch:
        return
    x = samples(4, STEPS, INPUTS)
    for name in ("RNN tanh", "LSTM", "GRU"):
        for layers in (1, 2, 3):
            errors = []
            for units in (1, 3, 17, 100):
                model = Model(INPUTS, [CELLS[name](units) for _ in range(layers)], seed=0)
                with torch.no_grad():
                    theirs = peers.torch_recurrent(torch, model)(torch.from_numpy(x))[0].numpy()
                errors.append(np.abs(model.run(x) - theirs).max())
            result.add("largest difference from torch.nn over 1,000 steps, units 1, 3, 17, 100", f"{name}, layers: {layers}",
                       float(max(errors)), "", ("<=", 1e-5))
