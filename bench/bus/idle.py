"""CPU that a server takes while nobody asks anything."""
from time import sleep

UNITS, STREAMS = 32, 100_000


def run(result, options, programs):
    seconds = 1 if options.quick else 10
    with programs.server(UNITS) as (endpoint, process):
        _row(result, process, seconds, "no stream open")
        programs.load("throughput", endpoint, messages=STREAMS, streams=STREAMS)
        _row(result, process, seconds, f"{STREAMS:,} streams open")
    if options.quick:
        return
    with programs.server(UNITS, ttl=3600, silent=3600, state=programs.folder / "idle.db") as (endpoint, process):
        programs.load("throughput", endpoint, messages=STREAMS, streams=STREAMS)
        sleep(3)  # the last of them are written
        _row(result, process, seconds, f"{STREAMS:,} streams open, a state file, a time to live, a watch for silence", asked=None)


def _row(result, process, seconds, case, asked=("<=", 1)):
    sleep(0.5)
    before = process.cpu()
    sleep(seconds)
    result.add("idle server, share of one core", case, 100 * (process.cpu() - before) / seconds, "%", asked)
