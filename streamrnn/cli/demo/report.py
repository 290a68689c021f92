"""How it went: each fault, found or not, then the totals."""
from streamrnn.cli.arguments import counted
from streamrnn.cli.demo.plan import name
from streamrnn.cli.demo.score import TAIL, judged
from streamrnn.cli.demo.words import blamed, minutes, said
from streamrnn.detect import plant

WEEK = 7 * 24 * 60
WIDE = 120         # characters that the whole table takes; what is left out below: how long a fault lasts, the cause


def told(console, plan, tally):
    """Print it; the Outcome."""
    outcome = judged(tally.events, plan.faults, plan.machines, plan.rows)
    console.print()
    console.print(table(plan, outcome, console.width), "")
    for line in totals(plan, tally, outcome):
        console.print(line, soft_wrap=not console.is_terminal)
    return outcome


def table(plan, outcome, width):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    wide = width >= WIDE
    faults = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    faults.add_column("machine", no_wrap=True)
    faults.add_column("fault", min_width=20)
    faults.add_column("from", no_wrap=True)
    if wide:
        faults.add_column("lasts", no_wrap=True, justify="right")
    faults.add_column("found after" if wide else "found", no_wrap=True, justify="right")
    if wide:
        faults.add_column("cause", no_wrap=True)
    faults.add_column("blamed at the first alert", min_width=20)
    for fault, event in outcome.found:
        after, cause, blame = Text("missed", "bold red"), "", ""
        if event:
            after, cause = Text(f"{event.start - fault.start} min", "green"), event.cause
            blame = Text(blamed(event), "" if right(fault, event) else "yellow")
        row = name(fault.machine), said(fault), plan.clock(fault.start)
        faults.add_row(*row, *((f"{fault.rows / 60:.1f} h", after, cause) if wide else (after,)), blame)
    return faults


def right(fault, event):
    """Is the most blamed sensor one that shows the fault?"""
    return event.blamed[0][0] in plant.affected(fault)


def totals(plan, tally, outcome):
    found = [(fault, event) for fault, event in outcome.found if event]
    weeks = outcome.clean / WEEK
    within, after, false = len(outcome.within), len(outcome.after), len(outcome.false)
    yield f"[bold]{len(found)} of {counted(len(outcome.found), 'fault')} found[/]" + _delay(found)
    if found:
        yield (f"for {sum(right(*pair) for pair in found)} of the {len(found)}, the most blamed sensor is one that shows the fault "
               "(the others may be luck)")
    rate = f": {false / weeks:.2f} a machine-week, of the 1 asked for, in {weeks:.2g} machine-weeks without a fault" if weeks else ""
    where = ", ".join(f"{name(event.machine)} {plan.clock(event.start)}" for event in outcome.false)
    yield f"[bold]{counted(false, 'false alarm')}[/]{rate}" + (f" ({where})" if where else "")
    yield (f"{counted(within + after + false, 'alert')} in all: {within} during faults, {false} false, {after} neither: "
           f"within {TAIL // 60} hours of a fault's end")
    missing = tally.score.size - tally.number
    yield (f"{tally.number:,} rows in {tally.seconds:.1f} s, [bold]{tally.rate:,.0f} rows/s[/]; from a producer's send to its result here "
           f"{tally.latency()}" + (f"; [bold red]{missing:,} results never came[/]" if missing else ""))


def _delay(found):
    delays = sorted(event.start - fault.start for fault, event in found)
    return f", half of them within {minutes(delays[(len(delays) - 1) // 2])} of plant time" if delays else ""
