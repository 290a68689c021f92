"""Findings: the alerts of a run, one for each event, with the words, numbers and times that a report needs."""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Finding:
    """Rows `first` to `last`, counted from 0, that are one alarm.

    score, cause  of its strangest row, and so is `explain`, the words
    blame         {sensor: share}, the most blamed first: the mean of the rows with that cause
    """
    first: int
    last: int
    cause: str
    score: float
    blame: dict
    explain: str

    @property
    def rows(self):
        return self.last - self.first + 1


def findings(verdicts):
    """A Finding for each event, in their order."""
    causes = np.array(verdicts.cause)
    return [_finding(verdicts, causes, first, end) for first, end in verdicts.events()]


def _finding(verdicts, causes, first, end):
    top = first + int(verdicts.score[first:end].argmax())
    blame = verdicts.blame[first:end][causes[first:end] == causes[top]].mean(0)
    order = np.argsort(-blame, kind="stable")
    return Finding(first, end - 1, str(causes[top]), float(verdicts.score[top]),
                   {verdicts.sensors[k]: float(blame[k]) for k in order}, verdicts[top].explain())


def iso(times):
    """Seconds since the epoch as ISO text in UTC, with as many digits as the finest of them needs."""
    us = np.round(np.asarray(times, np.float64) * 1e6).astype(np.int64)
    unit = next((unit for unit, size in (("s", 1_000_000), ("ms", 1000)) if not (us % size).any()), "us")
    return [f"{text}Z" for text in np.datetime_as_string(us.astype("datetime64[us]"), unit=unit)]
