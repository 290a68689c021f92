"""One sample from Python, the result array included: LSTM 32 with 8 inputs and a Dense 1, against onnxruntime and torch."""
import numpy as np

from bench import peers
from bench.harness import measure, per_call, ratio
from bench.result import Result
from streamrnn import LSTM, Dense, Engine, Model

CASE = "LSTM 32, 8 inputs, Dense 1"


def run(options):
    result = Result("python_call")
    model = Model(8, [LSTM(32), Dense(1)], seed=0)
    x = list(np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32))
    stream, engine = model.stream(), Engine(model)
    named = lambda sample: engine.step("pump-7", sample)
    for step in (stream.step, named):
        peers.agree(step, model)
    candidates = {"stream.step": per_call(stream.step, x * 5), "engine.step": per_call(named, x * 5)}
    if onnxruntime := peers.load_onnxruntime(result):
        session = peers.onnx_stream(onnxruntime, model)
        peers.agree(session, model)
        candidates["onnxruntime"] = per_call(session, x)
    if torch := peers.load_torch(result):
        net = peers.torch_stream(torch, model)
        peers.agree(net, model)
        candidates["torch"] = per_call(net, x[:200])
    times = measure(candidates, options.rounds * 3)

    headline = "one sample from Python, result array included"
    for name in ("stream.step", "engine.step"):
        asked = ("<=", 1.1) if name == "stream.step" else None
        result.add(headline, f"{name}, {CASE}", float(np.median(times[name])) / 1000, "us", asked, {name: times[name]})
    peer_rows = ("onnxruntime", "session.run, states in and out", (">=", 10)), ("torch", "nn.LSTM + nn.Linear, no_grad", None)
    for name, what, asked in peer_rows:
        figure = ratio(times[name], times["stream.step"]) if name in times else None
        result.add(f"{name} / stream.step", f"{what}, {CASE}", figure, "x faster", asked, {name: times[name]} if figure else {},
                   why="" if figure else f"{name} is not installed")
    return result
