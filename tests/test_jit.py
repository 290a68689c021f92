"""The cache of compiled code: it speeds up later processes and nothing that happens to it can break them."""
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import streamrnn
from streamrnn import jit

ROOT = Path(streamrnn.__file__).parents[1]

WORK = """
import numpy as np, streamrnn as sr
from streamrnn import jit
from streamrnn.kernels import step
model = sr.Model(inputs=3, layers=[sr.LSTM(5), sr.GRU(4), sr.Dense(2)], seed=6)
y = model.run(np.linspace(-2, 2, 20 * 7 * 3, dtype=np.float32).reshape(20, 7, 3))
z = model.stream().step([1, 2, 3])
print(y.tobytes().hex() + z.tobytes().hex())
print(*(int(jit.from_cache(kernel)) for kernel in (step.step_one, step.first_wrong, step.first_gone, step.steps)))
"""

SMALL = """
import numpy as np
from streamrnn import jit
from streamrnn.kernels import step
generations = np.array([0, 0, 4], np.int64)
chunks = np.array([0, generations.ctypes.data], np.int64)
print(jit.ready(step.first_gone)(chunks.ctypes.data, np.array([0, 2 | 4 << 32, 2 | 3 << 32, 1])), jit.from_cache(step.first_gone))
"""


def start(code, cache, root=ROOT):
    return subprocess.Popen([sys.executable, "-W", "error", "-c", code], cwd=root, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": str(root), "STREAMRNN_CACHE_DIR": str(cache)})


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    return out.splitlines()


def small(cache, root=ROOT):
    """Was the small kernel in the cache? It must work either way."""
    (line,) = finish(start(SMALL, cache, root))
    answer, cached = line.split()
    assert answer == "2"
    return cached == "True"


def entries(cache):
    return sorted(Path(cache).glob("*/*.bin"))


@pytest.fixture(scope="session")
def cold(tmp_path_factory):
    """(cache, outputs) of two processes that began at once with an empty cache."""
    cache = tmp_path_factory.mktemp("cold") / "made by the first that comes"
    processes = [start(WORK, cache) for _ in range(2)]
    return cache, [finish(process) for process in processes]


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    cache = tmp_path_factory.mktemp("warm")
    assert not small(cache)
    return cache


@pytest.fixture
def cache(warm, tmp_path):
    return Path(shutil.copytree(warm, tmp_path / "cache"))


def test_processes_that_compile_at_once_agree_and_leave_a_good_cache(cold):
    cache, outputs = cold
    assert len({results for results, _ in outputs}) == 1
    import_module("streamrnn.kernels.step")
    assert len(entries(cache)) == sum(d.py_func.__module__ == "streamrnn.kernels.step" for d, _ in jit.KERNELS)
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".bin"] == []


def test_a_later_process_loads_everything_and_computes_the_same(cold):
    cache, outputs = cold
    before = {path: path.stat().st_mtime_ns for path in entries(cache)}
    results, cached = finish(start(WORK, cache))
    assert cached == "1 1 1 1"
    assert results == outputs[0][0]
    assert {path: path.stat().st_mtime_ns for path in entries(cache)} == before


def test_a_kernel_is_loaded_where_it_was_compiled_before(cache):
    assert small(cache)
    assert len(entries(cache)) == 1


DAMAGE = {"empty": lambda b: b"", "digest only": lambda b: b[:32], "truncated": lambda b: b[:-1],
          "garbage": lambda b: os.urandom(5000),
          "flip in the digest": lambda b: bytes([b[0] ^ 1]) + b[1:], "flip in the code": lambda b: b[:-99] + bytes([b[-99] ^ 16]) + b[-98:]}


def test_a_damaged_entry_is_compiled_again_and_mended(cache):
    (entry,) = entries(cache)
    good = entry.read_bytes()
    for kind, damage in DAMAGE.items():
        entry.write_bytes(damage(good))
        assert not small(cache), kind
        mended = entry.read_bytes()
        assert mended[:32] == hashlib.blake2b(mended[32:], digest_size=32).digest(), kind
    assert small(cache)


def test_a_whole_entry_of_something_else_is_compiled_again(cache):
    (entry,) = entries(cache)
    for payload in (b"no pickle", pickle.dumps(None), pickle.dumps(("a", 1))):
        entry.write_bytes(hashlib.blake2b(payload, digest_size=32).digest() + payload)
        assert not small(cache)


def test_an_entry_that_is_a_folder_does_no_harm(cache):
    (entry,) = entries(cache)
    entry.unlink()
    entry.mkdir()
    assert not small(cache)
    assert [p for p in cache.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("place", ["a file/cache", "a file", "/proc/none"])
def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, place):
    (tmp_path / "a file").write_text("in the way")
    assert not small(tmp_path / place)
    assert (tmp_path / "a file").read_text() == "in the way"


