"""In CUDA's simulator: a resident kernel steps what a compiled process stepped before, and must give its bits. Prints what it found.

resident_script.py FOLDER CASE...: a case is NAME:BLOCKS or one of the functions below.
"""
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from together import Together

import streamrnn
from streamrnn.cuda.resident import Resident
from streamrnn.cuda.signals import LAST
from streamrnn.errors import ConfigError, InputError, StateError, TimedOut, UnknownStream


def equal(folder, name, blocks, **options):
    """Steps, the state and a state that came from the CPU, bit for bit."""
    model, known = streamrnn.load(folder / f"{name}.safetensors"), np.load(folder / f"{name}.npz")
    x, y, rows = known["x"], known["y"], known["rows"]
    half = len(x) // 2
    with Resident(model.packed, blocks=blocks, **options) as stream:
        assert stream.blocks <= blocks
        for t in range(half):
            np.testing.assert_array_equal(stream.step(x[t]), y[t], strict=True)
        np.testing.assert_array_equal(stream.state(), rows[half - 1])
        np.testing.assert_array_equal(stream.run(x[half:]), y[half:])
        np.testing.assert_array_equal(stream.state(), rows[-1])
        stream.set_state(rows[half - 1])
        np.testing.assert_array_equal(stream.step(x[half]), y[half])
        stream.reset()
        np.testing.assert_array_equal(stream.step(x[0]), y[0])
    return stream


def idle(folder):
    """The kernel ends by itself, and the next sample has it launched again; nobody need know."""
    model, known = streamrnn.load(folder / "lstm.safetensors"), np.load(folder / "lstm.npz")
    stream, launches = Resident(model.packed, blocks=2, idle=0.2), len(together.launches)
    for t in range(4):
        np.testing.assert_array_equal(stream.step(known["x"][t]), known["y"][t])
        if t % 2:
            together.launches[-1].wait()
    assert len(together.launches) == launches + 2
    stream.close()
    stream.close()
    for use in (lambda: stream.step(known["x"][0]), stream.state, stream.reset):
        raises(UnknownStream, "closed", use)


def term(folder):
    """It ends between two samples after its term, however busy."""
    model, known = streamrnn.load(folder / "lstm.safetensors"), np.load(folder / "lstm.npz")
    launches = len(together.launches)
    with Resident(model.packed, blocks=2, idle=5.0, term=0.01) as stream:
        for t in range(4):
            np.testing.assert_array_equal(stream.step(known["x"][t]), known["y"][t])
            time.sleep(0.05)
    assert len(together.launches) > launches + 1


def refused(folder):
    """Bad samples touch nothing; what cannot be built says why."""
    model, known = streamrnn.load(folder / "lstm.safetensors"), np.load(folder / "lstm.npz")
    x, y = known["x"], known["y"]
    with Resident(model.packed, blocks=1) as stream:
        launches = len(together.launches)
        raises(InputError, "finite", lambda: stream.step(np.full(3, np.nan, np.float32)))
        assert len(together.launches) == launches
        stream.step(x[0])
        bad = x[:4].copy()
        bad[2, 1] = np.inf
        raises(InputError, r"x[0][2][1] is inf", lambda: stream.run(bad))
        raises(InputError, "x[1] is nan", lambda: stream.step([0, np.nan, 0]))
        raises(InputError, "shape (3,)", lambda: stream.step(np.zeros(4, np.float32)))
        np.testing.assert_array_equal(stream.step(x[1]), y[1])
    raises(ConfigError, "shared memory", lambda: Resident(model.packed, blocks=1, shared=1024))
    raises(ConfigError, "blocks", lambda: Resident(model.packed, blocks=0))
    raises(ConfigError, "idle", lambda: Resident(model.packed, idle=20.0))


