"""The tables of the README and of docs/benchmarks.md, filled from bench/results/*.json: what, what is asked, what was measured, where."""
import json
from pathlib import Path

from bench.result import number

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
FRONT = ("one sample from Python", "onnxruntime / stream.step", "one step in the kernel", "torch / training step, one thread each",
         "values that differ from model.run's", "messages of one sample / the same service", "ping-pong p99", "compile everything",
         "import to first step", "NAB standard score", "SKAB, 18 files: F1:", "UCR, hits", "false alarms a week")
"""How the lines begin that the README shows: what a newcomer asks first, short ones among them."""


def fill(root, folder):
    _between(root / "README.md", render(folder, FRONT))
    _between(root / "docs" / "benchmarks.md", render(folder))


def _between(page, text):
    before, rest = page.read_text().split(BEGIN, 1)
    page.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END, 1)[1])


def render(folder, front=None):
    """Cases of one claim, with one thing asked of them, share a line: the range of what they came to."""
    benches = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    shown, short, count = [], 0, 0
    for bench in benches:
        claims = {}
        for row in bench["rows"]:
            if row["asked"]:
                claims.setdefault((row["headline"], *row["asked"], row["unit"]), []).append(row)
        for (headline, sign, bound, unit), rows in claims.items():
            cases = f": {rows[0]['case']}" if len(rows) == 1 else f" ({len(rows)} cases)"
            measured, count = _measured(rows), count + 1
            short += "missed" in measured
            if front is None or (headline + cases).startswith(front):
                shown.append(f"| {headline}{cases} | {f'{sign} {number(bound)} {unit}'.strip()} | {measured} |")
    where = dict.fromkeys(f"{b['machine']['cpu']} ({b['machine']['lanes']} lanes, Numba {b['machine']['numba']}, "
                          f"Python {b['machine']['python']}), {b['date']}" + (", a quick run" if b["quick"] else "") for b in benches)
    below = f"Measured on {'; '.join(where)}." if where else "No results yet: run `python -m bench`."
    if front is not None and where:
        below += f" {len(shown)} of {count} lines; {short} of all are short of what was asked, and stand with the others in"
        below += " [docs/benchmarks.md](docs/benchmarks.md)."
    return "\n".join(["| what | asked | measured |", "|---|---|---|", *shown, "", below])


def _measured(rows):
    figures = sorted(row["figure"] for row in rows if row["figure"] is not None)
    if not figures:
        return f"absent: {rows[0]['why']}"
    text = number(figures[0]) if figures[0] == figures[-1] else f"{number(figures[0])} to {number(figures[-1])}"
    missed = sum(row["holds"] is False for row in rows)
    if missed:
        text += f" (missed in {missed} of {len(rows)})" if len(rows) > 1 else " (missed)"
    absent = len(rows) - len(figures)
    return text + (f" ({absent} absent)" if absent else "")
