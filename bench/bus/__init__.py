"""The bus: `streamrnn serve` beside a C echo that does no work, and beside the same service written in plain Python.

python -m bench bus runs all parts; python -m bench.bus PART ... some of them.
"""
from importlib import import_module

from bench.bus.programs import Programs
from bench.harness import unpinned
from bench.result import Result

PARTS = {
    "throughput": "single-sample messages: the C echo, the interpreted loop; tcp, ipc, inproc; 1, 100, 1,000 clients",
    "blocks": "256 samples a message, against the engine's own step_many",
    "latency": "ping-pong, back to back and with pauses, against the C echo",
    "snapshot": "what a state file costs under load, 100,000 streams",
    "million": "a million streams opened over the wire: time and memory",
    "idle": "CPU of a server that nobody asks anything",
}


def run(options, parts=tuple(PARTS)):
    result = Result("bus")
    with unpinned(), Programs() as programs:
        for part in parts:
            if programs.reason:
                result.add(f"bus, {part}", PARTS[part], None, "", why=programs.reason)
                result.note(f"bus, {part}: absent, {programs.reason}")
            else:
                import_module(f"bench.bus.{part}").run(result, options, programs)
    return result
