"""One step of many streams: share of the core's peak, streams in random order, two threads against one."""
import numpy as np

from bench import peers
from bench.harness import CORES, fma_peak, measure, ratio, repeats, settled, timed, unpinned
from bench.result import Result
from streamrnn import LSTM, Dense, Engine, Model

INPUTS, BATCH = 8, 1024
SHARES = {32: 65, 64: 78, 128: 87, 256: None}
CROWD = 100_000


def run(options):
    result = Result("many")
    for units, share in SHARES.items():
        _share(result, options, units, share)
    for units in (32, 64):
        _random_order(result, options, units)
    _threads(result, options)
    return result


def samples(count):
    return np.random.default_rng(0).standard_normal((count, INPUTS)).astype(np.float32)


def net(units):
    """What is served in practice: a recurrent layer and a small head. Only the LSTM's products count as work."""
    return Model(INPUTS, [LSTM(units), Dense(1)], seed=0)


def engine_of(model, count, **options):
    engine = Engine(model, **options)
    return engine, engine.group(range(count))


# -- share of the peak ----------------------------------------------------------------------------------------------------

def _share(result, options, units, share):
    model, x = net(units), samples(BATCH)
    engine, group = engine_of(model, BATCH)
    ids = [f"sensor-{n}" for n in range(BATCH)]
    short = 1  # ms a turn: whoever else comes onto the core hits few turns, and the median forgets them
    candidates = {"step_many(ids)": repeats(lambda: engine.step_many(ids, x), BATCH, short), "peak": fma_peak(),
                  "step_many(group)": repeats(lambda: engine.step_many(group, x), BATCH, short)}
    if torch := peers.load_torch(result):
        candidates["torch.nn.LSTMCell"] = repeats(_torch_batch(torch, Model(INPUTS, [LSTM(units)], seed=0), x), BATCH, short)
    times = measure({name: settled(candidate) for name, candidate in candidates.items()}, options.rounds * 5)
    work = 2 * 4 * units * (INPUTS + units)
    case = f"LSTM {units}, {INPUTS} inputs, Dense 1, {BATCH:,} streams"
    for name in ("step_many(group)", "step_many(ids)"):
        result.add(f"share of the core's FMA peak, one thread, LSTM {units}", f"{case}, {name}",
                   100 * work * ratio(times["peak"], times[name]), "%", (">=", share) if share else None, {name: times[name]})
    if torch:
        result.add("torch.nn.LSTMCell / step_many", case, ratio(times["torch.nn.LSTMCell"], times["step_many(group)"]), "x faster",
                   runs={"torch": times["torch.nn.LSTMCell"]})
    result.note(f"FMA peak beside LSTM {units}: {1 / np.median(times['peak']):.1f} GFLOP/s, best {1 / times['peak'].min():.1f}")


def _torch_batch(torch, model, x):
    cell, rows, state = peers.torch_cell(torch, model), torch.from_numpy(x), None
    with torch.no_grad():
        theirs = cell(rows)[0].numpy()
    ours = Engine(model).step_many(list(range(BATCH)), x)
    if not np.abs(theirs - ours).max() <= 1e-5:
        raise RuntimeError("torch's LSTMCell gives other values than ours: nothing to compare")

    def step():
        nonlocal state
        with torch.no_grad():
            state = cell(rows, state)
    return step


# -- random order ---------------------------------------------------------------------------------------------------------

def _random_order(result, options, units):
    """Every call a new permutation, looked up before the clock starts: what is left is memory."""
    model, rng = net(units), np.random.default_rng(1)
    cached, few = engine_of(model, BATCH)
    engine, crowd = engine_of(model, CROWD)
    x, all_x = samples(BATCH), samples(CROWD)
    cuts = [slice(start, start + BATCH) for start in range(0, CROWD, BATCH)]

    def whole():
        group = crowd[rng.permutation(CROWD)]
        return timed(lambda: engine.step_many(group, all_x), CROWD)()

    def batches():
        order = rng.permutation(CROWD)
        parts = [(crowd[order[cut]], all_x[cut]) for cut in cuts]
        return timed(lambda: [engine.step_many(group, rows) for group, rows in parts] and None, CROWD)()

    candidates = {"cached": repeats(lambda: cached.step_many(few, x), BATCH, 20), "one call": whole, f"batches of {BATCH:,}": batches}
    times = measure(candidates, options.rounds)
    for name in list(candidates)[1:]:
        result.add(f"{CROWD:,} streams in random order / {BATCH:,} in cache, per stream", f"LSTM {units}, {INPUTS} inputs, Dense 1, {name}",
                   ratio(times[name], times["cached"]), "x", ("<=", 1.35), {"cached": times["cached"], name: times[name]})


# -- two threads ----------------------------------------------------------------------------------------------------------

def _threads(result, options):
    headline = "two threads / one"
    if CORES and len(CORES) < 2:
        result.add(headline, "step_many", None, "x faster", (">=", 1.8), why="this process has one core")
        return
    with unpinned():
        for units in (64, 128):
            for count in (BATCH, 8 * BATCH):
                model, x = net(units), samples(count)
                candidates = {}
                for threads in (1, 2):
                    engine, group = engine_of(model, count, threads=threads)
                    candidates[f"{threads} thread{'s' * (threads > 1)}"] = repeats(
                        lambda engine=engine, group=group, x=x: engine.step_many(group, x), count, 10)
                times = measure(candidates, options.rounds * 2)
                result.add(headline, f"LSTM {units}, {INPUTS} inputs, Dense 1, {count:,} streams",
                           ratio(times["1 thread"], times["2 threads"]), "x faster", (">=", 1.8), times)
