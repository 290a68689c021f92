"""The README's table, filled from bench/results/*.json: what, what is asked, what was measured, where and when."""
import json
from pathlib import Path

from bench.result import number

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def fill(readme, folder):
    text = render(folder)
    old = readme.read_text() if readme.is_file() else ""
    if BEGIN not in old or END not in old:
        print(text)
        return
    before, rest = old.split(BEGIN, 1)
    readme.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END, 1)[1])


def render(folder):
    """Cases of one claim, with one thing asked of them, share a line: the range of what they came to."""
    benches = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    lines = ["| what | asked | measured |", "|---|---|---|"]
    for bench in benches:
        claims = {}
        for row in bench["rows"]:
            if row["asked"]:
                claims.setdefault((row["headline"], *row["asked"], row["unit"]), []).append(row)
        for (headline, sign, bound, unit), rows in claims.items():
            cases = f": {rows[0]['case']}" if len(rows) == 1 else f" ({len(rows)} cases)"
            lines.append(f"| {headline}{cases} | {f'{sign} {number(bound)} {unit}'.strip()} | {_measured(rows)} |")
    where = dict.fromkeys(f"{b['machine']['cpu']} ({b['machine']['lanes']} lanes, Numba {b['machine']['numba']}, "
                          f"Python {b['machine']['python']}), {b['date']}" + (", a quick run" if b["quick"] else "") for b in benches)
    return "\n".join([*lines, "", f"Measured on {'; '.join(where)}." if where else "No results yet: run `python -m bench`."])


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
