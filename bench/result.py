"""What a bench hands back: rows of a figure beside what is asked of it, as a table and as JSON."""
import json
import platform
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numba
import numpy as np

from bench.harness import CORES, summary
from streamrnn import __version__, jit
from streamrnn.lanes import LANES

HOLDS = {"<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b}


@dataclass
class Row:
    """`headline` is the claim that this case belongs to; `asked` is ("<=", 1.25) or None where nothing is asked."""
    headline: str
    case: str
    figure: float | None
    unit: str
    asked: tuple | None = None
    runs: dict = field(default_factory=dict)      # {candidate: ns of each round}
    why: str = ""                                 # the reason of a figure that is absent

    @property
    def holds(self):
        return None if self.asked is None or self.figure is None else bool(HOLDS[self.asked[0]](self.figure, self.asked[1]))

    def plain(self):
        return {"headline": self.headline, "case": self.case, "figure": self.figure, "unit": self.unit,
                "asked": list(self.asked) if self.asked else None, "holds": self.holds, "why": self.why,
                "runs": {name: summary(times) for name, times in self.runs.items()}}


@dataclass
class Result:
    name: str
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)     # peers that are absent, with the reason, and other remarks

    def add(self, *args, **named):
        self.rows.append(Row(*args, **named))

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)


def number(value):
    if value is None:
        return "absent"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def duration(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= 10 * size or (unit == "s" and ns >= size):
            return f"{ns / size:.{1 if ns >= 100 * size else 2}f} {unit}"
    return f"{ns:,.0f} ns"


def asked(row):
    return f"{row.asked[0]} {number(row.asked[1])}" if row.asked else ""


def table(result):
    """Plain columns: the figure, what is asked of it, and the median time of each candidate."""
    lines = [("case", "measured", "unit", "asked", "", "median (spread)")]
    for headline in dict.fromkeys(row.headline for row in result.rows):
        lines.append((f"[{headline}]", "", "", "", "", ""))
        for row in (row for row in result.rows if row.headline == headline):
            times = {name: summary(t) for name, t in row.runs.items()}
            seen = ", ".join(f"{name} {duration(t['median_ns'])} ({t['spread']:.0%})" for name, t in times.items())
            verdict = {True: "yes", False: "NO", None: ""}[row.holds]
            lines.append(("  " + row.case, number(row.figure), row.unit, asked(row), verdict, seen or row.why))
    widths = [max(len(line[i]) for line in lines if not line[0].startswith("[")) for i in range(5)]
    text = [f"== {result.name} =="]
    for line in lines:
        text.append("  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)).rstrip())
    return "\n".join([*text, *(f"note: {note}" for note in result.notes)])


def machine():
    return {"cpu": cpu_model(), "cores": len(CORES) if CORES else None, "lanes": LANES, "target": jit.CPU,
            "system": platform.system(), "python": platform.python_version(), "numba": numba.__version__,
            "numpy": np.__version__, "streamrnn": __version__}


def cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write(result, folder, quick):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"bench": result.name, "date": date.today().isoformat(), "quick": quick, "machine": machine(),
               "notes": result.notes, "rows": [row.plain() for row in result.rows]}
    (folder / f"{result.name}.json").write_text(json.dumps(content, indent=1) + "\n")
