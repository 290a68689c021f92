"""python -m bench [name ...] [--limit PATH] [--quick] [--json DIR] [--readme]"""
import argparse
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench import report, result
from bench.harness import pin
from bench.limit import Limit

HERE = Path(__file__).parent
BENCHES = {
    "one_step": "one step in the kernel, against hand-written C",
    "python_call": "stream.step from Python, against onnxruntime and torch",
    "many": "many streams a step: share of the core's peak, random order, two threads",
    "sequences": "whole sequences, against the core's peak and torch",
    "train": "one training step, against torch with the same threads",
    "accuracy": "errors against float64 and torch, and what must be equal bit for bit",
    "memory": "bytes a stream takes beyond its state",
    "bus": "streamrnn serve, against a C echo and the same service in plain Python",
    "detect": "the detector on public sets (--data), its false alarms and its cost",
    "cold": "compiling everything, importing, and --help",
    "cuda": "the GPU, against the CPU bit for bit and torch (says so where there is none)",
}


@dataclass
class Options:
    limit: Limit
    rounds: int
    quick: bool
    data: Path | None


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n".join(f"  {name:<12} {what}" for name, what in BENCHES.items()))
    parser.add_argument("names", nargs="*", metavar="name", help="benches to run; all by default")
    parser.add_argument("--limit", default=os.environ.get("STREAMRNN_LIMIT"), metavar="PATH", help="the limit's C source (STREAMRNN_LIMIT)")
    parser.add_argument("--data", type=Path, default=os.environ.get("STREAMRNN_DATA"), metavar="PATH",
                        help="the folder that holds nab, skab, smd, ucr and mgab (STREAMRNN_DATA)")
    parser.add_argument("--quick", action="store_true", help="few rounds: a smoke test, no figures to quote")
    parser.add_argument("--json", type=Path, default=HERE / "results", metavar="DIR", help="where the JSON goes")
    parser.add_argument("--readme", action="store_true",
                        help="fill the tables of README.md and docs/benchmarks.md from the JSON (runs only what is named)")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in BENCHES]:
        parser.error(f"no bench named {', '.join(unknown)}: there are {', '.join(BENCHES)}")
    names = chosen.names or ([] if chosen.readme else list(BENCHES))
    if names:
        pin()
        options = Options(Limit(chosen.limit), rounds=3 if chosen.quick else 11, quick=chosen.quick,
                          data=chosen.data and Path(chosen.data))
        for name in names:
            done = import_module(f"bench.{name}").run(options)
            if done.rows:
                result.write(done, chosen.json, chosen.quick)
            print(result.table(done), end="\n\n", flush=True)
    if chosen.readme:
        report.fill(HERE.parent, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
