"""What streams go through, on whatever rows they are given: those of the CPU in this process, those of a GPU in CUDA's simulator.

A scenario is a function (world) -> {name: array or text}; both sides must give the same bits. `python scenarios.py FOLDER` plays
on CudaRows what is in SCENARIOS and nobody else plays yet, and leaves NAME.npz or, of a failure, NAME.txt. Models that need training
come from FOLDER.
"""
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import streamrnn as sr
from streamrnn.detect import plant
from streamrnn.engine import snapshot
from streamrnn.errors import StreamRNNError

F = np.float32
SCENARIOS = {}
WARM = "warm", "curved"     # detectors that `prepare` fits and saves


def same(x):
    return x


@dataclass
class World:
    """`rows(packed, **options)` makes rows on `device`; few(rows), many(rows): a GPU takes such tiles; `there` and `here` move arrays."""
    rows: object
    folder: Path
    device: str = "cpu"
    few: object = same
    many: object = same
    there: object = same
    here: object = same


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def opened(world, model, count, tile="few", random=True, seed=1):
    """Rows with `count` streams in random states, and their handles."""
    rows, rng = world.rows(model.packed), np.random.default_rng(seed)
    getattr(world, tile)(rows)
    handles = np.array([rows.open() for _ in range(count)], np.int64)
    if random:
        for handle in handles:
            rows.write(handle, random_row(model, rng))
    return rows, handles


def random_row(model, rng):
    row = np.zeros(model.packed.plan.stride, F)
    for segment in model.packed.plan.segments:
        row[segment.offset:][:segment.size] = rng.uniform(-1, 1, segment.size)
    return row


def draw(model, *shape, seed=2):
    rng = np.random.default_rng(seed)
    if isinstance(model.layers[0], sr.Embedding):
        return rng.integers(0, model.layers[0].vocabulary, (*shape, model.inputs)).astype(F)
    return rng.standard_normal((*shape, model.inputs)).astype(F)


def left(rows, handles):
    return np.array([rows.read(handle) for handle in handles])


def stepped(world, name, inputs, layers, count, tile="few", time=1, **options):
    """Results and rows of one model."""
    model = sr.Model(inputs, layers, seed=3, init="torch", **options)
    rows, handles = opened(world, model, count, tile)
    y = rows.steps(handles, draw(model, count, time))
    return {f"{name}: results": y, f"{name}: rows": left(rows, handles)}


# -- every cell, at sizes around the tile's widths ------------------------------------------------------------------------
# the widest first: who plays takes the next one that is left

@scenario
def lstm_of_three_sweeps(world):
    return stepped(world, "lstm 130", 2, [sr.LSTM(130)], 3)


@scenario
def lstm_of_two_sweeps(world):
    return stepped(world, "lstm 100", 18, [sr.LSTM(100)], 2) | stepped(world, "lstm 65", 1, [sr.LSTM(65)], 17)


@scenario
def gru_of_two_sweeps(world):
    return stepped(world, "gru 65", 3, [sr.GRU(65)], 4) | stepped(world, "reset 130", 3, [sr.GRU(130, reset_after=False)], 2)


@scenario
def two_sweeps_of_large_tiles(world):
    return stepped(world, "lstm 65", 3, [sr.LSTM(65)], 5, "many")


@scenario
def rnn_of_two_sweeps(world):
    return stepped(world, "rnn 260", 1, [sr.RNN(260)], 2)


@scenario
def lstm(world):
    found = {}
    for units, inputs, count in ((1, 1, 3), (3, 3, 5), (16, 16, 2), (17, 40, 33), (33, 3, 17), (64, 1, 16)):
        found |= stepped(world, f"lstm {units}", inputs, [sr.LSTM(units)], count, time=2 if units < 17 else 1)
    return found


@scenario
def gru(world):
    found = {}
    for units, inputs, count in ((1, 3, 3), (16, 17, 5), (17, 1, 33), (33, 3, 16)):
        found |= stepped(world, f"gru {units}", inputs, [sr.GRU(units)], count, time=2 if units < 17 else 1)
        found |= stepped(world, f"reset {units}", inputs, [sr.GRU(units, reset_after=False)], count, time=2 if units < 17 else 1)
    return found


@scenario
def rnn(world):
    found = {}
    for units, inputs, count, activation in ((1, 1, 3, "tanh"), (17, 40, 9, "relu"), (64, 3, 2, "tanh"), (100, 2, 3, "relu")):
        found |= stepped(world, f"rnn {units}", inputs, [sr.RNN(units, activation)], count)
    return found


