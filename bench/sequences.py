"""Whole sequences, model.run: share of the core's peak, and torch beside, one thread."""
import numpy as np

from bench import peers
from bench.harness import fma_peak, measure, ratio, repeats
from bench.result import Result
from streamrnn import LSTM, Model

INPUTS = 8
CASES = [(1, 1000, 64), (32, 100, 64), (64, 100, 128), (256, 50, 128)]  # sequences, samples in each, units


def run(options):
    result = Result("sequences")
    torch = peers.load_torch(result)
    for count, time, units in CASES:
        model = Model(INPUTS, [LSTM(units)], seed=0)
        x = np.random.default_rng(0).standard_normal((count, time, INPUTS)).astype(np.float32)
        candidates = {"model.run": repeats(lambda model=model, x=x: model.run(x), count * time), "peak": fma_peak()}
        if torch:
            candidates["torch.nn.LSTM"] = repeats(_torch(torch, model, x), count * time)
        times = measure(candidates, options.rounds)
        case = f"{count} x {time} samples, LSTM {units}, {INPUTS} inputs"
        work = 2 * 4 * units * (INPUTS + units)
        result.add("model.run, one thread: share of the core's FMA peak", case, 100 * work * ratio(times["peak"], times["model.run"]), "%",
                   runs={"model.run": times["model.run"]})
        if torch:
            result.add("torch.nn.LSTM / model.run", case, ratio(times["torch.nn.LSTM"], times["model.run"]), "x faster",
                       runs={"torch": times["torch.nn.LSTM"]})
    return result


def _torch(torch, model, x):
    net, rows = peers.torch_recurrent(torch, model), torch.from_numpy(x)

    def forward():
        with torch.no_grad():
            return net(rows)[0]

    if not np.abs(forward().numpy() - model.run(x)).max() <= 1e-5:
        raise RuntimeError("torch's LSTM gives other values than ours: nothing to compare")
    return forward
