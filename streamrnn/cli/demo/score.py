"""Alerts against the truth. Times are rows, spans (first, behind the last).

An event is a run of alerts of one machine; pauses of up to JOIN rows are part of it. It belongs to the fault under way when it
begins: then that fault is found. For TAIL rows after a fault the plant recovers: an event that begins there counts as neither
found nor false. Any other is a false alarm, even if a fault begins while it lasts.
"""
from dataclasses import dataclass

JOIN = 10
TAIL = 4 * 60


@dataclass
class Event:
    """cause: the monitor that spoke first; blamed: (sensor, share) as of the first alert, the most blamed first."""
    machine: int
    start: int
    end: int
    cause: str = ""
    blamed: tuple = ()


@dataclass(frozen=True)
class Outcome:
    """found: (fault, its first event or None) of each fault; every event is in exactly one of `within`, `after` and `false`."""
    found: list
    within: list
    after: list
    false: list
    clean: int      # rows of all machines outside of faults and tails


def under_way(faults, machine, row):
    """The fault of a machine at a row, or None."""
    return next((fault for fault in faults if fault.machine == machine and fault.start <= row < fault.start + fault.rows), None)


def recovering(faults, machine, row):
    """The fault that a machine has not recovered from at a row, or None."""
    return next((fault for fault in faults if fault.machine == machine and 0 <= row - fault.start - fault.rows < TAIL), None)


def judged(events, faults, machines, rows):
    first, within, after, false = {}, [], [], []
    for event in sorted(events, key=lambda event: event.start):
        fault = under_way(faults, event.machine, event.start)
        if fault:
            first.setdefault(fault, event)
            within.append(event)
        elif recovering(faults, event.machine, event.start):
            after.append(event)
        else:
            false.append(event)
    return Outcome([(fault, first.get(fault)) for fault in faults], within, after, false, clean_rows(faults, machines, rows))


def clean_rows(faults, machines, rows):
    """Rows of all machines in which an event would be a false alarm."""
    taken = {(fault.machine, row) for fault in faults for row in range(fault.start, min(fault.start + fault.rows + TAIL, rows))}
    return machines * rows - len(taken)
