"""One training step (forward, backward, clip, Adam) beside torch's, same threads; two threads against one; the tape's size."""
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from bench import peers
from bench.harness import fma_peak, measure, ratio, timed, unpinned
from bench.result import Result
from streamrnn import LSTM, Adam, Dense, Model
from streamrnn.training.objective import Objective
from streamrnn.training.passes import Passes, Window
from streamrnn.training.weights import Weights

INPUTS, RATE, CLIP = 8, 1e-3, 1.0
CASES = [(100, 32, 32, 2.2), (100, 64, 64, 1.7), (100, 64, 128, 1.9), (50, 256, 128, 1.9)]  # steps, sequences, units, asked


def run(options):
    result = Result("train")
    torch = peers.load_torch(result)
    for time, count, units, asked in CASES:
        case = f"{time} x {count} x LSTM {units}, {INPUTS} inputs, Dense 1"
        times = measure({**_candidates(time, count, units, 1, torch), "peak": fma_peak()}, options.rounds)
        work = 6 * time * count * 4 * units * (INPUTS + units)
        result.add("training step, one thread: share of the core's FMA peak", case, 100 * work * ratio(times["peak"], times["streamrnn"]),
                   "%", runs={"streamrnn": times["streamrnn"]})
        _beside(result, "torch / training step, one thread each", case, times, asked)
    for time, count, units, asked in CASES:
        case = f"{time} x {count} x LSTM {units}, {INPUTS} inputs, Dense 1"
        _beside(result, "torch / training step, two threads each", case, _apart(_two_each, time, count, units, options.rounds), asked)
        times = _apart(_one_and_two, time, count, units, options.rounds)
        result.add("training step: two threads / one", case, ratio(times["1 thread"], times["2 threads"]), "x faster", (">=", 1.7),
                   runs=times)
    _tape(result)
    return result


def _beside(result, headline, case, times, asked):
    if "torch" in times:
        result.add(headline, case, ratio(times["torch"], times["streamrnn"]), "x faster", (">=", asked),
                   {name: times[name] for name in ("streamrnn", "torch")})


def _candidates(time, count, units, threads, torch):
    model, x, y = _data(time, count, units)
    step = stepper(model, x, y, threads)
    return {"streamrnn": timed(step, 1)} | ({"torch": timed(_torch(torch, model, x, y, step, threads), 1)} if torch else {})


def _apart(work, *args):
    """In a process that was never pinned: torch's threads take the cores that they find at their start."""
    with unpinned(), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def _two_each(time, count, units, rounds):
    torch = peers.load_torch(Result("train"))
    if torch is None:
        return {}
    candidates = _candidates(time, count, units, 2, torch)
    return {name: measure({name: candidate}, rounds)[name] for name, candidate in candidates.items()}  # not in turns: theirs spin


def _one_and_two(time, count, units, rounds):
    model, x, y = _data(time, count, units)
    return measure({"1 thread": timed(stepper(model, x, y, 1), 1), "2 threads": timed(stepper(model, x, y, 2), 1)}, rounds)


def _tape(result):
    """What a tape of eight sequences takes, beside the floats that the maths needs: inputs, gates, h and c, outputs."""
    time, units = 100, 64
    model, x, y = _data(time, 8, units)
    weights, objective = Weights(model), Objective(model, "mse")
    tape = Passes(weights, objective, objective.sequences(x, y, None, model), 8, time, 1)._tapes[0].of(8)
    taken = sum(array.nbytes for array in (tape.records, tape.samples, tape.results, tape.d_results))
    result.add("tape / what the maths needs (inputs, four gates, h, c, output)", f"{time} x 8 x LSTM {units}",
               taken / (4 * time * 8 * (INPUTS + 6 * units + 1)), "x", ("<=", 1.2))


def _data(time, count, units):
    rng = np.random.default_rng(0)
    draw = lambda k: rng.standard_normal((count, time, k)).astype(np.float32)
    return Model(INPUTS, [LSTM(units), Dense(1)], seed=0), draw(INPUTS), draw(1)


def stepper(model, x, y, threads):
    """step() -> loss: all of a training step, as fit does it."""
    weights, objective, optimiser = Weights(model), Objective(model, "mse"), Adam(RATE, clip=CLIP)
    passes = Passes(weights, objective, objective.sequences(x, y, None, model), len(x), x.shape[1], threads)
    moments = [np.zeros(weights.size, np.float32) for _ in range(optimiser.arenas)]
    window, number = Window(np.arange(len(x)), 0, x.shape[1], fresh=True), 0

    def step():
        nonlocal number
        number += 1
        losses, gradient = passes.gradient(window)
        optimiser.apply(number, RATE, weights.values, gradient, moments, weights.learnt)
        weights.refresh()
        return losses[0]
    return step


def _torch(torch, model, x, y, ours, threads):
    """The same step in torch; it is timed only if its first loss is ours."""
    net, last = peers.torch_recurrent(torch, model), torch.nn.Linear(model.layers[0].units, 1)
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(model.tensors["layers.1.weight"].copy()))
        last.bias.copy_(torch.from_numpy(model.tensors["layers.1.bias"].copy()))
    xs, ys, parameters = torch.from_numpy(x), torch.from_numpy(y), [*net.parameters(), *last.parameters()]
    adam = torch.optim.Adam(parameters, RATE)

    def step():
        adam.zero_grad()
        loss = ((last(net(xs)[0]) - ys) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        adam.step()
        return loss.item()

    torch.set_num_threads(threads)
    a, b = ours(), step()
    if not abs(a - b) <= 1e-5 * abs(b):
        raise RuntimeError(f"torch's loss is {b}, ours {a}: nothing to compare")
    return step
