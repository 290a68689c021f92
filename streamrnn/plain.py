"""The words of lanes.py, sums.py and frame.py in plain Python, where Numba compiles nothing (NUMBA_DISABLE_JIT=1).

CUDA's simulator runs kernels so: a pointer is an address, lanes are an array of LANES float32s, and every operation rounds as
the compiled one does. Slow, and good for tests only.
"""
import ctypes
import warnings

import numpy as np
from numba import config

if config.DISABLE_JIT:
    warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)  # compiled code says nothing of infinities either

LANES, BLOCK = 16, 16
F = np.float32
_float_at = ctypes.c_float.from_address


def _floats(address, count):
    return np.frombuffer((ctypes.c_float * count).from_address(int(address)), np.float32)


class Table:
    """int64s from an address on."""

    def __init__(self, address):
        self.address = int(address)

    def __getitem__(self, k):
        return ctypes.c_int64.from_address(self.address + 8 * int(k)).value

    def __setitem__(self, k, value):
        ctypes.c_int64.from_address(self.address + 8 * int(k)).value = int(value)


def fields(address):
    return Table(address)


def beyond(table, offset):
    return Table(table.address + 8 * int(offset))


def pointer(address):
    return int(address)


def data(array):
    return array.ctypes.data


def at(p, offset):
    return p + 4 * int(offset)


def load(p, index):
    return _floats(at(p, index), LANES).copy()


across = load


def store(p, index, value):
    _floats(at(p, index), LANES)[:] = value


def get(p, index):
    return F(_float_at(int(p) + 4 * int(index)).value)


def put(p, index, value):
    _float_at(int(p) + 4 * int(index)).value = value


def splat(scalar):
    return np.full(LANES, scalar, np.float32)


def prefetch(p, index):
    """There is nothing to fetch."""


def fma(a, b, c):
    """a*b + c, rounded once: the float64 sum is made odd where it is not exact, so that rounding it again does no harm."""
    if type(a) is type(b) is type(c) is F:
        return _fma_of_floats(float(a), float(b), float(c))
    product, c = np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64)
    whole = np.asarray(product + c)
    back = whole - product
    rest = (product - (whole - back)) + (c - back)
    bits = whole.view(np.int64)
    inexact = (rest != 0) & np.isfinite(whole) & (bits & 1 == 0)
    towards = np.where((rest > 0) == (whole > 0), 1, -1)
    odd = np.where(inexact, bits + towards, bits).view(np.float64)
    return odd.astype(np.float32)[()]


def _fma_of_floats(a, b, c):
    """The same for one, in a fraction of the time: rounding the float64 sum again does harm only halfway between two floats."""
    product = a * b
    whole = product + c
    nearest = F(whole)
    near = float(nearest)
    off = whole - near
    if off and (off - off != 0 or float(F(near + 2 * off)) == near + 2 * off):
        return fma(np.float64(a), b, c)
    return nearest


def larger(a, b):
    return np.where(a > b, a, b)[()]


def smaller(a, b):
    return np.where(a < b, a, b)[()]


def where_positive(x, a):
    return np.where(x > 0, a, F(0))[()]


def choose(x, a, b):
    return np.where(x > 0, a, b)[()]


def power_of_two(x):
    return ((np.asarray(x).astype(np.int32) + 127) << 23).view(np.float32)[()]


def root(x):
    return np.sqrt(x, dtype=np.float32)


def fold(value):
    width = len(value)
    while width > 1:
        width //= 2
        value = value[:width] + value[width:]
    return value[0]


def dot(p, q, count):
    acc = np.zeros(BLOCK, np.float32)
    for k in range(0, count, BLOCK):
        acc = fma(_floats(at(p, k), BLOCK), _floats(at(q, k), BLOCK), acc)
    return fold(acc)


def total(p, count):
    acc = np.zeros(BLOCK, np.float32)
    for k in range(0, count, BLOCK):
        acc = acc + _floats(at(p, k), BLOCK)
    return fold(acc)


def squares(p, count):
    acc = np.zeros(BLOCK)
    for k in range(0, count, BLOCK):
        x = _floats(at(p, k), BLOCK).astype(np.float64)
        acc = acc + x * x
    return fold(acc)