def test_a_full_disk_leaves_no_draft_and_the_code_runs(tmp_path):
    code = "import os\ndef full(*names): raise OSError(28, 'No space left on device')\nos.replace = full\n" + SMALL
    assert finish(start(code, tmp_path)) == ["2 False"]
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_the_folder_is_where_the_environment_says(cache, tmp_path):
    (line,) = finish(start("from streamrnn import jit; print(jit.cache_folder())", cache))
    assert Path(line).parent == cache
    assert entries(cache)[0].parent == Path(line)
    bare = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", "from streamrnn import jit; print(jit.cache_folder())"], env=bare, cwd=ROOT,
                          text=True, capture_output=True, check=True)
    assert tmp_path in Path(done.stdout.strip()).parents


@pytest.mark.parametrize("edited", ["maths.py", "cells/rnn.py", "cells/new.py"])
def test_changed_sources_start_a_fresh_folder(cache, tmp_path, edited):
    shutil.copytree(ROOT / "streamrnn", tmp_path / "copy" / "streamrnn", ignore=shutil.ignore_patterns("__pycache__"))
    assert small(cache, tmp_path / "copy"), "the same sources elsewhere are the same code"
    with (tmp_path / "copy" / "streamrnn" / edited).open("a") as source:
        source.write("# edited\n")
    assert not small(cache, tmp_path / "copy")
    assert len(list(cache.iterdir())) == 2
    assert small(cache)


@pytest.mark.parametrize("option", [{"NUMBA_OPT": "1"}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}],
                         ids=["optimisation", "processor"])
def test_other_options_of_the_compiler_start_a_fresh_folder(cache, monkeypatch, option):
    for name, value in option.items():
        monkeypatch.setenv(name, value)
    (line,) = finish(start("from streamrnn import jit; print(jit.cache_folder())", cache))
    assert not Path(line).exists()


def test_a_kernel_takes_its_one_signature_only():
    import numpy as np

    from streamrnn.kernels import step
    with pytest.raises(TypeError):
        jit.ready(step.first_gone)(1.5, np.zeros(2, np.float32))
    assert len(step.first_gone.signatures) == 1


# -- names of pieces ---------------------------------------------------------------------------------------------------

def piece(number, other=None):
    def add(x):
        return x + number if other is None else other(x + number)
    return add


def test_what_a_factory_makes_is_named_by_what_it_closes_over():
    one, same, two = (jit.own_name(piece(n)).__qualname__ for n in (1, 1, 2))
    assert one == same != two
    assert one.startswith("piece.<locals>.add_")


def test_a_name_tells_pieces_apart_that_call_other_pieces():
    names = {jit.own_name(piece(1, jit.inline(piece(n)))).__qualname__ for n in (1, 2)}
    assert len(names) == 2


def test_a_name_is_the_same_in_every_process(cache):
    code = "from streamrnn.kernels.advance import advance_one; print(advance_one.py_func.__qualname__)"
    assert finish(start(code, cache)) == finish(start(code, cache))


def test_a_plain_function_keeps_its_name():
    assert jit.own_name(finish) is finish and finish.__qualname__ == "finish"


def test_what_has_no_content_to_name_is_refused():
    with pytest.raises(TypeError, match="no name can be made"):
        jit.own_name(piece(object()))


def test_kernels_compiled_in_different_processes_work_together(cache):
    """Each takes its own pieces, not the other's: they meet in one process under their names."""
    each = "from streamrnn import jit; from streamrnn.kernels import step, unroll; jit.ready({})"
    for process in [start(each.format(kernel), cache) for kernel in ("unroll.forwards", "step.steps")]:
        finish(process)
    both = """
import numpy as np
from streamrnn import GRU, LSTM, Dense, LayerNorm, Model
from streamrnn import jit
from streamrnn.kernels import step, unroll
from streamrnn.training.tape import Tape
from streamrnn.training.weights import Weights
model = Model(3, [LSTM(20), LayerNorm(), GRU(17), Dense(12, "softmax"), Dense(2, "tanh")])
x = np.random.default_rng(0).standard_normal((4, 9, 3)).astype(np.float32)
tape = Tape(Weights(model), 4, 9)
tape.samples[:, :, :3] = x.swapaxes(0, 1)
tape.lengths[:] = 9
tape.forwards(9)
print((tape.results.swapaxes(0, 1) == model.run(x)).all(), jit.from_cache(unroll.forwards), jit.from_cache(step.steps))
"""
    assert finish(start(both, cache))[-1] == "True True True"


def test_a_kernel_called_by_its_address(rng):
    """The bus calls the step that way: its own code stays small, and the step's is compiled once."""
    import numba
    from numba import types

    from streamrnn import jit

    signature = types.float64(types.float64[::1], types.int64)

    @jit.kernel(signature)
    def weighted(values, factor):
        return values.sum() * factor

    call = jit.called(signature)

    @numba.njit
    def caller(address, values):
        return call(address, (values, 3))

    values = rng.standard_normal(9)
    assert caller(jit.address_of_code(weighted), values) == weighted(values, 3)
