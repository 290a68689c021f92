"""A million streams opened over the wire, one sample each: are they all served, and what memory do they take?"""
import numpy as np

import streamrnn as sr
from bench.bus.snapshot import ask

COUNT, A_FEW = 1_000_000, 1000


def run(result, options, programs):
    for units in (32, 64):
        _opened(result, programs, units, COUNT // 10 if options.quick else COUNT)


def _opened(result, programs, units, count):
    case, row_bytes = f"LSTM {units}, 8 inputs, Dense 1, {count:,} streams", sr.load(programs.model(units)).row_bytes
    with programs.server(units, streams=count + A_FEW) as (endpoint, process):
        programs.load("throughput", endpoint, messages=A_FEW, streams=A_FEW)
        before = process.resident()
        line = programs.load("throughput", endpoint, messages=count, streams=count)
        growth, there = process.resident() - before, ask(endpoint, op="stats")["streams"] - A_FEW
    result.add("streams opened over the wire", case, there, "streams", ("==", count), {"open": np.array([1e9 * line["seconds"]])})
    result.add("memory of streams opened over the wire / their rows", case, growth / (count * row_bytes), "x", ("<=", 1.2),
               why=f"{growth / count:.0f} bytes a stream, rows of {row_bytes}")
