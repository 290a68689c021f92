"""The run while it goes on: a live picture on a terminal, a line for each alert elsewhere."""
import time

from streamrnn.cli.demo.plan import name
from streamrnn.cli.demo.score import under_way
from streamrnn.cli.demo.words import blamed, truth

REFRESH = 0.2     # seconds between two pictures
BAR = 5           # characters of a score's bar
EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = 2.0        # the score that fills it: half of it, 1, is rare
CELL = 37         # characters of a machine
FRAME = 4         # characters that the panel takes from a line
MOST = 115        # characters of a line in it
ALERTS = 10       # alerts that are shown at most


def watched(console, live):
    if not console.is_terminal:
        return _lines(console, live)
    from rich.live import Live as Screen

    with Screen(console=console, auto_refresh=False, vertical_overflow="crop") as screen:
        while True:
            over = live.over
            screen.update(panel(live.plan, live.tally, *console.size), refresh=True)
            if over:
                return None
            time.sleep(REFRESH)


def panel(plan, tally, width, height):
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    columns = max(1, min((width - FRAME + 2) // (CELL + 2), 3))
    deep = -(-plan.machines // columns)
    inner = max(min(width - FRAME, MOST), 30)
    row = max(tally.row, 0)
    head = Text.assemble((plan.clock(row), "bold"), f"  hour {row / 60:.1f} of {plan.rows / 60:g}  ", (f"{tally.rate:,.0f} rows/s", "bold"),
                         f"  latency {tally.latency()}" if tally.number else "", no_wrap=True, overflow="ellipsis")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for k in range(deep):
        grid.add_row(*(_machine(plan, tally, machine) for machine in range(k, plan.machines, deep)))
    room = max(min(ALERTS, height - deep - 7), 2)
    bar = ProgressBar(total=plan.rows, completed=row + 1, width=inner)
    body = Group(head, bar, Text("\n"), grid, Text(""),
                 _alerts(plan, tally.events[-room:], room, inner))
    return Panel(body, box=box.ROUNDED, padding=(0, 1), width=inner + FRAME, title="streamrnn demo", title_align="left",
                 subtitle="[cyan]on the right: the truth, which the detector is not told[/]", subtitle_align="right")


def _machine(plan, tally, machine):
    """pump-07 ##    0.4 ALERT leak"""
    from rich.text import Text

    row = int(tally.last[machine])
    score, alert = (float(tally.score[machine, row]), bool(tally.alert[machine, row])) if row >= 0 else (0.0, False)
    colour = "red" if alert else "yellow" if score >= 1 else "green"
    fault = under_way(plan.faults, machine, row)
    text = Text.assemble(f"{name(machine)} ", (_bar(score / FULL), f"{colour} on grey23"), f" {min(score, 9.9):.1f} ",
                         (f"{'ALERT' if alert else 'ok':<6}", f"bold {colour}" if alert else "dim"), (fault.kind if fault else "", "cyan"),
                         no_wrap=True)
    text.pad_right(max(CELL - len(text), 0))
    return text


def _bar(share):
    full, eighth = divmod(round(8 * BAR * max(0.0, min(share, 1.0))), 8)
    return f"{'█' * full}{EIGHTHS[eighth]:<{min(1, BAR - full)}}"[:BAR].ljust(BAR)


def _alerts(plan, events, room, width):
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.width = width
    for options in ({"style": "dim"}, {"style": "bold red"}, {"ratio": 1}, {}):
        table.add_column(no_wrap=True, overflow="ellipsis", **options)
    for event in events:
        words, true = truth(plan, event)
        table.add_row(plan.clock(event.start), name(event.machine), f"{event.cause}: {blamed(event)}",
                      f"[{'cyan' if true else 'yellow'}]{words}[/]")
    for _ in range(room - len(events)):
        table.add_row()
    return table


def _lines(console, live):
    """For a log or a pipe: alerts as they come, and how far it is at every quarter."""
    plan, tally, told, quarter = live.plan, live.tally, 0, 0
    while True:
        over = live.over
        while told < len(tally.events):
            event = tally.events[told]
            console.print(f"{plan.clock(event.start)}  {name(event.machine)}  {event.cause}: {blamed(event)}  "
                          f"(in truth: {truth(plan, event)[0]})", soft_wrap=True)
            told += 1
        if (tally.row + 1) * 4 // plan.rows > quarter:
            quarter = (tally.row + 1) * 4 // plan.rows
            console.print(f"{plan.clock(tally.row)}  hour {(tally.row + 1) / 60:.1f} of {plan.rows / 60:g}: {tally.rate:,.0f} rows/s, "
                          f"latency {tally.latency()}", soft_wrap=True)
        if over:
            return
        time.sleep(REFRESH)
