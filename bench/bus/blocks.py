"""Messages of 256 samples, beside step_many of as many in this process: what the wire leaves of the engine's rate."""
import numpy as np

import streamrnn as sr
from bench.bus.programs import CUT
from bench.harness import measure, ratio, repeats

UNITS, STREAMS, BLOCK, FLIGHT = 32, 1024, 256, 8


def run(result, options, programs):
    seconds, rounds = (0.3, 3) if options.quick else (0.7, options.rounds)
    case = f"LSTM {UNITS}, 8 inputs, Dense 1, {STREAMS:,} streams, {FLIGHT} messages in flight, tcp"
    rate = lambda endpoint, seqs: lambda: programs.rate(endpoint, "samples_s", prefix=f"b{seqs}-", streams=STREAMS, block=BLOCK, seqs=seqs,
                                                        flight=FLIGHT, seconds=seconds)
    with programs.echo(cut=CUT * BLOCK) as echo, programs.server(UNITS) as (server, _):
        times = measure({"step_many": _step_many(programs.model(UNITS)), "server": rate(server, 0), "server, with seqs": rate(server, 1),
                         "echo": rate(echo, 0), "echo, with seqs": rate(echo, 1)}, rounds)
    for seqs in ("", ", with seqs"):
        name = "server" + seqs
        result.add(f"messages of {BLOCK} samples / engine.step_many of {BLOCK}, per sample", case + seqs,
                   100 * ratio(times["step_many"], times[name]), "%", (">=", 80), {"step_many": times["step_many"], name: times[name]})
        result.add(f"messages of {BLOCK} samples / C echo without work", case + seqs, ratio(times["echo" + seqs], times[name]),
                   "x its rate", runs={"echo": times["echo" + seqs]})


def _step_many(path):
    """A candidate: ns per sample, groups that were looked up before, in turn."""
    engine = sr.Engine(sr.load(path), capacity=STREAMS)
    groups = [engine.group(range(start, start + BLOCK)) for start in range(0, STREAMS, BLOCK)]
    x = np.random.default_rng(0).standard_normal((BLOCK, 8)).astype(np.float32)
    return repeats(lambda: [engine.step_many(group, x) for group in groups] and None, STREAMS, 100)
