"""What has come so far: verdicts by machine and row, alerts as events, and how long results took."""
import math
import time

import numpy as np

from streamrnn.cli.demo.score import JOIN, Event

WORTH = 0.1     # share of the blame from which a sensor is named
NAMED = 3       # sensors that are named at most


class Latencies:
    """Any number of durations in constant memory: counts in bins that are 1 % wide."""

    def __init__(self):
        self.counts, self.number, self.sum = {}, 0, 0

    def add(self, durations):
        for ns in durations:
            bin = int(math.log(max(ns, 1)) * 100)
            self.counts[bin] = self.counts.get(bin, 0) + 1
        self.number += len(durations)
        self.sum += sum(durations)

    def percentile(self, share):
        """In ns, the middle of its bin."""
        left = share / 100 * self.number
        for bin in sorted(self.counts.copy()):
            left -= self.counts[bin]
            if left <= 0:
                return math.exp((bin + 0.5) / 100)
        return math.nan


class Tally:
    """Written by the thread that hears the results, read by the one that shows them.

    score, alert (machines, rows); expected, spread (machines, rows, sensors); last: the last row of each machine, -1 before any.
    """

    def __init__(self, machines, rows, sensors):
        shape = machines, rows
        self.score, self.alert = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
        self.expected, self.spread = np.full((2, *shape, len(sensors)), np.nan, np.float32)
        self.last, self.sensors = np.full(machines, -1), sensors
        self.events, self.current = [], [None] * machines
        self.latencies, self.number = Latencies(), 0
        self.first_ns = self.last_ns = time.perf_counter_ns()

    def take(self, machine, row, result, sent_ns, now_ns):
        """A result that was heard at `now_ns`, of a row that was sent at `sent_ns`."""
        self.score[machine, row], self.alert[machine, row] = result.score, result.alert
        self.expected[machine, row], self.spread[machine, row] = result.expected, result.spread
        if result.alert:
            self._alert(machine, row, result)
        if self.number == 0:
            self.first_ns = now_ns
        self.latencies.add([now_ns - sent_ns])
        self.last[machine], self.last_ns, self.number = row, now_ns, self.number + 1

    def _alert(self, machine, row, result):
        event = self.current[machine]
        if event and row - event.end <= JOIN:
            event.end = row + 1
            return
        order = np.argsort(-result.blame, kind="stable")[:NAMED]
        blamed = tuple((self.sensors[k], float(result.blame[k])) for k in order if result.blame[k] >= WORTH or k == order[0])
        self.current[machine] = Event(machine, row, row + 1, result.cause, blamed)
        self.events.append(self.current[machine])

    @property
    def whole(self):
        """Has the result of every row come?"""
        return self.number == self.score.size

    @property
    def row(self):
        """How far the plant has come: the last row that every machine has passed."""
        return int(self.last.min())

    @property
    def seconds(self):
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def rate(self):
        """Rows a second since the first one."""
        return self.number / self.seconds if self.seconds > 0 else 0.0

    def latency(self):
        return f"p50 {_ms(self.latencies.percentile(50))}, p99 {_ms(self.latencies.percentile(99))}"


def _ms(ns):
    return f"{ns / 1e6:,.2f} ms" if ns < 1e7 else f"{ns / 1e6:,.0f} ms"
