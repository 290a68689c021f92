"""streamrnn bench: step latency and throughput of your model, or of three common ones, as a Python caller sees them."""
import json
import time
from pathlib import Path

from streamrnn.cli.arguments import counted, seconds, whole

SEQUENCE = 4096     # samples of one `run`


def options(parser):
    parser.add_argument("model", nargs="?", help="a model file (.safetensors); without it LSTM-32, LSTM-64 and GRU-64, each with Dense(1)")
    parser.add_argument("--streams", type=whole, default=1024, help="streams of one step_many (default 1024)")
    parser.add_argument("--threads", type=whole, default=1, help="threads that share a step_many (default 1)")
    parser.add_argument("--seconds", type=seconds, default=3.0, help="how long to measure each model (default 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers here")


def run(chosen):
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from streamrnn import GRU, LSTM, Dense, Model, load
    from streamrnn.cli import warmup

    console = Console(highlight=False)
    if chosen.model:
        models = {Path(chosen.model).name: load(chosen.model)}
    else:
        models = {f"{layer.kind.upper()}({layer.units}), Dense(1)": Model(inputs=8, layers=[layer, Dense(1)], seed=0)
                  for layer in (LSTM(32), LSTM(64), GRU(64))}
    if warmup.cache_is_cold():
        console.print("The first run compiles for about half a minute; later ones start at once.")
    warmup.compile_all(console)
    results = []
    for name, model in models.items():
        with console.status(f"measuring {name}"):
            results.append({"model": name, **measure(model, chosen.streams, chosen.threads, chosen.seconds)})

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("model", "stream.step\np50 ns", "\np99 ns", "step_many\nns/stream", "\nsamples/s", "run\nsamples/s"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for r in results:
        table.add_row(r["model"], *(f"{r[key]:,.0f}" for key in
                                    ("step_p50_ns", "step_p99_ns", "many_ns_per_stream", "many_samples_per_s", "run_samples_per_s")))
    console.print(table)
    console.print(f"step_many: {counted(chosen.streams, 'stream')}, {counted(chosen.threads, 'thread')}. "
                  f"run: one sequence of {SEQUENCE:,} samples.\nThe two clock reads around a stream.step are part of it.")
    if chosen.json:
        write(chosen.json, chosen, results)
    return 0


def measure(model, streams, threads, duration):
    """A third of the time for each way to run a model."""
    import numpy as np

    from streamrnn import Engine

    rng = np.random.default_rng(0)

    def samples(*shape):
        tokens = model.packed.plan.vocabulary
        x = rng.integers(tokens, size=(*shape, model.inputs)) if tokens else rng.standard_normal((*shape, model.inputs))
        return x.astype(np.float32)

    singles = _timed(model.stream().step, list(samples(256)), duration / 3)
    engine = Engine(model, capacity=streams, threads=threads)
    group = engine.group(list(range(streams)))
    many = _timed(lambda x: engine.step_many(group, x), list(samples(4, streams)), duration / 3)
    whole_runs = _timed(model.run, [samples(SEQUENCE)], duration / 3)
    return {"parameters": model.parameters, "row_bytes": model.row_bytes,
            "step_p50_ns": float(np.percentile(singles, 50)), "step_p99_ns": float(np.percentile(singles, 99)),
            "many_ns_per_stream": float(np.median(many)) / streams, "many_samples_per_s": streams * 1e9 / float(np.median(many)),
            "run_samples_per_s": SEQUENCE * 1e9 / float(np.median(whole_runs))}


def _timed(call, samples, duration):
    """ns of each call, after a tenth of the time to warm up; at least one."""
    clock, taken = time.perf_counter_ns, []
    start = clock()
    warm, stop = start + int(duration * 1e8), start + int(duration * 1e9)
    while True:
        for x in samples:
            began = clock()
            call(x)
            ended = clock()
            if began >= warm or ended >= stop:
                taken.append(ended - began)
            if ended >= stop:
                return taken


def write(path, chosen, results):
    import platform

    import numba

    from streamrnn import __version__, jit

    about = {"streamrnn": __version__, "python": platform.python_version(), "numba": numba.__version__, "processor": jit.CPU,
             "streams": chosen.streams, "threads": chosen.threads, "sequence": SEQUENCE}
    Path(path).write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