@scenario
def large_tiles(world):
    found = {}
    for name, layers in {"lstm 5": [sr.LSTM(5), sr.Dense(1)], "lstm 17": [sr.LSTM(17)], "gru 18": [sr.GRU(18)], "rnn 65": [sr.RNN(65)],
                         "reset 33": [sr.GRU(33, reset_after=False)], "dense 100": [sr.Dense(100, "tanh")]}.items():
        found |= stepped(world, name, 3, layers, 21, "many")
    return found


@scenario
def dense(world):
    found = {}
    for units, activation in ((1, None), (8, "sigmoid"), (9, "relu"), (17, "softmax"), (64, "tanh"), (100, None), (300, "sigmoid")):
        found |= stepped(world, f"dense {units}", 19, [sr.Dense(units, activation)], 3)
    return found


@scenario
def mixed(world):
    """Everything there is, with several heads; many inputs; time inside."""
    trunk = [sr.LSTM(5), sr.LayerNorm(), sr.GRU(19), sr.Dropout(0.5), sr.RNN(18, "relu"), sr.GRU(3, reset_after=False),
             sr.Dense(35, "tanh")]
    heads = {"few": sr.Dense(3), "share": [sr.Dense(23, "relu"), sr.Dense(11, "softmax")], "odds": [sr.Dense(1), sr.Dense(17, "sigmoid")]}
    scaled = [sr.Scale(), *trunk, sr.Dense(2), sr.Unscale()]
    found = stepped(world, "heads", 35, trunk, 5, time=2, heads=heads)
    found |= stepped(world, "tokens", 2, [sr.Embedding(50, 9), *trunk], 4, heads=heads)
    found |= stepped(world, "scaled", 3, scaled, 3, time=2)
    return found | stepped(world, "smallest to largest", 3, [sr.Scale("minmax"), sr.RNN(4), sr.Unscale("minmax")], 3)


@scenario
def modern(world):
    found = {}
    for name, layer in {"mingru": sr.MinGRU(17), "minlstm": sr.MinLSTM(5), "lru": sr.LRU(3, states=18),
                        "attention": sr.Attention(6, window=3, heads=2), "a long window": sr.Attention(17, window=40)}.items():
        found |= stepped(world, name, 3, [layer, sr.Dense(2)], 3, time=4)
    return found


@scenario
def general(world):
    """What models from elsewhere bring."""
    layers = {"lstm": sr.Recurrence("lstm", 17, ("hard_sigmoid", ("scaled_tanh", 1.5, 0.5), "softsign"), clip=0.5, peepholes=True,
                                    projection=3, starts=True),
              "coupled": sr.Recurrence("lstm", 3, input_forget=True), "gru": sr.Recurrence("gru", 5, ("sigmoid", "elu"), starts=True),
              "reset before": sr.Recurrence("gru", 17, ("hard_sigmoid", "leaky_relu"), reset_after=False),
              "rnn": sr.Recurrence("rnn", 4, ("softplus",), clip=0.3)}
    found = {}
    for name, layer in layers.items():
        found |= stepped(world, name, 3, [layer, sr.Activation("thresholded_relu"), sr.Activation("affine", 2.0, 0.5)], 3, time=3)
    return found


# -- streams in batches ---------------------------------------------------------------------------------------------------

@scenario
def fewer_streams_than_a_tile_as_many_and_one_more(world):
    """One at a time as well: a neighbour changes nothing."""
    model, found = sr.Model(3, [sr.LSTM(5), sr.Dense(1)], seed=3, init="torch"), {}
    for tile, counts in {"few": (1, 31, 32, 33, 64, 100), "many": (127, 128, 129)}.items():
        rows, handles = opened(world, model, max(counts), tile)
        x = draw(model, len(handles), 1)
        for count in counts:
            found[f"{tile} {count}"] = rows.steps(handles[:count], x[:count])
        found[f"{tile}: one"] = np.stack([rows.step(handle, sample[0]) for handle, sample in zip(handles[:3], x, strict=False)])
        found[f"{tile}: in another order"] = rows.steps(np.ascontiguousarray(handles[::-3]), np.ascontiguousarray(x[::-3]))
        found[f"{tile}: rows"] = left(rows, handles)
    return found


