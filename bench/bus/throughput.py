"""Single-sample messages: 1,000 streams, 1,000 in flight; each candidate in turn, so that all meet the same machine."""
import subprocess
import sys

from bench.bus.programs import checked
from bench.harness import measure, ratio

UNITS, STREAMS = 32, 1000
CASE = f"LSTM {UNITS}, 8 inputs, Dense 1, {STREAMS:,} streams, 1,000 in flight"
HEADLINE = "messages of one sample / C echo without work"


def run(result, options, programs):
    seconds, rounds = (0.3, 3) if options.quick else (1, options.rounds)
    _against_both(result, programs, seconds, rounds)
    few = 1 if options.quick else 3
    _transports(result, programs, seconds, few)
    _clients(result, programs, seconds, few, options.quick)


def _against_both(result, programs, seconds, rounds):
    with programs.echo() as echo, programs.loop(UNITS) as loop, programs.server(UNITS) as (server, _):
        rate = lambda endpoint: lambda: programs.rate(endpoint, prefix="s", streams=STREAMS, seconds=seconds)
        times = measure({"echo": rate(echo), "server": rate(server), "interpreted loop": rate(loop)}, rounds)
    result.add(HEADLINE, f"{CASE}, tcp", ratio(times["echo"], times["server"]), "x its rate", (">=", 0.6),
               {name: times[name] for name in ("echo", "server")})
    result.add("messages of one sample / the same service in plain Python", f"{CASE}, tcp",
               ratio(times["interpreted loop"], times["server"]), "x its rate", (">=", 20),
               {name: times[name] for name in ("interpreted loop", "server")})
    _rate(result, f"{CASE}, tcp", times["server"])


def _transports(result, programs, seconds, rounds):
    with programs.echo("ipc") as echo, programs.server(UNITS, "ipc") as (server, _):
        rate = lambda endpoint: lambda: programs.rate(endpoint, prefix="s", streams=STREAMS, seconds=seconds)
        times = measure({"echo": rate(echo), "server": rate(server)}, rounds)
    result.add(HEADLINE, f"{CASE}, ipc", ratio(times["echo"], times["server"]), "x its rate", runs=times)
    command = [sys.executable, "-m", "bench.bus.inproc", str(programs.folder / "load.so"), str(programs.model(UNITS)),
               f"streams={STREAMS}", f"seconds={seconds}"]
    inside = lambda: 1e9 / checked(subprocess.run(command, capture_output=True, text=True))["frames_s"]
    _rate(result, f"{CASE}, inproc", measure({"server": inside}, min(rounds, 3))["server"])


def _clients(result, programs, seconds, rounds, quick):
    with programs.echo() as echo, programs.server(UNITS) as (server, _):
        for clients in (100,) if quick else (100, 1000):
            rate = lambda endpoint: lambda: programs.rate(endpoint, clients=clients, streams=STREAMS, seconds=seconds)  # noqa: B023
            times = measure({"echo": rate(echo), "server": rate(server)}, rounds)
            result.add(HEADLINE, f"{CASE}, {clients:,} clients, tcp", ratio(times["echo"], times["server"]), "x its rate", runs=times)


def _rate(result, case, times):
    rates = 1e9 / times
    rates.sort()
    result.add("messages of one sample, each answered", case, float(rates[len(rates) // 2]), "a second", runs={"server": times})
