"""Words in plain Python round as the compiled ones, bit for bit: what CUDA's simulator says holds for the kernels."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from streamrnn import lanes, maths, plain, sums

F = np.float32
LARGEST, TINY, SMALLEST = np.finfo(F).max, np.finfo(F).tiny, np.finfo(F).smallest_subnormal
NASTY = np.array([0, 1, 1 + 2**-23, 1 - 2**-24, 3, 1 / 3, 2**12 + 1, 2**-12, 2**-75, 2**-63, TINY, 1.5 * TINY, SMALLEST, 3 * SMALLEST,
                  2**-126 - 2**-149, 2**64, 1e19, LARGEST, LARGEST / 2, np.inf, np.nan], F)
pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in :RuntimeWarning")  # infinities are among the points


def triples():
    """Every three of the nasty ones; at random over all exponents; and halfway between two floats, or just beside."""
    signed = np.concatenate([NASTY, -NASTY])
    every = np.stack(np.meshgrid(signed, signed, signed, indexing="ij"), -1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 1 << 32, (100_000, 3), dtype=np.uint32).view(F)
    # a * b is half of c's last place, give or take the last bits of the product
    c = rng.standard_normal(100_000).astype(F) * F(2) ** rng.integers(-20, 20, 100_000).astype(F)
    a = (1 + rng.integers(-3, 4, len(c)) * 2.0**-23).astype(F)
    b = (np.spacing(c) / 2 * rng.choice([-3, -1, 1, 3], len(c)) * (1 + rng.integers(-3, 4, len(c)) * 2.0**-23)).astype(F)
    return np.concatenate([every, anything, np.stack([a, b, c], -1)]).T.copy()


def same_bits(a, b):
    a, b = np.asarray(a, F), np.asarray(b, F)
    return ((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all()


@njit(error_model="numpy")
def compiled_fma(a, b, c, y):
    for i in range(a.size):
        y[i] = lanes.fma(a[i], b[i], c[i])


def test_a_product_and_a_sum_are_rounded_once():
    a, b, c = triples()
    want = np.empty_like(a)
    compiled_fma(a, b, c, want)
    assert same_bits(plain.fma(a, b, c), want)
    one_by_one = [plain.fma(*three) for three in zip(a, b, c, strict=True)]
    assert all(type(value) is F for value in one_by_one[:9]) and same_bits(one_by_one, want)
    twice = (a.astype(np.float64) * b + c).astype(F)
    assert not same_bits(twice, want)  # the points would tell


WORDS = {name: (getattr(plain, name), njit(compiled, error_model="numpy")) for name, compiled in {
    "larger": lambda a, b, c: lanes.larger(a, b), "smaller": lambda a, b, c: lanes.smaller(a, b),
    "where_positive": lambda a, b, c: lanes.where_positive(a, b), "choose": lambda a, b, c: lanes.choose(a, b, c)}.items()}


@pytest.mark.parametrize("name", WORDS)
def test_comparisons_pick_the_same(name):
    word, compiled = WORDS[name]
    points = triples()[:, ::7]
    count = 3 if name == "choose" else 2

    @njit(error_model="numpy")
    def loop(a, b, c, y):
        for i in range(a.size):
            y[i] = compiled(a[i], b[i], c[i])

    want = np.empty(points.shape[1], F)
    loop(*points, want)
    assert same_bits(word(*points[:count]), want)
    assert same_bits([word(*values[:count]) for values in points.T[:500]], want[:500])


def test_powers_and_roots():
    whole = np.arange(-126, 128).astype(F)
    power, root = njit(lambda x: lanes.power_of_two(x)), njit(lambda x: lanes.root(x))
    assert same_bits([plain.power_of_two(n) for n in whole], [power(n) for n in whole])
    assert same_bits(plain.power_of_two(whole), F(2) ** whole)
    x = np.abs(triples()[0][::9])
    assert same_bits(plain.root(x), [root(v) for v in x])


@pytest.mark.parametrize("count", [1, 15, 16, 17, 48, 333])
def test_sums_have_the_same_order(count):
    rng = np.random.default_rng(count)
    p, q = np.zeros((2, -(-count // 16) * 16), F)
    p[:count], q[:count] = (rng.standard_normal((2, count)) * 10.0 ** rng.integers(-4, 4, (2, count))).astype(F)
    addresses = p.ctypes.data, q.ctypes.data
    wide = len(p)

    @njit(error_model="numpy")
    def compiled(p, q, count, wide):
        p, q = lanes.data(p), lanes.data(q)
        return sums.dot(p, q, count), sums.total(p, count), sums.squares(p, wide)

    dot, total, squares = compiled(p, q, count, wide)
    assert same_bits(plain.dot(*addresses, count), dot) and same_bits(plain.total(addresses[0], count), total)
    assert plain.squares(addresses[0], wide) == squares


def test_memory_is_read_and_written_where_the_compiled_words_do():
    x = np.arange(64, dtype=F)
    p = plain.pointer(x.ctypes.data)
    assert plain.get(plain.at(p, 3), 4) == 7 and np.array_equal(plain.load(p, 16), x[16:32])
    plain.put(p, 1, F(-1))
    plain.store(plain.at(p, 16), 16, plain.splat(F(5)))
    assert x[1] == -1 and (x[32:48] == 5).all() and x[48] == 48
    numbers = np.arange(9)
    table = plain.beyond(plain.fields(numbers.ctypes.data), 2)
    table[1] = 30
    assert table[4] == 6 and numbers[3] == 30


PLAIN = """
import sys
import numpy as np
from streamrnn import maths
x = np.frombuffer(bytes.fromhex(sys.stdin.read()), np.float32)
y = [[getattr(maths, name)(x[k:k + 16]) for k in range(0, len(x), 16)] for name in ("tanh", "sigmoid", "exp")]
logs = [maths.log(v) for v in np.abs(x[x != 0])]
print(np.array(y, np.float32).tobytes().hex())
print(np.array(logs, np.float32).tobytes().hex())
"""


def test_maths_over_lanes_in_plain_python():
    """tests/test_maths.py compares floats one by one; a team's lanes are arrays."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-9, 9, 1000), rng.uniform(-100, 100, 500), rng.standard_normal(100) * 1e-6]).astype(F)
    path = os.pathsep.join(filter(None, [str(Path(maths.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-W", "error", "-c", PLAIN], input=x.tobytes().hex(), capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": path, "NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 0, done.stderr
    got, logs = (np.frombuffer(bytes.fromhex(line), F) for line in done.stdout.split())
    want = np.array([[getattr(maths, name)(v) for v in x] for name in ("tanh", "sigmoid", "exp")], F)
    assert same_bits(got.reshape(want.shape), want)
    assert same_bits(logs, [maths.log(v) for v in np.abs(x[x != 0])])
