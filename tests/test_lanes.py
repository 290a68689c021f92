"""Lanes, floats and plain NumPy must agree bit for bit; a sum over a vector has one order, whatever LANES is."""
import numpy as np
import pytest
from numba import njit

from streamrnn import lanes
from streamrnn.lanes import BLOCK, LANES, choose, data, fma, larger, load, root, smaller, splat, store
from streamrnn.maths import clamp
from streamrnn.sums import dot, total

F = np.float32
POINTS = 64 * LANES
EXTREMES = np.array([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1e-38, -1e-38, 3e38, -3e38, 1 + 2**-23, 1 - 2**-24], F)


def bits(a):
    return np.asarray(a, F).view(np.uint32)


@pytest.fixture
def points(rng):
    """Three vectors over many magnitudes, extremes among them."""
    values = (rng.standard_normal((3, POINTS)) * 10.0 ** rng.integers(-12, 12, (3, POINTS))).astype(F)
    for row in values:
        row[rng.choice(POINTS, len(EXTREMES), replace=False)] = EXTREMES
    return values


def on_lanes(function):
    @njit(error_model="numpy")
    def loop(a, b, c, y):
        for u in range(0, a.size, LANES):
            store(data(y), u, function(load(data(a), u), load(data(b), u), load(data(c), u)))
    return loop


def on_lanes_and_a_float(function):
    """The second argument is a float for all lanes."""
    @njit(error_model="numpy")
    def loop(a, b, c, y):
        for u in range(0, a.size, LANES):
            store(data(y), u, function(load(data(a), u), b[0], load(data(c), u)))
    return loop


def on_floats(function):
    @njit(error_model="numpy")
    def loop(a, b, c, y):
        for u in range(a.size):
            y[u] = function(a[u], b[u], c[u])
    return loop


def rounded_once(a, b, c):
    """In float64 the product is exact; rounding its sum twice differs from once on none of these points."""
    return (a.astype(np.float64) * b + c).astype(F)


