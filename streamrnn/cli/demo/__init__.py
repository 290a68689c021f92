"""streamrnn demo: pumping stations are simulated, a detector learns from some, is served, and watches all of them live.

plan.py draws the faults, producer.py streams the rows (processes of their own), live.py serves and hears the results,
tally.py keeps what came, view.py shows it, score.py holds it against the truth, report.py and picture.py say how it went.
"""
import argparse
import math
from pathlib import Path

from streamrnn.cli.arguments import natural, whole

PAPER = 140   # characters of a line where there is no terminal


def options(parser):
    parser.add_argument("--machines", type=whole, default=24, help="pumping stations, a stream each (default 24)")
    parser.add_argument("--seed", type=natural, help="repeat the run of this seed (default: another one each time)")
    parser.add_argument("--hours", type=hours, default=36.0, help="plant time to stream (default 36)")
    parser.add_argument("--speed", type=speed, metavar="TIMES",
                        help="times faster than the plant, at most (default: so that it lasts half a minute)")
    parser.add_argument("--no-picture", action="store_true", help="draw no demo.png")
    parser.add_argument("-o", "--folder", type=Path, default=Path("demo"), help="where the detector and the picture go (default demo)")


def hours(text):
    """An argument that is a number of hours that faults fit into."""
    return _number(text, 1, 24 * 14)


def speed(text):
    """An argument that is a number of 1 or more."""
    return _number(text, 1, 1e12)


def _number(text, least, most):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"a number from {least:g} to {most:g}, got {text!r}")
    return value


def run(chosen):
    from rich.console import Console

    from streamrnn.cli.demo.show import show
    console = Console(highlight=False)
    return show(chosen, console if console.is_terminal else Console(highlight=False, width=PAPER))
