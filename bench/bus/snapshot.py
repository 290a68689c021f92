"""What a state file costs: a server that writes all its changed streams every second, beside one that keeps no file."""
import msgpack
import numpy as np
import zmq

UNITS, STREAMS, RATE = 64, 100_000, 50_000
CASE = f"LSTM {UNITS}, {STREAMS:,} streams"


def run(result, options, programs):
    seconds, rounds = STREAMS / RATE, 1 if options.quick else 5
    rates, tails = ({"no file": [], "writing": []} for _ in range(2))
    with programs.server(UNITS) as (plain, _), programs.server(UNITS, state=programs.folder / "state.db") as (keeping, _):
        servers = {"no file": plain, "writing": keeping}
        for endpoint in servers.values():
            programs.load("throughput", endpoint, prefix="s", streams=STREAMS, messages=STREAMS)
        ask(keeping, op="snapshot")
        before = ask(keeping, op="stats")["state"]
        for _ in range(rounds):
            for name, endpoint in servers.items():
                rates[name].append(programs.rate(endpoint, prefix="s", streams=STREAMS, seconds=seconds))
                _quiet(name, endpoint)
            for name, endpoint in servers.items():
                line = programs.load("paced", endpoint, prefix="s", streams=STREAMS, rate=RATE, seconds=seconds)
                tails[name].append(1e3 * line["trips"][0]["p999_us"])
                _quiet(name, endpoint)
        after = ask(keeping, op="stats")["state"]
    rates, tails = ({name: np.array(times) for name, times in runs.items()} for runs in (rates, tails))
    rows, commits = after["rows"] - before["rows"], after["commits"] - before["commits"]
    if not rows:
        raise RuntimeError("nothing was written to the state file meanwhile: there is nothing to compare")
    result.add("a snapshot of all streams every second: p99.9 rises by", f"{CASE}, {RATE:,} messages a second",
               float(np.median(tails["writing"] - tails["no file"])) / 1e6, "ms", ("<=", 2), tails)
    result.add("a snapshot of all streams every second: throughput falls by", f"{CASE}, 1,000 in flight",
               100 * (1 - float(np.median(rates["no file"] / rates["writing"]))), "%", ("<=", 10), rates)
    spent = after["seconds"] - before["seconds"]
    result.note(f"bus, snapshot: {commits:,} commits wrote {rows:,} rows in {spent:.1f} s of the store's time")


def _quiet(name, endpoint):
    """Nobody writes while the other one is measured."""
    if name == "writing":
        ask(endpoint, op="snapshot")


def ask(endpoint, **control):
    """One control and its reply."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send(msgpack.packb(control))
        if not socket.poll(60_000):
            raise RuntimeError(f"no answer to {control} within a minute")
        reply = msgpack.unpackb(socket.recv())
    if "error" in reply:
        raise RuntimeError(f"{control}: {reply}")
    return reply
