"""Readers of five public labelled sets. Each takes the folder that holds `nab/`, `skab/`, `smd/`, `ucr/` and `mgab/`
and returns one `Series` a file, in the order of the names; an empty list where the set is not there."""
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SKAB_FIT = 400
MGAB_FIT = 10_000


@dataclass(frozen=True)
class Series:
    """One file of a set: the rows to learn from, the rows to score and their truth."""

    name: str
    fit: np.ndarray | None              # (fit rows, d); None: the detector starts cold
    values: np.ndarray                  # (rows, d), straight after the fit rows
    times: np.ndarray | None            # (rows,) seconds since the epoch; None: the set has no clock
    label: np.ndarray                   # (rows,) bool, row is anomalous
    spans: tuple[tuple[int, int], ...]  # (first, last) row of every event, last included, counted in `values`


def runs(flags):
    """Runs of true rows as (first, last), last included."""
    edge = np.diff(np.concatenate([[0], np.asarray(flags, bool).astype(np.int8), [0]]))
    return tuple(zip(np.flatnonzero(edge == 1).tolist(), (np.flatnonzero(edge == -1) - 1).tolist(), strict=True))


def _flags(rows, spans):
    flags = np.zeros(rows, bool)
    for first, last in spans:
        flags[max(first, 0):last + 1] = True
    return flags


def _table(path, delimiter=","):
    """Columns of a csv file as lists of text, by their names."""
    with open(path, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        head = next(reader)
        return dict(zip(head, zip(*(row for row in reader if row), strict=True), strict=True))


def _clock(texts):
    stamps = np.array([text.strip().replace(" ", "T") for text in texts], "datetime64[us]")
    return stamps.astype(np.int64) / 1e6


def _floats(columns):
    return np.stack([np.array(column, float) for column in columns], axis=1)


def nab(root):
    """NAB: one value a row, no fit part, windows from labels/combined_windows.json."""
    root = Path(root) / "nab"
    paths = sorted((root / "data").glob("*/*.csv"))
    if not paths:
        return []
    windows = json.loads((root / "labels" / "combined_windows.json").read_text())
    out = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        table = _table(path)
        times = _clock(table["timestamp"])
        # A stamp can come twice (daylight saving); NAB means the first row that bears it.
        spans = tuple(sorted(tuple(int(np.flatnonzero(times == t)[0]) for t in _clock(pair)) for pair in windows[name]))
        out.append(Series(name, None, _floats([table["value"]]), times, _flags(len(times), spans), spans))
    return out


def skab(root):
    """SKAB: eight sensors of a pump test bed; the first 400 rows of a run are for fitting."""
    out = []
    for path in sorted((Path(root) / "skab" / "data").glob("*/*.csv")):
        if path.parent.name == "anomaly-free":
            continue
        table = _table(path, ";")
        sensors = [c for c in table if c not in ("datetime", "anomaly", "changepoint")]
        values = _floats([table[c] for c in sensors])
        label = np.array(table["anomaly"], float)[SKAB_FIT:] == 1
        times = _clock(table["datetime"])[SKAB_FIT:]
        name = f"{path.parent.name}/{path.name}"
        out.append(Series(name, values[:SKAB_FIT], values[SKAB_FIT:], times, label, runs(label)))
    return out


def smd(root):
    """SMD: 38 metrics of a server, a fit part and a scored part of about 25,000 rows each."""
    out = []
    for path in sorted((Path(root) / "smd").glob("*.npz")):
        with np.load(path) as part:
            label = part["label"] > 0
            fit, values = part["train"].astype(float), part["test"].astype(float)
        out.append(Series(path.stem, fit, values, None, label, runs(label)))
    return out


def ucr(root):
    """UCR: one value a row and one event a file; the file name ends in train length, first and last row of the event."""
    out = []
    for path in sorted((Path(root) / "ucr").glob("*.txt")):
        split, first, last = (int(number) for number in path.stem.split("_")[-3:])
        values = np.array(path.read_text().split(), float)[:, None]
        spans = ((first - split, last - split),)
        label = _flags(len(values) - split, spans)
        out.append(Series(path.stem, values[:split], values[split:], None, label, spans))
    return out


def mgab(root):
    """MGAB: Mackey-Glass series with spliced events; the first 10,000 rows are for fitting."""
    out = []
    for path in sorted((Path(root) / "mgab").glob("*.csv"), key=lambda p: (len(p.stem), p.stem)):
        table = _table(path)
        values = _floats([table["value"]])
        label = (np.array(table["is_anomaly"], float) > 0)[MGAB_FIT:]
        out.append(Series(path.stem, values[:MGAB_FIT], values[MGAB_FIT:], None, label, runs(label)))
    return out