def silent(folder):
    """A kernel that never answers is an error in time, and the stream is closed."""
    from streamrnn.cuda import chip

    model = streamrnn.load(folder / "lstm.safetensors")
    launch, chip.launch = chip.launch, lambda *args: None
    stream = Resident(model.packed, blocks=1, idle=0.1, limit=0.3)
    start = time.monotonic()
    raises(TimedOut, "did not answer within 0.3 s", lambda: stream.step(np.zeros(3, np.float32)))
    assert time.monotonic() - start < 5
    raises(UnknownStream, "closed", lambda: stream.step(np.zeros(3, np.float32)))
    chip.launch = launch


def round_again(folder):
    """Numbers of steps start anew after the last, and go on over launches."""
    model, known = streamrnn.load(folder / "lstm.safetensors"), np.load(folder / "lstm.npz")
    with Resident(model.packed, blocks=3) as stream:
        stream._now = LAST - 1
        for t in range(6):
            np.testing.assert_array_equal(stream.step(known["x"][t]), known["y"][t])
            if t == 2:
                stream.state()
        assert stream._now == 5


def by_the_door(folder):
    """model.stream(device="cuda")."""
    model, known = streamrnn.load(folder / "lstm.safetensors"), np.load(folder / "lstm.npz")
    x, y = known["x"], known["y"]
    with model.stream(device="cuda") as stream:
        np.testing.assert_array_equal(stream.step(x[0].tolist()), y[0])
        np.testing.assert_array_equal(stream.run(x[1:3]), y[1:3])
        row = stream.state()
        assert row.parts == [segment.name for segment in model.packed.plan.segments]
        raises(StateError, "numbers", lambda: stream.set_state(row[:-1]))
        np.testing.assert_array_equal(stream.step(x[3]), y[3])
    raises(UnknownStream, "closed", lambda: stream.step(x[0]))
    assert stream.blocks == 1 and together.launches
    raises(ConfigError, "device", lambda: model.stream(device="gpu"))


def launched(folder):
    """The other way: a launch for each sample, in the simulator as it comes."""
    sys.setswitchinterval(5e-3)
    model, known = streamrnn.load(folder / "rnn.safetensors"), np.load(folder / "rnn.npz")
    with model.stream(device="cuda", resident=False) as stream:
        np.testing.assert_array_equal(stream.step(known["x"][0]), known["y"][0])
        np.testing.assert_array_equal(stream.state(), known["rows"][0])
    stream.close()
    raises(UnknownStream, "closed", lambda: stream.step(known["x"][0]))


def threads(folder):
    """Threads may share a stream: samples go in one by one."""
    model, known = streamrnn.load(folder / "lstm.safetensors"), np.load(folder / "lstm.npz")
    with Resident(model.packed, blocks=1) as stream, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: stream.step(known["x"][0]), range(6)))
        shared = np.asarray(stream.state()).copy()
        stream.reset()
        for _ in range(6):
            stream.step(known["x"][0])
        np.testing.assert_array_equal(stream.state(), shared)


def broken(folder):
    """A kernel that dies shows its error, not a silence."""
    from streamrnn.cuda import resident_kernel

    model = streamrnn.load(folder / "rnn.safetensors")
    stream = Resident(model.packed, blocks=1, idle=0.1, limit=1.0)
    look, resident_kernel.look_host = resident_kernel.look_host, None
    raises(TimedOut, "closed", lambda: stream.step(np.zeros(3, np.float32)))
    raises(TypeError, "", together.launches[-1].wait)
    resident_kernel.look_host = look


def through_l2(folder):
    """Weights that do not fit are read from the GPU's memory: the same bits, and `far` says so."""
    stream = equal(folder, "lstm", 2, shared=8000)
    assert stream.far, stream.far


def raises(kind, text, action):
    try:
        action()
    except kind as error:
        assert text in str(error), str(error)
    else:
        raise AssertionError(f"no {kind.__name__}")


together = Together(threads=32)
folder = Path(sys.argv[1])
for case in sys.argv[2:]:
    name, _, blocks = case.partition(":")
    if blocks:
        equal(folder, name, int(blocks))
    else:
        globals()[name](folder)
    print(case, "ok", flush=True)
