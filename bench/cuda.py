"""The GPU: checked against the CPU bit for bit, then timed, against torch's cuDNN in the same run.

python bench/cuda.py [--quick] [--json DIR], or python -m bench cuda. Without a GPU it says what is missing, and that is all.
Parts stand for themselves: one that fails prints its traceback, and the others go on.
"""
import argparse
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

if __name__ == "__main__":  # in place of this folder, where this file would hide NVIDIA's package of the same name
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

import streamrnn as sr
from bench import result as results
from bench.result import Result
from streamrnn.cuda import device
from streamrnn.errors import MissingExtra, NoDevice

INPUTS = 8
NETS = {"LSTM-64": sr.LSTM(64), "GRU-64": sr.GRU(64), "LSTM-32": sr.LSTM(32), "LSTM-128": sr.LSTM(128)}
TRAINED = {32: 1.0, 64: 1.0, 128: 1 / 1.5}  # times as fast as torch that is asked for
BATCH, TIME = 256, 100
CROWD, FEW = 1_000_000, 1000
LANES_OF_A_MULTIPROCESSOR = 128             # fused multiply-adds a cycle


@dataclass
class Sizes:
    crowd: int
    rounds: int
    steps: int

    @classmethod
    def of(cls, options):
        return cls(CROWD // 20, 5, 2000) if options.quick else cls(CROWD, 21, 20_000)


def run(options):
    result = Result("cuda")
    try:
        device.require()
    except (MissingExtra, NoDevice) as error:
        result.note(f"nothing was measured: {error}")
        return result
    torch = torch_on_gpu(result)
    result.note(f"on {device.described()}; float32 limit {fma_rate() / 1e12:.1f} T fused multiply-adds a second at the clock it names")
    sizes = Sizes.of(options)
    for part in (equal_bits, crowds, over_the_bus, one_stream, few_streams, training, crossover):
        try:
            part(result, sizes, torch)
        except Exception:
            traceback.print_exc()
            result.note(f"{part.__name__} failed: {traceback.format_exc(limit=1).splitlines()[-1]}")
        print(results.table(result), end="\n\n", flush=True)  # what there is, should time run out
    return result


def torch_on_gpu(result):
    try:
        import torch
    except ImportError:
        result.note("torch is not installed: no peer")
        return None
    if not torch.cuda.is_available():
        result.note("this torch sees no GPU: no peer")
        return None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32, as here
    return torch


# -- what is measured, and how ------------------------------------------------------------------------------------------

def net(layer):
    return sr.Model(INPUTS, [layer, sr.Dense(1)], seed=0)


def engine_of(model, count, where="cuda"):
    engine = sr.Engine(model, device=where)
    return engine, engine.group(list(range(count)))


def samples(*shape):
    return np.random.default_rng(0).standard_normal((*shape, INPUTS)).astype(np.float32)


def fma_rate():
    gpu = device.require().get_current_device()
    return gpu.MULTIPROCESSOR_COUNT * LANES_OF_A_MULTIPROCESSOR * gpu.CLOCK_RATE * 1e3


def products(layer):
    """Fused multiply-adds of a step of the recurrent layer."""
    return layer.gates * layer.units * (layer.units + INPUTS)


def times(work, rounds, warm=3):
    """ns of each call; `work` ends when its results are there."""
    for _ in range(warm):
        work()
    found = np.empty(rounds)
    for i in range(rounds):
        start = perf_counter_ns()
        work()
        found[i] = perf_counter_ns() - start
    return found


def torch_step(torch, layer, count):
    """A step of torch's layer and head, with our tensors, for `count` streams, state and samples on the GPU."""
    model = net(layer)
    kind = torch.nn.GRU if isinstance(layer, sr.GRU) else torch.nn.LSTM
    cell, head = kind(INPUTS, layer.units).cuda(), torch.nn.Linear(layer.units, 1).cuda()
    with torch.no_grad():
        for own, at in ((cell, "layers.0."), (head, "layers.1.")):
            for name, values in own.named_parameters():
                values.copy_(torch.from_numpy(model.tensors[at + name].copy()))
    x, state = torch.from_numpy(samples(1, count)).cuda(), [None]

    def step(x=x):
        with torch.no_grad():
            y, state[0] = cell(x, state[0])
            y = head(y)
        torch.cuda.synchronize()
        return y

    off = np.abs(step().cpu().numpy()[0, :100] - model.run(samples(1, count)[0, :100, None])[:, 0]).max()
    if not off <= 1e-4:
        raise RuntimeError(f"torch's results differ from ours by {off:.1e}: nothing to compare")
    return step


# -- parts --------------------------------------------------------------------------------------------------------------

def equal_bits(result, sizes, torch):
    """Values that differ from the CPU's in any bit, of 5 steps of 1,003 streams; samples, order and neighbours at random.

    Every other step takes its samples from the device and leaves its results there, where no number stood before.
    """
    cuda = device.require()
    mixed = sr.Model(INPUTS, [sr.Scale(), sr.GRU(33, reset_after=False), sr.LayerNorm(), sr.RNN(100), sr.Dense(40, "softmax")], seed=1)
    models = {name: net(layer) for name, layer in NETS.items()}
    models |= {"a mixed stack": mixed, "a cold detector": sr.Detector.cold(8, clock=False).model}
    rng = np.random.default_rng(1)
    for name, model in models.items():
        (here, ids), (there, _) = engine_of(model, 1003, "cpu"), engine_of(model, 1003)
        wrong = 0
        for t in range(5):
            chosen = rng.permutation(1003)[:1003 - 100 * t].tolist()
            x = rng.standard_normal((len(chosen), model.inputs)).astype(np.float32)
            if t % 2:
                out = cuda.to_device(np.full((len(chosen), model.outputs), np.nan, np.float32))
                y = there.step_many(chosen, cuda.to_device(x), out=out).copy_to_host()
            else:
                y = there.step_many(chosen, x)
            wrong += int((here.step_many(chosen, x).view(np.int32) != y.view(np.int32)).sum())
        for i in ids.ids[:50]:
            wrong += int((np.asarray(here.state(i)).view(np.int32) != np.asarray(there.state(i)).view(np.int32)).sum())
        result.add("results and states that differ from the CPU's", name, wrong, "", ("==", 0))


def crowds(result, sizes, torch):
    """One step of very many streams, state and samples on the GPU."""
    cuda = device.require()
    x = cuda.to_device(samples(sizes.crowd))
    out = cuda.device_array((sizes.crowd, 1), np.float32)
    for name, layer in NETS.items():
        engine, group = engine_of(net(layer), sizes.crowd)
        runs = {"streamrnn": times(lambda engine=engine, group=group: engine.step_many(group, x, out=out), sizes.rounds)}
        rate, limit = sizes.crowd / np.median(runs["streamrnn"]) * 1e9, fma_rate() / products(layer)
        head = f"{name}, {sizes.crowd:,} streams"
        if name == "LSTM-64":
            result.add("stream-steps a second", head, rate, "a second", (">=", 1e9), runs)
        result.add("share of the float32 limit", head, 100 * rate / limit, "%", (">=", 50), runs)
        if torch:
            runs["torch"] = times(torch_step(torch, layer, sizes.crowd), sizes.rounds)
            result.add("times as fast as torch, T = 1", head, float(np.median(runs["torch"]) / np.median(runs["streamrnn"])), "x",
                       (">=", 3) if name == "LSTM-64" else None, runs)
            torch.cuda.empty_cache()


def over_the_bus(result, sizes, torch):
    """Samples down and results up as well, two batches under way."""
    cuda = device.require()
    engine, group = engine_of(net(NETS["LSTM-64"]), sizes.crowd)
    x, out = samples(sizes.crowd), cuda.device_array((sizes.crowd, 1), np.float32)
    there, pipe = cuda.to_device(x), engine.pipe(group)
    inside = times(lambda: engine.step_many(group, there, out=out), sizes.rounds)
    for _ in range(2):
        pipe.send(x)

    def turn():
        pipe.receive()
        pipe.send()
    piped = times(turn, sizes.rounds)
    result.add("copies included, share of the rate without", f"LSTM-64, {sizes.crowd:,} streams",
               100 * float(np.median(inside) / np.median(piped)), "%", (">=", 70), {"without": inside, "with": piped})


def one_stream(result, sizes, torch):
    """From the host's write to its read."""
    for name, layers in {"2 x LSTM-128": [sr.LSTM(128)] * 2, "3 x LSTM-256": [sr.LSTM(256)] * 3}.items():
        model, x = sr.Model(INPUTS, [*layers, sr.Dense(1)], seed=0), samples(1000)
        want = model.run(x[:200])
        for how, resident in (("a kernel that stays", True), ("a launch a sample", False)):
            with model.stream(device="cuda", resident=resident) as stream:
                differ = int((np.array([stream.step(row) for row in x[:200]]) != want).sum())
                result.add("results that differ from the CPU's", f"{name}, {how}", differ, "", ("==", 0))
                found = np.empty(sizes.steps)
                for i in range(sizes.steps):
                    start = perf_counter_ns()
                    stream.step(x[i % 1000])
                    found[i] = perf_counter_ns() - start
            for percent, asked in ((50, 15), (99, 30)):
                result.add(f"one stream, one step, p{percent}", f"{name}, {how}", float(np.percentile(found, percent)) / 1e3, "us",
                           ("<=", asked) if resident else None, {how: found})


def few_streams(result, sizes, torch):
    """From samples in the host's memory to results there; and what a launch costs that does nothing."""
    cuda = device.require()
    empty = cuda.jit("void()")(nothing)

    def launch():
        empty[1, 32]()
        cuda.synchronize()
    found = times(launch, 50 * sizes.rounds)
    result.add("an empty launch, asked for and waited for", "1 block", float(np.median(found)) / 1e3, "us", None, {"launch": found})
    layer, x = NETS["LSTM-64"], samples(FEW)
    engine, group = engine_of(net(layer), FEW)
    runs = {"streamrnn": times(lambda: engine.step_many(group, x), 50 * sizes.rounds)}
    if torch:
        step = torch_step(torch, layer, FEW)
        runs["torch"] = times(lambda: step(torch.from_numpy(x).cuda()[None]).cpu().numpy(), 50 * sizes.rounds)
    result.add("launch to result, times as fast as torch", f"LSTM-64, {FEW:,} streams",
               float(np.median(runs["torch"]) / np.median(runs["streamrnn"])) if torch else None, "x", (">=", 3), runs,
               why="" if torch else "no torch on this GPU")


def nothing():
    """A kernel that does just that."""


def training(result, sizes, torch):
    """An update: forwards, backwards and Adam's step."""
    rng = np.random.default_rng(0)
    x, y = samples(BATCH, TIME), rng.standard_normal((BATCH, TIME, 1)).astype(np.float32)
    for units, asked in TRAINED.items():
        runs = {"streamrnn": fit_times(units, x, y, sizes.rounds)}
        if torch:
            runs["torch"] = torch_times(torch, units, x, y, sizes.rounds)
        result.add("an update, times as fast as torch", f"LSTM-{units}, {BATCH} sequences of {TIME} steps",
                   float(np.median(runs["torch"]) / np.median(runs["streamrnn"])) if torch else None, "x", (">=", asked), runs,
                   why="" if torch else "no torch on this GPU")


def fit_times(units, x, y, rounds):
    marks = []
    sr.fit(net(sr.LSTM(units)), x, y, epochs=rounds + 4, batch=BATCH, device="cuda", progress=False,
           on_epoch=lambda _: marks.append(perf_counter_ns()))
    return np.diff(marks)[3:].astype(float)


def torch_times(torch, units, x, y, rounds):
    cell, head = torch.nn.LSTM(INPUTS, units, batch_first=True).cuda(), torch.nn.Linear(units, 1).cuda()
    adam = torch.optim.Adam([*cell.parameters(), *head.parameters()], fused=True)
    x, y = torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda()

    def update():
        adam.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(head(cell(x)[0]), y).backward()
        adam.step()
        torch.cuda.synchronize()
    return times(update, rounds)


def crossover(result, sizes, torch):
    """A batch from and to the host's memory, CPU and GPU: what device="auto" weighs."""
    for name in ("LSTM-32", "LSTM-128"):
        for count in (16, 256, 4096, 65_536):
            x, runs = samples(count), {}
            for where in ("cpu", "cuda"):
                engine, group = engine_of(net(NETS[name]), count, where)
                runs[where] = times(lambda engine=engine, group=group, x=x: engine.step_many(group, x), sizes.rounds)
            result.add("times as fast as one core of the CPU", f"{name}, {count:,} streams",
                       float(np.median(runs["cpu"]) / np.median(runs["cuda"])), "x", None, runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer streams and rounds: no figures to quote")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results", metavar="DIR", help="where the JSON goes")
    chosen = parser.parse_args()
    done = run(chosen)
    if done.rows:
        results.write(done, chosen.json, chosen.quick)
    print(results.table(done) if done.rows else "\n".join(done.notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
