"""How everything here is timed: candidates take turns in rounds on one pinned core, the collector off.

A candidate is a function without arguments that does its work once and answers ns per unit (a step, a stream, a call).
"""
import gc
import os
from contextlib import contextmanager
from time import perf_counter_ns

import numpy as np
from numba import njit

from streamrnn.lanes import LANES, data, fma, get, load, splat, store

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def pin():
    """This thread, and what it starts, on one core."""
    if CORES:
        os.sched_setaffinity(0, {max(CORES)})


@contextmanager
def unpinned():
    """For what needs all cores."""
    if CORES:
        os.sched_setaffinity(0, CORES)
    try:
        yield
    finally:
        pin()


def timed(work, units):
    """A candidate: ns per unit of one call of `work`."""
    def candidate():
        start = perf_counter_ns()
        work()
        return (perf_counter_ns() - start) / units
    return candidate


def per_call(function, samples):
    """A candidate: ns per call from Python, one call a sample."""
    def work():
        for x in samples:
            function(x)
    return timed(work, len(samples))


def repeats(work, units, milliseconds=5):
    """The same candidate, run often enough inside one measurement to take about this long."""
    work()
    start = perf_counter_ns()
    work()
    times = max(1, round(milliseconds * 1e6 / (perf_counter_ns() - start)))

    def often():
        for _ in range(times):
            work()
    return timed(often, units * times)


def settled(candidate):
    """The same candidate after a warm-up of its own, median of three: what the limit's program does too."""
    def run():
        candidate()
        return float(np.median([candidate() for _ in range(3)]))
    return run


def measure(candidates, rounds):
    """{name: candidate} -> {name: ns of each round}: one warm round, then A B C A B C, so that drift hits all alike."""
    times = {name: np.empty(rounds) for name in candidates}
    for candidate in candidates.values():
        candidate()
    gc.collect()
    gc.disable()
    try:
        for r in range(rounds):
            for name, candidate in candidates.items():
                times[name][r] = candidate()
    finally:
        gc.enable()
    return times


def summary(times):
    """What goes into the JSON of one candidate: spread is the interquartile range over the median."""
    low, median, high = np.percentile(times, [25, 50, 75])
    return {"median_ns": float(median), "min_ns": float(times.min()), "max_ns": float(times.max()),
            "spread": float((high - low) / median), "runs": len(times)}


def ratio(above, below):
    """Median of the ratios within each round."""
    return float(np.median(above / below))


SUMS, TURNS = 12, 200_000


@njit(error_model="numpy")
def _fmas(p, turns):
    k, b = splat(get(p, 0)), splat(get(p, 1))
    a0, a1, a2, a3, a4, a5 = load(p, 0), load(p, 1), load(p, 2), load(p, 3), load(p, 4), load(p, 5)
    a6, a7, a8, a9, a10, a11 = load(p, 6), load(p, 7), load(p, 8), load(p, 9), load(p, 10), load(p, 11)
    for _ in range(turns):
        a0, a1, a2, a3 = fma(a0, k, b), fma(a1, k, b), fma(a2, k, b), fma(a3, k, b)
        a4, a5, a6, a7 = fma(a4, k, b), fma(a5, k, b), fma(a6, k, b), fma(a7, k, b)
        a8, a9, a10, a11 = fma(a8, k, b), fma(a9, k, b), fma(a10, k, b), fma(a11, k, b)
    store(p, 32, a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11)


@njit(error_model="numpy")
def _peak(values, turns):
    _fmas(data(values), turns)


def fma_peak():
    """A candidate: ns per floating point operation of this core at its best, fused multiply-adds held in registers."""
    values = np.linspace(0.1, 0.9, 64, dtype=np.float32)
    return timed(lambda: _peak(values, TURNS), TURNS * SUMS * LANES * 2)