@scenario
def ragged_lengths(world):
    """Lengths fall, as those who sort sequences hand them in; some are nothing at all."""
    model = sr.Model(2, [sr.GRU(6), sr.Dense(2)], seed=3, init="torch")
    rows, handles = opened(world, model, 9)
    lengths = np.array([5, 5, 4, 3, 3, 1, 1, 0, 0])
    x = draw(model, 9, 5)
    found = {"all of them": rows.steps(handles, x)}
    x[np.arange(5) >= lengths[:, None]] = np.nan  # nobody looks there
    found["results"] = rows.steps(handles, x, lengths)
    found["nothing to do"] = rows.steps(handles, x[:, :0])
    found["nobody"] = rows.steps(handles[:0], x[:0])
    return found | {"rows": left(rows, handles)}


@scenario
def streams_that_come_again_in_one_batch(world):
    model = sr.Model(2, [sr.LSTM(4), sr.Dense(1)], seed=3, init="torch")
    rows, handles = opened(world, model, 4)
    order = handles[[0, 1, 0, 2, 0, 1, 3]]
    found = {"results": rows.steps(order, draw(model, 7, 1), distinct=False)}
    found["in time"] = rows.steps(order, draw(model, 7, 3, seed=5), distinct=False)
    x = draw(model, 7, 1)
    x[6] = np.inf
    found["refused"] = refusal(lambda: rows.steps(order, x, distinct=False))
    return found | {"rows": left(rows, handles)}


def refusal(step):
    try:
        step()
    except StreamRNNError as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("nothing was refused")


@scenario
def refused_samples(world):
    """Nothing is stepped, the message names the place, and the next batch is stepped as ever."""
    tokens = sr.Model(2, [sr.Embedding(20, 3), sr.RNN(4)], seed=3)
    numbers, found = sr.Model(3, [sr.LSTM(4), sr.Dense(1)], seed=3), {}
    wrong = {"nan": (numbers, np.nan), "infinite": (numbers, -np.inf), "no such token": (tokens, 20), "below": (tokens, -1),
             "half": (tokens, 0.5), "no token": (tokens, np.nan)}
    for name, (model, value) in wrong.items():
        rows, handles = opened(world, model, 6)
        for time, where in ((1, (4, 0, 1)), (3, (2, 1, 0))):
            x = draw(model, 6, time)
            x[where] = x[5, time - 1] = value
            found[f"{name}, {time}"] = refusal(lambda r=rows, h=handles, x=x: r.steps(h, x))
            found[f"{name}, {time}, numbered"] = refusal(lambda r=rows, h=handles, x=x: r.steps(h, x, numbers=np.arange(6)[::-1] + 10))
            found[f"{name}, {time}: rows"] = left(rows, handles)
            found[f"{name}, {time}: one"] = refusal(lambda r=rows, h=handles, x=x: r.step(h[0], x[5, -1]))
        found[f"{name}: next"] = rows.steps(handles, draw(model, 6, 1))
    found["width"] = refusal(lambda: rows.step(handles[0], np.zeros(7, F)))
    gaps = sr.Detector.cold(2, clock=False).model
    rows, handles = opened(world, gaps, 2, random=False)
    x = draw(gaps, 2, 1)
    x[0, 0, 1], x[1, 0, 0] = np.nan, np.inf
    return found | {"gaps": refusal(lambda: rows.steps(handles, x)), "gaps: rows": left(rows, handles)}


# -- slots ----------------------------------------------------------------------------------------------------------------

@scenario
def closing_and_opening_again(world):
    model = sr.Model(2, [sr.GRU(5), sr.Dense(1)], seed=3, init="torch")
    rows, handles = opened(world, model, 5)
    x = draw(model, 5, 1)
    found = {"before": rows.steps(handles, x)}
    rows.close(handles[2])
    found["batch"] = refusal(lambda: rows.steps(handles, x))
    for name, use in {"read": rows.read, "close": rows.close, "clear": rows.clear, "step": lambda h: rows.step(h, x[0, 0]),
                      "write": lambda h: rows.write(h, np.zeros(rows.stride, F))}.items():
        found[name] = refusal(lambda use=use: use(handles[2]))
    again = rows.open()
    assert again != handles[2]
    found["handle"] = np.array([again])
    found["fresh"] = rows.read(again)
    fewer = np.array([again, handles[4], handles[0]])
    found["after"] = rows.steps(fewer, x[:3])
    rows.clear(handles[0])
    rows.write(handles[1], rows.read(handles[4]))
    found["then"] = rows.steps(np.delete(handles, 2), x[:4])
    return found | {"rows": left(rows, [again, *np.delete(handles, 2)])}


