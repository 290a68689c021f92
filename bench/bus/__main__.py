"""python -m bench.bus [part ...] [--quick]: some parts of the bus's bench, printed only."""
import argparse

from bench.__main__ import Options
from bench.bus import PARTS, run
from bench.harness import pin
from bench.result import table


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.bus", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n".join(f"  {name:<12} {what}" for name, what in PARTS.items()))
    parser.add_argument("parts", nargs="*", metavar="part", help="what to run; all by default")
    parser.add_argument("--quick", action="store_true", help="few rounds: a smoke test, no figures to quote")
    chosen = parser.parse_args()
    if unknown := [part for part in chosen.parts if part not in PARTS]:
        parser.error(f"no part named {', '.join(unknown)}: there are {', '.join(PARTS)}")
    pin()
    print(table(run(Options(None, 3 if chosen.quick else 11, chosen.quick), chosen.parts or tuple(PARTS))))


if __name__ == "__main__":
    main()
