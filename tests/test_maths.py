"""tanh, sigmoid, exp, log, cos and sin: the same bits on floats, on lanes and in plain Python, and close to float64's."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from streamrnn import maths
from streamrnn.lanes import LANES, data, load, store

F = np.float32
COUNT = 1 << 18
SMALLEST, LARGEST = np.finfo(F).smallest_subnormal, np.finfo(F).max
EDGES = np.array([0, SMALLEST, 2.0**-140, np.finfo(F).tiny, 2.0**-60, 1e-8, 2.0**-12, 0.5, 1, 4, 8.0999, 8.1, 8.1001, 16.2, 16.3,
                  86.99, 87, 87.01, 88, 88.01, 103, 1e9, LARGEST, np.inf])


def points():
    """Edges, a fine net over where the functions bend, and floats of every exponent; a whole number of lanes."""
    rng = np.random.default_rng(3)
    edges = np.concatenate([EDGES, -EDGES])
    net = np.linspace(-90, 90, COUNT // 4)
    bent = rng.uniform(-9, 9, COUNT // 2)
    anything = rng.integers(0, 1 << 32, COUNT - len(edges) - len(net) - len(bent), dtype=np.uint32).view(F)
    anything = np.where(np.isnan(anything), F(0), anything)
    return np.concatenate([edges.astype(F), net.astype(F), bent.astype(F), anything])


X = points()
PACKAGE = str(Path(maths.__file__).parents[1])
FUNCTIONS = {name: getattr(maths, name) for name in ("tanh", "sigmoid", "exp")}
PLAIN = """
import sys
import numpy as np
from streamrnn import maths
x = np.frombuffer(bytes.fromhex(sys.stdin.read()), np.float32)
print(np.array([[getattr(maths, name)(v) for v in x] for name in ("tanh", "sigmoid", "exp")], np.float32).tobytes().hex())
"""


def loops(function):
    @njit(error_model="numpy")
    def on_lanes(x, y):
        for u in range(0, x.size, LANES):
            store(data(y), u, function(load(data(x), u)))

    @njit(error_model="numpy")
    def on_floats(x, y):
        for u in range(x.size):
            y[u] = function(x[u])

    return on_lanes, on_floats


@pytest.fixture(scope="module")
def results():
    """{name: (values from lanes, values from floats)} over X."""
    out = {}
    for name, function in FUNCTIONS.items():
        out[name] = np.full_like(X, np.nan), np.full_like(X, np.nan)
        for loop, y in zip(loops(function), out[name], strict=True):
            loop(X, y)
    return out


def exact(name):
    x = X.astype(np.float64)
    if name == "tanh":
        return np.tanh(x)
    if name == "sigmoid":
        return 0.5 + 0.5 * np.tanh(0.5 * x)
    return np.exp(np.clip(x, -87, 88))


def test_the_points_are_a_quarter_of_a_million_in_whole_lanes():
    assert len(X) == COUNT and COUNT % LANES == 0 and not np.isnan(X).any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_give_the_bits_of_floats(name, results):
    wide, one = results[name]
    assert (wide.view(np.uint32) == one.view(np.uint32)).all()


@pytest.mark.parametrize(("name", "bound"), [("tanh", 4.5e-7), ("sigmoid", 3e-7)])
def test_error_stays_below_its_bound(name, bound, results):
    assert np.abs(results[name][0] - exact(name)).max() < bound


def test_exp_is_within_3e_7_of_the_value(results):
    want = exact("exp")
    assert np.abs(results["exp"][0] / want - 1).max() < 3e-7


def test_tanh_and_sigmoid_never_leave_their_range(results):
    tanh, sigmoid = results["tanh"][0], results["sigmoid"][0]
    assert np.abs(tanh).max() <= 1 and sigmoid.min() >= 0 and sigmoid.max() <= 1


def test_tanh_and_sigmoid_are_flat_beyond_their_ends(results):
    for name, limit, low in (("tanh", maths.LIMIT, -1), ("sigmoid", 2 * maths.LIMIT, 0)):
        beyond = np.abs(X) >= limit
        top, bottom = results[name][0][beyond & (X > 0)], results[name][0][beyond & (X < 0)]
        assert len(top) > 100 and (top == top[0]).all() and abs(top[0] - 1) < 3e-7
        assert len(bottom) > 100 and (bottom == bottom[0]).all() and abs(bottom[0] - low) < 3e-7


def test_tanh_is_odd_and_keeps_the_sign_of_zero(results):
    tanh = results["tanh"][0]
    half = len(EDGES)
    assert (tanh[:half] == -tanh[half:2 * half]).all()
    assert not np.signbit(tanh[0]) and np.signbit(tanh[half]) and tanh[0] == 0


def test_exp_of_zero_is_one_and_its_ends_are_finite(results):
    exp = results["exp"][0]
    assert exp[0] == 1 and np.isfinite(exp).all() and exp.min() > 0


def test_ratio_bottoms_lie_where_a_product_of_two_cannot_overflow():
    @njit
    def bottoms(x, y):
        for u in range(x.size):
            y[0, u] = maths.tanh_ratio(x[u])[1]
            y[1, u] = maths.sigmoid_ratio(x[u])[1]
    y = np.empty((2, COUNT), F)
    bottoms(X, y)
    assert y[0].min() >= 1 and y[0].max() <= 205 and y[1].min() >= 2 and y[1].max() <= 410


def test_plain_python_gives_the_bits_of_compiled_code(results):
    some = np.concatenate([np.arange(2 * len(EDGES)), np.arange(2 * len(EDGES), COUNT, COUNT // 600)])
    done = subprocess.run([sys.executable, "-W", "error", "-c", PLAIN], input=X[some].tobytes().hex(), capture_output=True, text=True,
                          env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": PACKAGE})
    assert done.returncode == 0, done.stderr
    plain = np.frombuffer(bytes.fromhex(done.stdout), np.uint32).reshape(3, -1)
    for row, name in zip(plain, FUNCTIONS, strict=True):
        assert (row == results[name][0][some].view(np.uint32)).all(), name


def test_log_is_close_to_float64s_and_the_same_in_plain_python(rng):
    """One float at a time: every normal float above 0."""
    @njit
    def logs(x, y):
        for u in range(x.size):
            y[u] = maths.log(x[u])
    bits = rng.integers(1 << 23, 0x7F800000, COUNT, dtype=np.uint32)
    x = np.concatenate([bits.view(F), rng.uniform(0.5, 2, COUNT).astype(F), F([1, np.finfo(F).tiny, LARGEST, 2 ** 0.5])])
    y = np.empty_like(x)
    logs(x, y)
    want = np.log(x.astype(np.float64))
    assert (np.abs(y - want) <= 1.2e-7 * np.maximum(np.abs(want), 0.5)).all() and y[2 * COUNT] == 0
    plain = np.array([maths.log.py_func(v) for v in x[::997]], F)
    assert (plain.view(np.uint32) == y[::997].view(np.uint32)).all()


def test_cos_and_sin_are_close_to_float64s_and_the_same_on_floats_lanes_and_in_plain_python():
    cos, sin = (njit(error_model="numpy")(f) for f in (lambda x: maths.cos_sin(x)[0], lambda x: maths.cos_sin(x)[1]))
    x = np.concatenate([np.linspace(-8, 8, 1 << 16), np.linspace(-1024, 1024, 1 << 16)]).astype(F)
    for function, exact in ((cos, np.cos), (sin, np.sin)):
        on_lanes, on_floats = loops(function)
        y, other = np.empty_like(x), np.empty_like(x)
        on_lanes(x, y)
        on_floats(x, other)
        assert y.tobytes() == other.tobytes()
        assert np.abs(y - exact(x.astype(np.float64))).max() < 7e-7
        some = x[::997]
        assert np.array([function.py_func(v) for v in some], F).tobytes() == y[::997].tobytes()
    both = np.array([maths.cos_sin.py_func(v) for v in x[::97]])
    assert np.hypot(*both.astype(np.float64).T).max() < 1 + 2 ** -21  # an LRU relies on it