@scenario
def as_many_streams_as_there_is_room_for(world):
    model = sr.Model(2, [sr.RNN(3)], seed=3)
    rows = world.rows(model.packed, capacity=3)
    handles = [rows.open() for _ in range(3)]
    found = {"full": refusal(rows.open)}
    rows.close(handles[1])
    handles[1] = rows.open()
    found["still full"] = refusal(rows.open)
    fixed = world.rows(model.packed, capacity=2, fixed=True)
    handles = np.array([fixed.open() for _ in range(2)])
    return found | {"fixed": fixed.steps(handles, draw(model, 2, 3)), "fixed, full": refusal(fixed.open)}


@scenario
def growing(world):
    """States move to a larger place when the first is full."""
    model = sr.Model(2, [sr.LSTM(3), sr.Dense(1)], seed=3, init="torch")
    rows, handles = opened(world, model, 1020)
    some = np.ascontiguousarray(handles[::200])
    found = {"before": rows.steps(some, draw(model, len(some), 1))}
    more = np.array([rows.open() for _ in range(10)])
    found["new"] = left(rows, more)
    both = np.concatenate([some, more])
    found["after"] = rows.steps(both, draw(model, len(both), 2))
    return found | {"rows": left(rows, np.concatenate([handles[::50], both]))}


@scenario
def moving(world):
    """From a snapshot of an engine on the CPU, on, and into a snapshot again."""
    model = sr.load(world.folder / "moving.safetensors")
    pairs = snapshot.read(world.folder / "moving.db", model, False)
    rows = world.rows(model.packed)
    handles = np.array([rows.open() for _ in pairs])
    for handle, (_, row) in zip(handles, pairs, strict=True):
        rows.write(handle, row)
    found = {"results": rows.steps(handles, draw(model, len(handles), 2, seed=7))}
    path = world.folder / f"moved_{rows.__class__.__name__}.db"
    snapshot.write(path, model, [(id, rows.read(handle)) for handle, (id, _) in zip(handles, pairs, strict=True)])
    return found | {"rows": left(rows, handles)}


# -- engines --------------------------------------------------------------------------------------------------------------

@scenario
def engines(world):
    model = sr.Model(3, [sr.LSTM(5), sr.Dense(2)], seed=3, init="torch")
    engine, ids, x = sr.Engine(model, device=world.device, capacity=9), ["a", 2, "c", "d"], draw(model, 12)
    found = {"one": engine.step("a", x[0]), "many": engine.step_many(ids, x[:4]), "again": engine.step_many(["c", "a", "c"], x[4:7])}
    group = engine.group([*ids, "e"])
    found["group"] = engine.step_many(group, x[:5])
    found["part of it"] = engine.step_many(group[[3, 0]], x[:2])
    found["there"] = world.here(engine.step_many(group, world.there(x[2:7])))
    found["a group with repeats"] = world.here(engine.step_many(engine.group(["a", "c", "a"]), world.there(x[2:5])))
    engine.fork("a", "f")
    engine.close(2)
    engine.reset("c")
    engine.set_state("d", engine.state("a"))
    found["closed"] = refusal(lambda: engine.step_many(group, x[:5]))
    found["width"] = refusal(lambda: engine.step_many(["a"], x[:1, :2]))
    found["value"] = refusal(lambda: engine.step_many(["a", "new"], np.array([[0, 0, 0], [0, np.nan, 0]], F)))
    found["value there"] = refusal(lambda: engine.step_many(["a", "new"], world.there(np.array([[0, 0, 0], [0, np.nan, 0]], F))))
    found["streams"] = " ".join(map(str, engine.ids))
    path = world.folder / f"engine_{world.device}.db"
    engine.snapshot(path)
    other = sr.Engine.restore(path, model, device=world.device)
    for name, one in (("kept", engine), ("restored", other)):
        found[name] = one.step_many(["a", "f", "c", "d", "e"], x[7:])
        found[f"{name}: rows"] = np.array([one.state(id) for id in one.ids])
    stream = engine.stream("a")
    return found | {"stream": stream.run(x[:3]), "state": np.asarray(stream.state())}


@scenario
def pipes(world):
    """Batches under way beside each other give what they give one by one; one that is refused steps nothing."""
    model = sr.Model(3, [sr.GRU(5), sr.Dense(2)], seed=3, init="torch")
    engine = sr.Engine(model, device=world.device)
    group, x = engine.group(range(7)), draw(model, 5, 7)
    x[2, 4, 1] = np.nan
    if world.device == "cpu":
        found = [str(refusal(lambda k=k: engine.step_many(group, x[k]))) if k == 2 else engine.step_many(group, x[k]) for k in range(5)]
    else:
        pipe, found = engine.pipe(group), []
        for k in range(5):
            pipe.room()[:] = x[k]
            pipe.send()
            if k:
                found.append(received(pipe, k - 1))
        found.append(received(pipe, 4))
    return {f"batch {k}": y for k, y in enumerate(found)} | {"rows": np.array([engine.state(id) for id in engine.ids])}


