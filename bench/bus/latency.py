"""Ping-pong: one message in flight, from one client process to the echo and to the server in turn."""
import numpy as np

UNITS, TURN = 32, 500
QUANTILES = {"p50": (0.5, 1.05), "p99": (0.99, 1.2), "p99.9": (0.999, None), "max": (1, None)}


def run(result, options, programs):
    with programs.echo() as echo, programs.server(UNITS) as (server, _), programs.loop(UNITS) as loop:
        pings = 2 * TURN * options.rounds
        _row(result, programs, "back to back", {"echo": echo, "server": server, "interpreted loop": loop}, count=pings, turn=TURN)
        for low, high, count in ((1, 10, 1500), (1, 100, 300)):
            _row(result, programs, f"{low} to {high} ms before each", {"echo": echo, "server": server},
                 count=count // 20 if options.quick else count, turn=1, gap=f"{low},{high}")


def _row(result, programs, how, endpoints, **options):
    programs.load("pingpong", *endpoints.values(), raw=programs.folder / "trips", **options)
    trips = {name: np.fromfile(programs.folder / f"trips.{n}") for n, name in enumerate(endpoints)}
    for name, (q, asked) in QUANTILES.items():
        of = {server: np.quantile(t, q, method="inverted_cdf", keepdims=True) for server, t in trips.items()}
        result.add(f"ping-pong {name} / C echo's", f"LSTM {UNITS}, {how}, {options['count']:,} each",
                   float(of["server"][0] / of["echo"][0]), "x", ("<=", asked) if asked else None, of)
