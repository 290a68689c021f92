"""One step in the kernel, no Python: a strict chain, where each sample waits for the last result, against hand-written C."""
import numpy as np

from bench import peers
from bench.chain import chain
from bench.harness import measure, per_call, ratio, settled, timed
from bench.result import Result
from streamrnn import GRU, LSTM, Dense, Model, jit
from streamrnn.plan import aligned

CELLS = {"lstm": LSTM, "gru": GRU}
BESIDE = {("lstm", 8, 32), ("lstm", 8, 128)}  # the cases that torch and onnxruntime are shown for
ASKED = ("<=", 1.25)
SAMPLES = 8192


def run(options):
    result = Result("one_step")
    jit.ready(chain)
    if options.limit.reason:
        result.note(f"the limit in C is absent: {options.limit.reason}")
    for cell, layer in CELLS.items():
        for inputs in (1, 8):
            for units in (16, 32, 64, 128):
                model = Model(inputs, [layer(units), Dense(1)], seed=0)
                _case(result, options, cell, inputs, units, model)
    return result


def _case(result, options, cell, inputs, units, model):
    steps = max(1000, int(5e6 / (30 + units * (units + inputs) / 7)))  # some 5 ms
    candidates = {"streamrnn": kernel(model, steps)}
    if not options.limit.reason:
        candidates["limit in C"] = options.limit.candidate(cell, inputs, units, steps)
    times = measure(candidates, options.rounds)
    case = f"{cell.upper()} {units}, {inputs} input{'s' * (inputs > 1)}, Dense 1"
    figure = ratio(times["streamrnn"], times["limit in C"]) if "limit in C" in times else None
    result.add("one step in the kernel / hand-written AVX-512 C", case, figure, "x the limit", ASKED, times,
               why="" if figure else options.limit.reason)
    if (cell, inputs, units) in BESIDE:
        _peers(result, options, model, case, candidates["streamrnn"])


def kernel(model, steps):
    """The compiled chain, checked against model.run first; ns per step."""
    packed, rng = model.packed, np.random.default_rng(0)
    x = np.ascontiguousarray(rng.uniform(-1, 1, (SAMPLES, model.inputs)), np.float32)
    y, work = np.zeros(model.outputs, np.float32), aligned(max(1, packed.plan.work_size))
    go = lambda row, count: chain(packed.program.ctypes.data, row, x, y, work, count, np.float32(0))
    go(aligned(packed.plan.stride), 100)
    if not np.array_equal(y, model.run(x[:100])[-1]):
        raise RuntimeError("the chain's results are not those of model.run")
    row = aligned(packed.plan.stride)
    return settled(timed(lambda: go(row, steps), steps))


def _peers(result, options, model, case, ours):
    x = list(np.random.default_rng(2).uniform(-1, 1, (200, model.inputs)).astype(np.float32))
    candidates = {"streamrnn": ours}
    if torch := peers.load_torch(result):
        candidates["torch.nn.LSTMCell"] = per_call(_cell(torch, model), x)
    if onnxruntime := peers.load_onnxruntime(result):
        step = peers.onnx_stream(onnxruntime, model)
        peers.agree(step, model)
        candidates["onnxruntime run()"] = per_call(step, x)
    times = measure(candidates, options.rounds)
    for name in list(times)[1:]:
        result.add("the same step in a peer, called from Python", f"{case}: {name}", ratio(times[name], times["streamrnn"]),
                   "x ours in the kernel", runs={"streamrnn": times["streamrnn"], name: times[name]})


def _cell(torch, model):
    cell, state = peers.torch_cell(torch, model), None

    def step(x):
        nonlocal state
        with torch.no_grad():
            state = cell(torch.from_numpy(x)[None], state)
        return state[0]

    bare = Model(model.inputs, [model.layers[0]], tensors={n: t for n, t in model.tensors.items() if n.startswith("layers.0.")})
    peers.agree(lambda x: step(x)[0].numpy(), bare)
    return step