FUNCTIONS = {  # name: (compiled, what NumPy says)
    "fma": (njit(lambda a, b, c: fma(a, b, c)), rounded_once),
    "larger": (njit(lambda a, b, c: larger(a, b)), lambda a, b, c: np.where(a > b, a, b)),
    "smaller": (njit(lambda a, b, c: smaller(a, b)), lambda a, b, c: np.where(a < b, a, b)),
    "add": (njit(lambda a, b, c: a + b), lambda a, b, c: a + b),
    "subtract": (njit(lambda a, b, c: a - b), lambda a, b, c: a - b),
    "multiply": (njit(lambda a, b, c: a * b), lambda a, b, c: a * b),
    "choose": (njit(lambda a, b, c: choose(a, b, c)), lambda a, b, c: np.where(a > 0, b, c)),
    "negate": (njit(lambda a, b, c: -a), lambda a, b, c: -a),
    "root": (njit(lambda a, b, c: root(a * a)), lambda a, b, c: np.sqrt(a * a)),
    "divide": (njit(lambda a, b, c: a / b, error_model="numpy"), lambda a, b, c: a / b),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_floats_and_numpy_agree_bit_for_bit(name, points):
    function, expected = FUNCTIONS[name]
    a, b, c = points
    wide, one, mixed = (np.full(POINTS, np.nan, F) for _ in range(3))
    on_lanes(function)(a, b, c, wide)
    on_floats(function)(a, b, c, one)
    with np.errstate(all="ignore"):
        want = expected(a, b, c)
        want_mixed = expected(a, np.full_like(b, b[0]), c)
    defined = ~np.isnan(want)  # 0/0: any NaN will do
    assert (bits(wide)[defined] == bits(want)[defined]).all()
    assert (bits(one)[defined] == bits(want)[defined]).all()
    assert np.isnan(wide[~defined]).all() and np.isnan(one[~defined]).all()
    on_lanes_and_a_float(function)(a, b, c, mixed)
    assert (bits(mixed)[~np.isnan(want_mixed)] == bits(want_mixed)[~np.isnan(want_mixed)]).all()


def test_fma_rounds_once(rng):
    """The points tell a fused product from two roundings, in lanes, floats and plain Python."""
    a = rng.uniform(1, 2, POINTS).astype(F)
    b = rng.uniform(1, 2, POINTS).astype(F)
    c = -(a * b)
    fused = njit(lambda a, b, c: fma(a, b, c))
    wide, one = np.empty(POINTS, F), np.empty(POINTS, F)
    on_lanes(fused)(a, b, c, wide)
    on_floats(fused)(a, b, c, one)
    want = rounded_once(a, b, c)
    assert np.count_nonzero(want) > POINTS / 2 and not np.any(a * b + c)
    assert (wide == want).all() and (one == want).all()
    assert [fma(*point) for point in zip(a, b, c, strict=True)] == want.tolist()


def test_clamp_keeps_what_lies_within_and_cuts_the_rest(points):
    a, _, _ = points
    limited = njit(lambda a, b, c: clamp(a, F(2.5)))
    wide, one = np.empty(POINTS, F), np.empty(POINTS, F)
    on_lanes(limited)(a, a, a, wide)
    on_floats(limited)(a, a, a, one)
    assert (bits(wide) == bits(np.clip(a, F(-2.5), F(2.5)))).all()
    assert (bits(one) == bits(wide)).all()
    assert np.abs(wide).max() == 2.5


def test_splat_fills_every_lane():
    @njit
    def fill(x, y):
        store(data(y), 0, splat(x))
    y = np.zeros(LANES, F)
    fill(F(1.25), y)
    assert (y == 1.25).all()


def test_power_of_two_and_root_are_exact():
    @njit
    def both(x, y, z):
        for u in range(0, x.size, LANES):
            store(data(y), u, lanes.power_of_two(load(data(x), u)))
        for u in range(x.size):
            z[u] = lanes.power_of_two(x[u])
    x = np.arange(-126, 128, dtype=F)
    x = np.concatenate([x, np.zeros(-len(x) % LANES, F)])
    y, z = np.empty_like(x), np.empty_like(x)
    both(x, y, z)
    assert (y == np.exp2(x.astype(np.float64))).all() and (z == y).all()
    assert all(lanes.power_of_two(v) == w for v, w in zip(x, y, strict=True))
    square_root = njit(lambda v: lanes.root(v))
    assert [square_root(v) for v in y] == np.sqrt(y).tolist()


# -- sums --------------------------------------------------------------------------------------------------------------

def folded(partial):
    while len(partial) > 1:
        partial = partial[:len(partial) // 2] + partial[len(partial) // 2:]
    return partial[0]


def padded(values):
    out = np.zeros(-(-len(values) // BLOCK) * BLOCK, F)
    out[:len(values)] = values
    return out


@njit
def both_sums(p, q, n):
    return dot(data(p), data(q), n), total(data(p), n)


@pytest.mark.parametrize("n", range(1, 71))
def test_dot_and_total_are_16_partial_sums_folded_in_halves(n, rng):
    p, q = padded(rng.standard_normal(n)), padded(rng.standard_normal(n))
    products, values = np.zeros(BLOCK, F), np.zeros(BLOCK, F)
    for k in range(0, len(p), BLOCK):
        products = rounded_once(p[k:k + BLOCK], q[k:k + BLOCK], products)
        values = values + p[k:k + BLOCK]
    assert both_sums(p, q, n) == (folded(products), folded(values))


def test_the_order_of_a_sum_shows_in_its_bits(rng):
    """Were any order the same, the test above could not fail."""
    values = rng.standard_normal(70).astype(F)
    assert both_sums(padded(values), padded(values), 70)[1] != np.add.accumulate(values)[-1]


def test_what_stands_behind_the_last_block_is_not_read(rng):
    p = np.concatenate([padded(rng.standard_normal(17)), np.full(BLOCK, np.nan, F)])
    assert np.isfinite(both_sums(p, p, 17)).all()
