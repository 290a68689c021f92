"""Faults, alerts and times as the demo says them."""
from streamrnn.cli.demo.score import recovering, under_way


def said(fault):
    return f"{fault.kind}: {fault.sensor}" if fault.sensor else fault.kind


def blamed(event):
    return ", ".join(f"{sensor} {100 * share:.0f} %" for sensor, share in event.blamed)


def minutes(rows):
    return f"{rows} min" if rows < 120 else f"{rows / 60:.1f} h"


def truth(plan, event):
    """(what is in truth the matter where an alert begins, is anything?)"""
    fault = under_way(plan.faults, event.machine, event.start)
    if fault:
        return f"{fault.kind}, {minutes(event.start - fault.start)} old", True
    past = recovering(plan.faults, event.machine, event.start)
    return (f"recovers from {past.kind}", True) if past else ("nothing: false alarm", False)