def received(pipe, number):
    return refusal(pipe.receive) if number == 2 else pipe.receive().copy()


@scenario
def whole_sequences(world):
    model = sr.Model(2, [sr.LSTM(4), sr.Dense(1)], seed=3, init="torch")
    x = draw(model, 4, 3)
    return {"one": model.run(x[0], device=world.device), "many": model.run(x, device=world.device),
            "ragged": model.run(x, lengths=[2, 3, 0, 1], device=world.device)}


# -- detectors ------------------------------------------------------------------------------------------------------------

def watched(world, name, detector, rows_of_readings=25, streams=3):
    """Streams with gaps: a reading now and then, a whole row, a sensor that stays away; a clock that stands still, runs, and is unknown."""
    model = detector.model
    x, rng = draw(model, streams, rows_of_readings), np.random.default_rng(4)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 9], x[1, 7:14, 0], x[0, 15, 0] = np.nan, np.nan, 1e19
    if detector.timed:
        x[..., -2] = np.arange(rows_of_readings) * detector.period + 1000
        x[..., -1] = 0
        x[1, 5:, -2] += 600
        x[2, ::4, -2:] = np.nan
    rows, handles = opened(world, model, streams, random=False)
    cut = rows_of_readings - 3
    parts = rows.steps(handles, np.ascontiguousarray(x[:, :cut])), rows.steps(handles, np.ascontiguousarray(x[:, cut:]))
    return {f"{name}: results": np.concatenate(parts, 1), f"{name}: rows": left(rows, handles)}


@scenario
def cold_detectors(world):
    found = {}
    for sensors, clock in ((1, True), (1, False), (3, True), (17, False)):
        found |= watched(world, f"{sensors}", sr.Detector.cold(sensors, clock=clock), 60 if sensors == 1 else 25)
    return found


@scenario
def warm_detectors(world):
    return {key: value for name in WARM
            for key, value in watched(world, name, sr.Detector.load(world.folder / f"{name}.safetensors"), 20).items()}


# -- both sides -----------------------------------------------------------------------------------------------------------

def prepare(folder):
    """What scenarios find there: warm detectors, one with a clock, a net and a memory, one of a curve no line forecasts; a snapshot."""
    values, times = plant.simulate(400, seed=1)
    curve = np.full(1500, 0.3)
    for t in range(2, len(curve)):
        curve[t] = 1 - 1.4 * curve[t - 1] ** 2 + 0.3 * curve[t - 2]
    sr.Detector.fit(values[:, [2, 4, 1]], times=times, layers=[sr.GRU(5)], memory=True, progress=False).save(folder / "warm.safetensors")
    sr.Detector.fit(curve.astype(F), memory=False, progress=False).save(folder / "curved.safetensors")
    model = sr.Model(3, [sr.LSTM(6), sr.LayerNorm(), sr.GRU(4, reset_after=False), sr.Dense(2)], seed=5, init="torch")
    model.save(folder / "moving.safetensors")
    engine = sr.Engine(model)
    engine.step_many(["a", 7, "c"], draw(model, 3))
    engine.snapshot(folder / "moving.db")


def same_bits(a, b):
    """NaN is as good as NaN."""
    if a.dtype != F:
        return np.array_equal(a, b)
    return a.shape == b.shape and bool(((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all())


# -- the simulator's side -------------------------------------------------------------------------------------------------

def on_a_gpu(folder):
    """The world of CudaRows, simulated or not."""
    from streamrnn.cuda import device, tile
    from streamrnn.cuda.rows import CudaRows

    def always(kind):
        def take(rows):
            rows._program.tile_for = lambda count: kind
        return take

    return World(CudaRows, folder, "cuda", always(tile.FEW), always(tile.MANY), device.upload, device.download)


def play(folder):
    """Every scenario that no other process has taken."""
    import turns

    turns.install()
    world = on_a_gpu(folder)
    for name, scenario in SCENARIOS.items():
        try:
            os.close(os.open(folder / f"{name}.taken", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        try:
            save(folder / name, scenario(world))
        except BaseException:
            (folder / f"{name}.txt").write_text(traceback.format_exc())


def save(path, found):
    draft = path.with_suffix(".draft.npz")
    np.savez(draft, **{key: np.array(value) for key, value in found.items()})
    draft.rename(path.with_suffix(".npz"))


if __name__ == "__main__":
    play(Path(sys.argv[1]))
