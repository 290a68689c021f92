"""What is simulated: which machines, how long, and which faults. Rows are counted from the first one that is streamed."""
import datetime
from dataclasses import dataclass, replace

import numpy as np

from streamrnn.detect import plant

HISTORY = int(10.5 * 24 * 60)   # rows of clean running to learn from: a week and a half
TAUGHT = 8                      # machines that they come from, at most
SETTLE = 6 * 60                 # no fault before this row: the demo shows normal running first


@dataclass(frozen=True)
class Plan:
    """`faults` are those of plant.draw_faults, in order of their start; the same seed gives the same plan and readings."""
    seed: int
    machines: int
    rows: int
    faults: tuple

    @property
    def taught(self):
        return min(self.machines, TAUGHT)

    def readings(self):
        """(histories (taught, HISTORY, sensors), rows to stream (machines, rows, sensors)), float32, NaN: no reading."""
        later = [replace(fault, start=fault.start + HISTORY) for fault in self.faults]
        every = np.stack([plant.simulate(HISTORY + self.rows, machine, self.seed, faults=later)[0] for machine in range(self.machines)])
        return every[:self.taught, :HISTORY], every[:, HISTORY:]

    def time(self, row):
        """Of a row, in seconds since the epoch."""
        return plant.MONDAY + plant.PERIOD * (HISTORY + row)

    def row(self, time):
        return round((time - self.time(0)) / plant.PERIOD)

    def clock(self, row):
        """A row's time of the week, in words."""
        return datetime.datetime.fromtimestamp(self.time(row), datetime.UTC).strftime("%a %H:%M")


def drawn(seed, machines, hours):
    """One fault for every two machines, all kinds in turn."""
    rows = round(hours * 60)
    settle = min(SETTLE, rows // 4)
    faults = plant.draw_faults(seed, machines, rows, (machines + 1) // 2, settle, start=HISTORY * plant.PERIOD)
    return Plan(seed, machines, rows, tuple(faults))


def name(machine):
    """The id of a machine's stream."""
    return f"pump-{machine + 1:02d}"
